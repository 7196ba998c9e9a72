"""A feedback loop that follows the surface late."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..scan import Scan
from .base import Range, surface


@dataclass(frozen=True)
class FeedbackLag:
    r"""Lets the height follow the surface along the fast axis with a time constant.

    .. math:: z_j = z_{j-1} + (1 - e^{-1/\tau}) (h_j - z_{j-1})

    An integral controller, well below its resonance; lines start settled.

    Attributes:
        lag_px: Time constant :math:`\tau` in pixels of the fast axis.
    """

    lag_px: Range = (0.1, 0.6)

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws one time constant a scan."""
        from scipy.signal import lfilter  # late: it takes half a second

        lag = rng.uniform(*self.lag_px)
        stays = math.exp(-1 / lag) if lag > 0 else 0.0
        h, missing = surface(scan)
        gain, memory = np.array([1 - stays], np.float32), np.array([1, -stays], np.float32)
        values, _ = lfilter(gain, memory, h, axis=1, zi=np.float32(stays) * h[:, :1])
        values[missing] = np.nan
        return scan.after(f"feedback lag {lag:.3f} px", values)
