"""Files in, files out: the only place where foreign units are met.

A format is one module with `NAME`, `recognises(head, path)` and `frames(path)`, and its name in
FORMATS. The vendors' libraries are imported inside the functions that need them, against our
own custom: together they cost a second, and `import scanmend` is to cost a tenth of one.
"""

from __future__ import annotations

import hashlib
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import (
    CorruptFile,
    NoSuchChannel,
    ReadError,
    ScaleMissing,
    ScanmendError,
    UnknownFormat,
    UnsupportedFeature,
)
from ..scan import Acquisition, Quantity, Scan, must_not_be_huge
from . import (
    arrays,
    converted,
    createc,
    electron,
    gwyddion,
    igor,
    images,
    matrix,
    nanonis,
    netcdf,
    nid,
    rhk,
    wsxm,
)
from .frame import Frame
from .units import quantity
from .write import WRITERS, write, write_sxm

__all__ = ["FORMATS", "WRITERS", "Channel", "ScanFile", "open", "read", "write", "write_sxm"]


class Format(Protocol):
    """What a format module offers."""

    @property
    def NAME(self) -> str:
        """What the format is called in messages."""
        ...

    def recognises(self, head: bytes, path: Path) -> bool:
        """Whether a file that begins with `head` (4096 bytes, or all of it) is of this format."""
        ...

    def frames(self, path: Path) -> Sequence[Frame]:
        """Every image in the file, in the file's order, without its pixels."""
        ...


FORMATS: tuple[Format, ...] = (
    nanonis,
    createc,
    matrix,
    rhk,
    nid,
    wsxm,
    gwyddion,
    netcdf,
    images,
    electron,
    igor,
    arrays,
    converted,
)
"""Every format, most specific signature first; the last asks another program."""

_TALKATIVE = ("rsciio", "tifffile")
"""Libraries that log on stderr."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a file.

    Attributes:
        name: As the file has it.
        quantity: What it measures; None where its unit is none of ours.
        unit: As the file spells it; empty where it says nothing.
        directions: "forward", "backward", or empty where the file does not know directions.
        rows: Number of lines.
        columns: Pixels a line.
        size_nm: Field of view (height, width), nm; None where the file says nothing.
        acquisition: How it was taken, as far as the file says.
    """

    name: str
    quantity: Quantity | None
    unit: str
    directions: tuple[str, ...]
    rows: int
    columns: int
    size_nm: tuple[float, float] | None
    acquisition: Acquisition


@dataclass(frozen=True, slots=True)
class ScanFile:
    """What a file holds, without its pixels."""

    path: Path
    format: str
    channels: tuple[Channel, ...]


def open(path: Path | str) -> ScanFile:
    """Lists the channels of a scan file, without loading pixels.

    But for formats whose library knows no other way: MATRIX, and what Gwyddion converts.

    Raises:
        ReadError: No such file, no such format, or a damaged one.
    """
    path = Path(path)
    reader, frames = _frames(path)
    channels: dict[str, Channel] = {}
    for frame in frames:
        known = channels.get(frame.channel)
        directions = (*(known.directions if known else ()), frame.direction)
        channels[frame.channel] = Channel(
            name=frame.channel,
            quantity=_quantity(frame),
            unit="" if frame.assumed else frame.unit or "",
            directions=tuple(d for d in directions if d),
            rows=frame.shape[0],
            columns=frame.shape[1],
            size_nm=frame.size_nm,
            acquisition=frame.memory.acquisition if frame.memory else frame.acquisition,
        )
    return ScanFile(path, reader.NAME, tuple(channels.values()))


def read(
    path: Path | str,
    channel: str | None = None,
    direction: str | None = None,
    *,
    size_nm: tuple[float, float] | None = None,
    unit: str | None = None,
) -> Scan:
    """Reads one channel of a scan file.

    Args:
        path: The file.
        channel: Its name in the file; by default the first height, else current, else counts.
        direction: "forward" or "backward"; by default forward, or the only one there is.
        size_nm: Field of view (height, width), nm, for a file that does not say it, or to put
            right what it says.
        unit: Of the values, for a file that does not say it: "nm", "m", "pm", "angstrom", "A"
            (ampere), "nA", "pA", "counts", or with a number, "2.5e-6nm", of which the values are
            multiples.

    Raises:
        ReadError: No such file, format, channel or direction; a damaged file; no scale.
        ScanError: The image is too large for the memory of an ordinary machine.
    """
    path = Path(path)
    reader, frames = _frames(path)
    frame = _choose(path, frames, channel, direction)
    height, width = _size_nm(path, frame, size_nm)
    kind, factor = _scale(path, frame, unit)
    if path.stat().st_size >= math.prod(frame.shape):  # a smaller file lies, and is told so below
        must_not_be_huge(*frame.shape)
    with _own_errors_only(path, reader.NAME):
        values = np.asarray(frame.load())
        if values.shape != frame.shape:
            raise CorruptFile(f"{path.name} declares {frame.shape} pixels, holds {values.shape}")
        values = values.astype(np.float32 if factor == 1 else np.float64)
        values = (values * factor).astype(np.float32, copy=False)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if frame.assumed and unit is None and kind is Quantity.HEIGHT:
            _must_not_look_like_metres(path, values)

    memory = frame.memory
    if memory and size_nm is None and memory.fits(frame.shape, frame.size_nm):
        # A file of ours: its pixels came from another one, and were not touched since.
        return Scan(values, memory.pixel_nm, kind, memory.acquisition, memory.history)
    rows, columns = frame.shape
    acquisition = replace(
        frame.acquisition,
        channel=frame.channel,
        direction=frame.direction,
        source=path.name,
        source_sha256=digest,
    )
    history = [" ".join(filter(None, ("read", path.name, frame.channel, frame.direction)))]
    if size_nm is not None:
        history.append(f"size given as {height:g} x {width:g} nm")
    return Scan(values, (height / rows, width / columns), kind, acquisition, tuple(history))


