"""Atoms of real images: how many, and on which lattice, which is known of the specimens."""

from __future__ import annotations

import numpy as np
import pytest

import scanmend
from scanmend.atoms import record

pytest.importorskip("rsciio", reason="needs rosettasciio")


def test_a_perovskite_has_two_kinds_of_columns_and_no_vacancies(real):
    found = record.atoms(scanmend.read(real / "stem/perovskite_adf.hdf5", size_nm=(3.53, 3.72)))
    (grain,) = found.grains
    assert len(grain.heights) == 2
    assert len(grain.sites) > 0.93 * len(found.found.columns)
    assert found.sites.judged > 180
    assert found.sites.odd == ()


def test_molybdenum_of_a_real_layer_is_found_on_its_lattice(real):
    scan = scanmend.read(real / "stem/mos2_haadf.dm3").crop(slice(0, 512), slice(0, 512))
    found = record.atoms(scan)
    grain = found.grains[0]
    # The header's pitch is 5 % too small, and drift bends the cell.
    assert grain.lengths_nm == pytest.approx((0.3, 0.3), abs=0.01)
    cell = abs(float(np.linalg.det(grain.vectors_nm)))
    expected = np.prod(scan.size_nm) / cell
    columns, bright = found.found.columns, 0.65 * grain.heights[0]
    heights = columns.heights
    inner = np.all(abs(columns.places_nm) < 0.45 * np.array(scan.size_nm), axis=1)
    assert np.sum(inner & (heights > bright)) == pytest.approx(0.81 * expected, rel=0.05)
    assert len(grain.sites) > 0.8 * expected
    assert len(found.sites.odd) < 0.02 * found.sites.judged
    # What else was found is sulphur: in the middle of three, at two fifths of their height.
    weak = columns.places_nm[heights < bright]
    known = np.array([grain.flat(np.array([site]))[0] for site in grain.sites])
    parts = ((weak - known[0]) @ np.linalg.inv(grain.vectors_nm)) % 1
    assert len(weak) > 30
    assert np.mean(np.all(abs(parts - np.median(parts, axis=0)) < 0.2, axis=1)) > 0.8
