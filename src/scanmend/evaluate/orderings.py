"""Whether models, and kinds of damage, stand in the order in which they were published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from . import published
from .columns import FINER, RESTORE, TASKS, score_name
from .estimates import INPUT, Estimates

Pair = tuple[str, str]
"""Two names, the better one first."""


@dataclass(frozen=True, slots=True)
class Ordering:
    """How our order compares with a published one.

    Attributes:
        tau: Kendall's tau-b of our scores and theirs; nan for fewer than two, or all alike.
        same: Pairs in our order and theirs; our scores tell them apart.
        opposite: Pairs in our order, which is not theirs; our scores tell them apart.
        open: Pairs in their order, which our scores do not tell apart.
    """

    tau: float
    same: tuple[Pair, ...]
    opposite: tuple[Pair, ...]
    open: tuple[Pair, ...]


def orderings(of: Estimates) -> dict[str, Ordering]:
    """By what is ordered: models, each at its best steps, and the input; then kinds of damage.

    Only what the paper has too is compared. Distances are told apart where their intervals are.
    """
    found: dict[str, Ordering] = {}
    for task, score in (*RESTORE, *FINER):
        runs = {published.DEGRADED: INPUT}
        runs |= {of.paper(name) or "": run for name, run in of.best(task).items()}
        theirs = _printed({name: (name, "test") for name in runs}, task, score)
        scores = {name: of.values(runs[name], score, task, "test") for name in theirs}
        _add(found, f"models by {score_name(task, score)}", of, scores, theirs)
    for task in TASKS:
        for score in ("kid", "cmmd"):
            _add_distances(found, of, task, score)
    for task, score in (*RESTORE, *FINER):
        kinds, generative = of.kinds(task), of.generative(task)
        sets = {published.KINDS.get(kind, ""): f"test-{kind}" for kind in kinds}
        theirs = _printed({k: (published.GENERATIVE, on) for k, on in sets.items()}, task, score)
        # Pair `number` of every set has the same clean image: sets are compared pair by pair.
        scores = {kind: of.values_of(generative, score, task, sets[kind]) for kind in theirs}
        _add(found, f"damage by {score_name(task, score)}", of, scores, theirs)
    return found


def compare(
    names: Sequence[str],
    ours: NDArray[np.floating],
    published: NDArray[np.floating],
    told: NDArray[np.bool_],
) -> Ordering:
    """Our order and theirs; pairs that were published as equal are left out.

    Args:
        names: Of what is ordered.
        ours, published: The scores, shape (names,); larger is better.
        told: Which of ours are told apart, shape (names, names): see `told_apart`.
    """
    same, opposite, undecided = [], [], []
    for i, j in combinations(range(len(names)), 2):
        if published[i] == published[j]:
            continue
        i, j = (i, j) if published[i] > published[j] else (j, i)
        if not told[i, j]:
            undecided.append((names[i], names[j]))
        elif ours[i] > ours[j]:
            same.append((names[i], names[j]))
        else:
            opposite.append((names[j], names[i]))
    return Ordering(tau_b(ours, published), tuple(same), tuple(opposite), tuple(undecided))


def tau_b(x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    """Kendall's tau-b: 1 in the same order, -1 in the opposite; nan where either is constant."""
    one, other = (np.sign(np.subtract.outer(v, v)) for v in (x, y))
    pairs = np.sqrt(np.sum(one**2) * np.sum(other**2))
    return float(np.sum(one * other) / pairs) if pairs else float("nan")


def _printed(asked: Mapping[str, tuple[str, str]], task: str, score: str) -> dict[str, float]:
    """What the paper prints for each name: for which model, on which set."""
    numbers = {
        name: published.find(score, model, task=task, on=on) for name, (model, on) in asked.items()
    }
    return {name: number.value for name, number in numbers.items() if number}


def _add(
    found: dict[str, Ordering],
    label: str,
    of: Estimates,
    scores: Mapping[str, NDArray[np.float64] | None],
    theirs: Mapping[str, float],
) -> None:
    known = {name: values for name, values in scores.items() if values is not None}
    if len(known) < 2 or len({len(values) for values in known.values()}) > 1:
        return
    of_all = np.array(list(known.values()))
    of_all = of_all[:, np.isfinite(of_all).all(axis=0)]
    published_too = np.array([theirs[name] for name in known])
    found[label] = compare(list(known), of_all.mean(axis=1), published_too, of.told_apart(of_all))


def _add_distances(found: dict[str, Ordering], of: Estimates, task: str, score: str) -> None:
    runs = {published.DEGRADED: INPUT}
    runs |= {of.paper(name) or "": run for name, run in of.best(task).items()}
    numbers = {name: published.find(score, name, task=task, on="real") for name in runs}
    kind = f"{score.upper()}["
    ours = {
        name: distance
        for name, run in runs.items()
        for distance in of.distances(run, task, "real").values()
        if numbers[name] and distance.name.startswith(kind)
    }
    if len(ours) < 2:
        return
    low, high = (np.array([getattr(d, end) for d in ours.values()]) for end in ("low", "high"))
    apart = np.greater.outer(low, high) | np.less.outer(high, low)
    theirs = [number.value for name in ours if (number := numbers[name])]
    values = np.array([distance.value for distance in ours.values()])
    label = f"models by {next(iter(ours.values())).name}{TASKS[task]} of real scans"
    found[label] = compare(list(ours), -values, -np.array(theirs), apart)
