"""Lattices, tight-binding models, and densities of states around defects."""

from __future__ import annotations

import numpy as np
import pytest

from scanmend.crystals.dichalcogenide_bands import eleven_band, single_orbital, three_band
from scanmend.crystals.lattice import GRAPHENE, MOS2, WSE2, Lattice, hexagonal
from scanmend.crystals.tight_binding import (
    GRAPHENE_HOPPING_EV,
    VACANCY_EV,
    TightBinding,
    broadened,
    diagonalise,
    graphene,
    nearest_neighbours,
)
from scanmend.errors import SimulationError
from scanmend.stm.constants import kappa_per_nm
from scanmend.stm.green import LatticeGreen

CRYSTALS = {
    "graphene": graphene(),
    "MoS2, three bands": three_band("MoS2"),
    "WSe2, one orbital": single_orbital("WSe2"),
    "one atom": nearest_neighbours(hexagonal(0.3), -0.3, onsite_eV=0.1),
}
SQUARE = Lattice(0.3 * np.eye(2), np.zeros((1, 2)))
VACANCY = np.zeros((1, 3), int)


@pytest.fixture(scope="module")
def graphene_green() -> LatticeGreen:
    """Near the Dirac point, where a vacancy has its state."""
    return LatticeGreen(graphene(), np.linspace(-0.3, 0, 16), 6.2, broadening_eV=0.03, mesh=192)


# Lattices


def test_graphene_has_the_geometry_of_graphene():
    first, second = GRAPHENE.basis_nm
    assert np.hypot(*(second - first)) == pytest.approx(0.142, abs=1e-4)
    assert 2 / GRAPHENE.cell_nm2 == pytest.approx(38.2, abs=0.05), "atoms per nm2"
    assert np.linalg.norm(GRAPHENE.reciprocal_per_nm, axis=1) == pytest.approx(29.493, abs=1e-3)
    assert GRAPHENE.k_point_per_nm == pytest.approx((17.028, 0), abs=1e-3)


@pytest.mark.parametrize("lattice", [GRAPHENE, MOS2, GRAPHENE.turned(17)])
def test_lattices_and_reciprocal_lattices_are_dual(lattice):
    product = lattice.vectors_nm @ lattice.reciprocal_per_nm.T
    assert product == pytest.approx(2 * np.pi * np.eye(2), abs=1e-12)


@pytest.mark.parametrize("lattice", [GRAPHENE, WSE2.turned(-40)])
@pytest.mark.parametrize("centre_nm", [(0, 0), (31.3, -12.7)])
def test_a_region_holds_every_site_in_it(lattice, centre_nm):
    n = np.arange(-200, 201)
    every = np.stack(np.meshgrid(n, n, range(lattice.sublattices), indexing="ij"), -1)
    every = every.reshape(-1, 3)
    x, y = (lattice.positions_nm(every) - centre_nm).T
    inside = (abs(x) <= 2) & (abs(y) <= 1)
    assert np.array_equal(lattice.rectangle((2, 4), centre_nm), every[inside])
    assert np.array_equal(lattice.disc(1.7, centre_nm), every[np.hypot(x, y) <= 1.7])


def test_turning_turns_positions():
    sites = GRAPHENE.disc(1)
    x, y = GRAPHENE.positions_nm(sites).T
    turned = GRAPHENE.turned(90).positions_nm(sites)
    assert turned == pytest.approx(np.stack((-y, x), -1), abs=1e-12)


def test_cells_within_a_distance_are_bounded_tightly():
    sites = GRAPHENE.disc(3)
    apart = np.abs(sites[:, None, :2] - sites[:, :2])
    positions = GRAPHENE.positions_nm(sites)
    near = np.hypot(*np.moveaxis(positions[:, None] - positions, -1, 0)) <= 2.5
    most = apart[near].max(axis=0)
    assert np.all(most <= GRAPHENE.cells_within(2.5))
    assert np.all(most >= np.array(GRAPHENE.cells_within(2.5)) - 1)


# Tight binding


def test_graphene_has_a_dirac_cone():
    crystal, k = graphene(), GRAPHENE.k_point_per_nm
    assert crystal.bands_eV(k) == pytest.approx((0, 0), abs=1e-12)
    assert crystal.bands_eV((0, 0)) == pytest.approx((-8.1, 8.1))
    velocity = crystal.bands_eV(k + np.array((0.001, 0)))[1] / 0.001
    assert velocity == pytest.approx(np.sqrt(3) / 2 * 0.246 * 2.7, rel=1e-3), "0.575 eV nm"


