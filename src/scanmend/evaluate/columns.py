"""Columns of the papers' tables: our numbers, then the published ones beside them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from . import published
from .distances import Distance
from .estimates import INPUT, Estimates, Run
from .results import SPEED
from .typeset import Cell, Column

SCORES = {
    "psnr_dB": ("PSNR (dB)", 2),
    "psnr_fitted_dB": ("PSNR (dB), fitted", 2),
    "ssim": ("SSIM", 3),
    "ssim_global": ("global SSIM", 3),
    "detail_dB": ("fine detail (dB)", 1),
    "kid": ("KID[InceptionV3]", 4),
    "cmmd": ("CMMD[CLIP]", 3),
    "hallucinated_per_100nm2": ("hallucinated / 100 nm²", 2),
    "omitted_per_100nm2": ("omitted / 100 nm²", 2),
}
"""What scores are called, and the decimals with which they are published."""

TASKS = {"restore": "", "x2": " ×2", "x4": " ×4"}
"""What a task adds to the name of a score."""

RESTORE = (("restore", "psnr_dB"), ("restore", "ssim"))
FINER = (("x2", "ssim"), ("x4", "ssim"))
"""Tasks and the scores that the paper gives for them on synthetic sets."""

FLOOR = "clean against clean"

Filled = tuple[Column, Sequence[Cell | str]]
"""A column, and what stands in it."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is shown in a row of a table: a run for each task that there is one for.

    Attributes:
        runs: By task; the row of clean images, FLOOR, has none.
        best: Whether the steps were chosen: then it is compared with the published best.
    """

    runs: Mapping[str, Run]
    best: bool = False

    @property
    def name(self) -> str:
        """Of the candidates."""
        return " / ".join(dict.fromkeys(run[0] for run in self.runs.values())) or FLOOR


def score_name(task: str, score: str) -> str:
    """As in "SSIM ×2"."""
    return SCORES[score][0] + TASKS[task]


def rows(of: Estimates, tasks: Sequence[str], on: str, best: bool) -> list[Row]:
    """The input, then every run on a set; or every candidate, each at its best steps.

    A model is trained for one task: what the paper calls the same is one row, if there is one of it
    for each task.
    """
    found: dict[tuple[str, int | None], dict[str, Run]] = {}
    for task in tasks:
        chosen = of.best(task).values()
        runs = [run for run in of.runs([task], on) if not best or run in chosen]
        named = {run[0]: of.paper(run[0]) for run in runs}
        count = Counter(named.values())
        for run in runs:
            name = named[run[0]]
            shared = name if name and count[name] == 1 else run[0]
            found.setdefault((shared, None if best else run[1]), {})[task] = run
    first = [Row(dict.fromkeys(tasks, INPUT), best)] * bool(found)
    return first + sorted((Row(runs, best) for runs in found.values()), key=partial(_order, of))


def leading(of: Estimates, table: Sequence[Row]) -> list[Filled]:
    """What a row is of: model, the paper's name for it, steps, and calls of the network."""

    def each(row: Row, what: Callable[[Run], object]) -> str:
        words = ["–" if what(r) is None else str(what(r)) for r in row.runs.values() if r != INPUT]
        return " / ".join(dict.fromkeys(words))

    return [
        (Column("model"), [row.name for row in table]),
        (
            Column("published as"),
            [name if (name := _paper(of, row)) in published.MODELS else "" for row in table],
        ),
        (Column("steps"), [each(row, lambda run: run[1]) for row in table]),
        (Column("calls"), [each(row, of.calls) for row in table]),
    ]


def fidelity(of: Estimates, table: Sequence[Row], task: str, score: str) -> list[Filled]:
    """A score on the synthetic test set and its gain over the input, ours and the paper's."""
    name, decimals = score_name(task, score), SCORES[score][1]
    runs = [row.runs.get(task) for row in table]
    means = [of.mean([run], score, task, "test") if run else Cell() for run in runs]
    bold = _not_worse(of, runs, means, score, task)
    ours = [replace(cell, best=best) for cell, best in zip(means, bold, strict=True)]
    gains = [
        of.gain([run], score, task, "test") if run and run != INPUT else Cell() for run in runs
    ]
    theirs = _published(of, table, score, task, "test")
    before = theirs[0].value
    more = [
        Cell(cell.value - before) if cell.value is not None and before and run != INPUT else Cell()
        for cell, run in zip(theirs, runs, strict=True)
    ]
    return [
        (Column("mean", f"{name}, here", decimals), [*ours]),
        (Column("gain", f"{name}, here", decimals, signed=True), [*gains]),
        (Column("mean", f"{name}, published", decimals), [*_best(theirs, max)]),
        (Column("gain", f"{name}, published", decimals, signed=True), [*more]),
    ]


def distances(of: Estimates, table: Sequence[Row], task: str, on: str, name: str) -> list[Filled]:
    """How far restored images are from clean ones, and how much of the way there was closed.

    The latter of tables at the best steps; nothing is said of the way where the input itself cannot
    be told from clean images.

    Args:
        of: What was found.
        table: The first row is the input, the last clean images against clean images.
        task, on: Of which set; the paper's numbers stand beside those of "real" only.
        name: Of the distance, with its embedder: "KID[inception-v3]".
    """
    found: list[Distance | None] = [
        of.distances(row.runs[task], task, on).get(name) if task in row.runs else None
        for row in table[:-1]
    ]
    cells = [Cell(d.value, d.low, d.high, d.n) if d else Cell() for d in found]
    worst = found[0]
    floor = worst or next((d for d in found if d), None)
    last = Cell(floor.floor, floor.floor_low, floor.floor_high, floor.floor_n) if floor else Cell()
    told = worst is not None and worst.low > worst.floor_high
    ours = [*cells, last] if told else [Cell() for _ in table]
    filled: list[Filled] = [
        (Column("score", f"{name}{TASKS[task]}, here", 4), [*_best(cells, min), last]),
        (Column("closed (%)", f"{name}{TASKS[task]}, here", 0), _closed(ours)),
    ]
    score = {"KID": "kid", "CMMD": "cmmd"}.get(name.partition("[")[0])
    if score and on == "real":
        theirs = _published(of, table, score, task, "real")
        head, decimals = f"{score_name(task, score)}, published", SCORES[score][1]
        filled += [
            (Column("score", head, decimals), [*_best(theirs[:-1], min), theirs[-1]]),
            (Column("closed (%)", head, 0), _closed(theirs)),
        ]
    return filled if table[0].best else filled[::2]


