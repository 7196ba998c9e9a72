"""Finding columns: what stands out of the noise at the scale of a column, then its fit.

A Laplacian of a Gaussian passes the band of a column's own width (Marr and Hildreth). Its maxima,
and then the heights of the fit, are measured in standard deviations of what noise alone would leave
there: what noise may be is no column.

References:
    D. Marr, E. Hildreth, Proc. R. Soc. Lond. B 207, 187 (1980), doi:10.1098/rspb.1980.0020
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_laplace, maximum_filter
from scipy.spatial import KDTree

from .. import counts
from ..errors import ScanError
from ..places import first_of_pairs
from ..scan import Scan
from . import gaussians
from .gaussians import Gaussians, Noise

Array = NDArray[np.float64]

APART_NM = (
    0.1  #: [nm] the bonds of a layer, seen from above, are longer; most columns' images are not
)
_WIDTH, _NARROW = (
    0.4,
    2.0,
)  # of a column to begin with, in `apart_nm`; `apart_nm` in pixels at least
_BAND = 1.25  # of the Gaussian under the Laplacian, in widths of a column
SURE, SURE_BESIDE = 4.5, 5.0
"""Standard deviations by which a column stands out; and by which one must that shows only when its
neighbours have been taken away, and may be what Gaussians have left of them."""

_MAYBE = 2.5  # of a candidate
_WEAKEST = 0.05  # of the median column's height: ripples of a perfect image are below it
_WHOLE = 0.85  # of its disc that a column needs, not to be cut
_ROUNDS = 2
_FULL, _ALIKE = (
    math.sqrt(8 * math.log(2)),
    1.3,
)  # full widths in widths; a ratio that is no difference


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """What was found, from the top to the bottom; all arrays have shape (n,) but places.

    Attributes:
        places_nm: (x, y) from the frame's middle, y downwards, nm; shape (n, 2).
        places_px: (row, column) of pixels' middles; shape (n, 2).
        errors_nm: Standard deviation of a place along an axis, nm.
        heights: Of the Gaussians, in the scan's unit.
        height_errors: Their standard deviations.
        widths_nm: Standard deviations of the Gaussians, nm.
        backgrounds: In the scan's unit.
        cut: Whether part of it is beyond the frame or was not measured: its place is a guess.
    """

    places_nm: Array
    places_px: Array
    errors_nm: Array
    heights: Array
    height_errors: Array
    widths_nm: Array
    backgrounds: Array
    cut: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.heights)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Columns, and what is needed to ask the image about places where there is none.

    Attributes:
        scan: Where they were sought.
        columns: What was found.
        noise: Of the scan's pixels, or of those that it was restored from.
        fit: Of the columns, in the same order.
    """

    scan: Scan
    columns: Columns
    noise: Noise
    fit: Gaussians

    def pixel(self, place_nm: Array) -> Array:
        """(row, column) of a place (x, y) from the frame's middle."""
        middle = (np.array(self.scan.values.shape) - 1) / 2
        return place_nm[::-1] / self.scan.pixel_nm + middle

    def at(self, place_nm: Array) -> tuple[float, float]:
        """Height of a column at (x, y) beside those found, and its standard deviation."""
        values, pixel_nm = self.scan.values.astype(np.float64), self.scan.pixel_nm
        corner = self.pixel(place_nm) * pixel_nm
        return gaussians.at(values, self.noise, pixel_nm, self.fit, corner)


