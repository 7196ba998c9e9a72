r"""How well two images of one place agree, frequency by frequency: Fourier ring correlation.

.. math:: FRC(r) = \frac{\sum_r \mathrm{Re}\, F_1 F_2^*}{\sqrt{\sum_r |F_1|^2 \sum_r |F_2|^2}}

Of two traces of one signal with independent noise of equal power it is the share rho of the signal
in the power of that ring. No filter of both changes it, for it falls out of every ring, but a
program that draws the same on both raises it. Hence each result is compared with the *other, raw*
trace too: a blur leaves that at rho, what is invented lowers it, and only noise that is taken away
raises it, up to sqrt(rho), which is what the signal itself would have.

What the traces of one scan have in common without being surface (ghosts of the tip, drift) counts
as signal. What changes from line to line only (z noise, hum that is slower than a line) both traces
of a line have seen, and so the coefficients along the slow axis are left out.

References:
    van Heel & Schatz, J. Struct. Biol. 151, 250 (2005), doi:10.1016/j.jsb.2005.05.009
    Guizar-Sicairos, Thurman, Fienup, Opt. Lett. 33, 156 (2008), doi:10.1364/OL.33.000156
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, shift

from ..errors import ScanError

Image = NDArray[np.floating]
Array = NDArray[np.floating]

_ALONG = 2
"""How far a Hann window spreads what is constant along a line, Fourier pixels."""

_HANN = np.array([1 / 36, 4 / 9, 1, 4 / 9, 1 / 36])
"""Squared correlation of Fourier coefficients of white noise under a Hann window, by distance."""


class Rings(NamedTuple):
    """Sums over the coefficients of each ring, 1 to side / 2 - 1, of two images; (rings,).

    Sums of several pairs of one shape may be added up before `correlation`.

    Attributes:
        cross: Of the real part of the one times the conjugate other.
        first: Of the squared modulus of the first image.
        second: Of the second.
    """

    cross: Array
    first: Array
    second: Array

    @property
    def correlation(self) -> Array:
        """In [-1, 1]; 0 where an image has no power."""
        power = np.sqrt(self.first * self.second)
        return np.divide(self.cross, power, out=np.zeros_like(self.cross), where=power > 0)


def rings(first: Image, second: Image) -> Rings:
    """Of two images of one place, under a Hann window.

    Args:
        first: Shape (side, side), levelled; the fast axis is that of the columns.
        second: Of the same shape.

    Raises:
        ScanError: They are no such images.
    """
    if first.shape != second.shape or first.ndim != 2 or first.shape[0] != first.shape[1]:
        raise ScanError(
            f"rings are taken of two square images of one size, got {first.shape} and "
            f"{second.shape}: cut both to the same square"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ScanError("an image has pixels that were not measured: cut both to what was")
    which, _ = _layout(len(first))
    a, b = _transform(first), _transform(second)

    def total(values: Array) -> Array:
        sums = np.bincount(which.ravel(), values.ravel(), len(first) // 2)
        return sums[1:].astype(np.float64)

    return Rings(total((a * b.conj()).real), total(abs(a) ** 2), total(abs(b) ** 2))


def frequencies(side: int) -> Array:
    """Of the rings of images of `side` pixels, cycles per pixel; (rings,)."""
    return np.arange(1.0, side // 2) / side


def independent(side: int) -> Array:
    """How many independent real numbers a ring of an image of `side` pixels holds; (rings,).

    The correlation of images of noise alone has the standard deviation 1 / sqrt of it. The window
    ties neighbouring coefficients together, so that they are fewer than the coefficients.
    """
    return _layout(side)[1]


def half_bit(count: Array) -> Array:
    """The correlation at which two images together hold half a bit of information a number.

    Each has a signal of .2071 of its noise's power then.

    Args:
        count: Of independent numbers: `independent`, times the number of pairs added up.

    References:
        van Heel & Schatz, Eq. 17
    """
    one = 1 / np.sqrt(count)
    return (0.2071 + 1.9102 * one) / (1.2071 + 0.9102 * one)


def offset(
    first: Image, second: Image, most_px: tuple[float, float] = (8.0, 8.0)
) -> tuple[float, float]:
    """By how much the second image is to be moved (rows, columns) to lie upon the first, pixels.

    The largest cross-correlation, to a fiftieth of a pixel.

    Args:
        first: Shape (rows, columns).
        second: Of the same shape.
        most_px: No further (rows, columns): a lattice looks the same a period on. Both traces of a
            line lie on the same row, to a pixel or so; hysteresis moves them along it.
    """
    found, most = np.zeros(2), np.array(most_px)
    reach = np.ceil(most).astype(int)
    for _ in range(3):  # the window holds the images where they are, the less the nearer they are
        step = _peak(first, moved(second, (found[0], found[1])), reach)
        found, reach = np.clip(found + step, -most, most), np.array([1, 1])
    return float(found[0]), float(found[1])


def moved(image: Image, by: tuple[float, float]) -> Array:
    """`image` moved by (rows, columns), pixels, by cubic splines; its edge goes on beyond itself.

    It damps the finest detail, of signal and noise alike, which no correlation of rings shows.
    """
    return shift(image.astype(np.float64), by, order=3, mode="nearest")


def _peak(first: Image, second: Image, reach: NDArray[np.intp]) -> Array:
    product = _transform(first) * _transform(second).conj()
    around = [np.arange(-r, r + 1) for r in reach]
    near = np.ix_(*(a % n for a, n in zip(around, first.shape, strict=True)))
    correlation = np.fft.ifft2(product).real[near]
    peak = np.unravel_index(int(correlation.argmax()), correlation.shape)
    fine = np.arange(-50, 51) / 50
    at = [a[p] + fine for a, p in zip(around, peak, strict=True)]
    waves = [
        np.exp(2j * np.pi * np.outer(p, np.fft.fftfreq(n)))
        for p, n in zip(at, first.shape, strict=True)
    ]
    zoomed = (waves[0] @ product @ waves[1].T).real
    row, column = np.unravel_index(int(zoomed.argmax()), zoomed.shape)
    return np.array([at[0][row], at[1][column]])


def _transform(image: Image) -> NDArray[np.complex128]:
    down, across = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n) for n in image.shape)
    return np.fft.fft2((image - image.mean(dtype=np.float64)) * down[:, None] * across)


@lru_cache(maxsize=4)
def _layout(side: int) -> tuple[NDArray[np.intp], Array]:
    """The ring of each coefficient, 0 for none, and how many independent numbers are in each."""
    k = np.fft.fftfreq(side, 1 / side)
    ring = np.rint(np.hypot(k[:, None], k)).astype(np.intp)
    ring[(ring >= side // 2) | (abs(k) <= _ALONG)] = 0
    counts = []
    for number in range(1, side // 2):
        inside = (ring == number).astype(np.float64)
        tied = correlate1d(correlate1d(inside, _HANN, 0, mode="wrap"), _HANN, 1, mode="wrap")
        counts.append(inside.sum() ** 2 / max((inside * tied).sum(), 1))
    return ring, np.maximum(counts, 1e-9)