def isolated(
    of: Estimates, kinds: Sequence[str], runs: Sequence[Run], task: str, score: str
) -> list[Filled]:
    """A score where there is only one kind of damage: before, after, gain, and the paper's."""
    name, decimals = score_name(task, score), SCORES[score][1]
    sets = [f"test-{kind}" for kind in kinds]
    theirs = [published.find(score, published.GENERATIVE, task=task, on=on) for on in sets]
    return [
        (
            Column("degraded", f"{name}, here", decimals),
            [of.mean([INPUT], score, task, on) for on in sets],
        ),
        (
            Column("restored", f"{name}, here", decimals),
            [of.mean(runs, score, task, on) for on in sets],
        ),
        (
            Column("gain", f"{name}, here", decimals, signed=True),
            [of.gain(runs, score, task, on) for on in sets],
        ),
        (
            Column("restored", f"{name}, published", decimals),
            [Cell(number.value if number else None) for number in theirs],
        ),
    ]


def seconds(of: Estimates, table: Sequence[Row], task: str) -> list[Filled]:
    """How long one image takes, and one step for it, ours and the paper's."""
    parts = [of.part(row.runs[task], task, SPEED) for row in table]
    times = [part.timing if part else None for part in parts]
    steps = [row.runs[task][1] or 1 for row in table]
    devices = " and ".join(dict.fromkeys(t.device for t in times if t))
    image = [Cell(t.seconds if t else None) for t in times]
    step = [Cell(t.seconds / n if t else None) for t, n in zip(times, steps, strict=True)]
    filled: list[Filled] = [
        (Column("s an image", f"here, {devices}", _two_figures(image)), [*image]),
        (Column("s a step", f"here, {devices}", _two_figures(step)), [*step]),
    ]
    for unit in ("cpu", "gpu"):
        whole = _published(of, table, f"seconds_{unit}", "restore", SPEED)
        of_step = [
            published.find(f"step_seconds_{unit}", _paper(of, row) or "", on=SPEED) for row in table
        ]
        filled += [
            (Column("s an image", f"published, {unit.upper()}", 2), [*whole]),
            (
                Column("s a step", f"published, {unit.upper()}", 2),
                [Cell(number.value if number else None) for number in of_step],
            ),
        ]
    return filled


def _order(of: Estimates, row: Row) -> tuple[int, str, int]:
    """The paper's models first, in its order; each by its steps."""
    name = _paper(of, row)
    place = published.MODELS.index(name) if name else len(published.MODELS)
    return place, row.name, max(run[1] or 0 for run in row.runs.values())


def _paper(of: Estimates, row: Row) -> str | None:
    """What the paper calls all that is in a row."""
    names = {of.paper(run[0]) for run in row.runs.values()} if row.runs else {published.PRISTINE}
    return names.pop() if len(names) == 1 else None


def _published(of: Estimates, table: Sequence[Row], score: str, task: str, on: str) -> list[Cell]:
    cells = []
    for row in table:
        name, run = _paper(of, row), row.runs.get(task, INPUT)
        steps = None if row.best else run[1]
        number = published.find(score, name, steps, task=task, on=on) if name else None
        cells.append(Cell(number.value if number else None))
    return cells


def _best(cells: Sequence[Cell], choose: Callable[..., float | None]) -> list[Cell]:
    """The best in bold, of all but the first, which is the input."""
    known = [cell.value for cell in cells[1:] if cell.value is not None]
    best = choose(known, default=None)
    return [cells[0], *(replace(c, best=best is not None and c.value == best) for c in cells[1:])]


def _not_worse(
    of: Estimates, runs: Sequence[Run | None], means: Sequence[Cell], score: str, task: str
) -> list[bool]:
    """Which are the best or cannot be told from it; the input never is."""
    there = [i for i, cell in enumerate(means) if i and cell.value is not None]
    if not there:
        return [False] * len(means)
    best = max(there, key=lambda i: means[i].value or -math.inf)
    told = of.told([runs[i] for i in there], score, task, "test")[there.index(best)]  # type: ignore[misc]
    alike = {i for i, apart in zip(there, told, strict=True) if not apart}
    return [i in alike for i in range(len(means))]


def _closed(cells: Sequence[Cell]) -> list[Cell]:
    """Percent of the way from the first, the input, to the last, clean images."""
    before, floor = cells[0].value, cells[-1].value
    if before is None or floor is None or before <= floor:
        return [Cell() for _ in cells]
    share = [
        None if c.value is None else 100 * (before - c.value) / (before - floor) for c in cells
    ]
    return [Cell(), *(Cell(x) for x in share[1:-1]), Cell()]


def _two_figures(cells: Sequence[Cell]) -> int:
    """Decimals that leave two figures of the smallest number."""
    least = min((c.value for c in cells if c.value), default=1.0)
    return int(np.clip(1 - math.floor(math.log10(least)), 0, 6))
