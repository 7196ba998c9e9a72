"""What a network is trained on: a damaged, perhaps sparse, scan and the scan that it should be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .. import level
from ..crystals import SURFACES
from ..crystals.acquisition import acquisition_noise
from ..degrade.recipe import Recipe, isolated, preset
from ..errors import RecipeError
from ..normalise import Affine
from ..resample import line_weights
from ..scan import Scan


@dataclass(frozen=True)
class Mix:
    """How often a sample is what. Shares are of all samples unless said otherwise.

    Attributes:
        side: Rows and columns of a sample.
        margin: Pixels cut off on every side after the damage, so that no border effect is learnt.
        factors: Every how many-th line is measured, and `factor_shares`, how often.
        recipes: Presets of damage, drawn with equal chance.
        leave_out: Kinds of damage that are never applied.
        untouched: Of the samples with all lines, the share without damage: what is right must be
            left alone.
        single: Of them, the share with one kind of damage; the rest has the whole recipe.
        sparse_damaged: Of the samples with few lines, the share with one kind of damage.
        faint: Of the damaged, the share whose damage is scaled down, by U(0.15, 1).
        ghosted: The share of surfaces that are seen by a multiple tip, in the target too: its
            ghosts are left alone, since who learns to remove them fades all that he is unsure of.
        gap: Of the samples with all lines, the share in which some lines are missing.
        gain: Standard deviation of the logarithm of a random gain: the scale of a whole scan is
            not that of a patch.
    """

    side: int = 96
    margin: int = 16
    factors: tuple[int, ...] = (1, 2, 4)
    factor_shares: tuple[float, ...] = (0.5, 0.15, 0.35)
    recipes: tuple[str, ...] = ("paper", "realistic")
    leave_out: tuple[str, ...] = ("MultiTip", "FewerLines", "AcquisitionNoise", "ThermalDrift")
    untouched: float = 0.2
    single: float = 0.4
    sparse_damaged: float = 0.2
    faint: float = 0.25
    ghosted: float = 0.15
    gap: float = 0.1
    gain: float = 0.35

    def __post_init__(self) -> None:
        if self.side < 8 or self.margin < 0:
            raise RecipeError(
                f"samples of {self.side} pixels, margin {self.margin}: 8 and 0 at least"
            )
        if len(self.factors) != len(self.factor_shares) or min(self.factors) < 1:
            raise RecipeError(
                f"factors {self.factors} need as many factor_shares, got {self.factor_shares}"
            )
        if not math.isclose(sum(self.factor_shares), 1) or min(self.factor_shares) < 0:
            raise RecipeError(f"factor_shares must add up to 1, got {self.factor_shares}")


@dataclass(frozen=True, slots=True)
class Sample:
    """One training sample; each array has shape (side, side), float32, in model units.

    Attributes:
        known: What was measured, with the lines between filled in by splines.
        mask: 1 where it was measured, else 0.
        target: The scan that it should be.
    """

    known: NDArray[np.float32]
    mask: NDArray[np.float32]
    target: NDArray[np.float32]


def sample(surface: str, mix: Mix, seed: int, number: int) -> Sample:
    """Sample `number` of the training set that `surface`, `mix` and `seed` define."""
    rng = np.random.default_rng((seed, number))
    side = mix.side + 2 * mix.margin
    seen = SURFACES[surface].surface(rng, (side, side))
    if rng.random() < mix.ghosted:
        seen = _ghosts()(seen, rng)
    clean = acquisition_noise(seen, rng)
    factor = mix.factors[rng.choice(len(mix.factors), p=mix.factor_shares)]

    damaged = _damaged(clean, mix, factor, rng)
    crop = (slice(mix.margin, mix.margin + mix.side),) * 2
    measured, plane = level.plane(damaged.crop(*crop))
    target = clean.values[crop] - plane
    at = _measured_lines(mix, factor, rng)
    known = line_weights(mix.side, at) @ measured.values[list(at)]
    mask = np.zeros_like(known)
    mask[list(at)] = 1

    affine = Affine.of(measured)
    gain = np.exp(rng.normal(0, mix.gain))
    background = _background(mix.side, rng)
    return Sample(
        known=np.float32(gain) * affine.apply(known) + background,
        mask=mask,
        target=np.float32(gain) * affine.apply(target) + background,
    )


def _damaged(clean: Scan, mix: Mix, factor: int, rng: np.random.Generator) -> Scan:
    chance = rng.random()
    recipe = _recipe(mix.recipes[rng.integers(len(mix.recipes))], mix.leave_out)
    if factor > 1:
        untouched, single = 1 - mix.sparse_damaged, mix.sparse_damaged
    else:
        untouched, single = mix.untouched, mix.single
    if chance < untouched:
        return clean
    if chance < untouched + single:
        kinds = sorted({type(step.effect).__name__ for step in recipe.steps})
        recipe = isolated(recipe, kinds[rng.integers(len(kinds))])
    damaged = recipe(clean, rng)
    if rng.random() < mix.faint:
        share = np.float32(rng.uniform(0.15, 1))
        damaged = damaged.after("fainter", clean.values + share * (damaged.values - clean.values))
    return damaged


@cache
def _ghosts() -> Recipe:
    return isolated(preset("realistic"), "MultiTip")


@cache
def _recipe(name: str, leave_out: tuple[str, ...]) -> Recipe:
    whole = preset(name)
    kept = tuple(s for s in whole.steps if type(s.effect).__name__ not in leave_out)
    return Recipe(name, kept)


def _measured_lines(mix: Mix, factor: int, rng: np.random.Generator) -> tuple[int, ...]:
    lines = np.arange(int(rng.integers(factor)), mix.side, factor)
    if factor == 1 and rng.random() < mix.gap:
        lost = int(rng.integers(1, 9))
        start = int(rng.integers(0, mix.side - lost))
        lines = np.delete(lines, slice(start, start + lost))
    return tuple(lines.tolist())


def _background(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A patch of a whole levelled scan is neither level nor centred: it may lie on any terrace."""
    if rng.random() < 0.5:
        return np.zeros((side, side), np.float32)
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    offset, down, across = rng.normal(0, (1.0, 0.3, 0.3)).astype(np.float32)
    return offset + down * ramp[:, None] + across * ramp
