"""Si(111)-7x7 and Si(001):H as atoms: where they are, what they show, and what is wrong."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from scipy.spatial import KDTree

from scanmend.crystals import silicon001, silicon111
from scanmend.crystals.silicon001 import DIMER_NM, ROW_NM, SI001H, STEP_NM
from scanmend.crystals.silicon111 import BILAYER_NM, CELL_NM, LATTICE, SI111
from scanmend.crystals.specimen import Material, Specimen
from scanmend.errors import SimulationError
from scanmend.stm import topograph
from scanmend.stm.current import Electrode, Junction

BOTH = pytest.mark.parametrize("material", [SI111, SI001H], ids=lambda m: m.name)
LINES = ("step", "domain wall", "antiphase boundary")
CLUSTERS = ("adsorbate", "bright chain")


def drawn(
    material: Material, seed: int = 0, size_nm: float = 12.0, angle_deg: float = 0.0, **per_nm2
) -> Specimen:
    """A square piece; the classes of defects are given with _ for their blanks."""
    densities = {kind.replace("_", " "): density for kind, density in per_nm2.items()}
    rng = np.random.default_rng(seed)
    return material.specimen(densities, (size_nm, size_nm), angle_deg, rng)


def of(material: Material, specimen: Specimen, word: str) -> np.ndarray:
    """Positions of the atoms whose kind has `word` in its name, nm; shape (atoms, 3)."""
    chosen = [i for i, kind in enumerate(material.kinds) if word in kind.name]
    return specimen.positions_nm[np.isin(specimen.kinds, chosen)]


def at(specimen: Specimen, kind: str) -> np.ndarray:
    """Places of the defects of a class, (x, y), nm; shape (defects, 2)."""
    return np.array([(d.x_nm, d.y_nm) for d in specimen.defects if d.kind == kind]).reshape(-1, 2)


def states(material: Material, name: str, bias_V: float) -> float:
    """Of a kind of atom, in the window of a bias."""
    (kind,) = (kind for kind in material.kinds if kind.name == name)
    energies = np.linspace(min(bias_V, 0), max(bias_V, 0), 400)
    return float(np.trapezoid(kind.ldos_per_eV(energies), energies))


def heights(
    material: Material, specimen: Specimen, bias_V: float, x: np.ndarray, y: np.ndarray, low: float
) -> np.ndarray:
    """Of a tip of one atom at 50 pA, nm."""
    energies = np.linspace(min(bias_V, 0), max(bias_V, 0), 30)
    ldos = np.stack([kind.ldos_per_eV(energies) for kind in material.kinds])
    sample = Electrode(specimen.positions_nm, energies, ldos[specimen.kinds])
    apex = Electrode(np.zeros((1, 3)), energies - bias_V, np.full((1, 30), 0.5))
    return topograph.constant_current(Junction(sample, apex, bias_V), x, y, 0.05, (low, 0.95))


# What both have in common


@BOTH
def test_a_piece_is_full_of_atoms(material, rng):
    """None of it is farther than a surface lattice constant or two from an atom."""
    for angle_deg in (0.0, 20.0, 75.0):
        specimen = material.specimen({}, (7.0, 11.0), angle_deg, rng)
        x, y, z = specimen.positions_nm.T
        # Half a dimer may stand over the edge.
        assert max(abs(x)) <= 5.5 + silicon001.HALF_NM
        assert max(abs(y)) <= 3.5 + silicon001.HALF_NM
        assert z.max() == 0
        anywhere = rng.uniform(-0.5, 0.5, (2000, 2)) * (11.0, 7.0)
        assert KDTree(np.stack([x, y], 1)).query(anywhere)[0].max() < 0.8
        assert not specimen.defects


@BOTH
def test_a_state_of_the_generator_makes_one_piece(material):
    some = {kind: 1e-2 for kind in material.defects}
    one, same, other = (
        material.specimen(some, (12, 12), 30.0, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.positions_nm, same.positions_nm)
    assert np.array_equal(one.kinds, same.kinds)
    assert one.defects == same.defects
    assert not np.array_equal(one.positions_nm[:50], other.positions_nm[:50])
    assert len(one.positions_nm) == len(one.kinds) == len(one.sites)


@BOTH
def test_defects_are_as_dense_as_asked_for(material):
    """And in the piece. Bumps may have all their atoms outside; clusters are listed bump by bump.

    Lines are listed point by point.
    """
    size_nm, per_nm2, draws = 20.0, 0.01, 60
    points = [kind for kind in material.defects if kind not in LINES]
    counts = Counter()
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        piece = material.specimen(dict.fromkeys(points, per_nm2), (size_nm, size_nm), 10.0, rng)
        counts.update(d.kind for d in piece.defects)
        assert max(max(abs(d.x_nm), abs(d.y_nm)) for d in piece.defects) <= size_nm / 2
    assert set(counts) == set(points)
    expected = draws * per_nm2 * size_nm**2
    for kind, count in counts.items():
        lost = 0.15 if kind in CLUSTERS else 0.0
        assert expected * (1 - lost) - 4 * math.sqrt(expected) < count, kind
        assert kind in CLUSTERS or count < expected + 4 * math.sqrt(expected), kind


@BOTH
def test_usual_densities_are_of_classes_that_there_are(material):
    assert material.densities_per_nm2.keys() == material.defects.keys()
    usual = material.specimen(material.densities_per_nm2, (40, 40), 0.0, np.random.default_rng(3))
    assert usual.defects


@BOTH
@pytest.mark.parametrize("angle_deg", [15.0, -40.0, 100.0])
def test_a_piece_turns_from_x_to_y(material, angle_deg):
    """The wave of the cells is in phase on all atoms of a kind that has one to a cell."""
    angle = math.radians(angle_deg)
    if material is SI111:
        xy = of(material, drawn(material, angle_deg=angle_deg), "corner hole")[:, :2]
        # Across a1, cells lie in rows.
        k = 2 * math.pi / (CELL_NM * math.sqrt(3) / 2)
    else:
        pairs = drawn(material, angle_deg=angle_deg).positions_nm.reshape(-1, 2, 3)
        xy, k = pairs.mean(1)[:, :2], 2 * math.pi / ROW_NM
    phase = k * (xy @ (-math.sin(angle), math.cos(angle)))
    assert abs(np.exp(1j * phase).mean()) == pytest.approx(1, abs=1e-9)


@BOTH
@pytest.mark.parametrize(
    ("densities", "size_nm", "words"),
    [
        ({"vacancy": 0.1}, (5, 5), "has no defect 'vacancy'; there are "),
        ({"step": -1}, (5, 5), "a density is 0 /nm2 or more, got -1 of step"),
        ({}, (5, 0), r"no surface is \(5, 0\) nm large"),
        ({None: 60}, (5, 5), r" x .* do not fit on \d+ free sites of 25 nm2"),
    ],
)
def test_what_cannot_be_drawn_is_refused(material, densities, size_nm, words, rng):
    densities = {kind or next(iter(material.defects)): v for kind, v in densities.items()}
    with pytest.raises(SimulationError, match=words):
        material.specimen(densities, size_nm, 0.0, rng)


# Si(111)-7x7


def test_a_cell_is_that_of_the_stacking_fault_model():
    """12 adatoms, 42 atoms below of which 6 are rest atoms, 9 dimers on its sides, a hole."""
    assert pytest.approx(2.688, abs=1e-3) == CELL_NM
    cells = 900 / LATTICE.cell_nm2
    piece = drawn(SI111, size_nm=30.0)
    names = Counter(SI111.kinds[kind].name for kind in piece.kinds)
    expected = {"rest atom": 6, "back-bond atom": 36, "dimer atom": 48, "corner hole atom": 1}
    expected |= {f"{place} adatom": 3 for place in ("corner", "centre")}
    expected |= {f"faulted {place} adatom": 3 for place in ("corner", "centre")}
    assert names.keys() == expected.keys()
    for name, count in expected.items():
        assert names[name] / cells == pytest.approx(count, rel=0.1)

    tree = KDTree(of(SI111, piece, "dimer"))
    nearest = tree.query(tree.data, 2)[0][:, 1]
    assert np.mean(np.isclose(nearest, 0.245)) == pytest.approx(18 / 48, rel=0.15)


def test_adatoms_are_where_they_are_seen():
    """At 0.77 nm from each other in a half, 0.67 nm across its sides and from the corner hole."""
    piece = drawn(SI111, size_nm=20.0, angle_deg=33.0)
    adatoms, holes = of(SI111, piece, "adatom")[:, :2], of(SI111, piece, "hole")[:, :2]
    inner = adatoms[abs(adatoms).max(1) < 8]
    apart = np.unique(KDTree(adatoms).query(inner, 4)[0][:, 1:].round(4))
    a = CELL_NM / 7
    assert apart[[0, -1]] == pytest.approx((math.sqrt(3) * a, 2 * a), abs=1e-4)
    assert apart.size == 2
    around = KDTree(adatoms).query(holes[abs(holes).max(1) < 8], 7)[0]
    assert around[:, :6] == pytest.approx(math.sqrt(3) * a)
    assert (around[:, 6] > 1).all()
    # A rest atom lies between three adatoms.
    rest = of(SI111, piece, "rest")[:, :2]
    beside = KDTree(adatoms).query(rest[abs(rest).max(1) < 8], 4)[0]
    assert beside[:, :3] == pytest.approx(2 / math.sqrt(3) * a)
    assert (beside[:, 3] > 0.7).all()


def test_filled_states_tell_the_halves_apart_and_empty_ones_do_not():
    places = [
        f"{fault}{place} adatom" for fault in ("faulted ", "") for place in ("corner", "centre")
    ]
    filled = {place: states(SI111, place, -1.5) for place in places}
    for place in ("corner", "centre"):
        assert filled[f"faulted {place} adatom"] > 1.3 * filled[f"{place} adatom"]
    for fault in ("faulted ", ""):
        assert filled[f"{fault}corner adatom"] > 1.3 * filled[f"{fault}centre adatom"]
    empty = [states(SI111, place, 1.5) for place in places]
    assert max(empty) < 1.1 * min(empty)
    assert states(SI111, "rest atom", -1.5) > 1.5 > 0.8 > states(SI111, "rest atom", -0.4)
    assert states(SI111, "reacted adatom", -1.5) < 0.2 * min(filled.values())


def test_an_image_of_filled_states_shows_rest_atoms_and_one_of_empty_states_does_not():
    """Against the middle of three back-bonded atoms as far from the adatoms: hardly brighter."""
    piece = drawn(SI111, size_nm=9.0)
    step = 0.02
    x = np.arange(-1.6, 1.6, step)
    raised = {}
    for bias_V in (-1.5, 1.5):
        z = heights(SI111, piece, bias_V, x, x, 0.35)
        assert np.ptp(z) == pytest.approx(0.2, abs=0.06), "corner holes are 0.2 nm deep"
        of_z = {}
        for word in ("rest", "adatom"):
            xy = of(SI111, piece, word)[:, :2]
            column, row = np.rint((xy[abs(xy).max(1) < 1.5] + 1.6) / step).astype(int).T
            of_z[word] = z[row, column]
        raised[bias_V] = of_z["adatom"].mean() - of_z["rest"].mean()
    assert raised[-1.5] < 0.05 < raised[1.5]


@pytest.mark.parametrize(
    ("kind", "word", "z_nm"),
    [("dark adatom", "reacted", 0.0), ("bright adsorbate", "adsorbate", silicon111.ABOVE_NM)],
)
def test_a_changed_adatom_is_where_the_list_says(kind, word, z_nm):
    piece = drawn(SI111, 2, **{kind.replace(" ", "_"): 0.1})
    atoms = of(SI111, piece, word)
    assert 5 < len(atoms) == len(at(piece, kind))
    assert KDTree(atoms[:, :2]).query(at(piece, kind))[0] == pytest.approx(0)
    assert (atoms[:, 2] == z_nm).all()


def test_a_missing_adatom_leaves_its_three_neighbours_below():
    piece = drawn(SI111, 3, missing_adatom=0.1)
    places = at(piece, "missing adatom")
    places = places[abs(places).max(1) < 5.5]
    assert len(places) > 5
    assert KDTree(of(SI111, piece, "adatom")[:, :2]).query(places)[0].min() > 0.6
    below = KDTree(of(SI111, piece, "back-bond")[:, :2]).query(places, 3)[0]
    assert below == pytest.approx(CELL_NM / 7 / math.sqrt(3))


def test_a_step_is_two_layers_high_and_runs_along_cells():
    piece = drawn(SI111, 1, 20.0, 25.0, step=1.0)
    z = np.unique(of(SI111, piece, "adatom")[:, 2])
    assert z == pytest.approx([-BILAYER_NM, 0])
    assert pytest.approx(0.3136, abs=1e-4) == BILAYER_NM
    edge = at(piece, "step")
    along = np.array((math.cos(math.radians(25)), math.sin(math.radians(25))))
    assert len(edge) > 5
    assert np.diff(edge, axis=0) == pytest.approx(np.tile(along * CELL_NM / 3, (len(edge) - 1, 1)))
    across = np.array((-along[1], along[0]))
    adatoms = of(SI111, piece, "adatom")
    beyond = (adatoms[:, :2] - edge[0]) @ across
    assert beyond[adatoms[:, 2] == 0].max() < 0 < beyond[adatoms[:, 2] < 0].max()


def test_cells_are_shifted_beyond_a_domain_wall():
    """The holes on either side lie on one lattice each, apart by sevenths of a cell."""
    piece = drawn(SI111, 4, 25.0, 0.0, domain_wall=1.0)
    wall, holes = at(piece, "domain wall")[0], of(SI111, piece, "hole")
    xy = (holes[:, :2] - wall) @ np.linalg.inv(LATTICE.vectors_nm)
    phases = [
        np.exp(2j * np.pi * xy[part, 0]).mean() for part in (xy[:, 1] > -0.5, xy[:, 1] < -0.5)
    ]
    assert np.abs(phases) == pytest.approx(1)
    sevenths = np.angle(phases[1] / phases[0]) / (2 * np.pi) * 7
    assert sevenths == pytest.approx(round(sevenths), abs=1e-6)
    assert round(sevenths) % 7 != 0


# Si(001):H


def in_the_middle(piece: Specimen) -> bool:
    """Whether a step has much of either terrace on its sides."""
    lower = np.mean(piece.positions_nm[:, 2] < 0)
    return 0.3 < lower < 0.7


def test_rows_and_dimers_are_where_they_are_in_an_image():
    """Within one Fourier bin: 0.768 nm across the rows, 0.384 nm along them."""
    piece = drawn(SI001H, size_nm=16.0)
    n, size = 160, 10.0
    x = np.arange(n) * size / n - size / 2
    z = heights(SI001H, piece, -2.0, x, x, 0.4)
    spectrum = abs(np.fft.fft2(z - z.mean()))[: n // 2, : n // 2]
    rows, columns = spectrum.sum(1)[1:].argmax() + 1, (spectrum[0, 10:]).argmax() + 10
    assert rows / size == pytest.approx(1 / 0.7681, abs=1 / size)
    assert columns / size == pytest.approx(1 / 0.3840, abs=1 / size)
    assert 0.04 < np.ptp(z) < 0.08


def test_a_step_is_a_quarter_of_the_lattice_constant_and_turns_the_rows():
    piece = next(p for p in (drawn(SI001H, s, step=1.0) for s in range(40)) if in_the_middle(p))
    line = np.linspace(-4.5, 4.5, 120)
    z = heights(SI001H, piece, -2.0, line, line, 0.3)
    pixels = np.stack(np.meshgrid(line, line), -1)
    nearest = KDTree(piece.positions_nm[:, :2]).query(pixels)[1]
    far = KDTree(at(piece, "step")).query(pixels)[0] > 1.5
    upper, lower = (z[far & (piece.positions_nm[nearest, 2] == level)] for level in (0.0, -STEP_NM))
    assert min(upper.size, lower.size) > 1000
    assert upper.mean() - lower.mean() == pytest.approx(0.1358, abs=1e-3)
    levels = np.unique(piece.positions_nm[:, 2])
    assert levels == pytest.approx([-STEP_NM, 0])
    for level, axis in ((0.0, 1), (-STEP_NM, 0)):
        pairs = piece.positions_nm.reshape(-1, 2, 3)
        across = pairs[pairs[:, 0, 2] == level].mean(1)[:, axis]
        gaps = np.diff(np.unique(across.round(6)))
        assert gaps == pytest.approx(ROW_NM, abs=1e-5)


def test_the_edge_of_a_step_is_listed_where_the_terraces_meet():
    pieces = [p for p in (drawn(SI001H, s, 15.0, 30.0, step=1.0) for s in range(20))]
    pieces = [piece for piece in pieces if in_the_middle(piece)]
    assert len(pieces) > 3
    for piece in pieces:
        places = at(piece, "step")
        places = places[abs(places).max(1) < 6]
        for level in (0.0, -STEP_NM):
            terrace = piece.positions_nm[piece.positions_nm[:, 2] == level, :2]
            assert KDTree(terrace).query(places)[0].max() < ROW_NM


def test_there_is_no_trench_along_a_step():
    pieces = (drawn(SI001H, s, 8.0, 30.0, step=1.0) for s in range(30))
    line = np.linspace(-2.5, 2.5, 60)
    flat = heights(SI001H, drawn(SI001H, 0, 8.0), -2.0, line, line, 0.3).min()
    for piece in [piece for piece in pieces if in_the_middle(piece)][:6]:
        z = heights(SI001H, piece, -2.0, line, line, 0.3)
        assert z.min() > flat - STEP_NM - 0.01


def test_a_vacancy_is_a_run_of_dimers_listed_once():
    piece = drawn(SI001H, 5, 30.0, missing_dimer=0.02)
    gone = of(SI001H, piece, "second").reshape(-1, 2, 3).mean(1)
    places = at(piece, "missing dimer")
    assert gone[:, 2] == pytest.approx(-silicon001.SECOND_NM)
    assert 1.2 < len(gone) / len(places) < 2.6
    # In their row, at its middle.
    distance = KDTree(gone[:, :2]).query(places)[0]
    assert distance.max() <= DIMER_NM / 2 + 1e-9


@pytest.mark.parametrize(("kind", "atoms"), [("dangling bond", 1), ("double dangling bond", 2)])
def test_a_dangling_bond_is_bright(kind, atoms):
    piece = drawn(SI001H, 6, 9.0, **{kind.replace(" ", "_"): 0.12})
    places = at(piece, kind)
    bonds = of(SI001H, piece, "dangling")
    assert len(bonds) == atoms * len(places) > 0
    assert KDTree(bonds[:, :2]).query(places)[0] == pytest.approx(0 if atoms == 1 else 0.19)
    if atoms == 1:
        partners = KDTree(of(SI001H, piece, "hydrogen")[:, :2]).query(bonds[:, :2])[0]
        assert partners == pytest.approx(silicon001.HALF_NM + silicon001.BOND_NM)
    line = np.linspace(-3, 3, 100)
    z = heights(SI001H, piece, -2.0, line, line, 0.4)
    assert 0.06 < z.max() - np.median(z) < 0.22


def test_siloxane_is_dark_on_one_side():
    assert states(SI001H, "siloxane atom", -2) < 0.2 * states(SI001H, "hydrogenated dimer atom", -2)
    piece = drawn(SI001H, 7, siloxane=0.1)
    dark = of(SI001H, piece, "siloxane")
    assert KDTree(dark[:, :2]).query(at(piece, "siloxane"))[0] == pytest.approx(0)
    assert len(dark) == len(at(piece, "siloxane")) > 5


@pytest.mark.parametrize("kind", CLUSTERS)
def test_what_lies_on_the_surface_is_listed_at_an_atom_of_its_own(kind):
    piece = drawn(SI001H, 8, 20.0, **{kind.replace(" ", "_"): 0.03})
    added = of(SI001H, piece, "adsorbate")
    assert len(at(piece, kind)) > 3
    assert KDTree(added[:, :2]).query(at(piece, kind))[0] == pytest.approx(0)
    assert 0 <= added[:, 2].min() <= added[:, 2].max() <= 0.04 + 1e-9


def test_each_bump_is_listed_that_stands_out():
    cluster = np.array([(0.3, 0, 0.2), (0, 0, 0.3), (0.7, 0, 0.1), (0.9, 0, 0.05)])
    assert silicon001._standing_out(cluster).tolist() == [[0, 0], [0.7, 0]]
    piece = drawn(SI001H, 8, 40.0, adsorbate=0.003)
    bumps, listed = of(SI001H, piece, "adsorbate")[:, :2], at(piece, "adsorbate")
    assert KDTree(listed).query(bumps)[0].max() < silicon001.APART_NM
    assert 0.003 * 40**2 < len(listed) < len(bumps)


def test_rows_are_shifted_by_half_beyond_an_antiphase_boundary():
    piece = drawn(SI001H, 1, antiphase_boundary=1.0)
    boundary = at(piece, "antiphase boundary")
    assert len(boundary) > 10
    assert np.ptp(boundary[:, 0]) == pytest.approx(0, abs=1e-9)
    x, y, _ = piece.positions_nm.reshape(-1, 2, 3).mean(1).T
    left, right = (
        np.exp(2j * np.pi * y[part] / ROW_NM).mean()
        for part in (x <= boundary[0, 0], x > boundary[0, 0])
    )
    assert left / right == pytest.approx(-1)
