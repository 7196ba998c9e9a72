"""Scans that are still being taken: how far they are, and what a new line changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..scan import Restoration, Scan

AROUND = 32
"""Lines on either side that a restored line depends on, for a preview: see docs/watching.md."""


def measured(scan: Scan) -> NDArray[np.bool_]:
    """Which lines were measured, at least in part; shape (rows,)."""
    return np.asarray(~np.isnan(scan.values).all(axis=1))


def beginning(scan: Scan) -> tuple[str, ...]:
    """By what a scan is known while it grows: its start and grid, and the lines at both ends."""
    ends = (scan.values[0], scan.values[-1])
    lines = ("" if np.isnan(v).all() else hashlib.sha256(v.tobytes()).hexdigest() for v in ends)
    return (f"{scan.acquisition.started} {scan.values.shape} {scan.pixel_nm}", *lines)


def goes_on(before: tuple[str, ...], now: tuple[str, ...]) -> bool:
    """Whether two `beginning`s are of one scan: it can have grown from either end."""
    return before[0] == now[0] and any(
        old == new for old, new in zip(before[1:], now[1:], strict=True) if old
    )


def extend(
    before: Restoration | None, scan: Scan, restore: Callable[[Scan], Restoration]
) -> tuple[Restoration, int]:
    """Restores a scan of which `before` is known, only the lines near those that have changed.

    Plane and range of heights are those of the lines around: it is a preview, off from the whole
    restoration by a tenth of the spread, and more at streaks (docs/watching.md).

    Args:
        before: Of the same grid; None if there is none, and then all lines are restored.
        scan: As it is now.
        restore: What restores a scan.

    Returns:
        The restoration, and how many lines went through the network.
    """
    there = np.flatnonzero(measured(scan))
    first, last = int(there[0]), int(there[-1]) + 1
    if before is None or before.measured.values.shape != scan.values.shape:
        return restore(scan), last - first
    same = np.array_equal
    changed = np.flatnonzero(
        [
            not same(a, b, equal_nan=True)
            for a, b in zip(before.measured.values, scan.values, strict=True)
        ]
    )
    if not changed.size:
        return before, 0
    low = max(first, int(changed[0]) - AROUND)
    high = min(last, int(changed[-1]) + 1 + AROUND)
    top, bottom = max(first, low - AROUND), min(last, high + AROUND)
    if bottom - top > 0.75 * (last - first):
        return restore(scan), last - first
    part = restore(scan.crop(slice(top, bottom), slice(None)))
    anew, within = slice(low, high), slice(low - top, high - top)
    # Where the tip has changed, the lines around may be aligned to others than all lines are.
    off = np.delete(before.mean.values[anew] - part.mean.values[within], changed - low, axis=0)
    off = off[np.isfinite(off)]
    apart = np.median(off) if off.size else np.float32(0)

    def patched(old: Scan, new: Scan, by: np.float32) -> Scan:
        values = old.values.copy()
        values[anew] = new.values[within] + by
        step = f"lines {low} to {high - 1} {new.history[-1]}"
        return replace(old, values=values, history=(*scan.history, step))

    facts = part.provenance | {"preview_lines": [low, high]}
    mean = patched(before.mean, part.mean, apart)
    spread = patched(before.spread, part.spread, np.float32(0))
    return Restoration(scan, mean, spread, (), facts), bottom - top
