"""Si(001)-2x1:H, the hydrogenated silicon surface on which single atoms are written: its atoms.

Its top atoms pair up in dimers, each atom with one hydrogen left on it; the dimers stand in rows,
and from one terrace to the next the rows turn by 90 degrees. `crystals.silicon` draws such
surfaces as finished pictures, to learn from; here are the atoms, for the simulated microscope.

What the atoms show a tip is an effective model. Hydrogen leaves a gap in which nothing but dangling
bonds has states; a tip at -2 V meets the bonds within the dimers, which stand out as rows.

References:
    J. J. Boland, Adv. Phys. 42, 129 (1993)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..places import first_of_pairs
from . import defects
from .specimen import Defect, Kind, Material, Specimen, inside, some
from .topograph import Array

LATTICE_NM = 0.5431  #: [nm] cubic lattice constant of silicon
DIMER_NM = LATTICE_NM / math.sqrt(2)  #: [nm] 0.3840, from dimer to dimer along a row
ROW_NM = 2 * DIMER_NM  #: [nm] 0.7681, from row to row: the 2x1 reconstruction
STEP_NM = LATTICE_NM / 4  #: [nm] 0.1358, a single step, across which the rows turn by 90 degrees
HALF_NM = 0.08  #: [nm] from the middle of a dimer to the share of its bond that is either atom's
BOND_NM = 0.19  #: [nm] apparent offset of a dangling bond from there
SECOND_NM = 0.17  #: [nm] depth, below the dimers, of what is met where they are missing
KINKS = 0.1  #: chance of a kink per row spacing of step edge
MEAN_LENGTH = 1.8  #: dimers of a vacancy
STANDS = 0.1  #: share of an adsorbate's apparent height by which its atoms stand up
APART_NM = 0.6  #: [nm] from bump to bump, of those that a scan shows as two
GRAIN_NM = 0.02  #: [nm] to which their heights are rounded: plane waves count planes of atoms


def dimers(reach_nm: Array, angle: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Where the dimers of a terrace are: across its rows and along them; (rows, dimers), nm.

    From the middle of the piece, all that are no farther from it than `reach_nm`, down and to the
    right, and some more. The rows run in the direction `angle`, radians from x to y.
    """
    height, width = reach_nm
    c, s = abs(math.cos(angle)), abs(math.sin(angle))
    rows = int((c * height + s * width) / ROW_NM) + 1
    length = int((s * height + c * width) / DIMER_NM) + 1
    across, along = np.indices((2 * rows + 1, 2 * length + 1), dtype=float)
    across = (across - rows + rng.uniform(-0.5, 0.5)) * ROW_NM
    along = (along - length + rng.uniform(-0.5, 0.5)) * DIMER_NM
    return across, along


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """A kinked step between two terraces.

    It keeps to the lattice of the upper terrace: it moves by whole rows, or by pairs of dimers.

    Attributes:
        towards, beside: Unit vectors (x, y) from the upper terrace to the lower one, and along
            the edge.
        edge_nm: How far `towards` the upper terrace reaches in each strip of `ROW_NM` beside the
            last; the middle one begins at 0. Shape (2 n + 1,).
    """

    towards: tuple[float, float]
    beside: tuple[float, float]
    edge_nm: Array

    @classmethod
    def drawn(
        cls,
        step: Literal["S_A", "S_B"],
        kinks: float,
        angle: float,
        size_nm: Array,
        rng: np.random.Generator,
    ) -> Edge:
        """One through a piece of `size_nm`; see `Surface` for what it depends on."""
        n = int(np.hypot(*size_nm) / ROW_NM) + 4
        moves = rng.choice((-1, 0, 1), 2 * n + 1, p=(kinks / 2, 1 - kinks, kinks / 2))
        slope = rng.normal(0, 0.12 if rng.random() < 0.6 else 0.5)
        middle = rng.uniform(-0.4, 0.4) * size_nm.min() / ROW_NM
        edge = np.cumsum(moves) - moves[:n].sum() + slope * np.arange(-n, n + 1) + middle
        along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
        towards, beside = (across, along) if step == "S_A" else (along, across)
        return cls(towards, beside, np.round(edge) * ROW_NM)

    def height_nm(self, x: Array, y: Array) -> Array:
        """Of the terrace below each point: `STEP_NM` for the upper one, else 0."""
        towards, beside = (x * v[0] + y * v[1] for v in (self.towards, self.beside))
        n = len(self.edge_nm) // 2
        strip = np.clip(np.floor(beside / ROW_NM).astype(int) + n, 0, 2 * n)
        return np.where(towards < self.edge_nm[strip], STEP_NM, 0.0)

    def points_nm(self) -> Array:
        """(x, y) of the edge in the middle of each strip, nm; shape (2 n + 1, 2)."""
        n = len(self.edge_nm) // 2
        beside = (np.arange(-n, n + 1) + 0.5) * ROW_NM
        return np.outer(self.edge_nm, self.towards) + np.outer(beside, self.beside)


