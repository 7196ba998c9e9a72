"""The contract that every degradation keeps, and what all of them need to keep it."""

from __future__ import annotations

import math
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from ..errors import ScanError
from ..scan import Quantity, Scan

Range = tuple[float, float]
"""From low to high, drawn uniformly once an image."""

Fraction = Annotated[float, "a number from 0 to 1"]
"""A probability, or a part of a whole."""


class Degradation(Protocol):
    """Turns a scan into what the instrument would have recorded.

    An instance is its own configuration: a frozen dataclass of physical parameters, all of them
    magnitudes, at least 0. All randomness comes from `rng`, so that one seed replays one image.

    Two borders need a rule. Beyond the frame every effect sees the mirror image of what is
    inside: crop afterwards where that must not show. Pixels that were not measured (NaN) stay so,
    exactly they (but for FewerLines, which copies a line with its holes), and an effect that looks
    at the surface there sees the nearest measured pixel.
    """

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """The degraded scan: same field of view, same unit, one more line of history."""
        ...


def height_range(scan: Scan) -> tuple[float, float]:
    """Lowest measured value and the span up to the highest, in the scan's unit.

    The Kolev-Rodani pipeline begins by bringing an image to [0, 1]; parameters named `_of_range`
    are fractions of this span.

    Raises:
        ScanError: Nothing was measured, or a pixel is infinite.
    """
    low, high = float(scan.values.min()), float(scan.values.max())
    if math.isnan(low):
        known = scan.values[~np.isnan(scan.values)]
        if known.size == 0:
            raise ScanError("nothing in this scan was measured: every pixel is NaN")
        low, high = float(known.min()), float(known.max())
    if math.isinf(low) or math.isinf(high):
        raise ScanError("the scan holds infinite pixels; mark what was not measured by NaN")
    return low, high - low


def surface(scan: Scan) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A copy of the scan's values without holes, and where the holes are, both (rows, columns).

    A hole takes the value of the nearest measured pixel; the caller makes it a hole again.
    """
    missing = np.isnan(scan.values)
    values = np.array(scan.values, order="C")
    if missing.any() and not missing.all():
        nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
        values = values[tuple(np.asarray(nearest))]
    return values, missing


def picometres(scan: Scan) -> float:
    """One pm in the scan's unit.

    Raises:
        ScanError: The scan is no height image.
    """
    if scan.quantity is not Quantity.HEIGHT:
        raise ScanError(
            f"damage in pm needs a height image, got one in {scan.quantity.value}; "
            "leave AcquisitionNoise, FeedbackLoop and LineOffset out of the recipe"
        )
    return 1e-3
