"""What candidates are evaluated on: sets of pairs, and views of real scans."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import level
from ..degrade.low_dose import Kernel, interpolation
from ..degrade.recipe import COARSER
from ..errors import ReadError, RecipeError, ScanError, UnknownFormat
from ..pairs import sets
from ..pairs.sets import SIDE, TASKS
from ..restoration.published import repeat_lines
from ..scan import Quantity, Scan
from ..shards import Store
from .contract import Batch, Images

TOGETHER = 16
"""Images that are restored at once: as many more take no less time each, and more memory."""

_SQUARE = 0.1
"""By which share lines may lie farther apart, or nearer, than the task says."""


class Source(Protocol):
    """Where degraded images come from; can be pickled."""

    def batches(self, seed: int) -> Iterator[tuple[Batch, Images | None]]:
        """The degraded images, and where they are known, the clean ones."""
        ...

    def clean(self) -> Iterator[Images] | None:
        """Clean images, for distances of sets; None if there are none."""
        ...

    def judged(self, number: int) -> bool:
        """Whether what is made of image `number` is in the set that is compared with them."""
        ...

    def compared(self) -> tuple[int, int]:
        """How many images are in that set, and how many are clean."""
        ...

    def table(self) -> dict[str, dict[str, Any]]:
        """What it is, but not where; plain JSON values; "set", and "clean" if that is another."""
        ...


@dataclass(frozen=True)
class Synthetic:
    """The first pairs of a set.

    Attributes:
        folder: Of its shards.
        task: Of `pairs.sets.TASKS`.
        count: How many pairs; None for all.
    """

    folder: Path
    task: str
    count: int | None = None

    def batches(self, seed: int) -> Iterator[tuple[Batch, Images | None]]:
        """See `Source`."""
        store = Store.open(self.folder)
        quantity = Quantity[store.recipe["quantity"].upper()]
        kernel = _kernel(store.recipe["damage"]) if TASKS[self.task] > 1 else None
        for numbers in _portions(self._len(store)):
            samples = [store[number] for number in numbers]
            pairs = np.stack([sample.arrays["pair"] for sample in samples])
            about = [sample.about for sample in samples]
            batch = Batch(
                pairs[:, 1],
                TASKS[self.task],
                numbers,
                seed,
                np.array([a["low"][1] for a in about]),
                np.array([a["span"][1] for a in about]),
                np.array([a["pixel_nm"] for a in about]),
                quantity,
                kernel,
                np.array([a["low"][0] for a in about]),
                np.array([a["span"][0] for a in about]),
            )
            yield batch, pairs[:, 0]

    def clean(self) -> Iterator[Images]:
        """Of the pairs with odd numbers.

        What is made of a pair is no sample independent of its own clean image: a perfect
        restoration would be nearer to the clean ones than other clean ones are.
        """
        for batch, clean in self.batches(0):
            others = [not self.judged(number) for number in batch.numbers]
            if clean is not None and any(others):
                yield clean[others]

    def judged(self, number: int) -> bool:
        """Those of the pairs with even numbers."""
        return number % 2 == 0

    def compared(self) -> tuple[int, int]:
        """Half of the pairs each."""
        count = self._len(Store.open(self.folder))
        return count - count // 2, count // 2

    def tests(self) -> dict[str, str]:
        """Hashes of the scans that the pairs were cut from, with their names; none of surfaces."""
        return _hashes(Store.open(self.folder).recipe["source"], "test")

    def table(self) -> dict[str, dict[str, Any]]:
        """The hash of its manifest, and how many pairs.

        Raises:
            ReadError: Shards of it are missing.
        """
        store = Store.open(self.folder)
        count = self._len(store)
        needed = -(-count // store.shard_size)
        if missing := [shard for shard in store.missing() if shard < needed]:
            raise ReadError(
                f"{self.folder} lacks {len(missing)} of {needed} shards: make them by the command "
                "that began it (scanmend pairs)"
            )
        manifest = hashlib.sha256((self.folder / "manifest.json").read_bytes()).hexdigest()
        return {"set": {"manifest_sha256": manifest, "samples": count}}

    def _len(self, store: Store) -> int:
        return len(store) if self.count is None else min(self.count, len(store))


@dataclass(frozen=True)
class Real:
    """Views of real scans, whose clean images nobody knows.

    Attributes:
        degraded: Folder of scans.
        pristine: Folder of clean ones of such surfaces, not of the same places; None without any.
        task: Of `pairs.sets.TASKS`.
        read: Reads a file.
        count: How many views; None for all.
    """

    degraded: Path
    pristine: Path | None
    task: str
    read: Callable[[Path], Scan]
    count: int | None = None

    def batches(self, seed: int) -> Iterator[tuple[Batch, Images | None]]:
        """See `Source`."""
        views = _views(self.degraded, TASKS[self.task], self.read)
        for numbers in _portions(len(views.images), self.count):
            part = slice(numbers.start, numbers.stop)
            batch = Batch(
                views.images[part],
                TASKS[self.task],
                numbers,
                seed,
                views.low[part],
                views.span[part],
                views.pixel_nm[part],
                views.quantity,
                views.kernel,
            )
            yield batch, None

    def clean(self) -> Iterator[Images] | None:
        """All views of the clean ones."""
        return self.pristine and iter([_views(self.pristine, 1, self.read).images])

    def judged(self, number: int) -> bool:
        """All."""
        return True

    def compared(self) -> tuple[int, int]:
        """All views of either folder, but for `count`."""
        views = len(_views(self.degraded, TASKS[self.task], self.read).images)
        clean = len(_views(self.pristine, 1, self.read).images) if self.pristine else 0
        return views if self.count is None else min(self.count, views), clean

    def table(self) -> dict[str, dict[str, Any]]:
        """How many scans and views of both, and the hash of all files.

        Raises:
            ReadError: A folder has no scans, or one cannot be read.
            RecipeError: Lines are not as far apart as the task says.
            ScanError: A scan is too small, or has pixels that were not measured.
        """
        views = {"set": _views(self.degraded, TASKS[self.task], self.read)}
        if self.pristine:
            views["clean"] = _views(self.pristine, 1, self.read)
        return {
            of: {"scans": v.scans, "views": len(v.images), "sha256": v.sha256}
            for of, v in views.items()
        }


class _Views(NamedTuple):
    """Squares of SIDE pixels from scans, each in [-1, 1] by its own range; see `Batch`.

    Heights and currents are levelled, and of few lines each is repeated; counts stay as they are,
    and of few pixels they are interpolated on both axes.
    """

    images: Images
    low: NDArray[np.float64]
    span: NDArray[np.float64]
    pixel_nm: NDArray[np.float64]
    quantity: Quantity
    kernel: Kernel | None
    scans: int
    sha256: str


@lru_cache(maxsize=8)
def _views(folder: Path, factor: int, read: Callable[[Path], Scan]) -> _Views:
    if not folder.is_dir():
        raise ReadError(f"there is no folder {folder}")
    digest, scans = hashlib.sha256(), []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name.startswith(".") or path.suffix == ".mtrx":
            continue
        try:
            scan = read(path)
        except UnknownFormat:
            continue
        digest.update(path.read_bytes())
        scans.append(_full(scan, factor, path.name))
    if not scans:
        raise ReadError(f"no scan is in {folder}")
    if len({scan.quantity for scan in scans}) > 1:
        raise RecipeError(f"scans in {folder} measure different things: choose one channel")
    kernel: Kernel | None = None
    side, divided = SIDE, 1
    if scans[0].quantity is Quantity.COUNTS and factor > 1:
        kernel, side, divided = "bicubic", SIDE // factor, factor
    cut = [(view, scan.pixel_nm) for scan in scans for view in _cut(scan, side)]
    images = np.stack([view for view, _ in cut])
    if kernel:  # each view by itself, so that this can be undone
        up = interpolation(side, SIDE, kernel)
        images = up @ images @ up.T
    low = images.min(axis=(1, 2), keepdims=True)
    span = np.ptp(images, axis=(1, 2), keepdims=True)
    if not (span > 0).all():
        raise ScanError(f"a scan in {folder} is flat: there is nothing to restore")
    return _Views(
        (2 * (images - low) / span - 1).astype(np.float32),
        low.ravel(),
        span.ravel(),
        np.array([pitch for _, pitch in cut]) / divided,
        scans[0].quantity,
        kernel,
        len(scans),
        digest.hexdigest(),
    )


def _full(scan: Scan, factor: int, name: str) -> Scan:
    """The levelled scan with each of its lines `factor` times; counts as they are."""
    apart, along = scan.pixel_nm
    counts = scan.quantity is Quantity.COUNTS
    lines = 1 if counts else factor
    if abs(apart / along / lines - 1) > _SQUARE:
        raise RecipeError(
            f"{name} has lines {apart:.3g} nm apart, and pixels of {along:.3g} nm in them: for "
            f"these views they must lie {lines} times as far apart as that"
        )
    rows, columns = scan.values.shape
    if min(factor * rows, (factor if counts else 1) * columns) < SIDE:
        raise ScanError(f"{name} has {rows}x{columns} pixels: no view of {SIDE}x{SIDE} fits in")
    if not np.isfinite(scan.values).all():
        raise ScanError(f"{name} was not measured everywhere: crop it to what was")
    if counts:
        return scan
    values = level.plane(scan)[0].values
    at = np.arange(rows) * factor + factor // 2
    return scan.after("lines repeated", repeat_lines(values, at, factor * rows))


def _cut(scan: Scan, side: int) -> Iterator[NDArray[np.float64]]:
    """As many views as fit beside each other, evenly spread."""
    starts = [
        np.linspace(0, n - side, n // side).round().astype(int).tolist() for n in scan.values.shape
    ]
    for row in starts[0]:
        for column in starts[1]:
            yield scan.values[row : row + side, column : column + side].astype(np.float64)


def _kernel(damage: Mapping[str, Any]) -> Kernel | None:
    """By what a recipe interpolates the fewer pixels that it takes on both axes, if it does."""
    steps = [step for step in damage["step"] if COARSER.get(step["kind"]) == "factor"]
    return steps[-1]["kernel"] if steps else None


def seen(card: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the scans that a model learnt or was chosen by, with their names, by its card."""
    of = card.get("trained_on", {})
    sources = [of.get("source", {}), of.get("own", {})]
    splits = ("train", "validation")
    return {k: v for source in sources for on in splits for k, v in _hashes(source, on).items()}


def _hashes(source: Mapping[str, Any], split: str) -> dict[str, str]:
    """Of the table of a `pairs.clean.Source`; of generated surfaces there are none."""
    return {sha256: name for name, sha256 in source.get(split, [])}


def of_folder(folder: Path, count: int | None = None) -> dict[tuple[str, str], Synthetic]:
    """The test sets in a folder that `pairs.sets.build` made, by task and name.

    Raises:
        ReadError: There are none.
    """
    found = {
        (task, name): Synthetic(store.folder, task, count)
        for task, stores in sets.open(folder).items()
        for name, store in stores.items()
        if name.startswith("test")
    }
    if not found:
        raise ReadError(f"{folder} holds no test sets: scanmend pairs --test makes them")
    return found


def _portions(total: int, count: int | None = None) -> Iterator[range]:
    total = total if count is None else min(count, total)
    return (range(n, min(n + TOGETHER, total)) for n in range(0, total, TOGETHER))
