"""The models of a dichalcogenide layer, and the electrons of pieces of surface."""

from __future__ import annotations

import numpy as np
import pytest

from scanmend.crystals.dichalcogenide_bands import eleven_band, single_orbital, three_band
from scanmend.crystals.lattice import GRAPHENE, MOS2
from scanmend.crystals.slater_koster import ORBITALS, slater_koster, turned
from scanmend.crystals.specimen import Kind, Material, Specimen
from scanmend.crystals.tight_binding import VACANCY_EV, broadened, diagonalise, graphene
from scanmend.errors import SimulationError
from scanmend.stm.electrons import Electrons
from scanmend.stm.green import LatticeGreen

MODELS = (single_orbital, three_band, eleven_band)
FILLED = {single_orbital: 1, three_band: 1, eleven_band: 7}
INTEGRALS = (1.3, -0.4, 0.2)


def a_turn(rng) -> np.ndarray:
    """About some axis by some angle, half of them with a mirror."""
    return np.linalg.qr(rng.standard_normal((3, 3)))[0]


# Slater and Koster's rules


@pytest.mark.parametrize("first", ORBITALS)
@pytest.mark.parametrize("second", ORBITALS)
def test_hoppings_turn_with_the_atoms(first, second, rng):
    towards, turn = rng.standard_normal(3), a_turn(rng)
    before = slater_koster(first, second, towards, INTEGRALS)
    after = slater_koster(first, second, turn @ towards, INTEGRALS)
    here, there = turned(first, turn), turned(second, turn)
    assert after == pytest.approx(here @ before @ there.T, abs=1e-12)
    assert here @ here.T == pytest.approx(np.eye(len(here)), abs=1e-12)
    assert turned(first, turn @ turn) == pytest.approx(here @ here, abs=1e-12)


@pytest.mark.parametrize("first", ORBITALS)
@pytest.mark.parametrize("second", ORBITALS)
def test_hoppings_are_the_same_from_the_other_end(first, second, rng):
    towards = rng.standard_normal(3)
    there = slater_koster(first, second, towards, INTEGRALS)
    back = slater_koster(second, first, -towards, INTEGRALS)
    assert there == pytest.approx(back.T, abs=1e-12)


def test_hoppings_are_those_of_slater_and_koster(rng):
    towards = rng.standard_normal(3)
    l, m, n = towards / np.linalg.norm(towards)  # noqa: E741, their letters
    sigma, pi, delta = INTEGRALS
    pd, dd = (slater_koster(one, "d", towards, INTEGRALS) for one in "pd")
    z, x, _ = range(3)
    z2, _, _, x2y2, xy = range(5)
    r3 = np.sqrt(3)
    table = {  # table I
        pd[x, xy]: r3 * l * l * m * sigma + m * (1 - 2 * l * l) * pi,
        pd[x, x2y2]: r3 / 2 * l * (l * l - m * m) * sigma + l * (1 - l * l + m * m) * pi,
        pd[z, z2]: n * (n * n - (l * l + m * m) / 2) * sigma + r3 * n * (l * l + m * m) * pi,
        dd[xy, xy]: 3 * l * l * m * m * sigma
        + (l * l + m * m - 4 * l * l * m * m) * pi
        + (n * n + l * l * m * m) * delta,
        dd[x2y2, z2]: r3 / 2 * (l * l - m * m) * (n * n - (l * l + m * m) / 2) * sigma
        + r3 * n * n * (m * m - l * l) * pi
        + r3 / 4 * (1 + n * n) * (l * l - m * m) * delta,
    }
    assert list(table) == pytest.approx(list(table.values()), abs=1e-12)


