"""Defects: known answers of peaks, of pairs and of audits; and a model whose maps are known."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace

import h5netcdf
import numpy as np
import pytest
from defect_models import finder
from scipy.spatial import KDTree

import scanmend
from scanmend import models
from scanmend.defects import audit, classical, marks, record, statistics
from scanmend.defects.finder import found, model_for
from scanmend.defects.maps import Maps, maps
from scanmend.defects.marks import Marks
from scanmend.defects.peaks import Defects, Found, find
from scanmend.errors import ModelError, ReadError, ScanError
from scanmend.scan import Scan
from scanmend.stm.experiment import parse
from scanmend.stm.record import to_files

PITCH = (0.05, 0.04)


def bumps(shape, pixel_nm, places_nm, heights, width_nm) -> np.ndarray:
    """The highest of Gaussians at (x, y) from the middle."""
    y, x = ((np.arange(n) - (n - 1) / 2) * p for n, p in zip(shape, pixel_nm, strict=True))
    values = np.zeros(shape)
    for (px, py), height in zip(places_nm, heights, strict=True):
        far = (x - px) ** 2 + (y[:, None] - py) ** 2
        values = np.maximum(values, height * np.exp(-far / (2 * width_nm**2)))
    return values


def mapped(planes, pixel_nm=PITCH, scan: Scan | None = None, **more) -> Maps:
    """Planes by their class, as maps of a scan of the same pixels."""
    values = np.stack(list(planes.values())).astype(np.float32)
    scan = scan or Scan(values[0], pixel_nm)
    return Maps(scan, values, tuple(planes), **{"sigma_nm": 0.12, "threshold": 0.5} | more)


def surface(rng, side=128, pixel_nm=0.1, noise=0.01) -> tuple[Scan, np.ndarray]:
    """Nine bumps, the last three of them holes, with noise and a tilt."""
    places = (np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 2) * 3.7) + (0.03, 0.26)
    heights = [0.3] * 6 + [-0.3] * 3
    shape, pitch = (side, side), (pixel_nm, pixel_nm)
    values = sum(
        np.sign(h) * bumps(shape, pitch, [p], [abs(h)], 0.2)
        for p, h in zip(places, heights, strict=True)
    )
    values = values + noise * rng.standard_normal(shape) + 0.002 * np.arange(side)
    return Scan(values.astype(np.float32), pitch), places


# Peaks


@pytest.mark.parametrize("pixel_nm", [(0.05, 0.04), (0.1, 0.1), (0.02, 0.03)])
def test_places_are_right_to_a_twentieth_of_a_pixel(pixel_nm, rng):
    places = np.array([(x, y) for x in (-0.8, 0.0, 0.8) for y in (-0.8, 0.0, 0.8)])
    places += rng.uniform(-0.05, 0.05, places.shape)
    shape = [round(2.4 / p) for p in pixel_nm]
    scores = np.linspace(0.6, 1.0, 9)
    plane = bumps(shape, pixel_nm, places, scores, 0.12)
    defects = find(mapped({"vacancy": plane}, pixel_nm)).defects
    assert len(defects) == 9
    off, which = KDTree(defects.places_nm).query(places)
    assert off.max() < 0.05 * min(pixel_nm)
    assert np.allclose(defects.scores[which], scores, atol=0.12)
    assert (np.diff(defects.scores) <= 0).all()
    px = defects.places_nm[:, ::-1] / pixel_nm + (np.array(shape) - 1) / 2
    assert np.allclose(px, defects.places_px)


def test_a_place_has_the_class_that_is_highest_there():
    shape = (60, 60)
    planes = {
        "vacancy": bumps(shape, PITCH, [(-0.5, 0), (0.5, 0.3)], [0.9, 0.6], 0.12),
        "dopant": bumps(shape, PITCH, [(-0.45, 0), (0.5, 0.3)], [0.7, 0.8], 0.12),
    }
    defects = find(mapped(planes)).defects
    assert defects.kinds == ("vacancy", "dopant")
    between = (-0.5 * 0.9 - 0.45 * 0.7) / 1.6  # one defect that looks like either
    assert np.allclose(defects.places_nm, [(between, 0), (0.5, 0.3)], atol=0.003)
    assert np.allclose(defects.scores, (1.55, 1.4), atol=0.05)


def test_what_is_one_class_or_another_is_surely_a_defect():
    plane = bumps((60, 60), PITCH, [(0, 0)], [0.4], 0.12)
    planes = {"vacancy": plane, "dopant": 0.9 * plane}
    (score,) = find(mapped(planes)).defects.scores
    assert score == pytest.approx(1.9 * plane.max())
    assert not len(find(mapped(planes, exclusive=False)).defects)


def test_two_equal_pixels_are_one_defect():
    plane = bumps((40, 40), (0.05, 0.05), [(0, 0)], [1], 0.12)  # between four pixels
    assert len(find(mapped({"vacancy": plane}, (0.05, 0.05))).defects) == 1


def test_what_is_near_an_edge_or_a_gap_is_said_to_be():
    shape, places = (100, 100), [(-1.0, 0.0), (-1.9, 1.0), (1.0, -2.3), (1.0, 1.0)]
    plane = bumps(shape, PITCH, places, [1, 0.9, 0.8, 0.7], 0.12)
    values = plane.astype(np.float32)
    values[50:54, 30:32] = np.nan  # 0.2 nm to the right of the first
    scan = Scan(values, PITCH)
    defects = find(mapped({"vacancy": plane}, scan=scan)).defects
    assert defects.edge.tolist() == [True, True, True, False]
    assert audit.inner_nm2(Scan(plane.astype(np.float32), PITCH)) == pytest.approx(4.4 * 3.4)
    assert audit.inner_nm2(scan) < 4.4 * 3.4 - 0.3
    with pytest.raises(ScanError, match=r"within 0\.3 nm of an edge: nothing counts"):
        audit.inner_nm2(Scan(plane[:10].astype(np.float32), PITCH))


def test_nothing_below_the_threshold_or_too_near():
    plane = bumps((60, 60), PITCH, [(-0.5, 0), (0.5, 0), (0.8, 0)], [0.9, 0.8, 0.7], 0.12)
    assert len(find(mapped({"vacancy": plane})).defects) == 3
    assert len(find(mapped({"vacancy": plane}), threshold=0.75).defects) == 2
    assert len(find(mapped({"vacancy": plane}), apart_nm=0.4).defects) == 2
    assert len(find(mapped({"vacancy": 0 * plane})).defects) == 0
    with pytest.raises(ScanError, match="the threshold of defects must be positive, got nan"):
        find(mapped({"vacancy": plane}), threshold=math.nan)


# Maps of a model


def test_a_model_finds_what_it_knows(tmp_path, rng):
    scan, places = surface(rng)
    here = found(scan, "wse2", finder(tmp_path / "tiny.onnx"))
    off, which = KDTree(here.defects.places_nm).query(places)
    assert here.counts() == {"bright": 6, "dark": 3}
    assert off.max() < 0.03
    assert [here.defects.kinds[i] for i in which] == ["bright"] * 6 + ["dark"] * 3
    assert here.maps.made["model"] == "defects-tiny"


def test_other_pixels_are_resampled_for_it(tmp_path, rng):
    scan, places = surface(rng, side=256, pixel_nm=0.05)
    here = found(scan, source=finder(tmp_path / "tiny.onnx"))
    assert here.maps.values.shape == (2, 160, 160)  # at 0.08 nm
    off, which = KDTree(here.defects.places_nm).query(places)
    assert len(here.defects) == 9
    assert off.max() < 0.03
    px = here.defects.places_px[which] - (127.5, 127.5)
    assert np.abs(px * 0.05 - places[:, ::-1]).max() < 0.03


def test_nothing_is_found_in_a_gap(tmp_path, rng):
    scan, _ = surface(rng)
    values = scan.values.copy()
    values[40:60] = np.nan
    here = found(replace(scan, values=values), source=finder(tmp_path / "tiny.onnx"))
    row = here.defects.places_px[:, 0]
    assert not ((row > 40) & (row < 59)).any()
    assert len(here.defects) >= 6


def test_tiles_show_no_seam(tmp_path, rng, monkeypatch):
    scan, _ = surface(rng)
    model = models.load(finder(tmp_path / "tiny.onnx"))
    once = maps(scan, model)
    monkeypatch.setattr("scanmend.restoration.tiles.whole.__defaults__", (lambda share: None, 64))
    assert np.allclose(maps(scan, model).values, once.values, atol=1e-5)


def test_models_that_do_not_fit_say_so(tmp_path, rng):
    scan, _ = surface(rng)
    path = finder(tmp_path / "tiny.onnx")
    with pytest.raises(ModelError, match="si001h restores scans and finds no defects: name a mat"):
        found(scan, source="si001h")
    with pytest.raises(
        ModelError, match="defects-tiny finds defects and restores nothing: use `sc"
    ):
        scanmend.restore(scan, path)
    with pytest.raises(ModelError, match="defects-tiny finds defects and restores nothing"):
        scanmend.upscale(scan, 2, path)
    with pytest.raises(ModelError, match=r"trained on WSe2, MoS2, not on 'graphite'$"):
        model_for("graphite", path)
    with pytest.raises(ModelError, match="no model was trained on 'NbSe2': known are "):
        model_for("NbSe2")
    with pytest.raises(ModelError, match="which material does the scan show"):
        model_for()
    with pytest.raises(ModelError, match=r"pixels of 2 nm are far outside the 0\.08-0\.2 nm"):
        found(replace(scan, pixel_nm=(2.0, 2.0)), source=path)
    with pytest.raises(ModelError, match=r"looks 16 pixels far, and this scan has 128x10 of the 0"):
        found(scan.crop(slice(0, 10), slice(None)), source=path)
    with pytest.raises(ModelError, match="the scan is in nA, and defects-tiny was trained on nm"):
        found(replace(scan, quantity=scanmend.Quantity.CURRENT), source=path)


# Classical finders

OF_HEIGHTS = pytest.mark.parametrize("method", sorted({*classical.METHODS} - {classical.OF_COUNTS}))


@OF_HEIGHTS
def test_classical_finders_see_bumps_and_holes(method, rng):
    scan, places = surface(rng)
    here = found(scan, source=method)
    good = here.defects.scores > 1.5 * here.threshold if method != "template-matching" else ...
    places_found = here.defects.places_nm[good]
    assert KDTree(places_found).query(places)[0].max() < 0.06


def test_the_lattice_goes_and_a_vacancy_stays(rng):
    side, pixel = 200, 0.05
    y, x = np.mgrid[:side, :side] * pixel
    lattice = sum(
        np.cos(2 * np.pi / 0.316 * (x * math.cos(a) + y * math.sin(a)))
        for a in np.radians((17, 77, 137))
    )
    hole = -2 * np.exp(-((x - 4.2) ** 2 + (y - 6.1) ** 2) / (2 * 0.15**2))
    noise = 0.05 * rng.standard_normal((side, side))
    scan = Scan((lattice + hole + noise).astype(np.float32), (pixel, pixel))
    rest = classical.without_lattice(scan).values
    inner = rest[20:-20, 20:-20]
    far = np.hypot(x - 4.2, y - 6.1)[20:-20, 20:-20] > 1
    assert lattice.std() > 1.2
    assert inner[far].std() < 0.12
    assert rest[122, 84] == pytest.approx(-2, abs=0.5)
    here = found(scan, source="difference-of-gaussians").defects
    assert here.kinds[0] == "dark"
    assert np.allclose(here.places_nm[0], (4.2 - 4.975, 6.1 - 4.975), atol=0.04)


def test_templates_know_the_classes_that_they_were_shown(rng):
    shape, pitch = (160, 160), (0.1, 0.1)
    grid = np.linspace(-6, 6, 6)
    centres = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    centres += rng.uniform(-0.6, 0.6, (36, 2))  # or else they would be a lattice
    kinds = ["round" if i % 2 else "pair" for i in range(36)]

    def made() -> Scan:
        halves = [0 if kind == "round" else 0.3 for kind in kinds]
        aside = np.array([(half, 0) for half in halves])
        places = np.vstack([centres - aside, centres + aside])
        values = bumps(shape, pitch, places, [1.0] * len(places), 0.18)
        return Scan((values + 0.05 * rng.standard_normal(shape)).astype(np.float32), pitch)

    templates = classical.learn([(made(), Marks(centres, tuple(kinds)))], 0.1)
    here = find(classical.match(made(), templates), 0.7, 0.5).defects
    off, which = KDTree(here.places_nm).query(centres)
    assert off.max() < 0.05
    assert [here.kinds[i] for i in which] == kinds
    with pytest.raises(ScanError, match="templates need marked defects, got none"):
        classical.learn([], 0.1)


@OF_HEIGHTS
def test_a_flat_scan_has_no_structure(method):
    with pytest.raises(ScanError, match="no structure to find defects in"):
        found(Scan(np.zeros((64, 64), np.float32), (0.1, 0.1)), source=method)


# Statistics


def test_poisson_intervals_are_those_of_the_tables():
    # Garwood (1936), 95 %, as in any table of the Poisson distribution.
    assert statistics.poisson_interval(0) == pytest.approx((0, 3.689), abs=1e-3)
    assert statistics.poisson_interval(1) == pytest.approx((0.0253, 5.572), abs=1e-3)
    assert statistics.poisson_interval(10) == pytest.approx((4.795, 18.39), abs=5e-3)
    rate = statistics.Rate.of(10, 50.0)
    assert (rate.per_nm2, rate.low_per_nm2) == pytest.approx((0.2, 0.0959), abs=1e-4)
    assert rate.per_100_nm2()["per_100_nm2"] == 20.0


def holes(full: bool) -> Scan:
    values = np.zeros((100, 150), np.float32)
    if not full:
        values[:40, :60] = values[70:, 100:140] = np.nan
    return Scan(values, (0.2, 0.2))


@pytest.mark.parametrize("full", [True, False])
def test_random_places_correlate_with_nothing(full, rng):
    scan = holes(full)
    seen = statistics._Seen(scan)
    edges = np.linspace(0, 5, 21)
    g = [statistics._correlated(seen.scattered(300, rng), edges, seen) for _ in range(150)]
    error = np.std(g, axis=0, ddof=1) / np.sqrt(150)
    assert np.median(error) < 0.007
    assert (abs(np.mean(g, axis=0) - 1) < 4 * error).all()
    outside = 0
    for _ in range(8):
        of = statistics.pair_correlation(seen.scattered(300, rng), scan, rng)
        outside += int(((of.g < of.low) | (of.g > of.high)).sum())
    assert of.r_nm[-1] == pytest.approx(5, abs=0.2)
    assert outside / (8 * len(of.g)) < 0.15


def test_pairs_gather_at_their_distance_and_a_lattice_keeps_apart(rng):
    scan = holes(full=True)
    one = statistics._Seen(scan).scattered(100, rng) * 0.9
    angle = rng.uniform(0, 2 * np.pi, 100)
    both = np.vstack([one, one + 1.1 * np.stack([np.cos(angle), np.sin(angle)], 1)])
    of = statistics.pair_correlation(both, scan, rng)
    at = np.argmax(of.g)
    assert of.r_nm[at] == pytest.approx(1.1, abs=0.15)
    assert of.g[at] > 2 * of.high[at]
    grid = np.stack(np.meshgrid(np.arange(-14, 15, 2.0), np.arange(-9, 10, 2.0)), -1).reshape(-1, 2)
    apart = statistics.pair_correlation(grid, scan, rng)
    assert (apart.g[apart.r_nm < 1.8] == 0).all()
    with pytest.raises(ScanError, match="pairs need 2 defects, got 1"):
        statistics.pair_correlation(grid[:1], scan, rng)


# Audits

FLAT = Scan(np.zeros((100, 100), np.float32), (0.1, 0.1))


def with_defects(places, kinds, scores=None, scan=FLAT) -> Found:
    """Defects whose maps are Gaussians at them."""
    places = np.array(places, float).reshape(-1, 2)
    scores = np.array(scores if scores is not None else [1.0] * len(kinds))
    planes = {
        name: bumps(
            scan.values.shape,
            scan.pixel_nm,
            [p for p, kind in zip(places, kinds, strict=True) if kind == name],
            [s for s, kind in zip(scores, kinds, strict=True) if kind == name],
            0.12,
        )
        for name in ("vacancy", "dopant")
    }
    px = places[:, ::-1] / scan.pixel_nm + 49.5
    seen = scores >= 0.5
    kinds = tuple(k for k, s in zip(kinds, seen, strict=True) if s)
    listed = Defects(places[seen], px[seen], kinds, scores[seen], np.zeros(seen.sum(), bool))
    return Found(mapped(planes, scan=scan), listed, 0.5)


def test_every_fate_of_a_defect():
    before = with_defects(
        [(-3, -3), (0, 0), (3, 3), (-3, 3), (2, -3), (4.9, 0)],
        ["vacancy", "vacancy", "dopant", "dopant", "vacancy", "vacancy"],
        [0.9, 0.8, 0.7, 0.95, 0.4, 0.6],
    )
    after = with_defects(
        [(-3.02, -3), (0.2, 0), (3, 3.05), (2, -3), (0, -4)],
        ["vacancy", "vacancy", "vacancy", "vacancy", "dopant"],
        [1.0, 0.9, 0.8, 0.7, 0.6],
    )
    judged = audit.against(after, before)
    told = [
        (f.fate, f.kind, f.kind_before, f.score, f.score_before, f.counted) for f in judged.features
    ]
    assert told == [
        ("kept", "vacancy", "vacancy", 1.0, 0.9, True),
        ("moved", "vacancy", "vacancy", 0.9, 0.8, True),
        ("changed", "vacancy", "dopant", 0.8, 0.7, True),
        # Measured, but too faint there to be found.
        ("added", "vacancy", "", 0.7, pytest.approx(0.4, abs=0.1), True),
        ("added", "dopant", "", 0.6, pytest.approx(0, abs=1e-3), True),
        ("removed", "dopant", "dopant", pytest.approx(0, abs=1e-3), 0.95, True),
        # Its partner may lie beyond the edge.
        ("removed", "vacancy", "vacancy", pytest.approx(0, abs=1e-3), 0.6, False),
    ]
    assert [f.distance_nm for f in judged.features[:3]] == pytest.approx([0.02, 0.2, 0.05])
    summary = judged.summary()
    assert summary["features"] == {"kept": 1, "moved": 1, "changed": 1, "added": 2, "removed": 1}
    assert summary["added"]["per_100_nm2"] == pytest.approx(100 * 2 / 9.4**2, rel=1e-3)
    low, high = (100 * bound / 9.4**2 for bound in statistics.poisson_interval(2))
    assert summary["added"]["low_per_100_nm2"] == pytest.approx(low, rel=1e-3)
    assert summary["added"]["high_per_100_nm2"] == pytest.approx(high, rel=1e-3)
    assert (summary["precision"], summary["recall"]) == (2 / 5, 2 / 4)
    assert summary["f1"] == pytest.approx(4 / 9, abs=1e-4)


def test_pairing_is_the_best_of_all_and_one_to_one():
    # The nearest of the first is the partner of the second: greedy pairing would lose one.
    before = with_defects([(0, 0), (0.25, 0)], ["vacancy"] * 2)
    after = with_defects([(0.2, 0), (-0.2, 0)], ["vacancy"] * 2)
    judged = audit.against(after, before)
    assert sorted(f.distance_nm for f in judged.features) == pytest.approx([0.05, 0.2])
    # Of two that are as near, the one of its own class.
    before = with_defects([(0, 0)], ["dopant"])
    after = with_defects([(0.1, 0), (-0.1, 0)], ["vacancy", "dopant"])
    assert [f.fate for f in audit.against(after, before).features] == ["kept", "added"]


def test_nothing_changed_is_all_kept(rng):
    here = with_defects(rng.uniform(-4, 4, (30, 2)).round(), ["vacancy"] * 30)
    assert {f.fate for f in audit.against(here, here).features} == {"kept"}


def test_beside_the_truth_things_are_hallucinated_or_omitted():
    truth = Marks(
        np.array([(0, 0), (3, 3), (1, 1.0), (-2, 2.0)]), ("vacancy", "dopant", "step", "step")
    )
    here = with_defects([(0, 0), (-3, -3), (1, 1.05)], ["vacancy", "dopant", "dopant"])
    judged = audit.against_truth(here, truth)
    assert [(f.fate, f.kind) for f in judged.features] == [
        ("kept", "vacancy"),
        ("hallucinated", "dopant"),  # and not what lies on a step, of which it knows nothing
        ("omitted", "dopant"),
    ]
    assert judged.summary()["omitted"]["count"] == 1
    other = replace(truth, kinds=("bump",) * 4)
    by_place = audit.against_truth(here, other).summary()
    assert by_place["features"] == {
        "kept": 2,
        "moved": 0,
        "changed": 0,
        "hallucinated": 1,
        "omitted": 2,
    }
    assert by_place["by_class"] is None


def test_scans_of_different_size_or_place_are_not_compared(rng):
    values = np.pad(rng.standard_normal((150, 150)), 4)
    smooth = sum(np.roll(values, (i, j), (0, 1)) for i in range(5) for j in range(5))
    whole = Scan(smooth.astype(np.float32), (0.1, 0.1))
    one, other = (whole.crop(slice(i, i + 100), slice(j, j + 100)) for i, j in ((30, 20), (20, 40)))
    audit.must_show_the_same(one, one)
    noisy = one.after("noise", one.values + 5 * rng.standard_normal(one.values.shape))
    audit.must_show_the_same(noisy, one)
    with pytest.raises(
        ScanError, match=r"second lies 2\.00 nm to the right and -1\.00 nm down: cr"
    ):
        audit.must_show_the_same(one, other)
    with pytest.raises(
        ScanError, match=r"differ in size: 10 x 10 nm, and 10 x 8 nm that it is comp"
    ):
        audit.must_show_the_same(one, one.crop(slice(0, 80), slice(None)))
    finer = Scan(np.repeat(one.values, 2, axis=0), (0.05, 0.1))
    audit.must_show_the_same(finer, one)


# The truth


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A small scan of many missing dimers, with its truth beside it."""
    table = {
        "material": "si001h",
        "scans_per_session": 1,
        "frame": {"rows": 24, "columns": 24, "width_nm": 6.0},
        "defects_per_nm2": {"missing dimer": 0.4},
    }
    folder = tmp_path_factory.mktemp("made")
    return to_files(parse("mine", table), folder, 1)[0]


