"""On real scans: lines in between, damage undone, and what happens where nothing is to be done.

All squares of 128 pixels that fit into a scan side by side are scored, each in its own range. What
a scan is compared with is itself as it was measured, with its own noise and faults: on the cleaner
ones that is nearly the surface, on the others whoever takes their noise away loses by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from harmless import features, heights
from numpy.typing import NDArray
from restoration import GHOSTS, damage, quality
from superresolution import sparse

import scanmend
from scanmend import level
from scanmend.errors import ScanmendError
from scanmend.evaluate.metrics import psnr, ssim
from scanmend.scan import Scan

from .contenders import Contender, interpolations
from .kept import Found, Kept

SIDE, MARGIN = 128, 16
WITHIN = 0.03
"""By which share of its height a feature may change."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """A file of a real scan.

    Attributes:
        file: In the folder of real scans.
        how: What `scanmend.read` must be told of it.
        clean: Whether it shows nothing that restoration should change.
    """

    file: str
    how: Mapping[str, Any] = field(default_factory=dict)
    clean: bool = False


_SI001H = {"size_nm": (100, 100), "unit": "nm"}
_MATRIX = "default_2011May27-164015_STM-STM_Spectroscopy--22_4.Z_mtrx"
PLACES = {
    "si001h_step": Place("stm/si001h_step.npy", _SI001H, clean=True),
    "si001h_patch": Place("stm/si001h_patch.npy", _SI001H, clean=True),
    "matrix": Place(f"stm/matrix/{_MATRIX}", {"channel": "Z up"}, clean=True),
    # The file has no scale: its 7x7 cells, of 2.69 nm, say about 20 nm.
    "si111 7x7": Place("stm/si111_7x7_defects.dat", {"size_nm": (20, 20), "unit": "m"}),
    "sxm, lattice": Place("stm/STM_nanonis_generic_4_5.sxm", clean=True),
    "sxm, moire": Place("stm/moire_10nm.sxm"),
    "createc, afm": Place("stm/createc_afm.dat"),
    "createc, island": Place("stm/createc_scan_island_60nm.dat"),
}
"""None of which any model was trained on."""

SI001H = ("si001h_step", "si001h_patch")


def scans(folder: Path) -> dict[str, Scan]:
    """Those of PLACES that are in a folder, levelled."""
    there = {name: place for name, place in PLACES.items() if (folder / place.file).is_file()}
    return {name: read(folder, place) for name, place in there.items()}


def read(folder: Path, place: Place, **how: Any) -> Scan:
    """The scan of a place, levelled; `how` says otherwise than the place does."""
    return level.plane(scanmend.read(folder / place.file, **{**place.how, **how}))[0]


def squares(shape: tuple[int, int], side: int = SIDE) -> list[tuple[slice, slice]]:
    """All that fit side by side, evenly spread."""
    starts = [np.linspace(0, n - side, n // side).round().astype(int).tolist() for n in shape]
    return [(slice(r, r + side), slice(c, c + side)) for r in starts[0] for c in starts[1]]


def identity(scan: Scan) -> dict[str, Any]:
    """What tells a scan from others."""
    pixels = hashlib.sha256(np.ascontiguousarray(scan.values).tobytes()).hexdigest()
    return {"pixels": pixels, "pixel_nm": list(scan.pixel_nm)}


def asked(find: Callable[[], dict[str, NDArray[np.floating]]]) -> Found:
    """What was found, or why it was refused."""
    try:
        return Found({}, find())
    except ScanmendError as error:
        return Found({"refused": " ".join(str(error).split())}, {})


def finer(
    of: Sequence[Contender], real: Mapping[str, Scan], kept: Kept, tell: Tell
) -> list[dict[str, Any]]:
    """Every second or fourth line only, against the lines that were there."""
    records = []
    for name, scan in real.items():
        for factor in (2, 4):
            rows = len(scan.values) // factor * factor
            whole = scan.crop(slice(rows), slice(None))
            few, at = sparse(whole, factor)
            shown = {
                title: ("classical", {"title": title}, lambda f=f: f(few.values, at, rows))  # noqa: B023
                for title, f in interpolations().items()
            }
            for one in of:
                if one.kind != "input" and one.does(factor) and not _mends(one):
                    shown[one.title] = (one.kind, one.about, lambda o=one: o.upscaled(few, factor))  # noqa: B023
            for title, (kind, about, fill) in shown.items():
                tell(f"{name}, {factor}x: {title}")
                what = {"finer": identity(scan), "factor": factor, "of": about}
                found = kept(what, lambda: asked(lambda: _scored(fill(), whole)))  # noqa: B023
                record = {"scan": name, "factor": factor, "contender": title, "kind": kind}
                records.append(record | _plain(found))
    return records


def mended(
    of: Sequence[Contender], real: Mapping[str, Scan], kept: Kept, tell: Tell, draws: int = 1
) -> list[dict[str, Any]]:
    """Damaged by the papers' list: each kind alone, and mixed; `draws` times each square."""
    records = []
    for name, scan in real.items():
        for kind, recipe in damage().items():
            damaged = [
                _damaged(scan, square, recipe, np.random.default_rng((draw, i)))
                for draw in range(draws)
                for i, square in enumerate(squares(scan.values.shape))
            ]
            ghosts = kind in GHOSTS
            for one in of:
                if not one.does(1):
                    continue
                tell(f"{name}, {kind}: {one.title}")
                what = {"mended": identity(scan), "damage": kind, "draws": draws, "of": one.about}
                found = kept(what, lambda: asked(lambda: _undone(one, damaged, ghosts)))  # noqa: B023
                record = {"scan": name, "damage": kind, "contender": one.title, "kind": one.kind}
                records.append(record | _plain(found))
    return records


