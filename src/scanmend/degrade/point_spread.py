"""The finite width of an electron probe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..scan import Scan
from .base import Range, surface
from .filters import gaussian


@dataclass(frozen=True)
class PointSpread:
    r"""Convolves the image with a Gaussian probe.

    A wave of :math:`f` periods per pixel keeps :math:`e^{-2 (\pi \sigma f)^2}` of its amplitude.

    Attributes:
        sigma_px: Standard deviation of the Gaussian, pixels; drawn once an image.

    References:
        Wang, Huang, Sun, SBSR, Methodology, step 1; the width is that of its public code
    """

    sigma_px: Range = (0.5, 1.1)

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws the width."""
        sigma = rng.uniform(*self.sigma_px)
        values, missing = surface(scan)
        values = gaussian(values, sigma)
        values[missing] = np.nan
        return scan.after(f"point spread, sigma {sigma:.3f} px", values)
