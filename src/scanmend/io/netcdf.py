"""NetCDF4 of our own: everything that a scan or a restoration holds, bit for bit.

Variables `restored`, `measured`, `spread`, `draws` of a restoration, or one variable `scan`, in nm,
nA or counts, over coordinates `y_nm` (downward) and `x_nm`, the pixels' centres. What has no place
there is JSON in the attribute `scanmend` of each variable; `provenance` is one of the file.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile
from ..scan import Restoration, Scan
from .frame import Frame
from .provenance import named, provenance, recall, remember

NAME = "scanmend NetCDF"
_HDF5 = b"\x89HDF\r\n\x1a\n"


def recognises(head: bytes, path: Path) -> bool:
    """Whether an HDF5 file says that it is ours."""
    if not head.startswith(_HDF5):
        return False
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return file.attrs.get("title") == NAME
    except Exception:  # HDF5 breaks in more ways than one
        return path.suffix.lower() == ".nc"  # broken, but meant to be ours: `frames` says how


def frames(path: Path) -> Sequence[Frame]:
    """Every variable that is an image; each of the draws is a channel, `draw 1` and so on."""
    import h5py

    found = []
    with h5py.File(path, "r") as file:
        for name in ("restored", "scan", "measured", "spread", "draws"):
            if name not in file:
                continue
            variable: Any = file[name]
            memory = recall(str(variable.attrs["scanmend"]))
            # Neither allocated nor unpacked before it is known to be no larger than its file.
            if math.prod(variable.shape) * variable.dtype.itemsize > path.stat().st_size:
                raise CorruptFile(
                    f"{path.name}: {name!r} declares {variable.shape} values, "
                    "which is more than the file holds"
                )
            *draws, rows, columns = variable.shape
            for draw in range(draws[0]) if draws else (None,):
                found.append(
                    Frame(
                        channel=name if draw is None else f"draw {draw + 1}",
                        direction=memory.acquisition.direction,
                        unit=memory.quantity.value,
                        shape=(rows, columns),
                        size_nm=(rows * memory.pixel_nm[0], columns * memory.pixel_nm[1]),
                        load=partial(_load, path, name, draw),
                        memory=memory,
                    )
                )
    return found


def write(thing: Scan | Restoration, path: Path) -> None:
    """Everything in `thing`; a plain scan becomes the one variable `scan`."""
    import h5netcdf

    scans = named(thing)
    shape = next(iter(scans.values())).values.shape
    # Through memory: HDF5 on a disk that fills up neither says so plainly nor lets go of its file.
    with io.BytesIO() as memory:
        with h5netcdf.File(memory, "w") as file:
            file.attrs["title"] = NAME
            file.attrs["Conventions"] = "CF-1.10"
            file.attrs["provenance"] = provenance(thing)
            for name, scan in scans.items():
                # A scan restored to more lines than were measured has a grid of its own.
                grid = "" if scan.values.shape == shape else f"_{name}"
                _add(file, name, scan, scan.values, grid)
            if isinstance(thing, Restoration) and thing.draws:
                draws = np.stack([draw.values for draw in thing.draws])
                _add(file, "draws", thing.draws[0], draws)
        path.write_bytes(memory.getvalue())


def _add(file: Any, name: str, scan: Scan, values: NDArray[np.float32], grid: str = "") -> None:
    axes = [f"y{grid}_nm", f"x{grid}_nm"]
    for axis, n, pitch in zip(axes, values.shape[-2:], scan.pixel_nm, strict=True):
        if axis not in file.dimensions:
            file.dimensions[axis] = n
            centres = file.create_variable(axis, (axis,), data=(np.arange(n) + 0.5) * pitch)
            centres.attrs["units"] = "nm"
    if values.ndim == 3:
        file.dimensions["draw"] = len(values)
        axes.insert(0, "draw")
    variable = file.create_variable(name, axes, data=values)
    variable.attrs["units"] = scan.quantity.value
    variable.attrs["scanmend"] = remember(scan)


def _load(path: Path, name: str, draw: int | None) -> NDArray[Any]:
    import h5py

    with h5py.File(path, "r") as file:
        variable: Any = file[name]
        return variable[() if draw is None else draw]
