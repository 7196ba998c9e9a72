"""What a network that finds defects learns: a map of each class, with a Gaussian at each defect."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..stm.simulation import Simulation

SIGMA_NM = 0.12  #: [nm] standard deviation of the Gaussians
ONE = "defect"  #: the class of a map of all defects
_FAR = 5.0  # standard deviations, at which a Gaussian has fallen to 4e-6


def maps(
    kinds: Sequence[str],
    places_px: NDArray[np.floating],
    classes: Sequence[str],
    shape: tuple[int, int],
    pixel_nm: tuple[float, float],
    sigma_nm: float = SIGMA_NM,
    heights: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """Maps of defects, each a Gaussian; shape (classes, rows, columns).

    Where Gaussians of a class overlap, the highest counts: a sum would make one higher peak of two
    neighbours.

    Args:
        kinds: The class of each defect; those of other classes are left out.
        places_px: Its (row, column), of pixels' centres, NaN for what is not seen; (defects, 2).
        classes: One for each map; a single `ONE` is a map of all defects.
        shape: (rows, columns) of the maps.
        pixel_nm: Pixel pitch (rows, columns), nm.
        sigma_nm: Standard deviation of the Gaussians, nm.
        heights: Of the Gaussians, shape (defects,); by default 1.
    """
    heights = np.ones(len(kinds)) if heights is None else heights
    rows, columns = shape
    made = np.zeros((len(classes), rows, columns), np.float32)
    down, across = (pitch / sigma_nm for pitch in pixel_nm)
    for kind, (row, column), height in zip(kinds, places_px, heights, strict=True):
        place = 0 if tuple(classes) == (ONE,) else classes.index(kind) if kind in classes else None
        if place is None or math.isnan(row):
            continue
        near_rows, near = (
            slice(max(0, math.floor(at - _FAR / step)), max(0, math.ceil(at + _FAR / step) + 1))
            for at, step in ((row, down), (column, across))
        )
        part = made[place, near_rows, near]
        y = (np.arange(rows)[near_rows, None] - row) * down
        x = (np.arange(columns)[near] - column) * across
        np.maximum(part, height * np.exp(-(y * y + x * x) / 2), out=part)
    return made


def target(
    scan: Simulation, classes: Sequence[str], sigma_nm: float = SIGMA_NM
) -> NDArray[np.float32]:
    """Maps of the defects in the trace of a simulated scan; see `maps`."""
    return maps(
        [defect.kind for defect in scan.defects],
        np.array([defect.trace for defect in scan.defects]).reshape(-1, 2),
        classes,
        scan.trace_nm.shape,  # type: ignore[arg-type]
        (scan.pixel_nm, scan.pixel_nm),
        sigma_nm,
    )