def unharmed(
    of: Sequence[Contender], real: Mapping[str, Scan], kept: Kept, tell: Tell
) -> list[dict[str, Any]]:
    """Undamaged in: how much of it comes out, and how high what stands out still is."""
    records = []
    for name, scan in real.items():
        for one in of:
            if one.kind != "input" and one.does(1):
                tell(f"{name}, undamaged: {one.title}")
                what = {"unharmed": identity(scan), "of": one.about}
                found = kept(what, lambda: asked(lambda: _unharmed(one, scan)))  # noqa: B023
                record = {"scan": name, "contender": one.title, "kind": one.kind}
                records.append(record | {"clean": PLACES[name].clean} | _plain(found))
    return records


def _mends(one: Contender) -> bool:
    """Whether it is a filter, of which here its interpolation would be left: the cubic spline's."""
    about = one.candidate.about()
    return about["kind"] == "classical" and about["method"] not in ("cubic spline", "Lanczos")


def _scored(image: NDArray[np.floating], scan: Scan) -> dict[str, NDArray[np.floating]]:
    pairs = [(image[s], scan.values[s]) for s in squares(scan.values.shape)]
    return {
        "ssim": np.array([ssim(*pair) for pair in pairs]),
        "psnr_dB": np.array([psnr(*pair) for pair in pairs]),
    }


def _damaged(scan: Scan, square: tuple[slice, slice], recipe: Any, rng: Any) -> tuple[Scan, Scan]:
    """A square, damaged and as it was; what lies around it is damaged too, where there is any."""
    wide = [slice(max(0, s.start - MARGIN), s.stop + MARGIN) for s in square]
    whole = scan.crop(*wide)
    own = [slice(s.start - w.start, s.start - w.start + SIDE) for s, w in zip(square, wide)]  # noqa: B905
    return recipe(whole, rng).crop(*own), whole.crop(*own)


def _undone(
    one: Contender, damaged: Sequence[tuple[Scan, Scan]], ghosts: bool
) -> dict[str, NDArray[np.floating]]:
    each = [
        [quality(np.asarray(image), true.values) for image in one.restored(scan, ghosts=ghosts)]
        for scan, true in damaged
    ]
    found = np.array(each)  # squares, strengths, scores
    best = found[..., 0].mean(axis=0).argmax()
    return {"ssim": found[:, best, 0], "psnr_dB": found[:, best, 1]}


def _unharmed(one: Contender, scan: Scan) -> dict[str, NDArray[np.floating]]:
    image = np.asarray(one.once(scan))
    found = _scored(image, scan)
    for name, sign in (("bright", 1), ("dark", -1)):
        places = features(scan.values, sign)
        before = heights(scan.values, places, sign)
        found[name] = heights(image, places, sign)[before != 0] / before[before != 0]
    return found


def _plain(found: Found) -> dict[str, Any]:
    return {**found.facts, **{name: v.round(5).tolist() for name, v in found.arrays.items()}}
