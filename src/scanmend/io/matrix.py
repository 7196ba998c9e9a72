"""Omicron MATRIX images (.Z_mtrx, .I_mtrx and so on), read by `access2thematrix`.

The scale of an image lies in the `.mtrx` files of its experiment, beside it. Where those are
missing, the image itself still holds its steps of the converter, int32 behind `ATAD`: they are read
here, and the user gives the rest. Lines are scanned forward and backward in turn, from the bottom
upward, then in most experiments once more from the top downward: channels "Z up" and "Z down".
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..errors import CorruptFile, UnsupportedFeature
from ..scan import Acquisition
from .frame import Frame, completed, pixels

NAME = "Omicron MATRIX"
_MAGIC = b"ONTMATRX0101"
_IMAGE = re.compile(r"(?P<experiment>.+)--\d+_\d+\.(?P<channel>[^.]+)_mtrx")
_PASSES = ("up", "down")
_DIRECTIONS = ("forward", "backward")
_BIAS = "EEPA::GapVoltageControl.Voltage"
_SETPOINT = "EEPA::Regulator.Setpoint_1"


def recognises(head: bytes, path: Path) -> bool:
    """Whether a file that begins with `head` is of a MATRIX experiment."""
    return head.startswith(_MAGIC)


def frames(path: Path) -> Sequence[Frame]:
    """Every pass over the surface, forward and backward.

    The library parses the experiment and the pixels in one go, and so the frames hold them.
    """
    name = _IMAGE.fullmatch(path.name)
    if name is None:
        raise UnsupportedFeature(
            f"{path.name} holds no image, but the parameters of a MATRIX experiment: read the "
            "files beside it whose names end in Z_mtrx or I_mtrx"
        )
    if not path.with_name(f"{name['experiment']}_0001.mtrx").is_file():
        return _orphan(path, name["channel"])
    matrix = _opened(path)
    if not matrix.axis:
        raise UnsupportedFeature(f"{path.name} holds a {matrix.object_type}, not an image")
    channel, unit = matrix.channel_name_and_unit
    parameter = matrix.param
    shape = tuple(parameter[f"EEPA::XYScanner.{n}"][0] for n in ("Lines", "Points"))
    size_nm = tuple(parameter[f"EEPA::XYScanner.{n}"][0] * 1e9 for n in ("Height", "Width"))
    bias_V, setpoint = parameter.get(_BIAS, [None])[0], parameter.get(_SETPOINT, [0.0, ""])
    acquisition = Acquisition(
        bias_V=bias_V,
        setpoint_nA=setpoint[0] * 1e9 if setpoint[1] == "Ampere" else None,
        angle_deg=float(parameter.get("EEPA::XYScanner.Angle", [0])[0]),
        instrument="Omicron MATRIX",
    )
    found = []
    for trace in map(str, matrix.traces):
        direction, _, vertical = trace.partition("/")
        found.append(
            Frame(
                f"{channel} {vertical}",
                direction,
                unit,
                shape,
                size_nm,
                partial(_load, path, matrix, trace, shape),
                acquisition,
            )
        )
    return found


def _opened(path: Path) -> Any:
    from access2thematrix import MtrxData

    matrix = MtrxData()
    _, message = matrix.open(str(path))
    if matrix.scan is None:
        raise CorruptFile(f"{path.name} or its experiment is damaged: {message}")
    return matrix


def _load(path: Path, matrix: Any, trace: str, shape: tuple[int, int]) -> NDArray[Any]:
    """One trace, from the top; lines that the scan did not reach are NaN."""
    image, _ = matrix.select_image(trace)
    return completed(path, image.data[::-1], shape[0], upward=trace.endswith("up"))


def _orphan(path: Path, channel: str) -> list[Frame]:
    """An image without its experiment: square, or nobody could tell lines from pixels."""
    with path.open("rb") as file:
        head = file.read(4096)
    start = head.find(b"ATAD") + 8
    if start < 8:
        raise CorruptFile(f"{path.name} has no block of data")
    count = int.from_bytes(head[start - 4 : start], "little") // 4
    passes = next((n for n in (1, 2) if _is_square(count, 2 * n)), 0)
    if not passes:
        raise UnsupportedFeature(
            f"{path.name} has no .mtrx file beside it, and its {count} values are no square image "
            "forward and backward: put the .mtrx files of the experiment into its folder"
        )
    side = math.isqrt(count // (2 * passes))
    return [
        Frame(
            channel=f"{channel} {vertical}",
            direction=direction,
            unit=None,
            shape=(side, side),
            size_nm=None,
            load=partial(_load_orphan, path, start, (passes, side, 2, side), number, backward),
        )
        for number, vertical in enumerate(_PASSES[:passes])
        for backward, direction in enumerate(_DIRECTIONS)
    ]


def _is_square(count: int, images: int) -> bool:
    return count > 0 and count % images == 0 and math.isqrt(count // images) ** 2 * images == count


def _load_orphan(
    path: Path, start: int, shape: tuple[int, ...], number: int, backward: int
) -> NDArray[Any]:
    lines = pixels(path, "<i4", shape, start)[number, :, backward]
    return lines[:: 1 if number else -1, :: -1 if backward else 1]
