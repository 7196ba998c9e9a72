"""Real clean scans in a folder, split by image, and refused where they cannot be trained on."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import io, level
from ..degrade.base import height_range
from ..errors import ReadError, RecipeError, ScanError, ScanmendError, UnknownFormat
from ..scan import Quantity, Scan

SPLITS = ("train", "validation", "test")
SHARES = (36, 12, 6)  #: of the images, as Kolev, Rodani et al. split theirs
PITCH = 0.03  #: by which share the pixels of a set may be larger or smaller than most
SAME = 0.999  #: correlation of two images from which on they are one

_OURS = re.compile(r"_(restored|degraded|x\d)$")
"""Stems of what scanmend writes beside scans: none of them is a clean one."""

LEFT_OUT = (".mtrx", ".json", ".truth.nc")
"""Endings of files that lie beside scans, and are no scans."""


class Piece(NamedTuple):
    """A part of a clean image.

    Attributes:
        scan: The part.
        within: Lowest height and span of the whole image, in the scan's unit.
        about: Name of the image, its hash if it is on disk, and the part's place in it; plain JSON
            values.
    """

    scan: Scan
    within: tuple[float, float]
    about: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Image:
    """A clean scan on disk, without its pixels.

    Attributes:
        path: Of its file.
        sha256: Of its values, whatever the format of its file.
        shape: (rows, columns).
        pixel_nm: Pixel pitch (rows, columns), nm.
        quantity: What it measures.
        reading: How to read it; see `folder`.
    """

    path: Path
    sha256: str
    shape: tuple[int, int]
    pixel_nm: tuple[float, float]
    quantity: Quantity
    reading: tuple[tuple[str, Any], ...]

    def level(self) -> tuple[Scan, tuple[float, float]]:
        """The levelled scan, and its lowest height and span; kept in memory.

        Raises:
            ReadError: The file is gone.
            RecipeError: The file holds something else by now.
        """
        scan, within, sha256 = _levelled(self.path, self.reading)
        if sha256 != self.sha256:
            raise RecipeError(f"{self.path} has changed since the images were split: begin anew")
        return scan, within


@dataclass(frozen=True, slots=True)
class Folder:
    """Real scans, from `folder`, split by image.

    Attributes:
        images: Those of each of `SPLITS`.
        left_out: Files that no reader recognises.
    """

    images: Mapping[str, tuple[Image, ...]]
    left_out: tuple[Path, ...] = ()

    @property
    def quantity(self) -> Quantity:
        """What all of them measure."""
        return next(self._all()).quantity

    @property
    def pixel_nm(self) -> tuple[float, float]:
        """Smallest and largest pixel pitch, nm."""
        pitches = [p for image in self._all() for p in image.pixel_nm]
        return min(pitches), max(pitches)

    def must_hold(self, side: int) -> None:
        """Refuses pieces that are larger than an image.

        Raises:
            RecipeError: They are.
        """
        for image in self._all():
            if min(image.shape) < side:
                rows, columns = image.shape
                raise RecipeError(
                    f"{image.path.name} has {rows}x{columns} pixels, but a sample with what lies "
                    f"beside it needs {side}x{side}: leave it out"
                )

    def table(self) -> dict[str, Any]:
        """Names and hashes of the images in each split."""
        return {
            split: [[image.path.name, image.sha256] for image in images]
            for split, images in self.images.items()
        }

    def piece(self, split: str, side: int, rng: np.random.Generator) -> Piece:
        """A square part, from anywhere in an image that was turned by 0, 90, 180 or 270 degrees."""
        images = self.images[split]
        if not images:
            raise RecipeError(
                f"no image is set aside for {split}: {len(self.images['train'])} are to train on"
            )
        image = images[rng.integers(len(images))]
        scan, within = image.level()
        turns = int(rng.integers(4))
        values = np.rot90(scan.values, turns)
        row, column = (int(rng.integers(n - side, endpoint=True)) for n in values.shape)
        part = replace(
            scan,
            values=np.ascontiguousarray(values[row : row + side, column : column + side]),
            pixel_nm=scan.pixel_nm[::-1] if turns % 2 else scan.pixel_nm,
        )
        where = {"turned_deg": 90 * turns, "row": row, "column": column}
        return Piece(part, within, {"image": image.path.name, "sha256": image.sha256} | where)

    def _all(self) -> Iterator[Image]:
        return (image for images in self.images.values() for image in images)


def folder(
    where: Path | str | Sequence[Path | str] | Mapping[str, Path | str | Sequence[Path | str]],
    shares: tuple[int, int, int] = SHARES,
    seed: int = 0,
    **reading: Any,
) -> Folder:
    """Clean scans of one kind: their first height, or current, or counts, levelled by a plane.

    Which image goes where depends on the images' values, `shares` and `seed`; neither on their
    names nor on their order.

    Args:
        where: A folder with all that is in it, or a list of files. One with folders `train`,
            `validation` and `test` in it, or a mapping of these, is split already.
        shares: How many images, or which parts of them, to train, validate and test with; (1, 0, 0)
            sets none aside.
        seed: Of the split.
        **reading: `channel`, `direction`, `size_nm` and `unit`, as for `io.read`; of `size_nm`
            the height may be None: then pixels are square.

    Raises:
        ReadError: There are no scans, or one cannot be read.
        RecipeError: There are fewer images than splits, two are the same, or they differ in what
            they measure or how large their pixels are.
        ScanError: One is flat, or was not measured everywhere.
    """
    if isinstance(where, str | Path) and all((Path(where) / split).is_dir() for split in SPLITS):
        where = {split: Path(where) / split for split in SPLITS}
    given = tuple((k, v) for k, v in reading.items() if v is not None)
    _levelled.cache_clear()  # of files that may have changed since
    if isinstance(where, Mapping):
        if set(where) != set(SPLITS):
            raise RecipeError(f"images are split into {_AND}, got {', '.join(where) or 'nothing'}")
        found = {split: _images(where[split], given) for split in SPLITS}
        images = {split: tuple(there) for split, (there, _) in found.items()}
    else:
        found = {"": _images(where, given)}
        images = _split(found[""][0], shares, seed)
    result = Folder(images, tuple(path for _, others in found.values() for path in others))
    _must_match(list(result._all()))
    return result


def content(values: NDArray[np.float32]) -> str:
    """Hash of an image's values and shape, (rows, columns)."""
    digest = hashlib.sha256(np.array(values.shape, "<i8").tobytes())
    digest.update(np.ascontiguousarray(values, "<f4").tobytes())
    return digest.hexdigest()


