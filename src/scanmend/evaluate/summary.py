"""What an evaluation found, in sentences: nothing that its numbers do not show."""

from __future__ import annotations

from . import published
from .columns import SCORES, TASKS, score_name
from .estimates import CHOSEN_BY, INPUT, Estimates, Run
from .orderings import orderings
from .results import SPEED
from .tables import title
from .typeset import Cell, Column, Table

DOING = {"restore": "Restoration", "x2": "Super-resolution ×2", "x4": "Super-resolution ×4"}


def summary(of: Estimates) -> dict[str, list[str]]:
    """By headings: what was found for each task, then on the order of models and on time."""
    found = {
        DOING[task]: [*_best(of, task), *_hardest(of, task), *_near_clean(of, task)]
        for task in TASKS
    }
    found["Order and time"] = [*_order(of), *_time(of)]
    return {head: sentences for head, sentences in found.items() if sentences}


def number(cell: Cell, score: str, signed: bool = False) -> str:
    """ "0.929 (0.927 to 0.931)"."""
    table = Table("", "", (Column("", "", SCORES[score][1], signed),), ((cell,),))
    value, interval = table.words(0, 0)
    return f"{value} ({interval})" if interval else value


def _best(of: Estimates, task: str) -> list[str]:
    score = CHOSEN_BY
    runs = list(of.best(task).values())
    if not runs:
        return []
    means = {run: of.mean([run], score, task, "test") for run in runs}
    best = max(runs, key=lambda run: means[run].value or 0.0)
    told = of.told(runs, score, task, "test")[runs.index(best)]
    alike = [title(run) for run, apart in zip(runs, told, strict=True) if not apart and run != best]
    before, gain = of.mean([INPUT], score, task, "test"), of.gain([best], score, task, "test")
    label = score_name(task, score)
    images = f"{means[best].n or 0:,} images"
    text = f"Of {len(runs)} candidates, {title(best)} has the highest mean {label}, "
    text += f"{number(means[best], score)} on {images}"
    text += f"; it cannot be told from {_listed(alike)}." if alike else "."
    found = [text]
    theirs = published.find(score, published.DEGRADED, task=task)
    if before.value is not None and theirs:
        gains = [published.gain(score, model, task=task) or 0.0 for model in published.MODELS]
        found.append(
            f"The degraded input has {number(before, score)} here and "
            f"{theirs.value:.3f} in the paper, so that gains compare better than scores: "
            f"{title(best)} gains {number(gain, score, signed=True)}, "
            f"the best published model {max(gains):+.3f}."
        )
    own = {run: of.paper(run[0]) for run in runs if of.paper(run[0])}
    if own:
        ours = max(own, key=lambda run: means[run].value or 0.0)
        name, gain = own[ours], of.gain([ours], score, task, "test")
        printed = published.gain(score, name or "", task=task)
        if gain.value is not None and printed is not None and ours != best:
            found.append(
                f"Of the paper's models trained here, {title(ours)} is the best; "
                f"it gains {number(gain, score, signed=True)}, and as published {printed:+.3f}."
            )
    return found


def _hardest(of: Estimates, task: str) -> list[str]:
    kinds, runs = of.kinds(task), of.generative(task)
    means = {k: of.mean(runs, CHOSEN_BY, task, f"test-{k}") for k in kinds} if runs else {}
    known = {kind: cell for kind, cell in means.items() if cell.value is not None}
    if len(known) < 2:
        return []
    order = sorted(known, key=lambda kind: known[kind].value or 0.0)
    names = [published.KINDS.get(kind, kind) for kind in order]
    first, second = (known[kind] for kind in order[:2])
    clear = first.high is not None and second.low is not None and first.high < second.low
    theirs = {
        kind: n.value
        for kind in known
        if (n := published.find(CHOSEN_BY, published.GENERATIVE, task=task, on=f"test-{kind}"))
    }
    hardest = min(theirs, key=lambda kind: theirs[kind]) if theirs else None
    same = "as in the paper" if hardest == order[0] else "in the paper it is "
    same += "" if hardest == order[0] else published.KINDS.get(hardest or "", "another")
    if not clear:
        same = f"its interval overlaps that of {names[1]}; {same}"
    return [
        f"The kind of damage that is hardest to undo alone is {names[0]}, mean "
        f"{score_name(task, CHOSEN_BY)} {number(first, CHOSEN_BY)}; {same}."
    ]


def _near_clean(of: Estimates, task: str) -> list[str]:
    found = []
    names = dict.fromkeys(
        n for run in of.runs([task], "real") for n in of.distances(run, task, "real")
    )
    for name in names:
        if name.partition("[")[0] not in ("KID", "CMMD"):
            continue
        runs = of.runs([task], "real")
        there = {run: d for run in runs if (d := of.distances(run, task, "real").get(name))}
        before = of.distances(INPUT, task, "real").get(name)
        nearest = min(there, key=lambda run: there[run].value)
        best = there[nearest]
        clean = [title(run) for run, d in there.items() if d.low <= d.floor_high]
        text = f"Of {best.n} real scans, {title(nearest)} makes those with the lowest {name}, "
        text += f"{best.value:.4f} ({best.low:.4f} to {best.high:.4f})"
        text += f", where the degraded have {before.value:.4f}" if before else ""
        text += f" and clean scans among themselves {best.floor:.4f}. "
        text += (
            f"Not to be told from clean ones: {_listed(clean)}."
            if clean
            else "All can be told from clean ones."
        )
        found.append(text)
    return found


def _order(of: Estimates) -> list[str]:
    found = orderings(of)
    pairs = [
        sum(len(getattr(o, kind)) for o in found.values()) for kind in ("same", "opposite", "open")
    ]
    if not sum(pairs):
        return []
    return [
        f"Orders: of {sum(pairs)} pairs of models and of kinds of damage that the paper puts in an "
        f"order, over all scores, {pairs[0]} stand so here, {pairs[1]} the other way, and "
        f"{pairs[2]} cannot be told apart."
    ]


def _time(of: Estimates) -> list[str]:
    times: dict[Run, float] = {}
    for task in TASKS:
        for run in of.runs([task], SPEED):
            part = of.part(run, task, SPEED)
            if part and part.timing and part.timing.calls:
                times[run] = min(part.timing.seconds, times.get(run, float("inf")))
    if len(times) < 2:
        return []
    quick, slow = min(times, key=lambda r: times[r]), max(times, key=lambda r: times[r])
    return [
        f"Time: for 128 × 128 pixels, from {times[quick]:.2g} s ({title(quick)}) to "
        f"{times[slow]:.2g} s ({title(slow)}), on the machine of the table."
    ]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
