"""From one grid to another: nothing may move, nothing may be lost that the grid can hold."""

from __future__ import annotations

import numpy as np
import pytest

from scanmend import resample
from scanmend.scan import Scan


def wave(rows, columns, size_nm=20.0, period_nm=2.0):
    """A tilted wave, sampled at the centres of pixels over a square of `size_nm`."""
    y = (np.arange(rows)[:, None] + 0.5) / rows * size_nm
    x = (np.arange(columns) + 0.5) / columns * size_nm
    return np.sin(2 * np.pi * (x + 0.4 * y) / period_nm)


@pytest.mark.parametrize("shape", [(100, 140), (120, 120), (87, 113)])
def test_another_grid_shows_the_same_wave_at_the_same_place(shape):
    moved = resample.to_shape(wave(100, 100), shape)
    inner = (slice(8, -8),) * 2
    np.testing.assert_allclose(moved[inner], wave(*shape)[inner], atol=0.03)


def test_what_a_coarser_grid_cannot_hold_is_filtered_out():
    fine = wave(400, 400, period_nm=0.2)
    coarse = resample.to_shape(fine, (80, 80))
    assert coarse[8:-8, 8:-8].std() < 0.02 * fine.std()


def test_a_grid_that_fits_is_left_alone():
    image = wave(30, 40).astype(np.float32)
    assert resample.to_shape(image, (30, 40)) is image


def test_the_size_in_nm_never_changes():
    scan = Scan(wave(100, 100).astype(np.float32), (0.1, 0.3))
    new = resample.to_pitch(scan, (0.2, 0.19))
    assert new.values.shape == (50, 158)
    assert new.size_nm == pytest.approx(scan.size_nm)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_measured_lines_pass_through_to_the_bit(factor, rng):
    lines = rng.standard_normal((20, 31)).astype(np.float32)
    at = tuple(range(resample.line_phase(factor), 20 * factor, factor))
    full = resample.line_weights(20 * factor, at) @ lines
    np.testing.assert_array_equal(full[list(at)], lines)
    assert np.abs(full).max() < 2 * np.abs(lines).max()


def test_lines_between_follow_a_cubic_exactly():
    at = tuple(range(1, 40, 4))
    y = np.arange(40.0)
    cubic = (1e-3 * y**3 - 0.03 * y**2 + y)[:, None]
    full = resample.line_weights(40, at) @ cubic[list(at)]
    np.testing.assert_allclose(full[1:38], cubic[1:38], atol=1e-3)
    np.testing.assert_allclose(full[[0, 38, 39]], cubic[[1, 37, 37]], atol=1e-6)


def test_one_line_is_all_that_is_known():
    weights = resample.line_weights(5, (2,))
    np.testing.assert_array_equal(weights, np.ones((5, 1)))
