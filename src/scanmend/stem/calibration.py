r"""The pixel pitch from the lattice of a crystal that is known: by it, headers can be put right.

A place :math:`p` in pixels (x, y) is one :math:`p D` in nm, and so a reflection :math:`g` of the
crystal (cycles/nm) appears at :math:`g D^T` (cycles a pixel). The four numbers of :math:`D` are
fitted to all reflections that stand out of the noise. Up to a rotation they are the pitch along
the columns, that along the rows, and a shear of the lines against one another, as slow drift
makes it: the fast axis is held to be straight.

A strain of the crystal cannot be told from a wrong pitch, nor one crystal from another of the same
symmetry and nearly the same lattice constant: the name is taken as the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..errors import RecipeError, ScanError
from ..scan import Scan
from .crystals import CRYSTALS, Crystal
from .reciprocal import Peaks, Spectrum

Array = NDArray[np.float64]

MOST_OFF = 0.15
"""By how much a header's pitch may be wrong: less than what tells MoS2 from graphene."""
MOST_DISTORTED = 0.1
"""The most that a scan may be sheared, or stretched along one axis, for a lattice to be known."""
_FEWEST = 3  # reflections that make a lattice
_EXPLAINED = 0.5  # of the peaks' worth, by a lattice that is taken for the crystal's
_CLEAR, _SEEN = 25.0, 12.0  # power over the noise: of peaks that begin it, and that are looked for
_STRONGEST = 24
_PAIRED = 12  # of those, tried as the two that span the lattice
_UNSEEN = 3  # shells one after the other, after which no more are looked for
_FARTHEST = 9  # index of a reflection that is looked for
_COST = 2.0  # in logarithms of power over noise, of a reflection that a lattice has


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a lattice says of an image's scale.

    Attributes:
        crystal: Its name.
        pixel_nm: Pitch (rows, columns), nm.
        sigma_nm: Of each, one standard deviation.
        shear_deg: By which the rows' axis leans towards the columns', degrees.
        sigma_deg: Of it.
        reflections: How many were fitted, one of each pair.
        finest_nm: The shortest period among them, nm.
    """

    crystal: str
    pixel_nm: tuple[float, float]
    sigma_nm: tuple[float, float]
    shear_deg: float
    sigma_deg: float
    reflections: int
    finest_nm: float

    def applied(self, scan: Scan, *, known: bool = True) -> Scan:
        """`scan` at this pitch, its pixels as they are; `known`: whether it had one before."""
        was = f"was {_pitch(scan.pixel_nm)}" if known else "unknown before"
        step = f"calibrated by the lattice of {self.crystal}: {_pitch(self.pixel_nm)} nm/pixel"
        history = (*scan.history, f"{step}, {was}")
        return replace(scan, pixel_nm=self.pixel_nm, history=history)


def crystal_named(name: str) -> Crystal:
    """One of `stem.crystals`.

    Raises:
        RecipeError: None is called so.
    """
    if name.lower() not in CRYSTALS:
        raise RecipeError(f"no crystal is called {name!r}; there are {', '.join(CRYSTALS)}")
    return CRYSTALS[name.lower()]


def calibrate(
    values: NDArray[np.floating], crystal: Crystal, header_nm: tuple[float, float] | None = None
) -> Calibration:
    """Measures the pitch of an image of a crystal.

    Args:
        values: The image; NaN where nothing was measured; shape (rows, columns).
        crystal: What it shows, at least on a part of it.
        header_nm: What its file says of the pitch (rows, columns), nm; None where nothing. With it
            a lattice at another pitch, by more than `MOST_OFF`, is not taken for this crystal's.

    Raises:
        ScanError: No such lattice is seen.
    """
    spectrum = Spectrum(values)
    peaks = spectrum.strongest(_STRONGEST, _CLEAR)
    basis = _reciprocal(crystal)
    unit = np.array(header_nm[::-1]) if header_nm else np.ones(2)  # (x, y)
    guesses = sorted(_guesses(peaks, basis, spectrum, unit), key=lambda guess: -guess[0])
    near = [guess for guess in guesses if header_nm is None or _off(guess[1], unit) < MOST_OFF]
    if not near:
        raise ScanError(_unseen(crystal, peaks, guesses, header_nm))
    indices, shown = _indexed(spectrum, basis, near[0][1])
    if len(indices) < _FEWEST:
        raise ScanError(
            f"only {len(indices)} reflections of {crystal.name} stand out of the noise, and "
            f"{_FEWEST} or more are needed: use a larger part of the scan, or a frame of more dose"
        )
    scale, covariances = _least_squares(indices @ basis, shown)
    if _distortion(scale / unit[:, None]) > MOST_DISTORTED:
        raise ScanError(_unseen(crystal, peaks, [], header_nm))
    x, y, shear_deg = map(float, _angles(scale))
    sigma_x, sigma_y, sigma_deg = map(float, _sigmas(values, basis, scale, covariances))
    return Calibration(
        crystal.name,
        pixel_nm=(y, x),
        sigma_nm=(sigma_y, sigma_x),
        shear_deg=shear_deg,
        sigma_deg=sigma_deg,
        reflections=len(indices),
        finest_nm=float(1 / np.hypot(*(indices @ basis).T).max()),
    )


def _reciprocal(crystal: Crystal) -> Array:
    """b1 and b2 in rows, cycles/nm, the shortest there are: 60 degrees apart of a hexagonal one."""
    first, second = crystal.lattice.reciprocal_per_nm / (2 * np.pi)
    return np.array((first, second + first if first @ second < -1e-9 else second))


def _guesses(
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
        for scale in scales[_distortion(scales / unit[:, None]) < MOST_DISTORTED]:
            reflections = basis @ scale.T
            indices = np.rint(peaks.per_px @ np.linalg.inv(reflections))
            missed = np.hypot(*(peaks.per_px - indices @ reflections).T)
            close = (missed < tolerance + 0.02 * np.hypot(*peaks.per_px.T)) & indices.any(axis=1)
            if worth[close].sum() < _EXPLAINED * worth.sum():
                continue
            predicted = math.pi * reach**2 / abs(np.linalg.det(reflections)) / 2
            yield float(worth[close].sum() - _COST * predicted), scale


def _pitches(scale: Array) -> Array:
    """Pitch along columns and rows, and by how much the rows lean, nm; of D, shape (3, ...)."""
    along, down = scale[..., 0, :], scale[..., 1, :]
    x = np.linalg.norm(along, axis=-1)
    return np.array((x, np.abs(np.linalg.det(scale)) / x, (along * down).sum(-1) / x))


def _distortion(scale: Array) -> Array:
    """By how much D, shape (..., 2, 2), stretches one axis against the other, or shears."""
    x, y, lean = _pitches(scale)
    return np.maximum(np.abs(np.log(x / y)), np.abs(lean / y))


def _off(scale: Array, unit: Array) -> float:
    x, y, _ = _pitches(scale / unit[:, None])
    return abs(math.log(x * y) / 2)


def _indexed(spectrum: Spectrum, basis: Array, scale: Array) -> tuple[Array, Peaks]:
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
        seen = (peaks.over_noise > _SEEN) & (strayed < 1.5)
        unseen = 0 if seen.any() else unseen + 1
        kept = np.concatenate([kept, here[seen]])
        found = Peaks(
            np.concatenate([found.per_px, peaks.per_px[seen]]),
            np.concatenate([found.over_noise, peaks.over_noise[seen]]),
            np.concatenate([found.sigma_per_px, peaks.sigma_per_px[seen]]),
        )
        if len(kept) >= 2 and np.linalg.matrix_rank(kept) == 2:
            scale, _ = _least_squares(kept @ basis, found)
    return kept, found


def _least_squares(reflections: Array, peaks: Peaks) -> tuple[Array, Array]:
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


def _sigmas(values: NDArray[np.floating], basis: Array, scale: Array, noise: Array) -> Array:
    """Standard deviations of `_angles(scale)`, shape (3,).

    Those of `noise`, the variances of D's rows, and of what four quarters of the image disagree by
    beyond it: a scan is not distorted alike all over.
    """
    own = _variances(scale, noise)
    rows, columns = values.shape
    found, theirs = [], []
    for top, left in product((0, rows // 2), (0, columns // 2)):
        part = values[top : top + rows // 2, left : left + columns // 2]
        indices, peaks = _indexed(Spectrum(part), basis, scale)
        if len(indices) >= _FEWEST:
            there, covariances = _least_squares(indices @ basis, peaks)
            found.append(_angles(there))
            theirs.append(_variances(there, covariances))
    if len(found) < 3:
        return np.sqrt(own)
    beyond = np.var(found, axis=0, ddof=1) - np.mean(theirs, axis=0)
    return np.sqrt(own + np.maximum(beyond, 0) / len(found))


def _variances(scale: Array, covariances: Array) -> Array:
    """Of `_angles(scale)`, from those of D's rows, to first order; shape (3,)."""
    nudge, variances = 1e-6 * np.abs(scale).max(), np.zeros(3)
    for axis in (0, 1):
        slopes = np.empty((3, 2))
        for column in (0, 1):
            moved = scale.copy()
            moved[axis, column] += nudge
            slopes[:, column] = (_angles(moved) - _angles(scale)) / nudge
        variances += np.einsum("ni,ij,nj->n", slopes, covariances[axis], slopes)
    return variances


