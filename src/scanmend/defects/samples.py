"""What a network that finds defects is trained on: scans, and maps of the defects in them.

Scans are taken by the simulated microscope as they are asked for, or come from shards that
`scanmend simulate` made, or are a user's own, with marks. A sample is a part of one, flipped, with
its contrast changed, and some of them with noise, a blur or missing lines that the microscope has
not; each depends on its number alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..errors import ReadError, RecipeError, SimulationError
from ..pairs.samples import background
from ..resample import line_weights
from ..shards import Store
from ..stm import experiment as experiments
from ..stm import record
from ..stm.experiment import Experiment
from ..stm.microscope import Microscope
from ..stm.simulation import Simulation
from .targets import ONE, SIGMA_NM, maps
from .view import view

_POOL = 16  # sessions that samples choose from by turns
_TRIES = 20  # sessions that cannot be carried out, one after the other, before all is given up


@dataclass(frozen=True)
class Scenes:
    """Which scans, and how they are shown.

    Attributes:
        experiments: Of the simulated microscope: names of those in `defects/experiments`, of
            presets of `scanmend simulate`, or files.
        classes: Of defects, in the order of the maps; `ONE` alone is a map of all.
        sigma_nm: Standard deviation of the Gaussians of the maps, nm.
        side: Rows and columns of a sample.
        uses: How many samples are made of a simulated scan.
        retrace: Whether the way back is shown as well as the way there.
        flip: Whether a scan is shown upside down, and its left for its right.
        gain: Standard deviation of the logarithm of a random gain: the scale of a whole scan is
            not that of a part.
        tilted: Whether half of the samples have a tilt and an offset: a part of a levelled scan is
            not level.
        worn: Share of the samples with white noise, with offsets of lines and with a blur, each
            drawn by itself.
        gap: Share of the samples in which some lines are missing.
    """

    experiments: tuple[str, ...] = ("wse2",)
    classes: tuple[str, ...] = (ONE,)
    sigma_nm: float = SIGMA_NM
    side: int = 64
    uses: int = 8
    retrace: bool = True
    flip: bool = True
    gain: float = 0.3
    tilted: bool = True
    worn: float = 0.25
    gap: float = 0.1

    def __post_init__(self) -> None:
        if not self.experiments:
            raise RecipeError("name one experiment of the simulated microscope, or more")
        for plan in map(_experiment, self.experiments):
            shape = [plan.fixed("frame", key) for key in ("rows", "columns")]
            if None in shape or min(shape) < self.side:
                raise RecipeError(
                    f"{plan.name} scans {' x '.join(map(str, shape))} pixels: a sample needs "
                    f"{self.side} x {self.side}, and frames of one size"
                )
            known = (*plan.surface.defects, ONE)
            if unknown := set(self.classes) - set(known):
                raise RecipeError(
                    f"{plan.surface.name} has no defect {sorted(unknown)[0]!r}; there are "
                    f"{', '.join(known)}"
                )
        if not self.classes or (ONE in self.classes and len(self.classes) > 1):
            raise RecipeError(f"classes are some of a material's, or {ONE!r} alone")
        if self.uses < 1 or not self.sigma_nm > 0:
            raise RecipeError(
                f"uses are 1 or more and sigma_nm is above 0, got {self.uses}, {self.sigma_nm}"
            )

    @property
    def pixel_nm(self) -> tuple[float, float]:
        """Least and greatest pitch, nm."""
        ends = [
            float(width) / plan.fixed("frame", "columns")
            for plan in map(_experiment, self.experiments)
            for width in plan.extremes("frame", "width_nm")
        ]
        return min(ends), max(ends)

    def table(self) -> list[dict[str, Any]]:
        """The experiments, whole; plain JSON values."""
        plans = map(_experiment, self.experiments)
        return [{"name": plan.name, **plan.table()} for plan in plans]

    @property
    def materials(self) -> list[str]:
        """Names of what is scanned."""
        return list(dict.fromkeys(_experiment(name).surface.name for name in self.experiments))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A scan as a network is shown it, with its defects.

    Attributes:
        image: As from `view`; shape (2, rows, columns).
        pixel_nm: Pixel pitch (rows, columns), nm.
        kinds: The class of each defect.
        places_px: Its (row, column), of pixels' centres, NaN if it is not seen; (defects, 2).
    """

    image: NDArray[np.float32]
    pixel_nm: tuple[float, float]
    kinds: tuple[str, ...]
    places_px: NDArray[np.float64]

    def target(self, classes: Sequence[str], sigma_nm: float) -> NDArray[np.float32]:
        """The maps to learn, as `targets.maps`; shape (classes, rows, columns)."""
        shape = self.image.shape[1], self.image.shape[2]
        return maps(self.kinds, self.places_px, classes, shape, self.pixel_nm, sigma_nm)