def _frames(path: Path) -> tuple[Format, Sequence[Frame]]:
    if path.is_dir():
        raise ReadError(f"{path} is a folder: name a file in it")
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except FileNotFoundError:
        raise ReadError(f"there is no file {path}") from None
    except OSError as error:
        raise ReadError(f"{path} cannot be opened: {error.strerror or error}") from error
    if not head:
        raise CorruptFile(f"{path.name} is empty")
    for reader in FORMATS:
        if reader.recognises(head, path):
            with _own_errors_only(path, reader.NAME):
                frames = reader.frames(path)
            if not frames:
                raise UnsupportedFeature(f"{path.name} ({reader.NAME}) holds no image")
            for rows, columns in (frame.shape for frame in frames):
                if min(rows, columns) <= 0:
                    raise CorruptFile(f"{path.name} declares an image of {rows} x {columns} pixels")
            return reader, frames
    known = ", ".join(reader.NAME for reader in FORMATS if reader is not converted)
    raise UnknownFormat(
        f"{path.name} is none of the formats read here ({known}); "
        "pip install scanmend[gwyddion] adds those of Gwyddion"
    )


@contextmanager
def _own_errors_only(path: Path, name: str) -> Iterator[None]:
    """A damaged file breaks parsers in every possible way; all of them mean the same to a user.

    Nor is he told what libraries think of a file that they read all the same.
    """
    levels = {logger: logger.level for logger in map(logging.getLogger, _TALKATIVE)}
    try:
        for logger in levels:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ScanmendError:
        raise
    except OSError as error:
        raise CorruptFile(f"{path.name} cannot be read as {name}: {_line(error)}") from error
    except Exception as error:
        raise CorruptFile(f"{path.name} is a damaged {name} file: {_line(error)}") from error
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _quantity(frame: Frame) -> Quantity | None:
    found = quantity(frame.unit)
    return found[0] if found else None


def _choose(
    path: Path, frames: Sequence[Frame], channel: str | None, direction: str | None
) -> Frame:
    names = list(dict.fromkeys(frame.channel for frame in frames))
    if channel is None:
        order = [*Quantity, None]
        channel = min(frames, key=lambda frame: order.index(_quantity(frame))).channel
    if channel not in names:
        raise NoSuchChannel(f"{path.name} has no channel {channel!r}; it has {', '.join(names)}")
    candidates = {frame.direction: frame for frame in frames if frame.channel == channel}
    if direction is None:
        return candidates.get("forward") or next(iter(candidates.values()))
    if direction not in candidates:
        there = ", ".join(d for d in candidates if d) or "none: leave the direction out"
        raise NoSuchChannel(
            f"{path.name} has no {direction!r} direction of {channel!r}; it has {there}"
        )
    return candidates[direction]


def _size_nm(path: Path, frame: Frame, given: tuple[float, float] | None) -> tuple[float, float]:
    size = given or frame.size_nm
    if size is None:
        raise ScaleMissing(
            f"{path.name} does not say how large the scan is: give its size in nm "
            "(size_nm=(HEIGHT, WIDTH), --size-nm WIDTH,HEIGHT)"
        )
    if not all(math.isfinite(length) and length > 0 for length in size):
        whose = "the size given for" if given else "the header of"
        kind = ReadError if given else CorruptFile
        raise kind(f"{whose} {path.name} is {size[0]:g} x {size[1]:g} nm: it must be positive")
    return size


def _scale(path: Path, frame: Frame, given: str | None) -> tuple[Quantity, float]:
    if given is not None and frame.unit is not None and not frame.assumed:
        raise ReadError(
            f"{path.name} says that {frame.channel!r} is in {frame.unit!r}: leave the unit out"
        )
    unit = given or frame.unit
    if unit is None:
        raise ScaleMissing(
            f"{path.name} does not say the unit of its values: give it (--unit nm, --unit 2.5e-6nm)"
        )
    found = quantity(unit)
    if found is None:
        raise UnsupportedFeature(
            f"{path.name}: {frame.channel!r} is in {unit!r}, which is no height, current or counts"
        )
    return found


def _must_not_look_like_metres(path: Path, values: np.ndarray) -> None:
    known = values[np.isfinite(values)]
    span = float(np.ptp(known)) if known.size else 0.0
    if 0 < span < 1e-5:
        raise ScaleMissing(
            f"{path.name} has no unit, and its heights span only {span:.3g}: that looks like "
            "metres; give the unit (--unit m, or --unit nm if it is right)"
        )
