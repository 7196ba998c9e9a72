"""The simulated STEM: known answers of probes, atoms, doses and lattices; then its files."""

from __future__ import annotations

import csv
import json
import math
import sys

import numpy as np
import pytest
from scipy.spatial import cKDTree

import scanmend
from scanmend.cli import main
from scanmend.errors import NoSuchChannel, RecipeError, SimulationError, WriteError
from scanmend.scan import Quantity
from scanmend.stem import haadf, record
from scanmend.stem.crystals import CRYSTALS, NOTHING
from scanmend.stem.experiment import is_stem, load, parse, presets
from scanmend.stem.microscope import Micrograph, Microscope, simulate
from scanmend.stem.parameters import Sample
from scanmend.stem.probe import Probe
from scanmend.stem.scattering import Optics, elements, focused, form, pair_nm2, wavelength_nm
from scanmend.stem.specimen import specimen

OPTICS = Optics(80, 30, 60, 200)
QUIET = {"beam": {"source_nm": 0.0}, "defects_per_nm2": {}}
BOX = (-3.0, -3.0), (3.0, 3.0)


def plan(crystal: str | None = "mos2", name: str = "plan", **tables: object):
    specimen_of = {"crystal": crystal} if crystal else {}
    return parse(name, {"microscope": "stem"} | specimen_of | QUIET | tables)


def one(crystal: str | None = "mos2", seed: int = 0, number: int = 0, **tables) -> Micrograph:
    return Microscope(plan(crystal, **tables)).scan(seed, number)


# The probe


def test_wavelengths_are_those_of_the_tables():
    # Reimer and Kohl, Transmission Electron Microscopy, table of electron wavelengths, pm.
    for voltage_kV, wavelength_pm in ((80, 4.1757), (100, 3.7014), (200, 2.5079), (300, 1.9687)):
        assert wavelength_nm(voltage_kV) * 1e3 == pytest.approx(wavelength_pm, rel=1e-4)


@pytest.mark.parametrize(("voltage_kV", "semiangle_mrad"), [(60, 35), (80, 30), (200, 20)])
def test_a_perfect_probe_is_an_airy_disc(voltage_kV, semiangle_mrad):
    probe = Probe(Optics(voltage_kV, semiangle_mrad, 60, 200))
    airy_nm = 0.5145 * wavelength_nm(voltage_kV) / (semiangle_mrad * 1e-3)
    assert probe.fwhm_nm == pytest.approx(airy_nm, rel=2e-3)
    x = np.linspace(0, 1, 40)
    exact = 2 / np.pi * (np.arccos(x) - x * np.sqrt(1 - x**2))
    assert np.allclose(probe.transfer()(x * probe.optics.cutoff_per_nm), exact, atol=5e-5)


def test_a_probe_out_of_focus_is_wider_and_has_its_source_in_it():
    sharp, source = Probe(OPTICS), Probe(OPTICS, source_nm=0.1)
    assert Probe(OPTICS, defocus_nm=8).fwhm_nm > 1.1 * sharp.fwhm_nm
    assert source.fwhm_nm == pytest.approx(math.hypot(sharp.fwhm_nm, 0.1), rel=0.03)
    # Of third order, the aberration is undone where Scherzer says, to within the aperture.
    wide = Optics(200, 10, 60, 200)
    blurred = Probe(wide, cs_um=1000)
    focused = Probe(wide, cs_um=1000, defocus_nm=-math.sqrt(1e6 * wavelength_nm(200)))
    assert focused.profile(np.zeros(1))[0] > 1.5 * blurred.profile(np.zeros(1))[0]


def test_what_no_probe_can_be():
    with pytest.raises(SimulationError, match="turn the phase 34.* times.*focus, or take"):
        Probe(OPTICS, defocus_nm=320)
    with pytest.raises(SimulationError, match="outside the beam.*got 70, 60 and 200 mrad"):
        Optics(80, 70, 60, 200)
    with pytest.raises(SimulationError, match="20 to 400 kV, got 1000 kV"):
        Optics(1000, 30, 60, 200)
    with pytest.raises(SimulationError, match="may reach to [0-9]+ mrad, got 400 mrad"):
        Optics(300, 30, 60, 400)


# Atoms


