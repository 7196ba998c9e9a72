"""Defects of dark-field images, site by site: of the simulated STEM, whose truth is known."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree
from test_atoms import DENSITIES, PIXEL_NM, one

import scanmend
from scanmend import cli
from scanmend.atoms import record
from scanmend.defects import audit, marks
from scanmend.defects.finder import found
from scanmend.defects.peaks import Defects
from scanmend.errors import ScanError
from scanmend.evaluate.faults import Finder
from scanmend.scan import Quantity, Scan

CLASSES = {"chalcogen vacancy": "weak B", "metal vacancy": "missing A", "antisite": "strong B"}


@pytest.fixture(scope="module")
def made():
    return one(side=400, beam={"dose_per_A2": 100_000}, defects_per_nm2=DENSITIES)


@pytest.fixture(scope="module")
def here(made):
    return found(made.scan())


BLURRED = {"voltage_kV": 60.0, "semiangle_mrad": 18.0}


@pytest.mark.parametrize(
    ("pixel_nm", "beam"), [(PIXEL_NM, {}), (0.04, {}), (PIXEL_NM, BLURRED)], ids=str
)
def test_each_odd_site_is_a_defect_where_it_is_and_as_sure(pixel_nm, beam):
    """Between pixels, near the least score, and beside a brighter one in a blurred image too."""
    frame = {"rows": 300, "columns": 300, "pixel_nm": pixel_nm}
    beam = {"dose_per_A2": 100_000, **beam}
    scan = one(frame=frame, beam=beam, defects_per_nm2=DENSITIES).scan()
    odd, here = record.atoms(scan).sites.odd, found(scan)
    off, which = KDTree(here.defects.places_px).query([(site.row, site.column) for site in odd])
    assert len(odd) == len(here.defects) > 5
    assert off.max() < 0.01
    assert here.defects.scores[which] == pytest.approx([site.score for site in odd], rel=1e-3)
    assert here.threshold == 4


def test_classes_are_those_of_the_truth(made, here):
    inner = [d for d in made.defects if all(25 < p < 375 for p in (d.row, d.column))]
    off, which = KDTree(here.defects.places_px).query([(d.row, d.column) for d in inner])
    assert off.max() * PIXEL_NM < 0.06
    told = Counter((d.kind, here.defects.kinds[i]) for d, i in zip(inner, which, strict=True))
    assert set(told) == set(CLASSES.items())


def test_an_audit_tells_that_a_vacancy_was_filled_in(here):
    perfect = one(side=400, beam={"dose_per_A2": 100_000})
    judged = audit.against(found(perfect.scan()), here)
    there = int((~here.defects.edge).sum())
    assert judged.count("removed") == there > 10
    assert judged.count("kept", "moved", "changed", "added") == 0


def test_neighbouring_sites_are_not_one_defect(here):
    """The nearest are 0.18 nm apart."""
    assert here.maps.radius_nm == pytest.approx(0.091, abs=0.002)
    beside = replace(here.defects, places_nm=here.defects.places_nm + np.array((0.15, 0)))
    judged = audit.against(replace(here, defects=beside), here)
    assert judged.count("kept", "moved", "changed") == 0


def test_of_a_sublattice_that_noise_hides_nothing_was_added_or_removed(here):
    noisy = one(side=400, beam={"dose_per_A2": 3000}, defects_per_nm2=DENSITIES)
    before = found(noisy.scan())
    assert before.maps.classes == ("missing A", "weak A", "strong A")
    assert {kind[-1] for kind in here.defects.kinds} == {"A", "B"}
    for one_way in (audit.against(here, before), audit.against(before, here)):
        assert {f.kind[-1] for f in one_way.features} == {"A"}
    light = here.defects.kinds.index("weak B")
    fields = ("places_nm", "places_px", "scores", "edge")
    one_light = {name: getattr(here.defects, name)[[light]] for name in fields}
    weak = replace(here, defects=Defects(kinds=("weak B",), **one_light))
    assert not audit.against(before, weak).count("removed")


def test_the_noise_is_that_of_what_was_measured():
    noisy = one(side=256, beam={"dose_per_A2": 10_000}, defects_per_nm2=DENSITIES)
    scan = noisy.scan()
    smooth = gaussian_filter(scan.values, 2.0).astype(np.float32)
    restored = replace(scan, values=smooth)
    sure, honest = found(restored), found(restored, measured=scan)
    near = [audit.against(of, sure).count("kept", "moved") for of in (sure, honest)]
    assert near[0] > near[1], "less is sure"


def test_the_command_judges_columns_without_being_asked(made, here, tmp_path, capsys):
    path = tmp_path / "mos2.nc"
    scanmend.write(made.scan(), path)
    assert cli.main(["defects", str(path), "-o", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"{len(here.defects)} defects on 36 nm²" in said
    assert f"{here.maps.made['judged']} sites of columns judged" in said
    assert len((tmp_path / "mos2_defects.csv").read_text().splitlines()) == 1 + len(here.defects)


def test_the_truth_of_the_simulator_is_read(tmp_path):
    run = ["simulate", "mos2-haadf", "-n", "1", "-o", str(tmp_path)]
    assert cli.main(run) == 0
    (path,) = tmp_path.glob("*.json")
    scan = scanmend.read(tmp_path / f"{path.stem}.nc")
    listed = json.loads(path.read_text())["defects"]
    read = marks.read(path, scan)
    assert len(read) == len(listed) > 0
    nominal = np.array([(d["x_nm"], d["y_nm"]) for d in listed])
    assert read.places_nm == pytest.approx(nominal, abs=0.1), "but for drift"


def test_what_a_method_hides_it_has_omitted(made):
    noisy = one(side=400, beam={"dose_per_A2": 3000}, defects_per_nm2=DENSITIES)
    images = np.stack([noisy.counts, np.zeros_like(noisy.counts)])
    clean = np.stack([made.truth_counts] * 2)
    faults = Finder("atom-columns")(images, clean, np.full((2, 2), PIXEL_NM), Quantity.COUNTS)
    all_of_them = found(made.truth(), source="atom-columns").defects
    inner_nm2 = (400 * PIXEL_NM - 0.6) ** 2
    each = 100 / inner_nm2
    hidden = sum(kind.endswith("B") for kind in np.array(all_of_them.kinds)[~all_of_them.edge])
    assert hidden > 3
    assert faults.omitted_per_100nm2[0] >= hidden * each * 0.999
    assert faults.omitted_per_100nm2[1] == pytest.approx((~all_of_them.edge).sum() * each)


def test_what_has_no_lattice_cannot_be_judged(rng):
    noise = Scan(rng.poisson(40, (128, 128)).astype(np.float32), (0.015, 0.015), Quantity.COUNTS)
    with pytest.raises(ScanError, match="make no lattice of which a site can be judged"):
        found(noise, source="atom-columns")
