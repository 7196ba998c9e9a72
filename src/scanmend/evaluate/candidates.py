"""Whatever restores images, to be compared: model files, classical methods, programs of the user's.

As text, on the command line: `fm-small.onnx@2,5,10` (a model file at 2, 5 and 10 steps), `si001h`
(a model that comes along), `si001h+ghosts` (the same, told that there are ghosts), `median` (a
classical method), `degraded` (nothing is done), and `cmd:NAME=PROGRAM {input} {output}`.
`NAME=` before any of the others is what the tables call it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import models
from ..errors import RecipeError
from ..pairs.sets import TASKS
from ..resample import line_phase
from ..restoration import counted, restore, upscale
from ..scan import Quantity, Scan
from .classical import CLASSICAL, as_measured, kept
from .command import Command
from .contract import Batch, Candidate, Images, one_by_one
from .results import DEGRADED
from .sources import seen


@dataclass(frozen=True)
class Untouched:
    """The degraded images themselves."""

    name: str = DEGRADED
    steps: None = None
    calls: None = None
    tasks: tuple[str, ...] = tuple(TASKS)

    def about(self) -> dict[str, Any]:
        """Its kind."""
        return {"kind": "input"}

    def call(self, image: Images) -> None:
        """There is none."""

    def restore(self, batch: Batch) -> Images:
        """As they are."""
        if batch.quantity is not Quantity.COUNTS:
            return batch.images
        return one_by_one(batch, lambda scan, number: scan.values)


@dataclass(frozen=True)
class Trained:
    """A model file whose card names a method of `generate`: it was trained on such pairs."""

    name: str
    path: Path
    steps: int

    @property
    def tasks(self) -> tuple[str, ...]:
        """The one it was trained for."""
        return (self._model.card["task"],)

    @property
    def calls(self) -> int:
        """Of its network for an image."""
        return self._model.method.calls(self.steps)

    @property
    def _model(self) -> models.Model:
        return models.load(self.path)

    @property
    def seen(self) -> dict[str, str]:
        """Hashes of the scans it was trained and validated on, with their names."""
        return seen(self._model.card)

    def about(self) -> dict[str, Any]:
        """Its hash, and what its card says of the network."""
        return _described(self._model, "model", ("net", "task")) | {"calls": self.calls}

    def restore(self, batch: Batch) -> Images:
        """By its method; noise is drawn for each image by its number."""
        network = self._model.network
        rngs = [np.random.default_rng((batch.seed, number)) for number in batch.numbers]
        shape = (1, *batch.images.shape[1:])

        def normal() -> Images:
            return np.stack([rng.standard_normal(shape, np.float32) for rng in rngs])

        degraded = batch.images[:, None]
        return self._model.method.restore(network.conditioned, degraded, normal, self.steps)[:, 0]

    def call(self, image: Images) -> None:
        """Calls the network once, for `image` (rows, columns): to see how long that takes."""
        x = image[None, None]
        self._model.network.conditioned(x, x, 0.5)


@dataclass(frozen=True)
class Shipped:
    """A model for whole scans, such as those that come along: a step is one call.

    Attributes:
        ghosts: Whether it is told of a multiple tip.
    """

    name: str
    source: str | Path
    steps: int
    ghosts: bool = False

    @property
    def tasks(self) -> tuple[str, ...]:
        """Those whose factors are on its card."""
        return tuple(task for task, factor in TASKS.items() if factor in self._model.factors)

    @property
    def calls(self) -> int:
        """One a step."""
        return self.steps

    @property
    def _model(self) -> models.Model:
        return models.load(self.source)

    @property
    def seen(self) -> dict[str, str]:
        """Hashes of the scans it was trained on, with their names."""
        return seen(self._model.card)

    def about(self) -> dict[str, Any]:
        """Its hash, and what its card says of the network."""
        card = _described(self._model, "model for scans", ("tasks", "factors"))
        return card | {"calls": self.calls} | ({"ghosts": True} if self.ghosts else {})

    def restore(self, batch: Batch) -> Images:
        """As whole scans, one by one; of few lines, what hit some repeats only is left out.

        Of counts on fewer pixels, those that were measured.
        """
        return one_by_one(batch, partial(self._scan, batch))

    def call(self, image: Images) -> None:
        """Calls the network once, for `image` (rows, columns): to see how long that takes."""
        network = self._model.network
        network(np.stack([image, image, np.ones_like(image)]), 0.0, told=network.silence)

    def _scan(self, batch: Batch, scan: Scan, number: int) -> NDArray[np.float32]:
        factor, seed = batch.factor, batch.seed + number
        how: dict[str, Any] = {"model": self.source, "calls": self.steps, "seed": seed}
        how["ghosts"] = self.ghosts
        if factor == 1:
            return restore(scan, **how).mean.values
        if counted.is_way_of(self._model) and batch.kernel is not None:
            return upscale(batch.fewer(scan), factor, **how).mean.values
        rows = len(scan.values)
        lines, at = kept(scan.values, factor)
        pixel_nm = (factor * scan.pixel_nm[0], scan.pixel_nm[1])
        measured = Scan(lines.astype(np.float32), pixel_nm, scan.quantity)
        listens = "told" in self._model.card
        finer = upscale(measured, factor, mend=listens, keep_measured=False, **how).mean.values
        # Measured lines stand elsewhere in its frame than in the image.
        moved = np.arange(rows) - (int(at[0]) - line_phase(factor))
        return finer[np.clip(moved, 0, len(finer) - 1)]


@dataclass(frozen=True)
class Filter:
    """One of `classical.CLASSICAL`."""

    name: str
    method: str
    steps: None = None
    calls: None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """All, but for what only fills lines."""
        fills_only = CLASSICAL[self.method].mend is as_measured
        return tuple(task for task, factor in TASKS.items() if factor > 1 or not fills_only)

    def about(self) -> dict[str, Any]:
        """Its kind and method."""
        return {"kind": "classical", "method": self.method}

    def call(self, image: Images) -> None:
        """There is none."""

    def restore(self, batch: Batch) -> Images:
        """One by one."""
        method = CLASSICAL[self.method]

        def restored(scan: Scan, number: int) -> NDArray[np.float32]:
            if batch.kernel is None:
                return method(scan.values, batch.factor)
            return method.finer(batch.fewer(scan).values, scan.values.shape)

        return one_by_one(batch, restored)


_GHOSTS = "+ghosts"
_NAME = re.compile(r"\w[\w .+()-]*")


def parse(text: str) -> list[Candidate]:
    """The candidates that a text stands for, one for each number of steps.

    Raises:
        RecipeError: It stands for none, or its steps are no numbers above 0.
        ModelError: The model file cannot be run.
    """
    if text.startswith("cmd:"):
        name, _, command = text.removeprefix("cmd:").partition("=")
        return [Command(_good(name), command)]
    name, equals, what = text.partition("=")
    if not equals or Path(text).exists() or "/" in name:
        name, what = "", text
    source, at, listed = what.rpartition("@")
    if not at:
        source, listed = what, ""
    source, ghosts = source.removesuffix(_GHOSTS), source.endswith(_GHOSTS)
    found = _plain(source)
    if found is not None:
        if ghosts:
            raise RecipeError(f"{text}: {source} cannot be told of ghosts")
        if at:
            raise RecipeError(f"{text}: {source} takes no steps")
        return [found(_good(name)) if name else found()]
    if source not in models.restorers() and not Path(source).is_file():
        known = ", ".join([*models.restorers(), *CLASSICAL, DEGRADED])
        raise RecipeError(f"no candidate {source!r}: a model file, cmd:NAME=COMMAND, or {known}")
    model = models.restorer(source)
    steps = _steps(listed, text) if at else [model.card.get("steps", 1)]
    called = _good(name or model.name)
    if ghosts:
        if "told" not in model.card:
            raise RecipeError(f"{text}: {model.name} cannot be told of ghosts")
        called = _good(name or f"{model.name}{_GHOSTS}")
    if not model.network.has_method:
        return [Shipped(called, source, n, ghosts) for n in steps]
    return [Trained(called, Path(source), n) for n in steps]


def _plain(source: str) -> Callable[..., Candidate] | None:
    """What makes a candidate that is no model."""
    if source == DEGRADED:
        return Untouched
    words = re.sub("[-_ ]", " ", source).lower()
    for known in CLASSICAL:
        if re.sub("[-_ ]", " ", known).lower() == words:
            return lambda name=known: Filter(name, known)
    return None


def _steps(listed: str, text: str) -> list[int]:
    try:
        steps = [int(part) for part in listed.split(",")]
    except ValueError:
        steps = [0]
    if min(steps) < 1:
        raise RecipeError(f"{text}: steps are numbers such as @2,5,10, got @{listed}")
    return list(dict.fromkeys(steps))


def _good(name: str) -> str:
    """A name that can be in that of a file."""
    if not _NAME.fullmatch(name):
        raise RecipeError(f"a candidate's name is letters, digits, '.', '-' and such, got {name!r}")
    return name


def _described(model: models.Model, kind: str, keys: Sequence[str]) -> dict[str, Any]:
    known = ("parameters", "method", "iterations", *keys)
    facts = {key: model.card[key] for key in known if key in model.card}
    what = {"kind": kind, "model": model.name, "sha256": model.sha256}
    return {**what, "runtime": model.network.runtime, **facts}
