"""The course of an evaluation: every candidate on every set that it is for, each once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import __version__, distribute
from ..engine import cores, processor
from ..errors import ModelError, RecipeError
from ..scan import Quantity
from ..shards.file import canonical
from . import results
from .candidates import Shipped, Trained, Untouched
from .contract import Batch, Candidate
from .distances import KINDS, LEAST, Distance, distance
from .embed import Embedder
from .faults import Faults, Finder
from .metrics import Scores, scores
from .results import SPEED, Key, Part, Provenance, Results, Timing
from .sources import Source, Synthetic

PANELS = 4
"""Images of each set that are kept to be shown."""

COMPARED = ("test", "real")
"""The sets that are compared with clean images as sets."""

REPEATS, LONG_S = 10, 5.0
"""How often an image is timed; from three times on, no more than so many seconds in all."""


@dataclass(frozen=True)
class Embedding:
    """Which network takes the features that distances compare: the arguments of `Embedder.load`."""

    path: Path | None = None
    name: str | None = None

    def load(self) -> Embedder:
        """The network; its file is opened once.

        Raises:
            ModelError: It is none.
        """
        return Embedder.load(self.path, self.name)

    def about(self) -> dict[str, Any]:
        """Its name and hash, and how images are prepared for it."""
        embedder = self.load()
        how = asdict(embedder.preparation)
        return {"name": embedder.name, "sha256": embedder.sha256, "preparation": how}

    def __call__(self, images: NDArray[np.floating]) -> NDArray[np.floating]:
        """Features (n, d) of images (n, rows, columns), each brought to [-1, 1] by its range."""
        low, high = (f(images, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
        return self.load()(2 * (images - low) / np.where(high > low, high - low, 1) - 1)


class _Item(NamedTuple):
    candidate: Candidate
    task: str
    on: str

    @property
    def key(self) -> Key:
        return Key(self.candidate.name, self.candidate.steps, self.task, self.on)

    def __str__(self) -> str:
        return str(self.key)


@dataclass(frozen=True)
class Evaluation:
    """What is to be evaluated on what; can be pickled.

    Attributes:
        folder: Where results go.
        candidates: What is compared; `candidates.Untouched` always is.
        sources: By task and name of the set: those of `sources.of_folder`, and ("x2", "real").
        embedding: By what distances are taken, on the sets "test" and "real"; None for none.
        seed: Of all noise and resampling.
        count: How many images of each set at most, for the provenance; None for all.
        finder: What looks for defects that were made up or wiped out; None for nothing.
    """

    folder: Path
    candidates: tuple[Candidate, ...]
    sources: Mapping[tuple[str, str], Source]
    embedding: Embedding | None = None
    seed: int = 0
    count: int | None = None
    finder: Finder | None = None

    def items(self) -> list[_Item]:
        """What there is to find out, timings aside.

        Raises:
            RecipeError: Two candidates have one name, or one has seen images of a test set.
            ModelError: One is for no task of which there is a set.
        """
        tasks = dict.fromkeys(task for task, _ in self.sources)
        found: dict[Key, _Item] = {}
        for candidate in self.candidates:
            if not set(candidate.tasks) & set(tasks):
                raise ModelError(
                    f"{candidate.name} is for {' and '.join(candidate.tasks)}, and there are sets "
                    f"of {' and '.join(tasks)} only"
                )
            for task, on in self.sources:
                if task in candidate.tasks:
                    item = _Item(candidate, task, on)
                    _must_be_unseen(item, self.sources[task, on])
                    if item.key in found:
                        raise RecipeError(
                            f"two candidates are called {item.key.title} on {task}: give one "
                            "another name (NAME=...)"
                        )
                    found[item.key] = item
        return list(found.values())

    def provenance(self) -> Provenance:
        """Of what. Raises as the tables of the sources do."""
        sets = {}
        for (task, on), source in self.sources.items():
            of = source.table()
            sets[f"{task}/{on}"] = of["set"]
            sets |= {f"{task}/clean": of["clean"]} if "clean" in of else {}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        about = self.embedding.about() if self.embedding else None
        finder = self.finder.about() if self.finder else None
        return Provenance(__version__, now, self.seed, self.count, sets, about, finder)

    def make(self, item: _Item) -> None:
        """Finds out one thing, and keeps it."""
        results.keep(self.folder, self.part(item))

    def part(self, item: _Item) -> Part:
        """Restores a set, and scores it."""
        found: list[Scores] = []
        faults: list[Faults] = []
        features: list[NDArray[np.floating]] = []
        shown: list[dict[str, NDArray[np.float32]]] = []
        seconds = 0.0
        embedding = self.embedding if item.on in COMPARED else None
        source = self.sources[item.task, item.on]
        for batch, clean in source.batches(self.seed):
            start = time.perf_counter()
            restored = item.candidate.restore(batch)
            seconds += time.perf_counter() - start
            _must_fit(item, restored, batch)
            if clean is not None:
                counts = batch.quantity is Quantity.COUNTS
                found.append(scores(restored, clean, clip=not counts))
                if self.finder:
                    faults.append(self.finder(restored, clean, batch.pixel_nm, batch.quantity))
            judged = [source.judged(number) for number in batch.numbers]
            if embedding and any(judged):
                features.append(embedding(restored[judged]))
            if batch.numbers[0] < PANELS:
                panels = {"degraded": Untouched().restore(batch), "restored": restored}
                panels["pixel_nm"] = batch.pixel_nm
                shown.append(panels if clean is None else panels | {"clean": clean})
        return Part(
            item.key,
            item.candidate.about(),
            Scores(*map(np.concatenate, zip(*found, strict=True))) if found else None,
            self._distances(source, np.concatenate(features), embedding) if embedding else (),
            {
                name: np.concatenate([of[name] for of in shown])[:PANELS].astype(np.float16)
                for name in shown[0]
            },
            seconds,
            faults=Faults(*map(np.concatenate, zip(*faults, strict=True))) if faults else None,
        )

    def _distances(
        self, source: Source, made: NDArray[np.floating], embedding: Embedding
    ) -> tuple[Distance, ...]:
        clean = _features(source, embedding)
        if clean is None:
            return ()
        # The same resampling for all, so that what they have in common falls out.
        name = embedding.load().name
        return tuple(
            distance(kind, made, clean, name, np.random.default_rng(self.seed)) for kind in KINDS
        )

    def timing(self, item: _Item) -> Part:
        """Restores one image again and again."""
        candidate = item.candidate
        batch, _ = next(self.sources[item.task, item.on].batches(self.seed))
        one = batch.first()
        seconds, repeats = _least(lambda: candidate.restore(one))
        call = _least(partial(candidate.call, one.images[0]))[0] if candidate.calls else None
        threads = cores() if candidate.calls else 1
        machine = processor()
        timing = Timing(seconds, call, candidate.calls, repeats, "cpu", threads, machine)
        key = item.key._replace(on=SPEED)
        return Part(key, candidate.about(), timing=timing)


def run(
    evaluation: Evaluation,
    workers: int = 1,
    progress: distribute.Progress | None = None,
) -> Results:
    """Finds out what is not yet in the evaluation's folder; timings at last, with nothing beside.

    Args:
        evaluation: What is to be found out.
        workers: Processes.
        progress: Called with how many parts are there, and of how many.

    Raises:
        RecipeError: The folder holds another evaluation, or one of another candidate of that name;
            a candidate has seen images of a test set; there are too few images for distances.
        ModelError: A candidate is for no task of which there is a set.
        ReadError: A set is not complete, or a folder cannot be read.
        WorkError: A part cannot be made; with its name and the reason.
        WriteError: The folder cannot be written to.
    """
    if not any(isinstance(candidate, Untouched) for candidate in evaluation.candidates):
        both = (Untouched(), *evaluation.candidates)
        evaluation = replace(evaluation, candidates=both)
    items = evaluation.items()
    if evaluation.embedding:
        for (task, on), source in evaluation.sources.items():
            if on in COMPARED:
                _must_be_enough(f"{task}/{on}", *source.compared())
    there = {p.key: p for p in results.begin(evaluation.folder, evaluation.provenance()).parts}
    for item in items:
        _must_be_same(item, there, evaluation.folder)
    timed = {
        item.key._replace(on=SPEED): item
        for item in reversed(items)
        if not isinstance(item.candidate, Untouched)
    }
    clocked = [item for key, item in timed.items() if key not in there]
    todo = [item for item in items if item.key not in there]
    total = len(items) + len(timed)
    before = total - len(todo) - len(clocked)

    def tell(done: int, _: int) -> None:
        if progress is not None:
            progress(before + done, total)

    distribute.run(partial(Evaluation.make, evaluation), todo, workers, None, tell, "part")
    for done, item in enumerate(clocked, 1):
        results.keep(evaluation.folder, evaluation.timing(item))
        tell(len(todo) + done, total)
    found = results.load(evaluation.folder)
    return results.merged([item.key for item in items], found.parts, found.provenance)


@lru_cache(maxsize=4)
def _features(source: Source, embedding: Embedding) -> NDArray[np.floating] | None:
    clean = source.clean()
    return None if clean is None else np.concatenate([embedding(images) for images in clean])


def _least(do: Callable[[], Any]) -> tuple[float, int]:
    """The least time it took, s, of how many; what only the first one does is not timed."""
    do()
    taken: list[float] = []
    while len(taken) < 3 or (len(taken) < REPEATS and sum(taken) < LONG_S):
        start = time.perf_counter()
        do()
        taken.append(time.perf_counter() - start)
    return min(taken), len(taken)


def _must_fit(item: _Item, restored: NDArray[np.floating], batch: Batch) -> None:
    if restored.shape != batch.images.shape or not np.isfinite(restored).all():
        raise ModelError(
            f"{item.key.title} made {restored.shape} of images of shape {batch.images.shape}: "
            "it must be the same shape, all of it finite"
        )


def _must_be_unseen(item: _Item, source: Source) -> None:
    if isinstance(item.candidate, Trained | Shipped) and isinstance(source, Synthetic):
        seen = item.candidate.seen
        for sha256, name in source.tests().items():
            if sha256 in seen:
                raise RecipeError(
                    f"{name} of the set {item.task}/{item.on} is one of the images that "
                    f"{item.candidate.name} was trained or validated on (there: {seen[sha256]}): "
                    "make a set that was split as for its training, or of other images"
                )


def _must_be_enough(name: str, made: int, clean: int) -> None:
    if clean and min(made, clean) < LEAST:
        raise RecipeError(
            f"{name} has {made} images to compare with {clean} clean ones, and KID and CMMD need "
            f"{LEAST} of each: take more images, or none of these distances (--no-distances)"
        )


def _must_be_same(item: _Item, there: Mapping[Key, Part], folder: Path) -> None:
    part = there.get(item.key)
    if part and canonical(part.candidate) != canonical(item.candidate.about()):
        raise RecipeError(
            f"{folder} holds results of another {item.key.title}: give this one another name "
            "(NAME=...), or name another folder"
        )
