"""Scan lines that do not line up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..scan import Scan
from .base import Fraction, surface
from .filters import mirror


@dataclass(frozen=True)
class LineShift:
    """Shifts scan lines along the fast axis, each by its own amount, with linear interpolation.

    Attributes:
        sigma_px: Standard deviation of the shifts, pixels.
        fraction: Share of the lines that are shifted at all.

    References:
        Kolev, Rodani et al., Sec. II A, step 3
    """

    sigma_px: float = 0.8
    fraction: Fraction = 1.0

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws a shift for every line; to the right where it is positive."""
        values, missing = surface(scan)
        rows = len(values)
        shifts = rng.normal(0.0, self.sigma_px, rows) * (rng.random(rows) < self.fraction)
        shifted = shift_lines(values, shifts)
        shifted[missing] = np.nan
        return scan.after(f"line shift, rms {np.sqrt(np.mean(shifts**2)):.3f} px", shifted)

    def margin_px(self, pixel_nm: tuple[float, float]) -> int:
        """How far into the frame what lies beyond it reaches, pixels: but for 1 line in 15,000."""
        return math.ceil(4 * self.sigma_px) + 1


@njit(cache=True, nogil=True)
def shift_lines(values: NDArray[np.float32], shifts_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """Row i of `values` moved to the right by `shifts_px[i]`."""
    rows, columns = values.shape
    out = np.empty((rows, columns), np.float32)
    for i in range(rows):
        whole = int(np.floor(-shifts_px[i]))
        part = np.float32(-shifts_px[i] - whole)
        left = values[i, mirror(whole, columns)]
        for j in range(columns):
            right = values[i, mirror(j + whole + 1, columns)]
            out[i, j] = left + part * (right - left)
            left = right
    return out
