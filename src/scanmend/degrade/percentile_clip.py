"""An intensity range that leaves the extremes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import RecipeError
from ..scan import Scan
from .base import Range, height_range


@dataclass(frozen=True)
class PercentileClip:
    """Cuts off what lies outside two percentiles of the image.

    Whoever then brings the image to a fixed range by its minimum and maximum has normalised it by
    its percentiles, which a few bright pixels do not move.

    Attributes:
        beyond_percent: Which share is cut off at either end, percent; drawn once an image.

    Raises:
        RecipeError: Half or more would be cut off at either end.

    References:
        Wang, Huang, Sun, SBSR, Methodology, step 3; the percentiles are those of its public code
    """

    beyond_percent: Range = (1.0, 3.0)

    def __post_init__(self) -> None:
        if self.beyond_percent[1] >= 50:
            raise RecipeError(
                "PercentileClip needs a beyond_percent below 50, which is cut off at either end, "
                f"got {self.beyond_percent}"
            )

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws the share."""
        beyond = rng.uniform(*self.beyond_percent)
        height_range(scan)  # what was not measured at all, or is infinite, has no percentiles
        # In double precision: a percentile lies between two pixels.
        values = scan.values.astype(np.float64)
        low, high = np.nanpercentile(values, (beyond, 100 - beyond))
        unit = scan.quantity.value
        return scan.after(
            f"clipped to {beyond:.2f} and {100 - beyond:.2f} %, {low:.4g} and {high:.4g} {unit}",
            np.clip(values, low, high),
        )