# Green's functions


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("single", [False, True])
def test_the_t_matrix_equals_diagonalisation(name, single):
    crystal, cells, energies = CRYSTALS[name], 9, np.linspace(-1, 2, 7)
    first, last = np.flatnonzero(crystal.orbitals)[[0, -1]]
    defects = np.array([[3, 4, first], [7, 2, last], [3, 5, first], [8, 0, first]])
    shifts = np.array([VACANCY_EV, 1.5, -2.0, 0.0])
    states_eV, weights, sites = diagonalise(crystal, cells, defects, shifts)
    exact = broadened(energies, states_eV, weights, 0.08)
    green = LatticeGreen(crystal, energies, 5, broadening_eV=0.08, mesh=cells, single=single)
    ldos = green.ldos_per_eV(sites, defects, shifts)
    assert np.abs(ldos - exact).max() < (1e-5 if single else 1e-10)
    assert np.all(ldos[(sites == defects[0]).all(axis=1)] == 0), "nothing is left of a vacancy"


@pytest.mark.parametrize("name", CRYSTALS)
def test_every_orbital_holds_one_electron_of_each_spin(name):
    energies = np.linspace(-60, 60, 1201)
    green = LatticeGreen(CRYSTALS[name], energies, 1, broadening_eV=0.2, mesh=24)
    sites, orbitals = CRYSTALS[name].lattice.disc(0.5), np.array(CRYSTALS[name].orbitals)
    defects = sites[orbitals[sites[:, 2]] > 0][:2]
    held = np.trapezoid(green.ldos_per_eV(sites, defects, (VACANCY_EV, 0.7)), energies)
    expected = orbitals[sites[:, 2]] * (sites != defects[0]).any(axis=1)
    tail = 2 * 0.2 / (np.pi * 60)
    assert held / (1 - tail) == pytest.approx(expected, abs=3e-3)


def test_graphene_has_the_density_of_states_of_its_cone():
    energies = np.array((-0.3, 0.3))
    green = LatticeGreen(graphene(), energies, 1, broadening_eV=0.03, mesh=512)
    top = np.sqrt(np.sqrt(3) * np.pi) * -GRAPHENE_HOPPING_EV  # the cone up to there holds one state
    levels, step = np.linspace(-top, top, 20001, retstep=True)
    cone = broadened(energies, levels, np.abs(levels) * step / top**2, 0.03)
    assert green.ldos_per_eV(VACANCY)[0] == pytest.approx(cone, rel=0.03)


@pytest.mark.parametrize("crystal", [graphene(), eleven_band("WSe2"), single_orbital("MoS2")])
@pytest.mark.parametrize("widest_eV", [0.5, 2.0])
def test_a_larger_mesh_changes_little(crystal, widest_eV):
    sites, energies = crystal.lattice.disc(0.7), np.linspace(-widest_eV, widest_eV, 5)
    usual, fine = (
        LatticeGreen(crystal, energies, 1.5, 0.07, mesh).ldos_per_eV(sites, VACANCY, [VACANCY_EV])
        for mesh in (None, 400 if sum(crystal.orbitals) < 3 else 120)
    )
    assert np.abs(usual - fine).max() < 0.005 * fine.max()


def test_a_vacancy_in_graphene_has_three_fold_symmetry(graphene_green):
    sites = GRAPHENE.disc(3)
    ldos = graphene_green.ldos_per_eV(sites, VACANCY, [VACANCY_EV]).sum(axis=1)
    x, y = GRAPHENE.positions_nm(sites).T
    third = 2 * np.pi / 3
    turned = np.stack(
        (x * np.cos(third) - y * np.sin(third), x * np.sin(third) + y * np.cos(third))
    )
    distance = np.hypot(x[:, None] - turned[0], y[:, None] - turned[1])
    assert distance.min(axis=0).max() < 1e-9
    assert np.abs(ldos[distance.argmin(axis=0)] - ldos).max() < 1e-12 * ldos.max()


def test_a_vacancy_in_graphene_brightens_the_other_sublattice(graphene_green):
    sites = GRAPHENE.disc(1.2)
    sites = sites[(sites != VACANCY).any(axis=1)]
    ldos = graphene_green.ldos_per_eV(sites, VACANCY, [VACANCY_EV]).sum(axis=1)
    ratio = ldos[sites[:, 2] == 1].mean() / ldos[sites[:, 2] == 0].mean()
    assert ratio == pytest.approx(4.9, abs=0.3)


@pytest.fixture(scope="module")
def spectra(graphene_green):
    """|Fourier transform| at k of images of graphene, without and with a vacancy."""
    sites = GRAPHENE.rectangle((7.6, 7.6))
    positions = GRAPHENE.positions_nm(sites)
    pixels = (np.arange(120) + 0.5) * 0.05 - 3
    decay, window = 2 * kappa_per_nm(4.5), np.blackman(120)
    x2, y2 = ((pixels[:, None] - along) ** 2 for along in positions.T)

    def spectrum(shift_eV):
        ldos = graphene_green.ldos_per_eV(sites, VACANCY, [shift_eV]).sum(axis=1)
        image = np.empty((120, 120))
        for row, y in enumerate(y2):  # the current of an s orbital, 0.4 nm above
            image[row] = np.exp(-decay * np.sqrt(x2 + y + 0.4**2)) @ ldos
        image = (image - np.average(image, weights=np.outer(window, window))) * window
        image *= window[:, None]

        def at(k_per_nm):
            waves = np.exp(-1j * pixels * np.asarray(k_per_nm)[..., None])
            return np.abs(np.einsum("...y,yx,...x", waves[..., 1, :], image, waves[..., 0, :]))

        return at

    return spectrum(0.0), spectrum(VACANCY_EV)