_AND = "train, validation and test"


def _split(
    images: Sequence[Image], shares: Sequence[int], seed: int
) -> dict[str, tuple[Image, ...]]:
    if len(images) < np.count_nonzero(shares):
        raise RecipeError(
            f"{len(images)} images cannot be split into {_AND}: it takes {len(SPLITS)} or more"
        )
    if seed < 0:
        raise RecipeError(f"a seed is 0 or more, got {seed}")
    counts = _counts(len(images), shares)
    known = sorted(images, key=lambda image: image.sha256)
    order = np.random.default_rng(seed).permutation(len(known))
    ends = np.cumsum((0, *counts))
    return {
        split: tuple(known[i] for i in order[ends[n] : ends[n + 1]])
        for n, split in enumerate(SPLITS)
    }


def _counts(total: int, shares: Sequence[int]) -> list[int]:
    """`total` divided in the ratio of `shares`, by largest remainders; none gets nothing."""
    if len(shares) == len(SPLITS) and shares[0] > 0 and not any(shares[1:]):
        return [total, 0, 0]
    if len(shares) != len(SPLITS) or min(shares) < 1:
        raise RecipeError(f"a split is three numbers above 0, for {_AND}, got {tuple(shares)}")
    exact = [total * share / sum(shares) for share in shares]
    counts = [max(1, math.floor(part)) for part in exact]
    while (left := total - sum(counts)) != 0:
        # One more where most is missing, or one less where most is too much and some remain.
        by_need = sorted(range(len(counts)), key=lambda n: exact[n] - counts[n])
        chosen = by_need[-1] if left > 0 else next(n for n in by_need if counts[n] > 1)
        counts[chosen] += 1 if left > 0 else -1
    return counts


