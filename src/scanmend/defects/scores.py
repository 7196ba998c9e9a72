"""How well maps of defects agree with those to be found: pixel by pixel, and peak by peak."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from ..atoms.places import best_pairs
from .samples import Scenes, Seen
from .targets import ONE

RADIUS_NM = 0.3  #: [nm] how far from a defect a peak may be that is of it
ABOVE = 0.3  #: what is no peak below it
Array = NDArray[np.float64]


def figures(found: NDArray[np.floating], scans: Sequence[Seen], scenes: Scenes) -> dict[str, float]:
    """Agreement over some scans of one size, by name.

    Over all pixels and maps: the mean square error, `mse`; the same of a smooth L1 loss that turns
    linear at 1, `smooth_l1`, half of it as good as always; the variance of the targets, `variance`,
    and R2 = 1 - mse / variance, `r2`. Of the defects of each class and of all, `f1_CLASS` and `f1`,
    the harmonic mean of precision and recall, a peak and a defect within 0.3 nm being a pair.

    Args:
        found: Maps; shape (scans, classes, rows, columns).
        scans: What they were made of.
        scenes: What their targets are.
    """
    targets = np.stack([seen.target(scenes) for seen in scans])
    off = np.abs(found - targets)
    mse, variance = float(np.mean(off**2)), float(targets.var())
    told = {
        "mse": mse,
        "smooth_l1": float(np.mean(np.where(off < 1, off**2 / 2, off - 0.5))),
        "variance": variance,
        "r2": 1 - mse / variance if variance else 0.0,
    }
    hits = np.zeros((len(scenes.classes), 3))
    for maps, seen in zip(found, scans, strict=True):
        for of, one, name in zip(hits, maps, scenes.classes, strict=True):
            of += _hits(maxima(one, seen.pixel_nm), seen, name)
    told |= {f"f1_{n}": _f1(*of) for n, of in zip(scenes.classes, hits, strict=True)}
    told["f1"] = _f1(*hits.sum(0))
    return {key: round(value, 6) for key, value in told.items()}


def maxima(
    heights: NDArray[np.floating],
    pixel_nm: tuple[float, float],
    above: float = ABOVE,
    apart_nm: float = RADIUS_NM / 2,
) -> NDArray[np.int64]:
    """Pixels that are the highest within `apart_nm`, and higher than `above`; shape (n, 2)."""
    size = [2 * max(1, int(apart_nm / pitch)) + 1 for pitch in pixel_nm]
    return np.argwhere((heights == maximum_filter(heights, size)) & (heights > above))


def _hits(peaks: NDArray[np.int64], seen: Seen, name: str) -> Array:
    """How many peaks are of a defect, how many are of none, how many defects have none.

    A peak at the edge may be of a defect beyond it; neither counts.
    """
    pitch, shape = np.array(seen.pixel_nm), np.array(seen.image.shape[1:])
    chosen = np.array([name in (kind, ONE) for kind in seen.kinds], bool)
    there = seen.places_px[chosen]
    there = there[np.isfinite(there[:, 0])]
    mine, true = best_pairs(np.multiply(peaks, pitch, dtype=float), there * pitch, RADIUS_NM)
    inside = np.all((there > -0.5) & (there < shape - 0.5), axis=1)
    hit = inside[true].sum()
    return np.array([hit, len(peaks) - len(mine), inside.sum() - hit], float)


def _f1(hit: float, invented: float, missed: float) -> float:
    return 2 * hit / max(2 * hit + invented + missed, 1)