def peak(spectrum, k_per_nm):
    """Length of the wave vector of the highest point near `k_per_nm`, and the height there."""
    lengths = np.linalg.norm(k_per_nm) + np.linspace(-1, 1, 201)
    heights = spectrum(lengths[:, None] * k_per_nm / np.linalg.norm(k_per_nm))
    return lengths[heights.argmax()], heights.max()


def test_graphene_shows_its_bragg_peaks(spectra):
    for b in (*GRAPHENE.reciprocal_per_nm, GRAPHENE.reciprocal_per_nm.sum(axis=0)):
        assert peak(spectra[0], b)[0] == pytest.approx(29.493, rel=0.003)


def test_only_defects_scatter_between_valleys(spectra):
    k, b = GRAPHENE.k_point_per_nm, GRAPHENE.reciprocal_per_nm[0]
    perfect, defective = spectra
    assert peak(perfect, k)[1] < 1e-4 * peak(perfect, b)[1]
    length, height = peak(defective, k)
    assert length == pytest.approx(17.028, rel=0.01)
    assert height > peak(perfect, b)[1]


# What is refused


@pytest.mark.parametrize(
    ("sites", "defects", "shifts", "message"),
    [
        ([[0, 0]], [], [], r"sites are whole numbers \(n1, n2, sublattice\), one site a row, got"),
        ([[0.5, 0, 0]], [], [], "sites are whole numbers"),
        ([[0, 0, 2]], [], [], "sites are on sublattices 0 to 1, got"),
        ([[0, 0, 0]], [[0, 0, -1]], [1], "defects are on sublattices 0 to 1, got"),
        ([[0, 0, 0]], [[0, 0, 0]], [], "1 defects need as many on-site shifts, in eV, got"),
        ([[0, 0, 0]], [[0, 0, 0]], [np.nan], "1 defects need as many on-site shifts, in eV, got"),
        ([[0, 0, 0]], [[1, 0, 0]] * 2, [1, 2], "a site has one defect at most"),
        ([[0, 0, 0]], [[40, 1, 0]], [1], r"up to \[40, 1\] cells apart, .* a larger reach_nm"),
    ],
)
def test_sites_that_make_no_sense_are_refused(graphene_green, sites, defects, shifts, message):
    with pytest.raises(SimulationError, match=message):
        graphene_green.ldos_per_eV(np.array(sites), np.array(defects), shifts)


def test_green_functions_that_make_no_sense_are_refused():
    for name in ("reach_nm", "broadening_eV", "mesh"):
        with pytest.raises(SimulationError, match=f"{name} must be positive and finite, got 0"):
            LatticeGreen(graphene(), [0.0], **{"reach_nm": 1, name: 0})
    with pytest.raises(SimulationError, match="energies must be finite, and one at least"):
        LatticeGreen(graphene(), [], 1)


def test_atoms_without_orbitals_scatter_nothing():
    green = LatticeGreen(three_band("MoS2"), [0.0], 1, mesh=24)
    with pytest.raises(SimulationError, match="without orbitals scatter no electrons, but defects"):
        green.ldos_per_eV(np.array([[0, 0, 1]]), VACANCY, [VACANCY_EV])


def test_crystals_that_make_no_sense_are_refused():
    one = np.eye(1)
    for orbitals in ((1,), (2, -1), (0, 0)):
        with pytest.raises(SimulationError, match="each of 2 sublattices has a number of orbitals"):
            TightBinding(GRAPHENE, orbitals, {(0, 0): one})
    with pytest.raises(SimulationError, match=r"cells \(1, 0\) and \(-1, 0\) must be each other's"):
        TightBinding(SQUARE, (1,), {(0, 0): one, (1, 0): one})
    with pytest.raises(SimulationError, match=r"cell \(0, 1\) have shape \(2, 2\), not \(1, 1\)"):
        TightBinding(SQUARE, (1,), {(0, 0): one, (0, 1): np.eye(2)})


def test_lattices_that_make_no_sense_are_refused():
    with pytest.raises(SimulationError, match="span no area"):
        Lattice(np.ones((2, 2)), np.zeros((1, 2)))
    with pytest.raises(SimulationError, match=r"got shapes \(2, 2\) and \(2,\)"):
        Lattice(np.eye(2), np.zeros(2))
    with pytest.raises(SimulationError, match="only a hexagonal lattice has a K point"):
        _ = Lattice(np.eye(2), np.zeros((1, 2))).k_point_per_nm
    with pytest.raises(SimulationError, match=r"by a \(height, width\) above 0 nm, got \(1, 0\)"):
        hexagonal(0.3).rectangle((1, 0))
    with pytest.raises(SimulationError, match="by a radius above 0 nm, got nan"):
        hexagonal(0.3).disc(np.nan)
