"""Means over images with their intervals: one resampling for all that has as many images."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scanmend.evaluate.bootstrap import LEVEL, RESAMPLES, Estimate, interval, weights

Values = NDArray[np.floating]


def mean(values: Values) -> Estimate:
    """Of scores of images, those left out that are not finite."""
    return of_sums(lambda sums: sums, values[np.isfinite(values)])


def decibels(values: Values) -> Estimate:
    """The PSNR (dB) of the mean squared error: that of an untouched image is infinite."""
    return of_sums(lambda sums: -10 * np.log10(sums), 10 ** (-values / 10))


def gain_dB(after: Values, before: Values) -> Estimate:
    """By how much the one PSNR of the mean squared error exceeds the other, image by image."""
    both = np.stack([10 ** (-after / 10), 10 ** (-before / 10)], axis=1)
    return of_sums(lambda sums: 10 * np.log10(sums[..., 1] / sums[..., 0]), both)


def of_sums(score: Callable[[Values], Values], values: Values) -> Estimate:
    """A score of the mean over images (the first axis), and its interval over resamplings."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if not len(values):
            return Estimate(np.nan, np.nan, np.nan)
        flat = values.reshape(len(values), -1)
        drawn = (drawings(len(values)) @ flat).reshape(-1, *values.shape[1:])
        found = np.asarray(score(drawn), np.float64)
        return interval_of(float(score(values.mean(axis=0))), found)


def interval_of(value: float, drawn: Values) -> Estimate:
    """`value` between the percentiles of what was drawn; those that are not finite are left out."""
    known = drawn[np.isfinite(drawn)]
    return interval(value, known, LEVEL) if known.size else Estimate(value, value, value)


@lru_cache(maxsize=16)
def drawings(count: int) -> NDArray[np.float64]:
    """How often each of `count` images is drawn; the same for all that have as many."""
    return weights(count, np.random.default_rng(count), RESAMPLES)
