"""What a network for STEM is trained on: electrons that were counted, and those to be expected.

Specimens are drawn with every crystal that is known, stretched, and with all that a specimen may
have: edges, holes, grain boundaries, defects, tilt and carbon. The carbon is there, and so it is in
the target: who took it away would have to invent what lies below, and could not tell thin carbon
from vacuum. Drift, too, is in the target, since no scan tells it from a sheared crystal; jitter of
pixels and lines is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .. import counts
from ..crystals.lattice import Lattice
from ..errors import RecipeError
from ..normalise import Affine
from ..scan import Quantity, Scan
from ..stem import haadf
from ..stem.crystals import CRYSTALS, Crystal
from ..stem.microscope import counted, points, strays
from ..stem.parameters import Detector, Frame, Motion
from ..stem.parameters import Sample as Specimen
from ..stem.probe import Probe
from ..stem.scattering import Optics
from ..stem.specimen import Atoms, contamination, specimen
from .samples import Sample

Array = NDArray[np.float64]

OPTICS = (
    Optics(60, 33, 60, 200),
    Optics(80, 30, 60, 200),
    Optics(200, 18, 70, 200),
    Optics(200, 25, 80, 220),
    Optics(300, 22, 60, 200),
)
"""Beams and detectors: a few, since each takes time to calculate."""

HALF_NM = 4.2  #: half the side of a specimen, in which samples lie at any place and angle
_POOL, _USES = 32, 16  # specimens that samples choose from by turns, and for how many each serves


@dataclass(frozen=True)
class Doses:
    """How often a sample is what.

    Attributes:
        side: Rows and columns of a sample.
        factors: How many times coarser, on both axes, it is measured, and `factor_shares`, how
            often.
        pixel_nm: Least and greatest pitch of the target, nm; evenly in its logarithm.
        coarsest_nm: Greatest pitch that is measured, nm.
        dose_per_A2: Fewest and most electrons on a square Angstrom; evenly in its logarithm.
        gain: Standard deviation of the logarithms of a random gain and of an error of the noise,
            and `shift`, of an offset in units of the contrast: those of a whole scan are not those
            of a patch.
    """

    side: int = 112
    factors: tuple[int, ...] = (1, 2, 4)
    factor_shares: tuple[float, ...] = (0.5, 0.3, 0.2)
    pixel_nm: tuple[float, float] = (0.01, 0.05)
    coarsest_nm: float = 0.08
    dose_per_A2: tuple[float, float] = (10.0, 30_000.0)
    gain: float = 0.4
    shift: float = 0.5

    def __post_init__(self) -> None:
        if len(self.factors) != len(self.factor_shares) or min(self.factors) < 1:
            raise RecipeError(
                f"factors {self.factors} need as many factor_shares, got {self.factor_shares}"
            )
        if not math.isclose(sum(self.factor_shares), 1) or min(self.factor_shares) < 0:
            raise RecipeError(f"factor_shares must add up to 1, got {self.factor_shares}")
        for factor in self.factors:
            if self.side % factor or self.side < 8 * factor:
                raise RecipeError(
                    f"a side of {self.side} pixels is not measured {factor} times coarser: take a "
                    f"multiple of {factor}, {8 * factor} at least"
                )
        for name in ("pixel_nm", "dose_per_A2"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise RecipeError(f"{name} goes from a number above 0 up, got {low:g}, {high:g}")
        if self.coarsest_nm < max(self.factors) * self.pixel_nm[0]:
            raise RecipeError(
                f"coarsest_nm is {max(self.factors)} times the least pixel_nm at least, "
                f"{max(self.factors) * self.pixel_nm[0]:g} nm, got {self.coarsest_nm:g} nm"
            )
        if self.side * self.pixel_nm[1] > math.sqrt(2) * HALF_NM:
            raise RecipeError(
                f"{self.side} pixels of {self.pixel_nm[1]:g} nm are more than the "
                f"{math.sqrt(2) * HALF_NM:.3g} nm that a specimen has for them at any angle"
            )


def sample(doses: Doses, seed: int, number: int) -> Sample:
    """Sample `number` of the set that `doses` and `seed` define.

    Consecutive ones are of different specimens; each specimen serves for some of them.
    """
    slot = number % _POOL
    # They are not replaced all at once: no batch has to wait for as many.
    image = _image(seed, slot, (number // _POOL + slot) // _USES)
    rng = np.random.default_rng((seed, number))
    factor = doses.factors[rng.choice(len(doses.factors), p=doses.factor_shares)]
    low, high = doses.pixel_nm
    pitch = _log_uniform(low, min(high, doses.coarsest_nm / factor), rng)
    dwell_us = _log_uniform(1, 40, rng)
    fine = Frame(doses.side, doses.side, pitch, dwell_us)
    coarse = Frame(doses.side // factor, doses.side // factor, factor * pitch, dwell_us)
    turn = _placed(fine, rng)

    astray = strays(coarse, _jitter(rng), rng)
    middles = points(coarse)
    seen = image.at(*turn(middles[0] + astray[0], middles[1] + astray[1]))
    electrons = _log_uniform(*doses.dose_per_A2, rng) * 100 * coarse.pixel_nm**2
    detector = _detector(rng)
    keeps = math.exp(-dwell_us / detector.afterglow_us) if detector.afterglow_us else 0.0
    values = counted(electrons * seen, detector, keeps, rng)
    if not np.ptp(values):  # in vacuum: every detector reads something at last
        values = counted(electrons * seen, replace(detector, readout_counts=0.1), keeps, rng)
    scan = Scan(values, (coarse.pixel_nm, coarse.pixel_nm), Quantity.COUNTS)
    expected = electrons * image.at(*turn(*points(fine)))

    own = counts.affine(scan)
    gain, off = np.exp(rng.normal(0, doses.gain, 2)).tolist()
    noise, shift = off * counts.noise(scan), rng.normal(0, doses.shift)
    affine = Affine(own.offset + shift * own.scale, gain * own.scale)
    known, raw = counts.shown(scan, factor, affine, noise)
    return Sample(
        known=known,
        mask=np.ones_like(known),
        target=affine.apply(expected),
        told=counts.told((pitch, pitch), factor, affine, noise),
        raw=raw,
    )


@lru_cache(maxsize=2 * _POOL)
def _image(seed: int, slot: int, turn: int) -> haadf.Image:
    """What a microscope sees of a specimen that is drawn."""
    rng = np.random.default_rng((seed, slot, turn, 1))
    crystal = list(CRYSTALS.values())[rng.integers(len(CRYSTALS))]
    crystal = _stretched(crystal, rng.uniform(0.88, 1.15))
    optics = OPTICS[rng.integers(len(OPTICS))]
    probe = Probe(optics, rng.normal(0, 3), 0.0, rng.uniform(0.03, 0.11))
    sample = _specimen(crystal, rng)
    corners = (-HALF_NM, -HALF_NM), (HALF_NM, HALF_NM)
    usual = crystal.densities_per_nm2
    densities = {kind: density * rng.exponential(1.5) for kind, density in usual.items()}
    densities[str(rng.choice(list(crystal.changes)))] = rng.uniform(0, 0.25)
    whole = specimen(crystal, sample, densities, *corners, rng)
    weights = haadf.strengths(whole.positions_nm, whole.elements, probe, sample.vibration_nm)
    if sample.contamination_nm:
        carbon = contamination(sample, *corners, rng)
        whole = Atoms(
            np.concatenate([whole.positions_nm, carbon.positions_nm]),
            np.concatenate([whole.elements, carbon.elements]),
        )
        # Lying at random, its atoms do not add to each other.
        weights = np.concatenate([weights, np.ones(len(carbon.elements))])
    return haadf.image(
        whole.positions_nm, whole.elements, probe, sample.vibration_nm, *corners, weights
    )


def _specimen(crystal: Crystal, rng: np.random.Generator) -> Specimen:
    shapes = ("sheet", "edge", "wire", "hole")
    return Specimen(
        tilt_x_deg=rng.normal(0, 1),
        tilt_y_deg=rng.normal(0, 1),
        thickness_nm=crystal.period_nm * rng.integers(1, 5),
        vibration_nm=rng.choice((0.005, 0.007, 0.009)),
        shape=shapes[rng.choice(len(shapes), p=(0.4, 0.25, 0.2, 0.15))],
        width_nm=rng.uniform(0.8, 4),
        direction_deg=rng.uniform(0, 360),
        rough_nm=rng.exponential(0.1),
        boundary_deg=rng.uniform(3, 57) if rng.random() < 0.15 else 0.0,
        contamination_nm=rng.exponential(0.4) if rng.random() < 0.5 else 0.0,
        patch_nm=rng.uniform(0.7, 3),
    )


def _stretched(crystal: Crystal, by: float) -> Crystal:
    """There are more crystals than are known here, and none has a network's pitch exactly."""
    lattice = crystal.lattice
    return replace(crystal, lattice=Lattice(by * lattice.vectors_nm, by * lattice.basis_nm))


