"""A tip that ends in more than one apex."""

from __future__ import annotations

import math
from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import RecipeError
from ..scan import Scan
from . import filters
from .base import Range, height_range, surface


def second_apex(
    height: NDArray[np.floating], amplitude: float, onset: float, steepness: float
) -> NDArray[np.floating]:
    r"""Current through a second apex above a surface: :math:`A / (1 + e^{c - d h})`.

    It follows from :math:`I_T = I_\alpha + I_\beta` with :math:`I_i = C_i e^{-2\kappa z_i}`: an
    apex shorter by :math:`a` carries :math:`A = I_T` times the sigmoid with
    :math:`c = 2\kappa a - \ln(C_\beta/C_\alpha)` and :math:`d = 2\kappa`. (Eqs. 21-25 of the source
    invert the ratio and lose the 2.)
    """
    return amplitude / (1 + np.exp(onset - steepness * height))


@dataclass(frozen=True)
class MultiTip:
    r"""Adds to the scan the ghosts that a tip's further apices draw.

    .. math:: f(x) = h(x) + \sum_i K_i \frac{A_i}{1 + e^{c_i - d_i h(x - s_i)}}

    with :math:`h` and :math:`A_i` in units of the height range. Only what is high reaches the
    shorter apices. A ghost within `margin_px` of the border can stem from beyond the frame, where
    the mirror image stands in for the surface; crop that much for ghosts of real features only.

    Attributes:
        tips: Numbers of tips to choose from ...
        weights: ... and how often each, relative to one another.
        count: Whether `tips` counts the "extra" ones (Eq. 1) or the "total".
        offset_nm: Each component of an apex's offset, nm.
        direction: "positive" leaves ghosts down and to the right, "any" turns them at random.
        amplitude: :math:`A`.
        onset: :math:`c`.
        steepness: :math:`d`.
        kernel_weights: How often an apex is blurred by a Gaussian, flattened by a median, or has
            a random shape.
        gaussian_px: Standard deviation of the Gaussian, pixels.
        median_px: Smallest and largest side of the median's window, pixels.
        random_px: Smallest and largest side of the random shape, pixels; its entries are uniform in
            (-0.5, 1), divided by their sum so that it neither adds nor takes height.
        low: What 0 stands for, in the scan's unit; the scan's own lowest height by default ...
        span: ... and what 1 stands for, above it; the scan's own height range by default.

    Raises:
        RecipeError: `weights` do not match `tips`, or are all 0.

    References:
        N. Kolev, T. Rodani et al., scanning tunnelling microscopy restoration, Eq. 1 and App. 2
    """

    tips: tuple[int, ...] = (2, 3, 4)
    weights: tuple[float, ...] = (0.5, 0.3, 0.2)
    count: Literal["extra", "total"] = "extra"
    offset_nm: Range = (0.1953, 2.1483)
    direction: Literal["positive", "any"] = "positive"
    amplitude: Range = (1.0, 2.5)
    onset: Range = (5.0, 9.0)
    steepness: Range = (7.0, 10.0)
    kernel_weights: tuple[float, float, float] = (0.3, 0.4, 0.3)
    gaussian_px: Range = (1.0, 3.0)
    median_px: tuple[int, int] = (1, 9)
    random_px: tuple[int, int] = (5, 6)
    low: float | None = None
    span: float | None = None

    def __post_init__(self) -> None:
        if len(self.tips) != len(self.weights) or not sum(self.weights) > 0:
            raise RecipeError(
                f"MultiTip needs one weight for each of its tips {self.tips}, not all 0, "
                f"got {self.weights}"
            )
        windows = *self.median_px, *self.random_px
        if not sum(self.kernel_weights) > 0 or not 1 <= min(windows) <= max(windows) <= 15:
            raise RecipeError(
                "MultiTip needs kernel_weights that are not all 0, and windows of 1 to 15 px, "
                f"got {self.kernel_weights}, median_px {self.median_px}, random_px {self.random_px}"
            )

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws the apices, then adds their ghosts."""
        own_low, own_span = height_range(scan)
        low = own_low if self.low is None else self.low
        span = own_span if self.span is None else self.span
        h, missing = surface(scan)
        h = (h - np.float32(low)) / np.float32(span or 1)

        extra = self.tips[_choose(rng, self.weights)] - (self.count == "total")
        ghosts = np.zeros_like(h)
        offsets = []
        for _ in range(extra):
            y, x = self._offset_nm(rng)
            moved = filters.shift(h, y / scan.pixel_nm[0], x / scan.pixel_nm[1])
            a, c, d = (rng.uniform(*r) for r in (self.amplitude, self.onset, self.steepness))
            ghosts += self._shaped(second_apex(moved, a, c, d), rng)
            offsets.append(f"({y:+.3f}, {x:+.3f})")

        values = scan.values + np.float32(span) * ghosts
        values[missing] = np.nan
        return scan.after(f"multi-tip {' '.join(offsets) or 'none'} nm", values)

    def margin_px(self, pixel_nm: tuple[float, float]) -> int:
        """How far into the frame what lies beyond it can reach, pixels."""
        turned = math.sqrt(2) if self.direction == "any" else 1.0
        kernel = max(4 * self.gaussian_px[1], self.median_px[1] / 2, self.random_px[1] / 2)
        return math.ceil(turned * self.offset_nm[1] / min(pixel_nm) + kernel + 3)

    def _offset_nm(self, rng: np.random.Generator) -> tuple[float, float]:
        """Rows down and columns to the right, nm."""
        y, x = rng.uniform(*self.offset_nm, size=2)
        if self.direction == "any":
            turn = rng.uniform(0, 2 * math.pi)
            y, x = (
                y * math.cos(turn) + x * math.sin(turn),
                x * math.cos(turn) - y * math.sin(turn),
            )
        return float(y), float(x)

    def _shaped(self, ghost: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """The ghost as an apex of another shape draws it."""
        kind = ("gaussian", "median", "random")[_choose(rng, self.kernel_weights)]
        if kind == "gaussian":
            return filters.gaussian(ghost, rng.uniform(*self.gaussian_px))
        if kind == "median":
            return filters.median(ghost, int(rng.integers(*self.median_px, endpoint=True)))
        size = int(rng.integers(*self.random_px, endpoint=True))
        while True:
            kernel = rng.uniform(-0.5, 1.0, (size, size))
            # A sum near 0 would blow the ghost up; at 5 x 5 it happens once in 140 draws.
            if size == 1 or abs(kernel.sum()) >= 1:
                return filters.correlate(ghost, (kernel / kernel.sum()).astype(np.float32))


def _choose(rng: np.random.Generator, weights: tuple[float, ...]) -> int:
    """An index, by weight (Generator.choice takes ten times as long)."""
    return bisect(list(accumulate(weights)), rng.random() * sum(weights), hi=len(weights) - 1)
