"""Results as JSON, as CSV, and as people read them. Nothing here tells a rater's name."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from ..io import provenance
from .results import MEASURES, Estimate, Results, results
from .store import Store

Export = Literal["results.csv", "answers.csv", "results.json"]
"""The table; every answer; both, with what the study is about."""


def plain(found: Results) -> dict[str, Any]:
    """JSON values; what is not known is None."""
    return provenance.plain(asdict(found))


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
        for measure in MEASURES:
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
