"""The edge of what was measured: beyond it lies part of what is near it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from ..errors import ScanError
from ..scan import Scan

EDGE_NM = 0.3  #: [nm] from the frame's edge, or from a gap, within which a defect may be cut off


def at_edge(scan: Scan, places_nm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of these places, (x, y) from the frame's middle in nm, lie at the edge or beyond."""
    middle = (np.array(scan.values.shape) - 1) / 2
    edge = np.any(abs(places_nm[:, ::-1]) > np.array(scan.size_nm) / 2 - EDGE_NM, axis=1)
    if np.isnan(scan.values).any():
        pixel = np.rint(places_nm[:, ::-1] / scan.pixel_nm + middle).astype(np.int64)
        row, column = pixel.clip(0, np.array(scan.values.shape) - 1).T
        edge |= _beside_gap(scan)[row, column]
    return edge


def inner_nm2(scan: Scan) -> float:
    """How much of a scan is not its edge.

    Raises:
        ScanError: Nothing.
    """
    sides = np.array(scan.size_nm) - 2 * EDGE_NM
    area = float(sides.prod()) if (sides > 0).all() else 0.0
    if area and np.isnan(scan.values).any():
        rows, columns = (
            abs(np.arange(n) - (n - 1) / 2) * p < s / 2
            for n, p, s in zip(scan.values.shape, scan.pixel_nm, sides, strict=True)
        )
        inner = ~_beside_gap(scan)[rows][:, columns]
        area *= float(inner.mean()) if inner.size else 0.0
    if not area > 0:
        raise ScanError(f"all of this scan lies within {EDGE_NM:g} nm of an edge: nothing counts")
    return area


def _beside_gap(scan: Scan) -> NDArray[np.bool_]:
    """Which pixels lie in a gap or near one."""
    far = np.asarray(distance_transform_edt(np.isfinite(scan.values), sampling=scan.pixel_nm))
    return far < EDGE_NM
