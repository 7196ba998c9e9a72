"""The pixel pitch from the lattice of a crystal that is known: by it, headers can be put right.

The four numbers of D, the steps from pixel to pixel in the crystal's axes (`stem.indexing`), are
fitted to all reflections that stand out of the noise. Up to a rotation they are the pitch along
the columns, that along the rows, and a shear of the lines against one another, as slow drift
makes it: the fast axis is held to be straight.

A strain of the crystal cannot be told from a wrong pitch, nor one crystal from another of the same
symmetry and nearly the same lattice constant: the name is taken as the truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import io
from ..errors import RecipeError, ScanError
from ..scan import Scan
from .crystals import CRYSTALS, Crystal
from .indexing import (
    MOST_DISTORTED,
    distortion,
    guesses,
    indexed,
    least_squares,
    pitches,
    reciprocal,
)
from .reciprocal import Peaks, Spectrum

Array = NDArray[np.float64]

MOST_OFF = 0.15
"""By how much a header's pitch may be wrong: less than what tells MoS2 from graphene."""
_FEWEST = 3  # reflections that make a lattice
_CLEAR, _FAINT = 25.0, 12.0  # power over the noise: of one peak at least, and of the others
_STRONGEST = 40


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
    peaks = spectrum.strongest(_STRONGEST, _FAINT)
    basis = reciprocal(crystal)
    unit = np.array(header_nm[::-1]) if header_nm else np.ones(2)  # (x, y)
    found = sorted(guesses(peaks, basis, spectrum, unit), key=lambda guess: -guess[0])
    near = [guess for guess in found if header_nm is None or _off(guess[1], unit) < MOST_OFF]
    if not near or peaks.over_noise.max() < _CLEAR:
        raise ScanError(_unseen(crystal, peaks, found, header_nm))
    indices, shown = indexed(spectrum, basis, near[0][1])
    if len(indices) < _FEWEST:
        raise ScanError(
            f"only {len(indices)} reflections of {crystal.name} stand out of the noise, and "
            f"{_FEWEST} or more are needed: use a larger part of the scan, or a frame of more dose"
        )
    scale, covariances = least_squares(indices @ basis, shown)
    if distortion(scale / unit[:, None]) > MOST_DISTORTED:
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


def read(
    path: Path | str | io.ScanFile,
    lattice: str,
    channel: str | None = None,
    direction: str | None = None,
    *,
    frame: int | None = None,
    size_nm: tuple[float, float] | None = None,
    unit: str | None = None,
) -> tuple[Scan, Calibration, tuple[float, float] | None]:
    """A scan as `io.read` has it, at the pitch of the crystal that `lattice` names.

    Returns:
        The scan, its calibration, and the pitch (rows, columns) before, nm; None where neither the
        file nor `size_nm` says it.

    Raises:
        ReadError: As `io.read`, but for a file without a scale.
        RecipeError: No crystal is called so.
        ScanError: No such lattice is seen.
    """
    crystal = crystal_named(lattice)
    file = path if isinstance(path, io.ScanFile) else io.open(path)
    shown = file.shown(channel)
    known = bool(shown.size_nm or size_nm)
    held = size_nm if known else (float(shown.rows), float(shown.columns))
    scan = io.read(file, channel, direction, frame=frame, size_nm=held, unit=unit)
    found = calibrate(scan.values, crystal, scan.pixel_nm if known else None)
    if known:
        return found.applied(scan), found, scan.pixel_nm
    said, _, *warnings = scan.history  # without the size that was only held for it
    return found.applied(replace(scan, history=(said, *warnings)), known=False), found, None


def _off(scale: Array, unit: Array) -> float:
    x, y, _ = pitches(scale / unit[:, None])
    return abs(math.log(x * y) / 2)


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
        indices, peaks = indexed(Spectrum(part), basis, scale)
        if len(indices) >= _FEWEST:
            there, covariances = least_squares(indices @ basis, peaks)
            found.append(_angles(there))
            theirs.append(_variances(there, covariances))
    if len(found) < 2:
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
    x, y, lean = pitches(scale)
    return np.array((x, y, np.degrees(np.arctan2(lean, y))))


def _unseen(
    crystal: Crystal,
    peaks: Peaks,
    found: list[tuple[float, Array]],
    header_nm: tuple[float, float] | None,
) -> str:
    """Why no lattice was found: what was seen, and what had been expected."""
    if peaks.over_noise.max(initial=0.0) < _CLEAR:
        return (
            f"no lattice of {crystal.name} is seen: no period of the image stands out of its "
            "noise; use a larger part of the scan, or a frame of more dose"
        )
    unit = np.array(header_nm[::-1]) if header_nm else np.ones(2)
    if found and header_nm:
        x, y, _ = pitches(found[0][1] / unit[:, None])
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
            f"pitch of {_pitch(header_nm)} nm, and headers are taken to be off by {MOST_OFF:.0%} "
            f"or less: {ask} If the header is wrong, give --size-nm"
        )
    periods = 1 / np.hypot(*(peaks.per_px / unit).T)
    unit_name = "nm by the header" if header_nm else "pixels"
    seen = ", ".join(f"{period:.3g}" for period in periods[:4])
    expected = 1 / np.linalg.norm(reciprocal(crystal)[0])
    return (
        f"no lattice of {crystal.name} is seen: the image's strongest periods are {seen} "
        f"{unit_name}, and make no lattice of {expected:.3g} nm and that symmetry; name the "
        "crystal that it shows"
    )


def _corner(crystal: Crystal) -> float:
    first, second = reciprocal(crystal)
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


def _pitch(pixel_nm: tuple[float, float]) -> str:
    rows, columns = (f"{pitch:.5g}" for pitch in pixel_nm)
    return columns if rows == columns else f"{rows} x {columns}"
