"""Si(001):H surfaces: the lattice, what spoils it as often as asked for, and what is refused."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label, maximum_filter

from scanmend import level
from scanmend.crystals import SURFACES, acquisition_noise, defects
from scanmend.crystals.silicon import DIMER_NM, ROW_NM, STEP_NM, TRAINING, Si001H, surface
from scanmend.crystals.topograph import Topograph
from scanmend.errors import RecipeError
from scanmend.scan import Quantity, Scan

PITCH = ROW_NM / 8
NONE = (0.0, 0.0)
PERFECT = Si001H(
    pixel_nm=(PITCH, PITCH),
    strain_sd=0,
    width_along_nm=(0.12, 0.12),
    width_across_nm=(0.19, 0.19),
    missing=NONE,
    pits_per_nm2=NONE,
    bonds=NONE,
    siloxane=NONE,
    step=0,
    patch=0,
    chains_per_nm2=NONE,
    adsorbates_per_nm2=NONE,
    tilt_sd=0,
    waviness_nm=NONE,
)
"""Rows of dimers and nothing else; sharper along the rows than a real tip, to see the dimers."""


def image(
    recipe: Si001H, seed: int, shape: tuple[int, int] = (128, 128), **parameters: object
) -> np.ndarray:
    """Heights in pm, of a surface whose drawn parameters are replaced by `parameters`."""
    rng = np.random.default_rng(seed)
    drawn = replace(recipe.draw(rng), **parameters)
    return 1e3 * drawn.scan(shape, rng).values.astype(float)


def peak(z: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Wave vector (down, right), 1/nm, of the strongest wave with a number between the limits."""
    window = np.hanning(len(z))[:, None] * np.hanning(z.shape[1])
    power = abs(np.fft.fft2((z - z.mean()) * window))
    ky, kx = (np.fft.fftfreq(n, PITCH) for n in z.shape)
    k = np.hypot(ky[:, None], kx)
    i, j = np.unravel_index(np.argmax(power * ((k > low) & (k < high))), k.shape)
    return float(ky[i]), float(kx[j])


# The lattice


def test_rows_are_768_pm_apart_and_dimers_384():
    z = image(PERFECT, 0, angle_deg=0.0)
    bin_per_nm = 1 / (128 * PITCH)
    assert math.hypot(*peak(z, 1.0, 1.6)) == pytest.approx(1 / 0.7681, abs=bin_per_nm / 2)
    along = np.fft.rfft(z - z.mean(axis=1, keepdims=True), axis=1)
    k = abs(along).sum(axis=0).argmax() * bin_per_nm
    assert k == pytest.approx(1 / 0.3840, abs=bin_per_nm / 2)
    assert (round(ROW_NM, 4), round(DIMER_NM, 4), round(STEP_NM, 4)) == (0.7681, 0.384, 0.1358)


@pytest.mark.parametrize("angle_deg", [0.0, 17.0, 45.0, 90.0, 128.0])
def test_rows_run_at_any_angle(angle_deg):
    """Counted from the columns' axis downwards: the wave across the rows points 90 degrees on."""
    ky, kx = peak(image(PERFECT, 1, angle_deg=angle_deg), 1.0, 1.6)
    across_deg = math.degrees(math.atan2(ky, kx))
    # Half a Fourier pixel at 1.3 per nm is 1.8 degrees.
    assert (across_deg - angle_deg - 90 + 90) % 180 - 90 == pytest.approx(0, abs=1.8)


@pytest.mark.parametrize(("component", "stretched"), [(0, "columns"), (3, "rows")])
def test_strain_stretches_the_image(component, stretched):
    strain = tuple(0.1 if i == component else 0.0 for i in range(4))
    angle = 90.0 if stretched == "columns" else 0.0
    before = math.hypot(*peak(image(PERFECT, 2, (256, 256), angle_deg=angle), 0.9, 1.6))
    after = math.hypot(
        *peak(image(PERFECT, 2, (256, 256), angle_deg=angle, strain=strain), 0.9, 1.6)
    )
    assert before / after == pytest.approx(1.1, abs=0.02)


