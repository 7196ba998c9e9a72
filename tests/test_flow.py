"""The sampler, where the answer is known: a Gaussian, whose velocity has a closed form."""

from __future__ import annotations

import numpy as np
import pytest

from scanmend.generate.flow import between, euler

MEAN, DEVIATION, NOISE = 1.5, 0.4, 0.1


def expected(x, t):
    """E[end | path at t = x] where the end is N(MEAN, DEVIATION²) and the start N(MEAN, NOISE²)."""
    gain = t * DEVIATION**2 / ((1 - t) ** 2 * NOISE**2 + t**2 * DEVIATION**2)
    return MEAN + gain * (x - MEAN)


def test_the_flow_carries_noise_to_the_distribution_to_first_order(rng):
    start = MEAN + NOISE * rng.standard_normal(100_000)
    ends = {calls: euler(expected, start, calls) for calls in (50, 100, 200)}
    short = {calls: 1 - end.std() / DEVIATION for calls, end in ends.items()}
    assert ends[200].mean() == pytest.approx(MEAN, abs=0.005)
    assert short[50] / short[100] == pytest.approx(2, rel=0.1)
    assert short[100] / short[200] == pytest.approx(2, rel=0.1)
    assert abs(2 * short[200] - short[100]) < 0.005  # what is left when the steps get small


def test_one_call_is_the_prediction_itself(rng):
    start = rng.standard_normal(9)
    np.testing.assert_array_equal(euler(lambda x, t: 0 * x + 7.0, start, 1), np.full(9, 7.0))


def test_the_path_is_straight():
    assert between(2.0, 6.0, 0.25) == 3.0
