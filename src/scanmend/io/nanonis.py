"""Nanonis .sxm images, by a reader and a writer of our own: `nanonispy2` trusts every header.

A text header of `:TAG:` lines, the bytes 1A 04, then one big-endian float32 frame per channel and
direction, rows in the order scanned and pixels in the order displayed by time: an upward scan is
turned over here, a backward trace mirrored. Lines that were never scanned are NaN in the file.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile, UnsupportedFeature, WriteError
from ..scan import Acquisition, Quantity, Restoration, Scan
from .frame import Frame, pixels
from .provenance import named, recall, remember
from .si import UNITS, from_si, to_si
from .units import nanoamperes

NAME = "Nanonis SXM"
_END = b":SCANIT_END:"
_DATA = b"\x1a\x04"
_OURS = "SCANMEND"
"""A tag of our own, that others skip: a line a channel, its last digits and all but its pixels."""
_DIRECTIONS = {
    "both": ("forward", "backward"),
    "forward": ("forward",),
    "backward": ("backward",),
}


def recognises(head: bytes, path: Path) -> bool:
    """Whether a file that begins with `head` is ours."""
    return head.startswith(b":NANONIS_VERSION:")


def frames(path: Path) -> Sequence[Frame]:
    """Every channel in every direction that was recorded."""
    header, offset = _header(path)
    tags = _tags(header)
    sample = " ".join(_tag(path, tags, "SCANIT_TYPE").split())
    if sample != "FLOAT MSBFIRST":
        raise UnsupportedFeature(f"{path.name}: samples are {sample}, not big-endian floats")
    columns, rows = (int(n) for n in _tag(path, tags, "SCAN_PIXELS").split())
    width_m, height_m = (float(m) for m in _tag(path, tags, "SCAN_RANGE").split())
    upward = tags.get("SCAN_DIR", "down").strip() == "up"
    acquisition = _acquisition(tags)

    found = []
    for channel in _channels(_tag(path, tags, "DATA_INFO")):
        for direction in channel.directions:
            load = partial(_load, path, (rows, columns), offset, upward, direction == "backward")
            offset += 4 * rows * columns
            found.append(
                Frame(
                    channel.name,
                    direction,
                    channel.unit,
                    (rows, columns),
                    (height_m * 1e9, width_m * 1e9),
                    load,
                    acquisition,
                )
            )
    if _OURS in tags:
        lines = tags[_OURS].splitlines()
        found = [_remembered(*pair) for pair in zip(found, lines, strict=True)]
    return found


def _remembered(frame: Frame, line: str) -> Frame:
    """A channel of a file that we wrote, as it was when we wrote it."""
    digits, _, text = line.partition(" ")
    memory = recall(text)
    return replace(
        frame,
        direction=memory.acquisition.direction,
        unit=memory.quantity.value,
        load=partial(_exact, frame.load, memory.quantity, digits),
        memory=memory,
    )


def _exact(
    load: Callable[[], NDArray[np.float32]], quantity: Quantity, digits: str
) -> NDArray[np.float32]:
    return from_si(load(), quantity, digits)


def _load(
    path: Path, shape: tuple[int, int], offset: int, upward: bool, mirrored: bool
) -> NDArray[np.float32]:
    return _turned(pixels(path, ">f4", shape, offset), upward, mirrored)


def _turned(values: NDArray[np.float32], upward: bool, mirrored: bool) -> NDArray[np.float32]:
    """From the order of time to that of the display, or back."""
    return values[:: -1 if upward else 1, :: -1 if mirrored else 1]


@dataclass(frozen=True, slots=True)
class _Channel:
    name: str
    unit: str
    directions: tuple[str, ...]


def _header(path: Path) -> tuple[str, int]:
    """The header, and where the pixels begin."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        end = raw.find(_END)
        start = raw.find(_DATA, max(end, 0))
        if end < 0 or start < 0:
            raise CorruptFile(
                f"{path.name}: the header never ends (no {_END.decode()}, or no data)"
            )
        return raw[:end].decode("latin-1"), start + len(_DATA)


