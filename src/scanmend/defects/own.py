"""A user's own scans with marked defects, to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import io
from ..errors import ReadError, RecipeError, UnknownFormat
from ..pairs.images import LEFT_OUT, content, read
from ..restoration import prepare
from ..scan import Quantity, Scan
from . import marks
from .samples import Scenes, Seen
from .targets import ONE
from .view import view

_TABLE = "_defects"  # the end of the name of a table that `scanmend defects` wrote
_PICTURES = (".png", ".jpg", ".jpeg")


def own(
    where: Path | str,
    scenes: Scenes,
    classes: Sequence[str],
    width_nm: float = 0.0,
    unit: str = "",
) -> list[tuple[Seen, str]]:
    """Scans with tables of what is in them, as a network is shown them.

    Beside `NAME.csv`, or `NAME_defects.csv` as `scanmend defects` writes it, lies the scan
    `NAME.sxm`, or of another format; the table has every defect of it, and may have none. Pixels
    that are finer or coarser than those of `scenes` are resampled, as they are when defects are
    found.

    Args:
        where: A folder, with the folders in it, or one table.
        scenes: What is learnt from besides: their pitches and the side of a sample are wanted.
        classes: Those that the network knows.
        width_nm, unit: Of the scans, where their files do not say them; 0 and "": they do.

    Returns:
        Each scan, and the hash of its values.

    Raises:
        ReadError: There are no tables, a table has no scan, or one of them cannot be read.
        RecipeError: A class is unknown; a scan is too small, holds no heights, or its pixels are
            far from those of `scenes`.
        ScanError: A place lies outside of its scan; a scan is flat.
    """
    return [_learnt(table, scenes, classes, width_nm, unit) for table in _tables(Path(where))]


def _tables(where: Path) -> list[Path]:
    if where.is_file():
        return [where]
    if not where.is_dir():
        raise ReadError(f"there is no folder or table {where}")
    tables = sorted(path for path in where.rglob("*.csv") if path.is_file())
    if not tables:
        raise ReadError(
            f"{where} holds no marked scans: beside each scan NAME.sxm lies a table NAME.csv with "
            "the columns class, x_nm and y_nm"
        )
    return tables


def _learnt(
    table: Path, scenes: Scenes, classes: Sequence[str], width_nm: float, unit: str
) -> tuple[Seen, str]:
    path = _scan_of(table)
    scan = read(path, {"size_nm": (None, width_nm) if width_nm else None, "unit": unit or None})
    known = marks.read(table, scan)
    _must_fit(path, scan, scenes)
    for line, kind in enumerate(known.kinds, 2):
        if kind not in classes and tuple(classes) != (ONE,):
            raise RecipeError(
                f"{table.name}, line {line}: {kind!r} is none of the classes "
                f"{', '.join(classes)}; to teach a new one: --new-class {kind!r}"
            )
    image = view(scan, prepare.pitch_within(scan.pixel_nm, scenes.pixel_nm))
    shape = np.array(image.shape[1:])
    height, width = pixel_nm = np.array(scan.size_nm) / shape
    if shape.min() < scenes.side:
        raise RecipeError(
            f"{path.name} has {shape[1]} x {shape[0]} pixels of {max(height, width):.3g} nm, as a "
            f"network is shown them; {scenes.side} x {scenes.side} are wanted: leave it out"
        )
    places_px = known.places_nm[:, ::-1] / pixel_nm + (shape - 1) / 2
    return Seen(image, (height, width), known.kinds, places_px), content(scan.values)


def _scan_of(table: Path) -> Path:
    """The scan that lies beside a table; a picture of it only where there is nothing else."""
    stem = table.stem.removesuffix(_TABLE)
    beside = [
        path
        for path in sorted(table.parent.iterdir())
        if path.stem == stem and path.suffix != ".csv" and not path.name.endswith(LEFT_OUT)
    ]
    scans = [path for path in beside if _is_scan(path)]
    scans = [path for path in scans if path.suffix.lower() not in _PICTURES] or scans
    if len(scans) != 1:
        found = " and ".join(path.name for path in scans) or "there is none"
        raise ReadError(f"beside {table.name} one scan {stem}.* is wanted, but {found}")
    return scans[0]


def _is_scan(path: Path) -> bool:
    try:
        io.open(path)
    except UnknownFormat:
        return False
    return True


def _must_fit(path: Path, scan: Scan, scenes: Scenes) -> None:
    if scan.quantity is not Quantity.HEIGHT:
        raise RecipeError(
            f"{path.name} holds {scan.quantity.value}; heights are wanted: leave it out"
        )
    low, high = scenes.pixel_nm
    for pitch in scan.pixel_nm:
        if not low / prepare.REACH <= pitch <= high * prepare.REACH:
            raise RecipeError(
                f"{path.name} has pixels of {pitch:.3g} nm, far outside the {low:.3g}-{high:.3g} "
                "nm that are learnt: leave it out, or put its size right"
            )
