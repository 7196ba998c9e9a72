"""To the model's range and back, without losing the unit; and what is lost there, told apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import ScanError
from .scan import Scan

TOLD = ("row pitch", "column pitch", "mend", "ghosts")
"""What a network may be told of an image besides its pixels, as its card has it: see `told`."""


def told(pixel_nm: tuple[float, float], *, mend: bool, ghosts: bool) -> NDArray[np.float32]:
    """What a network is told of an image, and of what is wished for; shape (4,).

    Args:
        pixel_nm: Pitch (rows, columns) of the image that it is shown, nm; as log2(pitch / 0.2 nm).
        mend: Whether damage is to be removed, or lines to be filled in only.
        ghosts: Whether those of a multiple tip are damage.
    """
    rows, columns = (math.log2(pitch / 0.2) for pitch in pixel_nm)
    return np.array([rows, columns, mend, ghosts], np.float32)


@dataclass(frozen=True, slots=True)
class Affine:
    """values = offset + scale · normalised, with scale and offset in the scan's unit."""

    offset: float
    scale: float

    @classmethod
    def of(cls, scan: Scan) -> Affine:
        """Median to 0, 5th to 95th percentile to 3.3 (of a normal distribution, in sigmas).

        A few spikes, or one step, must not set the contrast; missing pixels (NaN) do not count.

        Raises:
            ScanError: Nothing was measured, or all pixels are equal.
        """
        known = scan.values[~np.isnan(scan.values)].astype(np.float64)
        if known.size == 0:
            raise ScanError("nothing in this scan was measured: every pixel is NaN")
        low, median, high = np.percentile(known, (5, 50, 95))
        scale = (high - low) / 3.3 or known.std()
        if not scale > 0:
            raise ScanError(f"every pixel is {median:g} {scan.quantity.value}: nothing to restore")
        return cls(float(median), float(scale))

    def apply(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """From the scan's unit to the model's range."""
        return ((values - self.offset) / self.scale).astype(np.float32)

    def undo(self, normalised: NDArray[np.floating]) -> NDArray[np.float32]:
        """Back to the scan's unit. Never clamps: a tip crash is data too."""
        return (self.offset + self.scale * normalised.astype(np.float64)).astype(np.float32)

    def undo_spread(self, normalised: NDArray[np.floating]) -> NDArray[np.float32]:
        """A standard deviation back to the scan's unit: it scales but does not shift."""
        return (self.scale * normalised).astype(np.float32)
