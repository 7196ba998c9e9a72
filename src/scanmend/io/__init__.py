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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import (
    CorruptFile,
    NoSuchChannel,
    ReadError,
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
    scale,
    wsxm,
)
from .frame import Frame
from .scale import must_not_look_like_metres
from .units import quantity
from .values import WARNING, real, remarks
from .write import WRITERS, write, write_sxm

__all__ = [
    "FORMATS",
    "WARNING",
    "WRITERS",
    "Channel",
    "ScanFile",
    "open",
    "read",
    "remarks_on",
    "write",
    "write_sxm",
]


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

_RANK = (*Quantity, None)
"""What is read first, of a file that holds several."""

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
        frames: How many there are, of a series; 0 for an image that stands alone.
    """

    name: str
    quantity: Quantity | None
    unit: str
    directions: tuple[str, ...]
    rows: int
    columns: int
    size_nm: tuple[float, float] | None
    acquisition: Acquisition
    frames: int = 0

    @property
    def pixel_nm(self) -> tuple[float, float] | None:
        """Pixel pitch (rows, columns), nm; None where the file says nothing."""
        if self.size_nm is None:
            return None
        return self.size_nm[0] / self.rows, self.size_nm[1] / self.columns


@dataclass(frozen=True, slots=True)
class ScanFile:
    """What a file holds, without its pixels."""

    path: Path
    format: str
    channels: tuple[Channel, ...]
    _listed: tuple[Format, Sequence[Frame]] = field(repr=False, compare=False)

    def shown(self, name: str | None = None) -> Channel:
        """The channel of that name, or else the one that `read` chooses."""
        named = [channel for channel in self.channels if channel.name == name]
        return (named or sorted(self.channels, key=lambda c: _RANK.index(c.quantity)))[0]


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
            frames=frame.number or 0,  # the last one's
        )
    return ScanFile(path, reader.NAME, tuple(channels.values()), (reader, frames))


def read(
    path: Path | str | ScanFile,
    channel: str | None = None,
    direction: str | None = None,
    *,
    frame: int | None = None,
    size_nm: tuple[float, float] | None = None,
    unit: str | None = None,
) -> Scan:
    """Reads one channel of a scan file.

    Args:
        path: The file; or what `open` made of it, if it has not changed since.
        channel: Its name in the file; by default the first height, else current, else counts.
        direction: "forward" or "backward"; by default forward, or the only one there is.
        frame: Number of a frame in a series, from 1; of a series one must be chosen.
        size_nm: Field of view (height, width), nm, for a file that does not say it, or to put
            right what it says.
        unit: Of the values, for a file that does not say it: "nm", "m", "pm", "angstrom", "A"
            (ampere), "nA", "pA", "counts", or with a number, "2.5e-6nm", of which the values are
            multiples.

    Raises:
        ReadError: No such file, format, channel, direction or frame; a damaged file; no scale.
        ScanError: The image is too large for the memory of an ordinary machine.
    """
    if isinstance(path, ScanFile):
        path, (reader, frames) = path.path, path._listed
    else:
        path = Path(path)
        reader, frames = _frames(path)
    image = _choose(path, frames, channel, direction, frame)
    height, width = scale.size_nm(path, image, size_nm)
    kind, factor = scale.unit(path, image, unit)
    held = _held(path, reader, image)
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is infinite
        values = held.astype(np.float32 if factor == 1 else np.float64)
        values = (values * factor).astype(np.float32, copy=False)
    with _own_errors_only(path, reader.NAME), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if image.assumed and unit is None and kind is Quantity.HEIGHT:
        must_not_look_like_metres(path, values)

    memory = image.memory
    if memory and size_nm is None and memory.fits(image.shape, image.size_nm):
        # A file of ours: its pixels came from another one, and were not touched since.
        return Scan(values, memory.pixel_nm, kind, memory.acquisition, memory.history)
    rows, columns = image.shape
    acquisition = replace(
        image.acquisition,
        channel=image.channel,
        direction=image.direction,
        source=path.name,
        source_sha256=digest,
        frame=image.number,
    )
    which = "" if image.number is None else f"frame {image.number}"
    history = [" ".join(filter(None, ("read", path.name, image.channel, image.direction, which)))]
    if size_nm is not None:
        history.append(f"size given as {height:g} x {width:g} nm")
    history += [WARNING + remark for remark in remarks(held, kind)]
    return Scan(values, (height / rows, width / columns), kind, acquisition, tuple(history))


def remarks_on(path: Path | str, channel: str | None = None) -> tuple[str, ...]:
    """What is odd about the numbers of a channel, or of the first frame of a series.

    Saturated pixels, numbers that overflowed, negative counts: what `read` puts into the history
    as a warning; besides, why they cannot be read as a scan.

    Raises:
        ReadError: No such file, format or channel.
    """
    path = Path(path)
    reader, frames = _frames(path)
    first = next((image.number for image in frames if channel in (None, image.channel)), None)
    image = _choose(path, frames, channel, None, first)
    try:
        return remarks(_held(path, reader, image), _quantity(image))
    except ScanmendError as error:
        return (str(error),)


def _held(path: Path, reader: Format, image: Frame) -> NDArray[Any]:
    """The numbers of an image as its file holds them, shape (rows, columns)."""
    if path.stat().st_size >= math.prod(image.shape):  # a smaller file lies, and is told so below
        must_not_be_huge(*image.shape)
    with _own_errors_only(path, reader.NAME):
        values = real(path, np.asarray(image.load()))
        if values.shape != image.shape:
            raise CorruptFile(f"{path.name} declares {image.shape} pixels, holds {values.shape}")
        return values


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
    path: Path,
    frames: Sequence[Frame],
    channel: str | None,
    direction: str | None,
    number: int | None,
) -> Frame:
    names = list(dict.fromkeys(frame.channel for frame in frames))
    if channel is None:
        channel = min(frames, key=lambda frame: _RANK.index(_quantity(frame))).channel
    if channel not in names:
        raise NoSuchChannel(f"{path.name} has no channel {channel!r}; it has {', '.join(names)}")
    series = [frame for frame in frames if frame.channel == channel]
    if len(series) > 1 and series[0].number is not None:
        rows, columns = series[0].shape
        if number is None:
            raise UnsupportedFeature(
                f"{path.name} is a stack of {len(series)} frames of {rows} x {columns} pixels, and "
                "scans are read one by one: choose one (frame=N, --frame N, from 1)"
            )
        if not 1 <= number <= len(series):
            raise NoSuchChannel(f"{path.name} has frames 1 to {len(series)}, and not {number}")
        return series[number - 1]
    if number not in (None, 1):
        raise NoSuchChannel(f"{path.name} has one frame only, and not {number}")
    candidates = {frame.direction: frame for frame in series}
    if direction is None:
        return candidates.get("forward") or next(iter(candidates.values()))
    if direction not in candidates:
        there = ", ".join(d for d in candidates if d) or "none: leave the direction out"
        raise NoSuchChannel(
            f"{path.name} has no {direction!r} direction of {channel!r}; it has {there}"
        )
    return candidates[direction]
