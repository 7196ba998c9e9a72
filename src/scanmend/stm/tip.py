"""Tips: where their atoms are, and what each shows a sample.

Tips are pieces of tungsten: a cube that stands on a corner, "W(111)", or a cone, "W(001)", blunted
layer by layer. An apex may also end in fewer atoms than a layer has, lean, and have others beside
it. As every pair of atoms carries its own current, each of two apices draws its own image.

Of the thousands of atoms only those at the end count: 0.18 nm higher, where W(111) has its second
layer, an atom carries 2 % of what the apex does.

References:
    V. Lužný, Synthetic STM Imaging: a Pipeline for Deep-Learning Analysis (both shapes, dulling)
    J. Tersoff and D. R. Hamann, Phys. Rev. B 31, 805 (1985), doi:10.1103/PhysRevB.31.805
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..crystals import tungsten
from ..errors import SimulationError
from .current import Array, Electrode

LEAST_CURRENT = 1e-7
DECAY_PER_NM = 20.0
"""[1/nm] Atoms that, at this decay, carry less than `LEAST_CURRENT` of the apex are left out."""
REACH_NM = -math.log(LEAST_CURRENT) / DECAY_PER_NM
MOST_DULLED = 6  #: layers; the end is then 1 to 2 nm wide, and shows no atoms
MOST_TILTED_DEG = 10.0  #: farther, atoms would matter that were left out
ATOM_PER_EV = 1.0  #: [1/eV] of the single atom, at all energies
ENERGIES_EV = np.linspace(-3, 3, 241)  #: [eV] at which densities are known, if not told others

_QUARTER_NM = tungsten.A_NM / 4  # half of the distance of (001) layers, which each atom fills


def cube(edge_nm: float = 4.0) -> Array:
    """Atoms of a cube that stands on a corner, the apex at the origin; nm, shape (atoms, 3)."""
    corners = np.full(3, -_QUARTER_NM), np.full(3, edge_nm - _QUARTER_NM)
    return tungsten.atoms(*corners) @ tungsten.upright((1, 1, 1)).T


def cone(width_nm: float = 6.0, height_nm: float = 3.0) -> Array:
    """Atoms of a cone on its point, the apex at the origin, [001] up; nm, shape (atoms, 3)."""
    half = width_nm / 2
    found = tungsten.atoms((-half, -half, 0), (half, half, height_nm - _QUARTER_NM))
    x, y, z = found.T
    return found[np.hypot(x, y) <= (z + _QUARTER_NM) * half / height_nm]


SHAPES: dict[str, Callable[[], Array]] = {
    "W(111)": cube,
    "W(001)": cone,
    "atom": lambda: np.zeros((1, 3)),
}
"""What a tip is made of. "atom" is the s-like one of Tersoff and Hamann: of even density."""


@dataclass(frozen=True, slots=True)
class Tip:
    """A tip.

    Attributes:
        shape: A name in `SHAPES`.
        dulled: How many layers its end has lost. From W(111) that uncovers 3, 1, 6 ... atoms (the
            single one only 0.09 nm below the six), from W(001) 4, 5, 12 ...
        end_atoms: How many atoms of the lowest layer are left, those nearest to each other; all of
            them if 0.
        rotation_deg: About the axis, from x to y, degrees.
        tilt_deg: By how much the axis leans, with its upper end towards x before it is rotated,
            degrees.
        apices: Where further apices end, (x, y, z) from the first in nm, whatever the rotation;
            each is a copy of it.

    Raises:
        SimulationError: An unknown shape, more layers or atoms than there are, a tilt or a place
            out of range.
    """

    shape: str = "W(111)"
    dulled: int = 0
    end_atoms: int = 0
    rotation_deg: float = 0.0
    tilt_deg: float = 0.0
    apices: tuple[tuple[float, float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            known = ", ".join(SHAPES)
            raise SimulationError(f"no tip is called {self.shape!r}; there are {known}")
        most = 0 if self.shape == "atom" else MOST_DULLED
        if not 0 <= self.dulled <= most:
            raise SimulationError(
                f'a tip can be dulled by 0 to {most} layers, as "{self.shape}" has {most + 1} at '
                f"its end, got dulled = {self.dulled}"
            )
        there = _layers(self.shape)[self.dulled]
        if not 0 <= self.end_atoms <= there:
            raise SimulationError(
                f'the lowest layer of "{self.shape}", dulled by {self.dulled}, has {there} atoms '
                f"to end in, got end_atoms = {self.end_atoms}"
            )
        if not 0 <= self.tilt_deg <= MOST_TILTED_DEG or not math.isfinite(self.rotation_deg):
            raise SimulationError(
                f"a tip leans by 0 to {MOST_TILTED_DEG:g} degrees, and is rotated by any finite "
                f"angle, got {self.tilt_deg} and {self.rotation_deg}"
            )
        for apex in self.apices:
            if len(apex) != 3 or not np.isfinite(apex).all() or apex[2] < 0:
                raise SimulationError(
                    "a further apex ends at (x, y, z) nm, no lower than the first, got "
                    f"{apex}: begin with the lowest"
                )

    def electrode(self, energies_eV: Array = ENERGIES_EV) -> Electrode:
        """The atoms that matter, from the lowest upwards, which is at z = 0.

        x = y = 0 is the middle of the lowest layer of an upright tip.

        Args:
            energies_eV: At which densities are wanted, from the tip's Fermi level, eV; ascending.
        """
        energies = np.ascontiguousarray(energies_eV, np.float64)
        positions, _, _ = _end(self.shape, self.dulled, self.end_atoms)
        ldos = _ldos_per_eV(self.shape, self.dulled, self.end_atoms, energies.tobytes())
        if self.tilt_deg:
            positions = positions @ _turn(self.tilt_deg, 2, 0).T
            positions = positions - (0, 0, positions[:, 2].min())
        positions = positions @ _turn(self.rotation_deg, 0, 1).T
        ends = np.array(((0, 0, 0), *self.apices), np.float64)
        positions = (ends[:, None] + positions).reshape(-1, 3)
        order = np.argsort(positions[:, 2], kind="stable")
        order = order[positions[order, 2] <= REACH_NM]
        return Electrode(positions[order], energies, ldos[order % len(ldos)])


def _turn(angle_deg: float, one: int, other: int) -> Array:
    """The rotation from one axis towards another; shape (3, 3)."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    matrix = np.eye(3)
    matrix[[one, one, other, other], [one, other, one, other]] = c, -s, s, c
    return matrix


