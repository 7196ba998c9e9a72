"""NetCDF4 of our own: everything that a scan or a restoration holds, bit for bit.

Variables `restored`, `measured`, `spread`, `draws` of a restoration, or one variable `scan`, in nm,
nA or counts, over coordinates `y_nm` (downward) and `x_nm`, the pixels' centres. What has no place
there is JSON in the attribute `scanmend` of each variable; `provenance` is one of the file.
"""

from __future__ import annotations

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
    import xarray

    scans = named(thing)
    shape = next(iter(scans.values())).values.shape
    variables = {
        # A scan restored to more lines than were measured has a grid of its own.
        name: _variable(scan, scan.values, "" if scan.values.shape == shape else f"_{name}")
        for name, scan in scans.items()
    }
    if isinstance(thing, Restoration) and thing.draws:
        values = np.stack([draw.values for draw in thing.draws])
        variables["draws"] = _variable(thing.draws[0], values)
    about = {"title": NAME, "Conventions": "CF-1.10", "provenance": provenance(thing)}
    dataset = xarray.Dataset(variables, attrs=about)
    plain = {name: {"_FillValue": None} for name in dataset.variables}
    # Through memory: HDF5 on a disk that fills up neither says so plainly nor lets go of its file.
    path.write_bytes(dataset.to_netcdf(engine="h5netcdf", encoding=plain))


def _variable(scan: Scan, values: NDArray[np.float32], grid: str = "") -> Any:
    import xarray

    names = [f"y{grid}_nm", f"x{grid}_nm"]
    centres = [
        (np.arange(n) + 0.5) * pitch
        for n, pitch in zip(values.shape[-2:], scan.pixel_nm, strict=True)
    ]
    coords = {name: (name, c, {"units": "nm"}) for name, c in zip(names, centres, strict=True)}
    return xarray.DataArray(
        values,
        dims=(["draw"] if values.ndim == 3 else []) + names,
        coords=coords,
        attrs={"units": scan.quantity.value, "scanmend": remember(scan)},
    )


def _load(path: Path, name: str, draw: int | None) -> NDArray[Any]:
    import h5py

    with h5py.File(path, "r") as file:
        variable: Any = file[name]
        return variable[() if draw is None else draw]
