"""Bare arrays: NumPy's .npy, and float64 after a count of rows and columns (.dat).

Neither knows a scale, nor a unit: heights in nm are assumed until the user says otherwise.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedFeature
from ..scan import Restoration, Scan
from .frame import Frame, pixels

NAME = "array (.npy, .dat)"
_NPY = b"\x93NUMPY"


def recognises(head: bytes, path: Path) -> bool:
    """Whether a file is an .npy, or two counts followed by just so many float64."""
    return head.startswith(_NPY) or _counts(head, path) is not None


def frames(path: Path) -> Sequence[Frame]:
    """The one image of the file, or each of a series along the first axis."""
    with path.open("rb") as file:
        head = file.read(8)
        if head.startswith(_NPY):
            file.seek(0)
            shape, transposed, dtype, offset = _npy_header(file)
        else:
            shape, transposed, dtype, offset = _counts(head, path), False, np.dtype("<f8"), 8
    if shape is None or len(shape) not in (2, 3):
        raise UnsupportedFeature(_no_image(path, shape or ()))
    if dtype.kind not in "fiu":
        raise UnsupportedFeature(f"{path.name} holds {dtype}, not real numbers")
    rows, columns = shape[-2:]
    return [
        Frame(
            *("values", None, "nm", (rows, columns), None),
            load=partial(_load, path, dtype, shape, transposed, offset, number),
            assumed=True,
            number=None if number is None else number + 1,
        )
        for number in (range(shape[0]) if len(shape) == 3 else (None,))
    ]


def write(thing: Scan | Restoration, path: Path) -> None:
    """The values alone: of a restoration, its mean."""
    scan = thing.mean if isinstance(thing, Restoration) else thing
    memory = io.BytesIO()  # because NumPy, when a disk is full, does not say so
    np.save(memory, scan.values, allow_pickle=False)
    path.write_bytes(memory.getbuffer())


def _load(
    path: Path,
    dtype: np.dtype,
    shape: tuple[int, ...],
    transposed: bool,
    offset: int,
    number: int | None,
) -> NDArray[Any]:
    if transposed:
        stored = pixels(path, dtype, shape[::-1], offset).T
        return stored if number is None else stored[number]
    return pixels(
        path, dtype, shape[-2:], offset + (number or 0) * dtype.itemsize * math.prod(shape[-2:])
    )


def _npy_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
    if header is None:
        header = np.lib.format.read_array_header_2_0
    shape, transposed, dtype = header(file)
    return shape, transposed, dtype, file.tell()


def _counts(head: bytes, path: Path) -> tuple[int, int] | None:
    if len(head) < 8:
        return None
    rows, columns = struct.unpack("<ii", head[:8])
    fits = rows > 0 and columns > 0 and path.stat().st_size == 8 + 8 * rows * columns
    return (rows, columns) if fits else None


def _no_image(path: Path, shape: tuple[int, ...]) -> str:
    size = " x ".join(str(n) for n in shape) or "a single number"
    return f"{path.name} holds an array of {len(shape)} axes ({size}), not an image of 2"
