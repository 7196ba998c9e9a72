"""Defects that are known: of a simulated scan, or marked by a person, from a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ReadError, ScanError
from ..scan import Scan

Array = NDArray[np.float64]

_EXPECTED = (
    "expected a CSV with the columns class, x_nm and y_nm (from the frame's middle, y downwards), "
    "or class, row and column; or the NAME.json that `scanmend simulate` writes beside a scan"
)


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """What is there.

    Attributes:
        places_nm: (x, y) from the frame's middle, y downwards, nm; shape (n, 2).
        kinds: Class of each.
    """

    places_nm: Array
    kinds: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.kinds)


def read(path: Path | str, scan: Scan) -> Marks:
    """The known defects of a scan, from a table or from the JSON of a simulated scan.

    Of a simulated scan, they are where they appear in the trace, or in the retrace if `scan` is the
    backward one; those that its frame does not show are left out. The scan may have a whole number
    of times the lines of the one that was simulated, as an upscaled one has.

    Raises:
        ReadError: The file cannot be read, or is none of this kind.
        ScanError: It is of another scan, or marks a place outside of it.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        simulated = json.loads(text) if path.suffix.lower() == ".json" else None
        rows = list(csv.DictReader(text.splitlines())) if simulated is None else []
        return _seen(path, simulated, scan) if simulated is not None else _marked(path, rows, scan)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ReadError(f"{path} cannot be read: {reason}") from None
    except (KeyError, TypeError, ValueError, AttributeError, csv.Error):
        raise ReadError(f"{path} holds no marked defects: {_EXPECTED}") from None


def _marked(path: Path, rows: list[dict[str, Any]], scan: Scan) -> Marks:
    """Those of a table."""
    in_nm = bool(rows) and {"x_nm", "y_nm"} <= rows[0].keys()
    keys = ("x_nm", "y_nm") if in_nm else ("column", "row")
    places = np.array([[float(row[key]) for key in keys] for row in rows]).reshape(-1, 2)
    kinds = tuple(str(row["class"]).strip() for row in rows)
    if not in_nm:
        middle = (np.array(scan.values.shape) - 1) / 2
        places = (places - middle[::-1]) * scan.pixel_nm[::-1]
    if not np.isfinite(places).all() or not all(kinds):
        raise ValueError("neither a number nor a class")
    height, width = scan.size_nm
    outside = np.any(abs(places) > np.array((width, height)) / 2, axis=1)
    if outside.any():
        line = int(np.argmax(outside))
        x, y = places[line]
        raise ScanError(
            f"{path.name}, line {line + 2}: the {kinds[line]} at ({x:.3g}, {y:.3g}) nm from the "
            f"middle lies outside this scan of {width:.3g} x {height:.3g} nm: are they of another?"
        )
    return Marks(places, kinds)


def _seen(path: Path, about: dict[str, Any], scan: Scan) -> Marks:
    """Those of a simulated scan that its frame shows."""
    pixel_nm, frame = float(about["pixel_nm"]), about["parameters"]["frame"]
    shape = np.array((frame["rows"], frame["columns"]), float)
    size = shape * pixel_nm
    if np.any(abs(size - scan.size_nm) > pixel_nm):
        raise ScanError(
            f"{path.name} is of a scan of {size[1]:.3g} x {size[0]:.3g} nm, and this one has "
            f"{scan.size_nm[1]:.3g} x {scan.size_nm[0]:.3g} nm: it is of another"
        )
    way = "retrace" if scan.acquisition.direction == "backward" else "trace"
    # Of a scan in counts, which has one way only, each has its place itself.
    placed = [(d["kind"], d.get(way, (d.get("row"), d.get("column")))) for d in about["defects"]]
    seen = [(kind, place) for kind, place in placed if place is not None]
    return shown(seen, (frame["rows"], frame["columns"]), pixel_nm)


def shown(
    seen: Sequence[tuple[str, tuple[float, float]]], shape: tuple[int, int], pixel_nm: float
) -> Marks:
    """Those of the defects that a frame shows.

    Args:
        seen: The class of each, and its (row, column), of pixels' middles.
        shape: Rows and columns of the frame.
        pixel_nm: Its pitch, nm.
    """
    pixels = np.array([place for _, place in seen], float).reshape(-1, 2)
    inside = np.all((pixels > -0.5) & (pixels < np.subtract(shape, 0.5)), axis=1)
    places = ((pixels - np.subtract(shape, 1) / 2) * pixel_nm)[inside, ::-1]
    return Marks(
        places, tuple(kind for (kind, _), there in zip(seen, inside, strict=True) if there)
    )
