r"""Tungsten, of which tips are made: its atoms, and what each of them shows a sample.

It is body-centred cubic. Electrons hop between the eight nearest neighbours, one orbital an atom:
as the lattice falls into two halves, each the neighbours of the other, densities of states are
symmetric about the orbitals' energy, and with tungsten's half-filled d band that is the Fermi level
of every atom, however few neighbours it has: none is charged.

Densities come from the recursion method. Beginning from an atom's orbital :math:`u_0`,

.. math:: b_n u_n = H u_{n-1} - a_{n-1} u_{n-1} - b_{n-1} u_{n-2}

makes a chain of the crystal, whose first n links know of the surroundings up to n hops. There the
chain goes on as that of a crystal without end does, with :math:`b_\infty = 4 |t|`, and

.. math:: \rho(E) = -\frac{1}{\pi} \operatorname{Im}
          \cfrac{1}{z - a_0 - \cfrac{b_1^2}{z - a_1 - \dots}}, \qquad z = E + i\eta

so that nothing of a piece's far end is seen, where sharp levels of a small piece would be.

Reference: R. Haydock, V. Heine and M. J. Kelly, Electronic structure based on the local atomic
environment for tight-binding bands, J. Phys. C 5, 2845 (1972)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import KDTree

from ..errors import SimulationError
from .lattice import Array

A_NM = 0.3165  #: [nm] lattice constant
ATOMS_PER_NM3 = 2 / A_NM**3
HOPPING_EV = -1.0
"""[eV] Chosen: its second moment 8 t^2 is that of an even band 9.8 eV wide, about as the d band."""
LEVELS = 12
"""Links of the chain; four more change an apex atom's density by some per cent of its peak."""
BROADENING_EV = 0.15  #: [eV] half width that a level would have, chosen


def atoms(low_nm: ArrayLike, high_nm: ArrayLike) -> Array:
    """Atoms in a box along the cubic axes, edges included; nm, shape (atoms, 3).

    One atom of the crystal lies at the origin.

    Args:
        low_nm: The box's least x, y and z, nm.
        high_nm: Its greatest, nm.

    Raises:
        SimulationError: The box is not finite, or holds no atom.
    """
    corners = np.asarray([low_nm, high_nm], float) / (A_NM / 2)
    if corners.shape != (2, 3) or not np.isfinite(corners).all():
        raise SimulationError(f"a box is two finite corners x, y, z, got {low_nm} and {high_nm} nm")
    first, last = np.ceil(corners[0] - 1e-9), np.floor(corners[1] + 1e-9)
    axes = (np.arange(low, high + 1) for low, high in zip(first, last, strict=True))
    halves = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    # Corners of cells are even on all axes, their centres odd.
    found = halves[(halves % 2 == halves[:, :1] % 2).all(1)] * (A_NM / 2)
    if not len(found):
        raise SimulationError(f"no tungsten atom is between {low_nm} and {high_nm} nm")
    return found


def upright(axis: tuple[int, int, int]) -> Array:
    """The rotation that turns a direction of the crystal upwards; shape (3, 3), rows x, y, z.

    The least of the cubic axes in `axis`, the last of equal ones, becomes the new y-z plane's.

    Raises:
        SimulationError: It is no direction.
    """
    _must_be_direction(axis)
    z = np.array(axis) / math.sqrt(sum(n * n for n in axis))
    x = np.cross(np.eye(3)[2 - np.argmin(np.abs(z[::-1]))], z)
    x /= np.linalg.norm(x)
    return np.array((x, np.cross(z, x), z))


def spacing_nm(axis: tuple[int, int, int]) -> float:
    """Distance of the layers across a direction of the crystal, nm.

    Raises:
        SimulationError: It is no direction.
    """
    _must_be_direction(axis)
    least = np.array(axis) // math.gcd(*axis)
    between = 1 if least.sum() % 2 == 0 else 2  # centres of cells have layers of their own
    return A_NM / math.sqrt(least @ least) / between


def chains(
    positions_nm: Array, chosen: NDArray[np.intp], levels: int = LEVELS
) -> tuple[Array, Array]:
    """The chains that begin at the `chosen` atoms of a piece of tungsten.

    Args:
        positions_nm: All atoms of the piece, nm; shape (atoms, 3).
        chosen: Indices of those whose densities are wanted; shape (chosen,).
        levels: Links of each chain.

    Returns:
        a and b above, eV; shapes (levels, chosen). A b of 0 ends the chain of a small piece.
    """
    n, columns = len(positions_nm), np.arange(len(chosen))
    near = math.sqrt(3 / 4) * A_NM
    i, j = KDTree(positions_nm).query_pairs(1.05 * near, output_type="ndarray").T
    hop = np.full(2 * i.size, HOPPING_EV)
    hamiltonian = csr_matrix((hop, (np.r_[i, j], np.r_[j, i])), (n, n))
    a, b = np.zeros((2, levels, len(chosen)))
    before, here = np.zeros((2, n, len(chosen)))
    here[chosen, columns] = 1
    for level in range(levels):
        following = hamiltonian @ here - (b[level - 1] * before if level else 0)
        a[level] = np.sum(here * following, axis=0)
        following -= a[level] * here
        b[level] = np.linalg.norm(following, axis=0)
        b[level, b[level] < 1e-6] = 0
        before, here = here, following / np.where(b[level] > 0, b[level], np.inf)
    return a, b


def ldos_per_eV(
    a_eV: Array, b_eV: Array, energies_eV: Array, broadening_eV: float = BROADENING_EV
) -> Array:
    """Densities of states of atoms, for one spin, 1/eV; shape (chosen, energies).

    Args:
        a_eV: Of `chains`, eV; shape (levels, chosen).
        b_eV: Likewise.
        energies_eV: From the Fermi level, eV; shape (energies,).
        broadening_eV: Half width that a level has, eV.
    """
    z = energies_eV[:, None] + 1j * broadening_eV
    edge = 8 * abs(HOPPING_EV)
    # Of an endless chain. Two roots, as that of their product jumps within the band.
    green = 2 * (z - np.sqrt(z - edge) * np.sqrt(z + edge)) / edge**2
    for a, b in zip(a_eV[::-1], b_eV[::-1], strict=True):
        green = 1 / (z - a - b**2 * green)
    return np.asarray(-green.imag.T / math.pi, np.float64)


def _must_be_direction(axis: tuple[int, int, int]) -> None:
    if len(axis) != 3 or not any(axis):
        raise SimulationError(f"a direction has three indices, not all of them 0, got {axis}")