def _tags(header: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    tag = ""
    for line in header.splitlines():
        if line.startswith(":") and line.rstrip().endswith(":") and len(line) > 2:
            tag = line.strip().strip(":")
            tags[tag] = ""
        elif tag:
            tags[tag] += line + "\n"
    return tags


def _tag(path: Path, tags: dict[str, str], name: str) -> str:
    if name not in tags:
        raise CorruptFile(f"{path.name}: its header has no :{name}:")
    return tags[name]


def _channels(table: str) -> list[_Channel]:
    """Name, unit and direction of each channel: a tab-separated table under a line of headings."""
    rows = [line.strip().split("\t") for line in table.strip().splitlines()[1:] if line.strip()]
    return [_Channel(row[1], row[2], _DIRECTIONS[row[3].lower()]) for row in rows]


def _acquisition(tags: dict[str, str]) -> Acquisition:
    day, clock = tags.get("REC_DATE", "").strip(), tags.get("REC_TIME", "").strip()
    date = re.fullmatch(r"(\d+)\.(\d+)\.(\d{4})", day)
    return Acquisition(
        bias_V=_number(tags.get("BIAS")),
        setpoint_nA=_setpoint_nA(tags.get("Z-CONTROLLER", "")),
        angle_deg=_number(tags.get("SCAN_ANGLE")),
        started=f"{date[3]}-{date[2]:0>2}-{date[1]:0>2}T{clock}" if date else None,
        instrument="Nanonis",
    )


def _setpoint_nA(table: str) -> float | None:
    """From the table of the z controller, where its setpoint is a current."""
    lines = [line.strip("\t ").split("\t") for line in table.splitlines() if line.strip()]
    if len(lines) < 2 or "Setpoint" not in lines[0]:
        return None
    return nanoamperes(dict(zip(lines[0], lines[1], strict=False)).get("Setpoint", ""))


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of a scan beyond what its images say of themselves.

    Attributes:
        comment: What people see first: where the images come from.
        software: What took them.
        upward: They were scanned from the bottom to the top.
        offset_nm: Of the middle of the frame from that of the scanner: x, y, nm.
        line_s: Time for a line, forward and backward, s.
        controller: Name of the loop.
        proportional_nm, integral_nm_per_s: Its gains, for an error of one e-fold of the current.
    """

    comment: str
    software: str = "scanmend"
    upward: bool = False
    offset_nm: tuple[float, float] = (0.0, 0.0)
    line_s: tuple[float, float] = (0.0, 0.0)
    controller: str = "unknown"
    proportional_nm: float | None = None
    integral_nm_per_s: float | None = None


_NAMES = {"scan": "PROCESSED", "restored": "RESTORED", "measured": "MEASURED", "spread": "SPREAD"}
_QUANTITIES = {Quantity.HEIGHT: "Z", Quantity.CURRENT: "Current", Quantity.COUNTS: "Counts"}


def write(thing: Scan | Restoration, path: Path) -> None:
    """Channels named for what they are, so that no restored pixel can pass for a measured one.

    Raises:
        WriteError: Counts, for which the format has no unit.
    """
    scans = named(thing)
    first = next(iter(scans.values()))
    # All channels share one grid: measured lines that are fewer than the restored stay out.
    images = {
        (f"{_NAMES[name]}_{_QUANTITIES[scan.quantity]}", "forward"): scan
        for name, scan in scans.items()
        if scan.values.shape == first.values.shape
    }
    history = "; ".join(first.history)
    write_images(images, Header(f"Restored by scanmend, not raw data. {history}"), path)


def write_images(images: Mapping[tuple[str, str], Scan], header: Header, path: Path) -> None:
    """Images by channel and direction; bias, setpoint, angle and start are those of the first.

    Raises:
        WriteError: There is none, they differ in shape or size, one is of counts, for which the
            format has no unit, or a channel or direction has a name that cannot stand there.
    """
    _must_share_a_file(images)
    channels: dict[str, list[str]] = {}
    for channel, direction in images:
        channels.setdefault(channel, []).append(direction)
    table, frames, ours = ["\tChannel\tName\tUnit\tDirection\tCalibration\tOffset"], [], []
    for index, (channel, directions) in enumerate(channels.items()):
        which = "both" if len(directions) == 2 else directions[0]
        unit = UNITS[images[channel, directions[0]].quantity][0]
        table.append(f"\t{index}\t{channel}\t{unit}\t{which}\t1.000E+0\t0.000E+0")
        for direction in _DIRECTIONS[which]:
            values, digits = to_si(images[channel, direction])
            frames.append(_turned(values, header.upward, direction == "backward"))
            ours.append(f"{digits} {remember(images[channel, direction])}")
    tags = _header_of(next(iter(images.values())), header)
    tags |= {_OURS: "\n".join(ours), "DATA_INFO": "\n".join(table) + "\n"}
    text = "".join(f":{tag}:\n{text}\n" for tag, text in tags.items())
    with path.open("wb") as file:
        file.write(text.encode("latin-1", "replace") + _END + b"\n\n\n" + _DATA)
        for frame in frames:
            file.write(frame.astype(">f4").tobytes())


def _must_share_a_file(images: Mapping[tuple[str, str], Scan]) -> None:
    if not images:
        raise WriteError("a Nanonis file holds an image or more, got none")
    first = next(iter(images.values()))
    kinds: dict[str, Quantity] = {}
    for (channel, direction), scan in images.items():
        if direction not in ("forward", "backward"):
            raise WriteError(f"{channel}: a direction is forward or backward, got {direction!r}")
        if not re.fullmatch(r"[ -9;-~]+", channel):
            raise WriteError(f"{channel!r} cannot be the name of a Nanonis channel: ASCII, no ':'")
        if scan.quantity is Quantity.COUNTS:
            raise WriteError("Nanonis files hold heights and currents, not counts")
        if kinds.setdefault(channel, scan.quantity) is not scan.quantity:
            raise WriteError(f"{channel} is a height in one direction and a current in the other")
        if (scan.values.shape, scan.pixel_nm) != (first.values.shape, first.pixel_nm):
            raise WriteError(
                f"the images of a Nanonis file share one grid: {channel} {direction} has "
                f"{scan.values.shape} pixels of {scan.pixel_nm} nm, the first one "
                f"{first.values.shape} of {first.pixel_nm} nm"
            )


def _header_of(scan: Scan, header: Header) -> dict[str, str]:
    taken = scan.acquisition
    day, _, clock = (taken.started or "").partition("T")
    date = ".".join(reversed(day.split("-"))) if day else "01.01.1900"
    rows, columns = scan.values.shape
    height_m, width_m = (length * 1e-9 for length in scan.size_nm)
    x_m, y_m = (n * 1e-9 for n in header.offset_nm)
    forward_s, backward_s = header.line_s
    return {
        "NANONIS_VERSION": "2",
        "SCANIT_TYPE": "              FLOAT            MSBFIRST",
        "REC_DATE": f" {date}",
        "REC_TIME": clock or "00:00:00",
        "REC_TEMP": "      0.0000000000",
        "ACQ_TIME": f"       {rows * (forward_s + backward_s):.1f}",
        "SCAN_PIXELS": f"       {columns}       {rows}",
        "SCAN_FILE": taken.source or "",
        "SCAN_TIME": f"             {forward_s:.6E}             {backward_s:.6E}",
        "SCAN_RANGE": f"           {width_m!r}           {height_m!r}",
        "SCAN_OFFSET": f"             {x_m:.6E}         {y_m:.6E}",
        "SCAN_ANGLE": f"            {taken.angle_deg or 0.0:.6E}",
        "SCAN_DIR": "up" if header.upward else "down",
        "BIAS": f"            {float('nan') if taken.bias_V is None else taken.bias_V:.6E}",
        "Z-CONTROLLER": _controller(taken.setpoint_nA, header),
        "COMMENT": _line(header.comment),
        "NanonisMain>SW Version": _line(header.software),
    }


def _controller(setpoint_nA: float | None, header: Header) -> str:
    """A table of a line of headings and one of values; a time constant is the gains' quotient."""
    setpoint = "NaN" if setpoint_nA is None else f"{setpoint_nA * 1e-9:.6E} A"
    cells = {"Name": _line(header.controller), "on": "1", "Setpoint": setpoint}
    gain_nm, rate_nm_per_s = header.proportional_nm, header.integral_nm_per_s
    if gain_nm is not None:
        cells["P-gain"] = f"{gain_nm * 1e-9:.6E} m"
    if rate_nm_per_s is not None:
        cells["I-gain"] = f"{rate_nm_per_s * 1e-9:.6E} m/s"
    if gain_nm is not None and rate_nm_per_s:
        cells["T-const"] = f"{gain_nm / rate_nm_per_s:.6E} s"
    return "\n".join("\t" + "\t".join(line) for line in (cells.keys(), cells.values()))


def _line(text: str) -> str:
    """On one line, and none that could pass for a tag."""
    return " ".join(text.replace(_END.decode(), "").split())
