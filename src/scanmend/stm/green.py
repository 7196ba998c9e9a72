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
:math:`G^0_{sd}`, and T is symmetric: half the products do.

The crystal is as periodic as its mesh: N cells on, everything begins anew. Its electrons should
not get so far: in graphene they fade as :math:`e^{-\eta r / \hbar v}`, and as :math:`\hbar v` is
0.575 eV nm, 0.4 % are left after 63 nm, the 256 cells of the default, for 0.05 eV.

Reference:
    E. N. Economou, Green's Functions in Quantum Physics, 3rd edition, Springer (2006), chapter 6
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ..crystals.lattice import Array, Sites
from ..crystals.tight_binding import TightBinding
from ..errors import SimulationError

BROADENING_EV = 0.05  #: [eV] half width of a level: temperature, modulation and lifetime


class LatticeGreen:
    """The Green's functions of a perfect crystal; made once, they serve any defects.

    Args:
        crystal: The perfect crystal.
        energies_eV: Where densities are wanted, eV; shape (energies,).
        reach_nm: No atom and defect, and no two defects, will be farther apart, nm.
        broadening_eV: Half width of each level, eV.
        mesh: N above, wave vectors along b1 and along b2.
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
        mesh: int = 256,
        single: bool = False,
    ) -> None:
        self.crystal = crystal
        self.energies_eV = np.atleast_1d(np.asarray(energies_eV, np.float64))
        if not self.energies_eV.size or not np.isfinite(self.energies_eV).all():
            raise SimulationError(f"energies must be finite, and one at least, got {energies_eV}")
        sizes = {"reach_nm": reach_nm, "broadening_eV": broadening_eV, "mesh": mesh}
        for name, value in sizes.items():
            if not 0 < value < np.inf:
                raise SimulationError(f"{name} must be positive and finite, got {value}")
        self._cells = crystal.lattice.cells_within(reach_nm)
        dtype = np.complex64 if single else np.complex128
        self._table = self._transformed(broadening_eV, mesh, dtype)
        origin = np.zeros((crystal.lattice.sublattices, 3), np.int64)
        origin[:, 2] = np.arange(len(origin))
        local = np.diagonal(self._table[self._rows(origin, origin)]).T
        shape = (len(origin), crystal.orbitals, -1)
        self._perfect_ldos = -local.imag.astype(np.float64).reshape(shape).sum(axis=1) / np.pi

    def ldos_per_eV(
        self, sites: Sites, defects: Sites | None = None, shifts_eV: ArrayLike = ()
    ) -> Array:
        """Densities of states of one spin on each atom, summed over its orbitals.

        Args:
            sites: Atoms, as `Lattice` counts them; shape (sites, 3).
            defects: Those that differ from the perfect crystal's; shape (defects, 3).
            shifts_eV: Of their on-site energies, eV, `VACANCY_EV` for atoms that are missing;
                shape (defects,).

        Returns:
            1/eV, 0 where atoms are missing; shape (sites, energies).

        Raises:
            SimulationError: Sites that are none of the lattice, a defect named twice, shifts that
                do not fit, or sites beyond reach.
        """
        sites = self._checked("sites", sites)
        defects = self._checked("defects", () if defects is None else defects)
        shifts = np.asarray(shifts_eV, np.float64)
        if shifts.shape != (len(defects),) or np.isnan(shifts).any():
            raise SimulationError(
                f"{len(defects)} defects need as many on-site shifts, in eV, got {shifts_eV}"
            )
        if len(set(map(tuple, defects.tolist()))) < len(defects):
            raise SimulationError(f"a site has one defect at most, got {defects.tolist()}")
        defects, shifts = defects[shifts != 0], shifts[shifts != 0]

        ldos = self._perfect_ldos[sites[:, 2]]
        if not len(defects) or not len(sites):
            return ldos
        scattered = _scattered(self._table, self._rows(sites, defects), self._t(defects, shifts))
        ldos -= scattered.reshape(len(sites), self.crystal.orbitals, -1).sum(axis=1) / np.pi
        missing = defects[np.isinf(shifts)]
        ldos[(sites[:, None] == missing).all(axis=2).any(axis=1)] = 0
        return ldos

    def _transformed(
        self, broadening_eV: float, mesh: int, dtype: type[np.complexfloating]
    ) -> NDArray[np.complexfloating]:
        """G0 between two orbitals in each row: cell along a1, along a2, orbital i, orbital j."""
        lattice, (first, second) = self.crystal.lattice, self._cells
        k_per_nm = np.moveaxis(np.indices((mesh, mesh)), 0, -1) / mesh @ lattice.reciprocal_per_nm
        bands, states = np.linalg.eigh(self.crystal.hamiltonian_eV(k_per_nm))
        n = bands.shape[-1]
        window = np.ix_(np.arange(-first, first + 1) % mesh, np.arange(-second, second + 1) % mesh)
        energies = self.energies_eV + 1j * broadening_eV
        table = np.empty((2 * first + 1, 2 * second + 1, n, n, len(energies)), dtype)
        for i in range(n):
            for j in range(n):
                product = states[..., i, :] * states[..., j, :].conj()
                for e, z in enumerate(energies):
                    table[:, :, i, j, e] = np.fft.fft2((product / (z - bands)).sum(-1))[window]
        return (table / mesh**2).reshape(-1, len(energies))

    def _rows(self, sites: Sites, others: Sites) -> NDArray[np.int64]:
        """Of the table, from each orbital of `sites` to each one of `others`, in a matrix."""
        cells, other_cells = sites[:, :2], others[:, :2]
        apart = np.maximum(
            other_cells.max(axis=0) - cells.min(axis=0), cells.max(axis=0) - other_cells.min(axis=0)
        )
        if (apart > self._cells).any():
            raise SimulationError(
                f"sites and defects are up to {apart.tolist()} cells apart, but the Green's "
                f"functions reach {list(self._cells)}: make them with a larger reach_nm"
            )
        first, second = self._cells
        n, each = len(self.crystal.hoppings_eV[0, 0]), np.arange(self.crystal.orbitals)

        # A row's number is linear in both cells, so that it is a difference of two numbers.
        def cell(sites: Sites) -> Sites:
            return (sites[:, :1] * (2 * second + 1) + sites[:, 1:2]) * n * n

        def orbital(sites: Sites) -> Sites:
            return sites[:, 2:] * len(each) + each

        middle = (first * (2 * second + 1) + second) * n * n
        to = (cell(others) + orbital(others)).ravel()
        return middle + to - (cell(sites) - orbital(sites) * n).reshape(-1, 1)

    def _t(self, defects: Sites, shifts_eV: Array) -> NDArray[np.complex128]:
        """The T-matrix; shape (defect orbitals, defect orbitals, energies)."""
        g = np.moveaxis(self._table[self._rows(defects, defects)], -1, 0).astype(np.complex128)
        inverse = np.diag(np.repeat(1 / shifts_eV, self.crystal.orbitals))
        t: NDArray[np.complex128] = np.linalg.inv(inverse - g).astype(np.complex128)
        return np.ascontiguousarray(np.moveaxis(t, 0, -1))

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
        return numbers.astype(np.int64)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _scattered(table, rows, t):
    """Im(G_sd T G_ds) of each orbital s; shape (orbitals, energies)."""
    orbitals, defects = rows.shape
    n = table.shape[1]
    # Real and imaginary parts apart, energies last: so the loops over them become SIMD.
    t_re, t_im = t.real.copy(), t.imag.copy()
    for a in range(defects):
        for b in range(a + 1, defects):  # G and T are symmetric: a, b stands for b, a too
            t_re[a, b] *= 2
            t_im[a, b] *= 2
    out = np.zeros((orbitals, n))
    re, im = np.empty((defects, n)), np.empty((defects, n))
    for s in range(orbitals):
        total = out[s]
        for a in range(defects):
            g = table[rows[s, a]]
            for e in range(n):
                re[a, e], im[a, e] = g[e].real, g[e].imag
        for a in range(defects):
            re_a, im_a = re[a], im[a]
            for b in range(a, defects):
                re_b, im_b, p, q = re[b], im[b], t_re[a, b], t_im[a, b]
                for e in range(n):
                    total[e] += q[e] * (re_a[e] * re_b[e] - im_a[e] * im_b[e])
                    total[e] += p[e] * (re_a[e] * im_b[e] + im_a[e] * re_b[e])
    return out