def test_the_power_of_z_comes_nearer_to_rutherfords_two_with_the_angle():
    numbers = np.array([6, 14, 24, 42, 60, 79])
    powers = []
    for inner in (40, 60, 100, 150):
        optics = Optics(200, 25, inner, 250)
        strength = [float(form(elements()[n - 1], optics)(0)) for n in numbers]
        powers.append(np.polyfit(np.log(numbers), np.log(strength), 1)[0])
    assert powers[0] > 1.5
    assert (np.diff(powers) > 0).all()
    assert powers[-1] < 2


def test_a_weak_atom_scatters_as_born_and_rutherford_say():
    # Hydrogen at wide angles: d sigma / d Omega = (2 gamma / a0)^2 / (2 pi q)^4 with q in 1/nm.
    optics = Optics(200, 0.5, 80, 200)
    gamma, bohr_nm = 1 + 200 / 510.999, 0.0529177
    q = np.array([80, 200]) * 1e-3 / optics.wavelength_nm
    # The solid angle is lambda^2 d2q; screening of hydrogen at these angles is below 1 %.
    exact = (2 * gamma / bohr_nm) ** 2 * optics.wavelength_nm**2 / (2 * np.pi) ** 4
    exact *= np.pi * (q[0] ** -2 - q[1] ** -2)
    assert float(form("H", optics)(0)) == pytest.approx(exact, rel=0.02)


def test_atoms_of_a_column_scatter_together_and_forget_each_other():
    alone = float(form("S", OPTICS)(0))
    assert pair_nm2("S", "S", 0, 0, 0, OPTICS) == pytest.approx(alone, rel=0.02)
    near, far = (abs(pair_nm2("S", "S", 0, z, 0.007, OPTICS)) for z in (0.1, haadf.COHERENT_NM))
    assert far < 0.4 * near
    assert abs(pair_nm2("S", "S", 0, 0, 0.02, OPTICS)) < 0.1 * alone
    # Seen from the other end, the same; but not with the two exchanged.
    mixed = pair_nm2("Mo", "S", 0, 0.2, 0.007, OPTICS)
    assert mixed == pytest.approx(pair_nm2("S", "Mo", 0, -0.2, 0.007, OPTICS), rel=1e-9)
    assert mixed > 1.2 * pair_nm2("S", "Mo", 0, 0.2, 0.007, OPTICS)


def test_an_atom_is_a_lens_for_the_next_the_stronger_the_heavier():
    by_element = [focused(e, 0, 0.3, 0.007, OPTICS) for e in ("C", "S", "Se", "W")]
    assert by_element == sorted(by_element)
    assert by_element[0] > 1
    assert focused("S", 0, 0.3, 0.05, OPTICS) < by_element[1], "less, if it is not where it was"
    assert focused("S", 0.1, 0.3, 0.007, OPTICS) == pytest.approx(1, abs=0.05), "and not beside it"


def test_an_image_is_the_sum_of_its_atoms_wherever_it_is_read(rng):
    places = np.column_stack([rng.uniform(0, 4, (40, 2)), np.zeros(40)])
    symbols = np.array(["Mo", "S"])[rng.integers(0, 2, 40)]
    probe = Probe(OPTICS, defocus_nm=3)
    made = haadf.image(places, symbols, probe, 0.007, (0, 0), (4, 4))
    x, y = rng.uniform(-1, 5, (2, 300))
    k = np.arange(-60, 61) / 4
    K = np.hypot(k, k[:, None])
    weights = haadf.strengths(places, symbols, probe, 0.007)
    held = OPTICS.cutoff_per_nm > K
    exact = np.zeros(x.size)
    for symbol in ("Mo", "S"):
        of = symbols == symbol
        one_y = np.exp(-2j * np.pi * np.outer(k, places[of, 1])) * weights[of]
        series = one_y @ np.exp(-2j * np.pi * np.outer(places[of, 0], k))
        series *= np.where(held, form(symbol, OPTICS)(K) * probe.transfer()(K), 0)
        series *= np.exp(-2 * (np.pi * 0.007 * K) ** 2)
        waves = np.exp(2j * np.pi * np.outer(y, k)), np.exp(2j * np.pi * np.outer(x, k))
        exact += np.einsum("pi,ij,pj->p", waves[0], series, waves[1]).real / 16
    assert np.abs(made.at(x, y) - exact).max() < 2e-4 * exact.max()


