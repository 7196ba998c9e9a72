"""Createc .dat images, by a reader of our own: there is none to install that reads these files.

A header of `key=value` lines, then `DATA` and zlib-compressed float32 in steps of the converter:
one number that belongs to no image, the planes of all channels forward, the same backward, and a
tail of zeros. Backward lines run from left to right already; lines never scanned are zero.

`Channelselectval` has a bit for each channel recorded in one direction, `Channels` counts the
planes in the file: as many or twice as many, or the header contradicts itself.

Heights are scaled as Gwyddion does it. Currents are not: Gwyddion gives them the scale of the
heights. Here a step is 20 V / 2^bits over the preamplifier's gain, with which the mean current of a
scan comes out at its setpoint.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile
from ..scan import Acquisition
from .frame import Frame, without_unscanned

NAME = "Createc DAT"
_MAGIC = b"[Paramco32]"
_HEADER_LIMIT = 1 << 16
_DATA = re.compile(rb"DATA(?=\x78[\x01\x5e\x9c\xda])")  # then zlib; "DATA" alone may be in a path
_DAC_VOLTS = 20.0
_MOST_PACKED = 1032  # bytes that deflate can make of one
_OTHERS = {7: "df", 8: "Damping", 9: "Amplitude"}


def recognises(head: bytes, path: Path) -> bool:
    """Whether a file that begins with `head` is ours; versions 1 and 2 are left to Gwyddion."""
    return head.startswith(_MAGIC)


def frames(path: Path) -> Sequence[Frame]:
    """Every recorded channel, forward and backward."""
    fields, start = _header(path)
    columns, rows, selected = (int(fields[k]) for k in ("Num.X", "Num.Y", "Channelselectval"))
    planes, bits = int(fields["Channels"]), [b for b in range(32) if selected >> b & 1]
    if planes not in (len(bits), 2 * len(bits)):
        volts = int(fields.get("MVoltnumber11", "1"))
        series = f" (perhaps a series at {volts} voltages, which is not read here)"
        raise CorruptFile(
            f"{path.name} contradicts itself: {len(bits)} channels of {rows} x {columns} pixels "
            f"were recorded forward and backward, and {planes} planes are declared"
            + (series if volts > 1 else "")
        )
    size_nm = float(fields["Length y[A]"]) / 10, float(fields["Length x[A]"]) / 10
    acquisition = Acquisition(
        bias_V=float(fields["BiasVolt.[mV]"]) / 1000,
        setpoint_nA=_setpoint_nA(fields),
        angle_deg=_number(fields.get("Rotation")),
        instrument="Createc",
    )
    found = []
    for plane in range(planes):
        name, unit, scale = _signal(bits[plane % len(bits)], fields)
        found.append(
            Frame(
                name,
                "forward" if plane < len(bits) else "backward",
                unit,
                (rows, columns),
                size_nm,
                partial(_load, path, start, (planes, rows, columns), plane, scale),
                acquisition,
            )
        )
    return found


def _header(path: Path) -> tuple[dict[str, str], int]:
    """The fields, by the last of their names ("Num.X / Num.X=256"), and where the pixels begin."""
    with path.open("rb") as file:
        raw = file.read(_HEADER_LIMIT)
    data = _DATA.search(raw)
    if data is None:
        raise CorruptFile(f"{path.name}: the header never ends (no DATA, or nothing packed after)")
    lines = raw[: data.start()].decode("cp1252", "replace").splitlines()
    pairs = (line.partition("=") for line in lines)
    return {key.rpartition(" / ")[2].strip(): value.strip() for key, _, value in pairs}, data.end()


def _signal(bit: int, fields: dict[str, str]) -> tuple[str, str, float]:
    """Name, unit, and how many of that unit one step of the converter is."""
    volts = _DAC_VOLTS / 2 ** int(re.sub(r"\D", "", fields.get("DAC-Type", "")) or 20)
    if bit == 0:
        return "Topography", "nm", volts * _positive(fields, "GainZ", "ZPiezoconst") / 10
    if bit == 1:
        return "Current", "nA", volts * 1e9 / 10 ** float(fields["GainPre 10^"])
    return _OTHERS.get(bit, f"ADC{bit - 1}"), "DAC", 1.0


def _positive(fields: dict[str, str], *names: str) -> float:
    product = math.prod(float(fields[name]) for name in names)
    if not (math.isfinite(product) and product > 0):
        raise CorruptFile(f"{' and '.join(names)} multiply to {product:g}: heights have no scale")
    return product


def _setpoint_nA(fields: dict[str, str]) -> float | None:
    """Of the feedback, where what it holds is the current."""
    setpoint_A = _number(fields.get("SetPoint"))
    return setpoint_A * 1e9 if setpoint_A and fields.get("FBChannel", "0") == "0" else None


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _load(
    path: Path, start: int, shape: tuple[int, int, int], plane: int, scale: float
) -> NDArray[Any]:
    with path.open("rb") as file:
        file.seek(start)
        packed = file.read()
    planes, rows, columns = shape
    size = 4 * rows * columns
    if 4 + planes * size > len(packed) * _MOST_PACKED:
        raise CorruptFile(
            f"{path.name} contradicts itself: {planes} planes of {rows} x {columns} pixels "
            f"cannot come out of {len(packed)} bytes"
        )
    first = 4 + plane * size
    raw = zlib.decompressobj().decompress(packed, first + size)
    if len(raw) < first + size:
        raise CorruptFile(
            f"{path.name} is cut short: {planes} planes of {rows} x {columns} pixels need "
            f"{4 + planes * size} bytes, and {len(raw)} are there"
        )
    values = np.frombuffer(raw, "<f4", rows * columns, first).reshape(rows, columns)
    return without_unscanned(values) * scale