HYDROGENATED, DANGLING, SECOND, SILOXANE, ADSORBED = range(5)
KINDS = (
    Kind("hydrogenated dimer atom", 0, 0.002, ((-1.9, 0.35, 0.1), (1.7, 0.35, 0.1))),
    Kind("dangling bond", 0, 0.002, ((-0.6, 0.15, 1.0), (0.5, 0.15, 1.0))),
    Kind("second layer", 0, 0.002, ((-1.9, 0.35, 0.1), (1.7, 0.35, 0.1))),
    Kind("siloxane atom", 0, 0.002),
    Kind("adsorbate", 0, 0.6),
)

STEP, ANTIPHASE = LINES = "step", "antiphase boundary"
DEFECTS = {
    "missing dimer": "vacancy of a dimer, or of a few neighbours in a row: one defect",
    "dangling bond": "a hydrogen atom is missing: bright on one side of a dimer",
    "double dangling bond": "both hydrogen atoms of a dimer are missing",
    "siloxane": "oxygen in a back bond: a dimer dark on one side",
    "adsorbate": "a bump, or a cluster of them up to 3 nm wide: as many as asked for, each bump "
    "listed that stands out",
    "bright chain": "bumps along, across or diagonal to the rows: as many chains as asked for, "
    "each bump listed that stands out",
    STEP: "a step down, at most one: S_A, along the upper rows, or S_B, across; "
    "listed wherever it crosses another row",
    ANTIPHASE: "where rows are shifted by half their spacing, at most one; listed at every row",
}


def _draw(
    densities_per_nm2: Mapping[str, float],
    size_nm: tuple[float, float],
    angle_deg: float,
    rng: np.random.Generator,
) -> Specimen:
    """See `specimen.Draw`; the rows of the topmost terrace run along the crystal's x axis."""
    size, angle, area_nm2 = np.array(size_nm), math.radians(angle_deg), math.prod(size_nm)
    per_nm2 = dict.fromkeys(DEFECTS, 0.0) | dict(densities_per_nm2)
    there = {kind: rng.poisson(per_nm2[kind] * area_nm2) > 0 for kind in LINES}
    edge = Edge.drawn(rng.choice(("S_A", "S_B")), KINKS, angle, size, rng) if there[STEP] else None
    wall = rng.uniform(-0.5, 0.5, 2) * size[::-1] if there[ANTIPHASE] else None

    def ground(x: Array, y: Array) -> Array:
        return edge.height_nm(x, y) - STEP_NM if edge else np.zeros(np.shape(x))

    def ground_below(x: Array, y: Array) -> Array:
        # The lower terrace goes on under the upper one: else there were a trench between them.
        if edge is None:
            return ground(x, y)
        towards, beside = ROW_NM / 2 * np.array((edge.towards, edge.beside))
        moves = (towards + side * beside for side in (-1, 0, 1))
        return np.min([ground(x + dx, y + dy) for dx, dy in moves], 0)

    found = [(STEP, edge.points_nm())] if edge else []
    terraces = []
    for turns, base_nm in enumerate((0.0, -STEP_NM) if edge else (0.0,)):
        here = wall is not None and ground(wall[0], wall[1]) == base_nm
        turned, extent = angle + turns * math.pi / 2, ground_below if turns else ground
        sites, pairs, boundary = _terrace(
            base_nm, extent, turned, size, wall if here else None, rng
        )
        # Nor are dimers of different terraces neighbours.
        terraces.append((sites + turns * 2**40, pairs))
        found.append((ANTIPHASE, boundary))
    sites, pairs = map(np.concatenate, zip(*terraces, strict=True))
    kinds = np.full(pairs.shape[:2], HYDROGENATED)
    x, y, z = pairs.mean(1).T
    found += _change(sites, pairs, kinds, ground(x, y) == z, per_nm2, area_nm2, rng)
    added = _added(per_nm2, angle, ground, size, rng)
    atoms = np.concatenate([pairs.reshape(-1, 3), *(bumps for _, bumps in added)])
    found += [(kind, _standing_out(bumps)) for kind, bumps in added]
    return Specimen(
        atoms,
        np.concatenate([kinds.ravel(), np.full(len(atoms) - kinds.size, ADSORBED)]),
        np.zeros((len(atoms), 3), np.int64),
        defects=tuple(
            Defect(kind, x, y)
            for kind, points in found
            for x, y in points[inside(points[:, 0], points[:, 1], size)].tolist()
        ),
    )


def _terrace(
    base_nm: float,
    ground: defects.Field,
    angle: float,
    size_nm: Array,
    wall_nm: Array | None,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], Array, Array]:
    """The dimers of one terrace, shifted beyond an antiphase boundary through `wall_nm`, if any.

    Returns:
        Numbers of the dimers, consecutive in a row and never from one row to the next, (dimers,);
        where they are, nm, (dimers, 2, 3); and points of the boundary, nm, (points, 2).
    """
    row, beside = np.array(
        ((math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle)))
    )
    across, along = dimers(size_nm / 2 + ROW_NM, angle, rng)
    boundary = np.empty((0, 2))
    if wall_nm is not None:
        boundary = wall_nm @ row * row + np.outer(across[:, 0], beside)
        boundary = boundary[ground(boundary[:, 0], boundary[:, 1]) == base_nm]
        across += np.where(along > wall_nm @ row, ROW_NM / 2, 0.0)
    x, y = along * row[0] + across * beside[0], along * row[1] + across * beside[1]
    here = (ground(x, y) == base_nm) & inside(x, y, size_nm)
    middles = np.stack([x[here], y[here], np.full(here.sum(), base_nm)], 1)
    half = HALF_NM * np.array((*beside, 0))
    return np.flatnonzero(here), middles[:, None] + np.stack([-half, half]), boundary


