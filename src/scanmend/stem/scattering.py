r"""How strongly an atom scatters a focused beam onto an annular detector, and how sharp it appears.

An atom turns the beam's phase by :math:`\sigma V(r)`, and scatters it with the amplitude

.. math:: T(q) = 2\pi \int_0^\infty (e^{i \sigma V(r)} - 1) J_0(2\pi q r)\, r\, dr.

Of a probe whose waves k fill the aperture, the annulus D gets, at the spatial frequency K of the
image, the probe's transfer function times

.. math:: F(K) = \Big\langle \int_D T(q - k)\, T^*(q - k + K)\, d^2q \Big\rangle_k

averaged over those k for which k - K is in the aperture, too. Two atoms of a column, :math:`\Delta
z` apart along the beam, scatter together what their vibration of rms u leaves coherent (Treacy and
Gibson); this adds to the strength :math:`F(0)` of both

.. math:: p = \Re \Big\langle \int_D T_1(s) T_2^*(s)\, e^{-i \pi \lambda \Delta z (q^2 - k^2)}
          e^{-(2\pi u s)^2} J_0(2\pi \rho s)\, d^2q \Big\rangle_k, \qquad s = q - k,

where :math:`\rho` is how far they are apart across the beam. The first is a lens, too: at the
second, waves of unit amplitude have the intensity

.. math:: g = \Big\langle \Big| 1 + 2\pi \int T_1(s)\, e^{-i \pi \lambda \Delta z s^2}
          e^{-(2\pi u s)^2} J_0(2\pi |\lambda \Delta z k + \rho| s)\, s\, ds \Big|^2 \Big\rangle_k,

with the lengths of :math:`\lambda \Delta z k` and :math:`\rho` taken as at right angles. Of
:math:`g - 1` multislice calculations show the part `LENS`, which is fitted to pairs of S and of Se;
that is all that is fitted (`benchmarks/stem_multislice.py`).

Lengths are nm, and :math:`q = \vartheta / \lambda` in 1/nm. What is left out: scattering in more
than two atoms, and interference between columns.

References:
    M. M. J. Treacy, J. M. Gibson, Ultramicroscopy 52, 31 (1993)
    I. Lobato, D. Van Dyck, Acta Cryst. A 70, 636 (2014)
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from scipy import constants
from scipy.interpolate import CubicSpline
from scipy.special import j0, k0

from ..errors import SimulationError

Array = NDArray[np.float64]

LENS = 0.6  #: of what an atom adds to the wave at the next of its column, as fitted

_STEP_PER_NM = 0.5
_Q_PER_NM = np.arange(0, 160 + _STEP_PER_NM, _STEP_PER_NM)
_R_NM = np.concatenate([np.geomspace(1e-7, 1e-3, 300)[:-1], np.arange(1e-3, 1.2, 5e-4)])
_WAVES, _RINGS, _SPOKES, _FREQUENCIES = 9, 20, 32, 14


def wavelength_nm(voltage_kV: float) -> float:
    """Of electrons of that energy, nm; relativistic."""
    energy = voltage_kV * 1e3 * constants.e
    rest = constants.m_e * constants.c**2
    momentum = math.sqrt(energy * (energy + 2 * rest)) / constants.c
    return constants.h / momentum * 1e9


def phase_per_V_nm(voltage_kV: float) -> float:
    """By how much 1 V over 1 nm turns the phase of such electrons, rad."""
    energy, rest = voltage_kV * 1e3 * constants.e, constants.m_e * constants.c**2
    mass = constants.m_e * (1 + energy / rest)
    wavelength = wavelength_nm(voltage_kV) * 1e-9
    return 2 * math.pi * mass * constants.e * wavelength / constants.h**2 * 1e-9


@lru_cache(maxsize=1)
def _table() -> tuple[Array, dict[str, Array]]:
    """Screening, 1/nm, and terms of each element, V nm, by `benchmarks/stem_atoms.py`."""
    text = (resources.files("scanmend.stem") / "atoms.csv").read_text(encoding="utf-8")
    (_, *screening), *rows = csv.reader(text.splitlines())
    return np.array(screening, float), {symbol: np.array(a, float) for symbol, *a in rows}


def elements() -> list[str]:
    """Symbols of all elements that are known, in the order of their atomic numbers."""
    return list(_table()[1])


@lru_cache(maxsize=1)
def _waves() -> Array:
    """What turns a function of r into its transform; shape (q, r)."""
    return 2 * np.pi * j0(2 * np.pi * np.outer(_Q_PER_NM, _R_NM)) * _R_NM * np.gradient(_R_NM)


@lru_cache(maxsize=256)
def amplitude_nm2(symbol: str, voltage_kV: float) -> NDArray[np.complex128]:
    """T at multiples of 0.5/nm, nm2.

    Raises:
        SimulationError: There is no such element.
    """
    screening, terms = _table()
    if symbol not in terms:
        raise SimulationError(
            f'no element {symbol!r} is known; there are H to {list(terms)[-1]}, as in "Mo"'
        )
    potential = k0(np.outer(_R_NM, screening)) @ terms[symbol]
    return _waves() @ np.expm1(1j * phase_per_V_nm(voltage_kV) * potential)


@dataclass(frozen=True, slots=True)
class Optics:
    """What decides how atoms scatter: beam and detector.

    Attributes:
        voltage_kV: Of the beam, kV.
        semiangle_mrad: Of its convergence, mrad.
        inner_mrad, outer_mrad: Of the detector, mrad.

    Raises:
        SimulationError: Not 20 to 400 kV, no aperture, or a detector that the direct beam meets.
    """

    voltage_kV: float
    semiangle_mrad: float
    inner_mrad: float
    outer_mrad: float

    def __post_init__(self) -> None:
        if not 20 <= self.voltage_kV <= 400:
            raise SimulationError(f"a beam has 20 to 400 kV, got {self.voltage_kV:g} kV")
        if not 0 < self.semiangle_mrad <= self.inner_mrad < self.outer_mrad:
            raise SimulationError(
                "a dark-field detector lies outside the beam: 0 < semiangle <= inner < outer, got "
                f"{self.semiangle_mrad:g}, {self.inner_mrad:g} and {self.outer_mrad:g} mrad"
            )
        reach = (self.outer_mrad + self.semiangle_mrad) / 1e3 / self.wavelength_nm
        if reach > _Q_PER_NM[-1]:
            most = _Q_PER_NM[-1] * self.wavelength_nm * 1e3 - self.semiangle_mrad
            raise SimulationError(
                f"at {self.voltage_kV:g} kV a detector may reach to {most:.0f} mrad, got "
                f"{self.outer_mrad:g} mrad"
            )

    @property
    def wavelength_nm(self) -> float:
        """Of the beam, nm."""
        return wavelength_nm(self.voltage_kV)

    @property
    def cutoff_per_nm(self) -> float:
        """The spatial frequency up to which an image has anything: twice the aperture, 1/nm."""
        return 2e-3 * self.semiangle_mrad / self.wavelength_nm


@lru_cache(maxsize=64)
def form(symbol: str, optics: Optics) -> CubicSpline:
    """F of an element, nm2, as a function of K from 0 to the cut-off, 1/nm."""
    amplitude = amplitude_nm2(symbol, optics.voltage_kV)
    k, q, weights = _directions(optics)
    K = np.linspace(0, 0.97 * optics.cutoff_per_nm, _FREQUENCIES)
    aperture = optics.cutoff_per_nm / 2
    F = np.empty(K.size)
    for i, one in enumerate(K):
        # Every wave of a thin lens counts: the grid is laid over it.
        wide, high = aperture - one / 2, math.sqrt(aperture**2 - one**2 / 4)
        x, y = one / 2 + k[0] * wide, k[1] * high
        both = (np.hypot(x, y) <= aperture) & (np.hypot(x - one, y) <= aperture)
        s, t = q[0] - x[both, None], q[1] - y[both, None]
        product = _at(amplitude, np.hypot(s, t)) * _at(amplitude, np.hypot(s + one, t)).conj()
        F[i] = (product.real @ weights).mean()
    return CubicSpline(K, F)


@lru_cache(maxsize=4096)
def pair_nm2(
    first: str, second: str, aside_nm: float, along_nm: float, vibration_nm: float, optics: Optics
) -> float:
    """p of two atoms of a column, nm2.

    Args:
        first, second: Their elements.
        aside_nm: How far apart they are across the beam, nm.
        along_nm: By how much the beam meets the second later, nm.
        vibration_nm: Rms of each along one axis, nm.
        optics: Beam and detector.
    """
    k, q, weights = _directions(optics)
    x, y = k[:, np.hypot(*k) <= 1] * optics.cutoff_per_nm / 2
    s = np.hypot(q[0] - x[:, None], q[1] - y[:, None])
    one, other = (_at(amplitude_nm2(e, optics.voltage_kV), s) for e in (first, second))
    longer = np.hypot(*q) ** 2 - (x**2 + y**2)[:, None]
    turn = np.exp(-1j * np.pi * optics.wavelength_nm * along_nm * longer)
    left = np.exp(-((2 * np.pi * vibration_nm * s) ** 2)) * j0(2 * np.pi * aside_nm * s)
    return float(((one * other.conj() * turn * left).real @ weights).mean())


@lru_cache(maxsize=4096)
def focused(
    first: str, aside_nm: float, along_nm: float, vibration_nm: float, optics: Optics
) -> float:
    """By how much an atom brightens the one after it, a factor: 1 + `LENS` (g - 1).

    Args:
        first: The element that the beam meets first.
        aside_nm, along_nm: How far the other is from it, across the beam and along it, nm.
        vibration_nm: Rms of each along one axis, nm.
        optics: Beam and detector.
    """
    k = optics.cutoff_per_nm / 2 * np.sqrt((np.arange(_WAVES) + 0.5) / _WAVES)
    turn = np.exp(-1j * np.pi * optics.wavelength_nm * along_nm * _Q_PER_NM**2)
    left = np.exp(-((2 * np.pi * vibration_nm * _Q_PER_NM) ** 2))
    apart = np.hypot(optics.wavelength_nm * along_nm * k, aside_nm)[:, None]
    waves = 2 * np.pi * _Q_PER_NM * j0(2 * np.pi * apart * _Q_PER_NM)
    scattered = waves @ (amplitude_nm2(first, optics.voltage_kV) * turn * left) * _STEP_PER_NM
    return 1 + LENS * float((np.abs(1 + scattered) ** 2).mean() - 1)


@lru_cache(maxsize=16)
def _directions(optics: Optics) -> tuple[NDArray[np.floating], ...]:
    """Waves in a unit square, (2, waves); directions to the detector, 1/nm, (2, q); weights, 1/nm2.

    Rings are Gauss-Legendre nodes in log q, as what is scattered falls by a power of q.
    """
    k = (np.indices((_WAVES, _WAVES)).reshape(2, -1) - (_WAVES - 1) / 2) / (_WAVES / 2)
    rings: tuple[Array, Array] = np.polynomial.legendre.leggauss(_RINGS)
    node, weight = rings
    low, high = (
        math.log(a / 1e3 / optics.wavelength_nm) for a in (optics.inner_mrad, optics.outer_mrad)
    )
    radius = np.exp((low + high) / 2 + (high - low) / 2 * node)
    turn = 2 * np.pi * np.arange(_SPOKES) / _SPOKES
    q = np.stack([np.outer(radius, np.cos(turn)), np.outer(radius, np.sin(turn))]).reshape(2, -1)
    area = np.repeat((high - low) / 2 * weight * radius**2 * 2 * np.pi / _SPOKES, _SPOKES)
    return k, q, area


def _at(amplitude: NDArray[np.complex128], q_per_nm: Array) -> NDArray[np.complex128]:
    """Between the multiples of `_STEP_PER_NM`, linear."""
    place = q_per_nm / _STEP_PER_NM
    below = place.astype(np.int64)
    part = place - below
    return amplitude[below] * (1 - part) + amplitude[below + 1] * part