def sample(scenes: Scenes, seed: int, number: int, store: Store | None = None) -> Seen:
    """Sample `number` of those that `scenes` and `seed` define.

    Consecutive ones are of different sessions of the microscope; each scan of a session serves
    for some of them. Of shards, sample `number` is of the scan of that number, and after the last
    one of the first.
    """
    rng = np.random.default_rng((seed, number, 3))
    if store is not None:
        return part(_of(record.simulation(store, number % store.count), False), scenes, rng)
    name = scenes.experiments[number % _POOL % len(scenes.experiments)]
    slot, turn = number % _POOL, number // _POOL
    each = scenes.uses * _experiment(name).scans_per_session
    # They are not replaced all at once: no batch has to wait for as many.
    session, use = divmod(turn + slot * each // _POOL, each)
    scans = _session(name, seed, slot + _POOL * session)
    time, place = divmod(use, len(scans))
    return part(_kept(scans[place], bool(scenes.retrace and time % 2)), scenes, rng)


def of_shards(folder: Path, scenes: Scenes) -> Store:
    """Scans that `scanmend simulate --format shards` made, all of them.

    Raises:
        ReadError: They are not there, or some are missing.
        RecipeError: They are not of the first experiment of `scenes`.
    """
    store = Store.open(folder)
    plan = _experiment(scenes.experiments[0])
    if store.kind != record.KIND or store.recipe != {"name": plan.name, **plan.table()}:
        raise RecipeError(
            f"{folder} holds {store.recipe.get('name', 'something')!r} as it was made, not the "
            f"scans of {plan.name!r} that the settings ask for"
        )
    if lost := store.missing():
        raise ReadError(
            f"{folder} lacks {len(lost)} shards: the same `scanmend simulate` makes them"
        )
    return store


def part(seen: Seen, scenes: Scenes, rng: np.random.Generator) -> Seen:
    """Any part of a scan, changed in ways in which other scans differ from it."""
    side, shape = scenes.side, seen.image.shape[1:]
    top, left = (int(rng.integers(n - side, endpoint=True)) for n in shape)
    image = seen.image[:, top : top + side, left : left + side].copy()
    places = seen.places_px - (top, left)
    for axis, turned in enumerate(rng.random(2) < 0.5):
        if scenes.flip and turned:
            image = np.flip(image, axis + 1)
            places[:, axis] = side - 1 - places[:, axis]
    heights = image[0] * np.exp(rng.normal(0, scenes.gain))
    if scenes.tilted:
        heights = heights + background(side, rng)
    heights = _worn(heights, scenes.worn, rng)
    mask = image[1].copy()
    if rng.random() < scenes.gap:
        lost = int(rng.integers(1, 9))
        start = int(rng.integers(0, side - lost))
        at = np.delete(np.arange(side), slice(start, start + lost))
        heights = line_weights(side, tuple(at.tolist())) @ heights[at]
        mask[start : start + lost] = 0
    shown = np.stack([heights, mask]).astype(np.float32)
    return replace(seen, image=shown, places_px=places)


def _worn(
    heights: NDArray[np.floating], share: float, rng: np.random.Generator
) -> NDArray[np.floating]:
    """With noise, lines that do not lie beside each other, a blur: each of a share of samples."""
    blurred, noisy, striped = rng.random(3) < share
    noise, offset = np.exp(rng.uniform(np.log(0.02), np.log((0.4, 0.3))))
    if blurred:
        heights = gaussian_filter(heights, rng.uniform(0.3, 1.2))
    if noisy:
        heights = heights + noise * rng.standard_normal(heights.shape)
    if striped:
        heights = heights + offset * rng.standard_normal((len(heights), 1))
    return heights


def _of(scan: Simulation, back: bool) -> Seen:
    """A simulated scan as it is shown, on the way there or back."""
    places = [defect.retrace if back else defect.trace for defect in scan.defects]
    return Seen(
        view(scan.scan("backward" if back else "forward")),
        (scan.pixel_nm, scan.pixel_nm),
        tuple(defect.kind for defect in scan.defects),
        np.array(places, np.float64).reshape(-1, 2),
    )


_kept = lru_cache(maxsize=2 * _POOL * 16)(_of)  # for the other uses of a scan


@lru_cache(maxsize=2 * _POOL)
def _session(name: str, seed: int, number: int) -> list[Simulation]:
    """The scans of a session but those that went wrong; of another, if it cannot be taken.

    Raises:
        SimulationError: Many cannot.
    """
    for again in range(_TRIES):
        with suppress(SimulationError):
            # Of seeds that nobody counts up to.
            scans = _microscope(name).session(seed + again * 2**32, number)
            return [scan for scan in scans if scan.fault is None] or scans
    raise SimulationError(
        f"{_TRIES} sessions of {name}, one after the other, cannot be taken: see what `scanmend "
        "simulate` says of it"
    )


@lru_cache(maxsize=8)
def _microscope(name: str) -> Microscope:
    return Microscope(_experiment(name))


@lru_cache(maxsize=32)
def _experiment(name: str) -> Experiment:
    own = resources.files("scanmend.defects") / "experiments" / f"{name}.toml"
    return experiments.load(str(own) if own.is_file() else name)
