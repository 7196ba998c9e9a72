"""Classical methods help against what they are made for, and keep units."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from scanmend.crystals import silicon
from scanmend.degrade.fewer_lines import FewerLines, kept_lines
from scanmend.degrade.line_noise import LineNoise
from scanmend.degrade.recipe import for_upscaling, preset
from scanmend.errors import ScanError, ScanmendError
from scanmend.evaluate import classical
from scanmend.evaluate.classical import CLASSICAL, kept, lanczos
from scanmend.evaluate.metrics import psnr
from scanmend.scan import Scan

ALL = pytest.mark.parametrize("name", CLASSICAL)
DENOISERS = ("median", "total variation", "non-local means", "BM3D", "wavelet")
FILLERS = ("cubic spline", "Lanczos")


@pytest.fixture(autouse=True)
def with_their_packages(request):
    """The one with a licence of its own is tested where somebody has installed it."""
    if "BM3D" in request.node.name and "not_there" not in request.node.name:
        pytest.importorskip("bm3d")


def atoms(side: int = 64, period: float = 9.0) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return np.cos(2 * np.pi * x / period) * np.cos(2 * np.pi * (y + 0.2 * x) / period)


def terraces(side: int = 64) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return (x + 2 * y) // 48 * 0.5


@pytest.mark.parametrize("name", [n for n in DENOISERS if n != "BM3D"])
def test_noise_on_terraces_falls(name, rng):
    noisy = terraces() + 0.15 * rng.standard_normal((64, 64))
    assert psnr(CLASSICAL[name](noisy), terraces()) > psnr(noisy, terraces()) + 3


@pytest.mark.parametrize("name", [n for n in DENOISERS if n != "median"])
def test_noise_on_atoms_falls(name, rng):
    noisy = atoms() + 0.2 * rng.standard_normal((64, 64))
    assert psnr(CLASSICAL[name](noisy), atoms()) > psnr(noisy, atoms()) + 1.5


def test_a_median_takes_spikes_out(rng):
    spikes = np.where(rng.random((64, 64)) < 0.02, 5.0, 0.0)
    assert psnr(CLASSICAL["median"](terraces() + spikes), terraces()) > 35
    assert psnr(terraces() + spikes, terraces()) < 16


def test_raised_lines_and_parts_of_lines_come_down(rng):
    surface = silicon.surface(rng, (128, 128)).values
    span = np.ptp(surface)
    raised = surface.copy()
    raised[40] += span
    raised[80, 30:90] -= span / 2
    error = abs(CLASSICAL["line repair"](raised) - surface) / span
    assert error[40].mean() < 0.1
    assert error[80, 30:90].mean() < 0.1
    assert np.delete(error, (40, 80), axis=0).mean() < 0.01, "what was right was changed"


def test_the_line_noise_of_the_paper_falls(rng):
    gains = []
    for _ in range(6):
        surface = silicon.surface(rng, (128, 128))
        degraded = LineNoise()(surface, rng).values
        mended = CLASSICAL["line repair"](degraded)
        gains.append(psnr(mended, surface.values) - psnr(degraded, surface.values))
    # Least where rows of atoms almost follow the lines: 1 dB; else 3 to 10.
    assert min(gains) > 0
    assert np.mean(gains) > 3


@pytest.mark.parametrize("name", FILLERS)
@pytest.mark.parametrize("factor", [2, 4])
def test_lines_between_lines_come_back_where_nothing_is_aliased(name, factor, rng):
    surface = atoms(128, period=16)
    few = FewerLines(factor)(Scan(surface.astype(np.float32), (0.2, 0.2)), rng)
    filled = CLASSICAL[name](few.values, factor)
    inner = slice(4 * factor, -4 * factor)
    assert psnr(filled[inner], surface[inner]) > psnr(few.values[inner], surface[inner]) + 12
    assert filled[kept_lines(few)] == pytest.approx(few.values[kept_lines(few)], abs=1e-6)


@pytest.mark.parametrize("name", ["total variation", "non-local means", "wavelet"])
def test_noise_on_repeated_lines_is_seen(name, rng):
    """Its rows repeat, so that a filter of the whole image would take the noise for a surface."""
    noisy = (atoms(128, 24) + 0.3 * rng.standard_normal((128, 128))).astype(np.float32)
    few = FewerLines(2, phase=1)(Scan(noisy, (0.2, 0.2)), rng).values
    plain = CLASSICAL["cubic spline"](few, 2)
    assert psnr(CLASSICAL[name](few, 2), atoms(128, 24)) > psnr(plain, atoms(128, 24)) + 3


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_the_measured_lines_are_found_again(factor, rng):
    scan = Scan(rng.standard_normal((50, 40), np.float32), (0.2, 0.2))
    for phase in range(factor):
        few = FewerLines(factor, phase)(scan, rng)
        lines, at = kept(few.values, factor)
        assert at.tolist() == list(range(phase, 50, factor))
        assert np.array_equal(lines, scan.values[at])


@pytest.mark.parametrize("factor", [2, 4])
def test_they_are_found_below_the_noise_that_the_paper_adds_afterwards(factor, lattice):
    for seed in range(20):
        few = for_upscaling(preset("paper"), factor)(lattice, np.random.default_rng(seed))
        assert kept(few.values, factor)[1].tolist() == list(range(128))[kept_lines(few)]


def test_lanczos_is_between_the_lines_what_the_sinc_is(rng):
    """A slow wave comes back, close to what the spline through the same lines makes of it."""
    at = np.arange(1, 64, 4)
    wave = np.sin(2 * np.pi * np.arange(64) / 24)[:, None] * np.ones(3)
    filled = lanczos(wave[at], at, 64)
    assert filled[at] == pytest.approx(wave[at], abs=1e-12)
    assert abs(filled - CubicSpline(at, wave[at])(np.arange(64)))[14:-14].max() < 0.03
    assert lanczos(np.ones((16, 3)), at, 64) == pytest.approx(np.ones((64, 3)), abs=1e-12)
    assert lanczos(wave[:1], at[:1], 9) == pytest.approx(wave[:1].repeat(9, 0))


@ALL
@pytest.mark.parametrize("factor", [1, 4])
def test_a_constant_image_stays_to_the_bit(name, factor):
    image = np.full((24, 32), np.float32(0.1))
    assert np.array_equal(CLASSICAL[name](image, factor), image)


@pytest.mark.parametrize("name", [n for n in CLASSICAL if n != "BM3D"])  # takes 14 s
@pytest.mark.parametrize("factor", [1, 2])
def test_units_are_kept(name, factor, rng):
    image = (atoms() + 0.2 * rng.standard_normal((64, 64))).repeat(factor, 0)[:64]
    before = image.copy()
    plain = CLASSICAL[name](image, factor)
    assert (plain.dtype, plain.shape) == (np.float32, (64, 64))
    assert np.array_equal(image, before), "the input was changed"
    picometres = CLASSICAL[name](1000 * image + 250, factor)
    # NLM and TV stop at a tolerance, which rounding moves.
    assert abs(picometres - (1000 * plain + 250)).max() < 1
    volts = CLASSICAL[name](1e-9 * image, factor)
    assert abs(1e9 * volts - plain).max() < 1e-3


@ALL
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_pixels_are_refused(name, bad):
    image = atoms()
    image[3, 4:6] = bad
    words = r"2 of 4096 pixels are NaN or infinite: .* need all of them; fill the gaps first"
    with pytest.raises(ScanError, match=words):
        CLASSICAL[name](image)


def test_the_noise_is_that_which_was_added(rng):
    noisy = atoms(128, 24) + 0.15 * rng.standard_normal((128, 128))
    assert classical.noise(noisy) == pytest.approx(0.15, rel=0.05)


@pytest.mark.parametrize(
    ("package", "name", "words"),
    [
        ("skimage", "wavelet", r'need scikit-image: pip install "scanmend\[evaluate\]"'),
        ("pywt", "total variation", r'need scikit-image: pip install "scanmend\[evaluate\]"'),
        ("bm3d", "BM3D", "free for non-commercial use only, .* pip install bm3d"),
    ],
)
def test_a_package_that_is_not_there_is_named(package, name, words, monkeypatch, rng):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ScanmendError, match=words):
        CLASSICAL[name](rng.standard_normal((16, 16)))
