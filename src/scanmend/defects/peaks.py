"""From maps to defects: places finer than a pixel, classes, scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from ..errors import ScanError
from ..places import first_of_pairs
from ..scan import Scan
from .edges import at_edge
from .maps import Maps

Array = NDArray[np.float64]

_APART = 2.0  # standard deviations of a peak that two are apart at least
_FARTHEST_PX = 3  # pixels beside the highest one that are fitted at most


@dataclass(frozen=True, slots=True, eq=False)
class Defects:
    """What was found, the surest first; all arrays have shape (n,) but places.

    Attributes:
        places_nm: (x, y) from the frame's middle, y downwards, nm; shape (n, 2).
        places_px: (row, column) of the scan's pixels' middles; shape (n, 2).
        kinds: Class of each.
        scores: How surely a defect is there, by `Maps.sure`.
        edge: Whether the frame's edge or a gap is so near that part of it may be beyond.
    """

    places_nm: Array
    places_px: Array
    kinds: tuple[str, ...]
    scores: Array
    edge: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.kinds)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Defects, and the maps in which they were found, to ask about other places.

    Attributes:
        maps: Of the scan.
        defects: Their peaks.
        threshold: What they reach at least.
    """

    maps: Maps
    defects: Defects
    threshold: float

    def score_at(self, places_nm: Array, radius_nm: float) -> Array:
        """How surely any defect is near each of these places, whether it is a peak or not.

        Args:
            places_nm: (x, y) from the middle, nm; shape (n, 2).
            radius_nm: How far from there.

        Returns:
            Shape (n,); NaN where no pixel is that near.
        """
        sure, pixel_nm = self.maps.sure(), np.array(self.maps.pixel_nm)
        shape = np.array(sure.shape)
        reach = np.ceil(radius_nm / pixel_nm).astype(np.int64)
        scores = np.full(len(places_nm), np.nan)
        for index, place in enumerate(places_nm):
            centre = place[::-1] / pixel_nm + (shape - 1) / 2
            low = np.clip(np.rint(centre).astype(np.int64) - reach, 0, shape)
            high = np.clip(np.rint(centre).astype(np.int64) + reach + 1, 0, shape)
            y, x = (
                (np.arange(a, b) - c) * p
                for a, b, c, p in zip(low, high, centre, pixel_nm, strict=True)
            )
            near = y[:, None] ** 2 + x**2 <= radius_nm**2
            if near.any():
                scores[index] = sure[low[0] : high[0], low[1] : high[1]][near].max()
        return scores

    def without(self, scan: Scan) -> Found:
        """What the same finder finds in a scan without any structure: nothing."""
        none = Defects(np.empty((0, 2)), np.empty((0, 2)), (), np.empty(0), np.empty(0, bool))
        empty = replace(self.maps, scan=scan, values=np.zeros_like(self.maps.values))
        return Found(empty, none, self.threshold)

    def knowing(self, classes: Sequence[str]) -> Found:
        """The same, with these classes known besides: those that the scan hides are not in it."""
        new = tuple(kind for kind in classes if kind not in self.maps.classes)
        values = np.pad(self.maps.values, ((0, len(new)), (0, 0), (0, 0)))
        return replace(
            self, maps=replace(self.maps, values=values, classes=self.maps.classes + new)
        )

    def counts(self) -> dict[str, int]:
        """How many there are of each class."""
        many = Counter(self.defects.kinds)
        return {kind: many[kind] for kind in self.maps.classes}


def find(maps: Maps, threshold: float | None = None, apart_nm: float | None = None) -> Found:
    """Finds where a defect is surest; its class is that of the highest of the maps there.

    Args:
        maps: Of a network, or of a method in `classical`.
        threshold: How sure it is at least, by `Maps.sure`; by default as sure as `maps` says.
        apart_nm: How far apart two of them are at least, of whichever classes, nm; by default two
            standard deviations of a peak.

    Raises:
        ScanError: One of these is no positive number.
    """
    threshold = maps.threshold if threshold is None else threshold
    apart_nm = _APART * maps.sigma_nm if apart_nm is None else apart_nm
    for name, number in (("threshold", threshold), ("distance apart", apart_nm)):
        if not 0 < number < np.inf:
            raise ScanError(f"the {name} of defects must be positive, got {number:g}")
    sure = maps.sure()
    window = [2 * max(1, int(apart_nm / 2 / p)) + 1 for p in maps.pixel_nm]
    peaks = (sure >= threshold) & (sure == maximum_filter(sure, window, mode="nearest"))
    at = np.argwhere(peaks)
    at = at[np.argsort(-sure[tuple(at.T)], kind="stable")]
    kind = maps.values[:, at[:, 0], at[:, 1]].argmax(axis=0)
    scores = sure[tuple(at.T)].astype(np.float64)
    reach = [min(max(1, round(maps.sigma_nm / p)), _FARTHEST_PX) for p in maps.pixel_nm]
    yx = (at + _vertices(sure, reach, at) - (np.array(sure.shape) - 1) / 2) * maps.pixel_nm
    kept = first_of_pairs(yx, apart_nm)
    places, scores, kind = yx[kept, ::-1], scores[kept], kind[kept]
    scan = maps.scan
    own_px = yx[kept] / scan.pixel_nm + (np.array(scan.values.shape) - 1) / 2
    names = tuple(maps.classes[k] for k in kind)
    return Found(maps, Defects(places, own_px, names, scores, at_edge(scan, places)), threshold)


def _vertices(sure: NDArray[np.floating], reach: list[int], at: NDArray[np.int64]) -> Array:
    """By how many pixels the middle of a Gaussian lies off each of these, (row, column).

    The logarithm of a Gaussian is a parabola: fitted by least squares, each pixel with the weight
    of its value squared, since that is what the logarithm takes from the weight of errors.

    References:
        H. Guo, IEEE Signal Process. Mag. 28, 134 (2011), doi:10.1109/MSP.2011.941846
    """
    y, x = (a.ravel() for a in np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1])
    shape = sure.shape
    rows, columns = at[:, :1] + y, at[:, 1:] + x
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    rows, columns = rows.clip(0, shape[0] - 1), columns.clip(0, shape[1] - 1)
    values = np.where(inside, sure[rows, columns].astype(np.float64), 0)
    logs = np.log(np.maximum(values, 1e-3 * values.max(axis=1, keepdims=True, initial=1e-9)))
    design = np.stack([np.ones_like(y), y, x, y * y, x * x], axis=1).astype(np.float64)
    weighted = values[:, :, None] ** 2 * design
    # A hint of a parabola, for where too few pixels are known for one.
    normal = design.T @ weighted + 1e-9 * np.eye(5)
    b = np.linalg.solve(normal, (logs[:, None] @ weighted).swapaxes(1, 2))[..., 0]
    slope, bend = b[:, 1:3], b[:, 3:]
    off = np.divide(-slope, 2 * bend, out=np.zeros_like(slope), where=bend < 0)
    return np.where(np.all(abs(off) <= 1, axis=1, keepdims=True), off, 0)
