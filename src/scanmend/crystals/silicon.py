"""Si(001)-2x1:H, as a constant-current STM topograph shows it.

A recipe, `Si001H`, says how surfaces vary; it draws a `Surface`, which draws an image:
rows of dimers on one terrace or two, with what is missing from them and what lies on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import RecipeError
from ..scan import Quantity, Scan
from .topograph import Array, Topograph

LATTICE_NM = 0.5431  #: [nm] cubic lattice constant of silicon
DIMER_NM = LATTICE_NM / math.sqrt(2)  #: [nm] 0.3840, from dimer to dimer along a row
ROW_NM = 2 * DIMER_NM  #: [nm] 0.7681, from row to row: the 2x1 reconstruction
STEP_NM = LATTICE_NM / 4  #: [nm] 0.1358, a single step, across which the rows turn by 90 degrees
BOND_NM = 0.19  #: [nm] apparent offset of either atom of a dimer from its middle
PIT = (6.0, 5.0)  #: mean dimers and rows of a pit

Range = tuple[float, float]
Field = Callable[[Array, Array], Array]  # of x and y, nm from the middle of the image


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
        patch: Whether a disordered (lithographic) patch, most of it bare of hydrogen, comes in.
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
    patch: bool
    chains_per_nm2: float
    adsorbates_per_nm2: float
    tilt: tuple[float, float]
    waviness_nm: float

    def scan(self, shape: tuple[int, int], rng: np.random.Generator) -> Scan:
        """A noiseless topograph of such a surface, `shape` = (rows, columns), heights in nm."""
        size_nm = np.array(shape) * self.pixel_nm
        topograph = Topograph(shape, self.pixel_nm, self.decay_nm, self.strain)
        ground = _ground(self, size_nm, rng)
        patch = _patch(size_nm, rng) if self.patch else None
        for base_nm in (0.0, STEP_NM) if self.step else (0.0,):
            _terrace(self, topograph, base_nm, ground, patch, size_nm, rng)
        _chains(self, topograph, ground, size_nm, rng)
        _adsorbates(self, topograph, ground, size_nm, rng)
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
        patch: Probability of a disordered patch.
        tilt_sd: Standard deviation of the background's slope, nm per nm.

    Raises:
        RecipeError: A range is reversed or negative, or a probability is none.
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
    patch: float = 0.2
    chains_per_nm2: Range = (1e-4, 5e-3)
    adsorbates_per_nm2: Range = (1e-4, 3e-3)
    tilt_sd: float = 0.0008
    waviness_nm: Range = (0.0, 0.01)

    def __post_init__(self) -> None:
        for name in ("diagonal", "step", "patch"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise RecipeError(f"{name} is a probability, 0 to 1, got {value}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type != "Range":
                continue
            least = 1 if field.name in ("vacancy_length", "vacancy_rows") else 0
            if not least <= value[0] <= value[1]:
                raise RecipeError(
                    f"{field.name} is a range (low, high) from {least} upwards, got {value}"
                )

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
            patch=rng.random() < self.patch,
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
    height, width = size_nm * (0.5 + np.abs(p.strain).max()) + 1.2
    rows = int((abs(c) * height + abs(s) * width) / ROW_NM) + 1
    dimers = int((abs(s) * height + abs(c) * width) / DIMER_NM) + 1
    across, along = np.indices((2 * rows + 1, 2 * dimers + 1), dtype=float)
    across = (across - rows + rng.uniform(-0.5, 0.5)) * ROW_NM
    along = (along - dimers + rng.uniform(-0.5, 0.5)) * DIMER_NM

    h = np.zeros(across.shape)
    _remove(h, p.missing, p.vacancy_length, p.vacancy_rows, p.vacancy_nm, rng)
    _remove(h, p.pits_per_nm2 * math.prod(PIT) * DIMER_NM * ROW_NM, *PIT, p.vacancy_nm, rng)

    hit = _some(h.shape, p.siloxane, rng)
    h[hit] -= rng.uniform(0.03, 0.09, hit[0].size)
    across[hit] += rng.choice((-BOND_NM, BOND_NM), hit[0].size)

    hit = _some(h.shape, p.bonds, rng)
    double = rng.random(hit[0].size) < 0.3
    h[hit] = p.bond_nm * rng.uniform(0.6, 1.0, double.size) * np.where(double, 1.3, 1.0)
    across[hit] += np.where(double, 0.0, rng.choice((-BOND_NM, BOND_NM), double.size))

    x, y = along * c - across * s, along * s + across * c
    if patch is not None:
        bare = patch(x, y)
        hit = np.nonzero(rng.random(h.shape) < bare)
        h[hit] += rng.normal(0.8 * p.bond_nm, 0.05, hit[0].size)
        side = rng.choice((-BOND_NM, BOND_NM), hit[0].size)
        x[hit] -= side * s
        y[hit] += side * c
        h[rng.random(h.shape) < 0.2 * bare] -= 0.1
    here = ground(x, y) == base_nm
    topograph.add(x[here], y[here], h[here] + base_nm, angle, p.width_along_nm, p.width_across_nm)


def _some(shape: tuple[int, ...], fraction: float, rng: np.random.Generator) -> tuple[NDArray, ...]:
    """Indices of a random `fraction` of the sites; a site may come twice."""
    n = rng.poisson(fraction * math.prod(shape))
    return tuple(rng.integers(0, size, n) for size in shape)


def _remove(
    h: Array, fraction: float, length: float, rows: float, depth_nm: float, rng: np.random.Generator
) -> None:
    """Lowers a `fraction` of the dimers, in vacancies of `length` dimers and `rows` rows on average.

    `h`, of shape (rows, dimers), is changed in place. From row to row a vacancy may shift by one
    dimer, so that no pit has straight walls.
    """
    row, first = _some(h.shape, fraction / (length * rows), rng)
    depth = depth_nm * np.where(rng.random(row.size) < 0.5, 1.0, rng.uniform(0.25, 1, row.size))
    lengths = rng.geometric(1 / length, row.size)
    vacancy, k = _runs(rng.geometric(1 / rows, row.size))
    strip, m = _runs(lengths[vacancy])
    shift = np.where(k > 0, rng.integers(-1, 2, k.size), 0)
    i, j = (row[vacancy] + k)[strip], (first[vacancy] + shift)[strip] + m
    inside = (i < h.shape[0]) & (j >= 0) & (j < h.shape[1])
    h[i[inside], j[inside]] = -depth[vacancy[strip[inside]]]


def _runs(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For runs laid end to end: which run each element belongs to, and its place in it."""
    run = np.repeat(np.arange(lengths.size), lengths)
    return run, np.arange(run.size) - (np.cumsum(lengths) - lengths)[run]


