"""Files of electron microscopes (.dm3 .dm4 .ser .emi .emd .hspy), read by `rosettasciio`.

It is an extra, being GPL. Its readers are asked for lazy arrays, so that a list of channels loads
no pixels. What a pixel counts, such files do not say in one way: counts are assumed. TIA's files
(.ser, .emi) have their lowest line first; the library leaves it there, Gwyddion and ImageJ do not.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile, UnsupportedFeature
from .beam import taken
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
    """Every image, and every frame of a series; spectra are skipped.

    Raises:
        UnsupportedFeature: There is nothing but data of more axes, as of 4-D STEM.
    """
    found: list[Frame] = []
    larger: list[tuple[int, ...]] = []
    for place, image in enumerate(_images(path)):
        axes = [image["axes"][n] for n in _order(path, image["axes"])]
        shape = tuple(int(axis["size"]) for axis in axes)
        if len(axes) < 2 or (len(axes) == 3 and _is_spectrum_image(axes)):
            continue
        if len(axes) > 3:
            larger.append(shape)
            continue
        height, width = (_length_nm(axis) for axis in axes[-2:])
        frame = Frame(
            channel=image["metadata"].get("General", {}).get("title") or "image",
            direction=None,
            unit="counts",
            shape=(shape[-2], shape[-1]),
            size_nm=(height, width) if height and width else None,
            load=partial(_load, path, place, None),
            acquisition=taken(image.get("original_metadata"), image["metadata"]),
            assumed=True,
            unscaled=_unscaled(axes[-2:]),
        )
        if len(axes) == 2 or shape[0] == 1:
            found.append(
                frame if len(axes) == 2 else replace(frame, load=partial(_load, path, place, 0))
            )
        else:
            found += (
                replace(frame, number=n + 1, load=partial(_load, path, place, n))
                for n in range(shape[0])
            )
    if not found and larger:
        raise UnsupportedFeature(
            f"{path.name} is a data set of {len(larger[0])} axes ({' x '.join(map(str, larger[0]))}"
            "), as of 4-D STEM, and no image: make one of it first, with a virtual detector (in "
            "py4DSTEM, LiberTEM or HyperSpy)"
        )
    return found


def _order(path: Path, axes: Sequence[dict[str, Any]]) -> list[int]:
    """The array's axes as frames, rows, columns.

    So they are, but in Berkeley's EMD: of its axes, in any order, the library makes their reverse.
    There a name tells, or the unit of what is no length.
    """
    order = list(range(len(axes)))
    if path.suffix.lower() != ".emd":
        return order
    names = [str(axis.get("name", "")).lower() for axis in axes]
    lengths = [n for n in order if _length_nm(axes[n])]
    if names.count("x") == names.count("y") == 1:
        image = [names.index("y"), names.index("x")]
    elif len(axes) == 3 and len(lengths) == 2:
        # A series that the library has at the end was the first axis of three.
        image = lengths if lengths[1] == 2 else lengths[::-1]
    else:
        image = order[-2:]
    return [n for n in order if n not in image] + image


def _is_spectrum_image(axes: Sequence[dict[str, Any]]) -> bool:
    """Whether one axis only is the signal's."""
    return sum(not axis.get("navigate", False) for axis in axes) == 1


def _length_nm(axis: dict[str, Any]) -> float | None:
    """Of a whole axis; None where it has no unit of length."""
    return length_nm(abs(float(axis["scale"])) * int(axis["size"]), str(axis.get("units") or ""))


def _unscaled(axes: Sequence[dict[str, Any]]) -> str:
    units = [str(axis.get("units") or "no unit") for axis in axes]
    if any(re.search(r"1\s*/|\^-1|⁻¹", unit) for unit in units):
        return f" (its axes are in {units[0]}: a diffraction pattern or Fourier transform?)"
    return "" if units == ["no unit"] * 2 else f" (its axes are in {units[0]} and {units[1]})"


def _load(path: Path, place: int, number: int | None) -> NDArray[Any]:
    image = _images(path)[place]
    stored = image["data"].transpose(_order(path, image["axes"]))
    values = np.asarray(stored if number is None else stored[number])
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
    if path.suffix.lower() == ".ser":
        return _with_its_emi(path, reader)
    return reader.file_reader(str(path), lazy=True)


def _with_its_emi(path: Path, reader: Any) -> list[dict[str, Any]]:
    """The images of NAME_1.ser; what was set at the microscope is in NAME.emi, if it is there."""
    images = reader.file_reader(str(path), lazy=True)
    about = path.with_name(f"{path.stem.rpartition('_')[0]}.emi")
    if about.is_file():
        try:
            there = reader.file_reader(str(about), lazy=True)
        except Exception:  # it is damaged, and the image is not
            return images
        return [
            i for i in there if i["metadata"]["General"]["original_filename"] == path.name
        ] or images
    return images


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
