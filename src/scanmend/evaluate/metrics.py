"""Fidelity to a reference image, and to its lattice."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from ..errors import ScanError

Image = NDArray[np.floating]

FINE = 0.25  #: [cycles/pixel] where fine detail begins; a pixel pitch can show up to 0.5


class Scores(NamedTuple):
    """How near images come to their references; each array of shape (n,).

    Attributes:
        psnr_dB: Peak signal-to-noise ratio, dB.
        psnr_fitted_dB: The same after the gain and offset that bring the image nearest to its
            reference: it sees neither contrast nor mean.
        ssim: Structural similarity, mean over windows.
        ssim_global: The same with the whole image as its only window.
        detail_dB: Power of fine detail relative to the reference's, dB; blurred is below 0.
    """

    psnr_dB: NDArray[np.float64]
    psnr_fitted_dB: NDArray[np.float64]
    ssim: NDArray[np.float64]
    ssim_global: NDArray[np.float64]
    detail_dB: NDArray[np.float64]


def scores(images: Image, references: Image, *, clip: bool = True) -> Scores:
    """All of them, of images in [-1, 1] such as `pairs.sets` makes, brought to [0, 1] before.

    That is where the SSIM of Kolev, Rodani et al. must have been taken; the rest is the same.
    Values beyond [-1, 1], which no reference can have, count as its ends, as in the validation of
    a training.

    Args:
        images: Shape (n, rows, columns).
        references: Of the same shape.
        clip: Whether they do; not of counts, whose noise must not be cut off.

    Raises:
        ScanError: The shapes differ, or are of no such stack.
    """
    if images.ndim != 3 or images.shape != references.shape:
        raise ScanError(
            f"images and references are two stacks of one shape (n, rows, columns), got "
            f"{images.shape} and {references.shape}"
        )
    most = 1.0 if clip else np.inf
    both = ((stack.astype(np.float64).clip(-most, most) + 1) / 2 for stack in (images, references))
    rows = [
        (psnr(x, y, 1), psnr(fitted(x, y), y, 1), ssim(x, y, 1), ssim_global(x, y, 1), detail(x, y))
        for x, y in zip(*both, strict=True)
    ]
    return Scores(*np.array(rows).reshape(-1, len(Scores._fields)).T)


def psnr(image: Image, reference: Image, span: float | None = None) -> float:
    """Peak signal-to-noise ratio, dB; the peak is `span`, by default the reference's range."""
    error = np.mean((image.astype(np.float64) - reference) ** 2)
    return float(10 * np.log10(_span(reference, span) ** 2 / error)) if error else float("inf")


def fitted(image: Image, reference: Image) -> Image:
    """`image` with the gain and offset that make its squared error least; a flat one has gain 0."""
    mean, apart = image.mean(), image - image.mean()
    power = np.mean(apart**2)
    gain = np.mean(apart * (reference - reference.mean())) / power if power else 0.0
    return gain * image + (reference.mean() - gain * mean)


def ssim(image: Image, reference: Image, span: float | None = None) -> float:
    """Structural similarity, mean over the image but its outer 5 pixels.

    Gaussian window of 11x11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03; constants relative to
    `span`, by default the reference's range. The index compares means too, and so depends on where
    0 is, which heights do not tell: here it is the minimum of the reference. Of images that were
    brought to [0, 1] by the reference's minimum and maximum, it is the usual index.

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


def ssim_global(image: Image, reference: Image, span: float | None = None) -> float:
    """Structural similarity with the whole image as its only window; see `ssim`.

    References:
        Kolev, Rodani et al., arXiv:2510.25921, Eq. 11
    """
    x, y = (a.astype(np.float64) - reference.min() for a in (image, reference))
    c1, c2 = (k * _span(reference, span) for k in (0.01, 0.03))
    (var_x, covariance), (_, var_y) = np.cov(x.ravel(), y.ravel(), ddof=0)
    luminance = (2 * x.mean() * y.mean() + c1**2) / (x.mean() ** 2 + y.mean() ** 2 + c1**2)
    return float(luminance * (2 * covariance + c2**2) / (var_x + var_y + c2**2))


def detail(image: Image, reference: Image, above: float = FINE) -> float:
    """Power of fine detail relative to the reference's, dB; blurred is below 0, noisy above.

    Fine is what has spatial frequencies beyond `above`, cycles per pixel, under a Hann window.
    Fidelity does not show it: a blurred image may be the nearest one to every guess at the truth.
    """
    rows, columns = reference.shape
    window = np.hanning(rows)[:, None] * np.hanning(columns)
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns))
    fine = frequency > above

    def power(z: Image) -> np.floating:
        return np.mean(abs(np.fft.rfft2((z - z.mean()) * window)[fine]) ** 2)

    with np.errstate(divide="ignore"):
        return float(10 * np.log10(power(image) / power(reference)))


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
