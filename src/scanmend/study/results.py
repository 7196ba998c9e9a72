"""What raters said, in numbers: mean rating, mean rank, share of firsts, and how sure each is.

Raters and items are both samples: of people who know such scans, and of scans. So both are drawn
anew, with replacement and independently of each other, in every bootstrap sample; an annotation
counts as often as its rater and its item were drawn, together. (Owen's pigeonhole bootstrap: a
little wide where raters or items differ little.) For the agreement only items are drawn anew: a
rater who is drawn twice agrees with himself.

References:
    Owen, Ann. Appl. Stat. 1, 386 (2007)
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .agreement import alpha, coincidences
from .store import BEST, Store

Export = Literal["results.csv", "answers.csv", "results.json"]
"""The table; every answer; both, with what the study is about."""

_SAMPLES, _SHARES = 2000, (2.5, 97.5)
_MEASURES = ("rating", "rank", "first", "last")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its 95 % interval; NaN where there is too little to tell."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """What was said of one method.

    Attributes:
        method: Its name.
        rating: Mean, 1 to 5: higher is better.
        rank: Mean, from 1: lower is better.
        first: Share of annotations in which it was ranked first.
        last: Share in which it was ranked last.
        preferred: For each method of the study, the share of annotations in which this one was
            ranked before it; NaN for itself.
        places: How often it stood at each place.
    """

    method: str
    rating: Estimate
    rank: Estimate
    first: Estimate
    last: Estimate
    preferred: tuple[Estimate, ...]
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """The outcome of a study, so far.

    Attributes:
        title: Of the study.
        methods: As the study has them, which is how `preferred` is ordered.
        annotations: Items that raters completed: one rater and one item each.
        raters: Who completed any.
        items: That anybody completed.
        lines: One for each method, the best rank first.
        ratings_alpha: Krippendorff's alpha of the ratings, as ordered values.
        ranks_alpha: The same of the ranks.
        resampled: What the intervals of `lines` were drawn from.
    """

    title: str
    methods: tuple[str, ...]
    annotations: int
    raters: int
    items: int
    lines: tuple[Line, ...]
    ratings_alpha: Estimate
    ranks_alpha: Estimate
    resampled: str


def results(store: Store, seed: int = 0) -> Results:
    """The outcome of a study, of its complete annotations; `seed` decides the samples."""
    answers = store.answers()
    methods = len(store.methods)
    raters, items = (sorted({answer[i] for answer in answers}) for i in (0, 1))
    said = np.zeros((2, len(raters), len(items), methods), np.int64)  # ratings, ranks; 0 is none
    places = np.zeros((methods, methods), np.int64)
    shown = {rater: store.design.places(rater) for rater in raters}
    for rater, item, method, rating, rank, _ in answers:
        said[:, raters.index(rater), items.index(item), method] = rating, rank
        places[method, shown[rater][item].index(method)] += 1
    rng = np.random.default_rng(seed)
    means = _means(said, rng)
    alphas = [
        _agreement(values, levels, rng)
        for values, levels in zip(said, (BEST, methods), strict=True)
    ]
    lines = [
        Line(
            name,
            *(means[methods * k + m] for k in range(len(_MEASURES))),
            preferred=tuple(means[methods * (len(_MEASURES) + m) :][:methods]),
            places=tuple(places[m].tolist()),
        )
        for m, name in enumerate(store.methods)
    ]
    lines.sort(key=lambda line: (math.isnan(line.rank.value), line.rank.value))
    kinds = ["raters"] * (len(raters) > 1) + ["scans"] * (len(items) > 1)
    return Results(
        store.about.title,
        store.methods,
        len(answers) // methods,
        len(raters),
        len(items),
        tuple(lines),
        *alphas,
        resampled=" and ".join(kinds) or "nothing",
    )


def _means(said: NDArray[np.int64], rng: np.random.Generator) -> list[Estimate]:
    """Mean of each measure of each method, then of what was ranked before what."""
    ratings, ranks = said
    _, raters, items, methods = said.shape
    before = ranks[..., :, None] < ranks[..., None, :]
    before = np.where(np.eye(methods, dtype=bool), np.nan, before)
    before = before.reshape(raters, items, methods**2)
    values = [ratings, ranks, ranks == 1, ranks == methods, before]
    known = (ranks > 0).all(axis=-1)
    cells = np.where(known[..., None], np.concatenate(values, axis=-1), 0.0)
    cells = np.concatenate([cells, known[..., None]], axis=-1)

    def mean(of_raters: NDArray[np.floating], of_items: NDArray[np.floating]) -> NDArray[Any]:
        """Shape (samples, values); NaN of a sample that holds no annotation."""
        total = np.einsum("br,rik,bi->bk", of_raters, cells, of_items, optimize=True)
        with np.errstate(invalid="ignore"):
            return total[:, :-1] / total[:, -1:]

    return _estimates(mean, raters, items, rng)


def _agreement(values: NDArray[np.int64], levels: int, rng: np.random.Generator) -> Estimate:
    raters, items, methods = values.shape
    pairs = coincidences(values.reshape(raters, items * methods), levels)
    pairs = pairs.reshape(items, methods, levels**2).sum(axis=1)

    def of(_: object, drawn: NDArray[np.floating]) -> NDArray[Any]:
        return np.array([[alpha(table)] for table in (drawn @ pairs).reshape(-1, levels, levels)])

    return _estimates(of, 1, items, rng)[0]


def _estimates(
    statistic: Callable[[Any, Any], NDArray[Any]], raters: int, items: int, rng: np.random.Generator
) -> list[Estimate]:
    """Of all there is, and of 95 % of the bootstrap samples.

    Args:
        statistic: Takes how often each rater and each item counts, shapes (samples, raters) and
            (samples, items); gives (samples, values).
        raters: How many.
        items: How many.
        rng: Draws the samples.
    """
    value = statistic(np.ones((1, raters)), np.ones((1, items)))[0]
    if raters * items < 2:
        return [Estimate(float(v), math.nan, math.nan) for v in value]
    drawn = (rng.multinomial(n, np.full(n, 1 / n), _SAMPLES).astype(float) for n in (raters, items))
    samples = statistic(*drawn)
    estimates = []
    for v, column in zip(value, samples.T, strict=True):
        known = column[np.isfinite(column)]
        ends = np.percentile(known, _SHARES) if known.size else (math.nan, math.nan)
        estimates.append(Estimate(float(v), float(ends[0]), float(ends[1])))
    return estimates


def plain(found: Results) -> dict[str, Any]:
    """JSON values; what is not known is None."""

    def known(value: Any) -> Any:
        match value:
            case dict():
                return {key: known(item) for key, item in value.items()}
            case list() | tuple():
                return [known(item) for item in value]
            case float() if not math.isfinite(value):
                return None
        return value

    return known(asdict(found))


def answers(store: Store) -> list[dict[str, Any]]:
    """Every mark of every complete annotation: who, what, where it stood, and when. No names."""
    raters = {rater.number for rater in store.raters()}
    places = {rater: store.design.places(rater) for rater in raters}
    orders = {rater: store.design.order(rater) for rater in raters}
    return [
        {
            "rater": rater + 1,
            "scan": store.items[item][0],
            "method": store.methods[method],
            "rating": rating,
            "rank": rank,
            "position": orders[rater].index(item) + 1,
            "place": places[rater][item].index(method) + 1,
            "at": at,
        }
        for rater, item, method, rating, rank, at in store.answers()
    ]


def table(found: Results) -> list[dict[str, Any]]:
    """The paper's table with intervals, one row a method, as flat columns."""
    rows = []
    for line in found.lines:
        row: dict[str, Any] = {"method": line.method}
        for measure in _MEASURES:
            estimate: Estimate = getattr(line, measure)
            row |= {
                measure: estimate.value,
                f"{measure}_low": estimate.low,
                f"{measure}_high": estimate.high,
            }
        rows.append(row | {"annotations": found.annotations})
    return rows


