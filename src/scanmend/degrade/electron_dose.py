"""An image taken with a dose of electrons, as a microscopist says it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import RecipeError
from ..scan import Scan
from .base import Range
from .low_dose import Kernel, LowDose


@dataclass(frozen=True)
class ElectronDose:
    """Counts the electrons that a dose brings to each pixel: `LowDose` in physical units.

    Attributes:
        factor: A coarse pixel is this many fine ones wide and high, and gets as many more.
        kernel: By what both grids are interpolated.
        dose_per_A2: Electrons on a square Angstrom; drawn once an image, evenly in its logarithm.
        scattered: Share of them that the detector gets where the image is brightest, drawn once an
            image: of a layer of MoS2 some 0.04, of a foil more.
        readout_electrons: Standard deviation of the readout, electrons; drawn once an image.
        low: What no electrons stand for, in the scan's unit; its lowest value by default ...
        span: ... and what the brightest stands for, above it; its own range by default.

    Raises:
        RecipeError: `factor`, a dose or a share is 0.
    """

    factor: int = 1
    kernel: Kernel = "bicubic"
    dose_per_A2: Range = (10.0, 10_000.0)
    scattered: Range = (0.02, 0.1)
    readout_electrons: Range = (0.0, 0.2)
    low: float | None = None
    span: float | None = None

    def __post_init__(self) -> None:
        for name in ("factor", "dose_per_A2", "scattered"):
            if not np.min(getattr(self, name)) > 0:
                raise RecipeError(f"ElectronDose needs a {name} above 0, got {getattr(self, name)}")

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws dose, share and readout, then every pixel's electrons."""
        least, most = self.dose_per_A2
        dose = least * (most / least) ** rng.random()
        share, readout = rng.uniform(*self.scattered), rng.uniform(*self.readout_electrons)
        electrons = dose * share * 100 * math.prod(scan.pixel_nm) * self.factor**2
        noise = readout / electrons
        counted = LowDose(
            *(self.factor, self.kernel, (electrons, electrons), (noise, noise), False),
            low=self.low,
            span=self.span,
        )(scan, rng)
        step = f"{dose:.4g} electrons/A2, of which {share:.3g} count: {counted.history[-1]}"
        return scan.after(step, counted.values)
