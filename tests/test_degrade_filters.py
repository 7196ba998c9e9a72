"""The fast filters against scipy's, and against what they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from scanmend.degrade import filters


@pytest.fixture
def image(rng):
    smooth = ndimage.gaussian_filter(rng.standard_normal((47, 64)), 1.5, mode="reflect")
    return (smooth / np.ptp(smooth)).astype(np.float32)


@pytest.mark.parametrize("sigma_px", [0.0, 0.1, 0.3, 0.6, 1.7, 3.0, 20.0])
def test_gaussian_is_that_of_scipy(image, sigma_px):
    expected = ndimage.gaussian_filter(image, sigma_px) if sigma_px else image
    assert filters.gaussian(image, sigma_px) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [1, 2, 5, 6, 9])
def test_correlation_is_that_of_scipy(image, size, rng):
    kernel = rng.uniform(-0.5, 1, (size, size)).astype(np.float32)
    expected = ndimage.correlate(image, kernel)
    assert filters.correlate(image, kernel) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 9, 15])
def test_median_is_that_of_scipy_to_half_a_level_in_256(image, size):
    median = filters.median(image, size)
    assert median == pytest.approx(ndimage.median_filter(image, size), abs=0.5 / 255 + 1e-6)


def test_the_median_of_one_value_is_that_value():
    plain = np.full((5, 6), np.float32(-3.25))
    assert np.array_equal(filters.median(plain, 5), plain)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, 5), (-2, 7), (0.5, -0.25), (4.3, 9.8)])
def test_a_shifted_wave_is_the_wave_shifted(down, right):
    """Lanczos reads a wave of 12 pixels between its pixels to better than 1 %."""
    y, x = np.mgrid[:70, :70]
    k = 2 * np.pi / 12
    moved = filters.shift(np.cos(k * (x + y)).astype(np.float32), down, right)
    expected = np.cos(k * (x + y - down - right))
    exact = float(down).is_integer() and float(right).is_integer()
    inner = (slice(14, -14),) * 2
    assert moved[inner] == pytest.approx(expected[inner], abs=1e-5 if exact else 0.01)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_the_mirror_has_no_end(length):
    row = np.arange(length)
    endless = np.pad(row, 3 * length, "symmetric")
    at = range(-3 * length, 4 * length)
    assert [filters.mirror(i, length) for i in at] == endless.tolist()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3)])
def test_images_smaller_than_the_window(shape, rng):
    image = rng.random(shape, np.float32)
    for name, expected in (
        ("gaussian", ndimage.gaussian_filter(image, 3)),
        ("median", ndimage.median_filter(image, 9)),
    ):
        filtered = getattr(filters, name)(image, {"gaussian": 3, "median": 9}[name])
        assert filtered == pytest.approx(expected, abs=0.003)