def test_the_truth_of_a_simulated_scan_is_read(simulated):
    scan = scanmend.read(simulated)
    known = marks.read(simulated.with_suffix(".json"), scan)
    about = json.loads(simulated.with_suffix(".json").read_text())
    assert 3 < len(known) <= len(about["defects"])
    assert set(known.kinds) == {"missing dimer"}
    row, column = about["defects"][0]["trace"]
    assert np.allclose(known.places_nm[0], ((column - 11.5) * 0.25, (row - 11.5) * 0.25))
    assert np.all(abs(known.places_nm) <= np.array(scan.size_nm) / 2)
    finer = Scan(np.repeat(scan.values, 2, axis=0), (scan.pixel_nm[0] / 2, scan.pixel_nm[1]))
    assert np.allclose(marks.read(simulated.with_suffix(".json"), finer).places_nm, known.places_nm)
    with pytest.raises(ScanError, match="and this one has .* nm: it is of another"):
        marks.read(simulated.with_suffix(".json"), scan.crop(slice(0, 12), slice(None)))


def test_marks_of_a_table(tmp_path):
    path = tmp_path / "marks.csv"
    path.write_text("class,x_nm,y_nm\nvacancy,1.5,-2\ndopant,0,0\n")
    known = marks.read(path, FLAT)
    assert known.kinds == ("vacancy", "dopant")
    assert known.places_nm.tolist() == [[1.5, -2], [0, 0]]
    path.write_text("class,row,column\nvacancy,49.5,59.5\n")
    assert np.allclose(marks.read(path, FLAT).places_nm, [(1.0, 0)])
    path.write_text("class,x_nm,y_nm\nvacancy,1,1\ndopant,7,0\n")
    with pytest.raises(
        ScanError, match=r"marks.csv, line 3: the dopant at \(7, 0\) nm .* 10 x 10 nm"
    ):
        marks.read(path, FLAT)
    for text in ("x,y\n1,2\n", "class,x_nm,y_nm\nvacancy,here,1\n", "class,x_nm,y_nm\n,1,1\n"):
        path.write_text(text)
        with pytest.raises(ReadError, match="holds no marked defects: expected a CSV with the col"):
            marks.read(path, FLAT)
    with pytest.raises(ReadError, match="cannot be read: no such file"):
        marks.read(tmp_path / "none.json", FLAT)


