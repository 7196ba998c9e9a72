"""The one image type that every layer passes on, and what a restoration is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ScanError

LARGEST = 100_000_000
"""Pixels; above it, the copies that any treatment needs outgrow an ordinary machine's memory."""


class Quantity(Enum):
    """What a pixel measures, and the one unit in which we keep it."""

    HEIGHT = "nm"
    CURRENT = "nA"
    COUNTS = "counts"


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How a scan was taken, as far as its file says; what is not known is None.

    Attributes:
        channel: Name of the channel in the file.
        direction: "forward" or "backward" along the fast axis.
        bias_V: Sample bias, V.
        setpoint_nA: Current setpoint, nA.
        angle_deg: Rotation of the scan frame, degrees, as the vendor counts it.
        started: When the scan was started, ISO 8601 without zone where the file has none.
        instrument: The vendor's or program's name.
        source: Name of the file, without folders.
        source_sha256: Hash of the file's bytes.
        frame: Number of the frame in a series, from 1.
        voltage_kV: That accelerates a microscope's electrons, kV.
        dwell_us: Time at each pixel, microseconds.
        beam_current_pA: Of the electrons on the specimen, pA.
        dose_per_A2: Electrons on a square Angstrom, where the file itself says it.
        detector: Its name.
        magnification: As the microscope shows it.
    """

    channel: str | None = None
    direction: str | None = None
    bias_V: float | None = None
    setpoint_nA: float | None = None
    angle_deg: float | None = None
    started: str | None = None
    instrument: str | None = None
    source: str | None = None
    source_sha256: str | None = None
    frame: int | None = None
    voltage_kV: float | None = None
    dwell_us: float | None = None
    beam_current_pA: float | None = None
    dose_per_A2: float | None = None
    detector: str | None = None
    magnification: float | None = None

    def dose_at(self, pixel_nm: tuple[float, float] | None) -> float | None:
        """Electrons on a square Angstrom at a pitch (rows, columns) in nm.

        What the file says; else beam current x dwell time / (e x area of a pixel); else None.
        """
        if self.dose_per_A2 is not None or pixel_nm is None:
            return self.dose_per_A2
        if self.beam_current_pA is None or self.dwell_us is None:
            return None
        from scipy.constants import e  # late: most scans have no dose, and need no SciPy yet

        electrons = self.beam_current_pA * self.dwell_us * 1e-18 / e
        return electrons / (100 * pixel_nm[0] * pixel_nm[1])


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """A rectangular raster image with its scale.

    Row 0 is the top of the surface as the vendor's program and Gwyddion display it, column 0 its
    left edge, whatever the scan direction was. NaN means not measured.

    Attributes:
        values: What was measured, in the unit of `quantity`; shape (rows, columns), float32.
        pixel_nm: Pixel pitch (rows, columns), nm.
        quantity: What a pixel measures.
        acquisition: How it was taken.
        history: What was done to the scan, oldest first; kept by every writer.

    Raises:
        ScanError: The values are not a 2-D image, or the pitch is not positive and finite.
    """

    values: NDArray[np.float32]
    pixel_nm: tuple[float, float]
    quantity: Quantity = Quantity.HEIGHT
    acquisition: Acquisition = Acquisition()
    history: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or 0 in self.values.shape:
            raise ScanError(f"a scan has rows and columns, got values of shape {self.values.shape}")
        if self.values.dtype != np.float32:
            raise ScanError(f"a scan holds float32, got {self.values.dtype}")
        if not all(math.isfinite(p) and p > 0 for p in self.pixel_nm):
            raise ScanError(f"the pixel pitch must be positive, got {self.pixel_nm} nm")

    @property
    def size_nm(self) -> tuple[float, float]:
        """Field of view (height, width), nm."""
        rows, columns = self.values.shape
        return rows * self.pixel_nm[0], columns * self.pixel_nm[1]

    @property
    def is_restored(self) -> bool:
        """Whether a restoration made it."""
        return any(step.startswith(("restored by", "upscaled ", "draw ")) for step in self.history)

    def crop(self, rows: slice, columns: slice) -> Scan:
        """A part of the scan, at the same pitch; the slices have no step."""
        values = np.ascontiguousarray(self.values[rows, columns])
        top, left = rows.indices(len(self.values))[0], columns.indices(self.values.shape[1])[0]
        size = "x".join(map(str, values.shape))
        step = f"crop {size} from row {top}, column {left}"
        return replace(self, values=values, history=(*self.history, step))

    def after(self, step: str, values: NDArray[np.floating]) -> Scan:
        """The same field of view after `step` turned its pixels into `values`.

        `values` may have more or fewer pixels: the pitch follows, the size in nm stays.
        """
        height, width = self.size_nm
        rows, columns = values.shape
        pixel_nm = self.pixel_nm
        if values.shape != self.values.shape:
            pixel_nm = (height / rows, width / columns)
        return replace(
            self,
            values=values.astype(np.float32, copy=False),
            pixel_nm=pixel_nm,
            history=(*self.history, step),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Restoration:
    """What comes back from a restoration; every Scan in it covers the same field of view.

    Attributes:
        measured: The scan that went in.
        mean: The restored scan: the best single answer.
        spread: How far the model expects the truth to lie from `mean`: one standard deviation per
            pixel, in the unit of the scan.
        draws: Textures that would fit as well; empty unless asked for.
        provenance: What made it: source and model hashes, calls, seed, version; plain JSON values.
    """

    measured: Scan
    mean: Scan
    spread: Scan
    draws: tuple[Scan, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)


def must_not_be_huge(rows: int, columns: int) -> None:
    """Refuses an image of more than `LARGEST` pixels, before any memory is asked for.

    Raises:
        ScanError: It is larger.
    """
    if rows * columns > LARGEST:
        raise ScanError(f"{rows}x{columns} pixels are more than {LARGEST:.0e}: crop the scan first")
