"""Where the tip goes: known answers of creep, drift and hysteresis, and the raster's symmetries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scanmend.errors import SimulationError
from scanmend.stm.piezo import BoucWen, Creep, Drift, Scanner, tracks
from scanmend.stm.raster import CORNERS, Raster

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


def test_creep_is_linear_in_the_logarithm_of_time(rng):
    gammas = (0.3, -0.2, 0.05)
    short = replace(RASTER, size_nm=(1e-9, 1e-9))  # hardly a way, so that nothing is rounded off
    track = Scanner(creep=Creep(gammas)).track(short, rng)
    ideal = short.track()
    ways = track.x_nm - ideal.x_nm, track.y_nm - ideal.y_nm, -track.lift_nm
    for way, gamma in zip(ways, gammas, strict=True):
        assert way[0] == 0
        slope = np.diff(way) / np.diff(np.log(track.time_s))
        assert np.allclose(slope, gamma, rtol=0, atol=1e-12)


def test_the_variance_of_a_random_walk_is_proportional_to_time():
    scanner = Scanner(drift=Drift(walk_nm_per_sqrt_s=(0.1, 0.2, 0.0)))
    raster = Raster((1, 4), (1.0, 1.0), line_s=6.0)
    walks = tracks([scanner] * 10_000, raster, [np.random.default_rng(i) for i in range(10_000)])
    ideal = raster.track()
    x = np.stack([walk.x_nm for walk in walks]) - ideal.x_nm
    y = np.stack([walk.y_nm for walk in walks]) - ideal.y_nm
    assert np.allclose(x.var(axis=0) / ideal.time_s, 0.1**2, rtol=0.05)
    assert np.allclose(y.var(axis=0) / ideal.time_s, 0.2**2, rtol=0.05)
    assert abs(np.corrcoef(x[:, -1], y[:, -1])[0, 1]) < 0.04
    assert not any(walk.lift_nm.any() for walk in walks)


def test_steady_drift_is_linear_in_time(rng):
    drift = Drift(velocity_nm_per_s=(0.1, 0.0, -0.2))
    track, ideal = Scanner(drift=drift).track(RASTER, rng), RASTER.track()
    assert np.allclose(track.x_nm - ideal.x_nm, 0.1 * ideal.time_s)
    assert np.array_equal(track.y_nm, ideal.y_nm)
    assert np.allclose(track.lift_nm, 0.2 * ideal.time_s)


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


def wandering(i: int = 0) -> Scanner:
    return Scanner(
        BoucWen(beta=-0.1 - 0.01 * i, B_per_nm=1.0 + 0.2 * i, C_per_nm=0.1),
        Creep((0.02, -0.03, 0.01)),
        Drift((0.001, 0.002 * i, 0.0), (0.002, 0.002, 0.001)),
        (0.001, 0.001 * i, 0.0),
        (1.0, 0.5 * i),
    )


def test_a_track_does_not_depend_on_its_neighbours():
    scanners = [wandering(i) if i % 5 else Scanner() for i in range(19)]
    rngs = [np.random.default_rng(i) for i in range(19)]
    together = tracks(scanners, RASTER, rngs)
    for i in (0, 3, 15, 16, 18):
        alone = scanners[i].track(RASTER, np.random.default_rng(i))
        for name in ("x_nm", "y_nm", "lift_nm"):
            assert np.array_equal(getattr(alone, name), getattr(together[i], name))


def test_lateral_hysteresis_is_that_of_its_equation(rng):
    raster = replace(RASTER, angle_deg=30.0, centre_nm=(3.0, -2.0))
    piezo, ideal = wandering(4).hysteresis, raster.track()
    track = Scanner(piezo).track(raster, rng)
    assert np.allclose(track.x_nm, 3 + piezo.response_nm(ideal.x_nm - 3), rtol=0, atol=1e-12)
    assert np.allclose(track.y_nm, piezo.response_nm(ideal.y_nm + 2) - 2, rtol=0, atol=1e-12)


@pytest.mark.parametrize("begins", CORNERS)
@pytest.mark.parametrize("fast_axis", "xy")
def test_pixels_of_an_ideal_track_are_those_of_the_raster(fast_axis, begins):
    raster = Raster((40, 64), (2.5, 4.0), 0.4, fast_axis, begins, 25.0, (10.0, -7.0))
    track = raster.track()
    for image in raster.pixels(track, track.x_nm, track.y_nm):
        expected = np.stack(np.divmod(raster.order().ravel(), 64), axis=-1)
        assert np.allclose(image, expected, rtol=0, atol=1e-9)
    for image in raster.pixels(track, 10 + 9.0, -7.0):
        assert np.isnan(image).all() and image.shape == (1, 2)


@pytest.mark.parametrize("seed", range(3))
def test_a_bump_appears_where_pixels_says(seed):
    raster = Raster((64, 64), (4.0, 4.0), 0.2, angle_deg=20.0)
    track = wandering(1 + seed).track(raster, np.random.default_rng(seed))
    told = np.random.default_rng(seed + 10).uniform(-1.2, 1.2, (2, 20))
    moved = 0.0
    for x, y in told.T:
        bump = np.exp(-((track.x_nm - x) ** 2 + (track.y_nm - y) ** 2) / (2 * 0.12**2))
        images = zip(raster.images(bump), raster.pixels(track, x, y), strict=True)
        for image, (pixel,) in images:
            assert np.allclose(summit(image), pixel, rtol=0, atol=0.1)
            (ideal,) = raster.pixels(raster.track(), x, y)[0]
            moved = max(moved, np.abs(pixel - ideal).max())
    assert moved > 2  # pixels: else little would have been shown


def summit(image: np.ndarray) -> np.ndarray:
    """Where a paraboloid through the logarithm of all that is above a third is highest."""
    row, column = np.nonzero(image > 0.33)
    terms = np.stack([np.ones(row.size), row, column, row**2, row * column, column**2], axis=-1)
    _, a, b, c, d, e = np.linalg.lstsq(terms, np.log(image[row, column]))[0]
    return np.linalg.solve([[2 * c, d], [d, 2 * e]], [-a, -b])


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
        (lambda: tracks([Scanner()], RASTER, []), "got 1 and 0"),
        (lambda: Scanner(jitter_nm=(-1, 0, 0)), "cannot be negative"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(SimulationError, match=message):
        make()
