"""What every real height scan carries, however good: the feedback's response and a little noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft, rfftfreq
from scipy.ndimage import gaussian_filter1d, uniform_filter

from ..scan import Scan

MARGIN = 16  #: [px] for the response to settle before the first pixel of a line


def acquisition_noise(scan: Scan, rng: np.random.Generator, strength: float = 1.0) -> Scan:
    """Adds what an undisturbed measurement adds to a height scan.

    In a good scan of Si(001):H the noise is white from line to line, but along a line it ends
    where the feedback does, near 1.5 per nm; it is 2-8 pm on flat terraces and grows up to
    fourfold at defects, which also have bright rims where the feedback overshoots. To this come
    white noise, line offsets, sometimes slow bands and a few short streaks.

    Args:
        scan: Heights, nm; the fast axis runs along the rows of the array.
        rng: Where all randomness comes from.
        strength: Multiplies all of it; 0 gives the same heights back.

    Returns:
        The scan with its noise; no feature moves along the line, on average.
    """
    z = scan.values
    rows, columns = z.shape

    def log_uniform(low: float, high: float) -> float:
        return low * (high / low) ** rng.random()

    frequency_per_nm, damping = log_uniform(1.1, 2.8), rng.uniform(0.3, 0.9)
    activity = uniform_filter(abs(z - uniform_filter(z, 9)), 9)
    jitter = log_uniform(0.001, 0.008) + rng.uniform(0, 0.5) * activity
    loud = z + jitter * rng.standard_normal(z.shape, np.float32)
    noise = _feedback(loud, frequency_per_nm * scan.pixel_nm[1], damping) - z

    noise += log_uniform(0.0004, 0.0015) * rng.standard_normal(z.shape, np.float32)
    noise += log_uniform(0.0006, 0.006) * rng.standard_normal((rows, 1))
    if rng.random() < 0.35:
        bands = gaussian_filter1d(rng.standard_normal((rows, 1)), 6, axis=0)
        noise += abs(rng.normal(0, 0.012)) * 4 * bands
    if rng.random() < 0.3:
        for _ in range(rng.integers(1, 12)):
            row, start = rng.integers(rows), rng.integers(columns)
            noise[row, start : start + rng.integers(2, 40)] += rng.normal(0, 0.02)
    return scan.after(f"acquisition noise x{strength:g}", z + strength * noise)


def _feedback(z: NDArray, frequency: float, damping: float) -> NDArray:
    r"""The response along each line of a loop with one resonance, its delay taken out.

    .. math:: H(k) = e^{2 i \zeta k / f} / (1 - (k / f)^2 + 2 i \zeta k / f)

    with the resonance `frequency` f in cycles per pixel.
    """
    padded = np.pad(z, ((0, 0), (MARGIN, MARGIN)), "reflect")
    k = rfftfreq(padded.shape[1]) / frequency
    response = np.exp(2j * damping * k) / (1 - k**2 + 2j * damping * k)
    spectrum = np.asarray(rfft(padded, axis=1)) * response.astype(np.complex64)
    return np.asarray(irfft(spectrum, padded.shape[1], axis=1))[:, MARGIN:-MARGIN]
