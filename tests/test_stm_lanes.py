"""Random numbers side by side: those of the published generator, and normal to their tails."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scanmend.stm.lanes import LANES, advance, normals, streams


def test_the_generator_is_the_published_one():
    state, bits = (1, 2, 3, 4), []
    for _ in range(10):
        one, *state = advance(*(np.uint32(word) for word in state))
        bits.append(int(one))
    # from the C code of Blackman and Vigna
    assert bits[:5] == [641, 1573767, 3222811527, 3517856514, 836907274]
    assert bits[5:] == [4247214768, 3867114732, 1355841295, 495546011, 621204420]


def test_normal_numbers_have_the_moments_and_tails_of_theory(rng):
    x = normals(streams([rng] * LANES), 500_000).astype(float)
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((x**power).mean() - moment) < 4 * np.sqrt(spread / x.size)
    for beyond in (1, 2, 3, 4, 5):
        expected = 2 * stats.norm.sf(beyond) * x.size
        assert abs((np.abs(x) > beyond).sum() - expected) < 4 * np.sqrt(expected)
    assert stats.kstest(x[:100_000].ravel(), "norm").pvalue > 1e-3


def test_neither_neighbouring_numbers_nor_lanes_are_correlated(rng):
    x = normals(streams([rng] * LANES), 200_000).astype(float)
    lanes = np.corrcoef(x.T) - np.eye(LANES)
    assert np.abs(lanes).max() < 5 / np.sqrt(len(x))
    for lag in (1, 2, 3, 8):
        assert abs((x[lag:] * x[:-lag]).mean()) < 4 / np.sqrt(x.size)
        assert abs((x[lag:] ** 2 * x[:-lag] ** 2).mean() - 1) < 4 * np.sqrt(8 / x.size)


def test_a_stream_is_that_of_its_rng_in_whatever_lane():
    alone = normals(streams([np.random.default_rng(7)]), 101)
    beside = normals(streams([np.random.default_rng(i) for i in range(LANES)]), 101)
    assert np.array_equal(alone[:, 0], beside[:, 7])
    assert np.array_equal(alone[:, 0], alone[:, 15])
    assert alone.std() == pytest.approx(1, abs=0.2)
