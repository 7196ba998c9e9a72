"""Scans of which is known what the embedder `stm-encoder` learns to tell; see `train.encoder`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..crystals import acquisition_noise, silicon
from ..degrade.recipe import Recipe, Step, dump, preset
from ..scan import Scan
from ..stm.experiment import load
from ..stm.record import simulate

SIDE, MARGIN = 128, 16
SURFACES = replace(silicon.TRAINING, pixel_nm=(0.12, 0.3))
OTHERS = ("si111-7x7", "au111", "graphene")
RECIPES = ("paper", "realistic")
KINDS = (
    *("MultiTip", "LineShift", "BluntTip", "TipChange"),
    *("FeedbackLag", "LineOffset", "LineNoise", "FewerLines"),
)
NUMBERS = (
    *("strength", "blur", "noise"),
    *("pitch", "cos", "sin", "missing", "bonds", "bright"),
)
"""What is told of a scan in numbers: how strong its damage is, how blurred and noisy it is, the
logarithm of its pixel pitch, the cosine and sine of twice the angle of its rows, and logarithms of
the densities of missing dimers, dangling bonds, and of adsorbates and chains; each about
-1 to 1."""


@dataclass(frozen=True)
class Lesson:
    """What is trained.

    Attributes:
        scans: How many it is trained on.
        iterations: Batches of them.
        batch: Scans in each.
        crop: Rows and columns that are seen of a scan at a time, anywhere in it.
        learning_rate: Of AdamW, at its highest.
        seed: Of the weights and the scans.
        kind_chance: Chance of each kind of damage.
        extra_chance: Chance of a blur, and of noise, such as a bad restoration leaves.
        blur_px: Standard deviation of the blur.
        noise_of_span: Standard deviation of the noise, white, relative to the range of heights.
        other_share: Share of scans of other materials than Si(001):H.
        other_count: How many clean scans there are of each of them.
    """

    scans: int = 1536
    iterations: int = 400
    batch: int = 64
    crop: int = 64
    learning_rate: float = 3e-3
    seed: int = 0
    kind_chance: float = 0.25
    extra_chance: float = 0.4
    blur_px: tuple[float, float] = (0.3, 2.5)
    noise_of_span: tuple[float, float] = (0.005, 0.2)
    other_share: float = 0.2
    other_count: int = 32

    def table(self) -> dict[str, Any]:
        """All that decides what the scans are."""
        return {
            **asdict(self),
            **{"surfaces": asdict(SURFACES), "others": OTHERS, "kinds": KINDS, "numbers": NUMBERS},
            "recipes": [dump(preset(name)) for name in RECIPES],
        }


class Example(NamedTuple):
    """A scan, and what is to be told of it; float32, NaN where there is nothing to tell.

    Attributes:
        image: In [-1, 1], shape (1, SIDE, SIDE).
        kinds: 1 for each of `KINDS` that it has, else 0.
        numbers: As in `NUMBERS`.
        material: 0 for Si(001):H, then as in `OTHERS`.
    """

    image: NDArray[np.float32]
    kinds: NDArray[np.float32]
    numbers: NDArray[np.float32]
    material: int


def example(lesson: Lesson, seed: int, number: int) -> Example:
    """Scan `number` of those that `lesson` and `seed` define."""
    rng = np.random.default_rng((seed, number))
    numbers = dict.fromkeys(NUMBERS, np.nan)
    material = 0
    if rng.random() < lesson.other_share:
        material = int(rng.integers(1, 1 + len(OTHERS)))
        clean = others(material - 1, seed, lesson.other_count)[rng.integers(lesson.other_count)]
    else:
        clean, told = _silicon(rng)
        numbers |= told
    damaged, kinds = _damaged(clean, lesson.kind_chance, rng)
    inside = (slice(MARGIN, -MARGIN),) * 2 if material == 0 else (slice(None),) * 2
    image, true = damaged.values[inside], clean.values[inside]
    span = float(np.ptp(true))
    strength = float(np.sqrt(np.mean((image - image.mean() - true + true.mean()) ** 2))) / span
    sigma, noise = 0.0, 0.0
    if rng.random() < lesson.extra_chance:
        sigma = rng.uniform(*lesson.blur_px)
        image = gaussian_filter(image, sigma)
    if rng.random() < lesson.extra_chance:
        noise = float(np.exp(rng.uniform(*np.log(lesson.noise_of_span))))
        image = image + noise * span * rng.standard_normal(image.shape, np.float32)
    numbers["strength"] = 1 + np.log10(strength + 1e-2)
    numbers["blur"] = sigma - 1
    numbers["noise"] = 1.3 + np.log10(noise + 5e-3)
    low, high = image.min(), image.max()
    return Example(
        (2 * (image - low) / (high - low) - 1)[None].astype(np.float32),
        np.array([kind in kinds for kind in KINDS], np.float32),
        np.array(list(numbers.values()), np.float32),
        material,
    )


def _silicon(rng: np.random.Generator) -> tuple[Scan, dict[str, float]]:
    surface = SURFACES.draw(rng)
    scan = surface.scan((SIDE + 2 * MARGIN, SIDE + 2 * MARGIN), rng)
    twice = 2 * np.deg2rad(surface.angle_deg)
    # The rows of the two terraces beside a step run at right angles.
    told = {} if surface.step else {"cos": np.cos(twice), "sin": np.sin(twice)}
    return acquisition_noise(scan, rng), {
        "pitch": 2 * np.log(surface.pixel_nm / 0.19),
        "missing": np.log10(surface.missing / 0.03),
        "bonds": np.log10(surface.bonds / 1.3e-3),
        "bright": np.log10((surface.adsorbates_per_nm2 + surface.chains_per_nm2) / 1.5e-3),
        **told,
    }


@cache
def others(material: int, seed: int, count: int) -> list[Scan]:
    """Clean scans of the material of this number in `OTHERS`."""
    plan = load(OTHERS[material])
    # Some presets are of fewer pixels.
    frame = {**plan.tables["frame"], "rows": SIDE, "columns": SIDE}
    plan = replace(plan, tables={**plan.tables, "frame": frame})
    return [scan.scan() for scan in simulate(plan, count, seed)]


@cache
def _steps(recipe: str) -> tuple[tuple[str, Recipe], ...]:
    return tuple(
        (type(step.effect).__name__, Recipe("alone", (Step(step.effect),)))
        for step in preset(recipe).steps
        if type(step.effect).__name__ in KINDS
    )


def _damaged(scan: Scan, chance: float, rng: np.random.Generator) -> tuple[Scan, set[str]]:
    kinds = set()
    within = (float(scan.values.min()), float(np.ptp(scan.values)))
    for kind, effect in _steps(RECIPES[rng.integers(len(RECIPES))]):
        if rng.random() < chance:
            scan = effect(scan, rng, within)
            kinds.add(kind)
    return scan, kinds