def _ground(p: Surface, size_nm: Array, rng: np.random.Generator) -> Field:
    """Height of the terrace below each point: all 0, or `STEP_NM` on one side of a kinked edge."""
    if p.step is None:
        return lambda x, y: np.zeros_like(x)
    c, s = math.cos(math.radians(p.angle_deg)), math.sin(math.radians(p.angle_deg))
    n = int(np.hypot(*size_nm) / ROW_NM) + 4
    kinks = rng.choice((-1, 0, 1), 2 * n + 1, p=(p.kinks / 2, 1 - p.kinks, p.kinks / 2))
    slope = rng.normal(0, 0.12 if rng.random() < 0.6 else 0.5)
    middle = rng.uniform(-0.4, 0.4) * size_nm.min() / ROW_NM
    edge = np.cumsum(kinks) - kinks[:n].sum() + slope * np.arange(-n, n + 1) + middle
    # The edge keeps to the lattice of the terrace: it moves by whole rows, or by pairs of dimers.
    edge_nm = np.round(edge) * ROW_NM

    def height(x: Array, y: Array) -> Array:
        along, across = x * c + y * s, y * c - x * s
        towards, beside = (across, along) if p.step == "S_A" else (along, across)
        cell = np.clip(np.floor(beside / ROW_NM).astype(int) + n, 0, 2 * n)
        return np.where(towards < edge_nm[cell], STEP_NM, 0.0)

    return height


def _patch(size_nm: Array, rng: np.random.Generator) -> Field:
    """Fraction of dimers without hydrogen: up to 0.75 beyond a wavy, blurred border, else 0."""
    direction, *phases = rng.uniform(0, 2 * np.pi, 7)
    border = rng.uniform(-0.5, 0.3) * size_nm.min()
    waves_per_nm = rng.normal(0, 1.2, (6, 2))
    bare, blur_nm = rng.uniform(0.2, 0.75), rng.uniform(0.5, 2.0)

    def fraction(x: Array, y: Array) -> Array:
        depth = x * math.cos(direction) + y * math.sin(direction) - border
        for (kx, ky), phase in zip(waves_per_nm, phases, strict=True):
            depth += 0.7 * np.cos(kx * x + ky * y + phase)
        return bare / 2 * (1 + np.tanh(depth / blur_nm))

    return fraction


def _chains(
    p: Surface, topograph: Topograph, ground: Field, size_nm: Array, rng: np.random.Generator
) -> None:
    """Rows of bright features, each longer across the dimer rows than along them."""
    angle = math.radians(p.angle_deg)
    for _ in range(rng.poisson(p.chains_per_nm2 * size_nm.prod())):
        y, x = rng.uniform(-0.5, 0.5, 2) * size_nm
        direction = angle + rng.choice((0.0, np.pi / 4, np.pi / 2))
        n = rng.geometric(0.2)
        distance = np.cumsum(rng.uniform(0.9, 1.1, n)) * rng.uniform(1.0, 3.5)
        x, y = x + distance * math.cos(direction), y + distance * math.sin(direction)
        h = ground(x, y) + rng.uniform(0.06, 0.2) * rng.uniform(0.7, 1, n)
        topograph.add(x, y, h, angle, 0.28, rng.uniform(0.25, 0.6))


def _adsorbates(
    p: Surface, topograph: Topograph, ground: Field, size_nm: Array, rng: np.random.Generator
) -> None:
    """Clusters of bumps."""
    for _ in range(rng.poisson(p.adsorbates_per_nm2 * size_nm.prod())):
        centre, radius_nm = rng.uniform(-0.5, 0.5, 2) * size_nm, rng.uniform(0.2, 1.5)
        n = 1 + rng.poisson(4 * radius_nm**2)
        y, x = centre[:, None] + rng.normal(0, radius_nm / 2, (2, n))
        h = ground(x, y) + rng.uniform(0.05, 0.4) * rng.uniform(0.5, 1, n)
        topograph.add(x, y, h, 0.0, 0.3, 0.3)


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