def exported(store: Store, what: Export) -> str:
    """The text of a file of results."""
    if what == "answers.csv":
        return as_csv(answers(store))
    found = results(store)
    if what == "results.csv":
        return as_csv(table(found))
    whole = {"study": asdict(store.about), "results": plain(found), "answers": answers(store)}
    return json.dumps(whole, indent=2, allow_nan=False)


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as CSV with a head; what is not known is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0] if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:  # NaN alone differs from itself
        writer.writerow({key: value if value == value else "" for key, value in row.items()})
    return text.getvalue()


def as_text(found: Results) -> str:
    """The table, as it is read by people."""
    head = ("method", "rating (1-5)", "rank", "first %", "last %")
    body = [
        (
            line.method,
            _said(line.rating),
            _said(line.rank),
            _said(line.first, 100, 1),
            _said(line.last, 100, 1),
        )
        for line in found.lines
    ]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    rows = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in (head, *body)
    ]
    return "\n".join(
        [
            f"{found.title}: annotations {found.annotations}, raters {found.raters}, "
            f"scans {found.items}",
            *(row.rstrip() for row in rows),
            f"95 % intervals, of bootstrap samples of {found.resampled}",
            f"agreement (Krippendorff's alpha): ratings {_said(found.ratings_alpha)}, "
            f"ranks {_said(found.ranks_alpha)}; intervals of samples of scans",
        ]
    )


def _said(estimate: Estimate, scale: float = 1, digits: int = 2) -> str:
    if math.isnan(estimate.value):
        return "-"
    value, low, high = (f"{scale * v:.{digits}f}" for v in asdict(estimate).values())
    return value if math.isnan(estimate.low) else f"{value} [{low}, {high}]"
