"""Every degradation keeps the contract."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

from scanmend.degrade.acquisition_noise import AcquisitionNoise
from scanmend.degrade.blunt_tip import BluntTip
from scanmend.degrade.drift import ThermalDrift
from scanmend.degrade.electron_dose import ElectronDose
from scanmend.degrade.feedback_lag import FeedbackLag
from scanmend.degrade.feedback_loop import FeedbackLoop
from scanmend.degrade.fewer_lines import FewerLines
from scanmend.degrade.line_noise import LineNoise
from scanmend.degrade.line_offset import LineOffset
from scanmend.degrade.line_shift import LineShift
from scanmend.degrade.low_dose import LowDose
from scanmend.degrade.multi_tip import MultiTip
from scanmend.degrade.percentile_clip import PercentileClip
from scanmend.degrade.point_spread import PointSpread
from scanmend.degrade.recipe import KINDS
from scanmend.degrade.tip_change import TipChange
from scanmend.errors import RecipeError, ScanError
from scanmend.scan import Acquisition, Quantity, Scan

ALL = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
PITCH = 0.2

ZERO = {
    "ThermalDrift": ThermalDrift(speed_nm_per_s=0),
    "MultiTip": MultiTip(amplitude=(0, 0)),
    "LineShift": LineShift(sigma_px=0),
    "BluntTip": BluntTip(sigma_px=(0, 0)),
    "TipChange": TipChange(sigma_px=(0, 0), offset_of_range=(0, 0)),
    "FeedbackLag": FeedbackLag(lag_px=(0, 0)),
    # A proportional loop that corrects the whole of an error in one cycle.
    "FeedbackLoop": FeedbackLoop((0.05, 0.05), (0, 0), (20.0, 20.0), amplifier_nA=(0, 0)),
    "LineOffset": LineOffset(rms_pm=(0, 0)),
    "LineNoise": LineNoise(lines_per_128=(0, 0)),
    "AcquisitionNoise": AcquisitionNoise(white_pm=(0, 0), flicker_pm=(0, 0)),
    "FewerLines": FewerLines(keep_every=1),
    "PointSpread": PointSpread(sigma_px=(0, 0)),
    "LowDose": LowDose(factor=1, electrons=(0, 0), readout_of_range=(0, 0)),
    # So many electrons that their noise is less than the last bits.
    "ElectronDose": ElectronDose(dose_per_A2=(1e15, 1e15), readout_electrons=(0, 0)),
    "PercentileClip": PercentileClip(beyond_percent=(0, 0)),
}


def flat(rows: int = 64, columns: int = 96) -> Scan:
    return Scan(np.zeros((rows, columns), np.float32), (PITCH, PITCH))


def noisy(rows: int = 64, columns: int = 96) -> Scan:
    values = np.random.default_rng(3).standard_normal((rows, columns), np.float32)
    return Scan(values, (PITCH, PITCH))


@ALL
def test_contract(kind, lattice):
    scan = replace(lattice, acquisition=Acquisition(bias_V=-2.0), history=("read",))
    before = scan.values.copy()
    once, again = (kind()(scan, np.random.default_rng(1)) for _ in range(2))
    # Two of a few phases may be the same phase.
    others = [kind()(scan, np.random.default_rng(seed)).values for seed in range(2, 6)]

    assert np.array_equal(scan.values, before), "the input was changed"
    assert np.array_equal(once.values, again.values), "one seed, two images"
    assert once.history == again.history
    assert any(not np.array_equal(once.values, other) for other in others), "the seed does nothing"
    assert not np.array_equal(once.values, before), "nothing happened"
    assert once.values.dtype == np.float32
    assert once.values.shape == before.shape
    assert (once.pixel_nm, once.quantity) == (scan.pixel_nm, scan.quantity)
    assert once.acquisition == scan.acquisition
    assert once.history[0] == "read"
    assert len(once.history) == 2
    assert once.history[1].isprintable()


@ALL
def test_parameters_are_frozen_and_documented(kind):
    with pytest.raises(FrozenInstanceError):
        setattr(kind(), fields(kind)[0].name, None)
    for field in fields(kind):
        assert f"        {field.name}: " in kind.__doc__


@ALL
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 5), (33, 70)])
def test_any_size_and_a_constant_scan_will_do(kind, shape, rng):
    for scan in (noisy(*shape), flat(*shape)):
        degraded = kind()(scan, rng)
        assert degraded.values.shape == shape
        assert np.isfinite(degraded.values).all()


@ALL
def test_pixels_that_were_not_measured_stay_so_exactly_they(kind, rng):
    scan = noisy()
    holes = np.zeros(scan.values.shape, bool)
    holes[:2], holes[20:24, 30:50] = True, True
    holes[-1] = True
    if kind is FewerLines:  # whose lines are copies, holes and all: tested below
        holes[20:24] = False
    values = np.where(holes, np.float32(np.nan), scan.values)
    effect = FewerLines(4, phase=2) if kind is FewerLines else kind()
    degraded = effect(scan.after("partial", values), rng)
    assert np.array_equal(np.isnan(degraded.values), holes)


@ALL
def test_without_strength_nothing_changes(kind, lattice, rng):
    degraded = ZERO[kind.__name__](lattice, rng)
    assert degraded.values == pytest.approx(lattice.values, abs=2e-7)
    assert len(degraded.history) == 1


@ALL
def test_heights_have_no_origin_and_no_scale_but_for_noise_in_pm(kind, lattice):
    """A scan 10x as tall, raised by 1 nm, is degraded 10x as tall, raised by 1 nm."""
    taller = lattice.after("taller", 10 * lattice.values + 1)
    effect = FeedbackLoop(amplifier_nA=(0, 0)) if kind is FeedbackLoop else kind()
    plain, tall = (effect(scan, np.random.default_rng(5)).values for scan in (lattice, taller))
    if kind in (AcquisitionNoise, LineOffset):
        assert tall - taller.values == pytest.approx(plain - lattice.values, abs=1e-6)
    else:
        assert tall == pytest.approx(10 * plain + 1, abs=2e-3 * float(np.ptp(tall)))


@pytest.mark.parametrize("kind", [AcquisitionNoise, FeedbackLoop, LineOffset])
def test_damage_in_pm_needs_heights(kind, rng):
    current = replace(noisy(), quantity=Quantity.CURRENT)
    with pytest.raises(ScanError, match="needs a height image, got one in nA; leave Acq"):
        kind()(current, rng)


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        (MultiTip, {"tips": (2, 3)}, r"one weight for each of its tips \(2, 3\)"),
        (FeedbackLoop, {"integral_nm": (0.0, 0.01)}, "0.004 and 0.01 nm the loop diverges: an"),
        (MultiTip, {"weights": (0, 0, 0)}, r"not all 0, got \(0, 0, 0\)"),
        (MultiTip, {"kernel_weights": (0, 0, 0)}, "kernel_weights that are not all 0"),
        (MultiTip, {"median_px": (0, 9)}, r"windows of 1 to 15 px, got .* median_px \(0, 9\)"),
        (MultiTip, {"random_px": (5, 16)}, r"windows of 1 to 15 px, got .* random_px \(5, 16\)"),
        (LineNoise, {"weights": (0, 0, 0)}, r"weights that are not all 0.*got \(0, 0, 0\)"),
        (LineNoise, {"log_normal_sigma": (0, 1)}, r"above 0, got .*\(0, 1\)"),
        (LineNoise, {"sine_period_px": (0, 9)}, r"above 0, got .*\(0, 9\)"),
        (FewerLines, {"keep_every": 0}, "keep_every of at least 1 .* got keep_every 0"),
        (FewerLines, {"keep_every": 4, "phase": 4}, "a phase below it, got .* phase 4"),
    ],
)
def test_parameters_that_mean_nothing_are_rejected(kind, parameters, words):
    with pytest.raises(RecipeError, match=words):
        kind(**parameters)


@pytest.mark.parametrize("kind", [MultiTip, LineNoise, TipChange])
def test_what_is_relative_to_the_range_needs_one(kind, rng):
    empty = noisy().after("nothing", np.full((8, 8), np.nan))
    with pytest.raises(ScanError, match="every pixel is NaN"):
        kind()(empty, rng)
    endless = noisy().after("crash", np.where(np.eye(8) > 0, np.inf, 0.0))
    with pytest.raises(ScanError, match="infinite pixels; mark what was not measured by NaN"):
        kind()(endless, rng)