def find(scan: Scan, apart_nm: float = APART_NM, measured: Scan | None = None) -> Found:
    """Finds the columns of a scan, measured or restored.

    Where `scan` was made of `measured`, by an expectation for each pixel, errors are those that the
    noise of `measured` leaves: of a network's image, what noise is left says nothing of them.

    Args:
        scan: With columns brighter than what is around them.
        apart_nm: How far apart two columns can be told at best, nm: about the full width of one at
            half of its maximum. Where columns turn out wider, that width is taken.
        measured: What was restored, of the same field of view, if it was.

    Raises:
        ScanError: Pixels too coarse for that, or a scan without structure.
    """
    coarse = max(scan.pixel_nm)
    if not apart_nm >= _NARROW * coarse:
        raise ScanError(
            f"columns {apart_nm:g} nm apart need pixels of {apart_nm / _NARROW:.3g} nm or less, "
            f"got {coarse:.3g} nm: upscale the scan, or tell columns that are farther apart only"
        )
    values = scan.values.astype(np.float64)
    known = np.isfinite(values)
    if not known.any() or np.ptp(values[known]) == 0:
        raise ScanError("the scan has no structure to find atoms in: every pixel is the same")
    noise, width = pixel_noise(values), _WIDTH * apart_nm
    bands, fit = _first(values, noise, scan.pixel_nm, width, apart_nm)
    more = bands.excess(fit.left)
    if more > _ALIKE or fit.width_nm * _FULL > apart_nm * _ALIKE:
        noise = Noise(noise.read * max(more, 1.0), noise.gain * max(more, 1.0))
        apart_nm, width = max(apart_nm, _FULL * fit.width_nm), max(width, fit.width_nm)
        bands, fit = _first(values, noise, scan.pixel_nm, width, apart_nm)
    needs = np.full(len(fit.heights), SURE)
    for _ in range(_ROUNDS):
        good = _are_columns(fit, fit.places_nm, needs, scan, apart_nm)
        # What stands beside a bright column shows when that is taken away.
        beside = bands.maxima(fit.left)
        if good.any():
            beside = beside[KDTree(fit.places_nm[good]).query(beside)[0] > apart_nm]
        state = np.concatenate([fit.start(good), gaussians.start(beside, fit.width_nm)])
        needs = np.concatenate([needs[good], np.full(len(beside), SURE_BESIDE)])
        while True:
            order = np.argsort(state[:, 0], kind="stable")
            state, needs = state[order], needs[order]
            fit = gaussians.fit(values, noise, scan.pixel_nm, state, fit.width_nm, again=True)
            good = _are_columns(fit, state[:, :2], needs, scan, apart_nm)
            if good.all():
                break
            # The worst of a crowd first: without it, the next may be good.
            bad = np.flatnonzero(~good)
            bad = bad[np.argsort(fit.evidence[bad], kind="stable")]
            good[:] = True
            good[bad[first_of_pairs(state[bad, :2], 2 * apart_nm)]] = False
            state, needs = fit.start(good), needs[good]
    if measured is not None:
        known = pixel_noise(measured.values.astype(np.float64))
        # A pixel that was made of a part of a measured one has as much less of its electrons.
        times = scan.values.size / measured.values.size
        noise = Noise(known.read * times, known.gain * times)
        fit = gaussians.with_noise(values, noise, scan.pixel_nm, fit)
    return _found(scan, noise, fit)


def _first(
    values: Array, noise: Noise, pixel_nm: tuple[float, float], width_nm: float, apart_nm: float
) -> tuple[_Bands, Gaussians]:
    """Maxima of the band, fitted with one width."""
    bands = _Bands(values, noise, pixel_nm, _BAND * width_nm, apart_nm)
    state = gaussians.start(bands.maxima(values), width_nm)
    return bands, gaussians.fit(values, noise, pixel_nm, state, width_nm)


def pixel_noise(values: Array) -> Noise:
    """Variance of pixels' noise as a line over what is expected there, from the image itself.

    Noise is what `counts.rough` leaves, its square compared with the mean around. An image without
    any gets a millionth of its variance.
    """
    rough = counts.rough(values)
    mean = _smooth(values, (2.0, 2.0))[1:-1, 1:-1]
    there = np.isfinite(rough)
    least = 1e-6 * float(np.nanvar(values))
    if there.sum() < 100:
        return Noise(least, 0.0)
    squares, mean = rough[there] ** 2, mean[there]
    order = np.array_split(np.argsort(mean), 20)
    x, y = (np.array([one[part].mean() for part in order]) for one in (mean, squares))
    gain = max(float(np.cov(x, y)[0, 1] / max(float(x.var(ddof=1)), 1e-300)), 0.0)
    read = float(np.mean(y) - gain * np.mean(x))
    if read < 0:  # nothing but counts
        read, gain = 0.0, float(np.mean(y) / np.mean(x))
    return Noise(max(read, least), gain)


def _smooth(values: Array, sigma_px: tuple[float, float]) -> Array:
    """The mean around each pixel, of what was measured."""
    known = np.isfinite(values)
    total = gaussian_filter(np.where(known, values, 0.0), sigma_px, mode="nearest")
    if known.all():
        return total
    share = gaussian_filter(known.astype(np.float64), sigma_px, mode="nearest")
    return total / np.maximum(share, 1e-6)


