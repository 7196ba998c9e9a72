"""Tips: tungsten's lattice, the densities of its atoms, and what the shape of a tip does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial import KDTree

from scanmend.crystals import tungsten
from scanmend.crystals.tight_binding import broadened
from scanmend.errors import SimulationError
from scanmend.stm.current import Electrode, Junction, direct
from scanmend.stm.tip import ENERGIES_EV, REACH_NM, SHAPES, Tip
from scanmend.stm.topograph import constant_current

FLAT_EV = np.linspace(-2, 2, 9)


def surface(pitch_nm: float, half_nm: float, missing: bool = False) -> Electrode:
    """Atoms on a square lattice around the origin, where one may be missing; even densities."""
    line = np.arange(-half_nm, half_nm + 1e-9, pitch_nm)
    x, y = np.meshgrid(line, line)
    positions = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], 1)
    if missing:
        positions = positions[np.hypot(x, y).ravel() > 1e-6]
    return Electrode(positions, FLAT_EV, np.full((len(positions), FLAT_EV.size), 0.3))


def image(tip: Tip, sample: Electrode, side_nm: np.ndarray, bias_V: float = -2.0) -> np.ndarray:
    """A topograph."""
    junction = Junction(sample, tip.electrode(), bias_V)
    return constant_current(junction, side_nm, side_nm, 0.05, (0.3, 1.1))


def turned(positions_nm: np.ndarray, angle_deg: float) -> np.ndarray:
    """From x towards y."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return positions_nm @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def test_spacing_of_layers():
    assert tungsten.spacing_nm((1, 1, 1)) == pytest.approx(0.09137, rel=1e-3)
    assert tungsten.spacing_nm((0, 0, 1)) == pytest.approx(0.15825, rel=1e-3)
    assert tungsten.spacing_nm((0, 2, 2)) == pytest.approx(0.2238, rel=1e-3)


@pytest.mark.parametrize("axis", [(1, 1, 1), (0, 0, 1), (1, 1, 0), (-2, 1, 1), (3, 1, 0)])
def test_layers_are_where_their_spacing_says(axis):
    turn = tungsten.upright(axis)
    assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    assert turn @ axis == pytest.approx([0, 0, math.hypot(*axis)], abs=1e-12)
    heights = np.unique(np.round((tungsten.atoms([-1] * 3, [1] * 3) @ turn.T)[:, 2], 6))
    middle = np.diff(heights[abs(heights) < 0.6])
    assert middle == pytest.approx(tungsten.spacing_nm(axis), abs=2e-6)


def test_there_are_as_many_atoms_as_their_volume_has(rng):
    cells = np.array([5, 6, 7])
    assert len(tungsten.atoms([0] * 3, (cells - 0.1) * tungsten.A_NM)) == 2 * cells.prod()
    sizes, places = rng.uniform(1, 3, (100, 3)), rng.uniform(-1, 1, (100, 3))
    counts = [len(tungsten.atoms(p, p + s)) for p, s in zip(places, sizes, strict=True)]
    assert sum(counts) == pytest.approx(tungsten.ATOMS_PER_NM3 * sizes.prod(1).sum(), rel=0.01)
    # Those of a tip lie with some on its faces: half a layer more or less all around.
    assert len(SHAPES["W(111)"]()) == 13**3 + 12**3
    assert len(SHAPES["W(111)"]()) == pytest.approx(tungsten.ATOMS_PER_NM3 * 4**3, rel=0.05)
    cone_nm3 = math.pi * 3**2 * 3 / 3
    assert len(SHAPES["W(001)"]()) == pytest.approx(tungsten.ATOMS_PER_NM3 * cone_nm3, rel=0.05)


def test_a_tip_is_as_long_and_wide_as_it_should_be():
    cube, cone = SHAPES["W(111)"](), SHAPES["W(001)"]()
    assert np.ptp(cube[:, 2]) == pytest.approx(4 * math.sqrt(3), abs=math.sqrt(3) * 0.25)
    assert np.ptp(cone[:, 2]) == pytest.approx(3, abs=0.16)
    assert np.hypot(cone[:, 0], cone[:, 1]).max() == pytest.approx(3, abs=0.16)
    for atoms in (cube, cone):
        assert atoms[np.argmin(atoms[:, 2])] == pytest.approx([0, 0, 0], abs=1e-12)


@pytest.mark.parametrize(("shape", "fold"), [("W(111)", 3), ("W(001)", 4)])
@pytest.mark.parametrize("dulled", range(4))
def test_a_tip_has_the_symmetry_of_its_axis(shape, fold, dulled):
    must_be_symmetric(Tip(shape, dulled).electrode(), fold)


def test_so_has_one_that_ends_in_the_middle_of_a_layer():
    must_be_symmetric(Tip("W(001)", 2, end_atoms=1).electrode(), 4)
    must_be_symmetric(Tip("W(111)", 3, end_atoms=3).electrode(), 3)


