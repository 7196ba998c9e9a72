"""Pieces of surface that materials draw: their atoms, and what is wrong with them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from scanmend.crystals import dichalcogenides, graphene, metals
from scanmend.crystals.lattice import hexagonal
from scanmend.crystals.piece import Change, cut, with_defects
from scanmend.crystals.specimen import Material, Specimen
from scanmend.errors import SimulationError
from scanmend.stm.green import LatticeGreen

SURFACES = {
    material.name: material
    for material in (
        graphene.MATERIAL,
        dichalcogenides.MOS2,
        dichalcogenides.WSE2,
        metals.AU111,
        metals.AU111_RECONSTRUCTED,
        metals.CU111,
        metals.AG111,
    )
}
METALS = (metals.AU111, metals.CU111, metals.AG111)
SIZE_NM = (6.0, 7.0)
AREA_NM2 = 42.0
# First Bragg peaks, 4 pi / (sqrt 3 a) of the constants a in the literature, 1/nm.
BRAGG_PER_NM = {
    "graphene": 29.493,
    "MoS2": 22.96,
    "WSe2": 22.11,
    "Au(111)": 25.16,
    "Cu(111)": 28.38,
    "Ag(111)": 25.12,
}
ATOMS_PER_NM2 = {
    "graphene": 38.17,
    "MoS2": 2 * 11.563,
    "WSe2": 2 * 10.720,
    "Au(111)": 13.887,
    "Au(111)-22x3": 13.887 * 23 / 22,
    "Cu(111)": 17.672,
    "Ag(111)": 13.839,
}

every = pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
metal = pytest.mark.parametrize("surface", METALS, ids=lambda material: material.name)


def drawn(
    surface: Material,
    defects: dict[str, float] | None = None,
    seed: int = 1,
    size_nm: tuple[float, float] = SIZE_NM,
    angle_deg: float = 17.0,
) -> Specimen:
    return surface.specimen(defects or {}, size_nm, angle_deg, np.random.default_rng(seed))


def same(first: Specimen, second: Specimen) -> bool:
    arrays = ("positions_nm", "kinds", "sites", "scatterers", "shifts_eV")
    equal = all(np.array_equal(getattr(first, name), getattr(second, name)) for name in arrays)
    return equal and first.defects == second.defects


def distances_nm(specimen: Specimen, x_nm: float, y_nm: float) -> np.ndarray:
    return np.hypot(*(specimen.positions_nm[:, :2] - (x_nm, y_nm)).T)


def bragg(specimen: Specimen, k_per_nm: float, angle_deg: float) -> float:
    """How much of the top atoms' amplitude is in the peak of this length that is nearest."""
    top = specimen.positions_nm[specimen.positions_nm[:, 2] == 0]
    directions = np.radians(np.arange(30, 360, 60) + angle_deg)
    k = k_per_nm * np.stack((np.cos(directions), np.sin(directions)))
    return float(np.abs(np.exp(1j * top[:, :2] @ k).mean(axis=0)).mean())


# Perfect crystals


@every
def test_atoms_fill_the_piece(surface):
    counts = []
    for seed in range(20):
        x, y, _ = drawn(surface, seed=seed).positions_nm.T
        assert abs(x).max() <= 3.5
        assert abs(y).max() <= 3
        assert min(x.max(), -x.min()) > 3.5 - 0.3, "up to both sides"
        assert min(y.max(), -y.min()) > 3 - 0.3
        counts.append(x.size / AREA_NM2)
    assert np.mean(counts) == pytest.approx(ATOMS_PER_NM2[surface.name], rel=5e-3)


@pytest.mark.parametrize("name", BRAGG_PER_NM)
@pytest.mark.parametrize("angle_deg", [0, 17, -100])
def test_the_lattice_shows_its_bragg_peaks_where_it_is_turned_to(name, angle_deg):
    k, specimen = BRAGG_PER_NM[name], drawn(SURFACES[name], angle_deg=angle_deg)
    # Of graphene's two sublattices, the first peaks add up to half of the amplitude.
    share = 0.5 if name == "graphene" else 1
    assert bragg(specimen, k, angle_deg) == pytest.approx(share, rel=5e-3)
    assert bragg(specimen, k, angle_deg + 5) < 0.3
    assert bragg(specimen, 1.04 * k, angle_deg) < 0.8 * share


@pytest.mark.parametrize("name", BRAGG_PER_NM)
def test_sites_are_numbered_as_the_electrons_lattice_counts(name):
    surface = SURFACES[name]
    specimen = drawn(surface)
    for model in surface.electrons.values():
        lattice = model().lattice.turned(17)
        offset = specimen.positions_nm[:, :2] - lattice.positions_nm(specimen.sites)
        assert np.ptp(offset, axis=0) == pytest.approx((0, 0), abs=1e-9)


