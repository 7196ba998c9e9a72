r"""Bragg peaks of an image: found in its Fourier transform, and placed far finer than its bins.

The image is weighted by a Hann window :math:`w`, which keeps what is beyond its edges out of the
peaks. A peak's power over that of the noise around it, :math:`s`, says how well its frequency is
known (the Cramer-Rao bound, with that window; :math:`x` from the middle):

.. math:: \sigma_f^2 = \frac{(\sum w)^2 \sum w^2 x^2}{2 s (2\pi)^2 \sum w^2 (\sum w x^2)^2}

Frequencies are (x, y), along columns and rows, in cycles a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter

Array = NDArray[np.float64]

_AROUND = 25  # bins across which the noise is alike
_LEAK = 1e-7  # of the power of a peak, ten bins beside it
_STREAK = 65  # bins along an axis, where a scan's lines and mains hum leave streaks
_EULER = 0.5772  # -<ln P>, of noise with a mean power of 1
_EDGES: Any = ("wrap", "mirror")  # of half a Fourier transform: along y, along x
_STEP, _ROUNDS = 0.4, 5  # bins, of the search for a maximum


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """Peaks of a Fourier transform, one of each pair.

    Attributes:
        per_px: Frequencies (x, y), cycles a pixel; shape (peaks, 2).
        over_noise: Power over that of the noise around; shape (peaks,).
        sigma_per_px: Of the frequencies, one standard deviation by noise; shape (peaks, 2).
    """

    per_px: Array
    over_noise: Array
    sigma_per_px: Array


class Spectrum:
    """An image's Fourier transform.

    Args:
        values: The image; NaN where nothing was measured; shape (rows, columns).
    """

    def __init__(self, values: NDArray[np.floating]) -> None:
        rows, columns = values.shape
        windows = np.hanning(rows + 2)[1:-1], np.hanning(columns + 2)[1:-1]
        known = np.isfinite(values)
        level = values[known].mean(dtype=np.float64) if known.any() else 0.0
        flat = np.where(known, values - level, 0.0)
        image = flat * windows[0][:, None] * windows[1]
        # Single precision: a thousandth of a bin needs no more, and is there in half the time.
        self._image = image.astype(np.float32)
        self._from_middle = [np.arange(n) - (n - 1) / 2 for n in (rows, columns)]
        self._bin = np.array((1 / columns, 1 / rows))
        self._sigma = np.array([_sigma_per_px(w) for w in windows[::-1]])
        power = np.abs(np.fft.rfft2(image)) ** 2
        # At least what the window itself leaves beside the strongest peak.
        self._noise = np.maximum(_noise(power), _LEAK * power.max() + 1e-300)
        self._over = power / self._noise
        self._highest = maximum_filter(self._over, 3, mode="wrap")

    @property
    def bin_per_px(self) -> Array:
        """Width of a bin (x, y), cycles a pixel; shape (2,)."""
        return self._bin

    def strongest(self, most: int, least_over_noise: float) -> Peaks:
        """At most so many peaks that stand so far out of the noise, the strongest first."""
        over = self._over
        y, x = np.abs(np.fft.fftfreq(len(over)))[:, None], np.arange(over.shape[1]) * self._bin[0]
        # Slow changes of the background are no lattice, and at the ends of the axes nothing is.
        inner = (np.hypot(x / self._bin[0], y / self._bin[1]) > 4) & (x < 0.49) & (y < 0.49)
        twice = (x == 0) & (np.fft.fftfreq(len(over))[:, None] < 0)
        found = (over == maximum_filter(over, 5, mode="wrap")) & inner & ~twice
        rows, columns = np.nonzero(found & (over > least_over_noise))
        order = np.argsort(over[rows, columns])[::-1][:most]
        start = np.stack([columns[order] * self._bin[0], np.fft.fftfreq(len(over))[rows[order]]], 1)
        return self.near(start.astype(np.float64))

    def over_noise(self, per_px: Array) -> Array:
        """The most within a bin of frequencies (x, y), shape (peaks, 2); shape (peaks,)."""
        return self._at(per_px, self._highest)

    def near(self, per_px: Array) -> Peaks:
        """The peaks nearest to frequencies (x, y), shape (peaks, 2), by climbing to their tops."""
        found, steps = per_px.astype(np.float64), np.array((-_STEP, 0, _STEP))
        power = np.empty(len(found))
        for _ in range(_ROUNDS):
            # Parabolas of the power's logarithm through 3 x 3 points around each.
            around = found[:, :, None] + steps * self._bin[:, None]
            grid = np.log(self._power_at(around[:, 0], around[:, 1]) + 1e-300)
            power = np.exp(grid[:, 1, 1])
            for axis, line in enumerate((grid[:, 1], grid[:, :, 1])):
                bend, slope = line[:, 0] - 2 * line[:, 1] + line[:, 2], line[:, 2] - line[:, 0]
                move = np.where(bend < 0, -slope / (2 * np.minimum(bend, -1e-12)), np.sign(slope))
                found[:, axis] += np.clip(move, -1, 1) * _STEP * self._bin[axis]
        over = power / self._at(found, self._noise)
        return Peaks(found, over, self._sigma / np.sqrt(over)[:, None])

    def _power_at(self, x: Array, y: Array) -> Array:
        """Power at all pairs of the x and y of each peak; both (peaks, n), made (peaks, n, n)."""
        rows, columns = self._from_middle
        along = np.exp(-2j * np.pi * np.outer(columns, x.ravel())).astype(np.complex64)
        # Two real products: a complex one would first copy the image as complex numbers.
        lines = self._image @ along.real + 1j * (self._image @ along.imag)
        down = np.exp(-2j * np.pi * y[..., None] * rows)
        return np.abs(down @ lines.reshape(len(rows), *x.shape).transpose(1, 0, 2)) ** 2

    def _at(self, per_px: Array, of_bins: Array) -> Array:
        """What `of_bins` has in the bins of frequencies (x, y)."""
        half = np.where(per_px[:, :1] < 0, -per_px, per_px)
        column, row = np.rint(half / self._bin).astype(int).T
        return of_bins[row % len(of_bins), np.minimum(column, of_bins.shape[1] - 1)]


def _noise(power: Array) -> Array:
    """Power of what surrounds each bin, but for peaks: from the mean of the logarithm."""
    log = np.log(power + 1e-300)
    noise = uniform_filter(log, _AROUND, mode=_EDGES)
    streaks: Any = ((0, (_STREAK, 1)), (1, (1, _STREAK)))
    for axis, size in streaks:
        near = [slice(None), slice(0, 3)] if axis == 0 else [np.r_[-2:3], slice(None)]
        streak = uniform_filter(log, size, mode=_EDGES)
        noise[tuple(near)] = np.maximum(noise, streak)[tuple(near)]
    return np.exp(noise + _EULER)


def _sigma_per_px(window: Array) -> float:
    """Standard deviation of a frequency at a peak no stronger than the noise, cycles a pixel."""
    x = np.arange(len(window)) - (len(window) - 1) / 2
    square = window**2
    spread = square @ x**2 / (2 * square.sum())
    return float(window.sum() * np.sqrt(spread) / (2 * np.pi * (window @ x**2)))
