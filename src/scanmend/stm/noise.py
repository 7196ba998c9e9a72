"""Noise of a tunnelling current: shot noise, that of the preamplifier, and 1/f.

References:
    W. Schottky, Ann. Phys. 362, 541 (1918) (shot noise)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.constants import e as ELEMENTARY_CHARGE_C

from ..errors import SimulationError


@dataclass(frozen=True, slots=True)
class CurrentNoise:
    r"""Noise in the measured current.

    The standard deviation of a sample is :math:`\sqrt{2 e |I| \Delta f + \sigma^2}`, and that of
    the slow 1/f part is proportional to I, as of fluctuations of the junction.

    Attributes:
        shot_bandwidth_Hz: :math:`\Delta f` of the shot noise; 0: none.
        amplifier_nA: White noise :math:`\sigma` of the preamplifier, nA.
        flicker: Standard deviation of the 1/f noise over a scan, as a part of the current.

    Raises:
        SimulationError: One of them is negative.
    """

    shot_bandwidth_Hz: float = 0.0
    amplifier_nA: float = 0.0
    flicker: float = 0.0

    def __post_init__(self) -> None:
        given = (self.shot_bandwidth_Hz, self.amplifier_nA, self.flicker)
        if not all(0 <= value < math.inf for value in given):
            raise SimulationError(f"noise cannot be negative, got {self}")

    def shot_nA(self, current_nA: float) -> float:
        """Standard deviation of the shot noise of a current, nA."""
        charge_nA_s = ELEMENTARY_CHARGE_C * 1e9
        return math.sqrt(2 * charge_nA_s * abs(current_nA) * self.shot_bandwidth_Hz)

    def white(self, rng: np.random.Generator, size: int) -> NDArray[np.float32]:
        """Standard normal numbers, or zeros if there is no white noise."""
        if self.shot_bandwidth_Hz == self.amplifier_nA == 0:
            return np.zeros(size, np.float32)
        return rng.standard_normal(size, np.float32)

    def slow(self, rng: np.random.Generator, size: int) -> NDArray[np.float32]:
        """1/f noise: a spectrum of random phases and of power 1/k, k = 1, 2 ... waves a scan."""
        if self.flicker == 0 or size < 2:
            return np.zeros(size, np.float32)
        waves = np.arange(1, (size + 1) // 2)
        spectrum = np.zeros(size // 2 + 1, np.complex64)
        parts = rng.standard_normal((2, waves.size), np.float32)
        spectrum[1 : waves.size + 1] = (parts[0] + 1j * parts[1]) / np.sqrt(waves)
        scale = self.flicker * size / (2 * math.sqrt(np.sum(1 / waves)))
        return (np.fft.irfft(spectrum, size) * scale).astype(np.float32)


SILENT = CurrentNoise()  #: no noise at all
