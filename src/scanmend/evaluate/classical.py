"""What people used before networks: filters for noise and stripes, interpolation between lines.

The table `CLASSICAL` has them all, each with what it takes from its users: strengths follow from
the noise, which is estimated from the image. All of them keep units: an image ten times as high,
or raised, is restored ten times as high, or raised.

Where only every k-th line was measured, a filter works on the measured lines, since repeated ones
hide the noise, and a spline then fills the lines in between. Where there were fewer pixels on both
axes, it works on those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from ..errors import ScanError, ScanmendError
from ..resample import fill_lines, to_shape

Image = NDArray[np.floating]

_EXTRA = 'classical methods need scikit-image: pip install "scanmend[evaluate]"'
_BM3D = (
    "BM3D needs the package bm3d, which is free for non-commercial use only, so that scanmend does "
    "not bring it along: pip install bm3d"
)


@dataclass(frozen=True)
class Classical:
    """Restores an image whose lines repeat.

    Attributes:
        mend: From measured lines, in [0, 1], to better ones.
        fill: From lines measured at some rows to all rows.
    """

    mend: Callable[[Image], Image]
    fill: Callable[[Image, NDArray[Any], int], Image] = fill_lines

    def __call__(self, degraded: Image, factor: int = 1) -> NDArray[np.float32]:
        """The restored image.

        Args:
            degraded: Shape (rows, columns), in any unit.
            factor: Each measured line stands on this many rows.

        Raises:
            ScanError: A pixel is missing or infinite.
            ScanmendError: A package is not installed.
        """
        if not np.isfinite(degraded).all():
            bad = int(np.count_nonzero(~np.isfinite(degraded)))
            raise ScanError(
                f"{bad} of {degraded.size} pixels are NaN or infinite: classical methods need "
                "all of them; fill the gaps first (scanmend.resample.fill_gaps)"
            )
        lines, at = kept(degraded.astype(np.float64), factor)
        low, span = lines.min(), np.ptp(lines)
        mended = low + span * self.mend((lines - low) / span) if span > 0 else lines
        rows = len(degraded)
        return (self.fill(mended, at, rows) if factor > 1 else mended).astype(np.float32)

    def finer(self, coarse: Image, shape: tuple[int, int]) -> NDArray[np.float32]:
        """The restored image on a grid `shape` that is finer on both axes.

        Raises as a call does.
        """
        mended = self(coarse)
        if self.fill is fill_lines:
            return to_shape(mended, shape)
        for side in shape:
            centres = (np.arange(len(mended)) + 0.5) * side / len(mended) - 0.5
            mended = self.fill(mended, centres, side).T
        return mended.astype(np.float32)


def kept(image: Image, factor: int) -> tuple[Image, NDArray[np.intp]]:
    """The lines that were measured, shape (lines, columns), and their rows.

    Each is repeated over `factor` rows around its own, `factor // 2` of them above, as FewerLines
    leaves them; where the repeats begin is where equal pixels in neighbouring rows tell. What hit
    some repeats only, such as noise that came later, is left out by their median.
    """
    rows = len(image)
    if factor == 1:
        return image, np.arange(rows)
    changed = np.mean(np.diff(image, axis=0) != 0, axis=1)
    inside = [changed[(np.arange(1, rows) - start) % factor > 0].sum() for start in range(factor)]
    phase = (int(np.argmin(inside)) + factor // 2) % factor
    at = np.arange(min(phase, rows - 1), rows, factor)
    blocks = [image[max(0, row - factor // 2) : row - factor // 2 + factor] for row in at]
    return np.stack([np.median(block, axis=0) for block in blocks]), at


def lanczos(lines: Image, at: NDArray[Any], rows: int) -> Image:
    """From lines at equidistant `at`, in rows, to all, by a sinc windowed to three lines each side.

    Shape (rows, columns); near the first and the last line the weights that are left make 1, and
    beyond them the nearest is repeated.

    References:
        Duchon, J. Appl. Meteorol. 18, 1016 (1979),
        doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2
    """
    where = np.clip(np.arange(rows), at[0], at[-1])
    distance = (where[:, None] - at) / (at[1] - at[0] if len(at) > 1 else 1)
    weights = np.where(abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)
    return weights / weights.sum(axis=1, keepdims=True) @ lines


def as_measured(image: Image) -> Image:
    """Nothing is done to the measured lines."""
    return image


def median(image: Image, side: int = 3) -> Image:
    """Median of `side` x `side` pixels."""
    return median_filter(image, side, mode="mirror")


def total_variation(image: Image, strength: float = 0.5) -> Image:
    """Least total variation, the more so the more noise there is.

    References:
        Rudin, Osher, Fatemi, Physica D 60, 259 (1992), doi:10.1016/0167-2789(92)90242-F
        Chambolle, J. Math. Imaging Vis. 20, 89 (2004), doi:10.1023/B:JMIV.0000011325.36760.1e
    """
    sigma = noise(image)
    if sigma == 0:
        return image
    return _skimage().denoise_tv_chambolle(image, weight=strength * sigma)


def non_local_means(image: Image, strength: float = 0.6) -> Image:
    """Mean over patches of 5x5 pixels that look alike, up to 6 pixels away.

    References:
        Buades, Coll, Morel, CVPR 2, 60 (2005), doi:10.1109/CVPR.2005.38
    """
    sigma = noise(image)
    if sigma == 0:
        return image
    return _skimage().denoise_nl_means(
        image, patch_size=5, patch_distance=6, h=strength * sigma, sigma=sigma, fast_mode=True
    )


def wavelet(image: Image) -> Image:
    """Wavelet coefficients softly thresholded, by each band's own noise and signal.

    References:
        Chang, Yu, Vetterli, IEEE Trans. Image Process. 9, 1532 (2000), doi:10.1109/83.862633
    """
    sigma = noise(image)
    if sigma == 0:
        return image
    return _skimage().denoise_wavelet(
        image, sigma=sigma, wavelet="sym4", method="BayesShrink", mode="soft", rescale_sigma=True
    )


def bm3d(image: Image) -> Image:
    """Patches that look alike filtered together, in three dimensions.

    References:
        Dabov, Foi, Katkovnik, Egiazarian, IEEE Trans. Image Process. 16, 2080 (2007),
        doi:10.1109/TIP.2007.901238
    """
    try:
        from bm3d import bm3d as filtered  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ScanmendError(_BM3D) from error
    sigma = noise(image)
    return image if sigma == 0 else np.asarray(filtered(image, sigma))


def line_repair(image: Image, threshold: float = 3.0, segment_px: int = 9) -> Image:
    """Takes away by how much a line, or a part of it, stands out from both lines beside it.

    It stands out where both differences, medians over `segment_px`, have one sign and exceed
    `threshold` robust standard deviations; the smaller is taken away, so that finer detail stays.
    The first and the last line have one neighbour only, and are left alone.
    """
    step = np.diff(image, axis=0, prepend=image[:1], append=image[-1:])
    smooth = median_filter(step, (1, segment_px), mode="mirror")
    over, under = smooth[:-1], -smooth[1:]
    excess = np.where(abs(over) < abs(under), over, under)
    sigma = 1.4826 * np.median(abs(smooth))
    stands_out = (over * under > 0) & (abs(excess) > threshold * sigma)
    return np.where(stands_out, image - excess, image)


def noise(image: Image) -> float:
    """Standard deviation of white noise, from the median of the finest diagonal wavelet details.

    References:
        Donoho, Johnstone, Biometrika 81, 425 (1994), doi:10.1093/biomet/81.3.425
    """
    return float(_skimage().estimate_sigma(image))


def _skimage() -> Any:
    try:
        import pywt  # noqa: F401  which scikit-image needs for wavelets, but does not bring
        from skimage import restoration
    except ImportError as error:
        raise ScanmendError(_EXTRA) from error
    return restoration


CLASSICAL: dict[str, Classical] = {
    "median": Classical(median),
    "total variation": Classical(total_variation),
    "non-local means": Classical(non_local_means),
    "BM3D": Classical(bm3d),
    "wavelet": Classical(wavelet),
    "line repair": Classical(line_repair),
    "cubic spline": Classical(as_measured),
    "Lanczos": Classical(as_measured, lanczos),
}
"""By name: from a degraded image and the factor of its lines to a restored image."""
