"""Igor binary waves (.ibw), by a reader of our own: `igor2` obeys a damaged header for hours.

A wave of two axes is an image, one of three a stack of channels, named by its labels; the first
axis is x, the second y, upward. Waves that the exporter of Omicron's MATRIX made say in their note
how many lines the scan was to have: those of an interrupted scan are put back, as not measured.
Format: WaveMetrics, Igor Technical Note 003
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile, UnsupportedFeature
from ..scan import Acquisition
from .frame import Frame, completed, pixels, without_unscanned
from .units import length_nm

NAME = "Igor wave"
_VERSIONS = {b"\x05\0": "<", b"\0\x05": ">"}
_SIZES = "hH15i"  # of wave, formula, note, unit, units of 4 axes, labels of 4 axes, and three more
_WAVE = "12x i h 10x 32s 8x 4i 4d 32x 4s 4s 4s"
_DATA = 64 + 320
_TYPES = {2: "f4", 4: "f8", 8: "i1", 16: "i2", 32: "i4", 72: "u1", 80: "u2", 96: "u4"}
_LABEL = 32
_LINES = re.compile(r"lines per image\s*=\s*(\d+)")
_DIRECTION = re.compile(r"\b(forward|backward)\b\s*", re.IGNORECASE)


def recognises(head: bytes, path: Path) -> bool:
    """Whether a file is called .ibw and begins with the version of a wave of several axes."""
    return path.suffix.lower() == ".ibw" and head[:2] in _VERSIONS


def frames(path: Path) -> Sequence[Frame]:
    """Every layer of the wave."""
    with path.open("rb") as file:
        head = file.read(_DATA)
        order = _VERSIONS[head[:2]]
        sizes = struct.unpack_from(order + _SIZES, head)[2:]
        _, kind, bname, *numbers = struct.unpack_from(order + _WAVE, head, 64)
        # Behind the pixels lie formula, note, long units and labels, in this order.
        starts = list(accumulate(sizes[:12], initial=64))
        note, unit, labels = (_text(_part(file, starts, at)) for at in (2, 3, 10))
    shape = tuple(n for n in numbers[:4] if n)
    name = _text(bname)
    if len(shape) not in (2, 3) or kind not in _TYPES:
        raise UnsupportedFeature(
            f"{path.name} holds the wave {name!r} of {len(shape)} axes and type {kind}, "
            "not an image of 2 axes and real numbers"
        )
    columns, measured = shape[:2]
    planned = _LINES.search(note)
    lines = max(int(planned[1]), measured) if planned else measured
    width, height = (
        length_nm(abs(pitch) * count, _text(axis))
        for pitch, count, axis in zip(numbers[4:6], (columns, lines), numbers[9:11], strict=True)
    )
    direction = _DIRECTION.search(name)
    layers = [name] if len(shape) == 2 else _layers(labels, shape[2])
    dtype = np.dtype(order + _TYPES[kind])
    upward = name.lower().endswith("up")
    return [
        Frame(
            channel=_DIRECTION.sub("", layer) or layer,
            direction=direction[1].lower() if direction else None,
            unit=unit or _text(numbers[8]) or None,
            shape=(lines, columns),
            size_nm=(height, width) if height and width else None,
            load=partial(_load, path, dtype, (measured, columns), number, lines, upward),
            acquisition=Acquisition(instrument="Igor"),
        )
        for number, layer in enumerate(layers)
    ]


def _load(
    path: Path,
    dtype: np.dtype[Any],
    shape: tuple[int, int],
    layer: int,
    lines: int,
    upward: bool,
) -> NDArray[Any]:
    offset = _DATA + layer * shape[0] * shape[1] * dtype.itemsize
    image = pixels(path, dtype, shape, offset)  # lowest line first
    measured = without_unscanned(image)[::-1] if upward else without_unscanned(image[::-1])
    return completed(path, measured, lines, upward=upward)


def _part(file: Any, starts: list[int], at: int) -> bytes:
    size = starts[at + 1] - starts[at]
    if size < 0:
        raise CorruptFile(f"{Path(file.name).name} has a part of {size} bytes")
    file.seek(starts[at])
    return file.read(size)


def _layers(labels: str, count: int) -> list[str]:
    """Names along the third axis, from its labels: the first of them names the axis itself."""
    found = [labels[n : n + _LABEL].strip("\0 ") for n in range(_LABEL, len(labels), _LABEL)]
    return [*found, *(f"layer {n + 1}" for n in range(len(found), count))][:count]


def _text(raw: bytes) -> str:
    return raw.decode("latin-1").rstrip("\0 ")
