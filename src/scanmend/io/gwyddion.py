"""Gwyddion's own files: .gwy containers, new (GWYP) and old (GWYO), and .gsf simple fields.

The .gwy parser is our own: `gwyfile`, which writes ours, knows no GWYO, and a damaged file can
keep it busy for ever.
Format: http://gwyddion.net/documentation/user-guide-en/gwyfile-format.html
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile
from ..scan import Restoration, Scan
from .frame import Frame, pixels
from .provenance import Memory, named, provenance, recall, remember
from .si import UNITS, from_si, to_si
from .units import length_nm

NAME = "Gwyddion (.gwy, .gsf)"
_GSF = b"Gwyddion Simple Field 1.0\n"
_DEEPEST = 16


def recognises(head: bytes, path: Path) -> bool:
    """Whether a file that begins with `head` is a container or a simple field."""
    return head[:4] in (b"GWYP", b"GWYO") or head.startswith(_GSF)


def frames(path: Path) -> Sequence[Frame]:
    """Every channel of a container, or the one image of a simple field."""
    with path.open("rb") as file:
        if file.read(4) not in (b"GWYP", b"GWYO"):
            return [_simple_field(path)]
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            container = _Parser(raw).container()
    keys = sorted(
        (int(found[1]) for key in container if (found := re.fullmatch(r"/(\d+)/data", key))),
    )
    return [_channel(path, container, key) for key in keys]


def _channel(path: Path, container: dict[str, Any], key: int) -> Frame:
    field, meta = container[f"/{key}/data"], container.get(f"/{key}/meta", {})
    shape = field["yres"], field["xres"]
    count, offset = field["data"]
    if count != shape[0] * shape[1]:
        raise CorruptFile(f"{path.name}: channel {key} declares {shape} pixels, holds {count}")
    lateral, unit = (field.get(f"si_unit_{axis}", {}).get("unitstr", "") for axis in ("xy", "z"))
    if (
        container.get("") == "GWYO"
    ):  # its units are those displayed; the numbers are SI all the same
        lateral, unit = lateral[-1:], unit[-1:]
    scale = length_nm(1.0, lateral)
    memory = recall(meta["scanmend"]) if "scanmend" in meta else None
    mask = container.get(f"/{key}/mask") if memory else None
    return Frame(
        channel=container.get(f"/{key}/data/title", f"channel {key}"),
        direction=memory.acquisition.direction if memory else None,
        unit=unit or (memory.quantity.value if memory else None),
        shape=shape,
        size_nm=(field["yreal"] * scale, field["xreal"] * scale) if scale else None,
        load=partial(_load, path, shape, offset, mask["data"][1] if mask else None),
        memory=memory,
    )


def _load(path: Path, shape: tuple[int, int], offset: int, mask: int | None) -> NDArray[Any]:
    values = pixels(path, "<f8", shape, offset)
    if mask is not None:  # of ours: what was not measured
        values[pixels(path, "<f8", shape, mask) > 0] = np.nan
    return values


class _Parser:
    """Walks a serialised container; arrays stay in the file, as (count, offset)."""

    def __init__(self, raw: mmap.mmap) -> None:
        self.raw = raw
        self.old = raw[:4] == b"GWYO"
        self.at = 4

    def container(self) -> dict[str, Any]:
        found = self.thing(len(self.raw), 0)
        return found | {"": "GWYO"} if self.old else found

    def thing(self, end: int, depth: int) -> dict[str, Any]:
        """One object: its name, its size, its components."""
        if depth > _DEEPEST:
            raise CorruptFile(f"objects lie in one another more than {_DEEPEST} deep")
        name = self.text(end)
        size = self.number("<I", end)
        if self.at + size > end:
            raise CorruptFile(f"{name} declares {size} bytes and {end - self.at} are left")
        end = self.at + size
        parts: dict[str, Any] = {}
        while self.at < end:
            if self.old and name == "GwyContainer":  # GLib's type number before the name
                kind = _GLIB.get(self.number("<I", end), "?")
                key = self.text(end)
            else:
                key = self.text(end)
                kind = self.take(1, end).decode("latin-1")
            parts[key] = self.value(kind, end, depth)
        return parts

    def value(self, kind: str, end: int, depth: int) -> Any:
        if kind == "o":
            return self.thing(end, depth + 1)
        if kind == "s":
            return self.text(end)
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind], end)
        if kind == "S":
            return [self.text(end) for _ in range(self.number("<I", end))]
        if kind == "O":
            return [self.thing(end, depth + 1) for _ in range(self.number("<I", end))]
        if kind in _ARRAYS:
            count = self.number("<I", end)
            offset = self.at
            self.skip(count * _ARRAYS[kind], end)
            return count, offset
        raise CorruptFile(f"a component has the unknown type {kind!r}")

    def text(self, end: int) -> str:
        stop = self.raw.find(b"\0", self.at, end)
        if stop < 0:
            raise CorruptFile("a string never ends")
        found = self.raw[self.at : stop]
        self.at = stop + 1
        return found.decode("utf-8", "replace")

    def number(self, form: str, end: int) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form), end))[0]

    def take(self, size: int, end: int) -> bytes:
        start = self.at
        self.skip(size, end)
        return self.raw[start : self.at]

    def skip(self, size: int, end: int) -> None:
        if self.at + size > end:
            raise CorruptFile(f"a component of {size} bytes begins {end - self.at} before the end")
        self.at += size


_NUMBERS = {"b": "<?", "c": "<b", "i": "<i", "q": "<q", "d": "<d"}
_ARRAYS = {"C": 1, "I": 4, "Q": 8, "D": 8}
_GLIB = {12: "c", 20: "b", 24: "i", 28: "i", 40: "q", 44: "q", 60: "d", 64: "s", 80: "o"}


def write_gwy(thing: Scan | Restoration, path: Path) -> None:
    """Channels in SI units; what was not measured is masked, for Gwyddion's fields know no NaN."""
    from gwyfile.objects import GwyContainer, GwyDataField

    container = GwyContainer()
    for key, (name, scan) in enumerate(named(thing).items()):
        unit, per_si = UNITS[scan.quantity]
        height, width = (length * 1e-9 for length in scan.size_nm)
        missing = np.isnan(scan.values)
        values = scan.values.astype(np.float64) / per_si
        if missing.any():
            values[missing] = 0 if missing.all() else np.nanmean(values)
            container[f"/{key}/mask"] = GwyDataField(
                missing.astype(np.float64), width, height, si_unit_xy="m"
            )
        container[f"/{key}/data"] = GwyDataField(
            values, width, height, si_unit_xy="m", si_unit_z=unit
        )
        container[f"/{key}/data/title"] = name
        container[f"/{key}/data/visible"] = True
        meta = {"scanmend": remember(scan), "provenance": provenance(thing)}
        container[f"/{key}/meta"] = GwyContainer(meta, dict.fromkeys(meta, "s"))
    container.tofile(str(path))