def must_be_symmetric(tip: Electrode, fold: int) -> None:
    """Its atoms and densities are the same after a turn."""
    distance, same = KDTree(tip.positions_nm).query(turned(tip.positions_nm, 360 / fold))
    assert distance.max() < 1e-6
    assert sorted(same) == list(range(len(same)))
    assert np.abs(tip.ldos_per_eV[same] - tip.ldos_per_eV).max() < 1e-6


@pytest.mark.parametrize(
    ("shape", "layers"), [("W(111)", (1, 3, 1, 6, 3, 10)), ("W(001)", (1, 4, 5, 12, 21, 24))]
)
def test_dulling_takes_whole_layers(shape, layers):
    intact = Tip(shape).electrode().positions_nm
    heights, counts = np.unique(np.round(intact[:, 2], 6), return_counts=True)
    assert tuple(counts[: len(layers)]) == layers
    for dulled, height in enumerate(heights[:4]):
        found = Tip(shape, dulled).electrode().positions_nm
        left = intact[intact[:, 2] > height - 1e-5] - (0, 0, height)
        assert np.sum(abs(found[:, 2]) < 1e-6) == layers[dulled]
        assert found[:, 2].min() == pytest.approx(0, abs=1e-12)
        assert KDTree(found).query(left)[0].max() < 2e-6
        within = found[:, 2] < REACH_NM - height - 1e-5
        assert within.sum() == np.sum(left[:, 2] < REACH_NM - height - 1e-5)


def test_densities_equal_those_of_all_states_of_a_small_piece():
    piece = tungsten.atoms([0] * 3, [0.45] * 3)
    distance = np.linalg.norm(piece[:, None] - piece, axis=-1)
    neighbours = (distance > 0.1) & (distance < 0.3)
    states, vectors = np.linalg.eigh(tungsten.HOPPING_EV * neighbours)
    expected = broadened(ENERGIES_EV, states, vectors**2, 0.15)
    chains = tungsten.chains(piece, np.arange(len(piece)), levels=len(piece))
    assert (chains[1][-1] == 0).all()
    found = tungsten.ldos_per_eV(*chains, ENERGIES_EV, 0.15)
    assert np.abs(found - expected).max() < 1e-9 * expected.max()


def test_an_atom_has_one_state_and_half_of_it_is_filled():
    piece = SHAPES["W(001)"]()
    chosen = np.array([0, 1, 40, 400, len(piece) - 1])
    angle = (np.arange(20000) + 0.5) / 20000 * math.pi - math.pi / 2
    energies = 2 * np.tan(angle)  # all of them, in unequal steps
    ldos = tungsten.ldos_per_eV(*tungsten.chains(piece, chosen), energies)
    weights = 2 / np.cos(angle) ** 2 * math.pi / angle.size
    assert ldos.min() >= 0
    assert ldos @ weights == pytest.approx(1, abs=1e-5)
    assert (ldos * (energies < 0)) @ weights == pytest.approx(0.5, abs=1e-5)


def test_the_second_moment_counts_neighbours():
    piece = SHAPES["W(111)"]()
    neighbours = np.array([len(near) - 1 for near in KDTree(piece).query_ball_point(piece, 0.28)])
    chosen = np.array([np.flatnonzero(neighbours == n)[0] for n in np.unique(neighbours)])
    a, b = tungsten.chains(piece, chosen, 1)
    assert neighbours.max() == 8
    assert np.abs(a).max() < 1e-12
    assert b[0] ** 2 == pytest.approx(neighbours[chosen] * tungsten.HOPPING_EV**2)


def bulk() -> tuple[np.ndarray, np.ndarray]:
    """The chain of an atom with 2.2 nm of tungsten on all sides."""
    piece = tungsten.atoms([-2.2] * 3, [2.2] * 3)
    return tungsten.chains(piece, np.array([np.argmin(np.linalg.norm(piece, axis=1))]))


def test_the_crystal_within_has_the_whole_band():
    chains, energies = bulk(), np.linspace(-20, 20, 4001)
    assert chains[1][-1] == pytest.approx(4, rel=0.03)  # what the chain goes on with
    ldos = tungsten.ldos_per_eV(*chains, energies, 0.002)[0]
    inside = abs(energies) < 8 * abs(tungsten.HOPPING_EV)
    assert ldos[inside].sum() * 0.01 == pytest.approx(1, abs=0.003)
    assert ldos[~inside][10:-10].max() < 0.05 * ldos.max()


