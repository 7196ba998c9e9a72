"""Whether a restoration kept, moved, added or removed defects: its own against those measured.

And the same against the truth, where it is known: what was hallucinated, and what omitted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from .. import level, resample
from ..errors import ScanError
from ..places import best_pairs
from ..scan import Scan
from .edges import at_edge, inner_nm2
from .marks import Marks
from .peaks import Found
from .statistics import Rate

Array = NDArray[np.float64]

MOVED_NM = 0.1  #: [nm] beyond which a defect has moved
KEPT, MOVED, CHANGED = "kept", "moved", "changed"
ADDED, REMOVED = "added", "removed"
HALLUCINATED, OMITTED = "hallucinated", "omitted"
_SAME_SIZE = 0.01  # by which sides of two scans of one size may differ
_ALIKE = 0.3  # correlation of two scans that show much the same


@dataclass(frozen=True, slots=True)
class Feature:
    """One defect of either scan, or one of both.

    Attributes:
        fate: "kept", "moved", "changed" (its class), "added" or "removed"; beside the truth, the
            last two are "hallucinated" and "omitted".
        kind: Its class in the scan that is judged; of what is missing there, in the reference.
        kind_before: Its class in the reference; "" if it is not there.
        x_nm, y_nm: From the frame's middle, y downwards, nm; in the scan that is judged, or else
            in the reference.
        distance_nm: How far it moved, nm; None for what has no partner.
        score: In the scan that is judged: of what is missing there, how surely any defect is
            nearby.
        score_before: The same in the reference; None for the truth, which has none.
        counted: Whether it counts in rates: at the frame's edge, or beside a gap, what has no
            partner does not, for the partner may be beyond.
    """

    fate: str
    kind: str
    kind_before: str
    x_nm: float
    y_nm: float
    distance_nm: float | None
    score: float | None
    score_before: float | None
    counted: bool


@dataclass(frozen=True, slots=True)
class Audit:
    """What became of the defects of a reference.

    Attributes:
        features: Those with a partner first.
        alone: What those are called that only the judged scan has, and those that it lacks.
        area_nm2: In which they count: what was measured, without its edge.
        by_class: Whether classes were compared; the truth may know others than the finder.
        radius_nm: See `maps.RADIUS_NM`.
        moved_nm: See `MOVED_NM`.
    """

    features: tuple[Feature, ...]
    alone: tuple[str, str]
    area_nm2: float
    by_class: bool
    radius_nm: float
    moved_nm: float

    def count(self, *fates: str) -> int:
        """How many have one of these fates and count."""
        return sum(f.counted and f.fate in fates for f in self.features)

    def rate(self, fate: str) -> Rate:
        """How many of them there are on the area."""
        return Rate.of(self.count(fate), self.area_nm2)

    def summary(self) -> dict[str, Any]:
        """Counts; rates per 100 nm2 of what came and went, with intervals; plain JSON values."""
        fates = (KEPT, MOVED, CHANGED, *self.alone)
        right, paired = self.count(KEPT, MOVED), self.count(KEPT, MOVED, CHANGED)
        found, there = (paired + self.count(fate) for fate in self.alone)
        off = [f.distance_nm for f in self.features if f.counted and f.distance_nm is not None]
        kinds = sorted({f.kind_before or f.kind for f in self.features})
        return {
            "features": {fate: self.count(fate) for fate in fates},
            "at_edge": sum(not f.counted for f in self.features),
            **{fate: self.rate(fate).per_100_nm2() for fate in self.alone},
            "precision": round(right / found, 4) if found else None,
            "recall": round(right / there, 4) if there else None,
            "f1": round(2 * right / (found + there), 4) if found + there else None,
            "rms_nm": round(float(np.sqrt(np.mean(np.square(off)))), 4) if off else None,
            "by_class": {kind: self._of_kind(kind) for kind in kinds} if self.by_class else None,
            "area_nm2": round(self.area_nm2, 3),
            "radius_nm": self.radius_nm,
            "moved_nm": self.moved_nm,
        }

    def _of_kind(self, kind: str) -> dict[str, int]:
        """Counts of what is of a class in the reference, or, if not there, in what is judged."""
        those = (f for f in self.features if f.counted and (f.kind_before or f.kind) == kind)
        return dict(Counter(f.fate for f in those))


def against(
    found: Found, before: Found, radius_nm: float | None = None, moved_nm: float = MOVED_NM
) -> Audit:
    """What a restoration did to the defects of a measured scan, both found in the same way.

    Of classes that only one of the two shows at all, as of the lighter atoms that noise had hidden,
    none was added or removed.

    Args:
        found: In what was made of the scan.
        before: In the scan, of the same place.
        radius_nm: How far apart two finds of one defect may be, nm; by default as their maps say.
        moved_nm: Beyond which it has moved, nm.

    Raises:
        ScanError: The scans differ in size or show different places; with how they differ.
    """
    must_show_the_same(found.maps.scan, before.maps.scan)
    there = before.defects
    marks = Marks(there.places_nm, there.kinds)
    radius_nm = found.maps.radius_nm if radius_nm is None else radius_nm
    nearby = before.score_at(found.defects.places_nm, radius_nm)
    reference = _Reference(marks, _numbers(there.scores), _numbers(nearby), before.maps.classes)
    return _matched(found, reference, (ADDED, REMOVED), radius_nm, moved_nm)


def against_truth(
    found: Found, truth: Marks, radius_nm: float | None = None, moved_nm: float = MOVED_NM
) -> Audit:
    """What of that which is there was found, and what was found that is not.

    Classes of the truth that the finder does not know, as a network for points does not know steps,
    are neither omitted nor is what is found there hallucinated. If it knows none of them, places
    alone are compared.
    """
    radius_nm = found.maps.radius_nm if radius_nm is None else radius_nm
    reference = _Reference(truth, [None] * len(truth), [None] * len(found.defects), None)
    return _matched(found, reference, (HALLUCINATED, OMITTED), radius_nm, moved_nm)


def must_show_the_same(scan: Scan, before: Scan) -> None:
    """Refuses two scans that are not of one place, at least not in the same frame.

    Raises:
        ScanError: Their sizes differ, or they agree far better when one is moved.
    """
    sizes = np.array((scan.size_nm, before.size_nm))
    if np.any(abs(sizes[0] / sizes[1] - 1) > _SAME_SIZE):
        one, other = (f"{width:.4g} x {height:.4g} nm" for height, width in sizes)
        raise ScanError(
            f"the scans differ in size: {one}, and {other} that it is compared with: crop the "
            "larger, or say the size in nm if a file has it wrong (--size-nm)"
        )
    shape = tuple(np.minimum(scan.values.shape, before.values.shape).tolist())
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in shape))
    one, other = (
        window * resample.to_shape(level.plane(resample.fill_gaps(of))[0].values, shape)
        for of in (scan, before)
    )
    power = float(np.sqrt((one**2).sum() * (other**2).sum()))
    if not power > 0:
        return
    alike = fftconvolve(one, other[::-1, ::-1], mode="same") / power
    middle = np.array(shape) // 2
    best = np.array(np.unravel_index(int(alike.argmax()), shape))
    here, most = float(alike[tuple(middle)]), float(alike.max())
    if most > _ALIKE and here < most / 2:
        down, right = (best - middle) * np.divide(scan.size_nm, shape)
        raise ScanError(
            f"the scans show different places: they agree by {here:.0%} as they are, and by "
            f"{most:.0%} where the second lies {right:.2f} nm to the right and {down:.2f} nm "
            "down: crop both to what they share"
        )


@dataclass(frozen=True, slots=True)
class _Reference:
    """What is there, its scores, and the scores where something was found; None for the truth.

    Of classes, those that would have been found, had they been there; None: all.
    """

    marks: Marks
    scores: Sequence[float | None]
    nearby: Sequence[float | None]
    classes: tuple[str, ...] | None


def _matched(
    found: Found, reference: _Reference, alone: tuple[str, str], radius_nm: float, moved_nm: float
) -> Audit:
    """Pairs what was found with what is there."""
    scan, mine, marks = found.maps.scan, found.defects, reference.marks
    known = found.maps.classes
    by_class = (
        reference.classes is not None
        or not marks.kinds
        or any(kind in known for kind in marks.kinds)
    )
    judged = np.array([kind in known or not by_class for kind in marks.kinds], bool)
    # By their numbers among the found ones, and among those that are there.
    there = np.flatnonzero(judged)
    kinds = (mine.kinds, [marks.kinds[k] for k in there]) if by_class else None
    one, other = best_pairs(mine.places_nm, marks.places_nm[there], radius_nm, kinds)
    rest, missing = np.setdiff1d(np.arange(len(mine)), one), np.delete(there, other)
    # What is of a class that is not looked for can look like one that is.
    rest = np.delete(rest, best_pairs(mine.places_nm[rest], marks.places_nm[~judged], radius_nm)[0])
    if (could_be := reference.classes) is not None:
        rest = rest[np.array([mine.kinds[i] in could_be for i in rest], bool)]
    faint = _numbers(found.score_at(marks.places_nm[missing], radius_nm))

    scores, before, nearby = _numbers(mine.scores), reference.scores, reference.nearby
    places, theirs = ([(x, y) for x, y in of.places_nm.tolist()] for of in (mine, marks))
    inner, inner_there = ((~at_edge(scan, of.places_nm)).tolist() for of in (mine, marks))
    features = []
    for i, k in zip(one.tolist(), there[other].tolist(), strict=True):
        kind, was, distance_nm = mine.kinds[i], marks.kinds[k], math.dist(places[i], theirs[k])
        fate = CHANGED if by_class and kind != was else MOVED if distance_nm > moved_nm else KEPT
        (x, y), told = places[i], (distance_nm, scores[i], before[k], inner_there[k])
        features.append(Feature(fate, kind, was, x, y, *told))
    for i in rest.tolist():
        told = None, scores[i], nearby[i], inner[i]
        features.append(Feature(alone[0], mine.kinds[i], "", *places[i], *told))
    for k, score in zip(missing.tolist(), faint, strict=True):
        kind, told = marks.kinds[k], (None, score, before[k], inner_there[k])
        features.append(Feature(alone[1], kind, kind, *theirs[k], *told))
    return Audit(tuple(features), alone, inner_nm2(scan), by_class, radius_nm, moved_nm)


def _numbers(scores: Array) -> list[float | None]:
    """As JSON has them."""
    return [None if math.isnan(score) else round(score, 4) for score in scores.tolist()]
