r"""A piece of a surface as a tip meets it: atoms, what each shows, and what is wrong with them.

Every material draws such pieces, in a module of its own, and says what its kinds of atoms show a
tip: a density of states

.. math:: \rho(E) = w\, \rho_{hop}(E) + c
          + \sum_p \frac{n_p}{\pi} \frac{\eta_p}{(E - E_p)^2 + \eta_p^2}

of electrons that hop from site to site, which every defect scatters, and of those that stay where
they are. A crystal that is well described by hopping has w = 1 and nothing else, an effective
model the rest only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SimulationError
from .lattice import Array, Sites
from .tight_binding import TightBinding


@dataclass(frozen=True, slots=True)
class Kind:
    r"""What the atoms of one kind show a tip.

    Attributes:
        name: As in "top selenium".
        hopping: w above, the share of the hopping electrons' states on its site that it shows.
        floor_per_eV: c, the same at all energies, 1/eV.
        peaks: Of each Lorentzian, its centre :math:`E_p` from the Fermi level, its half width
            :math:`\eta_p`, both in eV, and its states :math:`n_p`.
    """

    name: str
    hopping: float = 0.0
    floor_per_eV: float = 0.0
    peaks: tuple[tuple[float, float, float], ...] = ()

    def ldos_per_eV(self, energies_eV: Array) -> Array:
        """All but the hopping electrons' part, 1/eV; shape (energies,)."""
        total = np.full(energies_eV.shape, self.floor_per_eV)
        for centre, half, states in self.peaks:
            total += states / math.pi * half / ((energies_eV - centre) ** 2 + half**2)
        return total


@dataclass(frozen=True, slots=True)
class Defect:
    """Where something is wrong: its class, and its place in nm as in `Specimen.positions_nm`."""

    kind: str
    x_nm: float
    y_nm: float


@dataclass(frozen=True, slots=True, eq=False)
class Specimen:
    """Atoms of a piece of surface that was drawn.

    Attributes:
        positions_nm: x (along the columns' axis), y (downwards) and z, nm, from the middle of the
            piece; the topmost terrace of a perfect surface is at z = 0. Shape (atoms, 3).
        kinds: Which of the material's kinds each atom is; shape (atoms,).
        sites: The lattice site of each atom; of no meaning where its kind shows no hopping
            electrons. Shape (atoms, 3).
        scatterers: Lattice sites whose on-site energy differs; shape (scatterers, 3).
        shifts_eV: By how much, eV, `VACANCY_EV` where nothing is; shape (scatterers,).
        defects: What is wrong, and where, on all of the piece.
    """

    positions_nm: Array
    kinds: NDArray[np.intp]
    sites: Sites
    scatterers: Sites = field(default_factory=lambda: np.empty((0, 3), np.int64))
    shifts_eV: Array = field(default_factory=lambda: np.empty(0))
    defects: tuple[Defect, ...] = ()


def inside(x_nm: Array, y_nm: Array, size_nm: ArrayLike) -> NDArray[np.bool_]:
    """Which points are in a piece of `size_nm` = (height, width) around the origin."""
    height, width = np.asarray(size_nm, np.float64)
    return (np.abs(y_nm) <= height / 2) & (np.abs(x_nm) <= width / 2)


Draw = Callable[[Mapping[str, float], tuple[float, float], float, np.random.Generator], Specimen]
"""Draws a piece of surface.

Arguments: how many defects of each class there are on 1 nm2, on average (classes left out: none);
the (height, width) that atoms must fill, nm; by how much the crystal is turned, from the x axis
towards the y axis, degrees; where all randomness comes from, the lattice's offset too."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a module of this package says of its material.

    Attributes:
        name: As people write it, "WSe2".
        kinds: What its atoms show a tip.
        defects: Each class that it may have, and what that is, in a few words.
        densities_per_nm2: What a usual surface of it has of each.
        draw: Draws pieces of it.
        electrons: Models of its hopping electrons by name, the usual one first; none for an
            effective model.
    """

    name: str
    kinds: tuple[Kind, ...]
    defects: Mapping[str, str]
    densities_per_nm2: Mapping[str, float]
    draw: Draw
    electrons: Mapping[str, Callable[[], TightBinding]] = field(default_factory=dict)

    def specimen(
        self,
        densities_per_nm2: Mapping[str, float],
        size_nm: tuple[float, float],
        angle_deg: float,
        rng: np.random.Generator,
    ) -> Specimen:
        """A piece of surface, after a look at what is asked; see `Draw` for the arguments.

        Raises:
            SimulationError: An unknown class, a density or a size that is none, or more defects
                than there is room for.
        """
        for kind, density in densities_per_nm2.items():
            if kind not in self.defects:
                known = ", ".join(self.defects)
                raise SimulationError(f"{self.name} has no defect {kind!r}; there are {known}")
            if not 0 <= density < math.inf:
                raise SimulationError(f"a density is 0 /nm2 or more, got {density} of {kind}")
        if not (min(size_nm) > 0 and np.isfinite([*size_nm, angle_deg]).all()):
            raise SimulationError(f"no surface is {size_nm} nm large, turned by {angle_deg} deg")
        return self.draw(densities_per_nm2, size_nm, angle_deg, rng)


def some(
    kind: str, per_nm2: float, area_nm2: float, free: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Of the `free` places for a defect, as many at random as a density asks for on average.

    Raises:
        SimulationError: There are not enough.
    """
    wanted = many(per_nm2, area_nm2, rng)
    if wanted > free.size:
        raise crowded(kind, wanted, free.size, area_nm2)
    return rng.choice(free, wanted, replace=False)


def many(per_nm2: float, area_nm2: float, rng: np.random.Generator) -> int:
    """How many defects there are, as a density asks for on average."""
    return int(rng.poisson(min(per_nm2 * area_nm2, 1e12)))  # far more than a piece has atoms


def crowded(kind: str, wanted: int, free: int, area_nm2: float) -> SimulationError:
    """What to say where fewer places are `free` than defects are `wanted`."""
    return SimulationError(
        f"{wanted} x {kind} do not fit on {free} free sites of {area_nm2:.4g} nm2: "
        f"ask for fewer than {free / area_nm2:.3g} /nm2"
    )
