"""Tunnelling currents: known answers, and plane waves against the plain sum over pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.constants import e, hbar

from scanmend.crystals.lattice import hexagonal
from scanmend.errors import SimulationError
from scanmend.stm import spectral, topograph
from scanmend.stm.constants import kappa_per_nm
from scanmend.stm.current import Electrode, Junction, direct
from scanmend.stm.log_current import LogCurrent, axes_over, planes_within
from scanmend.stm.piezo import Track
from scanmend.stm.spectral import FAST, FINE, Spectral

X = np.linspace(-0.6, 0.6, 12)
Y = np.linspace(-0.5, 0.4, 9)
ENERGIES = np.linspace(0, 0.9, 12)


def electrode(positions_nm, rng=None, energies_eV=ENERGIES) -> Electrode:
    """Atoms whose densities are drawn, or 1/eV at all energies."""
    positions = np.asarray(positions_nm, float).reshape(-1, 3)
    shape = len(positions), len(energies_eV)
    ldos = np.ones(shape) if rng is None else rng.uniform(0.2, 1, shape)
    return Electrode(positions, energies_eV, ldos)


def grid(pitch_nm: float, half_nm: float, z_nm: float = 0.0) -> np.ndarray:
    """A square lattice around the origin."""
    line = np.arange(-half_nm, half_nm + 1e-9, pitch_nm)
    x, y = np.meshgrid(line, line)
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, z_nm)], 1)


APEX = electrode([[0, 0, 0]], energies_eV=ENERGIES - 0.9)
TRIPOD = [[0, 0, 0], [0.15, 0.03, 0.09], [-0.1, 0.13, 0.09], [-0.05, -0.16, 0.09], [0, 0.2, 0.24]]


@pytest.fixture
def junction(rng) -> Junction:
    """Three planes of atoms with a vacancy, under a tip of five atoms."""
    middle, low = grid(0.33, 1.3, -0.16), grid(0.33, 1.3, -0.32)
    top = np.delete(grid(0.33, 1.3), 40, axis=0)
    sample = electrode(np.concatenate([top, middle + np.array([0.1, 0.05, 0]), low]), rng)
    return Junction(sample, electrode(TRIPOD, rng, ENERGIES - 0.9), 0.9)


def test_kappa():
    assert 2 * kappa_per_nm(1.0) == pytest.approx(10.246334, rel=1e-6)
    assert kappa_per_nm(4.5) == pytest.approx(5.123167 * math.sqrt(4.5), rel=1e-6)


def test_one_pair_carries_bardeens_current():
    junction = Junction(electrode([[0, 0, 0]]), APEX, bias_V=0.9, barrier_eV=4.0, coupling_eV=2.0)
    expected_A = 2 * math.pi * e**2 / hbar * 2.0**2 * 0.9 * math.exp(-2 * kappa_per_nm(4) * 0.5)
    values, slope = direct(junction, np.array([0.3]), np.array([0.0]), 0.4)
    assert values[0, 0] == pytest.approx(expected_A * 1e9, rel=1e-12)
    assert slope[0, 0] == pytest.approx(-2 * kappa_per_nm(4) * 0.8 * values[0, 0], rel=1e-12)


def test_electrons_pass_from_filled_to_empty_states():
    energies = np.linspace(-1, 1, 201)
    empty_only = Electrode(np.zeros((1, 3)), energies, (energies > 0.005)[None] * 1.0)
    anything = Electrode(np.zeros((1, 3)), energies, np.ones((1, 201)))
    here = np.zeros(1)

    def at(bias_V: float) -> float:
        return direct(Junction(empty_only, anything, bias_V, energies=101), here, here, 0.5)[0][
            0, 0
        ]

    assert at(+0.8) > 0
    assert at(-0.8) == 0
    assert at(0.8) == pytest.approx(2 * at(0.4), rel=0.02)


def test_current_falls_over_a_sheet_as_it_should():
    sheet = Junction(electrode(grid(0.1, 3.0)), APEX, 0.9)
    heights = np.linspace(0.3, 0.9, 7)
    middle = np.zeros(1)
    found = np.array([direct(sheet, middle, middle, z)[0][0, 0] for z in heights])
    waves = Spectral(sheet, middle, middle, heights).current_nA()[:, 0, 0]
    az = sheet.decay_per_nm * heights
    for values in (found, waves):
        ratio = values / ((1 + az) * np.exp(-az))
        assert ratio / ratio[0] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("accuracy", [FINE, FAST], ids=["fine", "fast"])
@pytest.mark.parametrize("height_nm", [0.22, 0.3, 0.5, 0.8])
def test_plane_waves_equal_the_sum_of_pairs(junction, height_nm, accuracy):
    exact, _ = direct(junction, X, Y, height_nm)
    found = Spectral(junction, X, Y, [height_nm], accuracy=accuracy).current_nA()[0]
    assert np.abs(found - exact).max() < 1e-5 * np.ptp(exact)


@pytest.mark.parametrize("height_nm", [0.25, 0.5])
def test_a_state_of_one_atom_of_many_is_as_exact(rng, height_nm):
    atoms, tip = grid(0.3, 3.0), electrode(TRIPOD, rng, ENERGIES - 0.9)
    ldos = np.ones((len(atoms), ENERGIES.size))
    ldos[len(atoms) // 2] = np.exp(-(((ENERGIES - 0.4) / 0.05) ** 2))
    odd = Junction(Electrode(atoms, ENERGIES, ldos), tip, 0.9)
    exact, _ = direct(odd, X, Y, height_nm)
    found = Spectral(odd, X, Y, [height_nm], accuracy=FAST).current_nA()[0]
    assert np.abs(found - exact).max() < 1e-5 * np.ptp(exact)


@pytest.mark.parametrize("height_nm", [0.3, 0.5])
def test_above_a_perfect_crystal_too_where_there_is_little_corrugation(height_nm):
    crystal = Junction(electrode(grid(0.25, 1.25)), APEX, 0.9)
    exact, _ = direct(crystal, X / 2, Y / 2, height_nm)
    found = Spectral(crystal, X / 2, Y / 2, [height_nm]).current_nA()[0]
    assert np.ptp(exact) < 0.15 * exact.mean()
    assert np.abs(found - exact).max() < 1e-5 * np.ptp(exact)


def test_the_kernel_equals_numpy(junction):
    exact, _ = direct(junction, X, Y, 0.4)
    sample, tip = junction.sample.positions_nm, junction.tip.positions_nm
    densities, of_tip = junction.densities()
    for row, column in ((0, 0), (3, 11), (8, 5)):
        apart = tip[:, None] + (X[column], Y[row], 0.4) - sample
        pairs = np.exp(-junction.decay_per_nm * np.linalg.norm(apart, axis=-1))
        assert exact[row, column] == pytest.approx(np.sum(pairs * (of_tip @ densities.T)))


def test_a_symmetric_surface_gives_a_symmetric_image():
    square = Junction(electrode(grid(0.3, 1.2)), APEX, 0.9)
    side = np.linspace(-0.5, 0.5, 11)
    image = topograph.constant_height(square, side, side, 0.45)
    for other in (image[::-1], image[:, ::-1], image.T):
        assert np.abs(other - image).max() < 1e-8 * np.ptp(image)


def test_no_current_without_a_bias(junction):
    unbiased = Junction(junction.sample, junction.tip, 0.0)
    assert not direct(unbiased, X, Y, 0.4)[0].any()
    assert not Spectral(unbiased, X, Y, [0.4]).current_nA().any()
    with pytest.raises(SimulationError, match="no current flows at any height: raise the bias"):
        topograph.constant_current(unbiased, X, Y, 0.1)


def test_a_higher_barrier_falls_more_steeply(junction):
    def decay(barrier_eV: float) -> float:
        other = Junction(junction.sample, junction.tip, 0.9, barrier_eV)
        low, high = Spectral(other, X, Y, [0.5, 0.52]).current_nA().mean((1, 2))
        return math.log(low / high) / 0.02

    found = [decay(barrier) for barrier in (3.0, 4.0, 5.0)]
    assert found == sorted(found)
    assert found[2] / found[0] == pytest.approx(math.sqrt(5 / 3), rel=0.1)


def test_many_samples_share_one_plan(junction, rng):
    plan = Spectral(junction, X, Y, [0.45])
    inner = junction.sample.positions_nm[::2]
    far = np.array([[30.0, 0, -0.1], [0, -40, 0]])
    other = electrode(np.concatenate([inner, far]), rng)
    exact, _ = direct(Junction(other, junction.tip, 0.9), X, Y, 0.45)
    assert np.abs(plan.current_nA(other)[0] - exact).max() < 1e-5 * np.ptp(exact)

    with pytest.raises(SimulationError, match=r"reaches up to 0\.1 nm.* begin with the highest"):
        plan.current_nA(electrode(inner + np.array([0, 0, 0.1])))
    with pytest.raises(SimulationError, match="no atom of the sample is near the scan frame"):
        plan.current_nA(electrode(far))


def test_a_wider_box_changes_nothing_and_a_narrower_one_is_refused(junction):
    least = Spectral(junction, X, Y, [0.5])
    wide = Spectral(junction, X, Y, [0.5], (least.box_nm[0] + 1.7, least.box_nm[1] + 0.9))
    a, b = least.current_nA(), wide.current_nA()
    assert np.abs(a - b).max() < 2e-6 * np.ptp(a)
    with pytest.raises(SimulationError, match=r"a box of 2 x 2 nm is too small .* need 3\.\d+ x 3"):
        Spectral(junction, X, Y, [0.5], (2.0, 2.0))


def test_a_wide_frame_in_tiles_is_as_exact(rng):
    sample = electrode(grid(0.4, 4.0), rng)
    wide = Junction(sample, electrode(TRIPOD, rng, ENERGIES - 0.9), 0.9)
    x, y = np.linspace(-5, 5, 31), np.linspace(-3, 3, 13)
    exact, _ = direct(wide, x, y, 0.4)
    found = topograph.constant_height(wide, x, y, 0.4)
    assert np.abs(found - exact).max() < 1e-6 * np.ptp(exact)


def test_too_near_for_plane_waves(junction, monkeypatch):
    with pytest.raises(SimulationError, match=r"within 0\.15 nm .* 0\.22 nm: raise the tip"):
        Spectral(junction, X, Y, [0.5, 0.15])
    exact, _ = direct(junction, X, Y, 0.15)
    assert np.array_equal(topograph.constant_height(junction, X, Y, 0.15), exact)
    monkeypatch.setattr(spectral, "MOST_WAVES", 1000)
    with pytest.raises(SimulationError, match="plane waves are too many: scan a smaller frame"):
        Spectral(junction, X, Y, [0.3])


@pytest.mark.parametrize("bias_V", [0.9, -0.9])
def test_heights_equal_a_newton_search_of_our_own(junction, bias_V):
    sample, tip = junction.sample, junction.tip
    if bias_V < 0:
        sample = Electrode(sample.positions_nm, sample.energies_eV - 0.9, sample.ldos_per_eV)
        tip = Electrode(tip.positions_nm, tip.energies_eV + 0.9, tip.ldos_per_eV)
    junction = Junction(sample, tip, bias_V)
    heights = topograph.constant_current(junction, X, Y, 5.0)
    densities, of_tip = junction.densities()
    weights = np.abs(of_tip @ densities.T)
    for row, column in ((0, 0), (4, 6), (8, 11)):
        z = 0.5
        for _ in range(8):
            apart = tip.positions_nm[:, None] + (X[column], Y[row], z) - sample.positions_nm
            far = np.linalg.norm(apart, axis=-1)
            pairs = weights * np.exp(-junction.decay_per_nm * far)
            slope = np.sum(-junction.decay_per_nm * pairs * apart[..., 2] / far) / pairs.sum()
            z -= math.log(pairs.sum() / 5.0) / slope
        assert heights[row, column] == pytest.approx(z, abs=1e-6)


def test_a_terrace_raised_by_a_step_is_shown_raised_by_it():
    def height(z_nm: float) -> float:
        sheet = Junction(electrode(grid(0.25, 1.2, z_nm)), APEX, 0.9)
        return topograph.constant_current(sheet, X[:4], Y[:4], 200.0).mean()

    assert height(0.12) - height(0) == pytest.approx(0.12, abs=1e-6)


def test_a_cubic_between_planes_is_met_exactly():
    planes = np.array([0.4, 0.5, 0.6, 0.7])
    roots = np.array([[0.41, 0.48, 0.55], [0.5, 0.63, 0.699]])
    apart = planes[:, None, None] - roots
    found = topograph.heights_of(0.3 * np.exp(-20 * apart * (1 + apart**2)), planes, 0.3)
    assert found == pytest.approx(roots, abs=1e-9)


def test_near_heights_fall_back_to_the_sum_of_pairs(junction):
    fallen = topograph.constant_current(junction, X[::4], Y[::4], 5.0, (0.2, 0.7))
    waves = topograph.constant_current(junction, X[::4], Y[::4], 5.0, (0.3, 0.7))
    assert fallen == pytest.approx(waves, abs=1e-6)


def test_newton_on_the_logarithm_needs_few_steps_and_on_the_current_many(junction):
    def after(steps: int, start_nm: float, on) -> float:
        return topograph.newton(
            junction, X[:1], Y[:1], 1.0, np.full((1, 1), start_nm), steps, on
        ).item()

    settled = topograph.newton(junction, X[:1], Y[:1], 1.0, np.full((1, 1), 0.4)).item()
    for start in (0.1, 0.5):
        assert after(5, start, "log") == pytest.approx(settled, abs=1e-4)
    step = after(1, 0.3, "current") - 0.3
    assert step == pytest.approx(1 / junction.decay_per_nm, rel=0.2)
    assert after(3, 0.1, "current") < settled - 0.2
    assert after(1, settled + 0.3, "current") < 0


@pytest.mark.parametrize(
    ("setpoint_nA", "heights_nm", "message"),
    [
        (1e5, (0.4, 0.7), r"out of reach at 108 of 108 pixels.* at 0\.4 nm .*lower the setpoint"),
        (1e-6, (0.4, 0.7), r"row \d+, column \d+, where .* nA at 0\.7 nm: raise the setpoint"),
        (1e5, (0.1, 0.7), r"out of reach at \d+ of 108 pixels"),
        (-1.0, (0.4, 0.7), "a setpoint is a positive current, got -1.0 nA"),
        (math.nan, (0.4, 0.7), "a setpoint is a positive current"),
        (1.0, (0.7, 0.4), "heights go from low to high, got 0.7 to 0.4 nm"),
    ],
)
def test_setpoints_out_of_reach(junction, setpoint_nA, heights_nm, message):
    with pytest.raises(SimulationError, match=message):
        topograph.constant_current(junction, X, Y, setpoint_nA, heights_nm)


def test_the_worst_pixel_is_named(junction):
    image = topograph.constant_height(junction, X, Y, 0.4)
    row, column = np.unravel_index(np.argmin(image), image.shape)
    setpoint_nA = float(np.sort(image.ravel())[1:3].mean())
    with pytest.raises(
        SimulationError, match=f"2 of 108 pixels, worst at row {row}, column {column}"
    ):
        topograph.constant_current(junction, X, Y, setpoint_nA, (0.4, 0.8))


ONE = np.zeros((1, 3))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: kappa_per_nm(0), "a barrier must be positive, got 0 eV"),
        (lambda: Junction(APEX, APEX, math.nan), "the bias must be finite, got nan V"),
        (lambda: Junction(APEX, APEX, 1, coupling_eV=0), "the coupling must be positive"),
        (lambda: Junction(APEX, APEX, 1, energies=1), "2 energies or more, got 1"),
        (lambda: electrode(np.zeros((0, 3))), r"at least one atom, got shape \(0, 3\)"),
        (lambda: Electrode(ONE, ENERGIES, np.ones((1, 5))), r"shape \(1, 5\), not \(1, 12\)"),
        (lambda: Electrode(ONE, -ENERGIES, np.ones((1, 12))), "energies must ascend"),
        (lambda: Electrode(ONE, ENERGIES, -np.ones((1, 12))), "finite and not negative"),
        (
            lambda: Junction(APEX, APEX, 0.9).densities(),
            r"states from 0 to 0\.9 eV, but .* known from -0\.9 to 0 eV: calculate them further",
        ),
    ],
)
def test_what_cannot_be_simulated(wrong, message):
    with pytest.raises(SimulationError, match=message):
        wrong()


def test_densities_are_interpolated_between_energies():
    energies = np.linspace(-1, 1, 5)
    sample = Electrode(ONE, energies, (2 + energies)[None])
    assert sample.ldos_at(np.array([-0.9, 0.1, 1.0])) == pytest.approx(np.array([[1.1, 2.1, 3]]))


# Along a track


def track(x_nm, y_nm) -> Track:
    x, y = np.broadcast_arrays(np.asarray(x_nm, float), np.asarray(y_nm, float))
    return Track(np.zeros(x.shape), x, y, np.zeros(x.shape))


@pytest.mark.parametrize(("frame_nm", "error_nm"), [(4.0, 3e-5), (2.0, 3e-6)])
@pytest.mark.parametrize("accuracy", [FINE, FAST], ids=["fine", "fast"])
def test_currents_along_a_track_are_those_of_pairs(rng, frame_nm, error_nm, accuracy):
    sites = hexagonal(0.25).rectangle((frame_nm + 2.8, frame_nm + 2.8))
    atoms = np.pad(hexagonal(0.25).positions_nm(sites), ((0, 0), (0, 1)))
    atoms = np.delete(atoms, np.argmin(np.hypot(*atoms.T[:2])), axis=0)
    vacancy, range_nm = Junction(electrode(atoms), APEX, 0.9), (0.4, 0.7)
    axis = np.linspace(-frame_nm / 2, frame_nm / 2, 64)
    planes = planes_within(range_nm)
    current = Spectral(vacancy, axis, axis, planes, accuracy=accuracy).current_nA()
    way = track(*rng.uniform(-frame_nm / 2, frame_nm / 2, (2, 60)))
    found = LogCurrent.along(way, axis, axis, planes, current, range_nm)
    for z in (0.4, 0.47, 0.6, 0.7):
        exact = [
            direct(vacancy, np.array([x]), np.array([y]), z)[0].item()
            for x, y in zip(way.x_nm, way.y_nm, strict=True)
        ]
        off = np.abs(found.at(z) - np.log(exact)) / vacancy.decay_per_nm
        assert off.max() < error_nm


def test_cubics_are_followed_up_to_the_edges_of_the_grid(rng):
    x, y, z = np.linspace(1, 2, 9), np.linspace(-3, -2.5, 6), np.linspace(0.4, 0.6, 6)

    def logarithm(x, y, z):
        return -8 * z + 0.1 * (x**3 - 2 * x * y**3) + 3 * z**4 * x**2 * y - 1

    current = -np.exp(logarithm(x, y[:, None], z[:, None, None]))
    way = track(rng.uniform(1, 2, 100), rng.uniform(-3, -2.5, 100))
    corners = track([1, 1, 2, 2], [-3, -2.5, -3, -2.5])
    for along in (way, corners):
        found = LogCurrent.along(along, x, y, z, current)
        assert found.range_nm == (0.4, 0.6)
        for height in (0.4, 0.53, 0.6):
            expected = logarithm(along.x_nm, along.y_nm, height)
            assert found.at(height) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_of_rounding_does_not_count_as_current(rng, dtype):
    x = np.arange(20.0)
    planes = planes_within((0.4, 0.7))
    decays = np.exp(-20 * planes)[:, None, None]
    current = (decays * np.where(x < 10, 1, 0) * np.ones((20, 1))).astype(dtype)
    faint = current + (decays * np.finfo(dtype).eps * rng.uniform(-0.9, 0.9, (20, 20))).astype(
        dtype
    )
    way = track(np.linspace(0, 19, 50), 7.5)
    clean, noisy = (LogCurrent.along(way, x, x, planes, values) for values in (current, faint))
    assert noisy.at(0.5) == pytest.approx(clean.at(0.5), abs=1e-5)
    assert np.all(np.diff([noisy.at(z) for z in (0.4, 0.5, 0.6, 0.7)], axis=0) < 0)
    none = LogCurrent.along(way, x, x, planes, np.zeros_like(current))
    assert np.isfinite(none.coefficients).all()


def test_planes_are_where_a_polynomial_errs_least():
    range_nm = (0.35, 0.75)
    dense = np.linspace(*range_nm, 201)

    def error(planes) -> float:
        logs = -20 * planes + np.log(planes)  # as the current above a uniform sheet, nearly
        found = LogCurrent.fit(planes, logs[:, None], range_nm)
        exact = -20 * dense + np.log(dense)
        return max(abs(found.at(z).item() - e) for z, e in zip(dense, exact, strict=True))

    planes = planes_within(range_nm)
    assert len(planes) == 5
    assert range_nm[0] < planes[0] < planes[-1] < range_nm[1]
    assert error(planes) < 0.6 * error(np.linspace(*range_nm, 5))


def test_a_grid_is_made_for_tracks():
    tracks = [track([0, 1.03], [-1, -0.5]), track([-0.2, 0.3], [-0.9, -0.45])]
    x, y = axes_over(tracks, 0.1)
    assert np.diff(x) == pytest.approx(0.1)
    assert np.diff(y) == pytest.approx(0.1)
    assert -0.3 < x[0] <= -0.2 < 1.03 <= x[-1] < 1.13
    assert -1.1 < y[0] <= -1 < -0.45 <= y[-1] < -0.35
    assert [len(axis) for axis in axes_over([track([3], [4])], 0.1)] == [4, 4]
    for each in tracks:
        LogCurrent.along(each, x, y, X[:5], np.ones((5, len(y), len(x))))


GRID = np.linspace(0, 1, 11)
FIVE = np.linspace(0.4, 0.6, 5)
BEYOND = (
    r"strays 0\.25 nm beyond the grid, which has x from 0 to 1 nm, where the track has 0\.5 to "
    r"1\.25 nm: make the grid with axes_over\(tracks, pitch_nm\)"
)


@pytest.mark.parametrize(
    ("way", "shape", "fill", "message"),
    [
        (track([0.5, 1.25], 0.5), (5, 11, 11), 1, BEYOND),
        (track(0.5, [-0.1, 0.5]), (5, 11, 11), 1, r"strays 0\.1 nm beyond .* has y from 0 to 1 nm"),
        (track([0.5], math.nan), (5, 11, 11), 1, "beyond the grid, which has y"),
        (track([0.5], 0.5), (5, 11, 12), 1, r"grid of 11x11 points does not fit .* \(5, 11, 12\)"),
        (track([0.5], 0.5), (4, 11, 11), 1, "5 heights or more, got 4 at 5"),
        (track([0.5], 0.5), (5, 11, 11), math.nan, "currents must be finite"),
        (track([0.5], 0.5), (5, 11, 11), math.inf, "currents must be finite"),
    ],
)
def test_what_no_track_can_have(way, shape, fill, message):
    with pytest.raises(SimulationError, match=message):
        LogCurrent.along(way, GRID, GRID, FIVE, np.full(shape, float(fill)))
