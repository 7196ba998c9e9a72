"""What a network is trained on: a damaged, perhaps sparse, scan and the scan that it should be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .. import level
from ..degrade.recipe import Recipe, isolated, preset, without
from ..errors import RecipeError
from ..normalise import Affine, told
from ..resample import line_weights
from ..scan import Scan
from .clean import Source


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
        sparse_mended: Of the samples with few lines, the share that is damaged like the others, and
            to be mended; in the rest there are lines to fill in only.
        faint: Of the damaged, the share whose damage is scaled down, by U(0.15, 1).
        ghosts: Of the samples to be mended, the share with the ghosts of a multiple tip, and the
            word that there are some. Without that word they are left alone, since who learns to
            look for them everywhere fades all that he is unsure of.
        ghosted: Of the others, the share that a multiple tip has seen, in the target too.
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
    sparse_mended: float = 0.4
    faint: float = 0.25
    ghosts: float = 0.3
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
    """One training sample; each image has shape (side, side), float32, in model units.

    Attributes:
        known: What was measured, with the lines between filled in by splines.
        mask: 1 where it was measured, else 0.
        target: The scan that it should be.
        told: See `normalise.told`, or, of counts, `counts.told`.
        raw: Of counts, what was measured, as `counts.shown` has it; `known` is smoothed then.
    """

    known: NDArray[np.float32]
    mask: NDArray[np.float32]
    target: NDArray[np.float32]
    told: NDArray[np.float32]
    raw: NDArray[np.float32] | None = None

    @property
    def shown(self) -> NDArray[np.float32]:
        """What a network is shown of it for the posterior mean; shape (3, side, side)."""
        raw = self.known if self.raw is None else self.raw
        return np.stack([self.known, raw, self.mask])


def sample(source: Source, mix: Mix, seed: int, number: int, split: str = "train") -> Sample:
    """Sample `number` of the set that `source`, `mix` and `seed` define."""
    rng = np.random.default_rng((seed, number))
    piece = source.piece(split, mix.side + 2 * mix.margin, rng)
    clean, within = piece.scan, piece.within
    factor = mix.factors[rng.choice(len(mix.factors), p=mix.factor_shares)]
    mend = factor == 1 or rng.random() < mix.sparse_mended
    ghosts = mend and rng.random() < mix.ghosts
    if not ghosts and rng.random() < mix.ghosted:
        clean = isolated(preset("realistic"), "MultiTip")(clean, rng, within)

    damaged = _damaged(clean, within, mix, ghosts, rng) if mend else clean
    crop = (slice(mix.margin, mix.margin + mix.side),) * 2
    seen = damaged.crop(*crop)
    if factor == 1:
        # As `restore` does before it asks a network.
        seen = seen.after("lines aligned", seen.values - level.jumps(seen)[:, None])
    measured, plane = level.plane(seen)
    target = clean.values[crop] - plane
    at = _measured_lines(mix, factor, rng)
    known = line_weights(mix.side, at) @ measured.values[list(at)]
    mask = np.zeros_like(known)
    mask[list(at)] = 1

    affine = Affine.of(measured)
    gain = np.exp(rng.normal(0, mix.gain))
    ground = background(mix.side, rng)
    return Sample(
        known=np.float32(gain) * affine.apply(known) + ground,
        mask=mask,
        target=np.float32(gain) * affine.apply(target) + ground,
        told=told(clean.pixel_nm, mend=mend, ghosts=ghosts),
    )


def _damaged(
    clean: Scan, within: tuple[float, float], mix: Mix, ghosts: bool, rng: np.random.Generator
) -> Scan:
    name = mix.recipes[rng.integers(len(mix.recipes))]
    seen = isolated(preset(name), "MultiTip")(clean, rng, within) if ghosts else clean
    chance = rng.random()
    if chance < mix.untouched:
        return seen
    recipe = _recipe(name, mix.leave_out)
    if chance < mix.untouched + mix.single:
        kinds = sorted({type(step.effect).__name__ for step in recipe.steps})
        recipe = isolated(recipe, kinds[rng.integers(len(kinds))])
    damaged = recipe(seen, rng, within)
    if rng.random() < mix.faint:
        share = np.float32(rng.uniform(0.15, 1))
        damaged = damaged.after("fainter", seen.values + share * (damaged.values - seen.values))
    return damaged


@cache
def _recipe(name: str, leave_out: tuple[str, ...]) -> Recipe:
    return without(preset(name), *leave_out)


def _measured_lines(mix: Mix, factor: int, rng: np.random.Generator) -> tuple[int, ...]:
    lines = np.arange(int(rng.integers(factor)), mix.side, factor)
    if factor == 1 and rng.random() < mix.gap:
        lost = int(rng.integers(1, 9))
        start = int(rng.integers(0, mix.side - lost))
        lines = np.delete(lines, slice(start, start + lost))
    return tuple(lines.tolist())


def background(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A patch of a whole levelled scan is neither level nor centred: it may lie on any terrace."""
    if rng.random() < 0.5:
        return np.zeros((side, side), np.float32)
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    offset, down, across = rng.normal(0, (1.0, 0.3, 0.3)).astype(np.float32)
    return offset + down * ramp[:, None] + across * ramp
