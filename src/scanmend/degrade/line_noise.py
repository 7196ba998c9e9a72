"""Disturbances that hit a scan line for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import RecipeError
from ..scan import Scan
from .base import Range, height_range


@dataclass(frozen=True)
class LineNoise:
    r"""Adds a disturbed segment to some scan lines, of one of three shapes.

    A constant; the tip's jump and slow recovery, :math:`\mathcal{LN}(j; \mu, \sigma)`, the
    log-normal density at the segment's pixels :math:`j = 1, 2, \ldots`, whose peak
    :math:`e^{\sigma^2/2 - \mu} / (\sigma\sqrt{2\pi})` needs no further scale; or a sinusoid.

    Attributes:
        lines_per_128: How many of 128 lines are hit, at most one segment each.
        length_px: Length of a segment, pixels; never longer than the line.
        weights: How often a segment is constant, log-normal, sinusoidal.
        constant_of_range: Height of a constant segment, in units of the height range.
        log_normal_mu: :math:`\mu`, with :math:`j` in pixels and heights in units of the range.
        log_normal_sigma: :math:`\sigma`.
        sine_of_range: Amplitude of a sinusoid, in units of the height range.
        sine_period_px: Its period, pixels.
        sign: Whether segments are "positive" only, or "either".
        span: What 1 stands for in `_of_range`, in the scan's unit; the scan's own height range by
            default.

    Raises:
        RecipeError: `weights` are all 0, or `log_normal_sigma` or `sine_period_px` reach 0.

    References:
        Kolev, Rodani et al., Sec. II A, step 8; the sinusoid's numbers are not given there
    """

    lines_per_128: Range = (25.0, 35.0)
    length_px: Range = (0.0, 102.0)
    weights: tuple[float, float, float] = (0.3, 0.45, 0.25)
    constant_of_range: Range = (0.0, 0.4)
    log_normal_mu: Range = (1.0, 2.0)
    log_normal_sigma: Range = (0.5, 1.0)
    sine_of_range: Range = (0.05, 0.4)
    sine_period_px: Range = (4.0, 64.0)
    sign: Literal["positive", "either"] = "positive"
    span: float | None = None

    def __post_init__(self) -> None:
        if not sum(self.weights) > 0 or not min(*self.log_normal_sigma, *self.sine_period_px) > 0:
            raise RecipeError(
                "LineNoise needs weights that are not all 0, log_normal_sigma and sine_period_px "
                f"above 0, got {self.weights}, {self.log_normal_sigma}, {self.sine_period_px}"
            )

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws the lines, then a segment for each."""
        rows, columns = scan.values.shape
        span = height_range(scan)[1] if self.span is None else self.span
        hit = min(rows, round(rng.uniform(*self.lines_per_128) * rows / 128))
        lines = rng.permutation(rows)[:hit]
        length = np.minimum(rng.uniform(*self.length_px, hit), columns)
        start = np.floor(rng.random(hit) * (columns - length + 1))
        j = np.arange(columns) - start[:, None] + 1.0
        inside = (j >= 1) & (j <= np.floor(length)[:, None])

        edges = np.cumsum(self.weights) / sum(self.weights)
        shape = np.searchsorted(edges[:-1], rng.random(hit), side="right")
        noise = np.empty((hit, columns))
        for kind, draw in enumerate((self._constant, self._log_normal, self._sine)):
            chosen = shape == kind
            # Outside a segment j may be below 1, where a logarithm would end.
            noise[chosen] = draw(np.maximum(j[chosen], 1.0), rng)
        if self.sign == "either":
            noise *= rng.choice((-1.0, 1.0), (hit, 1))

        values = scan.values.copy()
        values[lines] += (span * noise * inside).astype(np.float32)
        return scan.after(f"line noise on {hit} lines", values)

    def _constant(self, j: NDArray, rng: np.random.Generator) -> NDArray:
        return rng.uniform(*self.constant_of_range, (len(j), 1)) * np.ones_like(j)

    def _log_normal(self, j: NDArray, rng: np.random.Generator) -> NDArray:
        mu = rng.uniform(*self.log_normal_mu, (len(j), 1))
        sigma = rng.uniform(*self.log_normal_sigma, (len(j), 1))
        return log_normal(j, mu, sigma)

    def _sine(self, j: NDArray, rng: np.random.Generator) -> NDArray:
        amplitude = rng.uniform(*self.sine_of_range, (len(j), 1))
        period = rng.uniform(*self.sine_period_px, (len(j), 1))
        phase = rng.uniform(0, 2 * np.pi, (len(j), 1))
        return amplitude * np.sin(2 * np.pi * j / period + phase)


def log_normal(j: NDArray, mu: NDArray | float, sigma: NDArray | float) -> NDArray:
    """The log-normal probability density at `j` > 0."""
    return np.exp(-(((np.log(j) - mu) / sigma) ** 2) / 2) / (j * sigma * np.sqrt(2 * np.pi))
