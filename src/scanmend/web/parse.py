"""What runs in the process that reads files: a question a line in, an answer out, both in JSON.

    {"path", "name", "pixels", "cpu_s", "read"}

`read` is null, and the answer tells the channels; or it has the arguments of `io.read`, and the
"lattice" that puts the pitch right, or null; behind the line of the answer come its "bytes" of
float32. What fails is {"error", "kind"}. Plain JSON,
because who reads a hostile file is not to be trusted with a pickle.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .. import io
from ..errors import ScanError, ScanmendError
from ..scan import Scan
from ..stem import calibration
from .process import answering, limit


def _answered(asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    try:
        limit("RLIMIT_CPU", math.ceil(_cpu_s() + asked["cpu_s"]))
        return _answer(asked)
    except (ScanmendError, MemoryError) as error:
        text = str(error)
        if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
            text = f"{asked['name']} needs more memory than reading may take here: crop it"
        text = text.replace(asked["path"], asked["name"])
        text = text.replace(Path(asked["path"]).name, asked["name"])
        return {"error": " ".join(text.split()), "kind": type(error).__name__}, b""


def _answer(asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    path, name = Path(asked["path"]), asked["name"]
    file = io.open(path)
    for channel in file.channels:
        if channel.rows * channel.columns > asked["pixels"]:
            raise ScanError(
                f"{name} declares {channel.rows} x {channel.columns} pixels, and {asked['pixels']} "
                "are allowed here: crop it first, or use the command line"
            )
    if asked["read"] is None:
        channels = [
            asdict(c) | {"quantity": c.quantity.name if c.quantity else None} for c in file.channels
        ]
        return {"format": file.format, "channels": channels}, b""
    how = dict(asked["read"])
    lattice = how.pop("lattice", None)
    how["size_nm"] = tuple(how["size_nm"]) if how["size_nm"] else None
    scan = calibration.read(path, lattice, **how)[0] if lattice else io.read(path, **how)
    scan = _named(scan, path.name, name)
    about = {
        "shape": scan.values.shape,
        "pixel_nm": scan.pixel_nm,
        "quantity": scan.quantity.name,
        "acquisition": asdict(scan.acquisition),
        "history": scan.history,
    }
    return about, scan.values.astype("<f4", copy=False).tobytes()


def _named(scan: Scan, stored: str, name: str) -> Scan:
    """The scan as if its file had kept the name that the user knows."""
    taken = scan.acquisition
    if stored == name or taken.source != stored:
        return scan
    history = tuple(step.replace(stored, name) for step in scan.history)
    return replace(scan, acquisition=replace(taken, source=name), history=history)


def _cpu_s() -> float:
    return sum(os.times()[:2])


if __name__ == "__main__":
    answering(int(sys.argv[1]), _answered)