@pytest.mark.parametrize("step", ["S_A", "S_B"])
def test_a_step_is_136_pm_high_and_the_rows_turn_by_90_degrees(step):
    z = image(PERFECT, 3, (256, 256), angle_deg=0.0, step=step, kinks=0.0)
    smooth = gaussian_filter(z, 8)
    middle = (smooth.min() + smooth.max()) / 2
    upper, lower = smooth > middle + 55, smooth < middle - 55
    assert min(upper.mean(), lower.mean()) > 0.05
    assert z[upper].mean() - z[lower].mean() == pytest.approx(135.8, abs=1)

    down, right = np.gradient(z)
    for terrace, along_columns in ((upper, True), (lower, False)):
        steepness = (down[terrace] ** 2).mean() / (right[terrace] ** 2).mean()
        assert (steepness > 2) == along_columns
        assert (steepness < 0.5) == (not along_columns)


def test_an_edge_follows_the_rows_at_s_a_and_cuts_them_at_s_b():
    tilt = {}
    for step in ("S_A", "S_B"):
        across = []
        for seed in range(12):
            z = image(PERFECT, seed, (96, 96), angle_deg=0.0, step=step, kinks=0.0)
            down, right = (abs(g).mean() for g in np.gradient(gaussian_filter(z, 6)))
            across.append(down > right)
        tilt[step] = np.mean(across)
    assert tilt["S_A"] > 0.8, "the edge runs along the columns, as the rows do"
    assert tilt["S_B"] < 0.2


# What spoils it


@pytest.mark.parametrize(("length", "rows"), [(1.0, 1.0), (4.0, 1.0), (5.0, 2.0)])
def test_as_many_sites_are_missing_as_asked_for_in_such_runs(length, rows, rng):
    h = np.zeros((600, 900))
    defects.remove(h, 0.03, length, rows, 0.2, rng)
    missing = h < 0
    assert missing.mean() == pytest.approx(0.03, rel=0.1)
    runs = (np.diff(missing.astype(int), axis=1) == 1).sum()
    assert missing.sum() / runs == pytest.approx(length, rel=0.1)
    assert (h[missing] >= -0.2).all()
    assert (h[missing] <= -0.25 * 0.2).all()
    # Half are complete, and so is half of what is longest.
    assert np.mean(h[missing] == -0.2) == pytest.approx(0.5, abs=0.06)


REAL = replace(PERFECT, width_along_nm=(0.22, 0.22))
"""As a real tip draws it."""


def test_missing_dimers_darken_their_share_of_the_surface():
    recipe = replace(REAL, missing=(0.1, 0.1), vacancy_length=(4, 4), vacancy_nm=(0.3, 0.3))
    dark = [image(recipe, seed) < np.median(image(REAL, seed)) - 100 for seed in range(8)]
    # The tip does not reach the bottom at the ends of a gap, nor of the shallowest.
    assert 0.03 < np.mean(dark) < 0.1
    assert (image(REAL, 0) > np.median(image(REAL, 0)) - 100).all()


def test_dangling_bonds_are_as_dense_as_asked_for():
    """They are at least 0.6 x 200 pm high; a few coincide."""
    recipe = replace(REAL, bonds=(0.01, 0.01), bond_nm=(0.2, 0.2))
    found = 0
    for seed in range(30):
        z = gaussian_filter(image(recipe, seed, (192, 192)), 0.5)
        found += label((z == maximum_filter(z, 5)) & (z > image(REAL, seed).max() + 40))[1]
    expected = 30 * 0.01 * (192 * PITCH) ** 2 / (ROW_NM * DIMER_NM)
    assert found == pytest.approx(expected, rel=0.15)


def test_adsorbates_are_as_dense_as_asked_for():
    """Clusters are told apart by 1 nm; the few below 40 pm are not seen."""
    recipe = replace(REAL, adsorbates_per_nm2=(0.003, 0.003))
    found = 0
    for seed in range(40):
        z = image(recipe, seed, (256, 256))
        found += label(maximum_filter(z, round(1 / PITCH)) > image(REAL, seed).max() + 40)[1]
    assert found == pytest.approx(40 * 0.003 * (256 * PITCH) ** 2, rel=0.3)


