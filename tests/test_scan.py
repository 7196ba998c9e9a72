"""The image type, levelling and normalising."""

from __future__ import annotations

import numpy as np
import pytest

from scanmend import level
from scanmend.errors import ScanError
from scanmend.normalise import Affine
from scanmend.scan import Quantity, Scan


def scan_of(values, pixel_nm=(0.2, 0.2), quantity=Quantity.HEIGHT):
    return Scan(np.asarray(values, np.float32), pixel_nm, quantity)


@pytest.mark.parametrize(
    ("values", "pixel_nm", "text"),
    [
        (np.zeros((2, 3, 4), np.float32), (1, 1), "shape \\(2, 3, 4\\)"),
        (np.zeros((0, 3), np.float32), (1, 1), "shape \\(0, 3\\)"),
        (np.zeros((2, 3)), (1, 1), "float32, got float64"),
        (np.zeros((2, 3), np.float32), (1, 0), "pitch must be positive, got \\(1, 0\\) nm"),
        (np.zeros((2, 3), np.float32), (float("nan"), 1), "pitch must be positive"),
    ],
)
def test_what_is_no_scan_is_refused(values, pixel_nm, text):
    with pytest.raises(ScanError, match=text):
        Scan(values, pixel_nm)


def test_more_lines_make_a_finer_pitch_over_the_same_field(lattice):
    finer = lattice.after("twice the lines", np.repeat(lattice.values, 2, axis=0))
    assert finer.size_nm == pytest.approx(lattice.size_nm)
    assert finer.pixel_nm == pytest.approx((0.095, 0.19))
    assert finer.history == (*lattice.history, "twice the lines")


def test_a_crop_keeps_the_pitch(lattice):
    part = lattice.crop(slice(8, -8), slice(10, 40))
    assert part.values.shape == (112, 30)
    assert part.pixel_nm == lattice.pixel_nm
    assert part.history[-1] == "crop 112x30 from row 8, column 10"
    np.testing.assert_array_equal(part.values, lattice.values[8:120, 10:40])


def test_a_plane_is_found_exactly_and_can_be_put_back(lattice):
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    tilted = lattice.after("tilt", lattice.values + 0.3 + 0.2 * y - 0.5 * x)
    flat, plane = level.plane(tilted)
    np.testing.assert_allclose(flat.values, level.plane(lattice)[0].values, atol=2e-7)
    np.testing.assert_allclose(flat.values + plane, tilted.values, atol=1e-7)


def test_levelling_leaves_out_what_was_not_measured(lattice):
    gap = lattice.values.copy()
    gap[40:60] = np.nan
    flat, plane = level.plane(lattice.after("gap", gap))
    assert np.isnan(flat.values[40:60]).all()
    assert np.isfinite(plane).all()


def test_normalising_is_undone_exactly_enough(lattice):
    affine = Affine.of(lattice)
    inside = affine.apply(lattice.values)
    assert np.median(inside) == pytest.approx(0, abs=1e-6)
    assert np.ptp(np.percentile(inside, (5, 95))) == pytest.approx(3.3, abs=1e-5)
    np.testing.assert_allclose(affine.undo(inside), lattice.values, atol=1e-7)
    np.testing.assert_allclose(affine.undo_spread(np.ones(3)), affine.scale)


def test_a_few_spikes_do_not_set_the_contrast(lattice):
    spiked = lattice.values.copy()
    spiked[5, 5:20] = 100
    before, after = Affine.of(lattice), Affine.of(lattice.after("crash", spiked))
    assert after.scale == pytest.approx(before.scale, rel=0.02)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.full((8, 8), np.nan), "nothing in this scan was measured"),
        (np.full((8, 8), 3.0), "every pixel is 3 nm: nothing to restore"),
    ],
)
def test_what_has_no_contrast_is_refused(values, text):
    with pytest.raises(ScanError, match=text):
        Affine.of(scan_of(values))