def _angles(scale: Array) -> Array:
    """Pitch along columns and along rows, nm, and the shear, degrees; shape (3,)."""
    x, y, lean = _pitches(scale)
    return np.array((x, y, np.degrees(np.arctan2(lean, y))))


def _unseen(
    crystal: Crystal,
    peaks: Peaks,
    guesses: list[tuple[float, Array]],
    header_nm: tuple[float, float] | None,
) -> str:
    """Why no lattice was found: what was seen, and what had been expected."""
    if not len(peaks.per_px):
        return (
            f"no lattice of {crystal.name} is seen: no period of the image stands out of its "
            "noise; use a larger part of the scan, or a frame of more dose"
        )
    unit = np.array(header_nm[::-1]) if header_nm else np.ones(2)
    if guesses and header_nm:
        x, y, _ = _pitches(guesses[0][1] / unit[:, None])
        factor = math.sqrt(x * y)
        spacing = math.sqrt(abs(crystal.lattice.cell_nm2))
        alike = [
            name
            for name, other in CRYSTALS.items()
            if abs(math.log(math.sqrt(abs(other.lattice.cell_nm2)) * factor / spacing))
            < MOST_OFF / 2
            and abs(_corner(other) - _corner(crystal)) < 0.01
        ]
        ask = f"is it {' or '.join(alike)}?" if alike else "is it another crystal?"
        return (
            f"a lattice is seen that {crystal.name} would have at {factor:.3g} times the header's "
            f"pitch of {_pitch(header_nm)} nm, and headers are trusted to {MOST_OFF:.0%}: {ask} "
            "If the header is wrong, give --size-nm"
        )
    periods = 1 / np.hypot(*(peaks.per_px / unit).T)
    unit_name = "nm by the header" if header_nm else "pixels"
    seen = ", ".join(f"{period:.3g}" for period in periods[:4])
    expected = 1 / np.linalg.norm(_reciprocal(crystal)[0])
    return (
        f"no lattice of {crystal.name} is seen: the image's strongest periods are {seen} "
        f"{unit_name}, and make no lattice of {expected:.3g} nm and that symmetry; name the "
        "crystal that it shows"
    )


def _corner(crystal: Crystal) -> float:
    first, second = _reciprocal(crystal)
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


def _pitch(pixel_nm: tuple[float, float]) -> str:
    rows, columns = (f"{pitch:.5g}" for pitch in pixel_nm)
    return columns if rows == columns else f"{rows} x {columns}"
