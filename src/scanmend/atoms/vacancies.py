"""Sites of a lattice without their atom: what is missing, too weak or too strong for its place.

Only sites are judged that lie within their grain, most of their neighbours there, and where these
agree on the place: what is beyond an edge or in a grain boundary is no vacancy. And only where the
image can tell: the score is how many standard deviations a site is off its sublattice's heights.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from .columns import Found
from .lattice import Grain, sites_around

Array = NDArray[np.float64]
Site = tuple[int, int, int]

SCORE = 4.0  #: standard deviations
MISSING, WEAK, STRONG = 0.25, 0.75, 1.35
"""Of a sublattice's height, beyond which a site is so; of two sulphur atoms, one is half."""

_WITHIN = 0.65  # of the neighbours of a site, which are there
_BENT = 0.14  # of the shortest distance of sites, by which neighbours may disagree about a place
_SEEN = (
    0.6  # of a sublattice's sites have a column, or else its heights are those of the lucky ones
)
_COMPARED = 24  # nearest columns of the sublattice, whose median height is the usual one


@dataclass(frozen=True, slots=True)
class Odd:
    """A site that is not as it should be.

    Attributes:
        kind: "missing", less than a quarter of the usual height; "weak", less than three quarters;
            "strong", more than 1.35 times as much.
        x_nm, y_nm: From the frame's middle, nm.
        row, column: Of pixels' middles.
        grain, sublattice: Numbers, from 0.
        share: Height beside the usual one there.
        score: By how many standard deviations it differs from that.
        index: Of the column that was found there, or None.
    """

    kind: str
    x_nm: float
    y_nm: float
    row: float
    column: float
    grain: int
    sublattice: int
    share: float
    score: float
    index: int | None


@dataclass(frozen=True, slots=True)
class Map:
    """The sites of all grains.

    Attributes:
        odd: Those that are not as they should be, in no order.
        judged: How many sites were.
        unsure: How many have no column, but the image cannot tell whether one is missing.
        sublattices: Numbers of those of which sites were judged.
    """

    odd: tuple[Odd, ...]
    judged: int
    unsure: int
    sublattices: tuple[int, ...]


def vacancies(found: Found, grains: Sequence[Grain]) -> Map:
    """Judges the sites of grains, which are of the columns that `found` has."""
    odd: list[Odd] = []
    judged: Counter[int] = Counter()
    unsure = 0
    taken = KDTree(found.columns.places_nm)
    for number, grain in enumerate(grains):
        others = [i for g in grains if g is not grain for i in g.sites.values()]
        within = list(_within(found, grain, found.columns.places_nm[others]))
        filled = Counter(site[2] for site, *_ in within if site in grain.sites)
        sites = Counter(site[2] for site, *_ in within)
        usual = [
            _Usual.of(found, grain, kind) if filled[kind] >= _SEEN * sites[kind] else None
            for kind in range(len(grain.basis_nm))
        ]
        for site, place, size in within:
            index, expected = grain.sites.get(site), usual[site[2]]
            if index is None and taken.query(place)[0] < size / 2:
                continue  # something else is there
            if expected is None:
                unsure += index is None
                continue
            if index is not None:
                height, error = found.columns.heights[index], found.columns.height_errors[index]
                place = found.columns.places_nm[index]
            else:
                height, error = found.at(place)
            judged[site[2]] += 1
            share, score = expected.judge(place, float(height), float(error))
            if score < SCORE or WEAK < share < STRONG:
                unsure += index is None
                continue
            kind = "strong" if share > 1 else "weak" if share > MISSING else "missing"
            (x, y), (row, column) = place.tolist(), found.pixel(place).tolist()
            where = kind, x, y, row, column, number, site[2]
            odd.append(Odd(*where, round(share, 4), round(score, 2), index))
    return Map(tuple(odd), judged.total(), unsure, tuple(sorted(judged)))


@dataclass(frozen=True, slots=True, eq=False)
class _Usual:
    """Heights of a sublattice: what is usual near a place, and how much they scatter."""

    tree: KDTree
    heights: Array
    error: float
    spread: float

    @classmethod
    def of(cls, found: Found, grain: Grain, kind: int) -> _Usual | None:
        columns = found.columns
        which = [c for s, c in grain.sites.items() if s[2] == kind and not columns.cut[c]]
        if len(which) < 4:
            return None
        heights = columns.heights[which]
        off = np.median(abs(heights - np.median(heights)))
        noise = float(np.median(columns.height_errors[which]))
        # Beyond what each column's own error explains, which is added again where it is judged.
        spread = float(np.sqrt(max((1.48 * off) ** 2 - noise**2, 0.0)))
        return cls(KDTree(columns.places_nm[which]), heights, noise, spread)

    def judge(self, place: Array, height: float, error: float) -> tuple[float, float]:
        """What share of the usual height one is, and by how many standard deviations it is off.

        Where no column is, the noise is less than the usual one's would be, had it been missed.
        """
        near = self.tree.query(place, min(_COMPARED, len(self.heights)))[1]
        usual = float(np.median(self.heights[near]))
        return height / usual, abs(height - usual) / math.hypot(max(error, self.error), self.spread)


def _within(found: Found, grain: Grain, others_nm: Array) -> Iterator[tuple[Site, Array, float]]:
    """Sites within a grain, where their neighbours say they are, and how far sites are apart.

    None with a column of another grain, at `others_nm`, among its neighbours.
    """
    foreign = KDTree(others_nm) if len(others_nm) else None
    around = sites_around(grain.vectors_nm, grain.basis_nm)
    size = grain.apart_nm
    # Neighbours are mutual: who is near one that is there has it near.
    votes = Counter(
        (m + dm, n + dn, other)
        for m, n, kind in grain.sites
        for dm, dn, other in around[kind][0].tolist()
    )
    half = np.array(found.scan.size_nm[::-1]) / 2 - size / 2
    for (m, n, kind), many in votes.items():
        others, steps = around[kind]
        if many < _WITHIN * len(others):
            continue
        said = [
            found.columns.places_nm[grain.sites[m + dm, n + dn, other]] - step
            for (dm, dn, other), step in zip(others.tolist(), steps, strict=True)
            if (m + dm, n + dn, other) in grain.sites
        ]
        place, spread = np.mean(said, axis=0), float(np.std(said, axis=0).max())
        alone = foreign is None or foreign.query(place)[0] > np.hypot(*steps.T).max()
        if alone and np.all(abs(place) < half) and spread < _BENT * size:
            yield (m, n, kind), place, size
