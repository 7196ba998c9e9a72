r"""Images of atoms in high-angle dark field, at any points, from their Fourier series.

An incoherent image is

.. math:: I(r) = \sum_a w_a\, h_a(r - r_a), \qquad \hat h_a(K) = H(K)\, F_a(K)\,
          e^{-2 \pi^2 u^2 K^2},

the fraction of the beam's electrons that reach the detector: H is of the probe (`stem.probe`), F of
the element (`stem.scattering`), u the rms of the atoms' vibration, and w what the other atoms of
the column add. As nothing is left beyond the aperture's cut-off, a coarse grid holds all of it. To
it atoms are spread, and from it points are read, by one and the same kernel, whose transform is
then divided out twice (Barnett et al.): to better than 1e-4 of the largest value.

References:
    A. H. Barnett, J. Magland, L. af Klinteberg, SIAM J. Sci. Comput. 41, C479 (2019)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.spatial import KDTree

from .probe import Probe
from .scattering import focused, form, pair_nm2

Array = NDArray[np.float64]

_OVER, _TAPS, _SHARP = 1.6, 5, 10.5  # finer than need be; the kernel's width, and its steepness
COLUMN_NM = 0.03  #: [nm] atoms that near, seen along the beam, scatter together ...
COHERENT_NM = 1.2  #: [nm] ... if they lie no farther apart along it


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An image on a grid, to be read at any points; it repeats itself beyond its edges.

    Attributes:
        origin_nm: (x, y) of the grid's first point, nm.
        pitch_nm: (x, y) of the grid, nm.
        values: On the grid, before they are read; shape (y, x).
    """

    origin_nm: tuple[float, float]
    pitch_nm: tuple[float, float]
    values: Array

    def at(self, x_nm: Array, y_nm: Array) -> Array:
        """The fraction of electrons that is detected with the beam at these points."""
        x = (x_nm - self.origin_nm[0]) / self.pitch_nm[0]
        y = (y_nm - self.origin_nm[1]) / self.pitch_nm[1]
        return _read(self.values, x.ravel(), y.ravel()).reshape(x.shape)


def image(
    positions_nm: Array,
    elements: NDArray[np.str_],
    probe: Probe,
    vibration_nm: float,
    low_nm: tuple[float, float],
    high_nm: tuple[float, float],
    weights: Array | None = None,
) -> Image:
    """The image of atoms in a box.

    Args:
        positions_nm: x, y and z of each atom, z along the beam; shape (atoms, 3).
        elements: Symbol of each; shape (atoms,).
        probe: And its optics.
        vibration_nm: Rms of the atoms along one axis, nm.
        low_nm, high_nm: Corners (x, y) of the box; atoms beyond it appear on its other side.
        weights: How strong each atom is; as `strengths` says if not given.
    """
    cutoff = probe.optics.cutoff_per_nm
    sides = [max(b - a, 1e-3) for a, b in zip(low_nm, high_nm, strict=True)]
    points = (max(math.ceil(2 * _OVER * cutoff * side), 2 * _TAPS) for side in sides)
    columns, rows = (int(next_fast_len(n, real=True) or n) for n in points)
    pitch = sides[0] / columns, sides[1] / rows
    kx, ky = np.fft.rfftfreq(columns, pitch[0]), np.fft.fftfreq(rows, pitch[1])
    K = np.hypot(kx, ky[:, None])
    held = cutoff > K
    K = K[held]
    x = (positions_nm[:, 0] - low_nm[0]) / pitch[0]
    y = (positions_nm[:, 1] - low_nm[1]) / pitch[1]
    if weights is None:
        weights = strengths(positions_nm, elements, probe, vibration_nm)
    total = np.zeros(K.size, complex)
    for element in np.unique(elements):
        of = elements == element
        spread = _spread(x[of], y[of], weights[of], rows, columns)
        # Its last value continues the form to where the probe passes nothing on.
        total += np.fft.rfft2(spread)[held] * form(str(element), probe.optics)(K)
    total *= probe.transfer()(K) * np.exp(-2 * (np.pi * vibration_nm * K) ** 2)
    kernel = _transformed(ky * pitch[1])[:, None] * _transformed(kx * pitch[0])
    series = np.zeros(held.shape, complex)
    series[held] = total / kernel[held] ** 2
    values = np.fft.irfft2(series, (rows, columns)) / math.prod(pitch)
    return Image(low_nm, pitch, values)


