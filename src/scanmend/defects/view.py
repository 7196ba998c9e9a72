"""A scan as a network that finds defects is shown it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..normalise import Affine
from ..resample import fill_gaps, to_pitch
from ..restoration import prepare
from ..restoration.posterior import VIEW
from ..scan import Scan


def view(scan: Scan, pixel_nm: tuple[float, float] | None = None) -> NDArray[np.float32]:
    """The scan in the model's range, and 1 where it was measured; shape (2, rows, columns).

    Jumps between lines and a plane are taken off, holes filled in, and heights brought to the range
    that `restoration` has them in; what stands out of it, as a crash of the tip does, is cut.

    Args:
        scan: What was measured.
        pixel_nm: About which pitch (rows, columns) to show it at, nm; if None, its own.

    Raises:
        ScanError: Nothing was measured, or all of it is flat.
    """
    levelled, _ = prepare.levelled(prepare.without_jumps(scan)[0])
    work = to_pitch(fill_gaps(levelled), pixel_nm or scan.pixel_nm).values
    heights = np.clip(Affine.of(levelled).apply(work), -VIEW, VIEW)
    return np.stack([heights, prepare.measured(scan, heights.shape)])