# The layer


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("name", "gap_eV"), [("MoS2", 1.663), ("WSe2", 1.540)])
def test_dichalcogenides_have_their_gap_at_k(model, name, gap_eV):
    crystal = model(name)
    bands = crystal.bands_eV(crystal.lattice.k_point_per_nm)
    valence, conduction = bands[FILLED[model] - 1 : FILLED[model] + 1]
    if model is eleven_band:
        gap_eV = {"MoS2": 1.845, "WSe2": 1.633}[name]
    assert conduction - valence == pytest.approx(gap_eV, abs=2e-3)
    assert conduction == pytest.approx(-valence), "the Fermi level is in the middle"


@pytest.mark.parametrize("name", ["MoS2", "WSe2"])
def test_the_gap_of_eleven_bands_is_direct(name):
    crystal = eleven_band(name)
    k_per_nm = np.moveaxis(np.indices((60, 60)), 0, -1) / 60 @ crystal.lattice.reciprocal_per_nm
    bands, at_k = crystal.bands_eV(k_per_nm), crystal.bands_eV(crystal.lattice.k_point_per_nm)
    assert bands[..., 6].max() == pytest.approx(at_k[6], abs=1e-9)
    assert bands[..., 7].min() == pytest.approx(at_k[7], abs=1e-9)


@pytest.mark.parametrize("name", ["MoS2", "WSe2"])
def test_single_orbitals_are_as_heavy_as_three_bands(name):
    def reduced_mass(crystal):
        k = crystal.lattice.k_point_per_nm
        (v, c, *_), (v_k, c_k, *_) = crystal.bands_eV(k + np.array(((0.05, 0), (0, 0))))
        return 1 / ((c - c_k) - (v - v_k))

    ratio = reduced_mass(single_orbital(name)) / reduced_mass(three_band(name))
    assert ratio == pytest.approx(1, abs=0.1)


def test_three_bands_have_the_hamiltonian_that_liu_prints(rng):
    lattice = three_band("MoS2").lattice
    e1, e2, t0, t1, t2, t11, t12, t22 = (  # MoS2; equations 9 to 16
        *(1.046, 2.104, -0.184, 0.401),
        *(0.507, 0.218, 0.338, 0.057),
    )
    k, a = rng.uniform(-20, 20, (50, 2)), lattice.vectors_nm[0, 0]
    alpha, beta, r3 = k[:, 0] * a / 2, k[:, 1] * a * np.sqrt(3) / 2, np.sqrt(3)
    (sa, ca), (sb, cb) = (np.sin(alpha), np.cos(alpha)), (np.sin(beta), np.cos(beta))
    s2, c2 = np.sin(2 * alpha), np.cos(2 * alpha)
    h = np.empty((50, 3, 3), complex)
    h[:, 0, 0] = e1 + 2 * t0 * (2 * ca * cb + c2)
    h[:, 0, 1] = -2 * r3 * t2 * sa * sb + 2j * t1 * (s2 + sa * cb)
    h[:, 0, 2] = 2 * t2 * (c2 - ca * cb) + 2j * r3 * t1 * ca * sb
    h[:, 1, 1] = e2 + (t11 + 3 * t22) * ca * cb + 2 * t11 * c2
    h[:, 2, 2] = e2 + (3 * t11 + t22) * ca * cb + 2 * t22 * c2
    h[:, 1, 2] = r3 * (t22 - t11) * sa * sb + 4j * t12 * sa * (ca - cb)
    for i, j in ((1, 0), (2, 0), (2, 1)):
        h[:, i, j] = h[:, j, i].conj()
    ours = three_band("MoS2").hamiltonian_eV(k)
    fermi = (h[0, 0, 0] - ours[0, 0, 0]).real
    assert ours + fermi * np.eye(3) == pytest.approx(h, abs=1e-12)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["MoS2", "WSe2"])
