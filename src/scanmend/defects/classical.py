"""Finders of defects that nobody had to train: what a network is to be compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter, median
from scipy.signal import fftconvolve

from .. import level, resample
from ..errors import ScanError
from ..restoration import prepare
from ..scan import Scan
from .columns import atom_columns
from .maps import Maps
from .marks import Marks
from .peaks import find

Array = NDArray[np.float64]

BRIGHT, DARK = CLASSES = "bright", "dark"
SIZE_NM = 0.25  #: [nm] standard deviation of a bump: that of an atom, as most tips show it
SIDE_NM = 1.2  #: [nm] of a template
_WIDER = 1.6  # of the second Gaussian: then their difference is nearly a Laplacian (Marr, Hildreth)
_SURE, _ALIKE = 6.0, 0.6  # standard deviations; correlation
_FAINT = 0.9  # of all places
_LONGEST_NM = 3.0  # of a lattice: the cell of Si(111)-7x7 has rows 2.3 nm apart
_STANDS_OUT = 20.0  # times the median power of such frequencies: noise does once in a million
_EXAMPLES = 30  # of the most conspicuous places, of which an own template is made


def difference_of_gaussians(scan: Scan, size_nm: float = SIZE_NM) -> Maps:
    """Maps of what is brighter, or darker, than what is around it, at the scale of an atom.

    In standard deviations of the whole scan's response, from its median absolute deviation: a
    lattice counts as noise.

    Args:
        scan: Measured or restored.
        size_nm: Standard deviation of the narrower Gaussian, nm.

    Raises:
        ScanError: Nothing was measured, or there is no structure.

    References:
        D. Marr and E. Hildreth, Proc. R. Soc. Lond. B 207, 187 (1980), doi:10.1098/rspb.1980.0020
    """
    values = _flat(scan).values.astype(np.float64)
    narrow, wide = (
        gaussian_filter(values, [k * size_nm / p for p in scan.pixel_nm], mode="nearest")
        for k in (1.0, _WIDER)
    )
    response = narrow - wide
    return _signed(scan, response / _deviation(response), size_nm, "difference of Gaussians")


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """What defects look like once the lattice is taken away.

    Attributes:
        classes: One for each.
        images: Of mean 0 and norm 1; shape (classes, side, side).
        pixel_nm: Their pitch, nm.
    """

    classes: tuple[str, ...]
    images: Array
    pixel_nm: float


def learn(examples: Iterable[tuple[Scan, Marks]], pixel_nm: float) -> Templates:
    """The mean of what is seen around the defects of each class.

    Args:
        examples: Scans, and what is marked in them.
        pixel_nm: Pitch of the templates, nm.

    Raises:
        ScanError: There is not one example.
    """
    seen: dict[str, list[Array]] = {}
    for scan, marks in examples:
        rest = without_lattice(scan)
        for kind, place in zip(marks.kinds, marks.places_nm, strict=True):
            seen.setdefault(kind, []).append(_cut(rest, place, pixel_nm))
    if not seen:
        raise ScanError("templates need marked defects, got none")
    images = np.stack([np.mean(of, axis=0) for of in seen.values()])
    images -= images.mean(axis=(1, 2), keepdims=True)
    images /= np.maximum(np.linalg.norm(images, axis=(1, 2), keepdims=True), 1e-30)
    return Templates(tuple(seen), images, pixel_nm)


def match(scan: Scan, templates: Templates) -> Maps:
    """Maps of how far each place, without the lattice, correlates with each template: -1 to 1.

    References:
        J. P. Lewis, Fast normalized cross-correlation, Vision Interface (1995)
    """
    rest = resample.to_pitch(without_lattice(scan), (templates.pixel_nm, templates.pixel_nm))
    side = templates.images.shape[1]
    values = np.pad(rest.values.astype(np.float64), side // 2, mode="reflect")
    ones = np.ones((side, side))
    mean, square = (fftconvolve(v, ones, mode="valid") / side**2 for v in (values, values**2))
    deviation = side * np.sqrt(np.maximum(square - mean**2, 0))
    # What is fainter than most of the scan is noise, whatever its shape.
    deviation = np.maximum(deviation, np.quantile(deviation, _FAINT))
    planes = [
        fftconvolve(values, image[::-1, ::-1], mode="valid") / deviation
        for image in templates.images
    ]
    made = {"method": "template matching", "examples": "own"}
    planes = _seen(scan, planes)
    return Maps(scan, planes, templates.classes, SIZE_NM, _ALIKE, "of 1", made, exclusive=False)


def template_matching(scan: Scan) -> Maps:
    """`match` with templates of the scan's own most conspicuous bright and dark places.

    Raises:
        ScanError: Nothing was measured, or there is no structure.
    """
    found = find(difference_of_gaussians(without_lattice(scan)), 1e-3).defects
    kept = []
    for kind in CLASSES:
        of = [i for i, other in enumerate(found.kinds) if other == kind and not found.edge[i]]
        kept += of[:_EXAMPLES]
    marks = Marks(found.places_nm[kept], tuple(found.kinds[i] for i in kept))
    return match(scan, learn([(scan, marks)], max(scan.pixel_nm)))


OF_COUNTS = "atom-columns"  #: the one that is asked for scans in counts
METHODS: dict[str, Callable[[Scan], Maps]] = {
    "difference-of-gaussians": difference_of_gaussians,
    "template-matching": template_matching,
    OF_COUNTS: atom_columns,
}
"""Every one, by its name on the command line."""


def without_lattice(scan: Scan) -> Scan:
    """The scan, level, with what is periodic in it brought down to what is not.

    Periods of up to 3 nm stand out of the power of other directions at that frequency. Such
    Fourier coefficients, and their neighbours, keep their phases, at the median power of the ring.

    Raises:
        ScanError: Nothing was measured, or there is no structure.
    """
    flat = _flat(scan)
    rows, columns = flat.values.shape
    height, width = flat.size_nm
    spectrum = np.fft.rfft2(flat.values.astype(np.float64))
    power = abs(spectrum) ** 2
    per_nm = np.hypot(
        np.fft.fftfreq(rows, height / rows)[:, None], np.fft.rfftfreq(columns, width / columns)
    )
    ring = np.rint(per_nm * min(height, width)).astype(np.int64)
    usual = np.asarray(median(power, ring, np.arange(ring.max() + 1)))[ring]
    peaks = (power > _STANDS_OUT * usual) & (per_nm > 1 / _LONGEST_NM)
    peaks = (maximum_filter(peaks.astype(np.uint8), 3, mode="wrap") > 0) & (power > usual)
    spectrum[peaks] *= np.sqrt(usual[peaks] / power[peaks])
    return flat.after("lattice taken away", np.fft.irfft2(spectrum, (rows, columns)))


def _flat(scan: Scan) -> Scan:
    """Without jumps and plane, gaps filled."""
    return resample.fill_gaps(level.plane(prepare.without_jumps(scan)[0])[0])


def _deviation(response: Array) -> float:
    """Of what is usual."""
    deviation = 1.4826 * float(np.median(abs(response - np.median(response))))
    if not deviation > 1e-9 * float(abs(response).max(initial=0)) or not deviation > 0:
        raise ScanError("the scan has no structure to find defects in")
    return deviation


def _signed(scan: Scan, response: Array, size_nm: float, method: str) -> Maps:
    planes = _seen(scan, [response, -response])
    return Maps(scan, planes, CLASSES, size_nm, _SURE, "standard deviations", {"method": method})


def _seen(scan: Scan, planes: list[Array]) -> NDArray[np.float32]:
    """Planes, 0 where nothing was measured."""
    known = resample.to_shape(np.isfinite(scan.values).astype(np.float32), planes[0].shape) > 0.5
    return (np.stack(planes) * known).astype(np.float32)


def _cut(scan: Scan, place_nm: Array, pixel_nm: float) -> Array:
    """What is around a place, (x, y) from the middle."""
    reach = round(SIDE_NM / 2 / pixel_nm)
    offsets = np.arange(-reach, reach + 1) * pixel_nm
    y, x = (
        (o + at) / p + (n - 1) / 2
        for o, at, p, n in zip(
            (offsets, offsets), place_nm[::-1], scan.pixel_nm, scan.values.shape, strict=True
        )
    )
    grid = np.meshgrid(y, x, indexing="ij")
    return map_coordinates(scan.values.astype(np.float64), grid, order=1, mode="nearest")
