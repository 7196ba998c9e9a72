"""An image of fewer pixels, taken with few electrons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import RecipeError
from ..scan import Scan
from .base import Range, height_range, surface
from .filters import mirror

Kernel = Literal["bicubic", "bilinear"]


@dataclass(frozen=True)
class LowDose:
    r"""Takes an image on a coarser grid, counts electrons there, and puts it back on the fine grid.

    Of :math:`n` electrons in a pixel at full scale, a pixel of value :math:`v \in [0, 1]` gets
    :math:`N \sim \mathrm{Poisson}(n v)`, and reads :math:`N/n + r`, where :math:`r` is the noise
    of the readout. Interpolation then spreads the noise of one coarse pixel over several fine ones,
    so that it has to come in between.

    Attributes:
        factor: A coarse pixel is this many fine ones wide and high; 1 keeps the grid.
        kernel: By what both grids are interpolated. On the way down it is stretched by `factor`,
            so that what the coarse grid cannot hold is filtered out.
        electrons: A pixel's count at full scale; drawn once an image. 0: so many that they are not
            counted.
        readout_of_range: Standard deviation of the readout, in units of full scale; drawn once an
            image.
        saturates: Whether coarse pixels below 0 and above full scale read 0 and full scale.
        low: What 0 stands for, in the scan's unit; the scan's own lowest value by default ...
        span: ... and what 1, full scale, stands for, above it; its own range by default.

    Raises:
        RecipeError: `factor` is 0.

    References:
        Wang, Huang, Sun, SBSR, Methodology, steps 1 and 2; all numbers are those of its public code
    """

    factor: int = 2
    kernel: Kernel = "bicubic"
    electrons: Range = (50.0, 50.0)
    readout_of_range: Range = (0.01, 0.03)
    saturates: bool = True
    low: float | None = None
    span: float | None = None

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise RecipeError(f"LowDose needs a factor of at least 1, got {self.factor}")

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws the dose and the readout's noise, then every pixel's."""
        electrons, readout = rng.uniform(*self.electrons), rng.uniform(*self.readout_of_range)
        own_low, own_span = height_range(scan)
        low = own_low if self.low is None else self.low
        span = own_span if self.span is None else self.span

        values, missing = surface(scan)
        fine = (values.astype(np.float64) - low) / (span or 1)
        coarse_shape = [max(1, n // self.factor) for n in fine.shape]
        down = [
            interpolation(n, m, self.kernel) for n, m in zip(fine.shape, coarse_shape, strict=True)
        ]
        coarse = down[0] @ fine @ down[1].T
        if span > 0:
            if electrons > 0:
                coarse = rng.poisson(electrons * coarse.clip(0)) / electrons
            coarse += readout * rng.standard_normal(coarse.shape)
            if self.saturates:
                coarse = coarse.clip(0, 1)
        up = [
            interpolation(m, n, self.kernel) for n, m in zip(fine.shape, coarse_shape, strict=True)
        ]
        seen = low + (span or 1) * (up[0] @ coarse @ up[1].T)
        seen[missing] = np.nan
        return scan.after(
            f"low dose: pixels {self.factor}x as wide, {electrons:.4g} electrons, "
            f"readout {readout:.4f} of the range, {self.kernel}",
            seen,
        )


@lru_cache(maxsize=32)
def interpolation(pixels: int, to: int, kernel: Kernel) -> NDArray[np.float64]:
    """The matrix, shape (to, pixels), that takes a line from one grid to another, its mean kept.

    Pixels are areas: the centre of pixel i of n lies at (i + 1/2)/n of the line. The cubic kernel
    is Keys's, of a = -1/2.

    References:
        R. Keys, IEEE Trans. Acoust. Speech Signal Process. 29, 1153 (1981),
        doi:10.1109/TASSP.1981.1163711
    """
    ratio = pixels / to
    wide = max(ratio, 1.0)
    reach = math.ceil((2 if kernel == "bicubic" else 1) * wide)
    matrix = np.zeros((to, pixels))
    for i in range(to):
        centre = (i + 0.5) * ratio - 0.5
        near = np.arange(math.floor(centre) - reach, math.floor(centre) + reach + 2)
        weights = (_cubic if kernel == "bicubic" else _linear)(abs(near - centre) / wide)
        for j, weight in zip(near, weights / weights.sum(), strict=True):
            matrix[i, mirror(int(j), pixels)] += weight
    matrix.setflags(write=False)
    return matrix


def _linear(x: NDArray[np.floating]) -> NDArray[np.floating]:
    return (1 - x).clip(0)


def _cubic(x: NDArray[np.floating]) -> NDArray[np.floating]:
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
