"""The tables of Kolev, Rodani et al., ours beside theirs, by their numbers.

What they call a model is found from its method and parameters, not from its name, so that no other
model stands beside their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import columns, published
from .columns import FINER, RESTORE, SCORES, TASKS, Filled, Row
from .estimates import CHOSEN_BY, Estimates, Run
from .faults import Faults
from .orderings import Pair, orderings
from .results import SPEED
from .typeset import Cell, Column, Table

_SURE = (
    "With each number its 95 % interval, of a bootstrap over images; gains are over the degraded "
    "input, image by image."
)
_BOLD = (
    "Bold: the best, and what cannot be told from it (95 % for all pairs at once); of the "
    "published, the best printed."
)
_CHOSEN = f"Steps are those with the highest {SCORES[CHOSEN_BY][0]} on the synthetic test set."
_BOTH = ("KID", "CMMD")
_TOO_MANY = 6


def tables(of: Estimates) -> list[Table]:
    """All for which there is something, in the order of the paper, then those it does not have."""
    found = (
        _isolated(of, "II", RESTORE),
        _fidelity(of, "III", RESTORE, best=True),
        _distances(of, "IV", ["restore"], _BOTH, best=True),
        _isolated(of, "V", FINER),
        _fidelity(of, "VI", FINER, best=True),
        _distances(of, "VII", ["x2", "x4"], _BOTH, best=True),
        _fidelity(of, "IX", RESTORE),
        _distances(of, "X", ["restore"], _BOTH),
        _fidelity(of, "XI", FINER),
        _distances(of, "XII", ["x2", "x4"], _BOTH[:1]),
        _distances(of, "XIII", ["x2", "x4"], _BOTH[1:]),
        _timing(of),
        _distances(of, "", list(TASKS), ["CMMD-kolev"]),
        _distances(of, "", list(TASKS), _BOTH, "test"),
        _further(of),
        _faults(of),
        _orderings(of),
    )
    return [table for table in found if table is not None]


def title(run: Run) -> str:
    """A run in words: "fm-small, 2 steps"."""
    name, steps = run
    return name if steps is None else f"{name}, {steps} step{'s' * (steps != 1)}"


def _fidelity(
    of: Estimates, number: str, scores: Sequence[tuple[str, str]], best: bool = False
) -> Table | None:
    tasks = list(dict.fromkeys(task for task, _ in scores))
    rows = columns.rows(of, tasks, "test", best)
    filled = [part for t, s in scores for part in columns.fidelity(of, rows, t, s)] if rows else []
    which = "each model at its best number of steps" if best else "every number of steps"
    notes = (_counted(filled), _SURE, _BOLD, *([_CHOSEN] if best else []))
    caption = f"{_doing(tasks)} of the synthetic test set, {which}"
    return _table(number, caption, columns.leading(of, rows), filled, notes)


def _isolated(of: Estimates, number: str, scores: Sequence[tuple[str, str]]) -> Table | None:
    tasks = list(dict.fromkeys(task for task, _ in scores))
    kinds = [k for k in published.KINDS if any(k in of.kinds(task) for task in tasks)]
    kinds += sorted({k for task in tasks for k in of.kinds(task)} - set(kinds))
    runs = {task: of.generative(task) for task in tasks}
    names = [published.KINDS.get(kind, kind) for kind in kinds]
    filled = [p for t, s in scores for p in columns.isolated(of, kinds, runs[t], t, s)]
    steps: dict[str, list[str]] = {}
    for name, n in dict.fromkeys(run for of_task in runs.values() for run in of_task):
        steps.setdefault(name, []).append(str(n))
    averaged = "; ".join(f"{name}, {', '.join(n)} steps" for name, n in steps.items())
    notes = (f"Mean of {averaged or 'no models'}.", _counted(filled), _SURE)
    caption = f"{_doing(tasks)} of one kind of damage alone, mean of the generative models"
    return _table(number, caption, [(Column("damage"), [*names])], filled, notes)


def _distances(
    of: Estimates,
    number: str,
    tasks: Sequence[str],
    kinds: Sequence[str],
    on: str = "real",
    best: bool = False,
) -> Table | None:
    tasks = [task for task in tasks if of.runs([task], on)]
    rows = columns.rows(of, tasks, on, best)
    runs = [(task, run) for row in rows for task, run in row.runs.items()]
    names = dict.fromkeys(name for task, run in runs for name in of.distances(run, task, on))
    names = [name for name in names if name.partition("[")[0] in kinds]
    rows += [Row({}, best)] * bool(rows)
    filled = [p for name in names for t in tasks for p in columns.distances(of, rows, t, on, name)]
    embedder = of.results.provenance.embedder or {}
    which = "each model at its best number of steps" if best else "every number of steps"
    notes = (
        _counted(filled),
        "Images restored from one half of the pairs are compared with clean ones of the other half."
        * (on == "test"),
        "With each number its 95 % interval, of a bootstrap; of the last row, over random splits "
        "of the clean images."
        + best
        * " Closed: of the way from the degraded to the clean images.",
        f"Here the features are those of {embedder.get('name', 'no embedder')} "
        f"(SHA-256 {str(embedder.get('sha256', 'unknown'))[:12]}); the published are those of "
        "InceptionV3 and CLIP. Scores of different embedders cannot be compared, only orders.",
        *([_CHOSEN] if best else []),
    )
    images = "real scans" if on == "real" else "the synthetic test sets"
    caption = f"{_doing(tasks)} of {images}: how far they then are from clean ones, {which}"
    name = "" if number else f"{'-'.join(kinds)}-{on}".lower()
    return _table(number, caption, columns.leading(of, rows), filled, notes, name)


def _timing(of: Estimates) -> Table | None:
    task = next((task for task in TASKS if of.runs([task], SPEED)), "restore")
    rows = [Row({task: run}) for run in of.runs([task], SPEED)]
    timings = [part.timing for part in of.results.parts if part.timing]
    machines = dict.fromkeys(f"{t.machine}, {t.device}, {t.threads} threads" for t in timings)
    filled = columns.seconds(of, rows, task) if rows else []
    notes = (f"Here: {'; '.join(machines)}; the least of several times.",)
    caption = "Time for one image of 128 × 128 pixels"
    return _table("XIV", caption, columns.leading(of, rows), filled, notes)


def _further(of: Estimates) -> Table | None:
    """Scores that the paper does not give."""
    rows, filled = _means(of, ("psnr_fitted_dB", "ssim_global", "detail_dB"))
    notes = (
        _counted(filled),
        "PSNR, fitted: after the gain and offset that bring each image nearest to its clean one, "
        "for the range that an image is brought to [-1, 1] by hangs on its extremes.",
        "Fine detail: power at spatial frequencies beyond a quarter of a cycle a pixel, relative "
        "to the clean image's; below 0 dB is blurred, above is noisy.",
    )
    caption = "Further scores on the synthetic test sets"
    return _table("", caption, columns.leading(of, rows), filled, notes, "further")


def _faults(of: Estimates) -> Table | None:
    """Defects made up and wiped out, beside how near images are to the clean ones."""
    finder = of.results.provenance.finder
    if finder is None:
        return None
    rows, filled = _means(of, ("psnr_dB", "ssim", *Faults._fields))
    name = finder["name"]
    name += f" (SHA-256 {finder['sha256'][:12]})" if "sha256" in finder else ""
    notes = (
        _counted(filled),
        _SURE,
        f"Defects are those that {name} finds: hallucinated in the restored image and not in the "
        "clean one, omitted the other way; paired as an audit pairs them.",
    )
    caption = "Defects that are not those of the clean image, synthetic test set"
    return _table("", caption, columns.leading(of, rows), filled, notes, "defects")


def _means(of: Estimates, scores: Sequence[str]) -> tuple[list[Row], list[Filled]]:
    """Every run on the synthetic test set, and the means of some scores for each task."""
    tasks = [task for task in TASKS if of.runs([task], "test")]
    rows = columns.rows(of, tasks, "test", best=False) if tasks else []
    filled: list[Filled] = []
    for task in tasks:
        for score in scores:
            head = Column(SCORES[score][0], f"task {task}", SCORES[score][1])
            runs = [row.runs.get(task) for row in rows]
            cells = [of.mean([run], score, task, "test") if run else Cell() for run in runs]
            filled.append((head, [*cells]))
    return rows, filled


def _orderings(of: Estimates) -> Table | None:
    found = orderings(of)
    counts = [
        [Cell(float(len(pairs))) for pairs in (o.same, o.opposite, o.open)] for o in found.values()
    ]
    heads = ("as published", "the other way", "not told apart")
    filled: list[Filled] = [
        (Column("Kendall's τ", decimals=2), [Cell(o.tau) for o in found.values()]),
        *(
            (Column(head, "pairs", 0), [of_row[i] for of_row in counts])
            for i, head in enumerate(heads)
        ),
    ]
    notes = tuple(
        f"The other way, {label}: {_pairs(o.opposite)}." for label, o in found.items() if o.opposite
    )
    told = (
        "Pairs are told apart by a bootstrap over images, at 95 % for all pairs of a row at once."
    )
    caption = "Whether ours stand in the published order"
    return _table("", caption, [(Column("of"), [*found])], filled, (told, *notes), "orderings")


def _table(
    number: str,
    caption: str,
    leading: Sequence[Filled],
    filled: Sequence[Filled],
    notes: Sequence[str],
    name: str = "",
) -> Table | None:
    """Of columns; None without numbers."""
    parts = [*leading, *filled]
    if not any(isinstance(c, Cell) and c.value is not None for _, cells in filled for c in cells):
        return None
    heads, cells = zip(*parts, strict=True)
    if number:
        caption = f"As Table {number}: {caption[0].lower()}{caption[1:]}"
        notes = (*notes, f"Published, Table {number}: {published.CONDITIONS[number]}.")
    rows = tuple(zip(*cells, strict=True))
    return Table(name or f"table-{number}", caption, heads, rows, tuple(n for n in notes if n))


def _counted(filled: Sequence[Filled]) -> str:
    counts = {c.n for _, cells in filled for c in cells if isinstance(c, Cell) and c.n is not None}
    if not counts:
        return ""
    least, most = min(counts), max(counts)
    if least == most:
        return f"Each number here is of {most:,} images."
    return (
        f"Numbers here are of {least:,} to {most:,} images; those that are not finite are left out."
    )


def _doing(tasks: Sequence[str]) -> str:
    doing = {"restore": "Restoration", "x2": "super-resolution", "x4": "super-resolution"}
    words = " and ".join(dict.fromkeys(doing[task] for task in tasks))
    return words[:1].upper() + words[1:]


def _pairs(pairs: Sequence[Pair]) -> str:
    shown = [f"{better} above {worse}" for better, worse in pairs[:_TOO_MANY]]
    more = len(pairs) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")