def test_an_unknown_element_is_named():
    with pytest.raises(SimulationError, match="no element 'Xx' is known; there are H to Cf"):
        form("Xx", OPTICS)


# Specimens


@pytest.mark.parametrize("name", CRYSTALS)
def test_crystals_have_their_density_and_their_defects(name):
    crystal, rng = CRYSTALS[name], np.random.default_rng(0)
    sample = Sample(thickness_nm=max(crystal.period_nm, 0.1))
    atoms = specimen(crystal, sample, {}, *BOX, rng)
    there = sum(element != NOTHING for element in crystal.elements)
    expected = there * 36 / abs(crystal.lattice.cell_nm2)
    assert len(atoms.elements) == pytest.approx(expected, rel=0.03)
    for kind, change in crystal.changes.items():
        rng = np.random.default_rng(0)
        changed = specimen(crystal, sample, {kind: 0.5}, *BOX, rng)
        assert {defect.kind for defect in changed.defects} == {kind}
        was = {crystal.elements[n] for n in change.sublattices}
        more = len(changed.elements) - len(atoms.elements)
        per_defect = (2 if change.column else 1) * (
            (change.becomes != NOTHING) - (was != {NOTHING})
        )
        assert more == per_defect * len(changed.defects)


def test_more_defects_than_sites_are_refused():
    with pytest.raises(SimulationError, match="x metal vacancy do not fit"):
        specimen(CRYSTALS["mos2"], Sample(), {"metal vacancy": 40}, *BOX, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("sample", "share"),
    [
        ({"shape": "edge"}, 0.5),
        ({"shape": "wire", "width_nm": 2.0}, 1 / 3),
        ({"shape": "hole", "width_nm": 3.0}, 1 - math.pi * 1.5**2 / 36),
    ],
)
def test_outlines_leave_vacuum(sample, share):
    whole = specimen(CRYSTALS["mos2"], Sample(), {}, *BOX, np.random.default_rng(2))
    part = specimen(CRYSTALS["mos2"], Sample(**sample), {}, *BOX, np.random.default_rng(2))
    assert len(part.elements) / len(whole.elements) == pytest.approx(share, abs=0.06)


def test_a_grain_boundary_joins_two_lattices_without_crowding():
    sample = Sample(boundary_deg=22)
    joined = specimen(CRYSTALS["graphene"], sample, {}, *BOX, np.random.default_rng(1))
    nearest = cKDTree(joined.positions_nm).query(joined.positions_nm, 2)[0][:, 1]
    assert nearest.min() > 0.8 * 0.142 - 1e-9
    whole = specimen(CRYSTALS["graphene"], Sample(), {}, *BOX, np.random.default_rng(1))
    assert 0.9 * len(whole.elements) < len(joined.elements) < len(whole.elements)


def test_a_tilt_takes_the_chalcogen_columns_apart():
    straight = specimen(CRYSTALS["mos2"], Sample(), {}, *BOX, np.random.default_rng(1))
    tilted = specimen(CRYSTALS["mos2"], Sample(tilt_x_deg=10), {}, *BOX, np.random.default_rng(1))
    moved = tilted.positions_nm - straight.positions_nm
    assert moved[:, 0] == pytest.approx(straight.positions_nm[:, 2] * math.tan(math.radians(10)))
    assert not moved[:, 1:].any()


# Scans


def test_counts_are_dose_times_area_times_what_is_scattered():
    frame = {"rows": 256, "columns": 280, "pixel_nm": 0.04}
    made = one(frame=frame, beam={"dose_per_A2": 1e5, "source_nm": 0.05})
    # What a probe loses at one place it has at another: the mean is strength x atoms / area.
    strengths = {e: float(form(e, OPTICS)(0)) for e in ("Mo", "S")}
    pair = pair_nm2("S", "S", 0, 0.313, 0.007, OPTICS)
    second = focused("S", 0, 0.313, 0.007, OPTICS)
    per_cell = strengths["Mo"] + (1 + second) * (strengths["S"] + pair)
    fraction = per_cell / abs(CRYSTALS["mos2"].lattice.cell_nm2)
    electrons = 1e5 * (made.pixel_nm * 10) ** 2 * fraction
    assert made.truth_counts.mean() == pytest.approx(electrons, rel=0.01)
    noise = made.counts - made.truth_counts
    assert noise.mean() == pytest.approx(0, abs=4 * math.sqrt(electrons / noise.size))
    assert noise.var() == pytest.approx(electrons, rel=0.03)