def _simple_field(path: Path) -> Frame:
    with path.open("rb") as file:
        offset = len(file.readline())
        fields: dict[str, str] = {}
        while (line := file.readline(1 << 26)) and not line.startswith(b"\0"):
            key, _, value = line.decode("utf-8").partition("=")
            fields[key.strip()] = value.strip()
            offset = file.tell()
    offset += 4 - offset % 4  # one to four NULs, to a multiple of four
    shape = int(fields["YRes"]), int(fields["XRes"])
    memory = recall(fields["Scanmend"]) if "Scanmend" in fields else None
    scale = length_nm(1.0, fields.get("XYUnits", ""))
    size_nm = None
    if scale and "XReal" in fields and "YReal" in fields:
        size_nm = float(fields["YReal"]) * scale, float(fields["XReal"]) * scale
    return Frame(
        channel=fields.get("Title") or "field",
        direction=memory.acquisition.direction if memory else None,
        unit=memory.quantity.value if memory else fields.get("ZUnits") or None,
        shape=shape,
        size_nm=size_nm,
        load=partial(_load_simple, path, shape, offset, memory, fields.get("ScanmendDigits", "")),
        memory=memory,
    )


def _load_simple(
    path: Path, shape: tuple[int, int], offset: int, memory: Memory | None, digits: str
) -> NDArray[np.float32]:
    values = pixels(path, "<f4", shape, offset)
    return from_si(values, memory.quantity, digits) if memory else values


def write_gsf(thing: Scan | Restoration, path: Path) -> None:
    """One field, of a restoration its mean; the format has float32 in base units only."""
    from gsffile import write_gsf as write

    name, scan = next(iter(named(thing).items()))
    height, width = (length * 1e-9 for length in scan.size_nm)
    values, digits = to_si(scan)
    about = {
        "XReal": repr(width),
        "YReal": repr(height),
        "XYUnits": "m",
        "ZUnits": UNITS[scan.quantity][0],
        "Title": name,
        # The format forbids "=" in a value; JSON has another spelling for it.
        "Scanmend": remember(scan).replace("=", "\\u003d"),
        "ScanmendDigits": digits,
    }
    write(path, values, about)