@every
def test_each_electron_model_takes_each_defect(surface):
    densities = dict.fromkeys(surface.defects, 0.1)
    pieces = (drawn(surface, densities, size_nm=(3, 3), seed=seed) for seed in range(20))
    specimen = next(piece for piece in pieces if len(piece.scatterers))
    for model in surface.electrons.values():
        green = LatticeGreen(model(), [-0.2, 0.1], reach_nm=6, mesh=32)
        ldos = green.ldos_per_eV(specimen.sites, specimen.scatterers, specimen.shifts_eV)
        perfect = green.ldos_per_eV(specimen.sites)
        assert ldos.shape == (len(specimen.kinds), 2)
        assert ldos.min() > -1e-9
        assert not np.allclose(ldos, perfect)


@every
def test_the_lattice_lies_anywhere(surface):
    offsets = [drawn(surface, seed=seed).positions_nm[0, :2] for seed in range(5)]
    assert len(np.unique(np.round(offsets, 6), axis=0)) == 5


def test_graphene_has_its_bonds():
    specimen = drawn(graphene.MATERIAL)
    nearest = [np.sort(distances_nm(specimen, x, y))[1] for x, y, _ in specimen.positions_nm]
    assert nearest == pytest.approx(np.full(len(nearest), 0.1420), abs=1e-4)


@pytest.mark.parametrize(
    ("surface", "bond_nm"), [(dichalcogenides.MOS2, 0.2405), (dichalcogenides.WSE2, 0.2528)]
)
def test_metal_atoms_lie_between_three_chalcogen_atoms(surface, bond_nm):
    positions = drawn(surface).positions_nm
    top, below = positions[positions[:, 2] == 0], positions[positions[:, 2] < 0]
    middle = below[np.hypot(*below[:, :2].T) < 2]
    apart = np.sort(np.linalg.norm(middle[:, None] - top, axis=2), axis=1)
    assert apart[:, :3] == pytest.approx(np.full((len(middle), 3), bond_nm), abs=2e-3)
    assert apart[:, 3].min() > 0.35


# Defects


@every
def test_defects_are_as_many_as_asked_for(surface):
    draws, per_nm2 = 300, 0.04
    counts = {kind: [] for kind in surface.defects}
    rng = np.random.default_rng(0)
    for _ in range(draws):
        specimen = surface.specimen(dict.fromkeys(counts, per_nm2), (5, 5), 3, rng)
        found = Counter(defect.kind for defect in specimen.defects)
        for kind in counts:
            counts[kind].append(found[kind])
    for kind, numbers in counts.items():
        assert np.mean(numbers) == pytest.approx(1, abs=4 / math.sqrt(draws)), kind
        assert np.var(numbers) == pytest.approx(1, abs=0.4), f"{kind}: Poisson's distribution"


@every
def test_the_usual_densities_are_of_its_own_defects(surface):
    assert set(surface.densities_per_nm2) <= set(surface.defects)
    assert drawn(surface, surface.densities_per_nm2, size_nm=(20, 20)).defects


@every
def test_no_two_defects_share_a_site(surface):
    for seed in range(10):
        specimen = drawn(surface, dict.fromkeys(surface.defects, 0.3), seed=seed)
        assert len(np.unique(specimen.scatterers, axis=0)) == len(specimen.scatterers)
        assert len(specimen.scatterers) == len(specimen.shifts_eV)
        by_class: dict[str, list] = {}
        for defect in specimen.defects:
            by_class.setdefault(defect.kind, []).append((round(defect.x_nm, 6), defect.y_nm))
            assert abs(defect.x_nm) <= 3.5
            assert abs(defect.y_nm) <= 3
        for places in by_class.values():
            assert len(set(places)) == len(places)


CHANGED = [
    (graphene.MATERIAL, "nitrogen", "nitrogen", 0.0),
    (graphene.MATERIAL, "boron", "boron", 0.0),
    (graphene.MATERIAL, "hydrogen", "hydrogen", 0.149),
    (dichalcogenides.MOS2, "oxygen", "oxygen", -0.06),
    (dichalcogenides.WSE2, "dopant", "doped selenium", 0.0),
    (dichalcogenides.WSE2, "metal dopant", "doped tungsten", -0.1674),
    (metals.AU111, "adatom", "adatom", 0.2355),
    (metals.CU111, "adatom", "adatom", 0.2087),
    (metals.AG111, "adatom", "adatom", 0.2359),
    (metals.CU111, "adsorbate", "below an adsorbate", 0.0),
]


