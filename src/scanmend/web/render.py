"""What runs in the process that simulates: a question a line in, an answer out; see `process`.

{"task": "warm"}                                          compiles all that a scan needs
{"task": "scan", "name", "experiment", "seed", "number"}  what a page shows, as `_scan` has it
{"task": "file", ..., "suffix"}                           a file of it, as `simulate` writes it
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanmendError, SimulationError
from ..io.write import WRITERS
from ..stm import record
from ..stm.experiment import Experiment, load, parse
from ..stm.exposure import Exposure
from ..stm.microscope import Microscope
from ..stm.viewfinder import Viewfinder
from .process import answering

MOST_POINTS = 1 << 12
"""Of a curve: more than a screen is wide, and few enough to be drawn at once."""

MOST_DEFECTS = 500


def _answered(asked: dict[str, Any], viewfinder: Viewfinder) -> tuple[dict[str, Any], bytes]:
    try:
        return _answer(asked, viewfinder)
    except ScanmendError as error:
        text, kind = str(error), type(error).__name__
    except MemoryError:
        text = "this scan needs more memory than it may take here: take a smaller frame"
        kind = "SimulationError"
    except Exception as error:
        text, kind = f"{type(error).__name__}: {error} (this is a bug)", "SimulationError"
    return {"error": " ".join(text.split()), "kind": kind}, b""


def _answer(asked: dict[str, Any], viewfinder: Viewfinder) -> tuple[dict[str, Any], bytes]:
    if asked["task"] == "warm":
        for name in ("cu111", "luzny-wse2-main"):
            table = load(name).table()
            table["frame"] |= {"rows": 16, "columns": 16, "width_nm": 2}
            _scan(viewfinder.exposure(parse(name, table), 0, 0))
        return {}, b""
    experiment = parse(asked["name"], asked["experiment"])
    # What overflows on the way has an end of its own: an error, or a fault.
    with np.errstate(all="ignore"):
        if asked["task"] == "file":
            return {}, _file(experiment, asked["seed"], asked["number"], asked["suffix"])
        began = time.perf_counter()
        about, values = _scan(viewfinder.exposure(experiment, asked["seed"], asked["number"]))
        return about | {"milliseconds": round(1e3 * (time.perf_counter() - began), 1)}, values


def _scan(exposure: Exposure) -> tuple[dict[str, Any], bytes]:
    """What a page shows of a scan: what it is, and its arrays behind each other, float32."""
    scan, raster, way = exposure.simulation, exposure.raster, exposure.way
    height, width = raster.size_nm
    images = {
        "surface": ("nm", exposure.surface_nm()),
        "current": ("nA", exposure.current_nA()),
        "topograph": ("nm", scan.topograph_nm),
        "trace": ("nm", scan.trace_nm),
        "retrace": ("nm", scan.retrace_nm),
    }
    every = math.ceil(way.time_s.size / MOST_POINTS)
    x, y, nearer = exposure.astray_nm()
    curves = {
        "time": ("s", way.time_s[::every]),
        "x": ("nm", (way.x_nm + width / 2)[::every]),
        "y": ("nm", (way.y_nm + height / 2)[::every]),
        "astray x": ("nm", x[::every]),
        "astray y": ("nm", y[::every]),
        "nearer": ("nm", nearer[::every]),
        "error": ("", _extremes(exposure.error(), every)),
    }
    arrays = {name: (unit, np.ravel(v)) for name, (unit, v) in (images | curves).items()}
    if not all(np.isfinite(values).all() for _, values in arrays.values()):
        raise SimulationError(
            "no finite heights come out of this: look for a value that is far from the usual ones"
        )
    about = {
        "rows": raster.shape[0],
        "columns": raster.shape[1],
        "pixel_nm": scan.pixel_nm,
        "height_nm": exposure.height_nm(),
        "fault": scan.fault,
        "parameters": scan.parameters,
        "defects": [
            {
                "kind": defect.kind,
                "surface": [defect.x_nm + width / 2, defect.y_nm + height / 2],
                "trace": _place(defect.trace, scan.pixel_nm),
                "retrace": _place(defect.retrace, scan.pixel_nm),
            }
            for defect in scan.defects[:MOST_DEFECTS]
        ],
        "images": list(images),
        "arrays": [
            {"name": name, "unit": unit, "length": values.size}
            for name, (unit, values) in arrays.items()
        ],
    }
    return about, b"".join(values.astype("<f4").tobytes() for _, values in arrays.values())


def _extremes(values: NDArray[np.float32], every: int) -> NDArray[np.float32]:
    """Of every so many values, by turns the least and the greatest: what sticks out is kept."""
    if every == 1:
        return values
    padded = np.pad(values, (0, -len(values) % every), mode="edge").reshape(-1, every)
    least, most = padded.min(axis=1), padded.max(axis=1)
    return np.where(np.arange(len(least)) % 2, most, least)


def _place(pixel: tuple[float, float], pixel_nm: float) -> list[float] | None:
    """The x and y of a pixel's place from the top left corner, nm, if there is one."""
    row, column = pixel
    return None if math.isnan(row) else [(column + 0.5) * pixel_nm, (row + 0.5) * pixel_nm]


def _file(experiment: Experiment, seed: int, number: int, suffix: str) -> bytes:
    """A file of a scan of its session, as the command line writes it."""
    scan = Microscope(experiment).scan(seed, number)
    recipe = json.dumps({"name": experiment.name, **experiment.table()})
    with tempfile.TemporaryDirectory(prefix="scanmend-") as folder:
        path = Path(folder) / f"scan{suffix}"
        if suffix in record.PARTS:
            record.PARTS[suffix](scan, recipe, path)
        else:
            WRITERS[suffix](scan.scan(), path)
        return path.read_bytes()


if __name__ == "__main__":
    answering(int(sys.argv[1]), partial(_answered, viewfinder=Viewfinder()))
