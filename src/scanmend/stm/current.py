r"""The tunnelling current between the atoms of a tip and those of a sample.

Every pair of atoms carries its own current. At a sample bias V, electrons pass between states of
equal energy, which for the sample lie :math:`\epsilon`, for the tip :math:`\epsilon - eV` above its
Fermi level, and over a distance D by a matrix element :math:`M_0 e^{-\kappa D}`:

.. math:: I = \frac{2\pi e}{\hbar} M_0^2 \sum_{ij} e^{-2\kappa D_{ij}}
              \int_0^{eV} \rho_j^T(\epsilon - eV)\, \rho_i^S(\epsilon)\, d\epsilon

The current has the sign of the bias, and is 0 without one. `direct` sums the pairs as they stand:
exact, and slow; `stm.spectral` is the fast way.

Heights z are those of the tip's origin, its apex atom as a rule, above z = 0 of the sample; x runs
along the columns' axis, y downwards.

References:
    J. Bardeen, Phys. Rev. Lett. 6, 57 (1961), doi:10.1103/PhysRevLett.6.57
    J. Tersoff and D. R. Hamann, Phys. Rev. B 31, 805 (1985), doi:10.1103/PhysRevB.31.805
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ..errors import SimulationError
from .constants import BARRIER_EV, PAIR_CURRENT_NA_PER_EV, kappa_per_nm

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Electrode:
    """Atoms and their local densities of states: a sample, or a tip.

    Attributes:
        positions_nm: x, y and z, nm; shape (atoms, 3). Those of a tip count from its apex upwards.
        energies_eV: Ascending, from the electrode's own Fermi level, eV; shape (energies,).
        ldos_per_eV: Density of states of each atom, 1/eV; shape (atoms, energies).

    Raises:
        SimulationError: Shapes that do not fit, energies out of order, a negative density, NaN.
    """

    positions_nm: Array
    energies_eV: Array
    ldos_per_eV: Array

    def __post_init__(self) -> None:
        atoms, shape = len(self.positions_nm), self.ldos_per_eV.shape
        if not atoms or self.positions_nm.shape != (atoms, 3):
            raise SimulationError(
                f"positions are x, y, z of at least one atom, got shape {self.positions_nm.shape}"
            )
        if shape != (atoms, self.energies_eV.size):
            expected = (atoms, self.energies_eV.size)
            raise SimulationError(f"the densities of states have shape {shape}, not {expected}")
        if not np.isfinite(self.positions_nm).all() or not np.all(np.diff(self.energies_eV) > 0):
            raise SimulationError("positions must be finite, and energies must ascend")
        if not (np.isfinite(self.ldos_per_eV).all() and self.ldos_per_eV.min(initial=0) >= 0):
            raise SimulationError("densities of states must be finite and not negative")

    def ldos_at(self, energies_eV: Array) -> Array:
        """Densities at other energies (linear interpolation), 1/eV; shape (atoms, energies).

        Raises:
            SimulationError: They were not calculated so far from the Fermi level.
        """
        known = self.energies_eV
        if known.size == energies_eV.size and np.abs(known - energies_eV).max() < 1e-9:
            return self.ldos_per_eV
        low, high = energies_eV.min(), energies_eV.max()
        if known.size < 2 or low < known[0] - 1e-9 or high > known[-1] + 1e-9:
            raise SimulationError(
                f"the bias asks for states from {low:.3g} to {high:.3g} eV, but the densities are "
                f"known from {known[0]:.3g} to {known[-1]:.3g} eV: calculate them further"
            )
        return self.ldos_per_eV @ _interpolation(known.tobytes(), energies_eV.tobytes())


@lru_cache(maxsize=64)
def _interpolation(known_eV: bytes, wanted_eV: bytes) -> Array:
    """What values at known energies are to be multiplied by for those at others."""
    known, wanted = np.frombuffer(known_eV), np.frombuffer(wanted_eV)
    below = np.clip(np.searchsorted(known, wanted, "right") - 1, 0, known.size - 2)
    part = (wanted - known[below]) / (known[below + 1] - known[below])
    weights, each = np.zeros((known.size, wanted.size)), np.arange(wanted.size)
    weights[below, each], weights[below + 1, each] = 1 - part, part
    return weights


@dataclass(frozen=True, slots=True, eq=False)
class Junction:
    """A tip above a sample under a bias.

    Attributes:
        sample, tip: The atoms of both.
        bias_V: Of the sample, V; positive: electrons pass into its empty states.
        barrier_eV: Height of the vacuum barrier, eV.
        coupling_eV: M0 above: the matrix element of two atoms, continued to no distance, eV.
        energies: Points at which the integral over energies is taken (trapezoidal rule).

    Raises:
        SimulationError: A bias that is not finite, a barrier or a coupling that is not positive,
            fewer than two energies.
    """

    sample: Electrode
    tip: Electrode
    bias_V: float
    barrier_eV: float = BARRIER_EV
    coupling_eV: float = 1.0
    energies: int = 30

    def __post_init__(self) -> None:
        kappa_per_nm(self.barrier_eV)
        if not math.isfinite(self.bias_V):
            raise SimulationError(f"the bias must be finite, got {self.bias_V} V")
        if not 0 < self.coupling_eV < math.inf:
            raise SimulationError(f"the coupling must be positive, got {self.coupling_eV} eV")
        if self.energies < 2:
            raise SimulationError(f"the integral takes 2 energies or more, got {self.energies}")

    @property
    def decay_per_nm(self) -> float:
        r""":math:`a = 2\kappa`, with which the current of a pair falls, 1/nm."""
        return 2 * kappa_per_nm(self.barrier_eV)

    @property
    def least_distance_nm(self) -> float:
        """Vertical, of the tip's lowest atom from the sample's highest, for the tip at z = 0."""
        return float(self.tip.positions_nm[:, 2].min() - self.sample.positions_nm[:, 2].max())

    def densities(self) -> tuple[Array, Array]:
        """What each atom brings to the integral: shapes (sample's atoms, n), (tip's atoms, n).

        Their product, summed over the n energies, is the current of a pair without distance, nA.
        """
        return self.sample_densities(self.sample), self.tip_densities()

    def sample_densities(self, sample: Electrode) -> Array:
        """Densities of the atoms of a `sample` in the window of the bias, 1/eV."""
        return sample.ldos_at(self._window())

    def tip_densities(self) -> Array:
        """Those of the tip, times all the factors before the sum and the step of energy."""
        window = self._window()
        step = np.full(self.energies, self.bias_V / (self.energies - 1))
        step[[0, -1]] /= 2
        scale = PAIR_CURRENT_NA_PER_EV * self.coupling_eV**2 * step
        return self.tip.ldos_at(window - self.bias_V) * scale

    def _window(self) -> Array:
        return np.linspace(0, self.bias_V, self.energies)


def direct(junction: Junction, x_nm: Array, y_nm: Array, z_nm: ArrayLike) -> tuple[Array, Array]:
    """The sum over all pairs, for the tip at each of `x_nm`, `y_nm` and at `z_nm`.

    Args:
        junction: Tip, sample and bias.
        x_nm: Of the columns, nm; shape (columns,).
        y_nm: Of the rows, nm; shape (rows,).
        z_nm: One height, or one for each pixel, nm; shape () or (rows, columns).

    Returns:
        The current, nA, and its derivative with z, nA/nm; shapes (rows, columns), float64.
    """
    sample, tip = junction.densities()
    heights = np.broadcast_to(np.asarray(z_nm, np.float64), (len(y_nm), len(x_nm)))
    return _sum_of_pairs(
        *(junction.sample.positions_nm, junction.tip.positions_nm, tip @ sample.T),
        *(np.asarray(x_nm, np.float64), np.asarray(y_nm, np.float64), heights),
        junction.decay_per_nm,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_of_pairs(sample, tip, weights, xs, ys, heights, decay):
    current, slope = np.zeros(heights.shape), np.zeros(heights.shape)
    for row in range(ys.size):
        for column in range(xs.size):
            for j in range(len(tip)):
                x, y = xs[column] + tip[j, 0], ys[row] + tip[j, 1]
                z = heights[row, column] + tip[j, 2]
                for i in range(len(sample)):
                    dx, dy, dz = x - sample[i, 0], y - sample[i, 1], z - sample[i, 2]
                    distance = math.sqrt(dx * dx + dy * dy + dz * dz)
                    pair = weights[j, i] * math.exp(-decay * distance)
                    current[row, column] += pair
                    slope[row, column] -= pair * decay * dz / distance
    return current, slope
