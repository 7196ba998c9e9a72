"""What is compared: measured scans, and what several methods made of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from .. import level
from ..errors import ScanmendError, StudyError
from ..restoration import restore, upscale
from ..scan import Acquisition, Scan

MOST = 8
"""Methods in a study: more cannot be ranked at a glance."""

_FEW = (0.5, 99.5)
"""Percentiles that a few spikes do not set."""


class Method(Protocol):
    """Whatever makes an output of a measured scan."""

    def __call__(self, path: Path, measured: Scan) -> Scan:
        """The output for the scan that was read from `path`."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """One measured scan and its outputs, as they are drawn.

    Attributes:
        name: Of the measured scan's file, without folders.
        measured: What was measured, of the outputs' field of view.
        outputs: One of each method; all have the same pixels.
        limits: Of the colours, for all of them, in the scans' unit.
    """

    name: str
    measured: Scan
    outputs: tuple[Scan, ...]
    limits: tuple[float, float]


@dataclass(frozen=True)
class Network:
    """What one of our models makes: a restored scan, or one of more lines.

    Attributes:
        model: Name or path.
        factor: 1 restores, 2 and 4 upscale.
        mend: Whether upscaling removes damage as well.
        calls: Of the network; by default as `restore` has it.
    """

    model: str | Path | None
    factor: int = 1
    mend: bool = False
    calls: int | None = None

    def __call__(self, path: Path, measured: Scan) -> Scan:
        """The mean of the restoration."""
        if self.factor == 1:
            return restore(measured, self.model, calls=self.calls).mean
        how = {"mend": self.mend, "model": self.model, "calls": self.calls}
        return upscale(measured, self.factor, **how).mean


@dataclass(frozen=True)
class Outputs:
    """The finished outputs in a folder: `STEM.*`, or `STEM_*` of the measured scan's name.

    A PNG beside such a file is taken for its figure, and left out.

    Attributes:
        files: Of the folder.
        stems: Of all measured scans; of `scan1_2.nc` the longest that fits is meant.
        read: Reads one.
    """

    files: Sequence[Path]
    stems: Sequence[str]
    read: Callable[[Path], Scan]

    def __call__(self, path: Path, measured: Scan) -> Scan:
        """The one of that scan.

        Raises:
            StudyError: There is none, or more than one.
        """
        found = [file for file in self.files if self._stem(file) == path.stem]
        found = [file for file in found if file.suffix.lower() != ".png"] or found
        match [file for file in found if file.stem == path.stem] or found:
            case [one]:
                return self.read(one)
            case []:
                raise StudyError(f"there is none of {path.name}: a file {path.stem}_….nc, say")
            case several:
                names = ", ".join(file.name for file in several[:4])
                raise StudyError(f"{len(several)} are of {path.name}: leave one of {names}")

    def _stem(self, file: Path) -> str | None:
        fit = (s for s in self.stems if file.stem == s or file.stem.startswith(f"{s}_"))
        return max(fit, key=len, default=None)


def items(
    scans: Mapping[Path, Callable[[], Scan]], methods: Mapping[str, Method], levelling: str
) -> Iterator[Item]:
    """The items of a study, one after the other.

    Args:
        scans: By its path, what reads each measured scan.
        methods: By their names.
        levelling: "plane" takes its own plane off each image, "none" leaves them as they are.

    Raises:
        StudyError: Methods or scans are too few or too many, two scans have the same name, or an
            output cannot be made, or does not fit its scan or the other outputs.
        ReadError: A measured scan cannot be read.
    """
    must_be_comparable(scans, methods)
    for path, read in scans.items():
        measured = read()
        outputs = []
        for name, method in methods.items():
            try:
                outputs.append(method(path, measured))
            except StudyError as error:
                raise StudyError(f"{name}: {error}") from None
            except ScanmendError as error:
                raise StudyError(f"{path.name} by {name}: {error}") from error
        _must_fit(path.name, measured, dict(zip(methods, outputs, strict=True)))
        yield _drawn(path.name, measured, outputs, levelling)


def must_be_comparable(scans: Collection[Path], methods: Collection[str]) -> None:
    """Refuses at once what `items` would refuse, as far as names tell.

    Raises:
        StudyError: Methods or scans are too few or too many, or two scans have the same name.
    """
    if not 2 <= len(methods) <= MOST:
        raise StudyError(f"a study compares 2 to {MOST} methods, got {len(methods)}")
    if not scans:
        raise StudyError("a study needs measured scans: name files, or a folder of them")
    stems = [path.stem for path in scans]
    if twice := {stem for stem in stems if stems.count(stem) > 1}:
        raise StudyError(f"two scans are called {min(twice)}: rename one of them")


def _must_fit(item: str, measured: Scan, outputs: Mapping[str, Scan]) -> None:
    """Refuses what could be told from the others without looking at its picture."""
    first, *_ = outputs.values()
    for name, output in outputs.items():
        rows, columns = output.values.shape
        if output.quantity != measured.quantity:
            ours, theirs = measured.quantity.value, output.quantity.value
            raise StudyError(f"{item} is in {ours}, and what {name} made of it in {theirs}")
        if not np.allclose(output.size_nm, measured.size_nm, rtol=0.01):
            ours, theirs = (f"{s.size_nm[1]:.4g} x {s.size_nm[0]:.4g}" for s in (measured, output))
            raise StudyError(f"{item} is {ours} nm large, and what {name} made of it {theirs} nm")
        if output.values.shape != first.values.shape:
            raise StudyError(
                f"{name} made {columns} x {rows} pixels of {item}, and others "
                f"{first.values.shape[1]} x {first.values.shape[0]}: raters could tell"
            )
        if not np.isfinite(output.values).any():
            raise StudyError(f"what {name} made of {item} holds no value")


def _drawn(name: str, measured: Scan, outputs: Sequence[Scan], levelling: str) -> Item:
    """The item, with nothing in it but pixels and scale."""
    pitch = outputs[0].pixel_nm  # of one grid, to the last bit, whatever their files round

    def bare(scan: Scan) -> Scan:
        if levelling == "plane":
            scan = level.plane(scan)[0]
        return replace(scan, acquisition=Acquisition(), history=())

    shown = [replace(bare(output), pixel_nm=pitch) for output in outputs]
    # The median over the outputs, so that no single one decides how strong the contrast is.
    ends = [np.nanpercentile(output.values, _FEW) for output in shown]
    low, high = (float(v) for v in np.median(ends, axis=0))
    limits = (low, high) if high > low else (low - 1e-6, high + 1e-6)
    return Item(name, bare(measured), tuple(shown), limits)
