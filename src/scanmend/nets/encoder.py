"""A network that says in a few numbers what kind of scan it sees, whatever its size."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

FEATURES = 128
_WIDTHS = ((24, 48, 2), (48, 48, 1), (48, 96, 2), (96, 96, 1), (96, FEATURES, 1))


class Encoder(nn.Module):
    """Maps (batch, 1, rows, columns) in [-1, 1] to features (batch, 128).

    Convolutions with batch normalisation, which halve the sides three times, and the mean over the
    image at the end. Over what it was trained on, each feature has mean 0 and variance 1.
    """

    def __init__(self) -> None:
        super().__init__()
        layers = [_layer(1, _WIDTHS[0][0], 2, side=5)]
        layers += [_layer(before, after, stride) for before, after, stride in _WIDTHS]
        self.layers = nn.Sequential(*layers)
        self.scale = nn.BatchNorm1d(FEATURES, affine=False)

    def forward(self, image: Tensor) -> Tensor:
        """Features of each image."""
        return self.scale(F.adaptive_avg_pool2d(self.layers(image), 1).flatten(1))


def _layer(before: int, after: int, stride: int, side: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, side, stride=stride, padding=side // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )
