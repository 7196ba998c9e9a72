r"""Local densities of states around point defects, by T-matrix: no supercell, no edges.

The perfect crystal's Green's function depends on a difference of cells only, and is one Fourier
transform over N x N wave vectors:

.. math:: G^0_{ij}(R; z) = \frac{1}{N^2} \sum_k e^{-ik \cdot R} [z - H(k)]^{-1}_{ij},
          \qquad z = E + i\eta

Defects are a potential V on a few orbitals. What they add follows from the Green's functions
between them (dd), and between each atom and them (sd, ds), without approximation:

.. math:: G = G^0 + G^0_{sd} T G^0_{ds}, \qquad T = (V^{-1} - G^0_{dd})^{-1}, \qquad
          \rho_s(E) = -\frac{1}{\pi} \operatorname{Im} G_{ss}

On a dopant :math:`V^{-1}` is 1 over its on-site shift; an atom that is missing has an infinite
shift, so that :math:`V^{-1} = 0`. As hoppings are real, :math:`G^0_{ds}` is the transpose of
:math:`G^0_{sd}`: with :math:`T^{-1} = L D L^T`, each atom costs half a matrix,
:math:`G^0_{sd} T G^0_{ds} = w^T D^{-1} w` of :math:`w = L^{-1} G^0_{ds}`. No pivots are sought, as
the imaginary part of :math:`T^{-1}` is positive definite.

The crystal is as periodic as its mesh: N cells on, everything begins anew. Its electrons should
not get so far: they fade as :math:`e^{-\eta r / \hbar v}`, and in graphene, where
:math:`\hbar v` is 0.575 eV nm, 0.4 % are left after 63 nm, 256 cells, for 0.05 eV.

Reference:
    E. N. Economou, Green's Functions in Quantum Physics, 3rd edition, Springer (2006), chapter 6
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ..crystals.lattice import Array, Sites
from ..crystals.tight_binding import TightBinding
from ..errors import SimulationError

MOST_BYTES = 4_000_000_000  #: of a table
BROADENING_EV = 0.05  #: [eV] half width of a level: temperature, modulation and lifetime


class LatticeGreen:
    """The Green's functions of a perfect crystal; made once, they serve any defects.

    Args:
        crystal: The perfect crystal.
        energies_eV: Where densities are wanted, eV; shape (energies,).
        reach_nm: No atom and defect, and no two defects, will be farther apart, nm.
        broadening_eV: Half width of each level, eV.
        mesh: N above, wave vectors along b1 and along b2; if not given, so many that 0.4 % of the
            fastest electrons get so far.
        single: Tables in complex64: half the memory, and errors of about 1e-6.

    Raises:
        SimulationError: No energies, or a length, width or mesh that is not positive.
    """

    def __init__(
        self,
        crystal: TightBinding,
        energies_eV: ArrayLike,
        reach_nm: float,
        broadening_eV: float = BROADENING_EV,
        mesh: int | None = None,
        single: bool = False,
    ) -> None:
        self.crystal = crystal
        self.energies_eV = np.atleast_1d(np.asarray(energies_eV, np.float64))
        if not self.energies_eV.size or not np.isfinite(self.energies_eV).all():
            raise SimulationError(f"energies must be finite, and one at least, got {energies_eV}")
        sizes = {"reach_nm": reach_nm, "broadening_eV": broadening_eV}
        if mesh is not None:
            sizes["mesh"] = mesh
        for name, value in sizes.items():
            if not 0 < value < np.inf:
                raise SimulationError(f"{name} must be positive and finite, got {value}")
        self._cells = crystal.lattice.cells_within(reach_nm)
        mesh = mesh or self._faded(broadening_eV)
        n = sum(crystal.orbitals)
        self._first_orbital = np.cumsum((0, *crystal.orbitals))
        first, second = np.triu_indices(n)
        self._pairs = np.empty((n, n), np.int64)
        self._pairs[first, second] = self._pairs[second, first] = np.arange(first.size)
        self._table = self._transformed(broadening_eV, mesh, np.complex64 if single else complex)
        here = self._table[:, np.diag(self._pairs), self._table.shape[2] // 2].imag
        up_to = np.pad(here.cumsum(axis=1, dtype=np.float64), ((0, 0), (1, 0)))
        self._perfect_ldos = -np.diff(up_to[:, self._first_orbital]) / np.pi

    @property
    def bytes(self) -> int:
        """What the tables take, bytes."""
        return self._table.nbytes

    def ldos_per_eV(
        self,
        sites: Sites,
        defects: Sites | None = None,
        shifts_eV: ArrayLike = (),
        energies: slice = slice(None),
    ) -> Array:
        """Densities of states of one spin on each atom, summed over its orbitals.

        Args:
            sites: Atoms, as `Lattice` counts them; shape (sites, 3).
            defects: Those that differ from the perfect crystal's; shape (defects, 3).
            shifts_eV: Of the on-site energies of all their orbitals, eV, `VACANCY_EV` for atoms
                that are missing; shape (defects,).
            energies: Which of `energies_eV` are wanted, one after the other.

        Returns:
            1/eV, 0 where atoms are missing or have no orbitals; shape (sites, energies).

        Raises:
            SimulationError: Sites that are none of the lattice, a defect named twice or without
                orbitals, shifts that do not fit, or sites beyond reach.
        """
        sites = self._checked("sites", sites)
        defects = self._checked("defects", () if defects is None else defects)
        shifts = np.asarray(shifts_eV, np.float64)
        if shifts.shape != (len(defects),) or np.isnan(shifts).any():
            raise SimulationError(
                f"{len(defects)} defects need as many on-site shifts, in eV, got {shifts_eV}"
            )
        named = list(map(tuple, defects.tolist()))
        if len(set(named)) < len(named):
            raise SimulationError(f"a site has one defect at most, got {named}")
        if not all(self.crystal.orbitals[sublattice] for *_, sublattice in named):
            raise SimulationError(
                f"atoms without orbitals scatter no electrons, but defects are at {named}, and "
                f"atoms of the sublattices have {self.crystal.orbitals} orbitals"
            )
        defects, shifts = defects[shifts != 0], shifts[shifts != 0]

        if len(sites):
            self._within_reach(sites, defects)
        known = self._table[energies], self._perfect_ldos[energies]
        layout = self._pairs, self._first_orbital, 2 * self._cells[1] + 1
        return _ldos(*known, *layout, sites, defects, 1 / shifts).T

    def _faded(self, broadening_eV: float) -> int:
        """After how many cells 0.4 % of the fastest electrons are left, or a few more."""
        lattice, step_per_nm = self.crystal.lattice, 1e-3
        k_per_nm = (np.indices((24, 24)).reshape(2, -1).T + 0.5) / 24 @ lattice.reciprocal_per_nm
        steps = step_per_nm * np.array(((0, 0), (1, 0), (0, 1)))
        bands, *moved = self.crystal.bands_eV(k_per_nm + steps[:, None])
        velocity_eV_nm = np.hypot(*(np.array(moved) - bands)) / step_per_nm
        low, high = self.energies_eV.min() - broadening_eV, self.energies_eV.max() + broadening_eV
        near = velocity_eV_nm[(bands > low) & (bands < high)]
        fastest = near.max(initial=0)  # in a gap, nothing gets far
        apart_nm = np.linalg.norm(lattice.vectors_nm, axis=1).min()
        cells = -math.log(0.004) * fastest / (broadening_eV * apart_nm)
        least = max(math.ceil(cells), 2 * max(self._cells) + 1, 48)
        return int(scipy.fft.next_fast_len(least) or least)

    def _transformed(
        self, broadening_eV: float, mesh: int, dtype: type[np.complexfloating | complex]
    ) -> NDArray[np.complexfloating]:
        """G0 at each energy between orbitals i <= j, each cell of j seen from that of i."""
        lattice, (first, second) = self.crystal.lattice, self._cells
        k_per_nm = np.moveaxis(np.indices((mesh, mesh)), 0, -1) / mesh @ lattice.reciprocal_per_nm
        bands, states = np.linalg.eigh(self.crystal.hamiltonian_eV(k_per_nm))
        z = self.energies_eV + 1j * broadening_eV
        resolvent = (1 / (mesh**2 * (z - bands[..., None]))).astype(dtype)
        states = states.astype(dtype)
        rows, columns = (np.arange(-cells, cells + 1) % mesh for cells in (first, second))
        pairs = np.transpose(np.triu_indices(bands.shape[-1]))
        size = z.size * len(pairs) * len(rows) * len(columns) * np.dtype(dtype).itemsize
        if size > MOST_BYTES:
            raise SimulationError(
                f"Green's functions of {bands.shape[-1]} orbitals in {len(rows)} x {len(columns)} "
                f"cells at {z.size} energies take {size / 1e9:.3g} GB: scan a smaller frame, or "
                "choose electrons with fewer orbitals"
            )
        table = np.empty((z.size, len(pairs), len(rows), len(columns)), dtype)
        for some in np.array_split(np.arange(len(pairs)), math.ceil(len(pairs) / 4)):
            i, j = pairs[some].T
            g = states[..., i, :] * states[..., j, :].conj() @ resolvent
            # What is out of reach along one axis is not transformed along the other.
            g = np.asarray(scipy.fft.fft(g, axis=1, overwrite_x=True))[:, columns]
            g = np.asarray(scipy.fft.fft(g, axis=0, overwrite_x=True))[rows]
            table[:, some] = np.moveaxis(g, (2, 3), (1, 0))
        return table.reshape(z.size, len(pairs), -1)

    def _within_reach(self, sites: Sites, defects: Sites) -> None:
        apart = _cells_apart(sites, defects)
        if apart[0] > self._cells[0] or apart[1] > self._cells[1]:
            raise SimulationError(
                f"sites and defects are up to {list(apart)} cells apart, but the Green's "
                f"functions reach {list(self._cells)}: make them with a larger reach_nm"
            )

    def _checked(self, what: str, sites: ArrayLike) -> Sites:
        numbers = np.asarray(sites)
        if not numbers.size:
            return np.empty((0, 3), np.int64)
        known = self.crystal.lattice.sublattices
        if numbers.ndim != 2 or numbers.shape[1] != 3 or numbers.dtype.kind not in "iu":
            raise SimulationError(
                f"{what} are whole numbers (n1, n2, sublattice), one site a row, got {sites!r}"
            )
        if not 0 <= numbers[:, 2].min() <= numbers[:, 2].max() < known:
            raise SimulationError(f"{what} are on sublattices 0 to {known - 1}, got {sites!r}")
        return np.ascontiguousarray(numbers, np.int64)


_COMPILED = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


@njit(**_COMPILED)
def _ldos(table, perfect, pairs, first_orbital, stride, sites, defects, inverse):
    """Densities of states, of the perfect crystal's and V^-1; shape (energies, sites)."""
    site, orbital = _orbitals(first_orbital, sites)
    defect, other = _orbitals(first_orbital, defects)
    here = sites[:, 0] * stride + sites[:, 1]
    there = defects[:, 0] * stride + defects[:, 1]
    middle, cells = table.shape[2] // 2, table.shape[2]
    planes = table.reshape(table.shape[0], -1)
    between = np.empty((other.size, other.size), np.uint32)
    rows = np.empty((other.size, orbital.size), np.uint32)
    for a in range(other.size):
        for b in range(other.size):
            apart = there[defect[a]] - there[defect[b]]
            apart = apart if other[b] <= other[a] else -apart
            between[a, b] = pairs[other[b], other[a]] * cells + middle + apart
        for s in range(orbital.size):
            apart = there[defect[a]] - here[site[s]]
            apart = apart if orbital[s] <= other[a] else -apart
            rows[a, s] = pairs[orbital[s], other[a]] * cells + middle + apart

    m, n, dtype = other.size, orbital.size, table.real.dtype
    exact, factors = np.empty((m, m), np.complex128), np.empty((m, m), table.dtype)
    re, im, added = np.empty((m, n), dtype), np.empty((m, n), dtype), np.empty(n, dtype)
    ldos = np.empty((len(planes), len(sites)))
    for e in range(len(planes)):
        plane, row = planes[e], ldos[e]
        _factorise(plane, between, inverse[defect], exact)
        factors[:] = exact
        _one_energy(plane, rows, factors, re, im, added)
        for s in range(len(sites)):
            row[s] = perfect[e, sites[s, 2]]
        for s in range(n):
            row[site[s]] -= added[s] / np.pi
    for d in range(len(defects)):
        for s in range(len(sites)):
            if inverse[d] == 0 and here[s] == there[d] and sites[s, 2] == defects[d, 2]:
                ldos[:, s] = 0
    return ldos


@njit(**_COMPILED)
def _cells_apart(sites, defects):
    """The most cells along a1, and along a2, from any site or defect to any defect."""
    first = second = 0
    for d in range(len(defects)):
        for others in (sites, defects):
            for s in range(len(others)):
                first = max(first, abs(others[s, 0] - defects[d, 0]))
                second = max(second, abs(others[s, 1] - defects[d, 1]))
    return first, second


@njit(**_COMPILED)
def _orbitals(first_orbital, sites):
    """Which site, by its row, and which orbital of a cell each orbital of `sites` is."""
    n = 0
    for _, _, sublattice in sites:
        n += first_orbital[sublattice + 1] - first_orbital[sublattice]
    site, orbital = np.empty(n, np.int64), np.empty(n, np.int64)
    n = 0
    for s in range(len(sites)):
        for i in range(first_orbital[sites[s, 2]], first_orbital[sites[s, 2] + 1]):
            site[n], orbital[n] = s, i
            n += 1
    return site, orbital


@njit(**_COMPILED)
def _factorise(plane, between, inverse, factors):
    """Fills in L of 1/T = L D L^T below the diagonal, and 1/D on it."""
    for b in range(len(between)):
        for a in range(b, len(between)):
            x = -np.complex128(plane[between[a, b]])
            for c in range(b):
                x -= factors[a, c] * factors[c, b]
            if a == b:
                factors[b, b] = 1 / (x + inverse[b])
            else:
                factors[a, b] = x * factors[b, b]
                factors[b, a] = x  # L D, transposed: of use below only


@njit(**_COMPILED)
def _one_energy(plane, rows, factors, re, im, added):
    """Fills in Im(G_sd T G_ds) of each orbital s; its G_sd are in the columns of `rows`."""
    m, n = rows.shape
    added[:] = 0
    for a in range(m):
        x, y, row = re[a], im[a], rows[a]
        for s in range(n):
            g = plane[row[s]]
            x[s], y[s] = g.real, g.imag
        # Each loop writes to one array only, and so becomes SIMD; two rows at a time are fastest.
        for b in range(0, a - 1, 2):
            first, second = factors[a, b], factors[a, b + 1]
            p, q, r, t = first.real, first.imag, second.real, second.imag
            x_b, y_b, x_c, y_c = re[b], im[b], re[b + 1], im[b + 1]
            for s in range(n):
                x[s] -= p * x_b[s] - q * y_b[s] + r * x_c[s] - t * y_c[s]
            for s in range(n):
                y[s] -= p * y_b[s] + q * x_b[s] + r * y_c[s] + t * x_c[s]
        if a % 2:
            p, q = factors[a, a - 1].real, factors[a, a - 1].imag
            x_b, y_b = re[a - 1], im[a - 1]
            for s in range(n):
                x[s] -= p * x_b[s] - q * y_b[s]
            for s in range(n):
                y[s] -= p * y_b[s] + q * x_b[s]
        p, q = factors[a, a].real, factors[a, a].imag
        for s in range(n):
            added[s] += p * (x[s] * y[s] + x[s] * y[s]) + q * (x[s] * x[s] - y[s] * y[s])