# The record


def test_tables_json_and_netcdf_hold_the_same(tmp_path, rng):
    scan, _ = surface(rng)
    here = found(scan, source=finder(tmp_path / "tiny.onnx"))
    told = record.summary(here)
    record.write_table(here, tmp_path / "a.csv")
    record.write_json(here, told, tmp_path / "a.json")
    record.write_netcdf(here, told, tmp_path / "a.nc")
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    about = json.loads((tmp_path / "a.json").read_text())
    assert [row["class"] for row in rows] == [p["class"] for p in about["places"]]
    assert [float(row["x_nm"]) for row in rows] == [p["x_nm"] for p in about["places"]]
    assert about["classes"]["bright"]["per_nm2"] == pytest.approx(6 / 12.8**2, rel=1e-3)
    assert about["model"] == "defects-tiny"
    assert len(about["pair_correlation"]["r_nm"]) == len(about["pair_correlation"]["g"])
    with h5netcdf.File(tmp_path / "a.nc") as file:
        classes = json.loads(file.variables["class"].attrs["classes"])
        assert [classes[k] for k in file.variables["class"][...]] == [row["class"] for row in rows]
        assert np.allclose(file.variables["x_nm"][...], here.defects.places_nm[:, 0])
        assert json.loads(file.attrs["summary"])["defects"] == 9
    # The table is one that marks a scan.
    assert np.allclose(
        marks.read(tmp_path / "a.csv", scan).places_nm, here.defects.places_nm, atol=1e-3
    )