@pytest.mark.parametrize(("surface", "kind", "name", "height_nm"), CHANGED)
def test_an_atom_of_another_kind_marks_the_defect(surface, kind, name, height_nm):
    specimen = drawn(surface, {kind: 0.3})
    number = [k.name for k in surface.kinds].index(name)
    atoms = specimen.positions_nm[specimen.kinds == number]
    places = [(defect.x_nm, defect.y_nm) for defect in specimen.defects]
    assert len(places) > 3
    order = np.lexsort(atoms[:, :2].T), np.lexsort(np.transpose(places))
    assert atoms[order[0], :2] == pytest.approx(np.array(places)[order[1]], abs=1e-9)
    assert atoms[:, 2] == pytest.approx(height_nm, abs=1e-3)


MISSING = [
    (graphene.MATERIAL, "vacancy", 1, 0.0),
    (graphene.MATERIAL, "divacancy", 2, 0.071),
    (dichalcogenides.MOS2, "chalcogen vacancy", 1, 0.0),
    (dichalcogenides.WSE2, "metal vacancy", 1, 0.0),
    (metals.AG111, "vacancy", 1, 0.0),
]


@pytest.mark.parametrize(("surface", "kind", "atoms", "apart_nm"), MISSING)
def test_a_vacancy_is_where_atoms_are_missing(surface, kind, atoms, apart_nm):
    perfect, specimen = drawn(surface), drawn(surface, {kind: 0.2})
    assert len(specimen.defects) > 3
    missing = len(perfect.positions_nm) - len(specimen.positions_nm)
    assert missing == atoms * len(specimen.defects) == len(specimen.scatterers)
    assert np.isinf(specimen.shifts_eV).all()
    left = set(map(tuple, specimen.sites.tolist()))
    assert not left & set(map(tuple, specimen.scatterers.tolist()))
    assert left < set(map(tuple, perfect.sites.tolist()))
    z = -0.1674 if kind == "metal vacancy" else 0
    perfect = perfect.positions_nm[np.isclose(perfect.positions_nm[:, 2], z), :2]
    left = specimen.positions_nm[np.isclose(specimen.positions_nm[:, 2], z), :2]
    for defect in specimen.defects:
        place = defect.x_nm, defect.y_nm
        was, now = (np.sort(np.hypot(*(p - place).T)) for p in (perfect, left))
        assert was[:atoms] == pytest.approx(apart_nm, abs=1e-3)
        assert now[0] > was[0] + 0.1


def test_dopants_have_the_shift_of_the_source():
    specimen = drawn(dichalcogenides.WSE2, {"dopant": 0.2})
    assert set(specimen.shifts_eV.tolist()) == {0.5}
    assert not specimen.scatterers[:, 2].any(), "on the upper selenium atoms"


def test_vacancies_come_on_both_sublattices_of_graphene():
    specimen = drawn(graphene.MATERIAL, {"vacancy": 1}, size_nm=(20, 20))
    assert np.mean(specimen.scatterers[:, 2]) == pytest.approx(0.5, abs=0.1)


def test_divacancies_lie_along_all_three_bonds():
    specimen = drawn(graphene.MATERIAL, {"divacancy": 0.5}, size_nm=(20, 20))
    first, second = specimen.scatterers[::2], specimen.scatterers[1::2]
    bonds = Counter(map(tuple, (second - first).tolist()))
    assert set(bonds) == {(0, 0, 1), (-1, 0, 1), (0, -1, 1)}
    assert min(bonds.values()) > 0.2 * bonds.total()


@metal
def test_adatoms_are_over_three_atoms_of_a_terrace_and_none_below(surface):
    specimen = drawn(surface, {"adatom": 0.1})
    a_nm = math.sqrt(2 / math.sqrt(3) / ATOMS_PER_NM2[surface.name])
    terrace = specimen.kinds == 0
    for defect in specimen.defects:
        apart = np.sort(distances_nm(specimen, defect.x_nm, defect.y_nm)[terrace])
        assert apart[:3] == pytest.approx(np.full(3, a_nm / math.sqrt(3)), rel=1e-3)
    assert len(specimen.scatterers) == 3 * len(specimen.defects)