def test_bands_have_the_symmetry_of_the_layer(model, name, rng):
    crystal, k = model(name), rng.uniform(-20, 20, (20, 2))
    c, s = np.cos(2 * np.pi / 3), np.sin(2 * np.pi / 3)
    bands, h = crystal.bands_eV(k), crystal.hamiltonian_eV(k)
    assert h == pytest.approx(np.moveaxis(h, 1, 2).conj(), abs=1e-12)
    for image in (((c, s), (-s, c)), ((1, 0), (0, -1)), ((-1, 0), (0, -1))):
        assert crystal.bands_eV(k @ np.array(image)) == pytest.approx(bands, abs=1e-9)


def test_a_mirror_makes_the_lower_chalcogen_of_the_upper(rng):
    h = eleven_band("MoS2").hamiltonian_eV(rng.uniform(-20, 20, (20, 2)))
    orbitals = np.r_[8:11, 3:8, 0:3]
    sign = np.array([-1, 1, 1, 1, -1, -1, 1, 1, -1, 1, 1])  # z, xz and yz are odd
    assert sign * h[:, orbitals[:, None], orbitals] * sign[:, None] == pytest.approx(h, abs=1e-12)


@pytest.mark.parametrize("single", [False, True])
def test_eleven_bands_around_defects_equal_diagonalisation(single):
    crystal, cells, energies = eleven_band("MoS2"), 5, np.linspace(-2, 2, 9)
    defects = np.array([[2, 2, 0], [4, 3, 1], [0, 2, 2]])
    shifts = (VACANCY_EV, VACANCY_EV, 0.8)
    states_eV, weights, sites = diagonalise(crystal, cells, defects, shifts)
    exact = broadened(energies, states_eV, weights, 0.1)
    green = LatticeGreen(crystal, energies, 2.5, broadening_eV=0.1, mesh=cells, single=single)
    ldos = green.ldos_per_eV(sites, defects, shifts)
    assert np.abs(ldos - exact).max() < (1e-4 if single else 1e-7)


@pytest.mark.parametrize("model", MODELS)
def test_other_layers_are_refused(model):
    with pytest.raises(SimulationError, match="no bands of 'NbSe2' .* are those of MoS2, WSe2"):
        model("NbSe2")


# Pieces of surface

CARBON = Kind("carbon", hopping=1.0)
ADATOM = Kind("adatom", floor_per_eV=0.02, peaks=((0.3, 0.1, 1.5),))


def material(*kinds: Kind, **electrons) -> Material:
    """Of which no pieces are drawn."""
    return Material("a test", kinds, {}, {}, lambda *_: None, electrons)


def piece(kinds, scatterers=(), shifts_eV=(), lattice=GRAPHENE, sites=None) -> Specimen:
    """Atoms of the first kind on a disc, then one of each of the other `kinds` above it."""
    sites = lattice.disc(1.0) if sites is None else sites
    extra = len(kinds) - 1
    positions = np.column_stack((lattice.positions_nm(sites), np.zeros(len(sites))))
    return Specimen(
        np.vstack((positions, np.full((extra, 3), 0.2))),
        np.repeat(kinds, [len(sites)] + [1] * extra),
        np.vstack((sites, np.full((extra, 3), -999))),
        np.array(scatterers, np.int64).reshape(-1, 3),
        np.array(shifts_eV, float),
        (),
    )


@pytest.fixture(scope="module")
def electrons() -> Electrons:
    """Of graphene with something on it."""
    kinds = CARBON, ADATOM, Kind("both", hopping=0.5, floor_per_eV=0.1)
    return Electrons(material(*kinds, tight=graphene), "tight", np.linspace(-1, 1, 41), 4, mesh=192)


