"""What was found, as tables, a figure and a summary."""

from __future__ import annotations

import math
import string
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..io.write import table
from ..scan import Scan
from .columns import APART_NM, Found, find
from .lattice import Grain, grains
from .vacancies import Map, vacancies

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (
    *("x_nm", "y_nm", "row", "column", "error_nm", "height", "height_error", "width_nm"),
    *("background", "cut", "grain", "sublattice"),
)
SITES = ("kind", "x_nm", "y_nm", "row", "column", "grain", "sublattice", "share", "score")
_FWHM = math.sqrt(8 * math.log(2))


@dataclass(frozen=True, slots=True, eq=False)
class Atoms:
    """All about the columns of a scan.

    Attributes:
        found: The columns, their fit, and the scan.
        grains: Their lattices, the largest first.
        sites: What is missing, weak or strong there.
    """

    found: Found
    grains: tuple[Grain, ...]
    sites: Map

    def labels(self) -> tuple[list[int | None], list[str]]:
        """Of each column, its grain and its sublattice: "A" is the brightest, "" is none."""
        grain_of: list[int | None] = [None] * len(self.found.columns)
        letters = [""] * len(self.found.columns)
        for number, grain in enumerate(self.grains):
            for (_, _, kind), index in grain.sites.items():
                grain_of[index], letters[index] = number, letter(kind)
        return grain_of, letters

    def summary(self) -> dict[str, Any]:
        """Counts, lattices, and the median error and width, in plain JSON values."""
        columns, whole_ones = self.found.columns, ~self.found.columns.cut
        fwhm = float(np.median(columns.widths_nm)) * _FWHM if len(columns) else None
        surest = columns.errors_nm[whole_ones]
        return {
            "columns": len(columns),
            "cut": int(columns.cut.sum()),
            "fwhm_nm": fwhm and round(fwhm, 4),
            "error_pm": round(1e3 * float(np.median(surest)), 2) if len(surest) else None,
            "grains": [_described(grain) for grain in self.grains],
            "sites": dict(Counter(odd.kind for odd in self.sites.odd)),
            "judged": self.sites.judged,
            "unsure": self.sites.unsure,
        }


def letter(kind: int) -> str:
    """The name of a sublattice, from "A", the brightest."""
    return string.ascii_uppercase[kind]


def atoms(scan: Scan, apart_nm: float = APART_NM, measured: Scan | None = None) -> Atoms:
    """Columns, lattices and vacancies of a scan; see `columns.find`.

    Raises:
        ScanError: Pixels too coarse to tell columns, or a scan without structure.
    """
    found = find(scan, apart_nm, measured)
    lattices = grains(found.columns)
    return Atoms(found, lattices, vacancies(found, lattices))


def write_columns(of: Atoms, path: Path, *, overwrite: bool = False) -> None:
    """The columns as a table, whole or not at all; `width_nm` is the full width at half maximum.

    Raises:
        WriteError: The file exists and `overwrite` is off, or cannot be written.
    """
    columns = of.found.columns
    numbers = np.column_stack(
        (
            *(columns.places_nm, columns.places_px, columns.errors_nm, columns.heights),
            *(columns.height_errors, _FWHM * columns.widths_nm, columns.backgrounds),
        )
    )
    told = zip(numbers.tolist(), columns.cut.tolist(), *of.labels(), strict=True)
    rows = (
        (*(f"{n:.6g}" for n in line), int(cut), "" if grain is None else grain, name)
        for line, cut, grain, name in told
    )
    table(path, COLUMNS, rows, overwrite=overwrite)


def write_sites(of: Atoms, path: Path, *, overwrite: bool = False) -> None:
    """The sites that are not as they should be as a table, the surest first.

    Raises:
        WriteError: The file exists and `overwrite` is off, or cannot be written.
    """
    surest = sorted(of.sites.odd, key=lambda odd: -odd.score)
    rows = (
        (
            *(odd.kind, *(f"{n:.6g}" for n in (odd.x_nm, odd.y_nm, odd.row, odd.column))),
            *(odd.grain, letter(odd.sublattice), odd.share, odd.score),
        )
        for odd in surest
    )
    table(path, SITES, rows, overwrite=overwrite)


def figure(of: Atoms) -> Figure:
    """The scan, and on it every column in its sublattice's colour, and every odd site."""
    from ..figures import beside  # which loads Matplotlib

    scan, columns = of.found.scan, of.found.columns
    names = [f"{name or 'no'} site" for name in of.labels()[1]]
    places = columns.places_px.tolist()
    seen = [(name, row, column) for name, (row, column) in zip(names, places, strict=True)]
    odd = [(site.kind, site.row, site.column) for site in of.sites.odd]
    panels = {"measured": scan, "columns": scan, "missing, weak, strong": scan}
    marks = {"columns": seen, "missing, weak, strong": odd}
    return beside(panels, marks, panel_in=6.0, ring_nm={"columns": 0.12})


def _described(grain: Grain) -> dict[str, Any]:
    filled = Counter(kind for *_, kind in grain.sites)
    return {
        "columns": len(grain.sites),
        "a_nm": [round(length, 5) for length in grain.lengths_nm],
        "angle_deg": round(grain.angle_deg, 2),
        "sublattices": {
            letter(kind): {"columns": filled[kind], "height": float(f"{height:.4g}")}
            for kind, height in enumerate(grain.heights.tolist())
        },
    }
