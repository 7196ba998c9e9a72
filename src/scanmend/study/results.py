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

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .agreement import alpha, coincidences
from .records import BEST
from .store import Store

_SAMPLES, _SHARES = 2000, (2.5, 97.5)
MEASURES = ("rating", "rank", "first", "last")
"""What is said of a method: fields of `Line`."""


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
    raters = sorted({rater for rater, *_ in answers})
    items = sorted({item for _, item, *_ in answers})
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
            *(means[methods * k + m] for k in range(len(MEASURES))),
            preferred=tuple(means[methods * (len(MEASURES) + m) :][:methods]),
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
        return alpha((drawn @ pairs).reshape(-1, levels, levels))[:, None]

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