@lru_cache(maxsize=8)
def _whole(shape: str) -> tuple[Array, Array]:
    """All atoms of an intact tip, and the heights of its layers, nm."""
    positions = SHAPES[shape]()
    order = np.lexsort((*positions[:, :2].T, np.round(positions[:, 2], 6)))
    return positions[order], np.unique(np.round(positions[:, 2], 6))


@lru_cache(maxsize=8)
def _layers(shape: str) -> tuple[int, ...]:
    """How many atoms each layer of an intact tip has, from its apex upwards."""
    positions, _ = _whole(shape)
    return tuple(np.unique(np.round(positions[:, 2], 6), return_counts=True)[1].tolist())


@lru_cache(maxsize=64)
def _end(shape: str, dulled: int, end_atoms: int) -> tuple[Array, Array, Array]:
    """The atoms within `REACH_NM` of the end of an upright tip, nm, and `tungsten.chains`."""
    positions, heights = _whole(shape)
    positions = positions[positions[:, 2] > heights[dulled] - 1e-5]
    lowest = positions[:, 2] < heights[dulled] + 1e-5
    if end_atoms:
        layer = positions[lowest]
        kept = _compact(layer, end_atoms)
        positions = np.concatenate((layer[kept], positions[~lowest]))
        lowest = np.arange(len(positions)) < end_atoms
    positions = positions - positions[lowest].mean(axis=0)
    near = np.flatnonzero(positions[:, 2] <= REACH_NM)
    return positions[near], *tungsten.chains(positions, near)


def _compact(layer_nm: Array, count: int) -> list[int]:
    """Atoms of a layer, one after the other the nearest to those before, or else to the axis."""
    off_axis = np.hypot(*layer_nm[:, :2].T)
    apart = np.linalg.norm(layer_nm[:, None] - layer_nm, axis=-1)
    kept: list[int] = []
    for _ in range(count):
        far = np.round(apart[:, kept].sum(axis=1) + 1e-3 * off_axis, 7)
        far[kept] = math.inf
        kept.append(int(np.argmin(far)))
    return kept


@lru_cache(maxsize=64)
def _ldos_per_eV(shape: str, dulled: int, end_atoms: int, energies_eV: bytes) -> Array:
    """Densities of the atoms of `_end`, 1/eV; shape (atoms, energies)."""
    energies = np.frombuffer(energies_eV)
    if shape == "atom":
        return np.full((1, energies.size), ATOM_PER_EV)
    _, a, b = _end(shape, dulled, end_atoms)
    return tungsten.ldos_per_eV(a, b, energies)
