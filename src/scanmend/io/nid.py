"""NanoSurf .nid images, by a reader of our own: `NSFopen` fails on real files.

An INI header, then `#!` and the images of all data sets in the order in which `[DataSet]` lists
them. Integers span the range that the header gives to the channel; the first line is the lowest,
whichever way was scanned.
"""

from __future__ import annotations

import configparser
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile, UnsupportedFeature
from ..scan import Acquisition
from .frame import Frame, pixels
from .units import length_nm, measure, nanoamperes, volts

NAME = "NanoSurf NID"
_DATA = b"#!"
_HEADER_LIMIT = 1 << 22
_MOST = 256
"""Groups, and channels in a group: vendors' files have a few of each."""


def recognises(head: bytes, path: Path) -> bool:
    """Whether a file that begins with `head` is ours."""
    return head.startswith(b"[DataSet]")


def frames(path: Path) -> Sequence[Frame]:
    """Every image; the spectra between them are skipped."""
    with path.open("rb") as file:
        raw = file.read(_HEADER_LIMIT)
    end = raw.find(b"\n" + _DATA) + 1
    if not end:
        raise CorruptFile(f"{path.name}: the header never ends (no {_DATA.decode()})")
    header = configparser.ConfigParser(interpolation=None, strict=False, delimiters="=")
    header.optionxform = str  # type: ignore[method-assign]  # names differ in their capitals
    header.read_string(raw[:end].decode("utf-8", "replace"))
    acquisition = _acquisition(header["DataSet-Info"])

    found, offset = [], end + len(_DATA)
    for name in _order(header["DataSet"]):
        about = header[name]
        bits = int(about["SaveBits"])
        shape = int(about["Lines"]), int(about["Points"])
        if "scan" in about["Frame"].lower():
            found.append(_frame(path, about, shape, bits, offset, acquisition))
        offset += bits // 8 * shape[0] * shape[1]
    return found


def _order(about: configparser.SectionProxy) -> list[str]:
    groups = min(int(about["GroupCount"]), _MOST)
    keys = [f"Gr{group}-Ch{channel}" for group in range(groups) for channel in range(_MOST)]
    return [about[key] for key in keys if key in about]


def _frame(
    path: Path,
    about: configparser.SectionProxy,
    shape: tuple[int, int],
    bits: int,
    offset: int,
    acquisition: Acquisition,
) -> Frame:
    if about["SaveMode"] != "Binary" or about["SaveOrder"] != "Intel" or bits not in (8, 16, 32):
        raise UnsupportedFeature(
            f"{path.name}: samples are {about['SaveMode']}, {about['SaveOrder']}, {bits} bits, "
            "not little-endian integers"
        )
    height, width = (
        length_nm(float(about[f"{axis}Range"]), about[f"{axis}Unit"]) for axis in ("Dim1", "Dim0")
    )
    signed = about["SaveSign"] == "Signed"
    step = float(about["Dim2Range"]) / 2**bits
    zero = float(about["Dim2Min"]) + (step * 2 ** (bits - 1) if signed else 0.0)
    dtype = np.dtype(f"<{'i' if signed else 'u'}{bits // 8}")
    return Frame(
        channel=about["Dim2Name"],
        direction=about["Frame"].split()[-1].lower(),
        unit=about["Dim2Unit"],
        shape=shape,
        size_nm=(height, width) if height and width else None,
        load=partial(_load, path, dtype, shape, offset, step, zero),
        acquisition=acquisition,
    )


def _load(
    path: Path,
    dtype: np.dtype[Any],
    shape: tuple[int, int],
    offset: int,
    step: float,
    zero: float,
) -> NDArray[Any]:
    return (pixels(path, dtype, shape, offset) * step + zero)[::-1]


def _acquisition(about: configparser.SectionProxy) -> Acquisition:
    day, month, year = about.get("Date", "--").split("-")
    angle = measure(about.get("Rotation", ""))
    return Acquisition(
        bias_V=volts(about.get("Tip voltage", "")),
        setpoint_nA=nanoamperes(about.get("Setpoint", "")),
        angle_deg=angle[0] if angle else None,
        started=f"{year}-{month}-{day}T{about.get('Time', '')}" if year else None,
        instrument="NanoSurf",
    )
