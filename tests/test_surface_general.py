"""Surfaces of every kind: lattices where they are known to be, and everything from a seed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import scanmend.crystals
from scanmend.crystals import SURFACES, general
from scanmend.crystals.general import KINDS, TRAINING, General, surface
from scanmend.crystals.invented import Crystal
from scanmend.crystals.relief import Terraces, log_uniform, pattern, pixels, rough
from scanmend.errors import RecipeError

NOTHING = dict.fromkeys(general.PROBABILITIES, 0.0)
PERFECT = General(**NOTHING, strain_sd=0.0, tilt_sd=0.0, roughness_nm=(0.0, 0.0))


def only(kind: str, recipe: General = TRAINING, **changes: object) -> General:
    """A recipe of one of KINDS."""
    return replace(recipe, **{k: float(k == kind) for k in KINDS}, **changes)


def peak_per_nm(scan, around: float) -> float:
    """Wave number of the strongest Fourier component within 6 % of one, 1/nm."""
    z = scan.values - scan.values.mean()
    window = np.outer(*(np.hanning(n) for n in z.shape))
    spectrum = abs(np.fft.fft2(z * window, (1024, 1024)))
    ky, kx = (np.fft.fftfreq(1024, p) for p in scan.pixel_nm)
    k = np.hypot(ky[:, None], kx)
    ring = abs(k / around - 1) < 0.06
    return float(k.flat[np.argmax(spectrum * ring)])


# What is drawn


def test_it_is_a_generator_to_train_on():
    assert SURFACES["surface"] is general
    assert TRAINING.pixel_nm == (0.02, 0.4)
    assert set(general.MATERIALS) == set(scanmend.crystals.MATERIALS)
    for name, (material, _) in general.MATERIALS.items():
        assert material is scanmend.crystals.MATERIALS[name]


def test_the_same_state_gives_the_same_bits():
    one, same = (np.random.default_rng(3) for _ in range(2))
    for _ in range(12):
        a, b = surface(one, (40, 56)), surface(same, (40, 56))
        assert a.history == b.history
        assert np.array_equal(a.values, b.values)
    assert one.bit_generator.state == same.bit_generator.state


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pixel_nm", [0.03, 0.07, 0.2])
def test_every_kind_has_heights_that_a_tip_could_meet(rng, kind, pixel_nm):
    for _ in range(4):
        scan = surface(rng, (48, 48), only(kind, pixel_nm=(pixel_nm, pixel_nm)))
        assert scan.pixel_nm == pytest.approx((pixel_nm, pixel_nm))
        assert np.isfinite(scan.values).all()
        assert 1e-4 < np.ptp(scan.values) < 8


def test_kinds_and_pitches_come_as_often_as_asked(rng):
    drawn = [surface(rng, (4, 4)) for _ in range(500)]
    pitch = np.log([s.pixel_nm[0] for s in drawn])
    low, high = np.log(TRAINING.pixel_nm)
    assert low <= pitch.min()
    assert pitch.max() <= high
    assert np.mean(pitch) == pytest.approx(
        (low + high) / 2, abs=4 * (high - low) / math.sqrt(12 * 500)
    )
    assert np.std(pitch) == pytest.approx((high - low) / math.sqrt(12), rel=0.1)

    def kind(text: str) -> str:
        return "si001h" if "angle_deg" in text else text.split(": ")[-1].split(",")[0]

    found = [kind(s.history[0]) for s in drawn]
    expected = np.mean(
        [np.divide(w := TRAINING.weights(math.exp(p)), sum(w)) for p in pitch], axis=0
    )
    for name, share in zip(KINDS, expected, strict=True):
        assert found.count(name) / 500 == pytest.approx(share, abs=4 * math.sqrt(share / 500))
        assert share < 0.5
    assert set(found) == set(KINDS)


def test_no_lattice_is_drawn_too_coarsely_to_be_seen():
    assert TRAINING.seen(0.02) == list(general.MATERIALS)
    assert TRAINING.seen(0.2) == ["si111-7x7"]
    assert TRAINING.weights(0.4)[:2] == [0, 0]
    with pytest.raises(RecipeError, match=r"nothing of this recipe can be seen at 0\.4 nm a pixel"):
        only("material")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"pixel_nm": (0.3, 0.2)},
            r"pixel_nm is a range \(low, high\) above 0, got \(0\.3, 0\.2\)",
        ),
        ({"pixel_nm": (0.0, 0.2)}, "pixel_nm is a range"),
        ({"roughness_nm": (0.0, 0.2)}, "roughness_nm is a range"),
        ({"crystal": -1.0}, r"crystal is 0 or more, got -1\.0"),
        ({"patch": 1.5}, r"patch is a probability, 0 to 1, got 1\.5"),
        ({"strain_sd": math.nan}, "strain_sd is 0 or more, got nan"),
        ({"materials": ("gold",)}, "no material 'gold'; there are graphene, mos2"),
    ],
)
def test_a_recipe_that_is_none_is_refused(changes, text):
    with pytest.raises(RecipeError, match=text):
        replace(TRAINING, **changes)


# Lattices


@pytest.mark.parametrize(
    ("name", "pixel_nm", "spacing_nm"),
    [
        ("graphene", 0.04, 0.246 * math.sqrt(3) / 2),
        ("mos2", 0.05, 0.316 * math.sqrt(3) / 2),
        ("au111", 0.05, 0.4078 / math.sqrt(2) * math.sqrt(3) / 2),
        ("si111-7x7", 0.15, 7 * 0.5431 / math.sqrt(2) * math.sqrt(3) / 2),
    ],
)
def test_a_material_has_its_period(rng, name, pixel_nm, spacing_nm):
    recipe = only("material", PERFECT, materials=(name,), pixel_nm=(pixel_nm, pixel_nm))
    for _ in range(2):
        scan = surface(rng, (160, 160), recipe)
        assert peak_per_nm(scan, 1 / spacing_nm) == pytest.approx(1 / spacing_nm, rel=0.01)


@pytest.mark.parametrize(
    ("superstructure", "vectors"),
    [
        ((2, 1, 1), [(1, 1), (1, -1)]),  # c(2x2)
        ((3, 1, 1), [(1, 1), (2, -1)]),  # root 3 of a hexagonal lattice
        ((4, 2, 1), [(4, 0), (0, 2), (2, 1)]),  # c(4x2)
        ((2, 1, 4), [(2, 0), (0, 8), (1, 4)]),  # c(2x8)
    ],
)
def test_a_superstructure_has_its_cell(superstructure, vectors):
    p, _, r = superstructure
    moved = np.zeros((p * r, 1, 3))
    moved[:, 0, 2] = np.arange(p * r)
    crystal = Crystal(
        "square", np.eye(2), np.zeros((1, 2)), np.zeros(1), superstructure, moved, 0.3
    )
    x, y, h = (a[..., 0] for a in crystal.sites(20, 0.0, np.zeros(2), 0))
    at = {(round(u), round(v)): k for u, v, k in zip(x.flat, y.flat, h.flat, strict=True)}
    assert all(at[i, j] == at[i + u, j + v] for u, v in vectors for i in range(9) for j in range(9))
    assert len(set(at.values())) == p * r
    counts = np.unique([at[i, j] for i in range(p * r) for j in range(p * r)], return_counts=True)[
        1
    ]
    assert (counts == p * r).all()


def test_a_crystal_reaches_as_far_as_asked(rng):
    for _ in range(40):
        crystal = Crystal.drawn(log_uniform(0.2, 3, rng), 0.5, rng)
        size_nm = 15 * crystal.vectors_nm[0, 0]
        x, y, _ = crystal.sites(
            size_nm / 2, rng.uniform(0, 6.3), rng.random(2) @ crystal.vectors_nm, 1
        )
        inside = np.hypot(x, y) < size_nm / 2
        area_nm2 = abs(np.linalg.det(crystal.vectors_nm)) / len(crystal.h_nm)
        assert inside.sum() * area_nm2 == pytest.approx(np.pi * size_nm**2 / 4, rel=0.12)


def test_atoms_are_everywhere():
    changes = {"strain_sd": 0.05, "materials": ("au111",), "pixel_nm": (0.05, 0.09)}
    recipe = only("material", PERFECT, **changes)
    for seed in range(40):
        z = surface(np.random.default_rng(seed), (64, 128), recipe).values
        assert z.min() == pytest.approx(z[12:-12, 12:-12].min(), abs=0.01)


def test_defects_change_nothing_far_away():
    recipe = only("crystal", PERFECT, pixel_nm=(0.08, 0.08), roughness_nm=(0.01, 0.01))
    shares = []
    for seed in range(12):
        clean, spoiled = (
            surface(np.random.default_rng(seed), (128, 128), replace(recipe, defects=d)).values
            for d in (0.0, 1.0)
        )
        shares.append(np.mean(abs(spoiled - clean) > 1e-4))
    assert min(shares) > 0
    assert np.median(shares) < 0.5


# Relief


def test_terraces_are_whole_layers_apart_and_edges_as_wide_as_asked(rng):
    for _ in range(20):
        terraces = Terraces.drawn(np.array((10.0, 10.0)), 0.1, rng)
        d = terraces.distances_nm(*pixels((100, 100), 0.1))
        level = terraces.levels(d, 0.05)
        on_edge = np.any([abs(one) < 0.3 for one in d], axis=0)
        assert level.min() >= -1e-6
        assert abs(level - np.rint(level))[~on_edge].max() < 1e-4


def test_patterns_have_their_period(rng):
    x, y = pixels((256, 256), 0.05)
    for _ in range(12):
        z = pattern(x, y, 1.0, rng)
        spectrum = abs(np.fft.rfft2(z - z.mean())) ** 2
        k = np.hypot(np.fft.fftfreq(256, 0.05)[:, None], np.fft.rfftfreq(256, 0.05))
        assert spectrum[k < 0.75].sum() < 0.1 * spectrum.sum()
        assert 0.3 < np.ptp(z) <= 1.6


def test_roughness_falls_with_the_wave_number_as_asked(rng):
    z = rough((256, 256), 3.0, rng)
    assert z.std() == pytest.approx(1, abs=1e-3)
    spectrum = abs(np.fft.fft2(z)) ** 2
    k = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    low, high = (spectrum[abs(k / at - 1) < 0.1].mean() for at in (0.05, 0.2))
    assert math.log(low / high) / math.log(4) == pytest.approx(3, abs=0.3)
