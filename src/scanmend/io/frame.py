"""What every reader yields: one channel in one direction, its pixels still in the file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import CorruptFile
from ..scan import Acquisition
from .provenance import Memory

_MOST_PIXELS = 1 << 26


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One channel in one direction, or one frame of a series, as its file declares it.

    Attributes:
        channel: Name in the file.
        direction: "forward" or "backward"; None where the file does not know directions.
        unit: Of the values, as the file spells it; None where it says nothing.
        shape: Rows and columns of what `load` returns.
        size_nm: Field of view (height, width), nm; None where the file says nothing.
        load: Returns the values in `unit`, any real dtype, row 0 at the top of the surface and
            column 0 at its left, NaN where nothing was measured.
        acquisition: As far as the file says.
        assumed: The unit is the custom of the format, not the file's word: a user may know better.
        memory: What a file of ours remembers; None for a file by anyone else.
        number: In a series of frames, from 1; None for an image that stands alone.
        unscaled: Why there is no `size_nm`, to be read after "... how large the scan is".
    """

    channel: str
    direction: str | None
    unit: str | None
    shape: tuple[int, int]
    size_nm: tuple[float, float] | None
    load: Callable[[], NDArray[Any]]
    acquisition: Acquisition = field(default_factory=Acquisition)
    assumed: bool = False
    memory: Memory | None = None
    number: int | None = None
    unscaled: str = ""


def pixels(path: Path, dtype: DTypeLike, shape: tuple[int, ...], offset: int) -> NDArray[Any]:
    """`shape` numbers that begin `offset` bytes into a file.

    The length of the file is compared with what its header promises before anything is allocated.

    Raises:
        CorruptFile: The header promises more than the file holds, or less than nothing.
    """
    dtype = np.dtype(dtype)
    if min(shape) <= 0 or offset < 0:
        raise CorruptFile(f"{path.name} declares an image of {_times(shape)} pixels at {offset}")
    count = math.prod(shape)
    held = path.stat().st_size - offset
    if held < count * dtype.itemsize:
        raise CorruptFile(
            f"{path.name} is cut short: {_times(shape)} pixels need {count * dtype.itemsize} bytes "
            f"from byte {offset}, and {max(held, 0)} are there"
        )
    return np.fromfile(path, dtype, count, offset=offset).reshape(shape)


def without_unscanned(values: NDArray[Any]) -> NDArray[np.float64]:
    """NaN in the last lines, where they hold nothing but the zeros that the scan began with.

    A measurement has noise: a whole line of exact zeros was never scanned. `values` are in the
    order of scanning, of shape (rows, columns); an image of zeros alone stays as it is.
    """
    found = values.astype(np.float64)
    lines = np.flatnonzero(found.any(axis=1))
    if lines.size:
        found[lines[-1] + 1 :] = np.nan
    return found


def completed(
    path: Path, measured: NDArray[Any], lines: int, *, upward: bool
) -> NDArray[np.float64]:
    """The whole image of a scan that was stopped: NaN where it never went.

    `measured` has row 0 at the top; an upward scan began at the bottom.

    Raises:
        CorruptFile: Fewer lines were planned than measured, or more than anybody scans.
    """
    scanned, columns = measured.shape
    if not scanned <= lines <= _MOST_PIXELS // columns:
        raise CorruptFile(
            f"{path.name} holds {scanned} lines of {columns} pixels, and says that it was to have "
            f"{lines}"
        )
    whole = np.full((lines, columns), np.nan)
    whole[slice(lines - scanned, None) if upward else slice(scanned)] = measured
    return whole


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
