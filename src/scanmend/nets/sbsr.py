"""The network of SBSR: a small U-Net of 1,041,281 parameters.

Laid out after the public code, which counts in steps what is a time in [0, 1] here: seven blocks of
two 3x3 convolutions with group normalisation, no residual connections, no skip at full resolution.
The second convolution of a block on the way down has stride 2, transposed convolutions lead up
again from the concatenated skips, and a 1x1 convolution reads the image off.

References:
    Wang, Huang, Sun, SBSR, Methodology (the network's task); its public code (the layout)
    Saharia et al., SR3, arXiv:2104.07636 (conditioning by concatenation)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import GroupNorm, waves


class Sbsr(nn.Module):
    """Maps (batch, 2, rows, columns) and times (batch,) in [0, 1] to (batch, 1, rows, columns).

    In: the image on its way, and the degraded one on the same grid.
    """

    channels = 2
    multiple = 4  #: Image sides must be divisible by this.

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.time = _Time(64)
        self.stem = _Block(self.channels, width)
        self.down = nn.ModuleList(
            [_Block(width, 2 * width, stride=2), _Block(2 * width, 4 * width, stride=2)]
        )
        self.middle = _Block(4 * width, 4 * width)
        self.finer = nn.ModuleList(
            nn.ConvTranspose2d(4 * wide, wide, 4, stride=2, padding=1)
            for wide in (2 * width, width)
        )
        self.up = nn.ModuleList(_Block(wide, wide) for wide in (2 * width, width))
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, image: Tensor, t: Tensor) -> Tensor:
        """What the objective asks for; sides of `image` divisible by `multiple`."""
        time = self.time(t)
        h = self.stem(image, time)
        skips = []
        for block in self.down:
            h = block(h, time)
            skips.append(h)
        h = self.middle(h, time)
        for finer, block in zip(self.finer, self.up, strict=True):
            h = block(finer(torch.cat([h, skips.pop()], dim=1)), time)
        return self.head(h)


class _Block(nn.Module):
    """Convolution, normalisation, SiLU, twice; time is added in between."""

    def __init__(self, width_in: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(width_in, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, stride=stride, padding=1)
        self.norms = nn.ModuleList(GroupNorm(8, width) for _ in range(2))
        self.time = nn.Linear(64, width)
        self.act = nn.SiLU()

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        h = self.act(self.norms[0](self.first(h)))
        h = h + self.time(time)[:, :, None, None]
        return self.act(self.norms[1](self.second(h)))


class _Time(nn.Module):
    """Times (batch,), a thousand steps from 0 to 1, as sines and cosines, mixed: (batch, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pairs = width // 2
        self.mix = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        return self.mix(torch.cat(waves(t, self.pairs, self.pairs - 1), dim=1))
