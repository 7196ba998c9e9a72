"""Pairs of clean and damaged images in the manner of Kolev, Rodani et al., and sets of them.

An image is brought to [0, 1], which is what `_of_range` in a recipe means, and turned; ghosts and
shifted lines come from all of it, everything else is done to a crop, and at last each channel is
brought to [-1, 1] by itself (their Sec. II and II A).

Pair `number` depends on the source, the recipe, the seed, the split and the number only. Its clean
channel does not even depend on the task, nor on which damage is isolated: sets can be compared pair
by pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import distribute
from ..degrade.recipe import (
    COARSER,
    Recipe,
    around_crop,
    dump,
    for_upscaling,
    isolated,
    margin_px,
)
from ..errors import ReadError, RecipeError
from ..scan import Scan
from ..shards import Layout, Sample, Store
from .clean import SPLITS, Piece, Source, content

TASKS = {"restore": 1, "x2": 2, "x4": 4}
"""By which factor each has fewer lines, or pixels both ways where the recipe says so."""

SIDE = 128  #: [px] of every pair
KIND = "clean and damaged images"
ARRAYS = {"pair": Layout("float32", (2, SIDE, SIDE))}


@dataclass(frozen=True)
class Pairs:
    """The pairs of one split, as many as are asked for; can be pickled.

    Attributes:
        source: Of clean images.
        recipe: Their damage.
        task: One of `TASKS`: with how many lines.
        split: One of `clean.SPLITS`.
        seed: Of all random numbers.
        alone: The only kind of damage that is left, always there; besides fewer lines, if those
            are the task.

    Raises:
        RecipeError: There is no such task, split or seed, the recipe does not fit the task, or an
            image is too small.
    """

    source: Source
    recipe: Recipe
    task: str = "restore"
    split: str = "train"
    seed: int = 0
    alone: str | None = None

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise RecipeError(f"there is no split {self.split!r}; there are {', '.join(SPLITS)}")
        if self.seed < 0:
            raise RecipeError(f"a seed is 0 or more, got {self.seed}")
        for_task(self.recipe, self.task, self.alone)  # which refuses what cannot be
        self.source.must_hold(SIDE + 2 * self.margin)

    @cached_property
    def damage(self) -> Recipe:
        """What is done to the images, in the end."""
        return for_task(self.recipe, self.task, self.alone)

    @cached_property
    def margin(self) -> int:
        """Pixels around the crop from which damage may come."""
        finest = self.source.pixel_nm[0]
        return margin_px(self.recipe, (finest, finest))

    def sample(self, number: int) -> Sample:
        """Pair `number`.

        Its array `pair`, (2, SIDE, SIDE), is clean and damaged. Of each, `about` has the lowest
        value `low` and the `span` in its `unit`: value = low + span (pair + 1) / 2; and besides
        the image, the crop's place in it when turned, and what was done.

        Raises:
            ScanError: The recipe cannot be applied to such scans.
        """
        piece, clean, damaged, history = self._made(number)
        pair, low, span = _channels(clean, damaged)
        about = {
            **({} if "sha256" in piece.about else {"sha256": content(clean.values)}),
            **piece.about,
            "pixel_nm": list(clean.pixel_nm),
            "unit": clean.quantity.value,
            "low": low,
            "span": span,
            "history": history,
        }
        return Sample({"pair": pair}, about)

    def images(self, numbers: Sequence[int]) -> NDArray[np.float32]:
        """The pairs of these numbers alone, shape (numbers, 2, SIDE, SIDE)."""
        return np.stack([_channels(*self._made(number)[1:3])[0] for number in numbers])

    def _made(self, number: int) -> tuple[Piece, Scan, Scan, list[str]]:
        split = SPLITS.index(self.split)
        rng = np.random.default_rng((self.seed, split, 0, number))
        inside = slice(self.margin, self.margin + SIDE)
        piece = self.source.piece(self.split, SIDE + 2 * self.margin, rng)
        clean = piece.scan.crop(inside, inside)
        # A stream of its own: what the clean image took from the other does not move the damage.
        rng = np.random.default_rng((self.seed, split, 1, number))
        around, on_crop = around_crop(self.damage)
        before = around(piece.scan, rng, piece.within)
        crop = before.crop(inside, inside)
        after = on_crop(crop, rng, piece.within)
        history = [*before.history[len(piece.scan.history) :], *after.history[len(crop.history) :]]
        return piece, clean, after, history


def for_task(recipe: Recipe, task: str, alone: str | None = None) -> Recipe:
    """The recipe with the lines that a task leaves, and only damage of the kind `alone`, if any.

    A recipe that takes fewer pixels both ways, like those of SBSR, does so by the task's factor.

    Raises:
        RecipeError: There is no such task, or nothing of it in the recipe.
    """
    if task not in TASKS:
        raise RecipeError(f"there is no task {task!r}; there are {', '.join(TASKS)}")
    coarser = [kind for kind in _kinds(recipe) if kind in COARSER]
    if TASKS[task] > 1 or any(COARSER[kind] == "factor" for kind in coarser):
        recipe = for_upscaling(recipe, TASKS[task])
    if alone is None:
        return recipe
    return isolated(recipe, *dict.fromkeys((alone, *(coarser if TASKS[task] > 1 else ()))))


def _kinds(recipe: Recipe) -> dict[str, None]:
    return dict.fromkeys(type(step.effect).__name__ for step in recipe.steps)


class Counts(NamedTuple):
    """How many pairs the sets of a task have: those of the source by default. 0: no such set."""

    train: int = 20_000
    validation: int = 2_000
    test: int = 2_000
    isolated: int = 1_000  #: For each kind of damage.


def names(recipe: Recipe, task: str) -> dict[str, str | None]:
    """The sets of a task, and which kind of damage is left alone in each."""
    alone = [kind for kind in _kinds(recipe) if kind != "FewerLines" or TASKS[task] > 1]
    return {**dict.fromkeys(SPLITS), **{f"test-{kind}": kind for kind in alone}}


@dataclass(frozen=True)
class Plan:
    """All sets of pairs from one source and recipe; can be pickled.

    Attributes:
        source, recipe, seed: See `Pairs`.
        folder: Where the sets go, `FOLDER/restore/train` and so on.
    """

    source: Source
    recipe: Recipe
    folder: Path
    seed: int = 0

    def pairs(self, task: str, name: str) -> Pairs:
        """Those of a set."""
        alone = names(self.recipe, task)[name]
        split = name if alone is None else "test"
        return Pairs(self.source, self.recipe, task, split, self.seed, alone)

    def make(self, place: _Place) -> None:
        """Makes a shard, and puts it in its place."""
        store = Store.open(self.folder / place.task / place.set)
        pairs = self.pairs(place.task, place.set)
        store.write(place.shard, [pairs.sample(n) for n in store.numbers(place.shard)])


class _Place(NamedTuple):
    task: str
    set: str
    shard: int

    def __str__(self) -> str:
        return f"{self.shard} of {self.task}/{self.set}"


def build(
    source: Source,
    recipe: Recipe,
    folder: Path | str,
    tasks: Sequence[str] = tuple(TASKS),
    counts: Counts = Counts(),  # noqa: B008  immutable
    seed: int = 0,
    workers: int = 1,
    cluster: str | None = None,
    progress: distribute.Progress | None = None,
) -> dict[str, dict[str, Store]]:
    """Makes all sets of these tasks, or what is missing of them.

    Args:
        source: Of clean images.
        recipe: Their damage; fewer lines are added by the task.
        folder: Where they go, made if it is not there.
        tasks: Of `TASKS`.
        counts: How many pairs.
        seed: Of all random numbers.
        workers, cluster, progress: See `distribute.run`; progress counts shards of all sets.

    Returns:
        By task and name of the set; see `open`.

    Raises:
        RecipeError: The recipe does not fit, or the folder holds sets of something else.
        ScanError: The recipe cannot be applied to such scans.
        WorkError: A shard cannot be made; with its reason.
        WriteError: The folder cannot be written to.
    """
    plan = Plan(source, recipe, Path(folder), seed)
    wanted = {
        (task, name): n
        for task in tasks
        for name, alone in names(recipe, task).items()
        if (n := counts.isolated if alone else counts[SPLITS.index(name)]) > 0
    }
    for task, name in wanted:
        plan.pairs(task, name).sample(0)  # what cannot be done is told before anything is written
    stores = {
        (task, name): Store.create(
            plan.folder / task / name, KIND, _table(plan, task, name), seed, count, ARRAYS
        )
        for (task, name), count in wanted.items()
    }
    todo = [_Place(*key, shard) for key, store in stores.items() for shard in store.missing()]
    total = sum(store.shards for store in stores.values())

    def tell(done: int, _: int) -> None:
        if progress is not None:
            progress(total - len(todo) + done, total)

    distribute.run(partial(Plan.make, plan), todo, workers, cluster, tell, "shard")
    return {
        task: {name: store for (of, name), store in stores.items() if of == task} for task in tasks
    }


def open(folder: Path | str) -> dict[str, dict[str, Store]]:
    """The sets in a folder that `build` made, by task and name: `open(folder)["x2"]["train"]`.

    Raises:
        ReadError: There are none, or a manifest is damaged.
    """
    found: Mapping[str, dict[str, Store]] = {
        task: {
            path.parent.name: Store.open(path.parent)
            for path in sorted(Path(folder).glob(f"{task}/*/manifest.json"), key=_rank)
        }
        for task in TASKS
    }
    there = {task: stores for task, stores in found.items() if stores}
    if not there:
        raise ReadError(f"{folder} holds no sets of pairs: scanmend pairs makes them")
    return there


def _rank(manifest: Path) -> tuple[int, str]:
    name = manifest.parent.name
    return (SPLITS.index(name) if name in SPLITS else len(SPLITS)), name


def _table(plan: Plan, task: str, name: str) -> dict[str, Any]:
    pairs = plan.pairs(task, name)
    return {
        "task": task,
        "set": name,
        "side": SIDE,
        "margin": pairs.margin,
        "quantity": plan.source.quantity.name.lower(),
        "pixel_nm": list(plan.source.pixel_nm),
        "source": plan.source.table(),
        "damage": dump(pairs.damage),
    }


def _channels(clean: Scan, damaged: Scan) -> tuple[NDArray[np.float32], list[float], list[float]]:
    """Both in [-1, 1], shape (2, rows, columns); the lowest value of each, and its span."""
    pair = np.stack([clean.values, damaged.values])
    lows, spans = [], []
    for values in pair:
        lows.append(float(values.min()))
        values -= values.min()
        spans.append(float(values.max()))
        values *= 2
        values /= np.float32(spans[-1] or 1)
        values -= 1
    return pair, lows, spans
