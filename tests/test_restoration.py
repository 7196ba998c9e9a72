"""What must hold for a restoration whatever the model has learnt, and what it must have learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from scipy.interpolate import CubicSpline

import scanmend
from scanmend import level
from scanmend.crystals import acquisition_noise, silicon
from scanmend.degrade import recipe
from scanmend.errors import ModelError, RecipeError, ScanError
from scanmend.evaluate.metrics import ssim
from scanmend.resample import line_phase
from scanmend.restoration import restore, upscale
from scanmend.scan import Quantity, Scan


@pytest.fixture(scope="module")
def surface() -> Scan:
    """A clean surface with all its defects, 30 nm a side."""
    rng = np.random.default_rng(7)
    return acquisition_noise(silicon.surface(rng, (160, 160)), rng)


@pytest.fixture(scope="module")
def damaged(surface) -> Scan:
    return recipe.isolated(recipe.preset("realistic"), "LineNoise")(
        surface, np.random.default_rng(8)
    )


def every(surface: Scan, factor: int) -> Scan:
    return surface.after("sparse", surface.values[line_phase(factor) :: factor])


def flat(scan: Scan) -> np.ndarray:
    return level.plane(scan)[0].values


def test_damage_is_mended(surface, damaged):
    before = ssim(flat(damaged), flat(surface))
    after = ssim(flat(restore(damaged).mean), flat(surface))
    assert after > before + 0.05


def test_what_is_not_damaged_is_left_alone(surface):
    assert ssim(flat(restore(surface).mean), flat(surface)) > 0.95


@pytest.mark.parametrize(("factor", "gain"), [(2, 0.0), (4, 0.1)])
def test_lines_between_are_better_than_splines(factor, gain):
    """On the mean of several surfaces; on one alone, rows that alias may be taken for others."""
    gains = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        truth = acquisition_noise(silicon.surface(rng, (128, 128)), rng)
        few = every(truth, factor)
        at = np.arange(line_phase(factor), 128, factor)
        spline = CubicSpline(at, few.values)(np.clip(np.arange(128), at[0], at[-1]))
        ours = upscale(few, factor).mean.values
        gains.append(ssim(ours, truth.values) - ssim(spline, truth.values))
    assert np.mean(gains) > gain


def test_upscaling_keeps_measured_lines_to_the_bit_unless_told_otherwise(surface):
    few = every(surface, 4)
    kept = upscale(few, 4)
    np.testing.assert_array_equal(kept.mean.values[1::4], few.values)
    assert (kept.spread.values[1::4] == 0).all()
    free = upscale(few, 4, keep_measured=False)
    assert (free.mean.values[1::4] != few.values).any()
    assert kept.mean.size_nm == pytest.approx(few.size_nm)


@pytest.mark.parametrize("task", [restore, lambda scan: upscale(scan, 2)])
def test_tilt_offset_and_gain_of_the_scan_are_those_of_the_result(damaged, task):
    rows, columns = damaged.values.shape
    ramp = 0.4 * np.arange(rows)[:, None] / rows - 0.3 * np.arange(columns) / columns
    scan = damaged if task is restore else every(damaged, 2)
    phase = slice(None) if task is restore else slice(0, None, 2)
    moved = scan.after("moved", 10 * (scan.values + ramp[phase]) + 5)
    plain, other = task(scan).mean.values, task(moved).mean.values
    error = other / 10 - 0.5 - ramp - plain
    assert np.abs(error).max() < 1e-3 * np.ptp(plain)


def test_a_step_keeps_its_height():
    """Two terraces, 136 pm apart, with 4 pm of noise and a line of charge."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:128, :128]
    rows = 0.012 * np.cos(2 * np.pi * np.where(x < 64, x, y) / 4.0)
    noise = 0.002 * rng.standard_normal((128, 128))
    scan = Scan((rows - 0.136 * (x >= 64) + noise).astype(np.float32), (0.192, 0.192))
    mended = restore(scan).mean.values
    step = np.mean(mended[:, 16:56]) - np.mean(mended[:, 72:112])
    assert step == pytest.approx(0.136, rel=0.02)


def test_what_was_not_measured_stays_so_and_spoils_nothing(damaged):
    gap = damaged.values.copy()
    gap[100:] = np.nan
    gap[30, 40:50] = np.nan
    part = restore(damaged.after("interrupted", gap))
    np.testing.assert_array_equal(np.isnan(part.mean.values), np.isnan(gap))
    np.testing.assert_array_equal(np.isnan(part.spread.values), np.isnan(gap))
    whole = restore(damaged).mean.values
    error = (part.mean.values - whole)[:80]
    assert np.nanmedian(np.abs(error - np.nanmedian(error))) < 0.02 * np.ptp(whole)


def test_a_hole_in_a_line_stays_and_does_not_reach_far(surface):
    few = every(surface, 2)
    hole = few.values.copy()
    hole[40, 60:64] = np.nan
    whole, part = upscale(few, 2).mean.values, upscale(few.after("hole", hole), 2).mean.values
    assert np.isnan(part[80:82, 60:64]).all()
    assert np.isnan(part).sum() == 8
    change = np.abs(part - whole)
    assert np.nanmax(change[:60]) < 1e-3 * np.ptp(whole)


def test_upscaling_leaves_out_what_was_not_measured(surface):
    few = every(surface, 2)
    gap = few.values.copy()
    gap[60:] = np.nan
    finer = upscale(few.after("interrupted", gap), 2).mean.values
    assert np.isfinite(finer[:120]).all()
    assert np.isnan(finer[120:]).all()


