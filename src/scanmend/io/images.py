"""TIFF and PNG: pictures, of which few know how large their subject is.

TIFF by `tifffile`, PNG by `pillow`. A TIFF has a scale if ImageJ, DigitalMicrograph, FEI or we
wrote it: the dots per inch that others leave there are meant for printers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile, UnsupportedFeature
from ..scan import Restoration, Scan
from .beam import taken
from .frame import Frame
from .provenance import named, provenance, recall, remember
from .units import length_nm
from .values import colour

if TYPE_CHECKING:
    from tifffile import TiffFile

NAME = "image (.tif, .png)"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST_RATIO = 200
_DM_UNITS, _DM_SCALES = (65004, 65003), (65010, 65009)  # vertical, horizontal

_FEI_PITCHES = "PixelHeight", "PixelWidth"


def recognises(head: bytes, path: Path) -> bool:
    """Whether a file that begins with `head` is a TIFF or a PNG."""
    return head.startswith((*_TIFF, _PNG))


def frames(path: Path) -> Sequence[Frame]:
    """The one image of the file, or each of a stack."""
    with path.open("rb") as file:
        return [_png(path)] if file.read(8) == _PNG else _tiff(path)


def _tiff(path: Path) -> list[Frame]:
    from tifffile import TiffFile

    with TiffFile(path) as tiff:
        first, count = tiff.pages.first, _count(path, tiff)
        _must_not_burst(path, first.nbytes, packed=first.compression != 1)
        shape = first.imagelength, first.imagewidth
        imagej = tiff.imagej_metadata or {}
        about = _ours(str(imagej.get("Info", "")))
        memory = recall(about) if about else None
        frame = Frame(
            channel="restored" if memory and imagej.get("channel") == "restored" else "image",
            direction=memory.acquisition.direction if memory else None,
            unit=memory.quantity.value if memory else "counts",
            shape=shape,
            size_nm=_size_nm(tiff, imagej, shape),
            load=partial(_load_tiff, path, 0),
            acquisition=taken(tiff.fei_metadata),
            assumed=memory is None,
            memory=memory,
        )
        if count == 1:
            return [frame]
        return [
            replace(frame, number=n + 1, load=partial(_load_tiff, path, n)) for n in range(count)
        ]


def _count(path: Path, tiff: TiffFile) -> int:
    """How many frames a file has, all of one size.

    Raises:
        UnsupportedFeature: They are several series, or have more than one index.
    """
    first, series = tiff.pages.first, tiff.series
    picture = len(first.shape)  # of one page: (rows, columns), or with colours
    shapes = {one.shape for one in series}
    if len(series) == 1:
        (shape,) = shapes
        if len(shape) > picture + 1:
            size = " x ".join(map(str, shape))
            raise UnsupportedFeature(
                f"{path.name} holds an array of {len(shape)} axes ({size}), not an image of 2 or "
                "a stack of 3: a 4-D data set is to be made an image first"
            )
        return math.prod(shape[: len(shape) - picture])
    if len(shapes) > 1 or any(len(shape) != picture for shape in shapes):
        raise UnsupportedFeature(
            f"{path.name} holds {len(series)} images of several sizes: save the one you want as a "
            "file of its own"
        )
    return len(series)


def _load_tiff(path: Path, number: int) -> NDArray[Any]:
    from tifffile import TiffFile

    with TiffFile(path) as tiff:
        if number < len(tiff.pages):
            return _grey(path, tiff.pages[number].asarray())
        # ImageJ lists the first page only of a stack that it wrote in one piece.
        return _grey(path, tiff.series[0].asarray()[number])


def _ours(info: str) -> str | None:
    try:
        return json.dumps(json.loads(info)["scan"])
    except (ValueError, KeyError, TypeError):
        return None


def _size_nm(
    tiff: TiffFile, imagej: dict[str, Any], shape: tuple[int, int]
) -> tuple[float, float] | None:
    tags = tiff.pages.first.tags
    if "unit" in imagej:  # pixels a unit, as a fraction
        unit = str(imagej["unit"]).replace("\\u00B5", "µ").replace("micron", "µm")
        pitches = [
            length_nm(tags[name].value[1] / tags[name].value[0], unit)
            for name in ("YResolution", "XResolution")
        ]
    elif all(tag in tags for tag in (*_DM_UNITS, *_DM_SCALES)):
        pitches = [
            length_nm(float(tags[scale].value), str(tags[unit].value).strip("\0"))
            for scale, unit in zip(_DM_SCALES, _DM_UNITS, strict=True)
        ]
    elif (scan := (tiff.fei_metadata or {}).get("Scan", {})).keys() >= {*_FEI_PITCHES}:
        pitches = [length_nm(float(scan[name]), "m") for name in _FEI_PITCHES]
    else:
        return None
    if pitches[0] is None or pitches[1] is None:
        return None
    return shape[0] * pitches[0], shape[1] * pitches[1]


def write(thing: Scan | Restoration, path: Path) -> None:
    """A float32 TIFF with a scale that ImageJ knows; of a restoration its mean.

    The resolution tags and `unit` give the pitch; `Info` holds, as JSON, the unit of the
    values and the origin of the scan.
    """
    from tifffile import imwrite

    name, scan = next(iter(named(thing).items()))
    about = {
        "unit_of_values": scan.quantity.value,
        "scan": json.loads(remember(scan)),
        "provenance": json.loads(provenance(thing)),
    }
    imwrite(
        path,
        scan.values,
        imagej=True,
        resolution=(1 / scan.pixel_nm[1], 1 / scan.pixel_nm[0]),
        metadata={"unit": "nm", "axes": "YX", "channel": name, "Info": json.dumps(about)},
    )


def _png(path: Path) -> Frame:
    from PIL import Image

    with Image.open(path) as image:
        columns, rows = image.size
        _must_not_burst(path, rows * columns * len(image.getbands()), packed=True)
    load = partial(_load_png, path)
    return Frame("image", None, "counts", (rows, columns), None, load, assumed=True)


def _load_png(path: Path) -> NDArray[Any]:
    from PIL import Image

    with Image.open(path) as image:
        return _grey(path, np.asarray(image.convert("RGBA") if image.mode == "P" else image))


def _grey(path: Path, image: NDArray[Any]) -> NDArray[Any]:
    """The one channel of a picture whose colours are all grey."""
    if image.ndim == 2:
        return image
    if image.ndim != 3 or image.shape[2] > 4:
        raise colour(path)
    grey = image[..., 0]
    colours, alpha = image[..., :3], image[..., 3:]
    if (colours != grey[..., None]).any() or (alpha != np.iinfo(image.dtype).max).any():
        raise colour(path)
    return grey


def _must_not_burst(path: Path, size: int, *, packed: bool) -> None:
    held = path.stat().st_size
    if size > held * (_LARGEST_RATIO if packed else 1) or not math.isfinite(size):
        raise CorruptFile(f"{path.name} declares {size} bytes of pixels, and has {held} in all")
