"""The noise that every scan has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from ..scan import Scan
from .base import Range, picometres


@dataclass(frozen=True)
class AcquisitionNoise:
    """Adds white noise and noise of power 1/f in the order in which the pixels were recorded.

    The 1/f part runs from the frame's duration to the pixel's: it bends lines and sets
    neighbouring lines apart, as real scans show it. Lines are taken to follow one another without
    the way back. It knows no feedback loop: `scanmend.crystals.acquisition_noise` is what was
    measured on Si(001):H, with the loop's response, and is what models are trained with.

    Attributes:
        white_pm: Standard deviation of the white noise, pm.
        flicker_pm: Standard deviation of the 1/f noise over the frame, pm.

    Raises:
        ScanError: The scan is no height image.
    """

    white_pm: Range = (0.5, 4.0)
    flicker_pm: Range = (0.0, 4.0)

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws both amplitudes once, then the noise."""
        white, flicker = rng.uniform(*self.white_pm), rng.uniform(*self.flicker_pm)
        noise = white * rng.standard_normal(scan.values.shape, np.float32)
        noise += flicker * one_over_f(scan.values.size, rng).reshape(scan.values.shape)
        return scan.after(
            f"acquisition noise, white {white:.2f} pm, 1/f {flicker:.2f} pm",
            scan.values + np.float32(picometres(scan)) * noise,
        )


def one_over_f(length: int, rng: np.random.Generator) -> np.ndarray:
    """A series of `length` values, expected variance 1, whose power falls as 1/f."""
    # A padded transform is several times faster when `length` has a large prime factor.
    padded: int = fft.next_fast_len(length, real=True)  # pyright: ignore[reportAssignmentType]
    half = padded // 2 + 1
    amplitude = np.zeros(half, np.float32)
    amplitude[1:] = 1 / np.sqrt(np.arange(1, half, dtype=np.float32))
    weight = 2 * np.sum(amplitude.astype(float) ** 2) or 1.0  # a single value has no variance
    wave = rng.standard_normal((2, half), np.float32)
    spectrum = amplitude * (wave[0] + 1j * wave[1]) * np.float32(padded / np.sqrt(2 * weight))
    return np.asarray(fft.irfft(spectrum, padded))[:length]