def test_other_pixel_sizes_come_back_on_their_own_grid(surface):
    """A pitch that the model does not know is resampled for it, and only for it."""
    coarse = Scan(surface.values[::2, ::2].copy(), tuple(2 * p for p in surface.pixel_nm))
    mended = restore(coarse)
    assert mended.mean.values.shape == (80, 80)
    assert mended.mean.pixel_nm == coarse.pixel_nm


def test_draws_repeat_and_differ_by_their_seed(damaged):
    first = restore(damaged, draws=3, seed=5)
    again = restore(damaged, draws=3, seed=5)
    other = restore(damaged, draws=3, seed=6)
    for a, b, c in zip(first.draws, again.draws, other.draws, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
        assert (a.values != c.values).any()
    assert (first.draws[0].values != first.draws[1].values).any()
    # They do not replace what the network itself expects to be wrong by.
    np.testing.assert_array_equal(first.spread.values, restore(damaged).spread.values)


def test_a_tip_crash_spoils_nothing_else_and_is_marked(surface):
    crashed = surface.values.copy()
    crashed[80:83, 40:] += 20
    plain, other = (restore(s) for s in (surface, surface.after("crash", crashed)))
    assert np.isfinite(other.spread.values).all()
    assert other.spread.values.max() < 40, "of the size of the crash, 20 nm"
    change = (other.mean.values - crashed) - (plain.mean.values - surface.values)
    # Without a view that is limited, it is 78 pm.
    assert np.std(change[np.r_[0:60, 103:160]]) < 0.01
    left = other.mean.values[81, 45:]  # as mended as the network dares to, and never inverted
    assert (surface.values[81].min() < left).all() and (left < crashed[81].max()).all()
    assert np.median(other.spread.values[81, 45:]) > 10 * np.median(other.spread.values)


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        ({"calls": 0}, "calls must be at least 1, got 0"),
        ({"draws": -1}, "draws"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_wish_that_means_nothing_is_refused(damaged, wish, text):
    with pytest.raises(RecipeError, match=text):
        restore(damaged, **wish)


def test_more_calls_add_texture_by_the_seed(damaged):
    one, three = restore(damaged), restore(damaged, calls=3, seed=1)
    again = restore(damaged, calls=3, seed=1)
    np.testing.assert_array_equal(three.mean.values, again.mean.values)
    assert (one.mean.values != three.mean.values).any()


def test_the_spread_is_larger_where_the_error_is(surface, damaged):
    result = restore(damaged)
    error = np.abs(flat(result.mean) - flat(surface))
    worst = result.spread.values > np.percentile(result.spread.values, 90)
    assert error[worst].mean() > 1.5 * error.mean()


def test_a_result_says_where_it_comes_from(damaged):
    result = restore(damaged, draws=1, seed=4)
    model = scanmend.models.load()
    assert result.provenance == {
        "scanmend": scanmend.__version__,
        "source": None,
        "source_sha256": None,
        "task": "restore",
        "ghosts": False,
        "model_pixel_nm": list(damaged.pixel_nm),
        "jumps_at_line": [],
        "model": model.name,
        "model_sha256": model.sha256,
        "runtime": f"onnxruntime {onnxruntime.__version__} fp32, CPU",
        "calls": 1,
        "draws": 1,
        "seed": 4,
    }
    assert result.measured is damaged
    for part, what in (
        (result.spread, "spread of what was"),
        (result.draws[0], "draw 1 of seed 4,"),
    ):
        assert part.history[-1] == f"{what} restored by {model.name} ({model.sha256[:12]})"
    assert result.mean.history[-1] == f"restored by {model.name} ({model.sha256[:12]}), 1 call(s)"


def test_progress_ends_at_1(damaged):
    told: list[float] = []
    restore(damaged, draws=2, progress=told.append)
    assert told == pytest.approx(np.arange(1, 6) / 5)


@pytest.mark.parametrize(
    ("what", "error", "text"),
    [
        ({"values": np.full((16, 16), 2.1, np.float32)}, ScanError, "flat, at about 2.1 nm"),
        ({"values": (np.eye(16) * 0 + np.arange(16)).astype(np.float32)}, ScanError, "flat, at"),
        ({"values": np.full((16, 16), np.nan, np.float32)}, ScanError, "nothing in this scan"),
        (
            {"values": np.where(np.eye(16), np.float32(np.inf), np.float32(0))},
            ScanError,
            "infinite pixels",
        ),
        ({"values": np.zeros((1, 50), np.float32)}, ScanError, "1x50 pixels is too small"),
        (
            {"values": np.broadcast_to(np.float32(0), (20_000, 20_000))},
            ScanError,
            "20000x20000 pixels are more than 1e\\+08: crop",
        ),
        ({"quantity": Quantity.CURRENT}, ModelError, "in nA, and surface was trained on nm"),
        ({"pixel_nm": (4.0, 4.0)}, ModelError, "pixels of 4 nm are far outside the 0.02-0.4 nm"),
        ({"pixel_nm": (0.2, 0.001)}, ModelError, "pixels of 0.001 nm are far outside"),
    ],
)
def test_what_cannot_be_restored_is_refused_in_one_line(surface, what, error, text):
    with pytest.raises(error, match=text) as caught:
        restore(replace(surface, **what))
    assert "\n" not in str(caught.value)


def test_upscaling_to_pixels_the_model_does_not_know_is_refused(surface):
    with pytest.raises(
        ModelError, match="lines 0.208 nm apart: to put 4 in the place of one, si001h needs"
    ):
        upscale(surface, 4, "si001h")
    with pytest.raises(ModelError, match="upscales by 2, 4, not by 3"):
        upscale(surface, 3)
