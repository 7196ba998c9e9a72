"""What of a scan a network is shown: sound, without jumps and tilt, at a pitch that it knows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import level, resample
from ..errors import ModelError, ScanError
from ..models import Model
from ..scan import Quantity, Scan, must_not_be_huge
from .job import CRASH

REACH = 5.0
"""How many times finer or coarser than the model's pitches a scan may be and still be resampled."""

OBLONG = 1.4
"""How much longer than wide the pixels may be that a model is shown."""


def sound(scan: Scan, model: Model, rows: int, columns: int) -> None:
    """Refuses what no model takes, or not this one, before a result of such a size is made."""
    must_not_be_huge(rows, columns)
    if min(scan.values.shape) < 8:
        size = "x".join(map(str, scan.values.shape))
        raise ScanError(f"a scan of {size} pixels is too small: 8 at least")
    known = Quantity[model.card["quantity"]]
    if scan.quantity is not known:
        raise ModelError(
            f"the scan is in {scan.quantity.value}, and {model.name} was trained on {known.value}: "
            "choose another channel or model, or say the unit if the file does not (--unit)"
        )
    if np.isinf(scan.values).any():
        raise ScanError("the scan holds infinite pixels: mark what was not measured by NaN")


def must_be_near(pixel_nm: tuple[float, float], model: Model) -> None:
    """Refuses pixels that cannot be brought to a pitch that the model knows."""
    low, high = model.card["pixel_nm"]
    for pitch in pixel_nm:
        if not low / REACH <= pitch <= high * REACH:
            raise ModelError(
                f"pixels of {pitch:.3g} nm are far outside the {low:g}-{high:g} nm that "
                f"{model.name} was trained at: check the scan's size, or use another model"
            )


def aligned(scan: Scan, model: Model) -> tuple[Scan, list[int]]:
    """The scan without jumps of the tip's length, whose reach no network has, and at which lines.

    What the papers' methods do is left to them.
    """
    return (scan, []) if model.network.has_method else without_jumps(scan)


def without_jumps(scan: Scan) -> tuple[Scan, list[int]]:
    """The same for all that is no method of the papers."""
    offsets = level.jumps(scan)
    if not offsets.any():
        return scan, []
    at = np.flatnonzero(np.diff(offsets)) + 1
    return scan.after("lines aligned", scan.values - offsets[:, None]), at.tolist()


def levelled(scan: Scan) -> tuple[Scan, NDArray[np.floating]]:
    """The scan without its plane, which a crash of the tip does not tilt, and that plane."""
    levelled, plane = level.plane(scan)
    off = np.abs(levelled.values - np.nanmedian(levelled.values))
    if (crash := off > CRASH * np.nanmedian(off)).any():
        # Found without the tilt, and so the same however a scan is tilted.
        plane = level.plane(scan.after("no crash", np.where(crash, np.nan, scan.values)))[1]
        levelled = scan.after("level plane", scan.values - plane)
    # Less than the last bits of float32 is no relief, but the rounding of a constant or a plane.
    if np.nanmax(np.abs(levelled.values)) <= 1e-6 * np.nanmax(np.abs(scan.values)):
        where = f"{np.nanmedian(scan.values):g} {scan.quantity.value}"
        raise ScanError(f"the scan is flat, at about {where}: there is nothing to restore")
    return levelled, plane


def pitch(own: tuple[float, float], model: Model) -> tuple[float, float]:
    """The pitch (rows, columns) to run at: the scan's own where the model knows it."""
    return pitch_within(own, model.card["pixel_nm"])


def pitch_within(own: tuple[float, float], known_nm: tuple[float, float]) -> tuple[float, float]:
    """The same for pitches that a model knows from the least to the greatest, nm."""
    low, high = known_nm
    # A scale is seldom known better than to 10 %: a scan just outside is not worth resampling.
    near = [p if low / 1.1 <= p <= high * 1.1 else min(max(p, low), high) for p in own]
    # Models learn from square pixels.
    return max(near[0], near[1] / OBLONG), max(near[1], near[0] / OBLONG)


def measured(scan: Scan, shape: tuple[int, int]) -> NDArray[np.float32]:
    """1 where the scan was measured, else 0, on a grid of `shape`."""
    known = resample.to_shape(np.isfinite(scan.values).astype(np.float32), shape)
    return (known > 0.5).astype(np.float32)
