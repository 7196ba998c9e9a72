"""What a file's numbers must be to be pixels, and what is to be said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedFeature
from ..scan import Quantity

WARNING = "warning: "
"""What a remark on the numbers begins with in a scan's history."""

_MANY = 1e-5
"""Share of the pixels that may be at the top of their range without anything being wrong."""
_BITS = (8, 10, 12, 14, 15, 16, 24, 31, 32)


def real(path: Path, values: NDArray[Any]) -> NDArray[Any]:
    """`values`, if they are real numbers, one a pixel.

    Raises:
        UnsupportedFeature: They are colours, or complex, or no numbers at all.
    """
    if values.dtype.names is not None:
        raise colour(path)
    if values.dtype.kind == "c":
        raise UnsupportedFeature(
            f"{path.name} holds complex numbers, as a Fourier transform or an exit wave does, and "
            "a scan holds real ones: save their modulus or phase as an image"
        )
    if values.dtype.kind not in "fiub":
        raise UnsupportedFeature(f"{path.name} holds {values.dtype}, not real numbers")
    return values


def colour(path: Path) -> UnsupportedFeature:
    """What is said of a picture in colour."""
    return UnsupportedFeature(
        f"{path.name} is a picture in colour, from which no height can be told: export the "
        "data from the program that drew it, or save it as grey"
    )


def remarks(values: NDArray[Any], kind: Quantity | None) -> tuple[str, ...]:
    """What is odd about numbers as their file holds them; nothing is done about it.

    - Many pixels at the largest number that their type, or a converter of fewer bits, can hold:
      the detector was saturated there, or the numbers overflowed.
    - Large negative integers beside large positive ones: the numbers overflowed.
    - Counts below 0: an offset was subtracted, or the numbers overflowed.
    """
    found = []
    if values.dtype.kind in "iu" and values.size:
        info, top = np.iinfo(values.dtype), int(values.max())
        if top == info.max or top in (2**bits - 1 for bits in _BITS):
            full = int((values == top).sum())
            if full > max(1, _MANY * values.size):
                found.append(
                    f"{full} pixels ({full / values.size:.2g} of all) are at {top}, the top of "
                    f"their range ({values.dtype}): saturated there"
                )
        low = int((values < info.min / 2).sum()) if info.min else 0
        if low and top > info.max / 2:
            found.append(
                f"{low} pixels are below {info.min // 2} beside others above {info.max // 2}: "
                f"the numbers overflowed their type ({values.dtype})"
            )
    if kind is Quantity.COUNTS and values.dtype.kind in "if":
        below = int((values < 0).sum())
        if below:
            least = float(np.nanmin(values))
            found.append(f"{below} counts are below 0, down to {least:g}: kept as they are")
    return tuple(found)
