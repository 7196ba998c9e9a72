"""The lattices of columns: grains, the sublattices of each, and which column is which site.

Two vectors come from the places alone: those by which most columns have another. From a column,
sites are followed to their neighbours, each from where the last one really was, the best agreement
first: drift and strain are followed too, and a grain ends where it ends. Where heights, not places,
tell columns apart, as in SrTiO3 along [001], the cell is doubled.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import KDTree

from .columns import Columns

Array = NDArray[np.float64]
Sites = dict[tuple[int, int, int], int]

FEWEST = 16  #: columns of a grain
_REACH = 3.5  # shortest distances of columns, within which lattice vectors are sought
_OFTEN = 0.7  # how often a lattice vector is found, beside the most frequent one
_OFF = 0.28  # of the shortest distance of sites, by which a site may be off its neighbour's word
_STRAIN = 0.05  # by which a place may be turned or strained against its grain, errors aside
_TAKEN = 0.4  # of the cells, in which a sublattice has a column at least
_TWO_KINDS, _RATIO = 6.0, 1.1  # standard errors, and ratio, by which heights of two kinds differ
_STARTS = 8  # places from which a grain is followed, until it is one
_LARGEST_CELL = 8  # sites
_PATCH = 60  # columns around a good one, from which the vectors of its grain come


@dataclass(frozen=True, slots=True, eq=False)
class Grain:
    """One crystal in the image.

    Attributes:
        vectors_nm: a1 and a2 in rows, (x, y) in columns, nm; shape (2, 2).
        basis_nm: Where the site of each sublattice is in the cell, nm, the brightest first; shape
            (sublattices, 2).
        sites: Index of the column at (n1, n2, sublattice), for those where one is.
        heights: Median of each sublattice, in the scan's unit; shape (sublattices,).
    """

    vectors_nm: Array
    basis_nm: Array
    sites: Sites
    heights: Array

    def flat(self, sites: Array) -> Array:
        """(x, y) of sites (n1, n2, sublattice) of the perfect lattice, nm."""
        whole = sites.astype(np.int64)
        return whole[:, :2] @ self.vectors_nm + self.basis_nm[whole[:, 2]]

    @property
    def lengths_nm(self) -> tuple[float, float]:
        """Of a1 and a2, nm."""
        first, second = np.hypot(*self.vectors_nm.T).tolist()
        return first, second

    @property
    def apart_nm(self) -> float:
        """The shortest way from a site to another, nm."""
        around = sites_around(self.vectors_nm, self.basis_nm)
        return min(float(np.hypot(*steps.T).min()) for _, steps in around)

    @property
    def angle_deg(self) -> float:
        """Between a1 and a2, degrees."""
        a, b = self.vectors_nm
        return float(np.degrees(np.arccos(a @ b / (np.hypot(*a) * np.hypot(*b)))))


def grains(columns: Columns) -> tuple[Grain, ...]:
    """The grains of an image, the largest first; none where no lattice is.

    Columns in none of them, of an amorphous part or between grains, are left alone.
    """
    found: list[Grain] = []
    free = np.ones(len(columns), bool)
    while free.sum() >= FEWEST:
        seed = _cell(columns.places_nm[free])
        if seed is None:
            break
        patch = _followed(columns, free, *seed, most=_PATCH)
        seed = *_fitted(columns, patch, *seed[:2]), seed[2]
        sites = _followed(columns, free, *seed)
        if len(sites) < FEWEST:
            break
        free[list(sites.values())] = False
        found.append(_told_apart(_settled(columns, sites, *seed[:2]), columns))
    return tuple(sorted(found, key=lambda grain: -len(grain.sites)))


def _cell(places: Array) -> tuple[Array, Array, float] | None:
    """Vectors and basis of the commonest lattice, and how far off columns may be; or None."""
    tree = KDTree(places)
    shortest = float(np.median(tree.query(places, 2)[0][:, 1]))
    pairs = tree.query_pairs(_REACH * shortest, output_type="ndarray")
    steps = places[pairs[:, 1]] - places[pairs[:, 0]]
    steps = np.concatenate([steps, -steps])
    vectors = _frequent(steps, shortest)
    off = _OFF * shortest
    has = [tree.query(places + v, distance_upper_bound=off)[0] < off for v in vectors]
    options = []
    for i, j in combinations(range(len(vectors)), 2):
        pair = vectors[[i, j]]
        area = abs(float(np.linalg.det(pair)))
        if area < 0.4 * np.prod(np.hypot(*pair.T)):
            continue
        options.append((int((has[i] & has[j]).sum()), area, pair, has[i] & has[j]))
    most = max((many for many, *_ in options), default=0)
    if most < FEWEST / 4:
        return None
    good = [option for option in options if option[0] >= _OFTEN * most]
    _, _, vectors, both = min(good, key=lambda o: (round(o[1] / shortest**2, 1), _length(o[2])))
    vectors = _reduced(vectors)
    return vectors, _basis(places, places[both], vectors, off), off


def _reduced(vectors: Array) -> Array:
    """The shortest two vectors of the same lattice (Lagrange and Gauss), 60 to 90 degrees apart."""
    short, long = sorted(vectors, key=lambda v: float(v @ v))
    while (times := round(float(long @ short / (short @ short)))) != 0:
        short, long = sorted((short, long - times * short), key=lambda v: float(v @ v))
    return np.array((short, long if long @ short >= 0 else -long))


def _length(pair: Array) -> float:
    return float(np.hypot(*pair.T).sum())


def _frequent(steps: Array, shortest: float) -> Array:
    """The steps that many pairs of columns are apart, half of the plane; shape (n, 2)."""
    pitch = shortest / 20
    side = int(np.ceil(_REACH * shortest / pitch)) + 4
    at = np.rint(steps / pitch).astype(np.int64) + side
    histogram = np.zeros((2 * side + 1, 2 * side + 1))
    np.add.at(histogram, tuple(at.T), 1)
    smooth = gaussian_filter(histogram, 2.0, mode="constant")
    peaks = (smooth == maximum_filter(smooth, 9)) & (smooth > _OFTEN * smooth.max())
    places = (np.argwhere(peaks) - side) * pitch
    refined = [steps[np.hypot(*(steps - p).T) < 4 * pitch].mean(0) for p in places]
    upper = [v for v in refined if v[0] > 1e-9 or (abs(v[0]) <= 1e-9 and v[1] > 0)]
    return np.array(sorted(upper, key=lambda v: v @ v)[:24]).reshape(-1, 2)


def _basis(places: Array, origins: Array, vectors: Array, off: float) -> Array:
    """Where in the cell columns are, nm: seen from the origin around which it is clearest."""
    reach = 2.2 * float(np.hypot(*vectors.T).max())
    cells = np.pi * reach**2 / abs(np.linalg.det(vectors))
    tree, inverse, best = KDTree(places), np.linalg.inv(vectors), (0, np.zeros((1, 2)))
    for origin in origins[:: max(1, len(origins) // 20)]:
        parts = (places[tree.query_ball_point(origin, reach)] - origin) @ inverse
        left, basis = np.ones(len(parts), bool), []
        for start in parts:
            shift = ((parts - start + 0.5) % 1 - 0.5) @ vectors
            members = left & (np.hypot(*shift.T) < 1.5 * off)
            if members.sum() >= _TAKEN * cells:
                basis.append(start @ vectors + shift[members].mean(0))
                left &= ~members
        if basis and (~left).sum() > best[0]:
            best = int((~left).sum()), np.array(basis) + origin
    return best[1]


def sites_around(vectors: Array, basis: Array) -> list[tuple[NDArray[np.int64], Array]]:
    """For each sublattice, the sites around one of it, (n1, n2, sublattice), and how far (x, y)."""
    cells = np.indices((5, 5)).reshape(2, -1).T - 2
    kinds = np.arange(len(basis))
    sites = np.array([(*cell, kind) for cell in cells for kind in kinds])
    flat = sites[:, :2] @ vectors + basis[sites[:, 2]]
    # As far as the second shortest way to a site of its own kind.
    far = 1.05 * sorted(np.hypot(*vectors.T))[1]
    around = []
    for kind in kinds:
        steps = flat - basis[kind]
        near = (np.hypot(*steps.T) <= far) & (np.hypot(*steps.T) > 0)
        around.append((sites[near], steps[near]))
    return around


def _followed(
    columns: Columns,
    free: NDArray[np.bool_],
    vectors: Array,
    basis: Array,
    off: float,
    most: int | None = None,
) -> Sites:
    """Which free column is at which site, from the best place on, each by its neighbour's word.

    No more than `most` of them; and if all, none where the lattice is turned or strained.
    """
    indices = np.flatnonzero(free)
    places = columns.places_nm[indices]
    tree, around = KDTree(places), sites_around(vectors, basis)
    agree = np.zeros((len(places), len(basis)))
    for kind, (_, steps) in enumerate(around):
        for step in steps:
            agree[:, kind] += tree.query(places + step, distance_upper_bound=off)[0] < off
        agree[:, kind] /= len(steps)
    allowed = _STRAIN + _OFF / off * float(np.median(columns.errors_nm[indices]))

    def neighbours(column: int, kind: int) -> list[tuple[list[int], float, int]] | None:
        """Sites around, how far columns are from them, and which; None where it is all strained."""
        others, steps = around[kind]
        distance, nearest = map(
            np.asarray, tree.query(places[column] + steps, distance_upper_bound=off)
        )
        there = np.flatnonzero(distance < off)
        if most is None and len(there) >= 4:
            moved = places[nearest[there]] - places[column] - steps[there]
            bend = np.linalg.lstsq(steps[there], moved, rcond=None)[0]
            if np.linalg.norm(bend, 2) > allowed:
                return None  # of another grain, turned by a little
        return [(others[n].tolist(), float(distance[n]), int(nearest[n])) for n in there]

    def grown(start: int, kind: int) -> Sites:
        sites: Sites = {}
        taken = np.zeros(len(places), bool)
        queue = [(0.0, (0, 0, kind), start)]
        while queue and (most is None or len(sites) < most):
            _, site, column = heapq.heappop(queue)
            if site in sites or taken[column]:
                continue
            near = neighbours(column, site[2])
            if near is None:
                continue
            sites[site], taken[column] = column, True
            for (dm, dn, other), far, to in near:
                if not taken[to]:
                    heapq.heappush(queue, (far, (site[0] + dm, site[1] + dn, other), to))
        return {site: int(indices[column]) for site, column in sites.items()}

    # From one of the best, all over the image: around the first there may be a defect.
    best = agree.max(axis=1)
    good = np.flatnonzero(best > best.max() - 0.01)
    good = good[np.argsort(np.hypot(*(places[good] - np.median(places, axis=0)).T))]
    sites: Sites = {}
    for start in good[:: max(1, len(good) // _STARTS)].tolist():
        other = grown(start, int(agree[start].argmax()))
        sites = max(sites, other, key=len)
        if len(sites) >= min(FEWEST * 2, len(places) / 4):
            break
    return sites


def _settled(columns: Columns, sites: Sites, vectors: Array, basis: Array) -> Grain:
    """The grain whose lattice is nearest to its columns."""
    fitted = _fitted(columns, sites, vectors, basis)
    return _brightest_first(Grain(*fitted, sites, np.empty(0)), columns)


def _fitted(columns: Columns, sites: Sites, vectors: Array, basis: Array) -> tuple[Array, Array]:
    """Vectors and basis nearest to the columns, by least squares."""
    at, which = np.array(list(sites)), np.array(list(sites.values()))
    terms = np.zeros((len(at), 2 + len(basis)))
    terms[:, :2] = at[:, :2]
    terms[np.arange(len(at)), 2 + at[:, 2]] = 1
    there = np.asarray(terms.any(axis=0))
    solution = np.vstack([vectors, basis])
    solution[there] = np.linalg.lstsq(terms[:, there], columns.places_nm[which], rcond=None)[0]
    # A sublattice may have no column here; it moves with the others.
    moved = (solution[2:] - basis)[there[2:]].mean(axis=0)
    return solution[:2], np.where(there[2:, None], solution[2:], basis + moved)


def _brightest_first(grain: Grain, columns: Columns) -> Grain:
    """Sublattices in the order of their heights; those without columns are left out."""
    of = [
        [c for site, c in grain.sites.items() if site[2] == kind and not columns.cut[c]]
        for kind in range(len(grain.basis_nm))
    ]
    heights = np.array([np.median(columns.heights[c]) if c else -np.inf for c in of])
    order = [int(kind) for kind in np.argsort(-heights, kind="stable") if of[kind]]
    new = {kind: n for n, kind in enumerate(order)}
    sites = {(m, n, new[k]): c for (m, n, k), c in grain.sites.items() if k in new}
    return replace(grain, basis_nm=grain.basis_nm[order], sites=sites, heights=heights[order])


def _told_apart(grain: Grain, columns: Columns) -> Grain:
    """The grain with its cell doubled, as long as heights of every second site differ."""
    while len(grain.basis_nm) * 2 <= _LARGEST_CELL:
        at = np.array(list(grain.sites))
        heights = columns.heights[list(grain.sites.values())]
        best = (_TWO_KINDS, (0, 0))
        for by in ((1, 0), (0, 1), (1, 1)):
            odd = (at[:, :2] @ np.array(by)) % 2 == 1
            for kind in range(len(grain.basis_nm)):
                one, other = (heights[(at[:, 2] == kind) & half] for half in (odd, ~odd))
                best = max(best, (_differ(one, other), by))
        if best[1] == (0, 0):
            return grain
        grain = _brightest_first(_doubled(grain, best[1]), columns)
    return grain


def _differ(one: Array, other: Array) -> float:
    """How many standard errors medians differ by; 0 where that is too little, or by few columns."""
    if min(len(one), len(other)) < FEWEST / 4:
        return 0.0
    low, high = sorted((float(np.median(one)), float(np.median(other))))
    spread = [1.48 * float(np.median(abs(x - np.median(x)))) for x in (one, other)]
    error = 1.25 * np.sqrt(spread[0] ** 2 / len(one) + spread[1] ** 2 / len(other))
    return (high - low) / max(float(error), 1e-12) if high > _RATIO * low else 0.0


def _doubled(grain: Grain, by: tuple[int, int]) -> Grain:
    """The same grain with a cell of twice the size: sites whose numbers, times `by`, are odd."""
    old, kinds = grain.vectors_nm, len(grain.basis_nm)
    # Rows: the new vectors in the old ones, and the step from even sites to odd ones.
    steps = {
        (1, 0): ((2, 0), (0, 1), (1, 0)),
        (0, 1): ((1, 0), (0, 2), (0, 1)),
        (1, 1): ((1, 1), (1, -1), (1, 0)),
    }[by]
    change, odd_step = np.array(steps[:2]), np.array(steps[2])
    inverse = np.linalg.inv(change)
    sites: Sites = {}
    for (m, n, kind), column in grain.sites.items():
        odd = (m * by[0] + n * by[1]) % 2
        cell = np.rint((np.array((m, n)) - odd * odd_step) @ inverse).astype(int)
        sites[int(cell[0]), int(cell[1]), kind + odd * kinds] = column
    basis = np.vstack([grain.basis_nm, grain.basis_nm + odd_step @ old])
    return Grain(change @ old, basis, sites, grain.heights)
