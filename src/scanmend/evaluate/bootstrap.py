"""How far a mean over images can be trusted: the bootstrap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ScanError

LEVEL = 0.95
RESAMPLES = 2000


class Estimate(NamedTuple):
    """A number, and between which two it lies at `LEVEL`, unless another level was asked for."""

    value: float
    low: float
    high: float


def mean(
    values: ArrayLike,
    rng: np.random.Generator,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Estimate:
    """The mean of `values`, one an image, with its percentile bootstrap interval.

    Raises:
        ScanError: There are no values, or they are no numbers.
    """
    (v,) = _columns(values)
    return interval(float(v.mean()), weights(len(v), rng, resamples) @ v, level)


def difference(
    values: ArrayLike,
    others: ArrayLike,
    rng: np.random.Generator,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Estimate:
    """The mean of `values` - `others`, of two methods on the same images in the same order.

    Images are resampled, each with both its values: what they have in common falls out.

    Raises:
        ScanError: There are not as many of the one as of the other, or they are no numbers.
    """
    v, w = _columns(values, others)
    return mean(v - w, rng, level, resamples)


def _columns(*columns: ArrayLike) -> list[NDArray[np.float64]]:
    arrays = [np.asarray(column, np.float64) for column in columns]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1 or arrays[0].ndim != 1 or not arrays[0].size:
        raise ScanError(
            f"scores are one number an image, of the same images, got shapes "
            f"{' and '.join(str(array.shape) for array in arrays)}"
        )
    if bad := sum(int((~np.isfinite(array)).sum()) for array in arrays):
        raise ScanError(f"{bad} of the scores are no finite numbers: they have no mean")
    return arrays


def weights(count: int, rng: np.random.Generator, resamples: int) -> NDArray[np.float64]:
    """How often each of `count` images is drawn, over `count`; shape (resamples, count)."""
    return rng.multinomial(count, np.full(count, 1 / count), resamples) / count


def interval(value: float, resampled: NDArray[np.float64], level: float) -> Estimate:
    """`value` between the percentiles of what it was in each resampling."""
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high))
