"""To another pixel pitch and back, and from few lines to many; the size in nm never changes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .scan import Scan


def to_shape(values: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.float32]:
    """The same field of view on another grid, by cubic splines, shape `shape`.

    Pixels are areas: the centre of pixel i of n lies at (i + 1/2)/n of the side. Where the new grid
    is coarser, detail that it cannot hold is filtered out first.
    """
    if values.shape == shape:
        return values.astype(np.float32, copy=False)
    # Imported late: a third of a second, which a scan at the model's own pitch need not wait for.
    from scipy.ndimage import gaussian_filter, map_coordinates

    ratio = np.divide(values.shape, shape)
    # The Gaussian whose transfer falls to 1/2 at the new Nyquist frequency: 0.37 new pixels.
    sigma = np.where(ratio > 1, 0.37 * ratio, 0.0)
    source = gaussian_filter(values.astype(np.float64), sigma, mode="nearest")
    at = [(np.arange(n) + 0.5) * r - 0.5 for n, r in zip(shape, ratio, strict=True)]
    grid = np.meshgrid(*at, indexing="ij")
    return map_coordinates(source, grid, order=3, mode="nearest").astype(np.float32)


def to_pitch(scan: Scan, pixel_nm: tuple[float, float]) -> Scan:
    """The scan at about `pixel_nm` (rows, columns): the nearest pitch that divides its size."""
    shape = tuple(max(1, round(s / p)) for s, p in zip(scan.size_nm, pixel_nm, strict=True))
    rows, columns = shape
    return scan.after(f"resampled to {rows}x{columns}", to_shape(scan.values, (rows, columns)))


def line_phase(factor: int) -> int:
    """The row, of `factor` new ones, at which a measured line stands: the middle, or just above."""
    return (factor - 1) // 2


def fill_lines(lines: NDArray[np.floating], at: ArrayLike, rows: int) -> NDArray[np.float32]:
    """From lines measured at the rows `at` to all `rows`, by cubic splines.

    The measured lines come back to the bit. Beyond the first and last, and where fewer than 3 are
    known, the nearest is repeated.

    Args:
        lines: What was measured; shape (len(at), columns).
        at: Rows, ascending.
        rows: How many there are.

    Returns:
        Shape (rows, columns).
    """
    # Imported late: half a second, which a restoration without gaps need not wait for.
    from scipy.interpolate import CubicSpline

    where, known = np.arange(rows), np.asarray(at)
    if len(known) >= 3:
        filled = CubicSpline(known, lines)(np.clip(where, known[0], known[-1])).astype(np.float32)
        filled[known] = lines
        return filled
    return lines[np.abs(where[:, None] - known).argmin(axis=1)].astype(np.float32)


def fill_gaps(scan: Scan) -> Scan:
    """`scan` with holes filled along their lines, and missing lines by splines across them."""
    missing = np.isnan(scan.values)
    if not missing.any():
        return scan
    begun = np.flatnonzero(~missing.all(axis=1))
    lines = scan.values[begun]
    for line, holes in zip(lines, missing[begun], strict=True):
        line[holes] = np.interp(np.flatnonzero(holes), np.flatnonzero(~holes), line[~holes])
    return scan.after("gaps filled", fill_lines(lines, begun, len(missing)))


@lru_cache(maxsize=8)
def line_weights(rows: int, at: tuple[int, ...]) -> NDArray[np.float32]:
    """`fill_lines` as a matrix, shape (rows, len(at)), which is quicker for many small images."""
    weights = fill_lines(np.eye(len(at)), at, rows)
    weights.setflags(write=False)
    return weights
