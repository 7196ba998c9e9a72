"""What every reader yields: one channel in one direction, its pixels still in the file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import CorruptFile
from ..scan import Acquisition
from .provenance import Memory


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One channel in one direction, as its file declares it.

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
    """

    channel: str
    direction: str | None
    unit: str | None
    shape: tuple[int, int]
    size_nm: tuple[float, float] | None
    load: Callable[[], NDArray[Any]]
    acquisition: Acquisition = Acquisition()
    assumed: bool = False
    memory: Memory | None = None


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


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
