"""What each degradation does, against what was worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from scanmend.degrade.acquisition_noise import AcquisitionNoise, one_over_f
from scanmend.degrade.blunt_tip import BluntTip
from scanmend.degrade.drift import ThermalDrift
from scanmend.degrade.feedback_lag import FeedbackLag
from scanmend.degrade.feedback_loop import FeedbackLoop
from scanmend.degrade.fewer_lines import FewerLines, kept_lines
from scanmend.degrade.line_noise import LineNoise, log_normal
from scanmend.degrade.line_offset import LineOffset
from scanmend.degrade.line_shift import LineShift, shift_lines
from scanmend.degrade.multi_tip import MultiTip, second_apex
from scanmend.degrade.tip_change import TipChange
from scanmend.scan import Scan

PITCH = 0.2


def flat(rows: int = 64, columns: int = 96) -> Scan:
    return Scan(np.zeros((rows, columns), np.float32), (PITCH, PITCH))


def noisy(rows: int = 64, columns: int = 96) -> Scan:
    values = np.random.default_rng(3).standard_normal((rows, columns), np.float32)
    return Scan(values, (PITCH, PITCH))


# Multiple tips


def one_ghost(px: int, **parameters) -> MultiTip:
    """One more apex, `px` down and to the right, unblurred, with A, c, d = 2, 7, 8."""
    plain = MultiTip(
        tips=(1,),
        weights=(1.0,),
        offset_nm=(px * PITCH, px * PITCH),
        amplitude=(2.0, 2.0),
        onset=(7.0, 7.0),
        steepness=(8.0, 8.0),
        kernel_weights=(0.0, 1.0, 0.0),
        median_px=(1, 1),
    )
    return replace(plain, **parameters)


def test_a_ghost_lies_where_its_apex_is_and_as_eq_1_has_it(rng):
    scan = noisy()
    ghosted = one_ghost(5)(scan, rng).values
    low, span = float(scan.values.min()), float(np.ptp(scan.values))
    h = (np.roll(scan.values, (5, 5), (0, 1)) - low) / span
    expected = scan.values + span * 2 / (1 + np.exp(7 - 8 * h))
    assert ghosted[5:, 5:] == pytest.approx(expected[5:, 5:], abs=2e-5 * span)


def test_ghosts_turned_at_random_keep_their_distance(lattice):
    multi = replace(one_ghost(5), direction="any")
    offsets = []
    for seed in range(40):
        line = multi(lattice, np.random.default_rng(seed)).history[-1]
        offsets.append([float(n.strip("(),")) for n in line.split()[1:3]])
    assert np.hypot(*np.transpose(offsets)) == pytest.approx(5 * math.sqrt(2) * PITCH, abs=2e-3)
    assert (np.abs(np.mean(offsets, axis=0)) < 0.5).all()


def test_counting_all_tips_makes_one_ghost_fewer(lattice):
    extra, total = (
        MultiTip(tips=(3,), weights=(1,), count=count)(lattice, np.random.default_rng(0))
        for count in ("extra", "total")
    )
    assert extra.history[-1].count("(") == 3
    assert total.history[-1].count("(") == 2


def test_numbers_of_tips_come_by_weight(lattice):
    small = replace(lattice, values=lattice.values[:8, :8])
    rng = np.random.default_rng(0)
    counts = [MultiTip()(small, rng).history[-1].count("(") for _ in range(600)]
    shares = np.bincount(counts, minlength=5)[2:] / 600
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.06)  # three standard deviations


def test_two_apices_share_the_current_as_tunnelling_wants():
    """I_alpha + I_beta = I_T, and their ratio follows C exp(-2 kappa z) of each."""
    kappa_per_nm, shorter_nm, ratio, total = 10.87, 0.3, 0.6, 1.7
    height_nm = np.linspace(0, 0.6, 7)
    onset = 2 * kappa_per_nm * shorter_nm - math.log(ratio)
    beta = second_apex(height_nm, total, onset, 2 * kappa_per_nm)
    alpha = total - beta
    assert beta / alpha == pytest.approx(
        ratio * np.exp(-2 * kappa_per_nm * (shorter_nm - height_nm))
    )


@pytest.mark.parametrize("weights", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_the_shape_of_an_apex_keeps_the_height_of_a_plateau(weights, rng):
    """A ghost of a flat top is A / (1 + e^(c - d)) high whatever the kernel: they sum to 1."""
    values = np.zeros((80, 80), np.float32)
    values[20:, 20:] = 1
    shaped = one_ghost(1, kernel_weights=weights, median_px=(9, 9))
    top = shaped(Scan(values, (PITCH, PITCH)), rng).values[45:60, 45:60]
    assert top == pytest.approx(1 + 2 / (1 + math.exp(7 - 8)), abs=0.01)


def test_ghosts_from_beyond_the_frame_end_at_the_margin():
    """What lies beyond the frame shows only within `margin_px` of the border."""
    wide = noisy(160, 160)
    multi = MultiTip(span=6.0)
    margin = multi.margin_px(wide.pixel_nm)
    narrow = replace(wide, values=wide.values[16:-16, 16:-16].copy())
    assert 11 + 12 < margin < 40
    # The lowest pixel sets the zero of heights: keep it inside.
    wide.values[80, 80] = narrow.values[64, 64] = -6
    for seed in range(8):
        a, b = (multi(s, np.random.default_rng(seed)).values for s in (wide, narrow))
        inside = (slice(margin, -margin),) * 2
        # Four medians of 256 levels, of ghosts up to 15 high, may differ by that much.
        assert a[16:-16, 16:-16][inside] == pytest.approx(b[inside], abs=0.12)


# Blunt tips and tips that change


def wave(period_px: float, rows: int = 96) -> Scan:
    """A cosine along the columns, whose mirror image continues it."""
    x = np.arange(96) + 0.5
    values = np.tile(np.cos(2 * np.pi * x / period_px), (rows, 1))
    return Scan(values.astype(np.float32), (PITCH, PITCH))


@pytest.mark.parametrize("period_px", [4.0, 8.0, 32.0])
def test_a_blunt_tip_damps_a_wave_as_a_gaussian_does(period_px, rng):
    sigma = 0.9
    blurred = BluntTip(sigma_px=(sigma, sigma))(wave(period_px), rng).values
    damping = math.exp(-((2 * math.pi * sigma / period_px) ** 2) / 2)
    assert blurred == pytest.approx(damping * wave(period_px).values, abs=2e-3)


def test_a_blunt_tip_keeps_the_mean(rng):
    scan = noisy()
    blurred = BluntTip(sigma_px=(0.6, 0.6))(scan, rng)
    assert blurred.values.mean() == pytest.approx(scan.values.mean(), abs=1e-6)


@pytest.mark.parametrize("persists", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_a_tip_change_begins_at_its_line_and_shifts_one_or_all(persists, seed):
    scan = wave(4.0)
    change = TipChange((1, 1), 1.0, (0.3, 0.3), persists)
    changed = change(scan, np.random.default_rng(seed))
    words = changed.history[-1].replace(",", "").split()
    row, offset = int(words[4]), float(words[9])

    assert abs(offset) == pytest.approx(0.3 * np.ptp(scan.values), rel=1e-3)
    assert np.array_equal(changed.values[:row], scan.values[:row])
    damping = math.exp(-((2 * math.pi / 4) ** 2) / 2)
    assert np.ptp(changed.values[row:], axis=1) == pytest.approx(
        damping * np.ptp(scan.values), abs=0.01
    )
    means = changed.values.mean(axis=1)
    shifted = slice(row, None) if persists else slice(row, row + 1)
    expected = np.zeros(len(means))
    expected[shifted] = offset
    assert means == pytest.approx(expected, abs=1e-3)


def test_tip_changes_shift_up_and_down_and_half_of_the_time(lattice):
    rng = np.random.default_rng(0)
    offsets = [float(TipChange()(lattice, rng).history[-1].split()[-2]) for _ in range(300)]
    shifted = np.array([o for o in offsets if o]) / np.ptp(lattice.values)
    assert len(shifted) / 300 == pytest.approx(0.5, abs=0.09)
    assert np.mean(shifted > 0) == pytest.approx(0.5, abs=0.12)
    assert 0.05 <= abs(shifted).min() < 0.07
    assert 0.38 < abs(shifted).max() <= 0.4


# Scan lines


def test_lines_shift_by_whole_and_parts_of_pixels():
    scan = noisy(4, 50)
    shifted = shift_lines(scan.values, np.array([0.0, 3.0, -2.0, 0.25]))
    z = scan.values
    assert np.array_equal(shifted[0], z[0])
    assert np.array_equal(shifted[1, 3:], z[1, :-3])
    assert np.array_equal(shifted[1, :3], z[1, 2::-1]), "beyond the frame is the mirror image"
    assert np.array_equal(shifted[2, :-2], z[2, 2:])
    assert shifted[3, 1:] == pytest.approx(0.75 * z[3, 1:] + 0.25 * z[3, :-1], abs=1e-6)


def test_line_shifts_have_the_spread_and_the_share_asked_for(rng):
    """Each line of a ramp is raised by its own shift: that can be read off."""
    ramp = np.tile(np.arange(64, dtype=np.float32), (4000, 1))
    scan = Scan(ramp, (PITCH, PITCH))
    all_lines = -(LineShift(0.8)(scan, rng).values - ramp)[:, 32]
    assert all_lines.std() == pytest.approx(0.8, rel=0.04)
    assert abs(all_lines.mean()) < 0.05
    some = -(LineShift(0.8, fraction=0.3)(scan, rng).values - ramp)[:, 32]
    assert np.mean(some != 0) == pytest.approx(0.3, abs=0.025)


def test_feedback_follows_a_step_late_and_only_forwards(rng):
    values = np.zeros((3, 40), np.float32)
    values[:, 20:] = 1
    late = FeedbackLag((2.0, 2.0))(Scan(values, (PITCH, PITCH)), rng).values
    assert (late[:, :20] == 0).all()
    expected = 1 - np.exp(-np.arange(1, 21) / 2.0)
    assert late[:, 20:] == pytest.approx(np.tile(expected, (3, 1)), abs=1e-5)


def test_a_proportional_loop_closes_a_known_part_of_an_error_each_cycle(rng):
    values = np.zeros((40, 40), np.float32)
    values[:, 20:] = 0.1
    loop = FeedbackLoop((0.01, 0.01), (0, 0), (20.0, 20.0), amplifier_nA=(0, 0))
    traced = loop(Scan(values, (PITCH, PITCH)), rng).values
    expected = 0.1 * (1 - (1 - 0.01 * 20) ** (8 * np.arange(1, 21)))
    assert traced[:, 20:] == pytest.approx(np.tile(expected, (40, 1)), abs=1e-5)
    # On the way back it is late on the other side, and settles before the next line begins.
    assert traced[:, :20] == pytest.approx(np.zeros((40, 20)), abs=1e-4)


def test_an_integrating_loop_overshoots_a_step(rng):
    values = np.zeros((16, 120), np.float32)
    values[:, 40:] = 0.1
    loop = FeedbackLoop((0.004, 0.004), (0.0008, 0.0008), amplifier_nA=(0, 0))
    traced = loop(Scan(values, (PITCH, PITCH)), rng).values[:, 40:]
    assert (traced.max(axis=1) > 0.11).all()
    assert traced[:, -1] == pytest.approx(0.1, abs=2e-3)


def test_line_offsets_move_whole_lines(rng):
    scan = noisy(4000, 5)
    offsets = LineOffset((6.0, 6.0))(scan, rng).values - scan.values
    assert np.ptp(offsets, axis=1).max() < 1e-6
    assert 1e3 * offsets[:, 0].std() == pytest.approx(6.0, rel=0.05)


def test_drift_shears_by_speed_times_time(rng):
    y, x = np.mgrid[:128, :128] * 0.1
    scan = Scan((x + 2 * y).astype(np.float32), (0.1, 0.1))
    drifted = ThermalDrift(speed_nm_per_s=0.003, line_s=0.5)(scan, rng)
    vy, vx = (float(word) for word in drifted.history[-1].split()[1:3])

    # A plane shows at each row what lay v t before: it tells both components at once.
    change = (scan.values - drifted.values)[16:112, 32:96]
    elapsed_s = 0.5 * np.arange(16, 112)[:, None]
    assert change == pytest.approx(np.tile((vx + 2 * vy) * elapsed_s, (1, 64)), abs=0.01)


@pytest.mark.parametrize("shape", ["constant", "log-normal", "sinusoid"])
def test_each_kind_of_line_noise_has_its_shape(shape, rng):
    weights = tuple(float(shape == s) for s in ("constant", "log-normal", "sinusoid"))
    noise = LineNoise(weights=weights, length_px=(40, 90), span=1.0)
    values = noise(flat(128, 128), rng).values
    lines = values[values.any(axis=1)]
    assert 24 <= len(lines) <= 35  # a sinusoid may be lost, the others never
    for line in lines:
        first, last = np.flatnonzero(line)[[0, -1]]
        segment = line[first : last + 1]
        if shape == "constant":
            assert 0 < segment[0] <= 0.4
            assert (segment == segment[0]).all()
        elif shape == "log-normal":
            peak = segment.argmax()
            assert 0.089 * 0.9 < segment[peak] <= 0.3333  # between pixels the top is missed
            assert (np.diff(segment[: peak + 1]) > 0).all()
            assert (np.diff(segment[peak:]) < 0).all()
        else:
            assert 0.05 * 0.5 < abs(segment).max() <= 0.4
        assert (noise.sign == "either") or shape == "sinusoid" or segment.min() > 0


def test_line_noise_never_leaves_its_lines_and_lengths(rng):
    noise = LineNoise(sign="either", span=1.0)
    lengths, counts, signs = [], [], []
    for _ in range(60):
        values = noise(flat(128, 128), rng).values
        hit = values[values.any(axis=1)]
        counts.append(len(hit))
        lengths += [np.ptp(np.flatnonzero(line)) + 1 for line in hit]
        signs += [np.sign(line[abs(line).argmax()]) for line in hit]
    assert 22 <= min(counts) <= max(counts) <= 35
    assert np.mean(counts) == pytest.approx(30, abs=1.5)
    assert max(lengths) <= 102
    assert np.mean(lengths) == pytest.approx(51, abs=3)
    assert np.mean(signs) == pytest.approx(0, abs=0.08)


def test_the_log_normal_is_a_density_with_the_peak_that_was_derived():
    j = np.arange(1, 4000) / 10
    for mu, sigma in ((1.0, 0.5), (2.0, 1.0), (1.5, 0.7)):
        density = log_normal(j, mu, sigma)
        peak = math.exp(sigma**2 / 2 - mu) / (sigma * math.sqrt(2 * math.pi))
        assert density.sum() / 10 == pytest.approx(1, abs=2e-3)
        assert density.max() == pytest.approx(peak, rel=1e-3)


@pytest.mark.parametrize(("keep_every", "phase"), [(2, 0), (2, 1), (4, 0), (4, 2), (4, 3), (7, 5)])
def test_kept_lines_are_kept_and_the_others_are_their_nearest(keep_every, phase, rng):
    scan = noisy(65, 9)
    fewer = FewerLines(keep_every, phase)(scan, rng)
    kept = kept_lines(fewer)
    assert np.array_equal(fewer.values[kept], scan.values[kept])
    measured = np.arange(65)[kept]
    for row in range(65):
        distance = abs(measured - row)
        near = [scan.values[i] for i in measured[distance == distance.min()]]
        assert any(np.array_equal(fewer.values[row], line) for line in near)


def test_every_fourth_line_from_the_middle_is_the_plain_repeat(rng):
    scan = noisy(64, 9)
    fewer = FewerLines(4, phase=2)(scan, rng)
    assert np.array_equal(fewer.values, np.repeat(scan.values[2::4], 4, axis=0))
    assert kept_lines(fewer) == slice(2, None, 4)
    assert kept_lines(BluntTip()(fewer, rng)) == slice(2, None, 4)
    assert kept_lines(scan) == slice(0, None, 1)


def test_the_copies_of_a_line_with_holes_have_holes(rng):
    scan = noisy(16, 9)
    values = scan.values.copy()
    values[6, 3:5] = np.nan
    fewer = FewerLines(4, phase=2)(scan.after("partial", values), rng)
    assert np.array_equal(np.flatnonzero(np.isnan(fewer.values).any(axis=1)), [4, 5, 6, 7])
    assert np.isnan(fewer.values[4:8, 3:5]).all()


def test_all_phases_are_drawn(rng):
    lines = {FewerLines(4)(noisy(16, 3), rng).history[-1] for _ in range(60)}
    assert lines == {f"fewer lines: every 4 from {phase}" for phase in range(4)}


# Noise


def test_white_noise_has_its_amplitude_and_no_colour(rng):
    scan = flat(256, 256)
    noise = 1e3 * AcquisitionNoise((3.0, 3.0), (0, 0))(scan, rng).values
    assert noise.std() == pytest.approx(3.0, rel=0.02)
    assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 0.02


def test_flicker_noise_falls_as_1_over_f_in_the_order_of_recording(rng):
    series = np.stack([one_over_f(4096, rng) for _ in range(200)])
    power = (abs(np.fft.rfft(series)) ** 2).mean(axis=0)[1:-1]
    slope = np.polyfit(np.log(np.arange(1, 2048)), np.log(power), 1)[0]
    assert slope == pytest.approx(-1, abs=0.05)
    assert series.var() == pytest.approx(1, rel=0.1)

    noise = AcquisitionNoise((0, 0), (3.0, 3.0))(flat(64, 256), rng).values
    along, across = np.diff(noise, axis=1).std(), np.diff(noise, axis=0).std()
    assert across > 1.3 * along, "neighbours in a line follow one another in time"
