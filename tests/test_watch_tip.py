"""The tip's state: what is measured grows with the damage, and with that of its own kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

import scanmend
from scanmend.degrade.acquisition_noise import AcquisitionNoise
from scanmend.degrade.blunt_tip import BluntTip
from scanmend.degrade.line_noise import LineNoise
from scanmend.degrade.line_offset import LineOffset
from scanmend.degrade.tip_change import TipChange
from scanmend.pairs.clean import Surface
from scanmend.scan import Quantity, Scan
from scanmend.watch import tip

KINDS = {
    "disturbed": lambda x: LineNoise((60 * x, 60 * x), sign="either"),
    "jumps_pm": lambda x: LineOffset((30 * x, 30 * x)),
    "step_pm": lambda x: TipChange((0, 0), 1.0, (0.5 * x, 0.5 * x), persists=True),
    "noise_pm": lambda x: AcquisitionNoise((40 * x, 40 * x), (0, 0)),
}
COUNT = 12


@pytest.fixture(scope="module", params=["si001h", "surface"])
def clean(request) -> tuple[bool, list[Scan], list[tip.TipState]]:
    """Whether the model was made for them; clean scans that it can be brought to; their states."""
    found, seed = [], 0
    while len(found) < COUNT:
        scan = Surface(request.param).piece("test", 96, np.random.default_rng(seed)).scan
        found += [scan] if 0.06 < scan.pixel_nm[1] < 0.5 else []
        seed += 1
    return request.param == "si001h", found, [state(scan) for scan in found]


def state(scan: Scan) -> tip.TipState:
    found = tip.measure(scan, scanmend.restore(scan).mean)
    assert found is not None
    return found


@pytest.mark.parametrize("measure", KINDS)
def test_a_measure_grows_with_the_damage_and_clean_scans_stay_below_its_limit(clean, measure):
    model, scans, states = clean
    shares = np.linspace(0, 1, COUNT)
    damaged = [
        getattr(state(KINDS[measure](x)(scan, np.random.default_rng(i))), measure)
        for i, (scan, x) in enumerate(zip(scans, shares, strict=True))
    ]
    # One surface for each strength. On those that the model was not made for, it removes less.
    assert spearmanr(shares, damaged)[0] > (0.75 if model else 0.4)
    undamaged = np.array([getattr(s, measure) for s in states])
    assert np.median(undamaged) < tip.LIMITS[measure] / 3
    if model:
        assert np.sum(undamaged > tip.LIMITS[measure]) <= 1


def test_offsets_and_noise_are_measured_in_picometres():
    scan = Surface("si001h").piece("test", 160, np.random.default_rng(4)).scan
    noisy = AcquisitionNoise((30, 30), (0, 0))(scan, np.random.default_rng(1))
    own = state(scan).noise_pm
    assert state(noisy).noise_pm == pytest.approx(np.hypot(30, own), rel=0.1)
    flat = scan.after("flat", np.zeros_like(scan.values))
    offset = LineOffset((20, 20))(scan, np.random.default_rng(1))
    found = tip.measure(offset, scan)
    assert found is not None
    assert found.jumps_pm == pytest.approx(20, rel=0.2)
    assert tip.measure(scan, scan).jumps_pm == 0  # pyright: ignore[reportOptionalMemberAccess]
    assert tip.measure(scan, flat) is not None


def test_a_blunter_tip_shows_against_earlier_scans():
    scan = Surface("si001h").piece("test", 128, np.random.default_rng(3)).scan
    sharp = [state(scan)] * 5
    blunt = state(BluntTip((2, 2))(scan, np.random.default_rng(0)))
    assert "finest_nm" not in tip.excess(sharp[:3])
    assert tip.excess(sharp)["finest_nm"] == pytest.approx(1 / tip.WORSE["finest_nm"])
    assert tip.excess([*sharp, blunt])["finest_nm"] > 1
    coarser = replace(blunt, pixel_nm=2 * blunt.pixel_nm)
    assert "finest_nm" not in tip.excess([*sharp, coarser])


def test_advice_needs_three_of_four_and_the_last_one():
    good = tip.TipState(0.0, 0.0, 0.0, 0.0, 1.0, 0.2)
    bad = replace(good, disturbed=0.05)
    assert tip.advice([good] * 9) is None
    assert tip.advice([bad]) is None
    assert tip.advice([good, bad, good, bad]) is None
    assert tip.advice([bad, bad, bad, good]) is None
    said = "re-condition the tip: streaks in 3 of the last 4 scans"
    assert tip.advice([bad, good, bad, bad]) == said
    both = replace(bad, jumps_pm=20.0)
    assert tip.advice([both] * 3) == (
        "re-condition the tip: streaks in 3 of the last 3 scans, "
        "jumps between lines in 3 of the last 3 scans"
    )


def test_what_has_no_state():
    scan = Surface("si001h").piece("test", 40, np.random.default_rng(0)).scan
    assert tip.measure(replace(scan, quantity=Quantity.CURRENT), scan) is None
    few = scan.after("stopped", np.where(np.arange(40)[:, None] < 20, scan.values, np.nan))
    assert tip.measure(few, few) is None
    none = scan.after("nothing", np.full_like(scan.values, np.nan))
    assert tip.measure(none, none) is None


def test_what_stands_out_in_words():
    state = tip.TipState(0.031, 12.0, 3.0, 4.0, 1.0, 0.2)
    assert state.line() == "tip: streaks on 3.1 % of pixels, line jumps 12.0 pm"
    assert replace(state, disturbed=0.0, jumps_pm=0.1).line() == "tip: nothing stands out"
