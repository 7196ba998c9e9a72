"""Fidelity to a reference image, and to its lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

Image = NDArray[np.floating]


def psnr(image: Image, reference: Image, span: float | None = None) -> float:
    """Peak signal-to-noise ratio, dB; the peak is `span`, by default the reference's range."""
    error = np.mean((image.astype(np.float64) - reference) ** 2)
    return float(10 * np.log10(_span(reference, span) ** 2 / error)) if error else float("inf")


def ssim(image: Image, reference: Image, span: float | None = None) -> float:
    """Structural similarity, mean over the image but its outer 5 pixels.

    Gaussian window of 11x11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03; constants relative to
    `span`, by default the reference's range. The index compares means too, and so depends on where
    0 is, which heights do not tell: here it is the minimum of the reference.

    References:
        Wang et al., IEEE Trans. Image Process. 13, 600 (2004), doi:10.1109/TIP.2003.819861
    """
    zero = reference.min()
    x, y = image.astype(np.float64) - zero, reference.astype(np.float64) - zero
    c1, c2 = (k * _span(reference, span) for k in (0.01, 0.03))
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    map_ = (2 * mean_x * mean_y + c1**2) * (2 * covariance + c2**2)
    map_ /= (mean_x**2 + mean_y**2 + c1**2) * (var_x + var_y + c2**2)
    return float(map_[5:-5, 5:-5].mean())


def fourier_peak(image: Image, near: tuple[float, float], reach: int = 3) -> tuple[complex, tuple]:
    """The strongest Fourier coefficient near a frequency, and where it is.

    Args:
        image: Shape (rows, columns).
        near: Frequency (rows, columns), cycles per pixel.
        reach: How far around `near` to look, Fourier pixels.

    Returns:
        The coefficient of the image under a Hann window, in the image's unit (a cosine of
        amplitude 1 gives modulus 1/2), and its frequency.
    """
    rows, columns = image.shape
    window = np.hanning(rows)[:, None] * np.hanning(columns)
    spectrum = np.fft.fft2((image - image.mean()) * window) / window.sum()
    row, column = round(near[0] * rows), round(near[1] * columns)
    around = [
        (row + i, column + j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)
    ]
    best = max(around, key=lambda at: abs(spectrum[at[0] % rows, at[1] % columns]))
    value = spectrum[best[0] % rows, best[1] % columns]
    return complex(value), (best[0] / rows, best[1] / columns)


_KERNEL = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
_KERNEL /= _KERNEL.sum()


def _blur(image: Image) -> Image:
    return correlate1d(correlate1d(image, _KERNEL, axis=0), _KERNEL, axis=1)


def _span(reference: Image, span: float | None) -> float:
    return float(reference.max() - reference.min()) if span is None else span
