"""Whatever else Gwyddion reads, some 170 formats, through `gwyddionpy`.

It is an extra, and runs Gwyddion, which is GPL, as a program of its own: the one that the
environment variable GWYDDIONPY_CONVERT names, or that lies on the path, or came with its wheel, or
that the user fetched with `gwyddionpy-fetch-converter`. Nothing is fetched from here. The program
converts whole files only, so that a list of channels takes as long as reading them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnknownFormat, UnsupportedFeature
from ..scan import Acquisition
from .frame import Frame
from .units import length_nm

NAME = "Gwyddion's other formats"
_PATIENCE_S = 120.0


def recognises(head: bytes, path: Path) -> bool:
    """Whether there is a Gwyddion to ask: it knows its formats itself."""
    return find_spec("gwyddionpy") is not None


def frames(path: Path) -> Sequence[Frame]:
    """Every channel that Gwyddion makes of the file."""
    import gwyddionpy

    try:
        data = gwyddionpy.load(path, timeout=_PATIENCE_S)
    except gwyddionpy.UnsupportedFormatError:
        raise UnknownFormat(
            f"{path.name} is none of the formats read here, and Gwyddion cannot read it either"
        ) from None
    except gwyddionpy.ConverterNotFoundError:
        raise UnsupportedFeature(
            f"{path.name} needs Gwyddion's converter: pip install scanmend[gwyddion]"
        ) from None
    return [_frame(channel, data.source_format) for channel in data.channels.values()]


def _frame(channel: Any, source: str | None) -> Frame:
    values: NDArray[np.float64] = channel.data
    height, width = (length_nm(n, channel.si_unit_xy) for n in (channel.yreal, channel.xreal))
    return Frame(
        channel=channel.name,
        direction=None,
        unit=channel.si_unit_z or None,
        shape=(values.shape[0], values.shape[1]),
        size_nm=(height, width) if height and width else None,
        load=partial(np.array, values),
        acquisition=Acquisition(instrument=source),
    )