def _placed(frame: Frame, rng: np.random.Generator):
    """A map from a frame to its place on the specimen, turned and, by drift, sheared."""
    angle, room = rng.uniform(0, 2 * np.pi), HALF_NM - math.hypot(*frame.size_nm) / 2
    x0, y0 = rng.uniform(-room, room, 2)
    along, down = rng.normal(0, 0.02, 2)
    cos, sin = math.cos(angle), math.sin(angle)

    def turn(x: Array, y: Array) -> tuple[Array, Array]:
        x, y = x + along * y, (1 + down) * y
        return x0 + cos * x - sin * y, y0 + sin * x + cos * y

    return turn


def _jitter(rng: np.random.Generator) -> Motion:
    pixels, lines = rng.exponential(0.004, 2) * (rng.random(2) < 0.7)
    return Motion(jitter_nm=min(pixels, 0.02), line_nm=min(lines, 0.02))


def _detector(rng: np.random.Generator) -> Detector:
    """Its gain and offset do not matter: no network sees them."""
    noisy, glows = rng.random(2) < (0.5, 0.3)
    return Detector(
        readout_counts=rng.uniform(0, 0.5) if noisy else 0.0,
        afterglow_us=_log_uniform(0.3, 10, rng) if glows else 0.0,
    )


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return low * (high / low) ** rng.random()
