"""How well maps of defects agree with those to be found: pixel by pixel, and peak by peak."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..places import best_pairs
from ..scan import Scan
from .maps import RADIUS_NM, THRESHOLD, Maps
from .peaks import Defects, find
from .samples import Seen
from .targets import ONE


def figures(
    found: NDArray[np.floating], scans: Sequence[Seen], classes: Sequence[str], sigma_nm: float
) -> dict[str, float]:
    """Agreement over some scans of one size, by name.

    Over all pixels and maps: the mean square error, `mse`; the same of a smooth L1 loss that turns
    linear at 1, `smooth_l1`, half of it as good as always; the variance of the targets, `variance`,
    and R2 = 1 - mse / variance, `r2`. Of the defects of each class and of all, `f1_CLASS` and `f1`,
    the harmonic mean of precision and recall: what `peaks.find` finds, at least 0.3 nm apart, is to
    lie within 0.3 nm.

    Args:
        found: Maps; shape (scans, classes, rows, columns).
        scans: What they were made of.
        classes, sigma_nm: Of the targets.
    """
    targets = np.stack([seen.target(classes, sigma_nm) for seen in scans])
    off = np.abs(found - targets)
    mse, variance = float(np.mean(off**2)), float(targets.var())
    told = {
        "mse": mse,
        "smooth_l1": float(np.mean(np.where(off < 1, off**2 / 2, off - 0.5))),
        "variance": variance,
        "r2": 1 - mse / variance if variance else 0.0,
    }
    hits = np.zeros((len(classes), 3))
    for values, seen in zip(found, scans, strict=True):
        shown = Scan(seen.image[0], seen.pixel_nm)
        maps = Maps(shown, values, tuple(classes), sigma_nm, THRESHOLD)
        defects = find(maps, apart_nm=RADIUS_NM).defects
        for of, name in zip(hits, classes, strict=True):
            of += _hits(defects, seen, name)
    told |= {f"f1_{n}": _f1(*of) for n, of in zip(classes, hits, strict=True)}
    told["f1"] = _f1(*hits.sum(0))
    return {key: round(value, 6) for key, value in told.items()}


def _hits(defects: Defects, seen: Seen, name: str) -> NDArray[np.float64]:
    """Of a class, how many were found rightly, how many wrongly, how many were not.

    One at the edge may be of a defect beyond it; neither counts.
    """
    pitch, shape = np.array(seen.pixel_nm), np.array(seen.image.shape[1:])
    found, there = (
        places[np.array([name in (kind, ONE) for kind in kinds], bool)]
        for places, kinds in ((defects.places_px, defects.kinds), (seen.places_px, seen.kinds))
    )
    there = there[np.isfinite(there[:, 0])]
    mine, true = best_pairs(found * pitch, there * pitch, RADIUS_NM)
    inside = np.all((there > -0.5) & (there < shape - 0.5), axis=1)
    hit = inside[true].sum()
    return np.array([hit, len(found) - len(mine), inside.sum() - hit], float)


def _f1(hit: float, invented: float, missed: float) -> float:
    return 2 * hit / max(2 * hit + invented + missed, 1)
