"""What a low electron dose and a coarse grid do to an image, against what is known of them."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from importlib import resources

import numpy as np
import pytest

from scanmend.degrade.electron_dose import ElectronDose
from scanmend.degrade.low_dose import LowDose, interpolation
from scanmend.degrade.percentile_clip import PercentileClip
from scanmend.degrade.point_spread import PointSpread
from scanmend.degrade.recipe import KINDS, dump, load, preset
from scanmend.errors import RecipeError, ScanError
from scanmend.scan import Quantity, Scan

KERNELS = pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
PRESETS = pytest.mark.parametrize("name", ["sbsr-paper", "sbsr-code"])
QUIET = {"electrons": (0.0, 0.0), "readout_of_range": (0.0, 0.0)}


def counts(values) -> Scan:
    return Scan(np.asarray(values, np.float32), (0.02, 0.02), Quantity.COUNTS)


def wave(periods: int, side: int = 128) -> np.ndarray:
    """Along the columns, `periods` on the side, with nodes where mirror images meet."""
    return np.cos(np.pi * 2 * periods * (np.arange(side) + 0.5) / side)[None].repeat(side, 0)


@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.3])
@pytest.mark.parametrize("periods", [8, 20, 32])
def test_a_probe_dampens_waves_as_the_transform_of_its_gaussian_does(sigma, periods, rng):
    image = PointSpread((sigma, sigma))(counts(wave(periods)), rng).values
    # Sampled at pixels, its transform repeats every period per pixel, and the copies add up.
    gain, mean = (
        np.exp(-2 * (np.pi * sigma * (f + np.arange(-3, 4))) ** 2).sum() for f in (periods / 128, 0)
    )
    assert abs(image - gain / mean * wave(periods)).max() < 1e-3


@pytest.mark.parametrize("level", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("electrons", [50, 400])
def test_shot_noise_has_the_variance_of_counted_electrons(level, electrons, rng):
    """Counts have their mean for a variance: of n v electrons, v / n in units of full scale."""
    values = np.full((400, 400), 10 + 40 * level)
    effect = LowDose(1, "bilinear", (electrons, electrons), (0, 0), False, low=10, span=40)
    seen = (effect(counts(values), rng).values - 10) / 40
    assert seen.mean() == pytest.approx(level, abs=4 * np.sqrt(level / electrons) / 400)
    # The variance of a variance of 160,000 pixels: 4 sigmas are 1.5 %, more for few electrons.
    assert seen.var() == pytest.approx(level / electrons, rel=0.02)
    assert abs(seen * electrons - np.round(seen * electrons)).max() < 1e-3  # whole ones


def test_the_readout_adds_its_noise_where_no_electron_arrives(rng):
    effect = LowDose(1, readout_of_range=(0.03, 0.03), saturates=False, low=0, span=200)
    seen = effect(counts(np.zeros((300, 300))), rng).values
    assert seen.mean() == pytest.approx(0, abs=4 * 6 / 300)
    assert seen.std() == pytest.approx(0.03 * 200, rel=0.01)


def test_a_saturating_detector_reads_nothing_beyond_its_scale(rng):
    image = counts(np.rint(wave(3) * 50 + 50))
    soft, hard = (
        LowDose(1, "bilinear", (20, 20), (0.1, 0.1), s)(image, rng).values for s in (False, True)
    )
    assert soft.min() < -1 and soft.max() > 101
    assert hard.min() == 0 and hard.max() == pytest.approx(100)


@KERNELS
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_fewer_pixels_keep_the_mean(kernel, factor, rng):
    values = rng.uniform(0, 100, (96, 48))
    down = [interpolation(n, n // factor, kernel) for n in values.shape]
    assert (down[0] @ values @ down[1].T).mean() == pytest.approx(values.mean(), rel=1e-12)
    image = LowDose(factor, kernel, **QUIET, saturates=False)(counts(values), rng).values
    assert image.mean(dtype=float) == pytest.approx(values.mean(), rel=1e-6)


@KERNELS
def test_the_coarse_grid_keeps_what_it_can_hold_and_where_it_is(kernel, rng):
    """Pixels are areas: a ramp must not move by half a coarse pixel on its way there and back."""
    ramp = np.arange(64.0)[:, None] + np.zeros(64)
    effect = LowDose(2, kernel, **QUIET)
    back = effect(counts(ramp), rng).values
    assert abs(back - ramp)[10:-10].max() < 1e-4
    slow = effect(counts(wave(4)), rng).values
    assert abs(slow - wave(4)).max() < {"bicubic": 0.01, "bilinear": 0.04}[kernel]


@KERNELS
def test_what_the_coarse_grid_cannot_hold_is_filtered_out(kernel, rng):
    """Every second pixel of a wave of 52 periods on 128 pixels would show one of 12."""
    image = LowDose(2, kernel, **QUIET)(counts(wave(52)), rng).values
    aliased = np.abs(np.fft.rfft(image[64])) / 64
    plain = np.abs(np.fft.rfft(wave(52)[64, ::2])) / 32
    assert plain[12] == pytest.approx(1, abs=1e-6)
    assert aliased[12] < {"bicubic": 0.1, "bilinear": 0.15}[kernel]


def test_the_noise_of_a_coarse_pixel_spreads_over_the_fine_ones(rng):
    flat = counts(np.full((256, 256), 50.0))
    seen = LowDose(2, "bilinear", low=0, span=100)(flat, rng).values - 50
    beside = np.mean(seen[:, 1:] * seen[:, :-1]) / seen.var()
    # A fine pixel is 3/4 of its coarse one and 1/4 of the next: a variance of 10/16, of which
    # neighbours share 9/16 inside a coarse pixel and 6/16 across its border.
    assert beside == pytest.approx((9 + 6) / 2 / 10, abs=0.02)


def test_percentiles_are_where_the_image_ends(rng):
    values = rng.permutation(10_001).reshape(73, 137).astype(float)
    seen = PercentileClip((2, 2))(counts(values), rng)
    assert (seen.values.min(), seen.values.max()) == (200, 9800)
    inside = (values > 200) & (values < 9800)
    assert np.array_equal(seen.values[inside], values[inside])
    assert seen.history == ("clipped to 2.00 and 98.00 %, 200 and 9800 counts",)


def test_what_means_nothing_is_rejected(rng):
    with pytest.raises(RecipeError, match="LowDose needs a factor of at least 1, got 0"):
        LowDose(factor=0)
    with pytest.raises(RecipeError, match=r"a beyond_percent below 50, .* got \(2, 50\)"):
        PercentileClip((2, 50))
    with pytest.raises(RecipeError, match="kernel must be 'bicubic' or 'bilinear', got 'sinc'"):
        load({"step": [{"kind": "LowDose", "kernel": "sinc"}]})
    with pytest.raises(RecipeError, match=r"electrons must be 2 numbers .*, got \[-1, 5\]"):
        load({"step": [{"kind": "LowDose", "electrons": [-1, 5]}]})
    for kind in (LowDose, PercentileClip):
        with pytest.raises(ScanError, match="every pixel is NaN"):
            kind()(counts(np.full((8, 8), np.nan)), rng)


@PRESETS
def test_presets_survive_and_spell_every_parameter(name):
    recipe = preset(name)
    assert load(dump(recipe)) == recipe
    text = resources.files("scanmend.degrade").joinpath(f"presets/{name}.toml").read_text("utf-8")
    for step in tomllib.loads(text)["step"]:
        known = {field.name for field in fields(KINDS[step["kind"]])} - {"low", "span"}
        assert set(step) - {"kind"} == known


@PRESETS
def test_presets_hold_the_numbers_of_the_public_code(name):
    kernel = {"sbsr-paper": "bicubic", "sbsr-code": "bilinear"}[name]
    assert [step.effect for step in preset(name).steps] == [
        PointSpread((0.8, 0.8)),
        LowDose(2, kernel, (50, 50), (0.01, 0.03), True),
        PercentileClip((2, 2)),
    ]


@pytest.mark.parametrize("factor", [1, 2])
def test_a_dose_brings_as_many_electrons_as_there_is_area(factor, rng):
    """20 % of 3000 electrons on a square Angstrom, of which 0.02 x 0.02 nm are 0.04."""
    one = (0.2, 0.2), (0.0, 0.0)
    effect = ElectronDose(factor, "bilinear", (3000, 3000), *one, low=0, span=100)
    seen = effect(counts(np.full((400, 400), 50.0)), rng)
    electrons = 0.5 * 0.2 * 3000 * 0.04 * factor**2
    assert seen.values.mean() == pytest.approx(50, rel=4 / np.sqrt(electrons) / 400 * factor)
    # On each axis a fine pixel is 3/4 of its coarse one and 1/4 of the next.
    shared = (10 / 16) ** 2 if factor == 2 else 1
    assert seen.values.var() == pytest.approx(shared * 50**2 / electrons, rel=0.03)
    assert seen.history[-1].startswith("3000 electrons/A2, of which 0.2 count: low dose")


def test_a_dose_that_means_nothing_is_rejected():
    with pytest.raises(
        RecipeError, match=r"ElectronDose needs a dose_per_A2 above 0, got \(0, 5\)"
    ):
        ElectronDose(dose_per_A2=(0, 5))


def test_real_doses_leave_counts_and_lines_out_of_place(rng):
    seen = preset("stem-realistic")(counts(50 + 50 * wave(16)), rng)
    assert seen.quantity is Quantity.COUNTS and "electrons/A2" in seen.history[-1]
    assert {"PointSpread", "LineShift", "ElectronDose"} == {
        type(step.effect).__name__ for step in preset("stem-realistic").steps
    }