def test_atoms_show_what_their_kinds_say(electrons):
    defects, shifts = np.array([[0, 0, 0], [1, 1, 1]]), [VACANCY_EV, 1.0]
    specimen = piece((0, 1), defects, shifts)
    electrode = electrons.electrode(specimen, -0.5, 0.25)
    energies = electrode.energies_eV
    green = LatticeGreen(graphene(), energies, 4, mesh=192)
    carbon = green.ldos_per_eV(specimen.sites[:-1], defects, shifts)
    assert electrode.ldos_per_eV[:-1] == pytest.approx(carbon, abs=2e-6)
    peak = 0.02 + 1.5 / np.pi * 0.1 / ((energies - 0.3) ** 2 + 0.1**2)
    assert electrode.ldos_per_eV[-1] == pytest.approx(peak, rel=1e-12)
    assert np.array_equal(electrode.positions_nm, specimen.positions_nm)
    both = electrons.electrode(piece((2,), defects, shifts), -0.5, 0.25)
    assert both.ldos_per_eV == pytest.approx(0.1 + carbon / 2, abs=2e-6)


@pytest.mark.parametrize("window", [(-1, 1), (0, 1), (-1, 0), (-0.52, -0.27), (0, 0), (1, 1)])
def test_only_the_window_is_calculated(electrons, window):
    specimen = piece((0, 1), [[0, 0, 0]], [VACANCY_EV])
    electrode = electrons.electrode(specimen, *window)
    low, high = electrode.energies_eV[[0, -1]]
    assert low - 1e-9 <= window[0] <= window[1] <= high + 1e-9
    assert electrode.energies_eV.size <= np.ptp(window) / 0.05 + 3
    wanted = np.linspace(*window, 30)
    everything = electrons.electrode(specimen, -1, 1)
    assert electrode.ldos_at(wanted) == pytest.approx(everything.ldos_at(wanted), rel=1e-9)


def test_a_material_without_hopping_electrons_shows_its_kinds():
    alone = Electrons(material(ADATOM), None, np.linspace(-1, 1, 5), 1)
    ldos = alone.electrode(piece((0,)), -1, 1).ldos_per_eV
    assert ldos == pytest.approx(np.tile(ADATOM.ldos_per_eV(np.linspace(-1, 1, 5)), (len(ldos), 1)))


def test_the_first_model_is_the_usual_one():
    models = {"first": lambda: single_orbital("MoS2"), "second": lambda: three_band("MoS2")}
    layer = material(Kind("top", hopping=1.0), **models)
    given = np.linspace(-1, 1, 9), 3
    sites = MOS2.disc(0.7)
    specimen = piece((0,), [[0, 0, 0]], [VACANCY_EV], MOS2, sites[sites[:, 2] == 0])
    usual, first, second = (
        Electrons(layer, name, *given).electrode(specimen, -1, 1).ldos_per_eV
        for name in (None, "first", "second")
    )
    assert np.array_equal(usual, first)
    assert np.count_nonzero(usual.min(axis=1)) == len(usual) - 1, "all but the missing atom"
    assert not second.any(), "the upper atoms have no orbitals there, and scatter nothing"


def test_what_makes_no_sense_is_refused(electrons):
    carbon, energies = material(CARBON, tight=graphene, loose=graphene), (-1.0, 1.0)
    with pytest.raises(SimulationError, match="no electrons 'free'; there are tight, loose"):
        Electrons(carbon, "free", energies, 1)
    with pytest.raises(SimulationError, match="there are none: it has no hopping electrons"):
        Electrons(material(ADATOM), "free", energies, 1)
    with pytest.raises(SimulationError, match="no model of hopping .* shows those of carbon"):
        Electrons(material(CARBON, ADATOM), None, energies, 1)
    for wrong in ((0.0,), (1.0, 0.0)):
        with pytest.raises(SimulationError, match="energies must ascend, 2 or more of them, got"):
            Electrons(carbon, None, wrong, 1)
    for window in ((-1.1, 0), (0, 1.2), (0.5, 0.4)):
        with pytest.raises(
            SimulationError, match="are wanted, but those from -1 to 1 eV are known"
        ):
            electrons.electrode(piece((0,)), *window)
    with pytest.raises(SimulationError, match="cells apart, .* a larger reach_nm"):
        electrons.electrode(piece((0,), [[30, 0, 0]], [1.0]), 0, 1)
