"""Createc .dat images (STMAFM from version 3 on).

A header of `key=value` lines, then `DATA` and zlib-compressed float32: one number that belongs to no
image, the planes of all channels forward, the same backward, and a tail of zeros. Backward lines run
from left to right already.

In the header, `Chan(1,2,4) / ScanChannels` counts what was recorded in one direction and `Channels`
the planes in the file: twice as many, or the header contradicts itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile, UnsupportedFeature
from ..scan import Acquisition
from .frame import Frame

NAME = "Createc DAT"
_MAGIC = (b"[Paramco32]", b"[Paramet32]", b"[Parameter]")
_HEADER_LIMIT = 1 << 16
_DAC_VOLTS = 20.0


def recognises(head: bytes, path: Path) -> bool:
    """Whether a file that begins with `head` is ours."""
    return head.startswith(_MAGIC)


def frames(path: Path) -> Sequence[Frame]:
    """Every recorded channel, forward and backward."""
    fields, start = _header(path)
    columns, rows, selected = (int(fields[k]) for k in ("Num.X", "Num.Y", "Channelselectval"))
    planes, bits = int(fields["Channels"]), [b for b in range(32) if selected >> b & 1]
    if min(rows, columns) <= 0:
        raise CorruptFile(f"{path.name} declares an image of {rows} x {columns} pixels")
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
        bias_V=float(fields["Biasvolt[mV]"]) / 1000,
        setpoint_nA=_setpoint_nA(fields),
        angle_deg=float(fields.get("Rotation", "nan")),
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
