"""The pitch from a crystal's lattice: exact where it is, honest where it is not, refused else."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import scanmend
from scanmend.errors import RecipeError, ScanError
from scanmend.scan import Quantity, Scan
from scanmend.stem.calibration import calibrate, crystal_named
from scanmend.stem.crystals import CRYSTALS, GRAPHENE, MOS2, SRTIO3
from scanmend.stem.experiment import Experiment
from scanmend.stem.microscope import Microscope, simulate


def waves(crystal, shape, pixel_nm, shear_deg=0.0, turn_deg=13.0):
    """Three shells of a crystal's reflections, at a pitch (rows, columns) and sheared."""
    rows, columns = np.indices(shape, np.float64)
    lean = pixel_nm[0] * math.tan(math.radians(shear_deg))
    places = np.stack([columns * pixel_nm[1] + rows * lean, rows * pixel_nm[0]], axis=-1)
    first, second = crystal.lattice.turned(turn_deg).reciprocal_per_nm
    image = np.zeros(shape)
    for h in range(-2, 3):
        for k in range(-2, 3):
            g = h * first + k * second
            image += math.exp(-0.5 * (g @ g) / (first @ first)) * np.cos(places @ g)
    return image


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("header", [None, (0.019, 0.0195)])
def test_a_perfect_image_gives_its_pitch_and_its_shear(name, header):
    image = waves(CRYSTALS[name], (200, 300), (0.0207, 0.0211), shear_deg=2.5)
    found = calibrate(image, CRYSTALS[name], header)
    assert found.pixel_nm == pytest.approx((0.0207, 0.0211), rel=1e-4)
    assert found.shear_deg == pytest.approx(2.5, abs=0.01)


def test_the_errors_are_as_large_as_is_told(rng):
    image = waves(MOS2, (160, 160), (0.02, 0.02))
    off = []
    for _ in range(30):
        found = calibrate(image + rng.normal(0, 3 * image.std(), image.shape), MOS2, (0.02, 0.02))
        errors = (*np.subtract(found.pixel_nm, 0.02), found.shear_deg)
        off.append(np.divide(errors, (*found.sigma_nm, found.sigma_deg)))
    # Of 90 errors in standard deviations: their rms is 1 +- 0.08, the told ones being uncertain
    # as well, and rather too large than too small.
    assert 0.6 < np.sqrt(np.mean(np.square(off))) < 1.3


@pytest.mark.parametrize(("dose_per_A2", "percent"), [(300, 0.5), (30_000, 0.1)])
def test_simulated_counts_give_the_pitch_under_a_wrong_header(dose_per_A2, percent):
    tables = {
        "frame": {"rows": 256, "columns": 256, "pixel_nm": 0.02},
        "beam": {"dose_per_A2": dose_per_A2},
        "sample": {"angle_deg": 21.0, "contamination_nm": 0.3},
        "motion": {"jitter_nm": 0.004, "line_nm": 0.004},
    }
    plan = Experiment("mos2", "mos2", tables=tables, defects_per_nm2={"chalcogen vacancy": 0.4})
    scan = Microscope(plan).scan(3, 0).scan()
    found = calibrate(scan.values, MOS2, (0.0185, 0.0185))
    assert found.pixel_nm == pytest.approx((0.02, 0.02), rel=percent / 100)
    for pitch, sigma in zip(found.pixel_nm, found.sigma_nm, strict=True):
        assert abs(pitch - 0.02) < 4 * sigma < 0.02 * 2 * percent / 100
    assert scan.acquisition.dose_at(scan.pixel_nm) == dose_per_A2


def test_lines_that_were_not_measured_do_no_harm():
    image = waves(SRTIO3, (256, 256), (0.02, 0.02))
    image[60:80] = np.nan
    found = calibrate(image, SRTIO3, (0.021, 0.021))
    assert found.pixel_nm == pytest.approx((0.02, 0.02), rel=1e-3)


def test_noise_and_what_scans_have_besides_are_no_lattice(rng):
    counts = rng.poisson(5, (200, 200)).astype(float)
    hum = np.sin(np.arange(40_000).reshape(200, 200) / 7.3)
    for image in (counts, counts + rng.normal(0, 3, (200, 1)), counts + hum):
        for crystal, header in product((MOS2, SRTIO3), ((0.02, 0.02), None)):
            with pytest.raises(ScanError, match="no lattice of .* is seen"):
                calibrate(image, crystal, header)


def test_a_faint_reflection_tells_a_cell_from_one_turned_by_45_degrees(rng):
    # Of SrTiO3 (10) is faint, and without it (11) looks like (10) of a smaller cell.
    made = next(simulate("srtio3-haadf", 1, seed=9))
    for header in (None, (made.pixel_nm * 1.05,) * 2):
        found = calibrate(made.counts, SRTIO3, header)
        assert found.pixel_nm == pytest.approx((made.pixel_nm,) * 2, rel=0.005)


