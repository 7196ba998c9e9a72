"""Noise of a tunnelling current: shot noise, that of the preamplifier, and 1/f.

References:
    W. Schottky, Ann. Phys. 362, 541 (1918) (shot noise)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.constants import e as ELEMENTARY_CHARGE_C

from ..errors import SimulationError
from .lanes import LANES, normals


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

    @property
    def is_white(self) -> bool:
        """Whether any of it is."""
        return self.shot_bandwidth_Hz > 0 or self.amplifier_nA > 0

    def shot_nA(self, current_nA: float) -> float:
        """Standard deviation of the shot noise of a current, nA."""
        charge_nA_s = ELEMENTARY_CHARGE_C * 1e9
        return math.sqrt(2 * charge_nA_s * abs(current_nA) * self.shot_bandwidth_Hz)


SILENT = CurrentNoise()  #: no noise at all


def slow(
    noises: Sequence[CurrentNoise], states: NDArray[np.uint32], size: int
) -> NDArray[np.float32]:
    """1/f noise of scans side by side: random phases and power 1/k, k = 1, 2 ... waves a scan.

    Args:
        noises: Of each scan.
        states: Its random numbers, from `lanes.streams`.
        size: How many samples; even ones lack the shortest wave.

    Returns:
        The noise as a part of the current, shape (size, `LANES`).
    """
    flicker = np.zeros(LANES, np.float32)
    flicker[: len(noises)] = [noise.flicker for noise in noises]
    if size < 3 or not flicker.any():
        return np.zeros((size, LANES), np.float32)
    waves = np.arange(1, (size + 1) // 2)
    parts = normals(states, 2 * waves.size).reshape(waves.size, 2, LANES)
    scale = np.float32(size / 2 / math.sqrt(np.sum(1 / waves))) * flicker
    amplitude = (1 / np.sqrt(waves)).astype(np.float32)[:, None] * scale
    spectrum = np.zeros((size // 2 + 1, LANES), np.complex64)
    np.multiply(parts[:, 0], amplitude, out=spectrum.real[1 : waves.size + 1])
    np.multiply(parts[:, 1], amplitude, out=spectrum.imag[1 : waves.size + 1])
    return np.asarray(fft.irfft(spectrum, size, axis=0, overwrite_x=True))
