"""The loop: it gives the constant-current image, its noise is as strong as theory says."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from scanmend.errors import SimulationError
from scanmend.stm.feedback import Loop, follow
from scanmend.stm.lanes import streams
from scanmend.stm.log_current import LogCurrent
from scanmend.stm.noise import CurrentNoise, slow
from scanmend.stm.piezo import BoucWen
from scanmend.stm.raster import Raster

DECAY = 20.0  # 1/nm
Z_NM = np.linspace(0.3, 0.9, 9)
SETPOINT = Loop(0.1)


def surface(heights_nm: np.ndarray, curvature: float = 0.0) -> LogCurrent:
    """100 nA in contact, at the heights; ln I falls with `DECAY`, slower farther away."""
    gap = Z_NM[:, None] - heights_nm
    return LogCurrent.fit(Z_NM, np.log(100) - DECAY * gap + curvature * gap**2)


def atoms(points: int = 600) -> np.ndarray:
    return 0.2 + 0.02 * np.cos(np.arange(points) / 7) + 0.01 * np.cos(np.arange(points) / 5)


def scan(loop: Loop, above: LogCurrent, rng, lift_nm=0.0):
    return follow([loop], [above], [lift_nm], [rng])[0]


def rms(values) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def test_heights_are_those_of_the_formula():
    expected = atoms() + np.log(100 / 0.1) / DECAY
    assert np.allclose(surface(atoms()).heights_nm(0.1), expected, rtol=0, atol=1e-7)


def test_the_polynomial_is_ln_i_and_goes_on_straight():
    above = surface(atoms(), curvature=3.0)
    gap = 0.55 - atoms()
    assert np.allclose(above.at(0.55), np.log(100) - 20 * gap + 3 * gap**2, rtol=0, atol=2e-6)
    beyond = above.at(1.0) - above.at(0.9)
    assert np.allclose(beyond, (above.at(0.9) - above.at(0.3)) / 6, rtol=0, atol=1e-5)


def test_an_ideal_loop_gives_the_constant_current_image(rng):
    ideal = Loop(0.1, proportional_nm=1 / DECAY, integral_nm=0, cycles_per_point=2)
    above = surface(atoms())
    seen = scan(ideal, above, rng)
    assert seen.fault is None
    assert np.allclose(seen.height_nm, above.heights_nm(0.1), rtol=0, atol=2e-7)
    assert np.allclose(seen.current_nA, 0.1, rtol=1e-5)


@pytest.mark.parametrize("logarithmic", [True, False])
def test_without_noise_the_error_vanishes_as_the_loop_gets_faster(logarithmic, rng):
    above = surface(atoms(), curvature=3.0)
    truth = above.heights_nm(0.1)
    errors = []
    for cycles in (2, 32, 64, 128):
        loop = replace(SETPOINT, cycles_per_point=cycles, logarithmic=logarithmic)
        errors.append(rms(scan(loop, above, rng).height_nm - truth))
    assert errors[0] > 1e-3
    assert all(later < before / 2 for before, later in pairwise(errors))
    assert errors[-1] < 1e-6


def test_eight_cycles_a_point_leave_the_error_of_theory(rng):
    track = Raster((64, 64), (2.0, 2.0)).track()
    k = 2 * np.pi / 0.246
    heights = 0.2 + 0.01 * np.cos(k * track.x_nm) * np.cos(k / np.sqrt(3) * track.y_nm)
    above = surface(heights)
    seen = scan(Loop(0.1, 0.25 / DECAY, 0, cycles_per_point=8), above, rng)
    errors, last = np.zeros(heights.size), 0.0
    for point, rise in enumerate(np.diff(heights), start=1):
        errors[point] = last = (last - rise) * 0.75**8  # in each cycle a quarter is taken back
    assert np.allclose(seen.height_nm - above.heights_nm(0.1), errors, rtol=0, atol=5e-7)
    assert rms(errors) == pytest.approx(4.4e-4, rel=0.1)  # nm


def test_a_slow_loop_is_late_by_as_many_points_as_theory_says(rng):
    above = surface(atoms())
    loop = Loop(0.1, 0.25 / DECAY, 0, cycles_per_point=1)  # late by 1 / 0.25 - 1 points
    truth, seen = above.heights_nm(0.1), scan(loop, above, rng).height_nm
    assert min(range(9), key=lambda late: rms(seen[late:] - truth[: 600 - late])) == 3


def test_the_topograph_follows_tilt_and_drift(rng):
    lift = np.linspace(0, 5, 600)
    loop = replace(SETPOINT, cycles_per_point=128)
    above = surface(atoms())
    seen = scan(loop, above, rng, lift)
    assert np.allclose(seen.height_nm, above.heights_nm(0.1) + lift, rtol=0, atol=2e-5)


def test_under_hysteresis_the_tip_is_right_and_its_command_is_not(rng):
    piezo = BoucWen(alpha=0.9, beta=-0.3, B_per_nm=5.0, C_per_nm=2.0)
    loop = Loop(0.1, 0.01, 0, cycles_per_point=100, piezo=piezo)
    above = surface(atoms() + 0.05 * np.sin(np.arange(600) / 40))
    truth = above.heights_nm(0.1)
    command = scan(loop, above, rng).height_nm.astype(float)
    start = truth[0] / 0.9
    tip = truth[0] + piezo.response_nm(command - start)
    assert np.allclose(tip, truth, rtol=0, atol=2e-5)
    assert rms((command - command.mean()) - (truth - truth.mean())) > 1e-3


def test_shot_noise_has_the_variance_of_schottky(rng):
    noise = CurrentNoise(shot_bandwidth_Hz=1e6)
    open_loop = Loop(0.1, 0, 0, cycles_per_point=1, noise=noise)
    seen = scan(open_loop, surface(np.full(100_000, 0.2)), rng)
    assert seen.current_nA.var() == pytest.approx(2 * 1.602177e-10 * 0.1 * 1e6, rel=0.02)
    assert seen.current_nA.mean() == pytest.approx(0.1, rel=1e-3)


def test_shot_noise_grows_as_the_root_of_the_current(rng):
    noise = CurrentNoise(shot_bandwidth_Hz=1e5)
    steps = np.repeat(
        [0.2, 0.2 + np.log(9) / DECAY], 50_000
    )  # the second half: 9 times the current
    seen = scan(Loop(0.1, 0, 0, cycles_per_point=1, noise=noise), surface(steps), rng).current_nA
    assert seen[50_000:].mean() / seen[:50_000].mean() == pytest.approx(9, rel=1e-3)
    assert seen[50_000:].std() / seen[:50_000].std() == pytest.approx(3, rel=0.02)


def test_white_noise_in_the_loop_gives_the_height_noise_of_theory(rng):
    gain, sigma = 0.5 / DECAY, 0.02
    loop = Loop(0.1, gain, 0, cycles_per_point=1, noise=CurrentNoise(amplifier_nA=sigma * 0.1))
    height = scan(loop, surface(np.full(100_000, 0.2)), rng).height_nm
    # delta' = (1 - a K) delta + K n: a first-order autoregression
    assert height.var() == pytest.approx(gain**2 * sigma**2 / (1 - 0.5**2), rel=0.03)


def test_flicker_has_a_spectrum_of_one_over_f(rng):
    noise = CurrentNoise(flicker=0.03)
    states = streams([rng] * 16)
    series = np.concatenate([slow([noise] * 16, states, 4096).T for _ in range(20)])
    assert series.std() == pytest.approx(0.03, rel=0.03)
    power = (np.abs(np.fft.rfft(series)) ** 2).mean(0)[1:-1]
    slope, _ = np.polyfit(np.log(np.arange(1, power.size + 1)), np.log(power), 1)
    assert slope == pytest.approx(-1, abs=0.02)


def test_flicker_moves_the_tip_as_far_as_ln_i_says(rng):
    noise = CurrentNoise(flicker=0.03)
    loop = Loop(0.1, 1 / DECAY, 0, cycles_per_point=2, noise=noise)
    height = scan(loop, surface(np.full(8192, 0.2)), rng).height_nm
    expected = slow([noise], streams([np.random.default_rng(20261121)]), 8192)[:, 0]
    assert np.allclose(height - height.mean(), np.log1p(expected) / DECAY, atol=1e-4)


@pytest.mark.parametrize(("gain", "growth"), [(0.5, 0.5), (1.9, 0.9), (2.1, 1.1)])
def test_growth_of_a_proportional_loop_is_that_of_its_formula(gain, growth):
    assert Loop(0.1, gain / DECAY, 0).growth(DECAY) == pytest.approx(growth, abs=1e-9)


def test_hysteresis_adds_to_the_gain():
    loop = Loop(0.1, 1.9 / DECAY, 0, piezo=BoucWen(beta=0.1))
    assert loop.growth(DECAY) == pytest.approx(1.9 * (1 + 0.1 / 0.7) - 1, abs=1e-9)


@pytest.mark.parametrize("logarithmic", [True, False])
@pytest.mark.parametrize("kind", ["proportional_nm", "integral_nm", "derivative_nm"])
def test_gains_that_theory_calls_unstable_are_told(kind, logarithmic, rng):
    gains = np.geomspace(0.001, 0.2, 100)
    loops = [replace(SETPOINT, logarithmic=logarithmic, **{kind: float(gain)}) for gain in gains]
    growth = np.array([loop.growth(DECAY) for loop in loops])
    calm = [loop for loop, g in zip(loops, growth, strict=True) if g < 0.97][-1]
    wild = next(loop for loop, g in zip(loops, growth, strict=True) if g > 1.03)
    rough = surface(atoms(2000))
    assert scan(calm, rough, rng).fault is None
    told = f"the loop diverges: an error grows {growth[loops.index(wild)]:.3g}-fold a cycle; lower"
    assert str(scan(wild, rough, rng).fault).startswith(told)


def test_the_sum_does_not_wind_up_while_the_piezo_runs(rng):
    step = np.repeat([0.1, 0.3], 200)
    loop = Loop(0.1, 0.012, 0.0006, window_cycles=100, cycles_per_point=1, longest_step_nm=0.003)
    seen = scan(loop, surface(step), rng).height_nm
    assert np.abs(np.diff(seen)).max() == pytest.approx(0.003, rel=1e-3)
    assert seen.max() - seen[-1] < 0.015


def test_a_scan_does_not_depend_on_its_neighbours():
    noise = CurrentNoise(1e4, 0.001, 0.02)
    loops = [replace(SETPOINT, proportional_nm=0.005 + 0.0005 * i, noise=noise) for i in range(19)]
    surfaces = [surface(atoms() + 0.005 * i) for i in range(19)]
    rngs = [np.random.default_rng(i) for i in range(19)]
    together = follow(loops, surfaces, [0.0] * 19, rngs)
    for i in (0, 15, 16, 18):
        alone = scan(loops[i], surfaces[i], np.random.default_rng(i))
        assert np.array_equal(alone.height_nm, together[i].height_nm)
        assert np.array_equal(alone.current_nA, together[i].current_nA)


def test_a_piezo_too_slow_for_its_surface_says_so(rng):
    slow = replace(SETPOINT, longest_step_nm=1e-4)
    assert "cannot follow" in str(scan(slow, surface(atoms()), rng).fault)


def test_a_tip_that_leaves_the_known_heights_says_so(rng):
    cliff = np.repeat([0.2, 0.6], 100)
    seen = scan(SETPOINT, surface(cliff), rng)
    assert seen.fault is not None and "left the heights of 0.3 to 0.9 nm" in seen.fault


def test_a_setpoint_out_of_reach_is_refused_with_the_point():
    heights = atoms()
    heights[17] = -0.6
    with pytest.raises(SimulationError, match="0.1 nA cannot be reached at 1 of 600 .* point 17"):
        surface(heights).heights_nm(0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Loop(-0.1), "setpoint must be positive, got -0.1 nA"),
        (lambda: Loop(0.1, cycles_per_point=0), "must be positive, got 20, 0 and 0.1 nm"),
        (lambda: Loop(0.1, -1.0), r"gains cannot be negative, got \(-1.0, 0.0006, 0.0\) nm"),
        (lambda: CurrentNoise(flicker=-1), "noise cannot be negative"),
        (lambda: LogCurrent(np.zeros((4, 9), np.float32), (0, 1)), r"\(5, points\), got \(4, 9\)"),
        (lambda: LogCurrent(np.zeros((5, 9), np.float32), (1, 0)), r"ascends, got \(1, 0\) nm"),
        (lambda: LogCurrent.fit([1, 2], np.zeros((2, 3))), "5 heights or more, got 2 at 2"),
        (lambda: LogCurrent.fit(Z_NM, np.full((9, 3), -np.inf)), "give |I|, above 0"),
        (lambda: follow([SETPOINT], [], [], []), "got 1, 0, 0 and 0"),
        (
            lambda: follow(
                [SETPOINT, Loop(0.1, window_cycles=9)],
                [surface(atoms())] * 2,
                [0.0] * 2,
                [np.random.default_rng()] * 2,
            ),
            "the same window, cycles and amplifier",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(SimulationError, match=message):
        make()
