r"""Crystal lattices in the plane: where the atoms are that a tip meets.

A site is three whole numbers :math:`(n_1, n_2, s)`, its cell and its sublattice, and lies at

.. math:: r = n_1 a_1 + n_2 a_2 + \tau_s

Sites are passed on as such numbers, shape (sites, 3), and become positions at the end: what is
known about the crystal, as its Green's functions, depends on differences of cells only.

The reciprocal lattice has :math:`a_i \cdot b_j = 2\pi \delta_{ij}`; a hexagonal lattice shows its
first Bragg peaks at :math:`|b| = 4\pi / (\sqrt 3 a)`, and electrons scattered between its valleys
a :math:`\sqrt 3 \times \sqrt 3` pattern at :math:`|K| = 4\pi / 3a`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SimulationError

Array = NDArray[np.float64]
Sites = NDArray[np.int64]

_EDGE_NM = 1e-9  # an atom on the edge of a region is in it, however its position was rounded


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """A two-dimensional Bravais lattice with a basis.

    Attributes:
        vectors_nm: a1 and a2 in rows, (x, y) in columns, nm; shape (2, 2).
        basis_nm: Where the atom of each sublattice is in its cell, (x, y), nm; shape
            (sublattices, 2).

    Raises:
        SimulationError: Shapes that do not fit, or vectors that span no area.
    """

    vectors_nm: Array
    basis_nm: Array

    def __post_init__(self) -> None:
        vectors, basis = self.vectors_nm, self.basis_nm
        if vectors.shape != (2, 2) or basis.ndim != 2 or basis.shape[1] != 2 or not len(basis):
            raise SimulationError(
                "a lattice has 2 vectors and 1 or more atoms in its cell, each with x and y, got "
                f"shapes {vectors.shape} and {basis.shape}"
            )
        if not abs(self.cell_nm2) > 1e-9:
            raise SimulationError(f"the lattice vectors {vectors.tolist()} nm span no area")

    @property
    def sublattices(self) -> int:
        """How many atoms a cell has."""
        return len(self.basis_nm)

    @property
    def cell_nm2(self) -> float:
        """Area of a cell, nm2; negative where a2 lies to the other side of a1."""
        (ax, ay), (bx, by) = self.vectors_nm
        return float(ax * by - ay * bx)

    @property
    def reciprocal_per_nm(self) -> Array:
        """b1 and b2 in rows, 1/nm; shape (2, 2)."""
        return 2 * np.pi * np.linalg.inv(self.vectors_nm).T.astype(np.float64)

    @property
    def k_point_per_nm(self) -> Array:
        """K = (2 b1 + b2) / 3, a corner of the hexagonal Brillouin zone, 1/nm; shape (2,).

        Raises:
            SimulationError: a1 and a2 are not equally long and 60 degrees apart.
        """
        a, b = self.vectors_nm
        if not np.allclose((b @ b, a @ b), (a @ a, a @ a / 2), rtol=1e-9):
            raise SimulationError(
                "only a hexagonal lattice has a K point, with a1 and a2 equally long and 60 "
                f"degrees apart, got {self.vectors_nm.tolist()} nm"
            )
        return np.array((2, 1)) @ self.reciprocal_per_nm / 3

    def turned(self, angle_deg: float) -> Lattice:
        """The lattice turned about the origin, from the x axis towards the y axis."""
        c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
        turn = np.array(((c, s), (-s, c)))
        return replace(self, vectors_nm=self.vectors_nm @ turn, basis_nm=self.basis_nm @ turn)

    def positions_nm(self, sites: Sites) -> Array:
        """Where `sites`, shape (sites, 3), are: (x, y), nm; shape (sites, 2)."""
        return sites[:, :2] @ self.vectors_nm + self.basis_nm[sites[:, 2]]

    def rectangle(self, size_nm: ArrayLike, centre_nm: ArrayLike = (0, 0)) -> Sites:
        """Sites in an upright rectangle, edges included, in ascending order; shape (sites, 3).

        Args:
            size_nm: (height, width), nm.
            centre_nm: (x, y), nm.

        Raises:
            SimulationError: The size is not positive and finite.
        """
        height, width = _positive(size_nm, 2)
        sites = self._around(math.hypot(height, width) / 2, centre_nm)
        x, y = (self.positions_nm(sites) - np.asarray(centre_nm)).T
        return sites[(abs(x) <= width / 2 + _EDGE_NM) & (abs(y) <= height / 2 + _EDGE_NM)]

    def disc(self, radius_nm: float, centre_nm: ArrayLike = (0, 0)) -> Sites:
        """Sites no farther than `radius_nm` from `centre_nm` = (x, y), in ascending order.

        Raises:
            SimulationError: The radius is not positive and finite.
        """
        (radius,) = _positive(radius_nm, 1)
        sites = self._around(radius, centre_nm)
        x, y = (self.positions_nm(sites) - np.asarray(centre_nm)).T
        return sites[np.hypot(x, y) <= radius + _EDGE_NM]

    def cells_within(self, distance_nm: float) -> tuple[int, int]:
        """The most cells, along a1 and along a2, that two sites so far apart differ by."""
        extent = np.ptp(self.basis_nm, axis=0)
        spacings_nm = 2 * np.pi / np.linalg.norm(self.reciprocal_per_nm, axis=1)
        first, second = np.floor((distance_nm + np.hypot(*extent)) / spacings_nm + 1e-9).tolist()
        return int(first), int(second)

    def _around(self, radius_nm: float, centre_nm: ArrayLike) -> Sites:
        """All sites of a parallelogram of cells that holds the disc."""
        middle = np.rint(np.asarray(centre_nm) @ self.reciprocal_per_nm.T / (2 * np.pi))
        first, second = self.cells_within(radius_nm + np.hypot(*self.basis_nm.T).max())
        shape = (2 * first + 3, 2 * second + 3, self.sublattices)
        offset = (*(middle - (first + 1, second + 1)), 0)
        return np.indices(shape).reshape(3, -1).T + np.array(offset, np.int64)


def hexagonal(a_nm: float, *basis: tuple[float, float]) -> Lattice:
    """A hexagonal lattice with a1 along x and a2 at 60 degrees to it.

    Args:
        a_nm: Lattice constant, nm.
        basis: Where the atoms of a cell are, in parts of a1 and a2; one at the origin if none.
    """
    vectors = a_nm * np.array(((1, 0), (1 / 2, math.sqrt(3) / 2)))
    return Lattice(vectors, np.array(basis or ((0, 0),), float) @ vectors)


def _positive(lengths_nm: ArrayLike, n: int) -> Array:
    values = np.atleast_1d(np.asarray(lengths_nm, float))
    if values.shape != (n,) or not np.all((values > 0) & np.isfinite(values)):
        expected = "a (height, width)" if n == 2 else "a radius"
        raise SimulationError(f"sites are chosen by {expected} above 0 nm, got {lengths_nm}")
    return values


GRAPHENE = hexagonal(0.246, (0, 0), (1 / 3, 1 / 3))
"""Both sublattices, 0.142 nm apart: Castro Neto et al., doi:10.1103/RevModPhys.81.109."""

_LAYER = (0, 0), (1 / 3, 1 / 3), (0, 0)  # top chalcogen, metal, bottom chalcogen

MOS2 = hexagonal(0.3160, *_LAYER)
"""One layer: the upper sulphur atoms, molybdenum, the lower sulphur atoms straight below the upper.
Lattice constants of both as measured, after Kormanyos et al., doi:10.1088/2053-1583/2/2/022001."""

WSE2 = hexagonal(0.3282, *_LAYER)
"""One layer: the upper selenium atoms, tungsten, the lower selenium atoms."""
