"""RHK .sm4 files, by a reader of our own: `spym` prints its errors and returns nothing.

Pages of int32, each an image in one scan direction. Tables of objects (kind, offset, size) lead
from the file header to the index of pages, and from each page to its header, strings and data;
layout after the vendor's description as kept in `spym`. Lateral scales may be negative: the data
then run leftward or downward.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile
from ..scan import Acquisition
from .frame import Frame, pixels
from .units import length_nm

NAME = "RHK SM4"
_SIGNATURE = "STiMage 005.".encode("utf-16-le")
_INDEX_HEADER, _INDEX, _PAGE_HEADER, _PAGE_DATA, _STRINGS = 1, 2, 3, 4, 10
_IMAGE = 0
_MOST_PAGES = 4096
_PAGE = struct.Struct("<16x4I")  # identity, kind of data, source, objects, version
_HEADER = struct.Struct("<2H11I2i11f4I64x")
_DIRECTIONS = {0: "forward", 1: "backward"}


def recognises(head: bytes, path: Path) -> bool:
    """Whether a file that begins with `head` is an SM4 of version 5."""
    return head[2:].startswith(_SIGNATURE)


def frames(path: Path) -> Sequence[Frame]:
    """Every page that is an image."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        return _pages(path, raw)


def _pages(path: Path, raw: mmap.mmap) -> list[Frame]:
    (size,) = struct.unpack_from("<H", raw)
    (tables,) = struct.unpack_from("<I", raw, 2 + 36 + 4)
    index = _objects(raw, size + 2, tables)[_INDEX_HEADER]
    count, tables = struct.unpack_from("<2I", raw, index)
    if count > _MOST_PAGES:
        raise CorruptFile(f"{path.name} declares {count} pages")
    at = _objects(raw, index + 16, tables)[_INDEX]
    found = []
    for _ in range(count):
        kind, _, tables, _ = _PAGE.unpack_from(raw, at)
        objects = _objects(raw, at + _PAGE.size, tables)
        at += _PAGE.size + 12 * tables
        if kind == _IMAGE:
            found.append(_page(path, raw, objects))
    return found


def _page(path: Path, raw: mmap.mmap, objects: dict[int, int]) -> Frame:
    start = objects[_PAGE_HEADER]
    header = _HEADER.unpack_from(raw, start)
    (_, strings, *_), (columns, rows) = header, header[7:9]
    scan_type = header[10]
    x_nm, y_nm, z_scale, _, _, _, z_offset, _, bias_V, current_A, angle = header[15:26]
    texts = _texts(raw, _objects(raw, start + _HEADER.size, header[29])[_STRINGS], strings)
    label, date, clock, lateral, unit = texts[0], texts[5], texts[6], texts[7], texts[9]
    month, day, year = date.split("/")
    completed = int(texts[13] or rows)
    scale = length_nm(1.0, lateral)
    return Frame(
        channel=label,
        direction=_DIRECTIONS.get(scan_type),
        unit=unit,
        shape=(rows, columns),
        size_nm=(abs(y_nm) * rows * scale, abs(x_nm) * columns * scale) if scale else None,
        load=partial(
            _load,
            path,
            (rows, columns),
            objects[_PAGE_DATA],
            (z_scale, z_offset),
            completed,
            (slice(None, None, -1 if y_nm > 0 else 1), slice(None, None, -1 if x_nm < 0 else 1)),
        ),
        acquisition=Acquisition(
            bias_V=bias_V,
            setpoint_nA=current_A * 1e9,
            angle_deg=angle,
            started=f"20{year}-{month}-{day}T{clock}",
            instrument="RHK",
        ),
    )


def _load(
    path: Path,
    shape: tuple[int, int],
    offset: int,
    calibration: tuple[float, float],
    completed: int,
    upright: tuple[slice, slice],
) -> NDArray[Any]:
    scale, zero = calibration
    values = pixels(path, "<i4", shape, offset) * scale + zero
    values[completed:] = np.nan
    return values[upright]


def _objects(raw: mmap.mmap, at: int, count: int) -> dict[int, int]:
    """Offsets of the objects of a table, by their kind."""
    if at + 12 * count > len(raw):
        raise CorruptFile(f"a table of {count} objects does not fit into the file")
    table = struct.iter_unpack("<3I", raw[at : at + 12 * count])
    return {kind: offset for kind, offset, _ in table}


def _texts(raw: mmap.mmap, at: int, count: int) -> list[str]:
    """UTF-16 strings, each after its length."""
    texts = []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", raw, at)
        stop = at + 2 + 2 * length
        texts.append(np.frombuffer(raw[at + 2 : stop], "<u2").tobytes().decode("utf-16-le"))
        at = stop
    return texts