@pytest.mark.parametrize(
    ("switch", "darker", "brighter"),
    [
        ({"pits_per_nm2": (0.02, 0.02)}, True, False),
        ({"siloxane": (0.05, 0.05)}, True, False),
        ({"chains_per_nm2": (0.02, 0.02)}, False, True),
        ({"patch": 1.0}, True, True),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_every_other_defect_shows_and_has_its_sign(switch, darker, brighter):
    plain = np.array([np.percentile(image(PERFECT, s), (1, 99)) for s in range(6)])
    spoilt = np.array(
        [np.percentile(image(replace(PERFECT, **switch), s), (1, 99)) for s in range(6)]
    )
    low, high = np.median(spoilt - plain, axis=0)
    assert (low < -10) == darker
    assert (high > 20) == brighter


def test_a_background_is_slow(rng):
    recipe = replace(PERFECT, waviness_nm=(0.05, 0.05), tilt_sd=0.002)
    scan = surface(rng, (128, 128), recipe)
    slow = gaussian_filter(scan.values, 8)
    assert np.ptp(slow) > 0.02
    # Half-waves, three at most along each axis, and a tilt: 12 numbers per axis describe it.
    y = np.linspace(-1, 1, 128)
    legendre = np.polynomial.legendre.legvander(y, 8)
    fit = legendre @ np.linalg.lstsq(legendre, slow, rcond=None)[0]
    assert np.std(fit - slow) < 0.002


# How it is drawn


def test_pitch_and_angle_are_drawn_as_people_scan(rng):
    drawn = [TRAINING.draw(rng) for _ in range(600)]
    pitch = np.array([p.pixel_nm for p in drawn])
    assert 0.16 <= pitch.min() < 0.163
    assert 0.217 < pitch.max() <= 0.22
    from_diagonal = np.array([(p.angle_deg % 90) - 45 for p in drawn])
    # Half within 45 +- 7 degrees: two sigmas of them, and of the others 28 of 90 degrees.
    assert np.mean(abs(from_diagonal) < 14) == pytest.approx(0.5 * 0.954 + 0.5 * 28 / 90, abs=0.06)
    assert np.mean([p.step is not None for p in drawn]) == pytest.approx(0.3, abs=0.06)
    for kind, share in {"bare": 0.15, "amorphous": 0.15, None: 0.7}.items():
        assert np.mean([p.patch == kind for p in drawn]) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (33, 70)])
def test_a_seed_makes_one_surface_of_any_shape(name, shape):
    one, same, other = (SURFACES[name].surface(np.random.default_rng(s), shape) for s in (4, 4, 5))
    assert one.values.shape == shape
    assert one.values.dtype == np.float32
    assert np.isfinite(one.values).all()
    assert np.array_equal(one.values, same.values)
    assert one.history == same.history
    assert not np.array_equal(one.values, other.values)
    assert one.quantity is Quantity.HEIGHT


def test_the_history_says_what_was_drawn(rng):
    scan = surface(rng, (16, 16), replace(TRAINING, pixel_nm=(0.2, 0.2), step=1.0))
    (line,) = scan.history
    assert line.startswith("simulate Si(001):H: pixel_nm 0.2, angle_deg ")
    assert "step S_" in line
    assert scan.pixel_nm == (0.2, 0.2)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"pixel_nm": (0.2, 0.1)}, r"pixel_nm is a range \(low, high\) above 0, got \(0.2, 0.1\)"),
        ({"decay_nm": (0, 0.1)}, r"decay_nm is a range .* above 0, got \(0, 0.1\)"),
        ({"waviness_nm": (-1, 0)}, r"waviness_nm is a range .* from 0 upwards, got \(-1, 0\)"),
        ({"vacancy_nm": (0, math.inf)}, r"vacancy_nm is a range .* got \(0, inf\)"),
        ({"vacancy_rows": (0.5, 2)}, r"vacancy_rows is a range .* from 1 upwards, got \(0.5, 2\)"),
        ({"missing": (0, 0.1)}, r"missing is a range .* above 0, got \(0, 0.1\)"),
        ({"step": 1.2}, "step is a probability, 0 to 1, got 1.2"),
        ({"patch": -0.1}, "patch is a probability, 0 to 1, got -0.1"),
        ({"strain_sd": -1}, "strain_sd is a standard deviation, 0 or more, got -1"),
    ],
)
def test_recipes_that_mean_nothing_are_rejected(parameters, words):
    with pytest.raises(RecipeError, match=words):
        replace(TRAINING, **parameters)


def test_every_parameter_is_documented():
    documented = Si001H.__doc__ + type(TRAINING.draw(np.random.default_rng(0))).__doc__
    for field in fields(Si001H):
        assert f"        {field.name}: " in documented or f" {field.name}" in documented


# The topograph


