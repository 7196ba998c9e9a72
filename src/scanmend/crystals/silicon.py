"""Si(001)-2x1:H, as a constant-current STM topograph shows it.

A recipe, `Si001H`, says how surfaces vary; it draws a `Surface`, which draws an image:
rows of dimers on one terrace or two, with what is missing from them and what lies on them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from ..errors import RecipeError
from ..scan import Quantity, Scan
from . import defects
from .defects import Field
from .silicon001 import BOND_NM, DIMER_NM, ROW_NM, STEP_NM, Edge, dimers
from .topograph import Array, Topograph

PIT = (6.0, 5.0)  #: mean dimers and rows of a pit

_POSITIVE = ("pixel_nm", "decay_nm", "width_along_nm", "width_across_nm")
_LOGARITHMIC = (
    "missing",
    "pits_per_nm2",
    "bonds",
    "siloxane",
    "chains_per_nm2",
    "adsorbates_per_nm2",
)

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Surface:
    """The parameters of one surface.

    Attributes:
        pixel_nm: Pixel pitch, nm.
        angle_deg: Direction of the (upper terrace's) rows, from the columns' axis downwards.
        strain: Departure of the image from an undistorted one, (xx, xy, yx, yy).
        decay_nm: Height over which the current falls by e, nm.
        width_along_nm: Standard deviation of a dimer's Gaussian along its row, nm.
        width_across_nm: The same across the row, nm.
        missing: Fraction of dimers that are missing.
        vacancy_length: Mean number of neighbouring dimers missing from a row, 1 or more.
        vacancy_rows: Mean number of rows that a vacancy spans, 1 or more; long ones are the
            vacancy lines that meander across the rows.
        vacancy_nm: Depth of a complete vacancy, nm; every other one is shallower.
        pits_per_nm2: Large vacancies.
        bonds: Fraction of dimers with a dangling bond, single (on one side) or double.
        bond_nm: How much higher a dangling bond appears, nm.
        siloxane: Fraction of dimers that are darker on one side.
        step: "S_A": the edge follows the upper terrace's rows; "S_B": it cuts them; or no step.
        kinks: Chance of a kink per row spacing of step edge.
        patch: A disordered (lithographic) patch: "bare" of most of its hydrogen, or "amorphous",
            where not even the lattice is left; or no patch.
        rough_nm: Standard deviation of the heights in an amorphous patch, nm.
        chains_per_nm2: Chains of bright features along, across or diagonal to the rows.
        adsorbates_per_nm2: Single bright features and clusters up to 3 nm wide.
        tilt: Slope of the background along (rows, columns), nm per nm.
        waviness_nm: Height of the slow background, nm.
    """

    pixel_nm: float
    angle_deg: float
    strain: tuple[float, float, float, float]
    decay_nm: float
    width_along_nm: float
    width_across_nm: float
    missing: float
    vacancy_length: float
    vacancy_rows: float
    vacancy_nm: float
    pits_per_nm2: float
    bonds: float
    bond_nm: float
    siloxane: float
    step: Literal["S_A", "S_B"] | None
    kinks: float
    patch: Literal["bare", "amorphous"] | None
    rough_nm: float
    chains_per_nm2: float
    adsorbates_per_nm2: float
    tilt: tuple[float, float]
    waviness_nm: float

    def scan(self, shape: tuple[int, int], rng: np.random.Generator) -> Scan:
        """A noiseless topograph of such a surface, `shape` = (rows, columns), heights in nm."""
        size_nm = np.array(shape) * self.pixel_nm
        topograph = Topograph(shape, self.pixel_nm, self.decay_nm, self.strain)
        angle = math.radians(self.angle_deg)
        edge = Edge.drawn(self.step, self.kinks, angle, size_nm, rng) if self.step else None
        ground = edge.height_nm if edge else lambda x, y: np.zeros_like(x)
        most = rng.uniform(0.9, 1.0) if self.patch == "amorphous" else rng.uniform(0.2, 0.75)
        patch = defects.disorder(size_nm, most, rng) if self.patch else None
        for base_nm in (0.0, STEP_NM) if self.step else (0.0,):
            _terrace(self, topograph, base_nm, ground, patch, size_nm, rng)
        defects.chains(topograph, self.chains_per_nm2, angle, ground, size_nm, rng)
        defects.adsorbates(topograph, self.adsorbates_per_nm2, ground, size_nm, rng)
        values = topograph.heights_nm() + _background(self, shape, rng)
        return Scan(
            values.astype(np.float32),
            (self.pixel_nm, self.pixel_nm),
            Quantity.HEIGHT,
            history=(f"simulate Si(001):H: {self}",),
        )

    def __str__(self) -> str:
        """What was drawn, in one line."""
        return ", ".join(f"{f.name} {_brief(getattr(self, f.name))}" for f in fields(self))


@dataclass(frozen=True, slots=True)
class Si001H:
    """How surfaces vary. The defaults are what the shipped models are trained on.

    A range (low, high) is drawn from evenly, that of a fraction or a density evenly in its
    logarithm; (a, a) fixes a value, and (0, 0) switches a defect off. What is not explained here
    has the meaning that it has in `Surface`.

    Attributes:
        diagonal: Probability that the rows run at 45 degrees to the scan, give or take
            `diagonal_sd_deg`: that is how people scan. Else any angle is as likely.
        diagonal_sd_deg: Standard deviation of that angle, degrees.
        strain_sd: Standard deviation of each component of the strain.
        step: Probability of a step.
        patch: Probability of a disordered patch, half of them amorphous.
        tilt_sd: Standard deviation of the background's slope, nm per nm.

    Raises:
        RecipeError: A range is reversed, negative, or begins at 0 where it may not, or a
            probability or a standard deviation is none.
    """

    pixel_nm: Range = (0.16, 0.22)
    diagonal: float = 0.5
    diagonal_sd_deg: float = 7.0
    strain_sd: float = 0.02
    decay_nm: Range = (0.045, 0.085)
    width_along_nm: Range = (0.18, 0.25)
    width_across_nm: Range = (0.19, 0.28)
    missing: Range = (0.005, 0.2)
    vacancy_length: Range = (1.0, 5.0)
    vacancy_rows: Range = (1.0, 2.2)
    vacancy_nm: Range = (0.1, 0.35)
    pits_per_nm2: Range = (1e-5, 6e-3)
    bonds: Range = (2e-4, 8e-3)
    bond_nm: Range = (0.06, 0.22)
    siloxane: Range = (3e-4, 1e-2)
    step: float = 0.3
    kinks: Range = (0.02, 0.25)
    patch: float = 0.3
    rough_nm: Range = (0.06, 0.14)
    chains_per_nm2: Range = (1e-4, 5e-3)
    adsorbates_per_nm2: Range = (1e-4, 3e-3)
    tilt_sd: float = 0.0008
    waviness_nm: Range = (0.0, 0.01)

    def __post_init__(self) -> None:
        for name in ("diagonal", "step", "patch"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise RecipeError(f"{name} is a probability, 0 to 1, got {value}")
        for name in ("diagonal_sd_deg", "strain_sd", "tilt_sd"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise RecipeError(f"{name} is a standard deviation, 0 or more, got {value}")
        for name in (field.name for field in fields(self) if field.type == "Range"):
            low, high = getattr(self, name)
            least = 1 if name in ("vacancy_length", "vacancy_rows") else 0
            above = name in _POSITIVE or (name in _LOGARITHMIC and high > 0)
            if not least <= low <= high < math.inf or (above and low == 0):
                bound = "above 0" if above else f"from {least} upwards"
                raise RecipeError(f"{name} is a range (low, high) {bound}, got {(low, high)}")

    def draw(self, rng: np.random.Generator) -> Surface:
        """The parameters of one surface."""
        if rng.random() < self.diagonal:
            angle_deg = float(rng.choice((45.0, 135.0)) + rng.normal(0, self.diagonal_sd_deg))
        else:
            angle_deg = rng.uniform(0, 180)
        xx, xy, yx, yy = rng.normal(0, self.strain_sd, 4).tolist()
        slow, fast = rng.normal(0, self.tilt_sd, 2).tolist()
        return Surface(
            pixel_nm=rng.uniform(*self.pixel_nm),
            angle_deg=angle_deg,
            strain=(xx, xy, yx, yy),
            decay_nm=rng.uniform(*self.decay_nm),
            width_along_nm=rng.uniform(*self.width_along_nm),
            width_across_nm=rng.uniform(*self.width_across_nm),
            missing=_log_uniform(self.missing, rng),
            vacancy_length=rng.uniform(*self.vacancy_length),
            vacancy_rows=rng.uniform(*self.vacancy_rows),
            vacancy_nm=rng.uniform(*self.vacancy_nm),
            pits_per_nm2=_log_uniform(self.pits_per_nm2, rng),
            bonds=_log_uniform(self.bonds, rng),
            bond_nm=rng.uniform(*self.bond_nm),
            siloxane=_log_uniform(self.siloxane, rng),
            step=None if rng.random() >= self.step else "S_A" if rng.random() < 0.5 else "S_B",
            kinks=rng.uniform(*self.kinks),
            patch=None
            if rng.random() >= self.patch
            else "bare"
            if rng.random() < 0.5
            else "amorphous",
            rough_nm=rng.uniform(*self.rough_nm),
            chains_per_nm2=_log_uniform(self.chains_per_nm2, rng),
            adsorbates_per_nm2=_log_uniform(self.adsorbates_per_nm2, rng),
            tilt=(slow, fast),
            waviness_nm=rng.uniform(*self.waviness_nm),
        )


TRAINING = Si001H()


def surface(
    rng: np.random.Generator, shape: tuple[int, int] = (128, 128), recipe: Si001H = TRAINING
) -> Scan:
    """A clean surface drawn from `recipe`: no damage, no acquisition noise.

    Args:
        rng: Where all randomness comes from: the same state gives the same bits.
        shape: (rows, columns).
        recipe: How surfaces vary.

    Returns:
        Heights in nm; the history says what was drawn.
    """
    return recipe.draw(rng).scan(shape, rng)


def _terrace(
    p: Surface,
    topograph: Topograph,
    base_nm: float,
    ground: Field,
    patch: Field | None,
    size_nm: Array,
    rng: np.random.Generator,
) -> None:
    """The dimers of the terrace at `base_nm`: a lattice, some of it missing, some changed."""
    turned = p.step is not None and base_nm == 0
    angle = math.radians(p.angle_deg + 90 * turned)
    c, s = math.cos(angle), math.sin(angle)
    # Beyond the image by what strain may bring in and by the width of a Gaussian.
    across, along = dimers(size_nm * (0.5 + np.abs(p.strain).max()) + 1.2, angle, rng)

    h = np.zeros(across.shape)
    defects.remove(h, p.missing, p.vacancy_length, p.vacancy_rows, p.vacancy_nm, rng)
    defects.remove(h, p.pits_per_nm2 * math.prod(PIT) * DIMER_NM * ROW_NM, *PIT, p.vacancy_nm, rng)

    hit = defects.some(h.shape, p.siloxane, rng)
    h[hit] -= rng.uniform(0.03, 0.09, hit[0].size)
    across[hit] += rng.choice((-BOND_NM, BOND_NM), hit[0].size)

    hit = defects.some(h.shape, p.bonds, rng)
    double = rng.random(hit[0].size) < 0.3
    h[hit] = p.bond_nm * rng.uniform(0.6, 1.0, double.size) * np.where(double, 1.3, 1.0)
    across[hit] += np.where(double, 0.0, rng.choice((-BOND_NM, BOND_NM), double.size))

    x, y = along * c - across * s, along * s + across * c
    if patch is not None:
        fraction = patch(x, y)
        if p.patch == "amorphous":
            defects.jumble(x, y, h, fraction, p.rough_nm, rng)
        else:
            hit = np.nonzero(rng.random(h.shape) < fraction)
            h[hit] += rng.normal(0.8 * p.bond_nm, 0.05, hit[0].size)
            side = rng.choice((-BOND_NM, BOND_NM), hit[0].size)
            x[hit] -= side * s
            y[hit] += side * c
            h[rng.random(h.shape) < 0.2 * fraction] -= 0.1
    here = ground(x, y) == base_nm
    topograph.add(x[here], y[here], h[here] + base_nm, angle, p.width_along_nm, p.width_across_nm)


def _background(p: Surface, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Tilt and half-waves along each axis, nm."""
    y, x = (np.linspace(-0.5, 0.5, n) for n in shape)
    waves = [np.cos(np.pi * np.arange(1, 4)[:, None] * (a + 0.5)) for a in (y, x)]
    tilt = p.tilt[0] * shape[0] * y[:, None] + p.tilt[1] * shape[1] * x
    return p.pixel_nm * tilt + waves[0].T @ rng.normal(0, p.waviness_nm / 3, (3, 3)) @ waves[1]


def _log_uniform(limits: Range, rng: np.random.Generator) -> float:
    low, high = limits
    return low * (high / low) ** rng.random() if low > 0 else 0.0


def _brief(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + " ".join(map(_brief, value)) + ")"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