def test_gain_offset_and_readout_are_what_they_say():
    quiet = {"counts_per_electron": 20.0, "offset_counts": 300.0}
    tables = {"beam": {"dose_per_A2": 1000.0}, "frame": {"rows": 64, "columns": 64}}
    exact, read = (
        one(detector=quiet, **tables),
        one(detector=quiet | {"readout_counts": 5.0}, **tables),
    )
    assert set(np.unique((exact.counts - 300) % 20)) == {0}
    assert (read.counts - exact.counts).std() == pytest.approx(5, rel=0.05)


def test_afterglow_leaves_a_part_of_each_pixel_to_the_next():
    frame, dwell_us = {"rows": 60, "columns": 60}, 10.0
    sharp, slow = (
        one(frame=frame, detector={"afterglow_us": time}).counts.ravel() for time in (0.0, dwell_us)
    )
    left = math.exp(-1)
    assert np.allclose(slow[1:], left * slow[:-1] + (1 - left) * sharp[1:], atol=1e-5)
    assert slow.sum() == pytest.approx(sharp.sum(), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "spacing_nm"),
    [("mos2", 0.3160), ("mose2", 0.3288), ("wse2", 0.3282), ("graphene", 0.246)],
)
def test_the_lattice_constant_is_in_the_spectrum(name, spacing_nm):
    frame = {"rows": 400, "columns": 400, "pixel_nm": 0.02}
    made = one(name, frame=frame, beam={"dose_per_A2": 3e5}, sample={"angle_deg": 7.0})
    window = np.hanning(400)[:, None] * np.hanning(400)
    values = (made.counts - made.counts.mean()) * window
    power = np.abs(np.fft.fft2(values, (1600, 1600))) ** 2
    k = np.fft.fftfreq(1600, 0.02)
    first = 2 / math.sqrt(3) / spacing_nm
    ring = abs(np.hypot(k, k[:, None]) - first) < 0.25 * first
    row, column = np.unravel_index(np.argmax(power * ring), power.shape)
    assert 2 / math.sqrt(3) / math.hypot(k[row], k[column]) == pytest.approx(spacing_nm, rel=5e-3)
    assert power[row, column] > 100 * np.median(power[ring])


def test_atoms_are_where_the_truth_says():
    made = one(frame={"rows": 160, "columns": 160}, sample={"angle_deg": 20})
    row, column = np.rint(made.atoms_px[made.atoms.elements == "Mo"]).astype(int).T
    inner = (np.minimum(row, column) > 2) & (np.maximum(row, column) < 157)
    for r, c in zip(row[inner], column[inner], strict=True):
        around = made.truth_counts[r - 2 : r + 3, c - 2 : c + 3]
        assert abs(np.subtract(np.unravel_index(around.argmax(), (5, 5)), 2)).max() <= 1


def test_places_follow_the_beam_through_drift_and_flyback():
    motion = {"drift_x_nm_per_min": 10.0, "drift_y_nm_per_min": -6.0, "flyback_nm": 0.05}
    still, moved = (
        one(
            "wse2",
            frame={"rows": 160, "columns": 160, "dwell_us": 40.0},
            beam={"dose_per_A2": 1e7},
            motion=m,
        )
        for m in ({}, motion)
    )
    assert np.array_equal(still.truth_counts, moved.truth_counts)
    heavy = moved.atoms.elements == "W"
    places, was = moved.atoms_px[heavy], still.atoms_px[heavy]
    assert abs(places - was).max() > 3
    inner = ((places > 6) & (places < 153)).all(1)
    for row, column in places[inner]:
        r, c = round(row), round(column)
        around = moved.counts[r - 4 : r + 5, c - 4 : c + 5].astype(float)
        around = np.maximum(around - around.max() / 2, 0)
        off = np.indices((9, 9)).reshape(2, -1) @ around.ravel() / around.sum() - 4
        assert np.hypot(*(off + np.array((r - row, c - column)))) < 0.5


def test_a_scan_depends_on_its_number_and_seed_alone_and_motion_leaves_the_atoms():
    base = one(number=3, seed=5, sample={"contamination_nm": 0.4})
    again = one(number=3, seed=5, sample={"contamination_nm": 0.4})
    assert np.array_equal(base.counts, again.counts)
    assert not np.array_equal(base.counts, one(number=4, seed=5).counts)
    dirty = base.counts.mean() / base.truth_counts.mean()
    assert dirty > 1.05, "carbon adds counts, and is no part of the truth"


