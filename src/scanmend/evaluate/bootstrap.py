"""How far a mean over images can be trusted: the bootstrap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 2000


class Estimate(NamedTuple):
    """A number, and between which two it lies at the level that was asked for."""

    value: float
    low: float
    high: float


def weights(count: int, rng: np.random.Generator, resamples: int) -> NDArray[np.float64]:
    """How often each of `count` images is drawn, over `count`; shape (resamples, count)."""
    return rng.multinomial(count, np.full(count, 1 / count), resamples) / count


def interval(value: float, resampled: NDArray[np.float64], level: float) -> Estimate:
    """`value` between the percentiles of what it was in each resampling."""
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))