def test_an_apex_atom_has_a_higher_and_narrower_density():
    inside = tungsten.ldos_per_eV(*bulk(), ENERGIES_EV)[0]
    apex = Tip().electrode().ldos_per_eV[0]
    near, far = abs(ENERGIES_EV) < 1, abs(ENERGIES_EV) > 1.5
    assert apex.max() > 2.5 * inside.max()
    assert apex[near].sum() > 1.8 * inside[near].sum()
    assert (apex < inside)[far].all()


@pytest.mark.parametrize(("shape", "hop_nm"), [("W(111)", 0.2741), ("W(001)", 0.1583)])
def test_the_apex_does_not_see_the_far_end_of_its_tip(shape, hop_nm):
    whole, apex = SHAPES[shape](), np.zeros(1, int)
    whole = whole[np.argsort(whole[:, 2])]

    def ldos(up_to_nm: float, levels: int = tungsten.LEVELS) -> np.ndarray:
        piece = whole[whole[:, 2] < up_to_nm]
        return tungsten.ldos_per_eV(*tungsten.chains(piece, apex, levels), ENERGIES_EV)[0]

    exact = ldos(9.0)
    assert ldos(tungsten.LEVELS * hop_nm + 0.01) == pytest.approx(exact, rel=1e-9)
    assert np.abs(ldos(1.0) - exact).max() > 0.05 * exact.max()
    # Nor does the length of the chain matter, less and less so.
    steps = [np.abs(ldos(9.0, n) - ldos(9.0, n + 2)).max() / exact.max() for n in (2, 6, 10, 14)]
    assert steps == sorted(steps, reverse=True)
    assert steps[-2] < 0.03


@pytest.mark.parametrize("shape", ["W(111)", "W(001)"])
def test_atoms_that_are_left_out_do_not_matter(shape):
    tip, whole = Tip(shape).electrode(), SHAPES[shape]()
    others = whole[whole[:, 2] > REACH_NM]
    most = np.full((len(others), ENERGIES_EV.size), tip.ldos_per_eV.max())
    here, sample = np.zeros(1), surface(0.3, 2.4)
    current, left_out = (
        direct(Junction(sample, end, -1.0), here, here, 0.5)[0][0, 0]
        for end in (tip, Electrode(others, ENERGIES_EV, most))
    )
    assert len(tip.positions_nm) < 100
    assert left_out / current < 2e-5


def test_densities_are_known_at_the_energies_asked_for():
    energies = np.linspace(-0.8, 0.1, 10)
    found, usual = Tip().electrode(energies), Tip().electrode()
    assert found.energies_eV == pytest.approx(energies)
    assert np.abs(found.ldos_per_eV - usual.ldos_at(energies)).max() < 0.01


def test_only_the_first_tip_of_a_shape_takes_long(monkeypatch):
    first = Tip("W(111)", 1).electrode()
    monkeypatch.setattr(tungsten, "chains", lambda *_: pytest.fail("calculated again"))
    monkeypatch.setattr(tungsten, "ldos_per_eV", lambda *_: pytest.fail("calculated again"))
    other = Tip("W(111)", 1, rotation_deg=20, tilt_deg=5, apices=((0.8, 0, 0.1),)).electrode()
    assert len(other.positions_nm) > len(first.positions_nm)


def test_the_single_atom():
    tip = Tip("atom").electrode()
    assert tip.positions_nm.tolist() == [[0, 0, 0]]
    assert np.ptp(tip.ldos_per_eV) == 0


@pytest.mark.parametrize(
    ("shape", "dulled", "count", "nearest_nm"),
    [("W(111)", 1, 2, 0.4476), ("W(111)", 3, 3, 0.4476), ("W(001)", 1, 2, 0.3165)],
)
def test_an_apex_may_end_in_a_few_atoms(shape, dulled, count, nearest_nm):
    tip = Tip(shape, dulled, end_atoms=count).electrode()
    end = tip.positions_nm[:count]
    assert np.sum(tip.positions_nm[:, 2] < 1e-6) == count
    assert end.mean(0) == pytest.approx([0, 0, 0], abs=1e-9)
    apart = np.linalg.norm(end[:, None] - end, axis=-1)[np.triu_indices(count, 1)]
    assert apart == pytest.approx(nearest_nm, abs=1e-4)
    full = Tip(shape, dulled).electrode()
    assert np.sum(full.positions_nm[:, 2] < 1e-6) > count


def test_a_tip_leans_and_rotates():
    upright, leaning = (Tip(dulled=1, tilt_deg=angle).electrode() for angle in (0, 8))
    assert leaning.positions_nm[0, 2] == 0
    assert leaning.positions_nm[1, 2] > 0.01  # of three lowest atoms, one or two
    high = leaning.positions_nm[leaning.positions_nm[:, 2] > 0.6]
    assert upright.positions_nm[upright.positions_nm[:, 2] > 0.6, 0].mean() < 0.02
    assert high[:, 0].mean() > 0.04
    rotated = Tip(dulled=1, tilt_deg=8, rotation_deg=70).electrode()
    distance, same = KDTree(rotated.positions_nm).query(turned(leaning.positions_nm, 70))
    assert distance.max() < 1e-9
    assert np.array_equal(rotated.ldos_per_eV[same], leaning.ldos_per_eV)


