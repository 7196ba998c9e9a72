"""Defects of dark-field images, site by site: of the simulated STEM, whose truth is known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.spatial import KDTree
from test_atoms import PIXEL_NM, one

from scanmend.atoms import record
from scanmend.defects import audit
from scanmend.defects.finder import found
from scanmend.errors import ScanError
from scanmend.evaluate.faults import Finder
from scanmend.scan import Quantity, Scan

DENSITIES = {"chalcogen vacancy": 0.4, "metal vacancy": 0.1, "antisite": 0.1}
CLASSES = {"chalcogen vacancy": "weak B", "metal vacancy": "missing A", "antisite": "strong B"}


@pytest.fixture(scope="module")
def made():
    return one(side=400, beam={"dose_per_A2": 100_000}, defects_per_nm2=DENSITIES)


@pytest.fixture(scope="module")
def here(made):
    return found(made.scan())


def test_each_odd_site_is_a_defect_where_it_is_and_as_sure(made, here):
    odd = record.atoms(made.scan()).sites.odd
    places, scores = here.defects.places_px, here.defects.scores
    off, which = KDTree(places).query([(site.row, site.column) for site in odd])
    assert len(odd) == len(here.defects) > 10
    assert off.max() < 0.1
    assert scores[which] == pytest.approx([site.score for site in odd], rel=0.05)
    assert here.threshold == 4


def test_classes_are_those_of_the_truth(made, here):
    inner = [d for d in made.defects if all(25 < p < 375 for p in (d.row, d.column))]
    off, which = KDTree(here.defects.places_px).query([(d.row, d.column) for d in inner])
    assert off.max() * PIXEL_NM < 0.06
    told = Counter((d.kind, here.defects.kinds[i]) for d, i in zip(inner, which, strict=True))
    assert set(told) == set(CLASSES.items())


def test_an_audit_tells_that_a_vacancy_was_filled_in(made, here):
    perfect = one(side=400, beam={"dose_per_A2": 100_000})
    after = found(perfect.scan(), source="atom-columns")
    judged = audit.against(after, here)
    there = int((~here.defects.edge).sum())
    assert judged.count("removed") == there
    assert judged.count("kept", "moved", "changed", "added") == 0
    scores = [f.score for f in judged.features if f.counted]
    assert np.max(scores) < here.threshold, "how nearly it is still found"


def test_of_a_sublattice_that_noise_hides_nothing_is_said(here):
    noisy = one(side=400, beam={"dose_per_A2": 3000}, defects_per_nm2=DENSITIES)
    before = found(noisy.scan())
    assert before.maps.classes == ("missing A", "weak A", "strong A")
    added = audit.against(here, before).features
    assert {kind[-1] for kind in here.defects.kinds} == {"A", "B"}
    assert {f.kind[-1] for f in added} <= {"A"}, "what was hidden was not added"


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