def test_vacuum_is_dark_and_has_no_negative_counts():
    made = one(sample={"shape": "wire", "width_nm": 1.5, "rough_nm": 0.0})
    x = (np.arange(256) - 127.5) * 0.02
    assert made.counts.min() >= 0
    assert made.truth_counts[abs(x) > 1.9].mean() < 0.02 * made.truth_counts[abs(x) < 0.5].mean()


def test_what_cannot_be_scanned_says_why():
    with pytest.raises(
        SimulationError, match=r"strays .* nm in a frame of 5.12 nm, and may by 1.01 nm"
    ):
        one(motion={"drift_x_nm_per_min": 1e5})
    with pytest.raises(SimulationError, match="4194304 pixels or fewer, got 4000 x 4000"):
        one(frame={"rows": 4000, "columns": 4000})
    with pytest.raises(SimulationError, match=r"atoms are in .* nm2 of SrTiO3, and no more than"):
        one("srtio3", frame={"rows": 2048, "columns": 2048}, sample={"thickness_nm": 200.0})
    with pytest.raises(NoSuchChannel, match="HAADF, forward; got 'Z'"):
        one(frame={"rows": 16, "columns": 16}).scan(channel="Z")


# Experiments


@pytest.mark.parametrize("name", presets())
def test_presets_load_run_and_come_back_from_their_table(name):
    experiment = load(name)
    assert is_stem(name)
    assert parse(name, experiment.table()) == experiment
    (scan,) = simulate(experiment)
    assert scan.scan().quantity is Quantity.COUNTS
    assert np.isfinite(scan.counts).all()


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"crystal": "mos3"}, "no crystal is called 'mos3'; there are mos2, mose2"),
        ({"structure": "a.cif"}, "needs one of crystal"),
        ({"beams": {}}, "unknown key 'beams'; there are microscope, crystal"),
        ({"beam": 3}, r"beam is a table, \[beam\], got 3"),
        ({"beam": {"dose": 3}}, r"\[beam\] has no parameter 'dose'; it has voltage_kV"),
        ({"beam": {"dose_per_A2": 0}}, r"\[beam\] dose_per_A2 must be positive, got 0"),
        ({"motion": {"line_nm": -1}}, r"\[motion\] line_nm must be 0 or more, got -1"),
        ({"sample": {"shape": "star"}}, r"\[sample\] shape is one of sheet, edge, wire, hole"),
        ({"defects_per_nm2": {"oxygen vacancy": 1}}, "MoS2 has no defect 'oxygen vacancy'"),
        ({"defects_per_nm2": {"antisite": -1}}, "antisite is a density, 0 or more, got -1"),
        ({"microscope": "tem"}, 'says microscope = "stem"'),
    ],
)
def test_what_means_nothing_is_refused(table, text):
    with pytest.raises(RecipeError, match=text):
        plan(**table)


def test_neither_file_nor_preset(tmp_path):
    with pytest.raises(RecipeError, match="neither a file nor one of graphene-haadf, mos2-haadf"):
        load("nothing")
    assert not is_stem("nothing")
    assert not is_stem("graphene")


# Files


def test_the_command_writes_counts_with_their_truth(tmp_path, capsys):
    (tmp_path / "small.toml").write_text(
        'microscope = "stem"\ncrystal = "mos2"\n[frame]\nrows = 40\ncolumns = 48\n'
        '[defects_per_nm2]\n"chalcogen vacancy" = 2.0\n'
    )
    out = tmp_path / "out"
    main(["simulate", str(tmp_path / "small.toml"), "-n", "2", "-o", str(out), "--png"])
    paths = capsys.readouterr().out.split()
    assert [p.rsplit("/")[-1] for p in paths] == ["small_00000.nc", "small_00001.nc"]
    scan, truth = scanmend.read(paths[1]), scanmend.read(out / "small_00001.truth.nc")
    (made,) = (m for m in simulate(tmp_path / "small.toml", 2) if m.number == 1)
    assert (scan.quantity, scan.pixel_nm) == (Quantity.COUNTS, (0.02, 0.02))
    assert np.array_equal(scan.values, made.counts)
    assert np.array_equal(truth.values, made.truth_counts)
    rows = list(csv.DictReader((out / "small_00001.atoms.csv").read_text().splitlines()))
    assert [r["element"] for r in rows] == made.atoms.elements.tolist()
    assert float(rows[5]["row"]) == pytest.approx(made.atoms_px[5, 0], abs=1e-4)
    about = json.loads((out / "small_00001.json").read_text())
    assert [d["kind"] for d in about["defects"]] == [d.kind for d in made.defects]
    assert (out / "small_00001.png").stat().st_size > 10_000