def _images(
    where: Path | str | Sequence[Path | str], reading: tuple[tuple[str, Any], ...]
) -> tuple[list[Image], list[Path]]:
    """The images, and the files that are none."""
    listed = not isinstance(where, str | Path)
    paths = list(map(Path, where)) if listed else _files(Path(where))
    images, others = [], []
    for path in paths:
        try:
            scan, _, sha256 = _levelled(path, reading)
        except UnknownFormat:
            if listed:
                raise
            others.append(path)
            continue
        except ScanmendError as error:
            text = str(error)
            raise type(error)(text if path.name in text else f"{path.name}: {text}") from error
        rows, columns = scan.values.shape
        images.append(Image(path, sha256, (rows, columns), scan.pixel_nm, scan.quantity, reading))
    if not images:
        kinds = Counter(path.suffix or path.name for path in others)
        what = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(8)) or "nothing"
        raise ReadError(f"no scan is in {where if not listed else 'the list'}; there is {what}")
    return images, others


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ReadError(f"there is no folder {folder}")
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.name.lower().endswith(LEFT_OUT)
        and not _OURS.search(path.stem)
    ]


def _must_match(images: Sequence[Image]) -> None:
    quantity = Counter(image.quantity for image in images).most_common(1)[0][0]
    usual = np.median([image.pixel_nm for image in images], axis=0)
    seen: list[tuple[Image, NDArray[np.floating]]] = []
    for image in images:
        name = image.path.name
        if image.quantity is not quantity:
            raise RecipeError(
                f"{name} holds {image.quantity.value}, and most images {quantity.value}: "
                "choose the same channel of all"
            )
        if np.abs(np.array(image.pixel_nm) / usual - 1).max() > PITCH:
            own, most = ("{:.4g} x {:.4g}".format(*pitch) for pitch in (image.pixel_nm, usual))
            raise RecipeError(
                f"{name} has pixels of {own} nm, and most images {most} nm: resample it, or leave "
                f"it out; {PITCH:.0%} more or less is allowed"
            )
        marks = [_mark(turned) for turned in _turned(image.level()[0].values)]
        for other, known in seen:
            if any(mark.shape == known.shape and mark @ known > SAME for mark in marks):
                # Two of one name lie in two folders.
                parts = 2 if name == other.path.name else 1
                names = ("/".join(of.path.parts[-parts:]) for of in (image, other))
                raise RecipeError(
                    f"{' is the same image as '.join(names)}: one of them must go, for what is "
                    "trained on cannot test"
                )
        seen.append((image, marks[0]))


def _turned(values: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The image, first as it is, turned and flipped in all ways."""
    for image in (values, values[::-1]):
        yield from (np.rot90(image, turns) for turns in range(4))


def _mark(values: NDArray[np.float32]) -> NDArray[np.floating]:
    """A levelled image in 64x64 pixels at most, as a unit vector.

    Of a copy in another format or unit, or levelled elsewhere, it correlates; the hash would not.
    """
    some = values.astype(np.float64)
    for axis, n in enumerate(values.shape):
        edges = np.rint(np.linspace(0, n, min(n, 64) + 1)).astype(int)
        widths = np.diff(edges).reshape((-1, 1) if axis == 0 else (1, -1))
        some = np.add.reduceat(some, edges[:-1], axis) / widths
    some = some.ravel()
    some -= some.mean()
    return some / np.linalg.norm(some)


@lru_cache(maxsize=1024)
def _levelled(
    path: Path, reading: tuple[tuple[str, Any], ...]
) -> tuple[Scan, tuple[float, float], str]:
    """The levelled scan, its lowest height and span, and the hash of what was read.

    Counts stay as they are; their range begins at 0, where no electrons are.
    """
    scan = read(path, dict(reading))
    low, span = height_range(scan)
    if np.isnan(scan.values).any():
        raise ScanError(f"{path.name} was not measured everywhere: crop it to what was")
    if scan.quantity is Quantity.COUNTS:  # which have an origin, and need no levelling
        levelled, within = scan, (min(low, 0.0), low + span - min(low, 0.0))
    else:
        levelled = level.plane(scan)[0]
        within = height_range(levelled)
    # Less than the last bits of float32 is no relief, but the rounding of a constant or a plane.
    if height_range(levelled)[1] <= 1e-6 * max(abs(low), abs(low + span)):
        raise ScanError(f"{path.name} is flat: there is nothing to learn from")
    return levelled, within, content(scan.values)


def read(path: Path, reading: dict[str, Any]) -> Scan:
    """As `io.read` with these arguments; of `size_nm` the height may be None: of square pixels."""
    reading = dict(reading)
    size = reading.pop("size_nm", None)
    if size is not None and size[0] is None:
        shown = io.open(path).shown(reading.get("channel"))
        size = size[1] * shown.rows / shown.columns, size[1]
    return io.read(path, **reading, size_nm=size)