def test_a_topograph_is_the_logarithm_of_the_summed_current(rng):
    """Against the plain sum; what it leaves out, 1/300 of a dimer each, is far from all of them."""
    s, pixel_nm, angle, along, across = 0.06, 0.2, 0.7, 0.2, 0.3
    x, y = rng.uniform(-4, 4, (2, 400))
    h = rng.uniform(-0.05, 0.1, 400)
    topograph = Topograph((40, 30), pixel_nm, s)
    topograph.add(x, y, h, angle, along, across)

    rows, columns = np.mgrid[:40, :30]
    dy = (rows - 19.5)[..., None] * pixel_nm - y
    dx = (columns - 14.5)[..., None] * pixel_nm - x
    u = dx * math.cos(angle) + dy * math.sin(angle)
    v = dy * math.cos(angle) - dx * math.sin(angle)
    g = np.exp(h / s - (u / along) ** 2 / 2 - (v / across) ** 2 / 2)
    expected = s * np.log(g.sum(axis=2) + math.exp(-0.45 / s))
    assert topograph.heights_nm() == pytest.approx(expected, abs=1e-3)


def test_what_is_raised_is_shown_raised_by_as_much(rng):
    x, y = rng.uniform(-4, 4, (2, 900))
    heights = []
    for base_nm in (0.0, STEP_NM):
        topograph = Topograph((24, 24), 0.2, 0.06)
        topograph.add(x, y, np.full(900, base_nm), 0.0, 0.3, 0.3)
        heights.append(topograph.heights_nm())
    assert heights[1] - heights[0] == pytest.approx(STEP_NM, abs=1e-3)


# The noise of an undisturbed measurement


def test_acquisition_noise_keeps_the_seed_and_the_input(rng):
    scan = surface(rng)
    before = scan.values.copy()
    one, same = (acquisition_noise(scan, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(scan.values, before)
    assert np.array_equal(one.values, same.values)
    assert one.history == (*scan.history, "acquisition noise x1")
    nothing = acquisition_noise(scan, np.random.default_rng(1), strength=0)
    assert np.array_equal(nothing.values, before)


def test_acquisition_noise_ends_where_the_feedback_does():
    """On a flat terrace: a few pm, white from line to line, and less of what is fast along them."""
    flat = Scan(np.zeros((128, 128), np.float32), (0.195, 0.195))
    along, across, rms = np.zeros(65), np.zeros(65), []
    for seed in range(40):
        noise = acquisition_noise(flat, np.random.default_rng(seed)).values * 1e3
        noise -= np.median(noise, axis=1, keepdims=True)
        rms.append(noise.std())
        along += (abs(np.fft.rfft(noise, axis=1)) ** 2).mean(axis=0)
        across += (abs(np.fft.rfft(noise, axis=0)) ** 2).mean(axis=1)
    assert 1 < np.median(rms) < 8
    assert along[50:].mean() < 0.7 * along[10:25].mean()
    assert across[50:].mean() == pytest.approx(across[10:25].mean(), rel=0.1)


def test_the_feedback_moves_nothing_along_the_line():
    """Its delay is taken out: the noisy surface correlates best with itself in place."""
    clean, _ = level.plane(surface(np.random.default_rng(0), (128, 128), PERFECT))
    total = np.zeros(7)
    for seed in range(12):
        noisy = acquisition_noise(clean, np.random.default_rng(seed)).values
        total += [(np.roll(noisy, s, axis=1) * clean.values)[:, 8:-8].sum() for s in range(-3, 4)]
    assert total.argmax() == 3


def test_nothing_is_left_of_the_lattice_where_it_is_jumbled(rng):
    """The structure factor of the rows falls by the Debye-Waller factor of the displacements."""
    x, y = (a.astype(float) for a in np.indices((100, 100)))
    x, y, h = x * ROW_NM, y * DIMER_NM, np.zeros((100, 100))
    half = np.where(np.arange(100) < 50, 0.0, 1.0) * np.ones((100, 1))
    defects.jumble(x, y, h, half, 0.1, rng)
    factor = abs(np.exp(2j * np.pi * x / ROW_NM).reshape(100, 2, 50).mean(axis=(0, 2)))
    assert factor[0] == pytest.approx(1)
    assert factor[1] == pytest.approx(np.exp(-2 * (np.pi * 0.35 / ROW_NM) ** 2), abs=0.03)
    assert (h[:, :50] == 0).all()
    assert np.percentile(h[:, 50:], 75) == pytest.approx(-0.05 + 0.0674, abs=0.03)
    assert h[:, 50:].min() < -0.4  # a hole
