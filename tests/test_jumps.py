"""Where the tip became longer or shorter between two lines, and where it did not."""

from __future__ import annotations

import numpy as np
import pytest

import scanmend
from scanmend import level
from scanmend.degrade.recipe import isolated, preset
from scanmend.degrade.tip_change import TipChange
from scanmend.pairs.clean import Surface
from scanmend.scan import Scan

NAMES = ("si001h", "surface")


def pieces(name, count, side=128):
    rng = np.random.default_rng(7)
    return [Surface(name).piece("train", side, rng).scan for _ in range(count)]


@pytest.mark.parametrize("name", NAMES)
def test_a_tip_that_has_changed_is_found_and_nothing_else(name):
    left, were = [], []
    for number, scan in enumerate(pieces(name, 24)):
        assert not level.jumps(scan).any(), "a surface is no fault of the tip"
        longer = TipChange(offset_probability=1.0, persists=True)
        changed = longer(scan, np.random.default_rng(number))
        true = np.median(changed.values - scan.values, axis=1)
        off = true - level.jumps(changed)
        were.append(true.std() / np.ptp(scan.values))
        left.append(off.std() / np.ptp(scan.values))
    assert np.median(left) < 0.01 < 0.08 < np.median(were)
    assert np.mean(np.array(left) < 0.03) > 0.6


@pytest.mark.parametrize("damage", ["LineNoise", "LineShift", "MultiTip"])
def test_other_damage_is_none(damage):
    """Lines that are disturbed from end to end rise, but fall again."""
    recipe, found = isolated(preset("paper"), damage), 0.0
    for number, scan in enumerate(pieces("si001h", 24)):
        found += level.jumps(recipe(scan, np.random.default_rng(number))).any()
    assert found <= 1


def test_steps_of_the_surface_stay():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128].astype(float)
    noise = 0.003 * rng.standard_normal((128, 128))
    slanting = 0.136 / (1 + np.exp(-(y - 64 - 0.05 * x) / 0.1))
    along = 0.136 / (1 + np.exp(-(y - 64.3) / 0.8))  # as wide as a tip is blunt
    for step in (slanting, along):
        assert not level.jumps(Scan((step + noise).astype(np.float32), (0.2, 0.2))).any()


def test_a_band_that_comes_back_slowly_is_no_jump():
    """Else the rest of the scan would stand where the band stood."""
    scan = pieces("si001h", 1, side=256)[0]
    values, height = scan.values.copy(), np.ptp(scan.values)
    values[30:36] += height
    values[36:46] += np.linspace(height, 0, 10, dtype=np.float32)[:, None]
    assert not level.jumps(Scan(values, scan.pixel_nm)).any()


def test_tilt_does_not_matter_and_height_counts():
    scan = pieces("surface", 1)[0]
    values = scan.values.astype(np.float64)
    values[50:] += 2 * np.ptp(values)
    jumped = Scan(values.astype(np.float32), scan.pixel_nm)
    y, x = np.mgrid[:128, :128] * 0.01
    other = Scan((10 * values + y - 2 * x).astype(np.float32), scan.pixel_nm)
    offsets = level.jumps(jumped)
    assert (np.flatnonzero(np.diff(offsets)) + 1).tolist() == [50]
    assert level.jumps(other) == pytest.approx(10 * offsets, rel=1e-3)


def test_what_was_not_measured_jumps_with_what_was():
    scan = pieces("si001h", 1)[0]
    values = scan.values.copy()
    values[60:] += np.ptp(values)
    values[56:60], values[100:, :90] = np.nan, np.nan
    offsets = level.jumps(Scan(values, scan.pixel_nm))
    assert (np.flatnonzero(np.diff(offsets)) + 1).tolist() == [60]
    for few in (np.full((128, 4), np.nan), np.zeros((3, 128)), np.zeros((40, 1))):
        assert not level.jumps(Scan(few.astype(np.float32), (1, 1))).any()


def test_restoring_takes_them_away_and_says_so():
    scan = pieces("si001h", 1)[0]
    values = scan.values.copy()
    values[40:] += 0.5 * np.ptp(values)
    result = scanmend.restore(Scan(values, scan.pixel_nm))
    assert result.provenance["jumps_at_line"] == [40]
    error = level.plane(scan.after("error", result.mean.values - scan.values))[0].values
    assert error.std() < 0.1 * scan.values.std()
    few = Scan(values[::2].copy(), (2 * scan.pixel_nm[0], scan.pixel_nm[1]))
    kept, mended = (scanmend.upscale(few, 2, mend=mend) for mend in (False, True))
    assert kept.provenance["jumps_at_line"] == []
    assert mended.provenance["jumps_at_line"] == [20]
