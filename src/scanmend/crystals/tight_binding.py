r"""Electrons that hop from atom to atom: crystals as tight-binding models.

With real hoppings :math:`H_{ij}(R)` from orbital j of the cell at R to orbital i of the cell at 0,
the Hamiltonian of a perfect crystal is, at the wave vector k,

.. math:: H_{ij}(k) = \sum_R H_{ij}(R)\, e^{i k \cdot R}

Where atoms are missing or differ there is no such k, and `diagonalise` takes a large periodic
supercell instead: exact for that supercell, and slow (the cube of its atoms). `stm.green` is the
fast way.

Energies count from the Fermi level. That of a semiconductor is in the middle of its gap, as without
doping; its models are in `dichalcogenide_bands`.

Reference:
    A. H. Castro Neto et al., Rev. Mod. Phys. 81, 109 (2009), doi:10.1103/RevModPhys.81.109
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SimulationError
from .lattice import GRAPHENE, Array, Lattice, Sites

GRAPHENE_HOPPING_EV = -2.7  #: [eV] between nearest neighbours (Castro Neto, figure 3)
VACANCY_EV = math.inf  #: [eV] the on-site shift of an atom that is not there

Cell = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class TightBinding:
    """A perfect crystal: its lattice, and how its electrons hop.

    The orbitals of a cell are counted by sublattice, those of an atom next to each other.

    Attributes:
        lattice: Where the atoms are.
        orbitals: How many an atom of each sublattice has, 0 if its electrons do not matter.
        hoppings_eV: For each cell R = (n1, n2) within reach, H(R) above, eV; shape (orbitals of a
            cell, orbitals of a cell). H(0) has the on-site energies on its diagonal.

    Raises:
        SimulationError: A matrix that does not fit the lattice or the others, or a Hamiltonian
            that is not Hermitian.
    """

    lattice: Lattice
    orbitals: tuple[int, ...]
    hoppings_eV: Mapping[Cell, Array]

    def __post_init__(self) -> None:
        known, n = self.lattice.sublattices, sum(self.orbitals)
        if len(self.orbitals) != known or min(self.orbitals) < 0 or not n:
            raise SimulationError(
                f"each of {known} sublattices has a number of orbitals, and one of them 1 or more, "
                f"got {self.orbitals}"
            )
        for cell, matrix in self.hoppings_eV.items():
            if matrix.shape != (n, n):
                raise SimulationError(
                    f"the hoppings to cell {cell} have shape {matrix.shape}, not {(n, n)}"
                )
            opposite = (-cell[0], -cell[1])
            back = self.hoppings_eV.get(opposite)
            if back is None or not np.allclose(matrix, back.T, rtol=0, atol=1e-12):
                raise SimulationError(
                    f"the hoppings to cells {cell} and {opposite} must be each other's transpose"
                )

    def hamiltonian_eV(self, k_per_nm: ArrayLike) -> NDArray[np.complex128]:
        """H(k), eV; shape (..., orbitals of a cell, orbitals of a cell) for k of shape (..., 2)."""
        phase = np.asarray(k_per_nm, float) @ self.lattice.vectors_nm.T
        phases = np.exp(1j * phase @ np.array(list(self.hoppings_eV)).T)
        return np.tensordot(phases, np.array(list(self.hoppings_eV.values())), 1)

    def bands_eV(self, k_per_nm: ArrayLike) -> Array:
        """Energies at k, ascending, eV; shape (..., bands) for k of shape (..., 2)."""
        return np.linalg.eigvalsh(self.hamiltonian_eV(k_per_nm)).astype(np.float64)


def nearest_neighbours(lattice: Lattice, hopping_eV: float, onsite_eV: float = 0.0) -> TightBinding:
    """One orbital on each atom, and one hopping, between atoms at the least distance."""
    sites = lattice.disc(2.01 * float(np.linalg.norm(lattice.vectors_nm, axis=1).max()))
    apart = lattice.positions_nm(sites)[:, None] - lattice.basis_nm
    distance = np.hypot(apart[..., 0], apart[..., 1])
    near = np.abs(distance - distance[distance > 1e-6].min()) < 1e-6
    n = lattice.sublattices
    hoppings: dict[Cell, Array] = {(0, 0): onsite_eV * np.eye(n)}
    for (first, second, j), i in zip(
        sites[near.nonzero()[0]].tolist(), near.nonzero()[1], strict=True
    ):
        hoppings.setdefault((first, second), np.zeros((n, n)))[i, j] = hopping_eV
    return TightBinding(lattice, (1,) * n, hoppings)


def graphene() -> TightBinding:
    """The pi electrons of graphene, with the Dirac point at 0 eV."""
    return nearest_neighbours(GRAPHENE, GRAPHENE_HOPPING_EV)


def diagonalise(
    crystal: TightBinding, cells: int, defects: Sites, shifts_eV: ArrayLike
) -> tuple[Array, Array, Sites]:
    """All states of a periodic supercell with defects.

    Args:
        crystal: The perfect crystal.
        cells: Of the supercell along a1 and along a2.
        defects: Sites of the supercell that differ; shape (defects, 3).
        shifts_eV: Of their on-site energies, eV, `VACANCY_EV` for atoms that are missing; shape
            (defects,).

    Returns:
        The energies, ascending, eV, shape (states,); how much of each state is on each atom, shape
        (sites, states), 0 on missing ones; and these sites, all of them, shape (sites, 3).
    """
    n, shape = sum(crystal.orbitals), (cells, cells, crystal.lattice.sublattices)
    hamiltonian = np.zeros((cells, cells, n, cells, cells, n))
    here = np.arange(cells)
    for (first, second), matrix in crystal.hoppings_eV.items():
        there = (here + first) % cells, (here + second) % cells
        for i in here:
            for j in here:
                hamiltonian[i, j, :, there[0][i], there[1][j], :] += matrix
    hamiltonian = hamiltonian.reshape(cells**2 * n, -1)
    first, second, sublattice = np.asarray(defects, np.int64).reshape(-1, 3).T
    changed = np.ravel_multi_index((first % cells, second % cells, sublattice), shape)
    shift = np.zeros(math.prod(shape))
    shift[changed] = shifts_eV
    atom = np.repeat(np.arange(len(shift)), np.tile(crystal.orbitals, cells**2))
    present = np.isfinite(shift[atom])
    atom, kept = atom[present], hamiltonian[np.ix_(present, present)]
    energies, states = np.linalg.eigh(kept + np.diag(shift[atom]))
    weights = np.zeros((len(shift), energies.size))
    np.add.at(weights, atom, states**2)
    return energies, weights, np.indices(shape).reshape(3, -1).T


def broadened(energies_eV: Array, states_eV: Array, weights: Array, broadening_eV: float) -> Array:
    r"""Densities of states of sharp levels, each a Lorentzian of half width :math:`\eta`.

    .. math:: \rho_i(E) = \sum_n |\langle i | n \rangle|^2 \frac{\eta/\pi}{(E - E_n)^2 + \eta^2}

    Args:
        energies_eV: E, eV; shape (energies,).
        states_eV: Of the levels, eV; shape (states,).
        weights: How much of each level is on each atom; shape (sites, states).
        broadening_eV: Half width at half maximum, eV.

    Returns:
        1/eV, for one spin; shape (sites, energies).
    """
    distance = states_eV[:, None] - energies_eV
    return weights @ (broadening_eV / np.pi / (distance**2 + broadening_eV**2))
