"""Levelling, always with what was subtracted, so that it can be put back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import ScanError
from .scan import Scan


def plane(scan: Scan) -> tuple[Scan, NDArray[np.floating]]:
    """Subtracts the least-squares plane through the measured pixels.

    Least squares, because it is linear: tilting the scan tilts the plane and nothing else, so that
    the levelled scan does not depend on the tilt at all.

    Returns:
        The levelled scan, and the plane, shape (rows, columns), in the scan's unit.
    """
    rows, columns = scan.values.shape
    y, x = np.linspace(-1, 1, rows), np.linspace(-1, 1, columns)
    basis = np.stack(np.broadcast_arrays(1.0, y[:, None], x[None, :]), axis=-1)
    known = np.isfinite(scan.values)
    if not known.any():
        raise ScanError("nothing in this scan was measured: every pixel is NaN")
    values = scan.values.astype(np.float64)
    b = basis[known]
    # The 3x3 normal equations; lstsq copes with a single row or column, where the tilt is free.
    slope = np.linalg.lstsq(b.T @ b, b.T @ values[known], rcond=None)[0]
    surface = basis @ slope
    return scan.after("level plane", values - surface), surface
