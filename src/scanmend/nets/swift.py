"""The network of the shipped models: quick on a processor, because it does only 3x3 convolutions.

A U-Net behind a pixel-unshuffle stem, of residual blocks without normalisation layers, told the
time by scale and shift (FiLM). Skips are added, not concatenated.

References:
    Lim et al., EDSR, arXiv:1707.02921 (residual blocks without normalisation)
    Perez et al., FiLM, arXiv:1709.07871
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Time

MIXED = 128
"""Numbers in which a block sees the time and what else it is told."""


@dataclass(frozen=True)
class Layout:
    """The size of a `Swift`.

    Attributes:
        widths: Channels at each resolution, finest first.
        blocks: Residual blocks at each resolution, both on the way down and on the way up.
        middle: Further blocks at the coarsest resolution.
        stem: Side of the square of pixels that the stem folds into channels.
        told: Numbers that it is told besides the time.
        channels: Planes of the image that it is shown ...
        planes: ... and of what it returns.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 1, 2)
    middle: int = 2
    stem: int = 2
    told: int = 0
    channels: int = 3
    planes: int = 2

    @property
    def multiple(self) -> int:
        """Image sides must be divisible by this."""
        return self.stem * 2 ** (len(self.widths) - 1)

    @property
    def reach(self) -> int:
        """How far off pixels can be that a pixel depends on."""
        scales = [self.stem * 2**level for level in range(len(self.widths))]
        both_ways = sum(4 * n * scale for n, scale in zip(self.blocks, scales, strict=True))
        # Stem and head; and wherever a pixel is in its square of the coarsest ones.
        return both_ways + 2 * self.middle * scales[-1] + 2 * self.stem + self.multiple


LAYOUTS = {
    "swift": Layout(),
    "swift-wide": Layout((48, 96, 192), (1, 1, 1), 1),
    "swift-4x": Layout((64, 128, 192), (1, 1, 1), 2, stem=4),
    "swift-4x-deep": Layout((64, 128, 256), (2, 2, 2), 2, stem=4),
}
"""Sizes to choose from, by name."""


class Swift(nn.Module):
    """From images, times (batch,) and, perhaps, what else it is told, (batch, told), to images.

    As the shipped models have it, it is shown (batch, 3, rows, columns): the image on its way, what
    is known (the measurement, or the mean), and 1 where that was measured, 0 where it was filled
    in. It returns (batch, 2, rows, columns): what to add to the known image, and the log of the
    error to expect there (Laplace scale). As the papers' networks, two planes and one.
    """

    def __init__(self, layout: Layout = Layout()) -> None:
        super().__init__()
        self.layout, self.channels, self.multiple = layout, layout.channels, layout.multiple
        widths, fold = layout.widths, layout.stem**2
        self.time = Time(32, MIXED)
        self.stem = nn.Conv2d(layout.channels * fold, widths[0], 3, padding=1)
        self.down = nn.ModuleList(_stage(c, n) for c, n in zip(widths, layout.blocks, strict=True))
        self.middle = _stage(widths[-1], layout.middle)
        self.up = nn.ModuleList(_stage(c, n) for c, n in zip(widths, layout.blocks, strict=True))
        pairs = list(pairwise(widths))
        self.coarser = nn.ModuleList(nn.Conv2d(fine, c, 2, stride=2) for fine, c in pairs)
        self.finer = nn.ModuleList(nn.Conv2d(c, 4 * fine, 1) for fine, c in pairs)
        self.head = nn.Conv2d(widths[0], layout.planes * fold, 3, padding=1)
        if layout.told:
            self.told = nn.Sequential(
                nn.Linear(layout.told, MIXED), nn.SiLU(), nn.Linear(MIXED, MIXED)
            )
            nn.init.zeros_(self.told[-1].weight)  # type: ignore[arg-type]
            nn.init.zeros_(self.told[-1].bias)  # type: ignore[arg-type]
        # A new network is the identity: it has to learn to change anything at all.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor, t: Tensor, told: Tensor | None = None) -> Tensor:
        """What it says; sides of `image` divisible by `layout.multiple`."""
        time = self.time(t)
        if told is not None:
            time = time + self.told(told)
        h = self.stem(F.pixel_unshuffle(image, self.layout.stem))
        skips = []
        for level, stage in enumerate(self.down):
            h = _run(stage, h, time)
            skips.append(h)
            if level < len(self.coarser):
                h = self.coarser[level](h)
        h = _run(self.middle, h, time)
        for level in reversed(range(len(self.up))):
            if level < len(self.finer):
                h = F.pixel_shuffle(self.finer[level](h), 2)
            h = _run(self.up[level], h + skips[level], time)
        return F.pixel_shuffle(self.head(h), self.layout.stem)


class _Block(nn.Module):
    """3x3 convolution, scale and shift by time, ReLU, 3x3 convolution; added to its input."""

    def __init__(self, width: int, time_width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(time_width, 2 * width)
        # Without normalisation, blocks that start small keep a deep stack of them stable.
        self.gain = nn.Parameter(torch.full((1, width, 1, 1), 0.2))

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.film(time)[:, :, None, None].chunk(2, dim=1)
        return h + self.gain * self.second(F.relu(self.first(h) * (1 + scale) + shift))


def _stage(width: int, blocks: int) -> nn.ModuleList:
    return nn.ModuleList(_Block(width, MIXED) for _ in range(blocks))


def _run(stage: nn.Module, h: Tensor, time: Tensor) -> Tensor:
    for block in stage:  # type: ignore[attr-defined]
        h = block(h, time)
    return h
