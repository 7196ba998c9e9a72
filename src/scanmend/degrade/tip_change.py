"""A tip that changes while it scans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..scan import Scan
from .base import Fraction, Range, height_range, surface
from .filters import gaussian


@dataclass(frozen=True)
class TipChange:
    """From one line on the tip is blunter, and sometimes longer or shorter.

    Attributes:
        sigma_px: Standard deviation of the Gaussian by which the new tip blurs, pixels.
        offset_probability: How often the change shifts the height too.
        offset_of_range: Size of that shift, up or down, in units of the height range.
        persists: Whether the shift stays for all lines that follow, as a change of the tip's
            length does, or is on the line of the change only, as the source has it.
        span: What 1 stands for in `offset_of_range`, in the scan's unit; the scan's own height
            range by default.

    References:
        Kolev, Rodani et al., Sec. II A, step 6; the width of the blur is not given there
    """

    sigma_px: Range = (0.5, 1.5)
    offset_probability: Fraction = 0.5
    offset_of_range: Range = (0.05, 0.4)
    persists: bool = False
    span: float | None = None

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws the line of the change, the new width, and the offset."""
        row = int(rng.integers(len(scan.values)))
        sigma = rng.uniform(*self.sigma_px)
        offset = rng.uniform(*self.offset_of_range) * rng.choice((-1, 1))
        offset *= rng.random() < self.offset_probability
        offset *= height_range(scan)[1] if self.span is None else self.span

        values, missing = surface(scan)
        # The new tip sees the surface, also that above its first line: blur all, keep the rest.
        values[row:] = gaussian(values, sigma)[row:]
        values[row : None if self.persists else row + 1] += np.float32(offset)
        values[missing] = np.nan
        unit = scan.quantity.value
        return scan.after(
            f"tip change at line {row}, sigma {sigma:.3f} px, offset {offset:+.4g} {unit}", values
        )
