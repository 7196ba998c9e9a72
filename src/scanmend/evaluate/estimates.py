"""Means over images with their intervals, all from one resampling of the images of a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import generate
from . import published
from .bootstrap import LEVEL, RESAMPLES, interval, weights
from .distances import Distance
from .faults import Faults
from .results import DEGRADED, Key, Part, Results
from .typeset import Cell

Run = tuple[str, int | None]
"""A candidate, and the steps of its sampler."""

INPUT: Run = (DEGRADED, None)

CHOSEN_BY = "ssim"
"""The score on the synthetic test set by which the steps of a candidate are chosen."""


class Estimates:
    """What tables and pictures are made of; scores that are not finite are left out of means.

    All that is resampled is so by the seed of the evaluation: the same results give the same
    intervals, whatever else is in them.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        self._parts = {part.key: part for part in results.parts}
        self._drawn: dict[int, NDArray[np.float64]] = {}
        self._best: dict[str, dict[str, Run]] = {}
        self._means: dict[tuple, Cell] = {}

    def part(self, run: Run, task: str, on: str) -> Part | None:
        """What was found of a run on a set, if anything."""
        return self._parts.get(Key(*run, task, on))

    def values(self, run: Run, score: str, task: str, on: str) -> NDArray[np.float64] | None:
        """A score of each image of a set, (n,)."""
        part = self.part(run, task, on)
        of = None if part is None else part.faults if score in Faults._fields else part.scores
        return None if of is None else getattr(of, score)

    def values_of(
        self, runs: Sequence[Run], score: str, task: str, on: str
    ) -> NDArray[np.float64] | None:
        """The mean of several runs for each image, (n,); None if any was not scored on the set."""
        found = [self.values(run, score, task, on) for run in runs]
        known = [values for values in found if values is not None]
        return np.mean(known, axis=0) if known and len(known) == len(found) else None

    def mean(self, runs: Sequence[Run], score: str, task: str, on: str) -> Cell:
        """The mean score, of several runs the mean of all."""
        key = (*runs, score, task, on)
        if key not in self._means:
            self._means[key] = self._mean(self.values_of(runs, score, task, on))
        return self._means[key]

    def gain(self, runs: Sequence[Run], score: str, task: str, on: str) -> Cell:
        """By how much it exceeds that of the degraded input, image by image."""
        key = (*runs, score, task, on, "gain")
        if key not in self._means:
            before = self.values(INPUT, score, task, on)
            after = self.values_of(runs, score, task, on)
            with np.errstate(invalid="ignore"):
                more = None if before is None or after is None else after - before
            self._means[key] = self._mean(more)
        return self._means[key]

    def told(self, runs: Sequence[Run], score: str, task: str, on: str) -> NDArray[np.bool_]:
        """Which of the runs' means differ; all of them have been scored on the set."""
        of = np.array([self.values(run, score, task, on) for run in runs])
        return self.told_apart(of[:, np.isfinite(of).all(axis=0)])

    def told_apart(self, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of the means over images differ; see the function `told_apart`."""
        return told_apart(scores, self._weights(scores.shape[1]))

    def distances(self, run: Run, task: str, on: str) -> dict[str, Distance]:
        """By their names."""
        part = self.part(run, task, on)
        return {} if part is None else {distance.name: distance for distance in part.distances}

    def runs(self, tasks: Sequence[str], on: str) -> list[Run]:
        """Those that were evaluated on this set of any of the tasks, but DEGRADED."""
        found = (p.key for p in self.results.parts if p.key.task in tasks and p.key.on == on)
        return [run for run in dict.fromkeys(key[:2] for key in found) if run[0] != DEGRADED]

    def best(self, task: str) -> dict[str, Run]:
        """Of each candidate the run with the highest mean of CHOSEN_BY on the test set."""
        if task not in self._best:
            found: dict[str, tuple[float, Run]] = {}
            for run in self.runs([task], "test"):
                values = self.values(run, CHOSEN_BY, task, "test")
                mean = -np.inf if values is None else float(values.mean())
                if mean > found.get(run[0], (-np.inf, run))[0]:
                    found[run[0]] = mean, run
            self._best[task] = {name: run for name, (_, run) in found.items()}
        return self._best[task]

    def kinds(self, task: str) -> list[str]:
        """The kinds of damage of which there is a set of their own, in the order of the paper."""
        sets = {part.key.on for part in self.results.parts if part.key.task == task}
        there = {on.removeprefix("test-") for on in sets if on.startswith("test-")}
        return [k for k in published.KINDS if k in there] + sorted(there - set(published.KINDS))

    def generative(self, task: str) -> list[Run]:
        """The runs of the paper's generative models that were scored on the set of every kind."""
        sets = [f"test-{kind}" for kind in self.kinds(task)]
        every = [set(self.runs([task], on)) for on in sets]
        named = (run for on in sets[:1] for run in self.runs([task], on))
        return [
            run
            for run in named
            if self.paper(run[0]) not in (None, "Autoencoder") and all(run in of for of in every)
        ]

    def about(self, run: Run) -> Mapping[str, Any]:
        """What the candidate of a run is."""
        parts = self.results.parts
        return next((part.candidate for part in parts if part.key[:2] == run), {})

    def calls(self, run: Run) -> int | None:
        """Of its network for an image; None for what has none."""
        about, steps = self.about(run), run[1]
        method = about.get("method")
        if steps is None or not isinstance(method, dict):
            return steps
        return generate.method(method).calls(steps)

    def paper(self, candidate: str) -> str | None:
        """What the paper calls a candidate."""
        return self._names.get(candidate)

    @cached_property
    def _names(self) -> dict[str, str | None]:
        runs = {part.key.candidate: part.candidate for part in self.results.parts}
        named = {name: published.called(about) for name, about in runs.items()}
        return named | {DEGRADED: published.DEGRADED}

    def _mean(self, values: NDArray[np.float64] | None) -> Cell:
        if values is None:
            return Cell()
        known = values[np.isfinite(values)]
        if not known.size:
            return Cell(n=0)
        drawn = self._weights(len(known)) @ known
        return Cell(*interval(float(known.mean()), drawn, LEVEL), len(known))

    def _weights(self, count: int) -> NDArray[np.float64]:
        if count not in self._drawn:
            rng = np.random.default_rng((self.results.provenance.seed, count))
            self._drawn[count] = weights(count, rng, RESAMPLES)
        return self._drawn[count]


def told_apart(
    scores: NDArray[np.floating], weights: NDArray[np.floating], level: float = LEVEL
) -> NDArray[np.bool_]:
    """Which mean scores differ, by a bootstrap over images, the same ones for each model.

    The largest of all studentised differences is what is bootstrapped, so that `level` holds for
    all pairs at once.

    Args:
        scores: Shape (models, n): of the same n images.
        weights: How often each image is drawn, over n, shape (resamples, n): `bootstrap.weights`.
        level: How sure it is that no pair at all is wrongly told apart.

    Returns:
        Shape (models, models), symmetric.

    References:
        J. P. Romano and M. Wolf, Econometrica 73, 1237 (2005): their single step
    """
    models, count = scores.shape
    first, second = np.triu_indices(models, 1)
    told = np.zeros((models, models), bool)
    if count < 2 or not len(first):
        return told
    differences = scores[first] - scores[second]
    means = differences.mean(axis=1)
    error = differences.std(axis=1, ddof=1) / np.sqrt(count)
    # Two that differ by the same on every image have no error: any difference tells them apart.
    varies = error > 1e-9 * np.abs(means)
    resampled = weights @ (scores - scores.mean(axis=1, keepdims=True)).T
    moved = np.abs(resampled[:, first] - resampled[:, second])[:, varies]
    largest = (moved / error[varies]).max(axis=1, initial=0)
    told[first, second] = np.abs(means) > np.quantile(largest, level) * error
    return told | told.T
