"""Pieces cut out of perfect crystals, and the point defects on their sites.

A defect covers one site of the crystal or a few, its footprint, and no two cover the same: so each
is what its class says, and the electrons' scatterers are all different. What a class does to the
sites, and to the atoms there, is a `Change`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ..errors import SimulationError
from .lattice import Array, Lattice, Sites
from .specimen import Defect, Specimen, crowded, many

GONE = -1  #: the kind of an atom that is not there, or that no tip ever meets
_FLAT_NM = 0.05  # [nm] less than any step, more than the relief of any terrace

Footprint = tuple[tuple[int, int, int], ...]
"""Sites that belong together, (n1, n2, sublattice), counted from the cell of the first, which is
not more than one cell from the others."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a class of defects does.

    Attributes:
        what: That, in a few words.
        footprints: Where it can be: on all sites of one of these, which are equally likely where
            they begin on the same sublattice. Those of a footprint lie on one terrace.
        shift_eV: Of the on-site energy of these sites, eV.
        becomes: Which kind the atoms there become, `GONE` for none; unchanged if not given.
        raised_nm: By how much these atoms rise, nm.
        adds: The kind of an atom on top, over the middle of the footprint, and its height, nm.
    """

    what: str
    footprints: tuple[Footprint, ...]
    shift_eV: float = 0.0
    becomes: int | None = None
    raised_nm: float = 0.0
    adds: tuple[int, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Atoms of a perfect crystal in an upright rectangle.

    Attributes:
        positions_nm: x, y and z of each atom, nm, from the middle; shape (atoms, 3).
        kinds: Of each atom, `GONE` for those that no tip meets; shape (atoms,).
        sites: Of each; shape (atoms, 3).
        sublattices: How many the crystal has.
    """

    positions_nm: Array
    kinds: NDArray[np.intp]
    sites: Sites
    sublattices: int


def cut(
    lattice: Lattice,
    heights_nm: Array,
    kinds: NDArray[np.intp],
    size_nm: tuple[float, float],
    angle_deg: float,
    offset: ArrayLike,
) -> Piece:
    """A piece of a crystal.

    Args:
        lattice: Of the crystal; about its origin it is turned.
        heights_nm: z of the atoms of each sublattice, nm.
        kinds: Theirs.
        size_nm: (height, width) of the rectangle, nm.
        angle_deg: From the x axis towards the y axis.
        offset: Where the origin lies, in parts of the lattice vectors, each from 0 to 1.

    Raises:
        SimulationError: The rectangle is too small for an atom.
    """
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    turn = np.array(((c, s), (-s, c)))
    vectors = lattice.vectors_nm @ turn
    basis = lattice.basis_nm @ turn + np.asarray(offset, np.float64) @ vectors
    height, width = map(float, size_nm)
    piece = Piece(*_inside(vectors, basis, heights_nm, kinds, height, width), len(basis))
    if not len(piece.sites):
        raise SimulationError(f"no atom is on a piece of {height:g} x {width:g} nm: make it larger")
    return piece


def flat(
    lattice: Lattice,
    heights_nm: Array,
    kinds: NDArray[np.intp],
    changes: Mapping[str, Change],
    densities_per_nm2: Mapping[str, float],
    size_nm: tuple[float, float],
    angle_deg: float,
    rng: np.random.Generator,
) -> Specimen:
    """Draws pieces of a crystal with one terrace: with the first four arguments given, a `Draw`.

    The arguments are as in `cut` and `with_defects`.
    """
    piece = cut(lattice, heights_nm, kinds, size_nm, angle_deg, rng.random(2))
    return with_defects(piece, changes, densities_per_nm2, math.prod(size_nm), rng)


def with_defects(
    piece: Piece,
    changes: Mapping[str, Change],
    densities_per_nm2: Mapping[str, float],
    area_nm2: float,
    rng: np.random.Generator,
    taken: NDArray[np.bool_] | None = None,
) -> Specimen:
    """The piece with defects at random places.

    Args:
        piece: A perfect crystal.
        changes: What each class of defects does.
        densities_per_nm2: How many of each there are, on average.
        area_nm2: Of the piece, nm2.
        rng: Where all randomness comes from.
        taken: Which atoms no defect may have, none if not given; shape (atoms,).

    Raises:
        SimulationError: More defects than there is room for.
    """
    positions, kinds, sites = piece.positions_nm.copy(), piece.kinds.copy(), piece.sites
    taken = np.zeros(len(sites), bool) if taken is None else taken.copy()
    added: list[tuple[Array, NDArray[np.intp], Sites]] = []
    shifted, shifts_eV, found, block = [], [], [], None
    for name, change in changes.items():  # in this order, whatever that of the densities
        density = densities_per_nm2.get(name, 0.0)
        wanted = many(density, area_nm2, rng) if density else 0
        if not wanted:
            continue
        block = block or _numbered(sites, piece.sublattices)
        ways, draws = _table(change.footprints), rng.random(len(sites))
        atoms, middles = _placed(piece.positions_nm, sites, *block, taken, ways, wanted, draws)
        if len(atoms) < wanted:
            raise crowded(name, wanted, len(atoms), area_nm2)
        found += [Defect(name, x, y) for x, y, _ in middles.tolist()]
        if change.becomes is not None:
            kinds[atoms] = change.becomes
        if change.raised_nm:
            positions[atoms, 2] += change.raised_nm
        if change.shift_eV:
            shifted.append(atoms.ravel())
            shifts_eV.append(np.full(atoms.size, change.shift_eV))
        if change.adds is not None:
            kind, height_nm = change.adds
            middles[:, 2] += height_nm
            added.append((middles, np.full(wanted, kind), sites[atoms[:, 0]]))
    present: list[tuple[Array, NDArray[np.intp], Sites]] = [_there(positions, kinds, sites), *added]
    if added:
        positions, kinds, sites_there = map(np.concatenate, zip(*present, strict=True))
    else:
        positions, kinds, sites_there = present[0]
    if not shifted:
        return Specimen(positions, kinds, sites_there, defects=tuple(found))
    scatterers = sites[np.concatenate(shifted)], np.concatenate(shifts_eV)
    return Specimen(positions, kinds, sites_there, *scatterers, tuple(found))