def strengths(
    positions_nm: Array, elements: NDArray[np.str_], probe: Probe, vibration_nm: float
) -> Array:
    """How strong each atom is with the others of its column around, by itself 1; shape (atoms,).

    It scatters together with those, and the nearest before it is its lens.
    """
    weights, optics = np.ones(len(elements)), probe.optics
    if not len(weights):
        return weights
    pairs = KDTree(positions_nm[:, :2]).query_pairs(COLUMN_NM, output_type="ndarray")
    later = positions_nm[pairs[:, 0], 2] > positions_nm[pairs[:, 1], 2]
    pairs[later] = pairs[later, ::-1]  # the beam meets the first one first
    dx, dy, dz = (positions_nm[pairs[:, 1]] - positions_nm[pairs[:, 0]]).T
    order = np.flatnonzero(dz < COHERENT_NM)
    order = order[np.argsort(dz[order], kind="stable")]
    i, j = pairs[order].T
    _, nearest = np.unique(j, return_index=True)
    is_nearest = np.zeros(len(j), bool)
    is_nearest[nearest] = True
    symbols, codes = np.unique(elements, return_inverse=True)
    apart = np.round([np.hypot(dx, dy)[order], dz[order]], 3)
    kinds, which = np.unique(np.stack([codes[i], codes[j], *apart]), axis=1, return_inverse=True)
    lenses = np.ones(len(weights))
    for n, (a, b, aside, along) in enumerate(kinds.T):
        one, other = str(symbols[int(a)]), str(symbols[int(b)])
        both = pair_nm2(one, other, aside, along, vibration_nm, optics)
        of = which.ravel() == n
        np.add.at(weights, i[of], both / float(form(one, optics)(0)))
        np.add.at(weights, j[of], both / float(form(other, optics)(0)))
        lenses[j[of & is_nearest]] = focused(one, aside, along, vibration_nm, optics)
    return weights * lenses


def _transformed(per_step: NDArray[np.floating]) -> Array:
    """The kernel's transform, at spatial frequencies in 1/step."""
    node, weight = np.polynomial.legendre.leggauss(40)
    half = _TAPS / 2
    values = np.exp(_SHARP * (np.sqrt(1 - node**2) - 1)) * weight * half
    return np.cos(2 * np.pi * np.outer(per_step, node * half)) @ values


@njit(cache=True, nogil=True)
def _taps(place, taps):
    """The kernel at the grid points around a place, into `taps`; the first of them."""
    first = math.ceil(place - _TAPS / 2)
    for n in range(_TAPS):
        far = (first + n - place) * (2 / _TAPS)
        inside = 1 - far * far
        taps[n] = math.exp(_SHARP * (math.sqrt(inside) - 1)) if inside > 0 else 0.0
    return first


@njit(cache=True, nogil=True)
def _spread(x, y, weights, rows, columns):
    """Atoms on the grid."""
    grid, across, down = np.zeros((rows, columns)), np.empty(_TAPS), np.empty(_TAPS)
    for a in range(x.size):
        left, top = _taps(x[a], across), _taps(y[a], down)
        for i in range(_TAPS):
            row = (top + i) % rows
            for j in range(_TAPS):
                grid[row, (left + j) % columns] += weights[a] * down[i] * across[j]
    return grid


@njit(cache=True, nogil=True)
def _read(grid, x, y):
    """The grid at places."""
    rows, columns = grid.shape
    values, across, down = np.empty(x.size), np.empty(_TAPS), np.empty(_TAPS)
    for n in range(x.size):
        left, top = _taps(x[n], across), _taps(y[n], down)
        total = 0.0
        for i in range(_TAPS):
            row, part = (top + i) % rows, 0.0
            for j in range(_TAPS):
                part += grid[row, (left + j) % columns] * across[j]
            total += down[i] * part
        values[n] = total
    return values
