"""Layers that several networks have: the time that they are told, and normalisation in groups."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def waves(t: Tensor, count: int, steps: int) -> tuple[Tensor, Tensor]:
    """Sines and cosines of times (batch,) in thousandths, each of shape (batch, count).

    The frequency falls from 1 by a factor of 10,000 in `steps` equal steps. It is made anew in each
    call: of a buffer, processes that share a training would wait for each other's.
    """
    falling = torch.arange(count, device=t.device) * (-math.log(10_000) / steps)
    angle = 1000 * t[:, None] * torch.exp(falling)
    return angle.sin(), angle.cos()


class Time(nn.Module):
    """Times (batch,) as waves, mixed: (batch, width); SiLU at the end, for every use.

    Args:
        pairs: Of sines and cosines.
        width: Of what comes out.
        cosines_first: The order of the two.
    """

    def __init__(self, pairs: int, width: int, *, cosines_first: bool = False) -> None:
        super().__init__()
        self.pairs, self.order = pairs, -1 if cosines_first else 1
        self.mix = nn.Sequential(
            nn.Linear(2 * pairs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )

    def forward(self, t: Tensor) -> Tensor:
        """The mixture."""
        return self.mix(torch.cat(waves(t, self.pairs, self.pairs)[:: self.order], dim=1))


class GroupNorm(nn.GroupNorm):
    """That of torch, but not by way of nn.functional, which asks for sizes in Python: that cannot
    be traced."""

    def forward(self, input: Tensor) -> Tensor:
        """The normalised image."""
        return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)