def test_the_current_of_a_double_tip_is_that_of_two():
    sample, x = surface(0.6, 2.4, missing=True), np.linspace(-0.5, 0.5, 5)
    single = Junction(sample, Tip().electrode(), -1.0)
    for rise, tolerance in ((0.0, 1e-12), (0.02, 1e-6)):  # the second, higher, ends in fewer atoms
        double = Junction(sample, Tip(apices=((1.5, 0.4, rise),)).electrode(), -1.0)
        found = direct(double, x, x, 0.5)[0]
        expected = direct(single, x, x, 0.5)[0] + direct(single, x + 1.5, x + 0.4, 0.5 + rise)[0]
        assert found == pytest.approx(expected, rel=tolerance)


def test_a_double_tip_shows_everything_twice():
    sample, side = surface(0.33, 3.3, missing=True), np.linspace(-2.1, 0.9, 61)
    single, double = (
        image(tip, sample, side)[42] for tip in (Tip(), Tip(apices=((1.5, 0, 0.02),)))
    )

    def holes(heights: np.ndarray) -> np.ndarray:
        deep = heights < heights.max() - 0.25 * np.ptp(heights)
        return (side[:-1] + 0.025)[np.diff(deep.astype(int)) != 0].reshape(-1, 2).mean(1)

    assert holes(single) == pytest.approx([0], abs=0.06)
    assert holes(double) == pytest.approx([-1.5, 0], abs=0.06)


def test_a_symmetric_tip_and_surface_give_a_symmetric_image():
    sample, side = surface(0.6, 2.4, missing=True), np.linspace(-0.9, 0.9, 15)
    for dulled in (0, 1):
        found = image(Tip("W(001)", dulled), sample, side)
        for same in (np.rot90(found), found.T, found[::-1]):
            assert np.abs(same - found).max() < 1e-7
            assert np.ptp(found) > 0.02


def test_the_image_turns_with_the_tip():
    sample, side = surface(0.6, 2.4, missing=True), np.linspace(-0.9, 0.9, 15)
    plain, rotated = (image(Tip(dulled=1, rotation_deg=a), sample, side) for a in (0, 90))
    assert np.abs(np.rot90(plain, -1) - rotated).max() < 1e-7  # rows go downwards
    assert np.abs(plain - rotated).max() > 0.005


@pytest.mark.parametrize("shape", ["W(111)", "W(001)"])
def test_a_blunter_tip_shows_less(shape):
    sample, side = surface(0.77, 3.08, missing=True), np.linspace(-0.9, 0.9, 20)
    corrugations = [np.ptp(image(Tip(shape, dulled), sample, side)) for dulled in (0, 1, 3, 5)]
    assert corrugations == sorted(corrugations, reverse=True)
    assert corrugations[0] > 3 * corrugations[-1]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"shape": "W(110)"}, r"no tip is called 'W\(110\)'; there are W\(111\), W\(001\), atom"),
        ({"dulled": 9}, r'dulled by 0 to 6 layers, as "W\(111\)" has 7 at its end, got dulled = 9'),
        ({"dulled": -1}, r"dulled by 0 to 6 layers, .* got dulled = -1"),
        ({"shape": "atom", "dulled": 1}, r'dulled by 0 to 0 layers, as "atom" has 1 at its end'),
        ({"dulled": 1, "end_atoms": 4}, r"dulled by 1, has 3 atoms to end in, got end_atoms = 4"),
        ({"tilt_deg": 30.0}, r"leans by 0 to 10 degrees, .* got 30.0 and 0.0"),
        ({"rotation_deg": math.nan}, r"rotated by any finite angle, got 0.0 and nan"),
        ({"apices": ((1.0, 0.0, -0.1),)}, r"no lower than the first, .* begin with the lowest"),
        ({"apices": ((1.0, 0.0),)}, r"a further apex ends at \(x, y, z\) nm"),
    ],
)
def test_what_no_tip_can_be(wrong, text):
    with pytest.raises(SimulationError, match=text):
        Tip(**wrong)


def test_what_no_piece_of_tungsten_can_be():
    with pytest.raises(SimulationError, match=r"no tungsten atom is between"):
        tungsten.atoms([0.05] * 3, [0.1] * 3)
    with pytest.raises(SimulationError, match=r"two finite corners x, y, z, got .*inf"):
        tungsten.atoms([0] * 3, [math.inf] * 3)
    with pytest.raises(SimulationError, match=r"three indices, not all of them 0, got \(0, 0, 0\)"):
        tungsten.spacing_nm((0, 0, 0))