def test_shards_give_the_same_scans_whoever_makes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "SHARD", 2)
    small = plan(frame={"rows": 24, "columns": 32}, defects_per_nm2={"antisite": 1.0})
    store = record.to_shards(small, tmp_path / "one", 5, seed=4)
    record.to_shards(small, tmp_path / "two", 5, seed=4, workers=2)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    made, back = Microscope(small).scan(4, 3), record.micrograph(store, 3)
    assert np.array_equal(made.counts, back.counts)
    assert np.array_equal(made.truth_counts, back.truth_counts)
    assert np.array_equal(made.atoms_px, back.atoms_px)
    assert made.atoms.elements.tolist() == back.atoms.elements.tolist()
    assert (made.defects, dict(made.parameters)) == (back.defects, back.parameters)


def test_files_of_another_experiment_are_not_replaced(tmp_path):
    frame = {"rows": 16, "columns": 16}
    record.to_files(plan(frame=frame), tmp_path, 1)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(WriteError, match="is of another experiment or seed"):
        record.to_files(plan(frame=frame, beam={"dose_per_A2": 5.0}), tmp_path, 1)
    record.to_files(plan(frame=frame), tmp_path, 1)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


# Files of atoms


def test_any_crystal_that_ase_reads(tmp_path):
    build = pytest.importorskip("ase.build")
    atoms = build.mx2("MoS2", "2H", 3.16, 3.13, vacuum=5)
    atoms.pbc = True, True, False
    atoms.write(tmp_path / "cell.xyz")
    (tmp_path / "scan.toml").write_text(
        'microscope = "stem"\nstructure = "cell.xyz"\n[beam]\nsource_nm = 0.0\n'
    )
    ours, theirs = one("mos2"), Microscope(load(tmp_path / "scan.toml")).scan(0, 0)
    assert theirs.truth_counts.mean() == pytest.approx(ours.truth_counts.mean(), rel=0.01)
    assert sorted(set(theirs.atoms.elements)) == ["Mo", "S"]

    build.bulk("Cu", "fcc", a=3.6).write(tmp_path / "cell.xyz")  # its cell leans
    with pytest.raises(SimulationError, match=r"cell.xyz: the beam goes along z, and so must"):
        load(tmp_path / "scan.toml").specimen.lattice  # noqa: B018
    (tmp_path / "cell.xyz").write_text("nothing")
    with pytest.raises(SimulationError, match=r"ASE cannot read the atoms of cell.xyz"):
        load(tmp_path / "scan.toml").specimen  # noqa: B018


def test_a_particle_stands_alone_in_vacuum(tmp_path):
    build = pytest.importorskip("ase.build")
    build.molecule("C60").write(tmp_path / "ball.xyz")
    made = one(None, structure=str(tmp_path / "ball.xyz"), frame={"rows": 200, "columns": 200})
    assert len(made.atoms.elements) == 60
    far = np.hypot(*(np.indices((200, 200)) - 99.5)) * 0.02 > 1
    assert made.truth_counts[far].mean() < 0.05 * made.truth_counts[~far].mean()


def test_without_ase_its_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ase.io", None)
    with pytest.raises(SimulationError, match=r'read by ASE.*pip install "scanmend\[structures\]"'):
        one(None, structure=str(tmp_path / "cell.cif"))


@pytest.mark.parametrize("value", ["[" * 9000, "9" * 5000], ids=["too deep", "too long"])
def test_a_file_that_tomllib_gives_up_on_is_refused_in_one_line(tmp_path, capsys, value):
    path = tmp_path / "mine.toml"
    path.write_text(f'microscope = "stem"\nx = {value}')
    with pytest.raises(RecipeError, match=r"^cannot read the experiment .*mine\.toml: "):
        load(path)
    assert main(["simulate", str(path), "-o", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot read the experiment" in line