def _added(
    per_nm2: Mapping[str, float],
    angle: float,
    ground: defects.Field,
    size_nm: Array,
    rng: np.random.Generator,
) -> list[tuple[str, Array]]:
    """What lies on the surface: of each chain and cluster, its class and atoms, (atoms, 3), nm."""
    chains, clusters = _Bumps(), _Bumps()
    defects.chains(chains, per_nm2["bright chain"], angle, ground, size_nm, rng)
    defects.adsorbates(clusters, per_nm2["adsorbate"], ground, size_nm, rng)
    added = []
    for kind, canvas in (("bright chain", chains), ("adsorbate", clusters)):
        for bumps in canvas.bumps_nm:
            x, y, h = bumps[inside(bumps[:, 0], bumps[:, 1], size_nm)].T
            base = ground(x, y)
            z = base + np.round((h - base) * STANDS / GRAIN_NM) * GRAIN_NM
            added.append((kind, np.stack([x, y, z], 1)))
    return added


def _standing_out(bumps_nm: Array) -> Array:
    """Where the bumps of a cluster are that a scan shows as such, the highest first; (bumps, 2)."""
    places = bumps_nm[bumps_nm[:, 2].argsort()[::-1], :2]
    return places[first_of_pairs(places, APART_NM)]


def _change(
    sites: NDArray[np.int64],
    positions: Array,
    kinds: NDArray[np.intp],
    free: NDArray[np.bool_],
    per_nm2: Mapping[str, float],
    area_nm2: float,
    rng: np.random.Generator,
) -> list[tuple[str, Array]]:
    """Takes dimers away and changes others, in place; which, and where.

    Of dimers with consecutive numbers `sites`, each is the other's neighbour in a row; positions
    have shape (dimers, 2, 3), kinds (dimers, 2). Only `free` ones are chosen.
    """
    middles = positions.mean(1)[:, :2]

    def hit(kind: str) -> NDArray[np.intp]:
        chosen = some(kind, per_nm2[kind], area_nm2, np.flatnonzero(free), rng)
        free[chosen] = False
        return chosen

    first = hit("missing dimer")
    vacancy, k = defects.runs(rng.geometric(1 / MEAN_LENGTH, first.size))
    gone = np.minimum(first[vacancy] + k, len(sites) - 1)
    in_row = sites[gone] == sites[first[vacancy]] + k
    vacancy, gone = vacancy[in_row], gone[in_row]
    free[gone] = False
    kinds[gone] = SECOND
    positions[np.unique(gone), :, 2] -= SECOND_NM
    lengths = np.bincount(vacancy, minlength=first.size)[:, None]
    sums = np.stack([np.bincount(vacancy, m, first.size) for m in middles[gone].T], 1)
    found = [("missing dimer", sums / lengths)]

    chosen = hit("siloxane")
    side = rng.integers(0, 2, chosen.size)
    kinds[chosen, side] = SILOXANE
    found.append(("siloxane", positions[chosen, side, :2]))

    # What is left of a bond that is cut stands farther out.
    outwards = (BOND_NM / HALF_NM - 1) * (positions - positions.mean(1, keepdims=True))
    chosen = hit("dangling bond")
    side = rng.integers(0, 2, chosen.size)
    kinds[chosen, side] = DANGLING
    positions[chosen, side] += outwards[chosen, side]
    found.append(("dangling bond", positions[chosen, side, :2]))
    chosen = hit("double dangling bond")
    kinds[chosen] = DANGLING
    positions[chosen] += outwards[chosen]
    return [*found, ("double dangling bond", middles[chosen])]


class _Bumps:
    """Keeps what `defects` would draw on a topograph."""

    def __init__(self) -> None:
        self.bumps_nm: list[Array] = []

    def add(
        self, x: Array, y: Array, h: Array, angle: float, along_nm: float, across_nm: float
    ) -> None:
        """Bumps that belong together; of their shape, the simulated tip makes its own."""
        self.bumps_nm.append(np.stack([x, y, h], 1))


SI001H = Material(
    "Si(001):H",
    KINDS,
    DEFECTS,
    {
        "missing dimer": 0.03,
        "dangling bond": 0.004,
        "double dangling bond": 0.001,
        "siloxane": 0.005,
        "adsorbate": 4e-4,
        "bright chain": 4e-4,
        "step": 5e-5,
        "antiphase boundary": 5e-6,
    },
    _draw,
)
