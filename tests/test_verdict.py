"""What is said of a restoration is what can be computed from it by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import scanmend
from scanmend import models
from scanmend.restoration.verdict import verdict
from scanmend.scan import Scan


@pytest.fixture(scope="module")
def result():
    y, x = np.mgrid[:64, :64] * 0.19
    values = 0.02 * (np.cos(2 * np.pi * x / 0.77) + np.cos(2 * np.pi * y / 0.77)) + 0.5 * x
    return scanmend.restore(Scan(values.astype(np.float32), (0.19, 0.19)))


def test_relief_and_doubt_are_what_they_say(result):
    x = np.mgrid[:64, :64][1]
    ramp = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    ramp = np.random.default_rng(0).permutation(ramp.ravel()).reshape(64, 64)  # no plane in it
    spread = np.where(x < 16, 0.2, 0.01).astype(np.float32)
    known = replace(
        result,
        mean=replace(result.mean, values=ramp + np.float32(3) * x.astype(np.float32)),
        spread=replace(result.spread, values=spread),
    )
    said = verdict(known, models.load())
    assert said.relief == pytest.approx(0.9, abs=0.05)  # of 0 to 1, without its tilt
    assert said.doubtful == 0.25
    assert said.notes[0].startswith("25.0% of the pixels are doubtful")
    assert (said.task, said.unit, said.not_measured) == ("restore", "nm", 0.0)


def test_a_spread_that_nobody_knows_is_not_zero(result):
    unknown = replace(result.spread, values=np.full_like(result.spread.values, np.nan))
    said = verdict(replace(result, spread=unknown), models.load())
    assert said.doubtful is None
    assert said.notes[0] == "how far to trust it is not known: this model says it only of draws"


@pytest.mark.parametrize(
    ("pitch", "known"), [(0.02, True), (0.19, True), (0.01, False), (0.5, False)]
)
def test_the_pitch_is_told(result, pitch, known):
    scan = replace(result.measured, pixel_nm=(pitch, pitch))
    said = verdict(scanmend.restore(scan), models.load())
    assert said.pitch_in_range is known
    assert any("nm are not the 0.02-0.4 nm" in note for note in said.notes) is not known


def test_what_was_not_measured_is_counted(result):
    values = result.measured.values.copy()
    values[:16] = np.nan
    said = verdict(scanmend.restore(replace(result.measured, values=values)), models.load())
    assert said.not_measured == 0.25
    assert "25.0% of the pixels were not measured, and stay so" in said.notes
