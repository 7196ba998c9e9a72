r"""Which reflections the peaks of an image are: a lattice's orientation, scale and distortion.

A place :math:`p` in pixels (x, y) is one :math:`p D` in nm, and so a reflection :math:`g` of a
crystal (cycles/nm) appears at :math:`g D^T` (cycles a pixel). D has shape (2, 2): a pixel's step
along x, then one along y, in the crystal's own axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .crystals import Crystal
from .reciprocal import Peaks, Spectrum

Array = NDArray[np.float64]

MOST_DISTORTED = 0.1
"""The most that a scan may be sheared, or stretched along one axis, for a lattice to be known."""
_SEEN = 12.0  # power over the noise of a reflection that is looked for
_STRAYED = 1.5  # bins, from where it is looked for
_PAIRED = 12  # of the strongest peaks, tried as the two that span the lattice
_EXPLAINED = 0.5  # of the peaks' worth, by a lattice that is taken for the crystal's
_COST = 2.0  # in logarithms of power over noise, of a reflection that a lattice has
_FARTHEST = 9  # index of a reflection that is looked for
_UNSEEN = 3  # shells one after the other, after which no more are looked for


def reciprocal(crystal: Crystal) -> Array:
    """b1 and b2 in rows, cycles/nm, the shortest there are: 60 degrees apart of a hexagonal one."""
    first, second = crystal.lattice.reciprocal_per_nm / (2 * np.pi)
    return np.array((first, second + first if first @ second < -1e-9 else second))


def distortion(scale: Array) -> Array:
    """By how much D, shape (..., 2, 2), stretches one axis against the other, or shears."""
    x, y, lean = pitches(scale)
    return np.maximum(np.abs(np.log(x / y)), np.abs(lean / y))


def pitches(scale: Array) -> Array:
    """Pitch along columns and rows, and by how much the rows lean, nm; of D, shape (3, ...)."""
    along, down = scale[..., 0, :], scale[..., 1, :]
    x = np.linalg.norm(along, axis=-1)
    return np.array((x, np.abs(np.linalg.det(scale)) / x, (along * down).sum(-1) / x))


def guesses(
    peaks: Peaks, basis: Array, spectrum: Spectrum, unit: Array
) -> Iterator[tuple[float, Array]]:
    """Every D, shape (2, 2), under which two of the peaks are reflections, and how good it is.

    Good is to explain the peaks, the strongest above all, with few reflections: else a lattice of
    finer reflections explains them just as well.
    """
    strong = peaks.per_px[:_PAIRED]
    worth = np.log(peaks.over_noise)
    reach = np.hypot(*strong.T).max(initial=0.0)
    tolerance = 3 * spectrum.bin_per_px.max()
    short = [np.array(hk) for hk in product((-1, 0, 1, -2), repeat=2) if any(hk)]
    short = [hk for hk in short if np.linalg.norm(hk @ basis) < 1.8 * np.linalg.norm(basis[0])]
    first = [hk for hk in short if hk[0] == 1 and hk[1] >= 0]
    both = np.concatenate([strong, -strong])
    seen = np.stack([np.repeat(strong, len(both), 0), np.tile(both, (len(strong), 1))], axis=1)
    seen = seen[np.abs(np.linalg.det(seen)) > 1e-9]
    for one, other in product(first, short):
        crystal = np.array((one, other)) @ basis
        if abs(np.linalg.det(crystal)) < 1e-6:
            continue
        scales = np.linalg.solve(crystal, seen).transpose(0, 2, 1)
        for scale in scales[distortion(scales / unit[:, None]) < MOST_DISTORTED]:
            reflections = basis @ scale.T
            indices = np.rint(peaks.per_px @ np.linalg.inv(reflections))
            missed = np.hypot(*(peaks.per_px - indices @ reflections).T)
            close = (missed < tolerance + 0.02 * np.hypot(*peaks.per_px.T)) & indices.any(axis=1)
            if worth[close].sum() < _EXPLAINED * worth.sum():
                continue
            predicted = math.pi * reach**2 / abs(np.linalg.det(reflections)) / 2
            yield float(worth[close].sum() - _COST * predicted), scale


def indexed(spectrum: Spectrum, basis: Array, scale: Array) -> tuple[Array, Peaks]:
    """Reflections (h, k) that are seen, and their peaks: from the innermost outwards.

    Each shell says better where the next one is to be looked for.
    """
    half = [hk for hk in product(range(-_FARTHEST, _FARTHEST + 1), repeat=2) if hk > (0, 0)]
    indices = np.array(half, np.float64)
    length = np.hypot(*(indices @ basis).T)
    shells = np.round(length / length.min(), 3)
    kept = np.empty((0, 2))
    found = Peaks(np.empty((0, 2)), np.empty(0), np.empty((0, 2)))
    unseen = 0
    for shell in np.unique(shells):
        if unseen == _UNSEEN:
            break
        here = indices[shells == shell]
        expected = here @ basis @ scale.T
        inside = (np.abs(expected) < 0.47).all(axis=1)
        if not inside.any():
            break
        inside &= spectrum.over_noise(expected) > _SEEN / 3
        here, expected = here[inside], expected[inside]
        peaks = spectrum.near(expected)
        strayed = np.abs((peaks.per_px - expected) / spectrum.bin_per_px).max(axis=1, initial=0)
        seen = (peaks.over_noise > _SEEN) & (strayed < _STRAYED)
        unseen = 0 if seen.any() else unseen + 1
        kept = np.concatenate([kept, here[seen]])
        found = Peaks(
            np.concatenate([found.per_px, peaks.per_px[seen]]),
            np.concatenate([found.over_noise, peaks.over_noise[seen]]),
            np.concatenate([found.sigma_per_px, peaks.sigma_per_px[seen]]),
        )
        if len(kept) >= 2 and np.linalg.matrix_rank(kept) == 2:
            scale, _ = least_squares(kept @ basis, found)
    return kept, found


def least_squares(reflections: Array, peaks: Peaks) -> tuple[Array, Array]:
    """D that takes `reflections`, shape (peaks, 2), to their peaks, and variances of its rows.

    The variances are those of noise, or larger where the peaks lie farther off than it explains.
    """
    scale, covariances = np.empty((2, 2)), np.empty((2, 2, 2))
    for axis in (0, 1):
        weight = 1 / peaks.sigma_per_px[:, axis]
        weighted, seen = reflections * weight[:, None], peaks.per_px[:, axis] * weight
        scale[axis] = np.linalg.lstsq(weighted, seen, rcond=None)[0]
        freedom = len(seen) - 2
        excess = np.sum((seen - weighted @ scale[axis]) ** 2) / freedom if freedom else 1.0
        covariances[axis] = np.linalg.inv(weighted.T @ weighted) * max(1.0, excess)
    return scale, covariances
