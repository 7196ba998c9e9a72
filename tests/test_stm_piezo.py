"""Where the tip goes: known answers of creep, drift and hysteresis, and the raster's symmetries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scanmend.errors import SimulationError
from scanmend.stm.piezo import CORNERS, BoucWen, Creep, Drift, Raster, Scanner

RASTER = Raster((5, 8), (2.5, 4.0), line_s=0.4)
CURVE = BoucWen(beta=1.0, A=1.0, B_per_nm=0.5, C_per_nm=0.2)


def test_hysteresis_loop_has_the_known_area_and_peak():
    command = 3 * np.sin(np.linspace(0, 8 * np.pi, 4 * 1600 + 1))
    memory = CURVE.memory_nm(command)
    last = slice(-1601, None)
    assert np.trapezoid(memory[last], command[last]) == pytest.approx(8.3957010, abs=1e-4)
    assert memory[last].max() == pytest.approx(1.3804855, abs=1e-4)
    assert memory[-1] == pytest.approx(memory[-1601], abs=1e-6)  # closed


def loading_error(steps: int) -> float:
    command = np.linspace(0, 5, steps + 1)
    exact = 1 / 0.7 * (1 - np.exp(-0.7 * command))
    return np.abs(CURVE.memory_nm(command) - exact).max()


def test_loading_branch_is_exponential_and_the_integration_of_order_4():
    assert loading_error(400) < 1e-8
    assert np.log2(loading_error(40) / loading_error(80)) == pytest.approx(4, abs=0.1)


def test_hysteresis_depends_on_the_way_and_not_on_the_speed():
    there_and_back = np.concatenate([np.linspace(0, 2, 500), np.linspace(2, -1, 700)])
    slower = np.interp(np.linspace(0, 1199, 1199 * 4 + 1), np.arange(1200), there_and_back)
    once, again = CURVE.memory_nm(there_and_back), CURVE.memory_nm(slower)[::4]
    assert np.allclose(once, again, rtol=0, atol=1e-6)


def test_no_slope_is_beyond_those_of_saturation_and_turn():
    command = 6 * np.sin(np.linspace(0, 6 * np.pi, 60_001))
    for piezo in (replace(CURVE, beta=0.3), replace(CURVE, beta=-0.3)):
        slope = np.diff(piezo.response_nm(command)) / np.diff(command)
        assert slope.min() == pytest.approx(min(piezo.slopes), abs=0.01)
        assert slope.max() == pytest.approx(max(piezo.slopes), abs=0.01)


def test_a_long_first_step_is_taken_accurately():
    assert CURVE.memory_nm([5.0])[0] == pytest.approx(1 / 0.7 * (1 - np.exp(-3.5)), abs=1e-5)


def test_creep_is_linear_in_the_logarithm_of_time():
    time = np.geomspace(0.01, 1e3, 300)
    way = Creep((0.3, -0.2, 0.05)).displacement_nm(time)
    assert not way[0].any()
    for axis, gamma in enumerate((0.3, -0.2, 0.05)):
        slope = np.diff(way[:, axis]) / np.diff(np.log(time))
        assert np.allclose(slope, gamma, rtol=0, atol=1e-12)


def test_the_variance_of_a_random_walk_is_proportional_to_time(rng):
    drift = Drift(walk_nm_per_sqrt_s=(0.1, 0.2, 0.0))
    time = np.array([0.5, 1.0, 3.0, 9.0])
    ends = np.stack([drift.displacement_nm(time, rng) for _ in range(10_000)])
    variance = ends.var(axis=0)
    assert np.allclose(variance[:, 0] / time, 0.1**2, rtol=0.05)
    assert np.allclose(variance[:, 1] / time, 0.2**2, rtol=0.05)
    assert not ends[..., 2].any()


def test_steady_drift_is_linear_in_time(rng):
    way = Drift(velocity_nm_per_s=(0.1, 0.0, -0.2)).displacement_nm(np.array([0.0, 1.0, 4.0]), rng)
    assert np.allclose(way, [[0, 0, 0], [0.1, 0, -0.2], [0.4, 0, -0.8]])


def test_a_perfect_scanner_does_what_it_is_told(rng):
    told, went = RASTER.track(), Scanner().track(RASTER, rng)
    for name in ("time_s", "x_nm", "y_nm", "lift_nm"):
        assert np.array_equal(getattr(told, name), getattr(went, name))


@pytest.mark.parametrize("fast_axis", "xy")
@pytest.mark.parametrize("begins", CORNERS)
def test_every_raster_gives_the_same_upright_images(fast_axis, begins):
    raster = replace(RASTER, fast_axis=fast_axis, begins=begins)
    track = raster.track()
    y, x = np.mgrid[-1:1:5j, -1.75:1.75:8j]
    for image in raster.images(track.x_nm):
        assert np.allclose(image, x)
    for image in raster.images(track.y_nm):
        assert np.allclose(image, y)
    assert (track.x_nm[0] < 0) == begins.endswith("left")
    assert (track.y_nm[0] < 0) == begins.startswith("top")
    assert (track.x_nm[1] == track.x_nm[0]) == (fast_axis == "y")


def test_each_line_goes_there_and_back_in_time():
    track = RASTER.track()
    assert np.allclose(track.time_s, 0.05 * np.arange(1, 81))
    assert np.all(np.diff(track.x_nm[:8]) > 0)
    assert np.array_equal(track.x_nm[8:16], track.x_nm[7::-1])
    trace, retrace = RASTER.images(track.time_s)
    assert np.allclose(trace[0, [0, 7]], (0.05, 0.4)) and np.allclose(
        retrace[0, [7, 0]], (0.45, 0.8)
    )


def test_a_frame_turned_clockwise_by_90_degrees_scans_downwards():
    turned = replace(RASTER, angle_deg=90.0, centre_nm=(10.0, 20.0)).track()
    straight = RASTER.track()
    assert np.allclose(turned.x_nm, 10 - straight.y_nm)
    assert np.allclose(turned.y_nm, 20 + straight.x_nm)


def test_a_piezo_that_lags_shifts_retrace_against_trace(rng):
    scanner = Scanner(BoucWen(beta=-0.2))
    trace, retrace = RASTER.images(scanner.track(RASTER, rng).x_nm)
    assert np.all((retrace - trace)[1:, 1:-1] > 0.02)


def test_tilt_drift_and_creep_lift_the_sample(rng):
    tilted = Scanner(tilt_deg=(45.0, 0.0)).track(RASTER, rng)
    assert np.allclose(tilted.lift_nm, tilted.x_nm)
    sinking = Scanner(drift=Drift((0, 0, -0.1)), creep=Creep((0, 0, 0.2))).track(RASTER, rng)
    time = sinking.time_s
    assert np.allclose(sinking.lift_nm, 0.1 * time - 0.2 * np.log(time / 0.05))


def test_jitter_is_white_and_as_strong_as_said(rng):
    raster = Raster((64, 64), (1.0, 1.0))
    track = Scanner(jitter_nm=(0.0, 0.01, 0.0)).track(raster, rng)
    off = track.y_nm - raster.track().y_nm
    assert off.std() == pytest.approx(0.01, rel=0.03)
    assert abs(np.corrcoef(off[1:], off[:-1])[0, 1]) < 0.04


def test_one_seed_replays_one_track():
    scanner = Scanner(drift=Drift(walk_nm_per_sqrt_s=(0.1, 0.1, 0.1)), jitter_nm=(0.1, 0.1, 0.1))
    one, same, other = (scanner.track(RASTER, np.random.default_rng(i)).x_nm for i in (3, 3, 4))
    assert np.array_equal(one, same) and not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Raster((0, 4), (1, 1)), r"rows and columns, got \(0, 4\)"),
        (lambda: Raster((4, 4), (1, -1)), r"must be positive, got \(1, -1\) nm and 0.5 s"),
        (lambda: Raster((4, 4), (1, 1), fast_axis="z"), "'x' or 'y', got 'z'"),
        (lambda: Raster((4, 4), (1, 1), begins="left"), "top left, top right.*got 'left'"),
        (lambda: Raster((4, 4), (1, 1), angle_deg=np.nan), "must be finite, got nan degrees"),
        (lambda: BoucWen(B_per_nm=0.1, C_per_nm=0.2), "got B = 0.1 and C = 0.2 /nm"),
        (lambda: BoucWen(beta=-0.8), "its slope is 1 to -0.143"),
        (lambda: Scanner(tilt_deg=(90, 0)), r"between -90 and 90 degrees, got \(90, 0\)"),
        (lambda: Scanner(jitter_nm=(-1, 0, 0)), "cannot be negative"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(SimulationError, match=message):
        make()
