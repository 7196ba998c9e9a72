"""What was found, as tables, JSON, NetCDF, a figure and a summary."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..io.write import table, whole
from ..scan import Scan
from .audit import ADDED, REMOVED, Audit
from .peaks import Found
from .statistics import Rate, area_nm2, pair_correlation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("class", "x_nm", "y_nm", "row", "column", "score", "edge")
FEATURES = (
    *("fate", "class", "class_before", "x_nm", "y_nm", "distance_nm", "score", "score_before"),
    "counted",
)
NAME = "scanmend defects"
_EDGE = "at the edge"


def summary(found: Found, seed: int = 0) -> dict[str, Any]:
    """Counts, densities and the pair correlation of all, in plain JSON values.

    Args:
        found: The defects.
        seed: Of the random scatterings that the pair correlation is compared with.
    """
    maps, defects, area = found.maps, found.defects, area_nm2(found.maps.scan)
    pairs = None
    if len(defects) > 1:
        of = pair_correlation(defects.places_nm, maps.scan, np.random.default_rng(seed))
        curves = {"r_nm": of.r_nm, "g": of.g, "low": of.low, "high": of.high}
        pairs = {key: [round(v, 4) for v in values.tolist()] for key, values in curves.items()}
    return {
        "scanmend": __version__,
        "source": maps.scan.acquisition.source,
        "source_sha256": maps.scan.acquisition.source_sha256,
        "history": list(maps.scan.history),
        **maps.made,
        "threshold": found.threshold,
        "score_unit": maps.unit,
        "defects": len(defects),
        "edge": int(defects.edge.sum()),
        "area_nm2": round(area, 3),
        "classes": {kind: _rounded(Rate.of(n, area)) for kind, n in found.counts().items()},
        "pair_correlation": pairs,
    }


def listed(found: Found) -> list[dict[str, Any]]:
    """Every defect, the surest first, in plain JSON values by the names of COLUMNS."""
    defects = found.defects
    numbers = np.column_stack((defects.places_nm, defects.places_px, defects.scores)).round(4)
    rows = zip(defects.kinds, numbers.tolist(), defects.edge.tolist(), strict=True)
    return [dict(zip(COLUMNS, (kind, *of, edge), strict=True)) for kind, of, edge in rows]


def write_table(found: Found, path: Path, *, overwrite: bool = False) -> None:
    """The defects as CSV, whole or not at all.

    Raises:
        WriteError: The file exists and `overwrite` is off, or cannot be written.
    """
    rows = ([*list(of.values())[:-1], int(of["edge"])] for of in listed(found))
    table(path, COLUMNS, rows, overwrite=overwrite)


def write_json(found: Found, told: dict[str, Any], path: Path, *, overwrite: bool = False) -> None:
    """The defects, and `told` of them (see `summary`), as JSON. Raises as `write_table` does."""
    with whole(path, overwrite=overwrite) as unfinished:
        text = json.dumps(told | {"places": listed(found)}, indent=2, allow_nan=False)
        unfinished.write_text(text + "\n", encoding="utf-8")


def write_netcdf(
    found: Found, told: dict[str, Any], path: Path, *, overwrite: bool = False
) -> None:
    """The defects as NetCDF4, over a dimension `defect`; `told` is JSON in its attribute.

    The variable `class` counts from 0 in the list of its attribute `classes`, JSON as well. Raises
    as `write_table` does.
    """
    import h5netcdf

    defects, classes = found.defects, found.maps.classes
    (x, y), (row, column) = defects.places_nm.T, defects.places_px.T
    variables = {"x_nm": x, "y_nm": y, "row": row, "column": column, "score": defects.scores}
    variables |= {"edge": defects.edge.astype(np.int8)}
    variables |= {"class": np.array([classes.index(kind) for kind in defects.kinds], np.int16)}
    with io.BytesIO() as memory:
        with h5netcdf.File(memory, "w") as file:
            file.attrs["title"], file.attrs["summary"] = NAME, json.dumps(told)
            file.dimensions["defect"] = len(defects)
            for name, values in variables.items():
                file.create_variable(name, ("defect",), data=np.ascontiguousarray(values))
            file.variables["class"].attrs["classes"] = json.dumps(classes)
        drawn = memory.getvalue()
    with whole(path, overwrite=overwrite) as unfinished:
        unfinished.write_bytes(drawn)


def write_audit(audit: Audit, path: Path, *, overwrite: bool = False) -> None:
    """What became of every defect as CSV. Raises as `write_table` does."""
    rows = (
        ["" if v is None else round(v, 4) if isinstance(v, float) else v for v in _plain(feature)]
        for feature in map(asdict, audit.features)
    )
    table(path, FEATURES, rows, overwrite=overwrite)


def figure(found: Found) -> Figure:
    """The scan, and beside it the same with a ring around every defect."""
    from ..figures import beside  # which loads Matplotlib

    scan, defects = found.maps.scan, found.defects
    kinds = [
        _EDGE if edge else kind for kind, edge in zip(defects.kinds, defects.edge, strict=True)
    ]
    marks = [(kind, *place) for kind, place in zip(kinds, defects.places_px.tolist(), strict=True)]
    return beside({"scan": scan, "defects": scan}, {"defects": marks}, panel_in=6.0)


def audit_figure(audit: Audit, scan: Scan, before: Scan | None) -> Figure:
    """What became of defects, each where it was: in the scan, and in what it is compared with."""
    from ..figures import beside  # which loads Matplotlib

    def marks(of: Scan, but: Sequence[str]) -> list[tuple[str, float, float]]:
        middle = (np.array(of.values.shape) - 1) / 2
        return [
            (f.fate, *(np.array((f.y_nm, f.x_nm)) / of.pixel_nm + middle).tolist())
            for f in audit.features
            if f.fate not in but
        ]

    if before is None:
        panels = {"scan": scan, "beside the truth": scan}
        return beside(panels, {"beside the truth": marks(scan, ())}, panel_in=6.0)
    panels = {"measured": before, "restored": scan}
    shown = {"measured": marks(before, (ADDED,)), "restored": marks(scan, (REMOVED,))}
    return beside(panels, shown, panel_in=6.0)


def _plain(feature: dict[str, Any]) -> list[Any]:
    *values, counted = feature.values()
    return [*values, int(counted)]


def _rounded(rate: Rate) -> dict[str, float | int]:
    return {key: v if key == "count" else float(f"{v:.4g}") for key, v in asdict(rate).items()}
