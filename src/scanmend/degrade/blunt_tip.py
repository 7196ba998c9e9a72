"""A tip too blunt for the finest detail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..scan import Scan
from .base import Range, surface
from .filters import gaussian


@dataclass(frozen=True)
class BluntTip:
    """Blurs the scan by a Gaussian.

    Attributes:
        sigma_px: Standard deviation of the Gaussian, pixels.

    References:
        Kolev, Rodani et al., Sec. II A, step 5
    """

    sigma_px: Range = (0.3, 0.6)

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws one width for the whole scan."""
        sigma = rng.uniform(*self.sigma_px)
        values, missing = surface(scan)
        values = gaussian(values, sigma)
        values[missing] = np.nan
        return scan.after(f"blunt tip, sigma {sigma:.3f} px", values)
