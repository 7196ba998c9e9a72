"""How large a scan is, and the unit of its values: by its file's word, or by the user's."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile, ReadError, ScaleMissing, UnsupportedFeature
from ..scan import Quantity
from .frame import Frame
from .units import quantity


def size_nm(path: Path, frame: Frame, given: tuple[float, float] | None) -> tuple[float, float]:
    """Height and width, nm.

    Raises:
        ScaleMissing: Neither the file nor the user says it.
        ReadError: What is said is no size.
    """
    size = given or frame.size_nm
    if size is None:
        lattice = ", or name the crystal that it shows (--lattice mos2)"
        raise ScaleMissing(
            f"{path.name} does not say how large the scan is{frame.unscaled}: give its size in nm "
            "(size_nm=(HEIGHT, WIDTH), --size-nm WIDTH,HEIGHT)"
            f"{lattice if frame.unit == 'counts' else ''}"
        )
    if not all(math.isfinite(length) and length > 0 for length in size):
        whose = "the size given for" if given else "the header of"
        kind = ReadError if given else CorruptFile
        raise kind(f"{whose} {path.name} is {size[0]:g} x {size[1]:g} nm: it must be positive")
    return size


def unit(path: Path, frame: Frame, given: str | None) -> tuple[Quantity, float]:
    """What the values measure, and how many of our units one of theirs is.

    Raises:
        ScaleMissing: Neither the file nor the user says it.
        ReadError: Both do.
        UnsupportedFeature: The unit is none of ours.
    """
    if given is not None and frame.unit is not None and not frame.assumed:
        raise ReadError(
            f"{path.name} says that {frame.channel!r} is in {frame.unit!r}: leave the unit out"
        )
    spelled = given or frame.unit
    if spelled is None:
        raise ScaleMissing(
            f"{path.name} does not say the unit of its values: give it (--unit nm, --unit 2.5e-6nm)"
        )
    found = quantity(spelled)
    if found is None:
        raise UnsupportedFeature(
            f"{path.name}: {frame.channel!r} is in {spelled!r}, which is no height, current or "
            "counts"
        )
    return found


def must_not_look_like_metres(path: Path, values: NDArray[np.float32]) -> None:
    """Refuses heights without a unit whose span is that of a scan in metres.

    Raises:
        ScaleMissing: It is.
    """
    known = values[np.isfinite(values)]
    span = float(np.ptp(known)) if known.size else 0.0
    if 0 < span < 1e-5:
        raise ScaleMissing(
            f"{path.name} has no unit, and its heights span only {span:.3g}: that looks like "
            "metres; give the unit (--unit m, or --unit nm if it is right)"
        )
