"""Specimens: which atoms are in a box, of a crystal with an outline, a boundary and defects.

The beam goes along z; x runs along the columns' axis and y downwards, from the middle of the frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..crystals.specimen import Defect, crowded, many
from ..errors import SimulationError
from .crystals import NOTHING, Crystal
from .haadf import COLUMN_NM
from .parameters import Sample

Array = NDArray[np.float64]

MOST_ATOMS = 4_000_000
CARBON_PER_NM3 = 100.0  #: atoms of amorphous carbon, 2 g/cm3
CROWDED = 0.8  #: of the shortest distance in a crystal: nearer atoms are not at a grain boundary
_WAVES = 6  # of an outline


@dataclass(frozen=True, slots=True, eq=False)
class Atoms:
    """What is in a box.

    Attributes:
        positions_nm: x, y and z of each; shape (atoms, 3).
        elements: Symbol of each; shape (atoms,).
        defects: What is wrong with the crystal, and where.
    """

    positions_nm: Array
    elements: NDArray[np.str_]
    defects: tuple[Defect, ...] = ()


def specimen(
    crystal: Crystal,
    sample: Sample,
    densities_per_nm2: Mapping[str, float],
    low_nm: tuple[float, float],
    high_nm: tuple[float, float],
    rng: np.random.Generator,
) -> Atoms:
    """Draws a specimen.

    Args:
        crystal: What it is made of.
        sample: How much of it, and how it lies.
        densities_per_nm2: How many defects of each class there are, on average.
        low_nm, high_nm: Corners (x, y) of the box.
        rng: Where all randomness comes from; the crystal's offset, too.

    Raises:
        SimulationError: More atoms than are followed, or more defects than there is room for.
    """
    offset, outline = rng.random((2, 2)), rng.standard_normal((2, 2, _WAVES))
    layers = _layers(crystal, sample)
    box_nm2 = (high_nm[0] - low_nm[0]) * (high_nm[1] - low_nm[1])
    wanted = box_nm2 / abs(crystal.lattice.cell_nm2) * len(crystal.elements) * layers
    if crystal.repeats and wanted > MOST_ATOMS:
        raise SimulationError(
            f"{wanted:.2g} atoms are in {box_nm2:.4g} nm2 of {crystal.name}, and no more than "
            f"{MOST_ATOMS:.0e} can be followed: a smaller frame, or a thinner foil"
        )
    whole = _grain(crystal, layers, sample.angle_deg, offset[0], low_nm, high_nm)
    if sample.boundary_deg:
        turned = sample.angle_deg + sample.boundary_deg
        other = _grain(crystal, layers, turned, offset[1], low_nm, high_nm)
        whole = _joined(crystal, whole, other, sample, outline[0])
    positions, sublattices = whole
    kept = _within(positions[:, :2], sample, outline[1])
    atoms = _with_defects(
        crystal, positions[kept], sublattices[kept], densities_per_nm2, layers, rng
    )
    x, y, z = atoms.positions_nm.T  # views
    x += z * math.tan(math.radians(sample.tilt_x_deg))
    y += z * math.tan(math.radians(sample.tilt_y_deg))
    return atoms


def contamination(
    sample: Sample,
    low_nm: tuple[float, float],
    high_nm: tuple[float, float],
    rng: np.random.Generator,
) -> Atoms:
    """Amorphous carbon in patches: atoms at random, the more the thicker it is.

    Raises:
        SimulationError: More atoms than are followed.
    """
    size = np.subtract(high_nm, low_nm)
    expected = CARBON_PER_NM3 * sample.contamination_nm * float(size.prod())
    if not expected < MOST_ATOMS:
        raise SimulationError(
            f"{sample.contamination_nm:g} nm of carbon are {expected:.2g} atoms, and no more than "
            f"{MOST_ATOMS:.0e} can be followed: less contamination, or a smaller frame"
        )
    waves = rng.normal(0, 1 / sample.patch_nm, (2 * _WAVES, 2))
    phases = rng.uniform(0, 2 * np.pi, 2 * _WAVES)
    places = low_nm + size * rng.random((rng.poisson(expected * 2), 2))
    # Half of them, where the patches are: from no carbon to twice as much.
    field = np.cos(places @ waves.T + phases).sum(1) / math.sqrt(_WAVES)
    places = places[2 * rng.random(len(places)) < 1 + np.tanh(field)]
    depth = np.zeros((len(places), 1))
    return Atoms(np.hstack([places, depth]), np.full(len(places), "C"))


def _layers(crystal: Crystal, sample: Sample) -> int:
    return max(1, round(sample.thickness_nm / crystal.period_nm)) if crystal.period_nm else 1


def _grain(
    crystal: Crystal,
    layers: int,
    angle_deg: float,
    offset: Array,
    low_nm: tuple[float, float],
    high_nm: tuple[float, float],
) -> tuple[Array, NDArray[np.int64]]:
    """Atoms of a perfect crystal in the box, z from its middle, and the sublattice of each."""
    lattice = crystal.lattice.turned(angle_deg)
    if crystal.repeats:
        shift = offset @ lattice.vectors_nm
        middle = (np.add(low_nm, high_nm)) / 2
        width, height = np.subtract(high_nm, low_nm)
        sites = lattice.rectangle((height, width), middle - shift)
        flat, sublattices = lattice.positions_nm(sites) + shift, sites[:, 2]
    else:
        flat, sublattices = lattice.basis_nm, np.arange(len(lattice.basis_nm))
    steps = (np.arange(layers) - (layers - 1) / 2) * crystal.period_nm
    there = crystal.heights_nm[np.array(crystal.elements) != NOTHING]
    z = crystal.heights_nm - (there.min() + there.max()) / 2
    positions = np.empty((layers, len(flat), 3))
    positions[..., :2] = flat
    positions[..., 2] = steps[:, None] + z[sublattices]
    return positions.reshape(-1, 3), np.tile(sublattices, layers)


def _joined(
    crystal: Crystal,
    one: tuple[Array, NDArray[np.int64]],
    other: tuple[Array, NDArray[np.int64]],
    sample: Sample,
    outline: Array,
) -> tuple[Array, NDArray[np.int64]]:
    """One grain before the boundary and the other beyond it, without atoms that are too near."""
    before = _beyond(one[0][:, :2], sample, outline[0]) < 0
    after = _beyond(other[0][:, :2], sample, outline[0]) >= 0
    first, second = one[0][before], other[0][after]
    if len(first) and len(second):
        distance, _ = KDTree(first).query(second)
        free = distance > CROWDED * _shortest_nm(crystal)
        second, sublattices = second[free], other[1][after][free]
    else:
        sublattices = other[1][after]
    return np.concatenate([first, second]), np.concatenate([one[1][before], sublattices])


def _shortest_nm(crystal: Crystal) -> float:
    """The shortest distance of two atoms, nm."""
    cells = np.indices((3, 3)).reshape(2, -1).T - 1
    flat = (cells @ crystal.lattice.vectors_nm)[:, None] + crystal.lattice.basis_nm
    heights = np.broadcast_to(crystal.heights_nm, flat.shape[:2])
    there = np.array(crystal.elements) != NOTHING
    points = np.concatenate([flat, heights[..., None]], axis=2)[:, there].reshape(-1, 3)
    if crystal.period_nm:
        points = np.concatenate([points, points + np.array((0, 0, crystal.period_nm))])
    return float(KDTree(points).query(points, 2)[0][:, 1].min())


def _beyond(places: Array, sample: Sample, outline: Array) -> Array:
    """How far places lie beyond a wandering line through the middle, nm."""
    turn = math.radians(sample.direction_deg)
    along = places @ (math.cos(turn), math.sin(turn))
    across = places @ (-math.sin(turn), math.cos(turn))
    return across - sample.rough_nm * _wander(along, outline)


def _wander(along: Array, outline: Array) -> Array:
    """A smooth random function of a length in nm, with variance 1."""
    turns = np.multiply.outer(along, 0.6 + 0.5 * np.arange(_WAVES)) + 7 * outline
    return np.sin(turns) @ outline * math.sqrt(2 / _WAVES)


def _within(places: Array, sample: Sample, outline: Array) -> NDArray[np.bool_]:
    """Which places the outline has in it."""
    if sample.shape == "edge":
        return _beyond(places, sample, outline[0]) < 0
    if sample.shape == "wire":
        half = sample.width_nm / 2
        upper, lower = (_beyond(places, sample, one) for one in outline)
        return (upper < half) & (lower > -half)
    if sample.shape == "hole":
        radius = np.hypot(*places.T)
        turn = np.arctan2(places[:, 1], places[:, 0])
        harmonics = np.arange(2, 2 + _WAVES)
        waves = np.cos(np.multiply.outer(turn, harmonics) + 7 * outline[1]) @ outline[0]
        return radius > sample.width_nm / 2 + sample.rough_nm * math.sqrt(2 / _WAVES) * waves
    return np.ones(len(places), bool)


def _with_defects(
    crystal: Crystal,
    positions: Array,
    sublattices: NDArray[np.int64],
    densities_per_nm2: Mapping[str, float],
    layers: int,
    rng: np.random.Generator,
) -> Atoms:
    """The atoms after changes at random, no two of them on one site."""
    elements = np.array(crystal.elements)[sublattices].astype("<U2")
    free, tree = np.ones(len(positions), bool), KDTree(positions[:, :2])
    area_nm2 = len(positions) / (len(crystal.elements) * layers) * abs(crystal.lattice.cell_nm2)
    found: list[Defect] = []
    for name, change in crystal.changes.items():  # in this order, whatever that of the densities
        wanted = many(densities_per_nm2.get(name, 0.0), area_nm2, rng)
        if not wanted:
            continue
        places = np.flatnonzero(free & np.isin(sublattices, change.sublattices))
        left = wanted
        for site in rng.permutation(places).tolist():
            if not left:
                break
            sites = np.array([site])
            if change.column:
                near = tree.query_ball_point(positions[site, :2], COLUMN_NM)
                sites = np.array([n for n in near if elements[n] == elements[site]])
            if free[sites].all():
                left -= 1
                free[sites] = False
                elements[sites] = change.becomes
                found.append(Defect(name, *positions[site, :2].tolist()))
        if left:
            raise crowded(name, wanted, wanted - left, area_nm2)
    there = elements != NOTHING
    return Atoms(positions[there], elements[there], tuple(found))