def test_footprints_keep_to_one_terrace_and_to_the_piece():
    nothing = np.zeros(1)
    flat = cut(hexagonal(0.3), nothing, nothing.astype(np.intp), (4, 4), 0, (0.2, 0.3))
    positions = flat.positions_nm.copy()
    positions[positions[:, 0] > 0, 2] = -0.2
    pair = Change("two neighbours", (((0, 0, 0), (1, 0, 0)),), shift_eV=1)
    rng = np.random.default_rng(0)
    specimen = with_defects(
        replace(flat, positions_nm=positions), {"pair": pair}, {"pair": 2}, 16, rng
    )
    height = dict(zip(map(tuple, flat.sites.tolist()), positions[:, 2], strict=True))
    ends = [height[tuple(site)] for site in specimen.scatterers.tolist()]
    assert len(ends) > 40
    assert ends[::2] == ends[1::2]
    assert len(set(ends)) == 2


# Steps, ridges, and the surface state


@metal
def test_steps_lead_down_by_one_layer_of_the_crystal(surface):
    layer_nm = {"Au(111)": 0.2354, "Cu(111)": 0.2087, "Ag(111)": 0.2358}[surface.name]
    seen = 0
    for seed in range(30):
        specimen = drawn(surface, {"step": 0.04}, seed=seed)
        steps = [defect for defect in specimen.defects if defect.kind == "step"]
        levels = np.round(-specimen.positions_nm[:, 2] / layer_nm, 2)
        assert set(levels) <= set(range(len(steps) + 1))
        assert len(specimen.positions_nm) / AREA_NM2 == pytest.approx(
            ATOMS_PER_NM2[surface.name], rel=0.12
        )
        for step in steps:
            # Within three atoms of it, the surface is lower on one side.
            near = distances_nm(specimen, step.x_nm, step.y_nm)
            assert near.min() < 1e-9
            assert len(set(levels[near < 1])) > 1
            seen += 1
        if steps:
            edge = set(map(tuple, specimen.scatterers.tolist()))
            assert edge <= set(map(tuple, specimen.sites.tolist()))
            assert set(specimen.shifts_eV.tolist()) == {metals.STEP_EV}
    assert seen > 15


@metal
def test_layers_are_stacked_as_in_the_crystal(surface):
    """Atoms of all terraces, and adatoms, are on the sites of one fcc lattice."""
    cubic_nm = {"Au(111)": 0.4078, "Cu(111)": 0.3615, "Ag(111)": 0.4085}[surface.name]
    normal = np.ones(3) / math.sqrt(3)
    along = np.array((1, -1, 0)) / math.sqrt(2)
    frame = np.stack((along, np.cross(normal, along), normal))
    deepest = 0
    for seed in range(12):
        specimen = drawn(surface, {"step": 0.08, "adatom": 0.3}, seed=seed, angle_deg=0)
        position = (
            specimen.positions_nm - specimen.positions_nm[specimen.positions_nm[:, 2] == 0][0]
        )
        cubic = position @ frame / (cubic_nm / 2)
        assert np.allclose(cubic, np.rint(cubic), atol=1e-6)
        assert not (np.rint(cubic).sum(axis=1) % 2).any()
        deepest = max(deepest, round(-position[:, 2].min() / (cubic_nm / math.sqrt(3))))
        # No two atoms are closer than neighbours are.
        apart = np.linalg.norm(position[:, None] - position, axis=2)
        assert apart[apart > 0].min() == pytest.approx(cubic_nm / math.sqrt(2), rel=1e-6)
    assert deepest >= 3, "a layer of each kind was seen"


def test_clean_gold_has_pairs_of_ridges():
    specimen = drawn(metals.AU111_RECONSTRUCTED, size_nm=(26, 26), angle_deg=0)
    x, y, z = specimen.positions_nm.T
    assert z.min() == pytest.approx(0, abs=2e-4)
    assert z.max() == pytest.approx(0.02, abs=1e-3)
    periods = []
    angles = np.radians((0, 60, 120))
    for angle in angles:
        k = 2 * np.pi * np.linspace(0.1, 0.22, 241)[:, None]
        wave = np.exp(1j * k * (x * math.cos(angle) + y * math.sin(angle)))
        strength = np.abs((wave * (z - z.mean())).mean(axis=1))
        periods.append((strength.max(), 2 * np.pi / k[strength.argmax(), 0]))
    assert max(periods)[1] == pytest.approx(6.34, rel=0.02)
    assert sorted(periods)[1][0] < 0.4 * max(periods)[0], "across one direction of three"
    # 23 atoms stand in that direction where the crystal has 22.
    angle = angles[periods.index(max(periods))]
    middle = np.hypot(x, y).argmin()
    apart = np.stack((x - x[middle], y - y[middle])).T @ (math.cos(angle), math.sin(angle))
    row = np.sort(apart[abs(np.hypot(x - x[middle], y - y[middle]) - abs(apart)) < 1e-6])
    assert np.diff(row) == pytest.approx(np.full(len(row) - 1, 0.28836 * 22 / 23), rel=1e-3)


