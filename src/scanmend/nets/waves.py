"""How a network is told the time."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def waves(t: Tensor, count: int, steps: int) -> tuple[Tensor, Tensor]:
    """Sines and cosines of times (batch,) in thousandths, each of shape (batch, count).

    The frequency falls from 1 by a factor of 10,000 in `steps` equal steps. It is made anew in each
    call: of a buffer, processes that share a training would wait for each other's.
    """
    falling = torch.arange(count, device=t.device) * (-math.log(10_000) / steps)
    angle = 1000 * t[:, None] * torch.exp(falling)
    return angle.sin(), angle.cos()