@lru_cache
def _table(footprints: tuple[Footprint, ...]) -> Sites:
    """Of each footprint and each of its sites, cell and sublattice; shape (ways, sites, 3)."""
    return np.array(footprints, np.int64)


@njit(cache=True, nogil=True)
def _placed(positions, sites, block, first, taken, ways, wanted, draws):
    """Atoms of as many defects as `wanted`, or as there is room for, and the middle of each.

    Atoms are tried in a random order, each once: that of Fisher and Yates, for which the draws
    are; what is left of a draw chooses among the footprints that begin on the atom.
    """
    order = np.arange(len(sites))
    atoms = np.empty((min(wanted, len(sites)), ways.shape[1]), np.intp)
    middles = np.zeros((len(atoms), 3))
    n = 0
    for i in range(order.size):
        if n == wanted:
            break
        scaled = draws[i] * (order.size - i)
        j = i + int(scaled)
        order[i], order[j] = order[j], order[i]
        site = sites[order[i]]
        begin = 0
        for way in ways:
            begin += way[0, 2] == site[2]
        if begin == 0:
            continue
        skip = int((scaled - int(scaled)) * begin)
        for way in ways:
            if way[0, 2] != site[2]:
                continue
            skip -= 1
            if skip >= 0:
                continue
            fits = True
            for k in range(len(way)):
                cell = site[0] + way[k, 0] - first[0], site[1] + way[k, 1] - first[1]
                atom = block[cell[0], cell[1], way[k, 2]]
                atoms[n, k] = atom
                height = positions[atom, 2] - positions[order[i], 2]
                fits = fits and atom >= 0 and not taken[atom] and abs(height) < _FLAT_NM
            if fits:
                for atom in atoms[n]:
                    taken[atom] = True
                    for axis in range(3):
                        middles[n, axis] += positions[atom, axis] / len(way)
                n += 1
            break
    return atoms[:n], middles[:n]


@njit(cache=True, nogil=True)
def _inside(vectors, basis, heights, kinds, height, width):
    """Atoms in the rectangle: their positions, kinds and sites."""
    radius = math.hypot(height, width) / 2
    for j in range(len(basis)):
        radius = max(radius, math.hypot(height, width) / 2 + math.hypot(basis[j, 0], basis[j, 1]))
    area = abs(vectors[0, 0] * vectors[1, 1] - vectors[0, 1] * vectors[1, 0])
    first = int(radius * math.hypot(vectors[1, 0], vectors[1, 1]) / area) + 1
    second = int(radius * math.hypot(vectors[0, 0], vectors[0, 1]) / area) + 1
    most = (2 * first + 1) * (2 * second + 1) * len(basis)
    positions, sites = np.empty((most, 3)), np.empty((most, 3), np.int64)
    of_atoms = np.empty(most, np.intp)
    n = 0
    for n1 in range(-first, first + 1):
        for n2 in range(-second, second + 1):
            for j in range(len(basis)):
                x = n1 * vectors[0, 0] + n2 * vectors[1, 0] + basis[j, 0]
                y = n1 * vectors[0, 1] + n2 * vectors[1, 1] + basis[j, 1]
                if abs(x) <= width / 2 and abs(y) <= height / 2:
                    positions[n, 0], positions[n, 1], positions[n, 2] = x, y, heights[j]
                    sites[n, 0], sites[n, 1], sites[n, 2] = n1, n2, j
                    of_atoms[n] = kinds[j]
                    n += 1
    return positions[:n].copy(), of_atoms[:n].copy(), sites[:n].copy()


@njit(cache=True, nogil=True)
def _numbered(sites, sublattices):
    """The atom on each site of a block of cells, -1 where there is none; the block's first cell."""
    low1, low2, high1, high2 = sites[0, 0], sites[0, 1], sites[0, 0], sites[0, 1]
    for i in range(len(sites)):
        low1, high1 = min(low1, sites[i, 0]), max(high1, sites[i, 0])
        low2, high2 = min(low2, sites[i, 1]), max(high2, sites[i, 1])
    # A footprint reaches a cell beyond.
    atoms = np.full((high1 - low1 + 3, high2 - low2 + 3, sublattices), -1)
    for i in range(len(sites)):
        atoms[sites[i, 0] - low1 + 1, sites[i, 1] - low2 + 1, sites[i, 2]] = i
    return atoms, (low1 - 1, low2 - 1)


@njit(cache=True, nogil=True)
def _there(positions, kinds, sites):
    """The atoms that are not `GONE`."""
    n = 0
    for i in range(len(kinds)):
        n += kinds[i] != GONE
    if n == len(kinds):
        return positions, kinds, sites
    at, of, on = np.empty_like(positions[:n]), np.empty_like(kinds[:n]), np.empty_like(sites[:n])
    n = 0
    for i in range(len(kinds)):
        if kinds[i] != GONE:
            of[n] = kinds[i]
            for axis in range(3):
                at[n, axis], on[n, axis] = positions[i, axis], sites[i, axis]
            n += 1
    return at, of, on