def test_another_crystal_is_not_taken_for_it(rng):
    image = waves(MOS2, (256, 256), (0.0126, 0.0126)) + rng.normal(0, 1, (256, 256))
    text = r"a lattice is seen that graphene would have at 0\.7\d* times the header's pitch of 0\."
    with pytest.raises(ScanError, match=text + r".*is it mos2.*\? If the header is wrong"):
        calibrate(image, GRAPHENE, (0.0127, 0.0127))
    for header in (None, (0.0127, 0.0127)):
        with pytest.raises(ScanError, match=r"no lattice of SrTiO3 is seen: .* periods are .*name"):
            calibrate(image, SRTIO3, header)


def test_no_lattice_is_no_pitch(rng):
    with pytest.raises(ScanError, match=r"no lattice of MoS2 is seen: no period .* stands out"):
        calibrate(rng.normal(0, 1, (200, 200)), MOS2, (0.02, 0.02))
    with pytest.raises(ScanError, match="no lattice of MoS2 is seen"):
        calibrate(np.zeros((50, 60)), MOS2)
    stripes = np.sin(np.arange(200) / 3)[:, None] + rng.normal(0, 0.1, (200, 200))
    with pytest.raises(ScanError, match="no lattice of MoS2 is seen"):
        calibrate(stripes, MOS2, (0.02, 0.02))


def test_a_crystal_has_a_name():
    assert crystal_named("MoS2") is MOS2
    with pytest.raises(RecipeError, match="no crystal is called 'mica'; there are mos2, mose2"):
        crystal_named("mica")


@pytest.fixture
def wrong(run) -> Scan:
    """MoS2 at 0.02 nm a pixel, whose file says 0.019."""
    values = 100 + 30 * waves(MOS2, (128, 160), (0.02, 0.02))
    scan = Scan(values.astype(np.float32), (0.019, 0.019), Quantity.COUNTS)
    scanmend.write(scan, "scan.nc")
    return scan


def test_the_command_writes_another_file(run, wrong, tmp_path):
    before = (tmp_path / "scan.nc").read_bytes()
    status, out, err = run("calibrate", "scan.nc", "--lattice", "mos2")
    assert (status, err) == (0, "")
    assert "header 0.019, +5.3%" in out
    assert out.endswith("scan_calibrated.nc\n")
    made = scanmend.read("scan_calibrated.nc")
    assert made.pixel_nm == pytest.approx((0.02, 0.02), rel=1e-4)
    assert np.array_equal(made.values, wrong.values)
    assert made.history[-1].startswith("calibrated by the lattice of MoS2: 0.0")
    assert made.history[-1].endswith("nm/pixel, was 0.019")
    assert (tmp_path / "scan.nc").read_bytes() == before
    status, _, err = run("calibrate", "scan.nc", "--lattice", "mos2")
    assert (status, "scan_calibrated.nc exists already" in err) == (1, True)


def test_the_command_refuses_what_is_not_there(run, wrong, tmp_path):
    status, out, err = run("calibrate", "scan.nc", "--lattice", "srtio3")
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert "no lattice of SrTiO3 is seen" in err
    assert not list(tmp_path.glob("*calibrated*"))
    assert run("calibrate", "scan.nc")[0] == 2


def test_a_file_without_a_scale_gets_one(run, wrong, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "bare.tif", wrong.values)
    status, out, _ = run("calibrate", "bare.tif", "--lattice", "mos2")
    assert (status, out.count("no header")) == (0, 2)
    made = scanmend.read("bare_calibrated.nc")
    assert made.pixel_nm == pytest.approx((0.02, 0.02), rel=1e-4)
    assert made.history == ("read bare.tif image", made.history[-1])
    assert made.history[-1].endswith("unknown before")


def test_other_commands_calibrate_on_the_way(run, wrong):
    how = ("--recipe", "sbsr-paper", "--lattice", "mos2")
    assert run("degrade", "scan.nc", *how)[0] == 0
    made = scanmend.read("scan_degraded.nc")
    assert made.size_nm == pytest.approx((128 * 0.02, 160 * 0.02), rel=1e-4)


@pytest.mark.parametrize(
    ("file", "crystal", "expected_nm", "header_off"),
    [
        ("mos2_haadf.dm3", "mos2", 0.01339, 0.055),
        ("srtio3_haadf.ser", "srtio3", 0.00967, -0.035),
    ],
)
def test_real_headers_are_put_right(real, file, crystal, expected_nm, header_off):
    pytest.importorskip("rsciio")
    scan = scanmend.read(real / "stem" / file)
    scan = replace(scan, values=scan.values[256:768, 256:768])
    found = calibrate(scan.values, crystal_named(crystal), scan.pixel_nm)
    middle = math.sqrt(math.prod(found.pixel_nm))
    assert middle == pytest.approx(expected_nm, rel=0.01)
    assert middle / scan.pixel_nm[0] - 1 == pytest.approx(header_off, abs=0.01)
