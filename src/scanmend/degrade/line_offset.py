"""Lines of unequal height."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..scan import Scan
from .base import Range, picometres


@dataclass(frozen=True)
class LineOffset:
    """Raises or lowers every scan line by its own amount: the slowest noise of z and tip.

    Attributes:
        rms_pm: Standard deviation of the offsets, pm; drawn once a scan.

    Raises:
        ScanError: The scan is no height image.
    """

    rms_pm: Range = (0.0, 8.0)

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws one offset a line."""
        rms = rng.uniform(*self.rms_pm)
        offsets = rng.normal(0.0, rms, (len(scan.values), 1)) * picometres(scan)
        return scan.after(f"line offsets, rms {rms:.2f} pm", scan.values + offsets)
