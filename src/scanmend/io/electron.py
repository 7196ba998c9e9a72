"""Files of electron microscopes (.dm3 .dm4 .ser .emi .emd .hspy), read by `rosettasciio`.

It is an extra, being GPL. Its readers are asked for lazy arrays, so that a list of channels loads
no pixels. What a pixel counts, such files do not say in one way: counts are assumed. TIA's files
(.ser, .emi) have their lowest line first; the library leaves it there, Gwyddion and ImageJ do not.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile, UnsupportedFeature
from .frame import Frame
from .units import length_nm

NAME = "electron microscopy (.dm3, .dm4, .ser, .emi, .emd, .hdf5)"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_READERS = {
    ".dm3": ("digitalmicrograph", b"\0\0\0\3"),
    ".dm4": ("digitalmicrograph", b"\0\0\0\4"),
    ".ser": ("tia", b"II\x97\1"),
    ".emi": ("tia", b"JK"),
    ".emd": ("emd", _HDF5),
    ".hdf5": ("hspy", _HDF5),
    ".hspy": ("hspy", _HDF5),
}


def recognises(head: bytes, path: Path) -> bool:
    """Whether a file is called, and begins, like one of an electron microscope."""
    reader = _READERS.get(path.suffix.lower())
    return reader is not None and head.startswith(reader[1])


def frames(path: Path) -> Sequence[Frame]:
    """Every image; stacks are refused, spectra skipped."""
    found = []
    for number, image in enumerate(_images(path)):
        axes = image["axes"]  # in the order of the array
        if len(axes) == 3:
            size = " x ".join(str(axis["size"]) for axis in axes[1:])
            raise UnsupportedFeature(
                f"{path.name} is a stack of {axes[0]['size']} frames of {size} pixels, and scans "
                "are read one by one: save the frame you want as a file of its own"
            )
        if len(axes) != 2:
            continue
        height, width = (_length_nm(axis) for axis in axes)
        found.append(
            Frame(
                channel=image["metadata"].get("General", {}).get("title") or "image",
                direction=None,
                unit="counts",
                shape=(int(axes[0]["size"]), int(axes[1]["size"])),
                size_nm=(height, width) if height and width else None,
                load=partial(_load, path, number),
                assumed=True,
            )
        )
    return found


def _length_nm(axis: dict[str, Any]) -> float | None:
    """Of a whole axis; None where it has no unit of length."""
    return length_nm(float(axis["scale"]) * int(axis["size"]), str(axis.get("units") or ""))


def _load(path: Path, number: int) -> NDArray[Any]:
    values = np.asarray(_images(path)[number]["data"])
    return values[::-1] if _READERS[path.suffix.lower()][0] == "tia" else values


def _images(path: Path) -> list[dict[str, Any]]:
    plugin, _ = _READERS[path.suffix.lower()]
    if path.suffix.lower() == ".ser":
        _must_fit(path)
    try:
        reader = import_module(f"rsciio.{plugin}")
    except ImportError:
        raise UnsupportedFeature(
            f"{path.name} is a file of an electron microscope: pip install scanmend[em] to read it"
        ) from None
    return reader.file_reader(str(path), lazy=True)


def _must_fit(path: Path) -> None:
    """The library gives a series all the memory that its header asks for, before it looks."""
    with path.open("rb") as file:
        version, count = struct.unpack("<4xH12xI", file.read(22))
        kind = "<I" if version <= 528 else "<Q"
        (table,) = struct.unpack(kind, file.read(struct.calcsize(kind)))
        file.seek(table)
        (first,) = struct.unpack(kind, file.read(struct.calcsize(kind)))
        file.seek(first + 42)
        columns, rows = struct.unpack("<2I", file.read(8))
    if count * columns * rows > path.stat().st_size:
        raise CorruptFile(
            f"{path.name} declares {count} images of {rows} x {columns} pixels, which is more "
            "than the file holds"
        )
