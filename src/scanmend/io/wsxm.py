"""WSxM images (.top, .stp and their kin), by a reader of our own: none is worth its dependencies.

A header of sections, then one image of int16, float32 or float64, as the header says, right to left
and bottom to top. What an integer is worth follows from the amplitude of the whole image.
Format: I. Horcas et al., Rev. Sci. Instrum. 78, 013705 (2007), doi:10.1063/1.2432410
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import CorruptFile, UnsupportedFeature
from ..scan import Acquisition
from .frame import Frame, pixels
from .units import length_nm, measure, nanoamperes, volts

NAME = "WSxM"
_MAGIC = b"WSxM file copyright"
_SIZE = re.compile(rb"Image header size: (\d+)")
_TYPES = {"short": "<i2", "float": "<f4", "double": "<f8"}
_DIRECTIONS = {"Forward": "forward", "Backward": "backward"}


def recognises(head: bytes, path: Path) -> bool:
    """Whether a file that begins with `head` is ours."""
    return head.startswith(_MAGIC)


def frames(path: Path) -> Sequence[Frame]:
    """The one image of the file."""
    with path.open("rb") as file:
        start = _SIZE.search(file.read(256))
        if start is None:
            raise CorruptFile(f"{path.name} does not say how long its header is")
        offset = int(start[1])
        file.seek(0)
        lines = file.read(min(offset, path.stat().st_size)).decode("latin-1").splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (s.partition(":") for s in lines)}
    if (kind := fields.get("Image Data Type", "short")) not in _TYPES:
        raise UnsupportedFeature(f"{path.name}: samples are {kind!r}, not {', '.join(_TYPES)}")

    shape = int(fields["Number of rows"]), int(fields["Number of columns"])
    amplitude, unit = _amplitude(path, fields["Z Amplitude"])
    low, high = float(fields["Minimum"]), float(fields["Maximum"])
    height, width = (_length_nm(fields[f"{axis} Amplitude"]) for axis in "YX")
    return [
        Frame(
            channel=fields.get("Acquisition channel", "Topography"),
            direction=_DIRECTIONS.get(fields.get("X scanning direction", "")),
            unit=unit,
            shape=shape,
            size_nm=(height, width) if height and width else None,
            load=partial(_load, path, _TYPES[kind], shape, offset, amplitude / (high - low)),
            acquisition=Acquisition(
                bias_V=volts(fields.get("Topography Bias", "")),
                setpoint_nA=nanoamperes(fields.get("Set Point", "")),
                angle_deg=float(fields["Angle"]) if "Angle" in fields else None,
                instrument="WSxM",
            ),
        )
    ]


def _load(path: Path, kind: str, shape: tuple[int, int], offset: int, step: float) -> NDArray[Any]:
    return (pixels(path, kind, shape, offset) * step)[::-1, ::-1]


def _amplitude(path: Path, text: str) -> tuple[float, str]:
    found = measure(text)
    if found is None:
        raise CorruptFile(f"{path.name}: the amplitude of its values is {text!r}")
    return found


def _length_nm(text: str) -> float | None:
    found = measure(text)
    return length_nm(*found) if found else None
