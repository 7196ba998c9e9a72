"""Scans in counts, as a network is shown them: how many electrons there are is seen in the scan.

Few electrons leave percentiles without a meaning: of most pixels, the count is 0. So a scan is
measured after it was smoothed over a fixed length, which leaves the columns of atoms standing; and
its noise by second differences, which leave little else. Neither needs the detector's gain: a scan
in other units, or with an offset, is the same to a network.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .errors import ScanError
from .normalise import Affine
from .resample import to_shape
from .scan import Scan

TOLD = ("row pitch", "column pitch", "factor", "noise")
"""What a network is told of a scan in counts, as its card has it: see `told`."""

SMOOTH_NM = 0.03
"""Standard deviation of the Gaussian, nm: columns of atoms are 0.1 to 0.3 nm apart."""


def rough(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is left of an image by a mask that no plane passes, shape (rows - 2, columns - 2).

    White noise keeps its variance; NaN spreads to all pixels around.

    References:
        J. Immerkær, Comput. Vis. Image Underst. 64, 300 (1996), doi:10.1006/cviu.1996.0060
    """
    return np.diff(np.diff(values, 2, axis=0), 2, axis=1) / 6


def noise(scan: Scan) -> float:
    """Standard deviation of the noise of a pixel, counts, from the scan itself.

    That of `rough`, in which a smooth image vanishes; NaN does not count, and less than the last
    bits of float32 is no noise.
    """
    left = rough(scan.values.astype(np.float64))
    known = left[~np.isnan(left)]
    least = 1e-6 * float(np.nanmax(np.abs(scan.values)))
    return max(math.sqrt(np.mean(known**2)) if known.size else 0.0, least)


def affine(scan: Scan) -> Affine:
    """Mean to 0, standard deviation of the smoothed scan to 1; the scan has no gaps.

    Raises:
        ScanError: All pixels are equal.
    """
    values = scan.values.astype(np.float64)
    if not np.ptp(values) > 1e-6 * np.abs(values).max():
        raise ScanError(f"every pixel is {values.mean():g} counts: there is nothing to restore")
    return Affine(float(values.mean()), float(_smooth(scan).std()))


def shown(scan: Scan, factor: int, affine: Affine, noise: float) -> NDArray[np.float32]:
    """What a network is shown of a scan without gaps, `factor` times finer on both axes.

    Returns:
        The smoothed image, in units of `affine`, to which the network adds; and the image itself,
        in units of its noise and contrast, so that single electrons stay within bounds. Shape
        (2, factor rows, factor columns).
    """
    rows, columns = scan.values.shape
    fine = factor * rows, factor * columns
    raw = (scan.values - affine.offset) / math.hypot(noise, affine.scale)
    return np.stack([to_shape(affine.apply(_smooth(scan)), fine), to_shape(raw, fine)])


def told(
    pixel_nm: tuple[float, float], factor: int, affine: Affine, noise: float
) -> NDArray[np.float32]:
    """What a network is told; shape (4,).

    Args:
        pixel_nm: Pitch (rows, columns) of the image that it is shown, nm; as log2(pitch / 0.02 nm).
        factor: How many times coarser was measured; as its log2.
        affine, noise: Of the scan; as log2(noise / scale).
    """
    rows, columns = (math.log2(pitch / 0.02) for pitch in pixel_nm)
    return np.array([rows, columns, math.log2(factor), math.log2(noise / affine.scale)], np.float32)


def _smooth(scan: Scan) -> NDArray[np.float64]:
    # Imported late: a third of a second, which who only measures heights need not wait for.
    from scipy.ndimage import gaussian_filter

    sigma = [SMOOTH_NM / pitch for pitch in scan.pixel_nm]
    return gaussian_filter(scan.values.astype(np.float64), sigma, mode="nearest")
