"""Columns of atoms: known answers of Gaussians, pairs and lattices; then of the simulated STEM."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

import scanmend
from scanmend.atoms import columns, lattice, record, truth
from scanmend.atoms.columns import Columns, find
from scanmend.errors import ReadError, ScanError
from scanmend.resample import to_shape
from scanmend.scan import Quantity, Restoration, Scan
from scanmend.stem.experiment import parse
from scanmend.stem.microscope import Micrograph, Microscope

PIXEL_NM = 0.015
DENSITIES = {"chalcogen vacancy": 0.4, "metal vacancy": 0.1, "antisite": 0.1}  # per nm2


def one(crystal: str = "mos2", seed: int = 0, side: int = 256, **tables) -> Micrograph:
    """A scan of a crystal without defects, but for those given."""
    usual = {
        "frame": {"rows": side, "columns": side, "pixel_nm": PIXEL_NM},
        "beam": {"dose_per_A2": 30_000},
        "sample": {"angle_deg": 11.0},
        "defects_per_nm2": {},
    }
    merged = {k: usual.get(k, {}) | tables.get(k, {}) for k in {*usual, *tables}}
    return Microscope(parse("one", {"microscope": "stem", "crystal": crystal} | merged)).scan(
        seed, 0
    )


def true_nm(made: Micrograph) -> np.ndarray:
    """Columns, where they appear in the scan."""
    middle = (np.array(made.counts.shape) - 1) / 2
    return truth.merged((made.atoms_px - middle)[:, ::-1] * made.pixel_nm, made.atoms.elements)


def of_gaussians(
    places: np.ndarray, heights, shape=(90, 120), pixel_nm=(0.02, 0.015), width_nm=0.045
) -> Scan:
    """Gaussians on a background of 3, at (x, y) from the middle."""
    y, x = ((np.arange(n) - (n - 1) / 2) * p for n, p in zip(shape, pixel_nm, strict=True))
    values = np.full(shape, 3.0)
    for (px, py), height in zip(places, heights, strict=True):
        far = (x - px) ** 2 + (y[:, None] - py) ** 2
        values += height * np.exp(-far / (2 * width_nm**2))
    return Scan(values.astype(np.float32), pixel_nm, Quantity.COUNTS)


# The fit

PLACES = np.array([(-0.50, -0.43), (-0.34, -0.40), (0.2, 0.1), (0.31, 0.24), (-0.3, 0.5)])
HEIGHTS = (40.0, 25.0, 30.0, 30.0, 35.0)


def test_overlapping_gaussians_on_pixels_that_are_not_square_come_back():
    found = find(of_gaussians(PLACES, HEIGHTS), 0.09).columns
    distance, which = KDTree(found.places_nm).query(PLACES)
    assert len(found) == len(PLACES)
    assert distance.max() < 5e-5
    assert np.allclose(found.heights[which], HEIGHTS, rtol=2e-3)
    assert np.allclose(found.widths_nm, 0.045, rtol=2e-3)
    assert np.allclose(found.backgrounds, 3, atol=0.1)
    assert not found.cut.any()
    assert (np.diff(found.places_px[:, 0]) >= 0).all()
    middle = found.places_px[which] - (44.5, 59.5)
    assert np.allclose(middle * (0.02, 0.015), PLACES[:, ::-1], atol=5e-5)


def test_what_the_edge_or_a_gap_cuts_is_said_to_be():
    scan = of_gaussians(np.vstack([PLACES, (0.88, 0.3)]), (*HEIGHTS, 30.0))
    values = scan.values.copy()
    gap = slice(40, 52), slice(66, 75)  # beside the column at (0.2, 0.1)
    values[gap] = np.nan
    found = find(replace(scan, values=values), 0.09).columns
    distance, which = KDTree(found.places_nm).query(np.vstack([PLACES, (0.88, 0.3)]))
    assert distance.max() < 0.002
    assert found.cut[which].tolist() == [False, False, True, False, False, True]


def test_errors_are_as_large_as_they_are_said_to_be():
    made = one(side=400)
    found = find(made.scan()).columns
    distance, which = KDTree(true_nm(made)).query(found.places_nm)
    good = (distance < 0.07) & ~found.cut
    off = (found.places_nm - true_nm(made)[which])[good] / found.errors_nm[good, None]
    assert good.sum() > 500
    assert np.sqrt(np.mean(off**2)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("factor", [1, 2])
def test_errors_in_a_smoothed_scan_are_those_of_what_was_measured(factor):
    """Smoothing leaves too little noise to tell how far off columns are."""
    made = one(side=200, beam={"dose_per_A2": 15_000})
    scan = made.scan()
    smooth = gaussian_filter(scan.values.astype(np.float64), 2.0)
    restored = scan.after("restored by smoothing", to_shape(smooth, (factor * 200, factor * 200)))
    ratios = []
    for measured in (None, scan):
        found = find(restored, measured=measured).columns
        distance, which = KDTree(true_nm(made)).query(found.places_nm)
        good = (distance < 0.07) & ~found.cut
        assert good.sum() > 120
        off = (found.places_nm - true_nm(made)[which])[good] / found.errors_nm[good, None]
        ratios.append(np.sqrt(np.mean(off**2)))
    assert ratios[0] > 1.3
    assert 0.6 < ratios[1] < 1.05  # wider columns tell a little less of their places


def test_twice_the_electrons_are_half_the_variance():
    rms = []
    for dose in (20_000, 80_000):
        made = one(side=400, beam={"dose_per_A2": dose})
        agree = truth.compare(find(made.scan()).columns, true_nm(made), made.scan().size_nm)
        assert agree.missed == agree.invented == 0
        rms.append(agree.rms_pm)
    assert rms[0] / rms[1] == pytest.approx(2, rel=0.12)


def test_noise_is_known_from_the_image_itself(rng):
    mean = 20 + 15 * np.sin(np.arange(300) / 8)
    counts = 2.5 * rng.poisson(np.tile(mean, (300, 1))) + 3 * rng.standard_normal((300, 300))
    noise = columns.pixel_noise(counts)
    assert noise.gain == pytest.approx(2.5, rel=0.1)
    assert noise.read + noise.gain * 50 == pytest.approx(9 + 2.5 * 50, rel=0.05)


def test_the_image_without_noise_is_right_to_a_picometre():
    made = one()
    places = made.atoms.positions_nm[:, :2]  # where the beam does not stray
    known = truth.merged(places, made.atoms.elements)
    agree = truth.compare(find(made.truth()).columns, known, made.truth().size_nm)
    assert (agree.missed, agree.invented) == (0, 0)
    assert agree.rms_pm < 0.5


@pytest.mark.parametrize("mean", [0.05, 1.0, 30.0])
def test_noise_alone_has_hardly_an_atom_in_20_nm2(mean, rng):
    many = 0
    for _ in range(6):
        counts = rng.poisson(mean, (256, 256)).astype(np.float32)
        found = record.atoms(Scan(counts, (0.015, 0.015), Quantity.COUNTS))
        many += len(found.found.columns)
        assert found.grains == ()
    assert many <= 6 * (256 * 0.015) ** 2 / 20


def test_what_has_no_atoms_to_find():
    with pytest.raises(ScanError, match=r"need pixels of 0\.05 nm or less, got 0\.06 nm: upscale"):
        find(Scan(np.eye(9, dtype=np.float32), (0.02, 0.06)))
    for value in (7, np.nan):
        with pytest.raises(ScanError, match="no structure to find atoms in"):
            find(Scan(np.full((9, 9), value, np.float32), (0.02, 0.02)))


# The truth


def some(places) -> Columns:
    places = np.asarray(places, float).reshape(-1, 2)
    ones = np.ones(len(places))
    return Columns(places, places, *(ones,) * 5, ones == 0)


def test_pairs_are_the_best_of_all_and_not_the_first():
    known = np.array([(0.0, 0.0), (0.06, 0.0)])
    # The first is nearer to the second's partner, which has no other.
    agree = truth.compare(some([(0.035, 0), (0.09, 0)]), known, (4, 4))
    assert (agree.missed, agree.invented) == (0, 0)
    assert agree.rms_pm == pytest.approx(np.sqrt((35**2 + 30**2) / 2))
    assert agree.shift_pm == pytest.approx((32.5, 0))


def test_missed_invented_and_in_vacuum_are_counted_but_at_the_edge():
    known = np.array([(0.0, 0.0), (0.3, 0.0), (0.96, 0.0)])
    agree = truth.compare(some([(0.002, 0), (0.15, 0.1), (-0.6, 0.6), (-0.97, 0)]), known, (2, 2))
    assert (agree.true, agree.found, agree.missed, agree.invented, agree.in_vacuum) == (
        2,
        3,
        1,
        2,
        1,
    )
    assert 1.8**2 - np.pi * 0.3**2 * 3 < agree.vacuum_nm2 < 1.8**2 - np.pi * 0.3**2
    nothing = truth.compare(some([]), np.empty((0, 2)), (2, 2))
    assert (nothing.true, nothing.found, nothing.rms_pm) == (0, 0, None)
    assert nothing.vacuum_nm2 == pytest.approx(1.8**2)


def test_atoms_above_each_other_are_one_column_that_lies_where_it_shines():
    places = np.array([(0, 0), (0.03, 0), (0.2, 0), (0.2, 0)])
    merged = truth.merged(places, np.array(["Mo", "S", "S", "S"]))
    share = 16**1.64 / (16**1.64 + 42**1.64)
    assert np.allclose(sorted(merged.tolist()), [(0.03 * share, 0), (0.2, 0)])


# Lattices


@pytest.mark.parametrize("dose", [6_000, 100_000])
def test_molybdenum_and_sulphur_are_told_apart(dose):
    made = one(side=300, beam={"dose_per_A2": dose})
    all_of = record.atoms(made.scan())
    (grain,) = all_of.grains
    assert grain.lengths_nm == pytest.approx((0.316, 0.316), rel=2e-3)
    assert grain.angle_deg == pytest.approx(60, abs=0.2)
    middle = (np.array(made.counts.shape) - 1) / 2
    atoms_nm = (made.atoms_px - middle)[:, ::-1] * made.pixel_nm
    _, nearest = KDTree(atoms_nm).query(all_of.found.columns.places_nm)
    wrong = [
        made.atoms.elements[nearest[index]] != ("Mo", "S")[kind]
        for (*_, kind), index in grain.sites.items()
        if not all_of.found.columns.cut[index]
    ]
    assert len(wrong) > 300
    assert not any(wrong)


def test_strontium_and_titanium_are_told_apart_by_their_light_alone():
    sample = {"thickness_nm": 1.2}
    beam = {"voltage_kV": 200, "semiangle_mrad": 22}
    (grain,) = record.atoms(one("srtio3", sample=sample, beam=beam).scan()).grains
    assert grain.lengths_nm == pytest.approx((0.3905, 0.3905), rel=2e-3)
    assert len(grain.heights) == 2
    assert grain.heights[0] > 1.8 * grain.heights[1]


def test_defects_are_found_each_where_it_is():
    made = one(side=400, beam={"dose_per_A2": 100_000}, defects_per_nm2=DENSITIES)
    judged = record.atoms(made.scan()).sites
    kept = [d for d in made.defects if all(25 < p < 375 for p in (d.row, d.column))]
    names = {"chalcogen vacancy": "weak", "metal vacancy": "missing", "antisite": "strong"}
    tree = KDTree([(odd.row, odd.column) for odd in judged.odd])
    for defect in kept:
        far, at = tree.query((defect.row, defect.column))
        assert far * PIXEL_NM < 0.06, f"{defect} was not found"
        assert judged.odd[int(at)].kind == names[defect.kind]
    there = KDTree([(d.row, d.column) for d in made.defects])
    for odd in judged.odd:
        assert there.query((odd.row, odd.column))[0] * PIXEL_NM < 0.06, f"{odd} is none"
    assert len(kept) > 10


@pytest.mark.parametrize("seed", [3, 9])
def test_two_sublattices_are_one_grain_where_one_is_followed_first(seed):
    """Without noise its columns are nearer to where its own neighbours say that they are."""
    made = one(seed=seed, side=400, defects_per_nm2=DENSITIES)
    (grain,) = record.atoms(made.truth()).grains
    assert len(grain.basis_nm) == 2


@pytest.mark.parametrize("angle_deg", [5.0, 21.0])
def test_a_grain_boundary_is_two_grains_and_no_field_of_vacancies(angle_deg):
    sample = {"boundary_deg": angle_deg, "direction_deg": 30.0}
    found = record.atoms(one(side=400, sample=sample).scan())
    assert len(found.grains) == 2
    turns = [np.degrees(np.arctan2(*g.vectors_nm[0][::-1])) for g in found.grains]
    assert abs((turns[1] - turns[0] + 30) % 60 - 30) == pytest.approx(angle_deg, abs=0.3)
    assert found.sites.judged > 400
    assert len(found.sites.odd) <= 2


def test_beyond_an_edge_there_are_no_atoms_and_no_vacancies():
    made = one(side=400, sample={"shape": "wire", "width_nm": 2.0})
    found = record.atoms(made.scan())
    agree = truth.compare(found.found.columns, true_nm(made), made.scan().size_nm)
    assert agree.vacuum_nm2 > 15
    assert (agree.missed, agree.invented, found.sites.odd) == (0, 0, ())


def test_columns_without_order_have_no_lattice(rng):
    places = rng.uniform(-3, 3, (4000, 2))
    apart = places[
        [i for i, p in enumerate(places) if not (np.hypot(*(places[:i] - p).T) < 0.2).any()]
    ]
    for grain in lattice.grains(some(apart)):
        assert len(grain.sites) < 0.1 * len(apart)


# Files


@pytest.fixture
def taken(tmp_path, run):
    """A small simulated scan of MoS2 with its atoms."""
    (tmp_path / "few.toml").write_text(
        'microscope = "stem"\ncrystal = "mos2"\n[frame]\nrows = 128\ncolumns = 128\n'
        "pixel_nm = 0.02\n[beam]\ndose_per_A2 = 50000\n[defects_per_nm2]\n",
        encoding="utf-8",
    )
    assert run("simulate", "few.toml")[0] == 0
    return "few_00000"


def test_the_command_writes_tables_and_a_figure(run, taken, tmp_path):
    status, out, err = run(
        "atoms", f"{taken}.nc", "--truth", f"{taken}.atoms.csv", "--png", "--json", "-o", "there"
    )
    assert status == 0, err
    (told,) = json.loads(out)
    assert told["truth"]["missed"] == told["truth"]["invented"] == 0
    assert told["truth"]["rms_pm"] < 8
    with (tmp_path / "there" / f"{taken}_atoms.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == record.COLUMNS
    assert len(table) == told["columns"] > 100
    assert {line["sublattice"] for line in table if line["cut"] == "0"} == {"A", "B"}
    row = float(table[60]["y_nm"]) / 0.02 + 63.5
    assert float(table[60]["row"]) == pytest.approx(row, abs=1e-2)
    sites = (tmp_path / "there" / f"{taken}_vacancies.csv").read_text().splitlines()
    assert sites == [",".join(record.SITES)]
    assert (tmp_path / "there" / f"{taken}_atoms.png").stat().st_size > 10_000


def test_the_command_tells_people_and_replaces_nothing(run, taken):
    status, out, _ = run("atoms", f"{taken}.nc", "--truth", f"{taken}.atoms.csv")
    assert status == 0
    assert " 0 missed, " in out and " A, " in out
    status, _, err = run("atoms", f"{taken}.nc")
    assert status == 1
    assert "few_00000_atoms.csv exists already: choose another -o, or --overwrite" in err
    assert run("atoms", f"{taken}.nc", "--overwrite")[0] == 0
    status, _, err = run("atoms", f"{taken}.nc", f"{taken}.truth.nc", "--truth", "x.csv")
    assert status == 2 and "--truth is that of one scan, got 2" in err


def test_the_command_takes_the_noise_of_what_was_measured(run, taken):
    scan = scanmend.read(f"{taken}.nc")
    mean = scan.after("restored by hand", gaussian_filter(scan.values, 2.0))
    result = Restoration(scan, mean, scan.after("spread", np.ones_like(scan.values)))
    told = {}
    for suffix in ("nc", "tif"):
        scanmend.write(result, f"r.{suffix}")
        status, out, err = run("atoms", f"r.{suffix}", "--json", "-o", suffix)
        assert status == 0
        (told[suffix],) = json.loads(out)
        assert ("errors are too small" in err) is (suffix == "tif")
    assert told["nc"]["columns"] == told["tif"]["columns"]
    assert told["nc"]["error_pm"] > 1.3 * told["tif"]["error_pm"]
    assert told["nc"]["noise_of"] == "measured"


def test_an_upscaled_scan_is_compared_with_the_truth_of_the_coarse_one(taken):
    coarse = scanmend.read(f"{taken}.nc")
    fine = coarse.after("finer", np.kron(coarse.values, np.ones((2, 2))))
    places = truth.read(f"{taken}.atoms.csv", coarse)
    np.testing.assert_allclose(truth.read(f"{taken}.atoms.csv", fine), places, atol=1e-5)


def test_a_truth_that_is_none(run, taken, tmp_path):
    scan = scanmend.read(f"{taken}.nc")
    (tmp_path / "other.csv").write_text("element,x\nMo,1\n", encoding="utf-8")
    with pytest.raises(ReadError, match=r"other.csv has no columns element, x_nm.*\.atoms\.csv"):
        truth.read("other.csv", scan)
    with pytest.raises(ReadError, match="none.csv cannot be read: no such file"):
        truth.read("none.csv", scan)
    (tmp_path / "odd.csv").write_text(
        "element,x_nm,y_nm,z_nm,row,column\nXx,0,0,0,5,5\n", encoding="utf-8"
    )
    with pytest.raises(ReadError, match="'Xx' is no element"):
        truth.read("odd.csv", scan)
    with pytest.raises(ScanError, match="it is of another one"):
        truth.read(f"{taken}.atoms.csv", scan.crop(slice(0, 40), slice(0, 40)))
