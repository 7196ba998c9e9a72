"""Columns found against those that are there: how far off, how many missed and invented."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from ..errors import ReadError, ScanError
from ..places import best_pairs
from ..scan import Scan
from ..stem.scattering import elements
from .columns import APART_NM, Columns

Array = NDArray[np.float64]

RADIUS_NM = 0.07  #: [nm] half of the shortest bond, that of graphene
VACUUM_NM = 0.3  #: [nm] from any atom, beyond which there is vacuum
MARGIN_NM = 0.1  #: [nm] of the frame's edge, in which nothing is counted
_POWER = 1.64  # of the atomic number, by which an atom shines (Krivanek et al.)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How columns agree with the truth.

    Attributes:
        true, found: How many there are, but at the frame's edge.
        missed: Of the true ones, how many nothing was found for.
        invented: Of those found, how many nothing is there for ...
        in_vacuum: ... and how many of these are in vacuum, far from any atom.
        vacuum_nm2: How much vacuum is in the frame, nm2.
        rms_pm, median_pm: Of the distance of a pair, pm; None without any.
        shift_pm: (x, y) by which columns found lie beyond the true ones on average, pm, which is
            not taken off.
    """

    true: int
    found: int
    missed: int
    invented: int
    in_vacuum: int
    vacuum_nm2: float
    rms_pm: float | None
    median_pm: float | None
    shift_pm: tuple[float, float] | None


def merged(places_nm: Array, symbols: NDArray[np.str_], apart_nm: float = APART_NM) -> Array:
    """Columns of atoms: those that are nearer than `apart_nm` in projection are one.

    It lies where they shine on average, each with the power 1.64 of its atomic number.

    Args:
        places_nm: (x, y) of each atom, nm; shape (atoms, 2).
        symbols: Of their elements; shape (atoms,).
        apart_nm: Atoms that form a chain of such steps are one column, nm.

    Returns:
        (x, y), nm; shape (columns, 2).

    References:
        O. L. Krivanek et al., Nature 464, 571 (2010), doi:10.1038/nature08879
    """
    if not len(places_nm):
        return np.empty((0, 2))
    numbers = {symbol: number for number, symbol in enumerate(elements(), 1)}
    shine = np.array([numbers[str(s)] for s in symbols], float) ** _POWER
    n, pairs = len(places_nm), KDTree(places_nm).query_pairs(apart_nm, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs)), pairs.T.reshape(2, -1)), (n, n))
    count, which = connected_components(links, directed=False)
    total = np.bincount(which, shine, count)
    return np.stack([np.bincount(which, shine * p, count) / total for p in places_nm.T], axis=1)


def compare(
    columns: Columns, truth_nm: Array, size_nm: tuple[float, float], radius_nm: float = RADIUS_NM
) -> Agreement:
    """Pairs columns one to one with true ones, as many as can be, as near as can be.

    Columns in the outer 0.1 nm have partners, but do not count.

    Args:
        columns: What was found.
        truth_nm: (x, y) of true columns from the frame's middle, nm; shape (n, 2); see `merged`.
        size_nm: Of the frame, (height, width), nm.
        radius_nm: How far off a column may be found, nm.
    """
    places = columns.places_nm
    mine, true = best_pairs(places, truth_nm, radius_nm)
    half = np.array(size_nm)[::-1] / 2 - MARGIN_NM
    inner, inner_true = (np.all(abs(p) < half, axis=1) for p in (places, truth_nm))
    alone, missed = inner.copy(), inner_true.copy()
    alone[mine], missed[true] = False, False
    counted = inner_true[true]
    off_pm = 1e3 * (places[mine] - truth_nm[true])[counted]
    distance = np.hypot(*off_pm.T)
    tree = KDTree(truth_nm) if len(truth_nm) else None
    far = tree.query(places[alone])[0] > VACUUM_NM if tree else np.ones(alone.sum(), bool)
    some = len(distance) > 0
    return Agreement(
        true=int(inner_true.sum()),
        found=int(inner.sum()),
        missed=int(missed.sum()),
        invented=int(alone.sum()),
        in_vacuum=int(far.sum()),
        vacuum_nm2=_vacuum_nm2(tree, half),
        rms_pm=math.sqrt(float(np.mean(distance**2))) if some else None,
        median_pm=float(np.median(distance)) if some else None,
        shift_pm=(float(off_pm[:, 0].mean()), float(off_pm[:, 1].mean())) if some else None,
    )


def read(path: Path | str, scan: Scan, apart_nm: float = APART_NM) -> Array:
    """The true columns of a simulated scan, from the `.atoms.csv` beside it.

    They are where atoms appear in the scan, drift and all. The scan may have a whole number of
    times the pixels of the one that was simulated, as an upscaled one has.

    Returns:
        (x, y) from the frame's middle, nm; shape (columns, 2).

    Raises:
        ReadError: The file cannot be read, or is none of this kind.
        ScanError: It is of another scan.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        symbols = np.array([line["element"] for line in table], str)
        keys = ("x_nm", "y_nm", "row", "column")
        numbers = np.array([[float(line[k]) for k in keys] for line in table]).reshape(-1, 4)
    except OSError as error:
        raise ReadError(
            f"{path} cannot be read: {(error.strerror or str(error)).lower()}"
        ) from None
    except (KeyError, TypeError, ValueError, UnicodeDecodeError, csv.Error):
        raise ReadError(
            f"{path} has no columns element, x_nm, y_nm, row and column of numbers: give the "
            ".atoms.csv that `scanmend simulate` writes beside a scan"
        ) from None
    if unknown := set(symbols.tolist()) - set(elements()):
        raise ReadError(f"{path}: {sorted(unknown)[0]!r} is no element")
    pixel = np.array(scan.pixel_nm) * _times(numbers, scan)
    shape = np.array(scan.size_nm) / pixel
    if len(table) and np.any((numbers[:, 2:] < -1 - shape / 4) | (numbers[:, 2:] > 1.25 * shape)):
        raise ScanError(
            f"{path.name} has atoms beyond this scan of {scan.size_nm[1]:.3g} x "
            f"{scan.size_nm[0]:.3g} nm: it is of another one"
        )
    places = (numbers[:, 2:] - (shape - 1) / 2) * pixel
    return merged(places[:, ::-1], symbols, apart_nm)


def _times(numbers: Array, scan: Scan) -> float:
    """How many times as coarse the pixels were in which rows and columns are told."""
    steps = []
    for place, pixel, pitch in zip((1, 0), (2, 3), scan.pixel_nm, strict=True):
        spread = float(numbers[:, pixel].std()) if len(numbers) else 0.0
        if spread > 1:
            steps.append(float(numbers[:, place].std()) / spread / pitch)
    ratio = float(np.mean(steps)) if steps else 1.0
    return float(round(ratio)) if ratio >= 1 else 1 / round(1 / ratio)


def _vacuum_nm2(tree: KDTree | None, half_nm: Array) -> float:
    """Area of the counted part of the frame that is far from any atom."""
    if np.any(half_nm <= 0):
        return 0.0
    area = float(4 * half_nm.prod())
    if tree is None:
        return area
    x, y = (np.linspace(-h, h, max(2, round(2 * h / 0.05))) for h in half_nm)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return area * float(np.mean(tree.query(grid, distance_upper_bound=VACUUM_NM)[0] > VACUUM_NM))