class _Bands:
    """The band that columns show in, and how much of it is noise."""

    def __init__(
        self,
        values: Array,
        noise: Noise,
        pixel_nm: tuple[float, float],
        sigma_nm: float,
        apart_nm: float,
    ) -> None:
        self.pixel_nm, self.apart_nm = pixel_nm, apart_nm
        self.sigma = sigma_nm / pixel_nm[0], sigma_nm / pixel_nm[1]
        # Of white noise of variance 1, the band has this one: its transfer's square, summed.
        point = np.zeros([2 * math.ceil(4 * s) + 1 for s in self.sigma])
        point[tuple(n // 2 for n in point.shape)] = 1
        power = float(np.sum(gaussian_laplace(point, self.sigma, mode="constant") ** 2))
        expected = _smooth(values, self.sigma).clip(0)
        self.spread = np.sqrt(power * (noise.read + noise.gain * expected))

    def excess(self, left: Array) -> float:
        """Variance of what a fit has left, in the band, beside that of the pixels' noise.

        Above 1 where noise is alike in neighbouring pixels, and where Gaussians do not fit.
        """
        filled = np.where(np.isfinite(left), left, _smooth(left, self.sigma))
        off = gaussian_laplace(filled, self.sigma, mode="nearest") / self.spread
        return float(1.48 * np.median(abs(off - np.median(off)))) ** 2

    def maxima(self, values: Array) -> Array:
        """What noise hardly makes, (y, x) from the middle of pixel [0, 0], nm; brightest first."""
        known = np.isfinite(values)
        filled = np.where(known, values, _smooth(values, self.sigma))
        band = -gaussian_laplace(filled, self.sigma, mode="nearest")
        shape = [2 * max(1, int(self.apart_nm / 2 / p)) + 1 for p in self.pixel_nm]
        peaks = known & (band == maximum_filter(band, shape, mode="nearest"))
        at = np.argwhere(peaks & (band > _MAYBE * self.spread))
        at = at[np.argsort(-band[tuple(at.T)], kind="stable")]
        nm = (at + _vertices(band, at)) * self.pixel_nm
        return nm[first_of_pairs(nm, self.apart_nm)]


def _vertices(band: Array, at: NDArray[np.int64]) -> Array:
    """By how many pixels the maximum of a parabola lies off each of these, along each axis."""
    padded = np.pad(band, 1, mode="edge")
    off = np.zeros(at.shape)
    for axis, step in enumerate(np.eye(2, dtype=np.int64)):
        before, here, after = (padded[tuple((at + 1 + k * step).T)] for k in (-1, 0, 1))
        bend = before - 2 * here + after
        off[:, axis] = 0.5 * (before - after) / np.where(bend < 0, bend, -np.inf)
    return off.clip(-0.5, 0.5)


def _are_columns(
    fit: Gaussians, places: Array, needs: Array, scan: Scan, apart_nm: float
) -> NDArray[np.bool_]:
    """Which of the fitted ones stand out, are in the frame, and apart."""
    last = np.subtract(scan.values.shape, 1) * scan.pixel_nm
    good = fit.evidence > needs
    good &= np.hypot(*(fit.places_nm - places).T) < apart_nm
    good &= np.all((fit.places_nm > -apart_nm / 4) & (fit.places_nm < last + apart_nm / 4), axis=1)
    if good.any():
        good &= fit.heights > _WEAKEST * np.median(fit.heights[good])
    order = np.argsort(np.where(good, -fit.heights, np.inf), kind="stable")
    first = np.zeros(len(good), bool)
    first[order] = first_of_pairs(fit.places_nm[order], 0.7 * apart_nm)
    return good & first


def _found(scan: Scan, noise: Noise, fit: Gaussians) -> Found:
    pitch, middle = np.array(scan.pixel_nm), (np.array(scan.values.shape) - 1) / 2
    columns = Columns(
        places_nm=(fit.places_nm - middle * pitch)[:, ::-1],
        places_px=fit.places_nm / pitch,
        errors_nm=np.sqrt((fit.errors[:, 0] ** 2 + fit.errors[:, 1] ** 2) / 2),
        heights=fit.heights,
        height_errors=fit.errors[:, 2],
        widths_nm=fit.widths_nm,
        backgrounds=fit.backgrounds,
        cut=fit.seen < _WHOLE,
    )
    return Found(scan, columns, noise, fit)
