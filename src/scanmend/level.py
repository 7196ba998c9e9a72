"""Levelling, always with what was subtracted, so that it can be put back."""

from __future__ import annotations

import warnings

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
    known = np.isfinite(scan.values)
    if not known.any():
        raise ScanError("nothing in this scan was measured: every pixel is NaN")
    values = scan.values.astype(np.float64)
    # The normal equations by sums over lines: of ones, x and x² where something was measured, and
    # of the heights. lstsq copes with a single row or column, where the tilt is free.
    n, nx, nxx = (known @ power for power in (np.ones(columns), x, x * x))
    heights = np.where(known, values, 0.0)
    z, zx = heights.sum(axis=1), heights @ x
    sums = [(n.sum(), y @ n, nx.sum()), (y @ n, y * y @ n, y @ nx), (nx.sum(), y @ nx, nxx.sum())]
    offset, down, across = np.linalg.lstsq(sums, [z.sum(), y @ z, zx.sum()], rcond=None)[0]
    surface = offset + down * y[:, None] + across * x
    return scan.after("level plane", values - surface), surface


def jumps(scan: Scan) -> NDArray[np.float64]:
    """How much higher each line stands because the tip became longer or shorter, shape (rows,).

    From one line to the next a surface rises here and falls there, and a step of it is as wide as
    the tip is blunt. Where all of a line stands higher than the one before, by far more than lines
    do otherwise, and from there on, the tip has changed. The median line stands at 0; lines that
    were not measured stand as those before them.

    Returns:
        The offsets, in the scan's unit; the same for a tilted scan, in proportion for a taller one.

    References:
        Nečas and Klapetek, Cent. Eur. J. Phys. 10, 181 (2012) (Gwyddion: rows aligned by the median
        of differences)
    """
    # Of any two lines of which more than half was measured, some pixels can be compared.
    lines = np.flatnonzero(np.isfinite(scan.values).mean(axis=1) > 0.5)
    known, offsets = scan.values[lines], np.zeros(len(scan.values))
    if len(lines) <= _FEWEST:
        return offsets
    rises = np.diff(known, axis=0)
    holes = np.isnan(rises)
    # Twice as quick as the other, which is needed seldom.
    median = np.nanmedian if holes.any() else np.median
    rise = median(rises, axis=1).astype(np.float64)
    tilt = np.median(rise)
    rise = rise - tilt
    usual = 1.4826 * np.median(np.abs(rise))
    about = np.abs(rises - tilt - rise[:, None]) < _NEARLY * np.abs(rise)[:, None]
    along = about.mean(axis=1, where=~holes)
    beside = np.lib.stride_tricks.sliding_window_view(np.pad(rise, 1), 3)[:, ::2]
    sudden = (beside * np.sign(rise)[:, None]).max(axis=1) < _BESIDE * np.abs(rise)
    suspects = np.flatnonzero((np.abs(rise) > _UNUSUAL * usual) & (along > _ALONG) & sudden)
    if not suspects.size:
        return offsets
    profile = median(known, axis=1).astype(np.float64)
    for k in sorted(suspects, key=lambda k: -abs(rise[k])):
        # Disturbed lines rise and fall again; where a tip has changed, lines stay.
        above, below = known[max(k + 1 - _STAY, 0) : k + 1], known[k + 1 : k + 1 + _STAY]
        stay = min(_agree(above, below, rise[k], tilt), _agree(below, above, -rise[k], -tilt))
        # Where many lines are disturbed, a jump may be found and the one back may not.
        without = profile - rise[k] * (np.arange(len(lines)) > k)
        if stay >= _STAY - 1 and _bend(without) < _bend(profile):
            profile, offsets[lines[k + 1]] = without, rise[k]
    offsets = np.cumsum(offsets)
    return offsets - np.median(offsets)


_FEWEST = 8  # pairs of lines, that something may be usual among them
_UNUSUAL = 8.0  # standard deviations of the rise of other lines
_ALONG, _NEARLY = 0.85, 0.9  # of the pixels rise, by 0.1 to 1.9 times as much, where a line does
_BESIDE = 0.3  # of the rise, that the lines before and after may rise the same way
_STAY, _ABOUT = 5, 0.5  # lines before and after, of which all but one rise by 0.5 to 1.5 times


def _bend(profile: NDArray[np.floating]) -> float:
    """How far the heights of lines, one after the other, lie from a straight line; rms."""
    t = np.linspace(-1, 1, len(profile))
    bent = profile - profile.mean()
    return float(np.sqrt(np.mean((bent - t * (t @ bent) / (t @ t)) ** 2)))


def _agree(
    some: NDArray[np.floating], others: NDArray[np.floating], rise: float, tilt: float
) -> int:
    """How many of the lines in `others` stand about `rise` above the middle of those in `some`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        rises = np.nanmedian(others - np.nanmedian(some, axis=0), axis=1)
    rises -= tilt * (len(some) + len(others)) / 2
    return int(np.sum(np.abs(rises - rise) < _ABOUT * abs(rise)))
