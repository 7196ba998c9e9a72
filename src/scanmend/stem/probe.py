r"""The probe: what an image passes on of every spatial frequency.

Waves k fill the aperture :math:`|k| \le k_0 = \alpha / \lambda`, with the phase

.. math:: \chi(k) = \pi \lambda \Delta f\, k^2 + \tfrac{\pi}{2} C_s \lambda^3 k^4,

and the intensity of the probe has the transform

.. math:: H(K) = \frac{e^{-2 \pi^2 s^2 K^2}}{\pi k_0^2}
          \int \cos\big(\chi(k + K/2) - \chi(k - K/2)\big)\, d^2k

over all k for which both are in the aperture; s is the standard deviation of the source as it
appears on the specimen. It is 1 at K = 0, and 0 from :math:`2 k_0` on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import j0

from ..errors import SimulationError
from .scattering import Optics

Array = NDArray[np.float64]

FWHM = 2 * math.sqrt(2 * math.log(2))  #: of a Gaussian, in standard deviations
_FREQUENCIES, _NODES = 65, 48
_MOST_TURNS = 12  #: of the phase at the rim, so that the nodes follow it


@dataclass(frozen=True, slots=True)
class Probe:
    """A focused beam with round aberrations.

    Attributes:
        optics: Its voltage and aperture.
        defocus_nm: By which the focus lies beyond the specimen, nm.
        cs_um: Spherical aberration, micrometres.
        source_nm: Full width at half maximum of the source on the specimen, nm.

    Raises:
        SimulationError: The aberrations turn the phase too often, or the source is no length.
    """

    optics: Optics
    defocus_nm: float = 0.0
    cs_um: float = 0.0
    source_nm: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.source_nm < math.inf:
            raise SimulationError(f"a source is 0 nm wide or more, got {self.source_nm:g} nm")
        k = np.linspace(0, self._rim_per_nm, 200)
        turns = float(np.ptp(self._phase(k))) / (2 * math.pi)
        if not turns <= _MOST_TURNS:
            raise SimulationError(
                f"a defocus of {self.defocus_nm:g} nm and Cs = {self.cs_um:g} um turn the phase "
                f"{turns:.3g} times within {self.optics.semiangle_mrad:g} mrad, and no more than "
                f"{_MOST_TURNS} can be followed: focus, or take a smaller aperture"
            )

    @property
    def _rim_per_nm(self) -> float:
        return self.optics.cutoff_per_nm / 2

    def _phase(self, k_per_nm: Array) -> Array:
        x = k_per_nm**2 * self.optics.wavelength_nm
        return np.pi * x * (self.defocus_nm + self.cs_um * 1e3 * self.optics.wavelength_nm * x / 2)

    def transfer(self) -> CubicSpline:
        """H as a function of K from 0 to the cut-off, 1/nm."""
        rim = self._rim_per_nm
        node, weight = np.polynomial.legendre.leggauss(_NODES)
        part, weight = (node + 1) / 2, weight / 2
        K = np.linspace(0, 2 * rim, _FREQUENCIES)[:, None, None]
        # A quarter of the lens that both circles share: the phase is odd in x, even in y.
        wide = rim - K / 2
        x = wide * part[:, None]
        high = np.sqrt(np.maximum(rim**2 - (x + K / 2) ** 2, 0))
        y = high * part
        turn = self._phase(np.hypot(x + K / 2, y)) - self._phase(np.hypot(x - K / 2, y))
        shared = 4 * (np.cos(turn) * weight[:, None] * weight * wide * high).sum((1, 2))
        H = shared / shared[0]
        s = self.source_nm / FWHM
        return CubicSpline(K.ravel(), H * np.exp(-2 * (np.pi * s * K.ravel()) ** 2))

    def profile(self, radius_nm: Array) -> Array:
        """Intensity at distances from the axis, 1/nm2; its integral over the plane is 1."""
        H = self.transfer()
        K = np.linspace(0, self.optics.cutoff_per_nm, 800)
        waves = 2 * np.pi * K * H(K) * j0(2 * np.pi * np.multiply.outer(radius_nm, K))
        return np.trapezoid(waves, K)

    @property
    def fwhm_nm(self) -> float:
        """Full width at half maximum of the probe, nm."""
        radius = np.linspace(0, 4 / self._rim_per_nm + 2 * self.source_nm, 1200)
        intensity = self.profile(radius)
        below = int(np.argmax(intensity < intensity[0] / 2))
        inner, outer = intensity[below - 1], intensity[below]
        step = radius[1] * (inner - intensity[0] / 2) / (inner - outer)
        return float(2 * (radius[below - 1] + step))