@metal
def test_the_surface_state_has_its_bottom_and_its_mass(surface):
    bottom_eV, mass = {
        "Au(111)": (-0.49, 0.255),
        "Cu(111)": (-0.44, 0.38),
        "Ag(111)": (-0.065, 0.40),
    }[surface.name]
    crystal = surface.electrons["surface state"]()
    k = np.array(((0, 0), (0.5, 0), (0.3, 0.4)))  # 1/nm
    bands = crystal.bands_eV(k)[:, 0]
    assert bands[0] == pytest.approx(bottom_eV, abs=1e-9)
    assert bands[1:] - bands[0] == pytest.approx(0.0762 * 0.25 / (2 * mass), rel=2e-3)


def test_a_step_of_gold_makes_standing_waves():
    """Above a straight edge the density swings with half the wavelength of electrons."""
    crystal = metals.AU111.electrons["surface state"]()
    energy_eV = 0.3
    green = LatticeGreen(crystal, [energy_eV], reach_nm=24, broadening_eV=0.03, mesh=256)
    edge = np.stack((np.arange(-45, 46), *np.zeros((2, 91), int)), axis=1)
    away = np.stack((-np.arange(1, 21), 2 * np.arange(1, 21), np.zeros(20, int)), axis=1)
    ldos = green.ldos_per_eV(away, edge, np.full(len(edge), metals.STEP_EV))[:, 0]
    y_nm = crystal.lattice.positions_nm(away)[:, 1]
    k_per_nm = math.sqrt(2 * 0.255 * (energy_eV + 0.49) / 0.0762)
    wanted = 2 * k_per_nm
    trial = np.linspace(0.6 * wanted, 1.4 * wanted, 161)
    swing = (ldos - ldos.mean()) * np.sqrt(y_nm)
    strength = np.abs(np.exp(1j * trial[:, None] * y_nm) @ swing)
    assert trial[strength.argmax()] == pytest.approx(wanted, rel=0.06)
    assert np.ptp(ldos[y_nm < 3]) > 0.2 * ldos.mean()


# Draws


@every
def test_the_same_numbers_draw_the_same_piece(surface):
    densities = dict.fromkeys(surface.defects, 0.1)
    first = drawn(surface, densities)
    assert same(first, drawn(surface, densities))
    assert same(first, drawn(surface, dict(reversed(densities.items()))))
    assert not same(first, drawn(surface, densities, seed=2))


@every
def test_defects_leave_the_lattice_where_it_is(surface):
    """So surfaces with more of a defect, or without, are compared atom by atom."""
    kind = list(surface.defects)[-1]
    perfect = {tuple(p) for p in drawn(surface).positions_nm[:, :2].tolist()}
    specimen = drawn(surface, {kind: 0.1})
    assert specimen.defects
    kept = {tuple(p) for p in specimen.positions_nm[:, :2].tolist()}
    assert len(kept & perfect) > 0.8 * len(perfect)


@every
def test_a_turned_piece_is_the_piece_turned(surface):
    here, there = (drawn(surface, size_nm=(5, 5), angle_deg=angle) for angle in (10, 100))
    x, y, z = here.positions_nm.T
    turned = np.stack((-y, x, z), axis=1)
    order = (np.lexsort(np.round(p, 6).T) for p in (turned, there.positions_nm))
    first, second = (p[o] for p, o in zip((turned, there.positions_nm), order, strict=True))
    assert first == pytest.approx(second, abs=1e-9)


@every
def test_what_cannot_be_drawn_is_an_error(surface):
    known = ", ".join(surface.defects)
    with pytest.raises(SimulationError) as error:
        drawn(surface, {"dandruff": 0.1})
    assert str(error.value) == f"{surface.name} has no defect 'dandruff'; there are {known}"
    kind = next(iter(surface.defects))
    with pytest.raises(SimulationError, match=f"a density is 0 /nm2 or more, got -0.1 of {kind}"):
        drawn(surface, {kind: -0.1})
    with pytest.raises(SimulationError, match="no surface is"):
        drawn(surface, size_nm=(0, 5))
    with pytest.raises(SimulationError, match="make it larger"):
        for seed in range(20):
            drawn(surface, size_nm=(0.01, 0.01), seed=seed)


@every
def test_too_many_defects_are_an_error(surface):
    for kind in surface.defects:
        for density in (200.0, 1e300):
            with pytest.raises(SimulationError, match=rf"x {kind} do not fit on \d+ free sites"):
                drawn(surface, {kind: density})
