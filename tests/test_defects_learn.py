"""What a network that finds defects learns from, and that it learns it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402

from scanmend import models  # noqa: E402
from scanmend.defects import samples, targets  # noqa: E402
from scanmend.defects.samples import Scenes, Seen, sample  # noqa: E402
from scanmend.defects.scores import figures  # noqa: E402
from scanmend.defects.view import view  # noqa: E402
from scanmend.errors import ReadError, RecipeError, TrainingError  # noqa: E402
from scanmend.scan import Scan  # noqa: E402
from scanmend.stm import record  # noqa: E402
from scanmend.stm.experiment import load as experiment  # noqa: E402
from scanmend.train.export import export  # noqa: E402
from scanmend.train.learner import Learner  # noqa: E402
from scanmend.train.loop import train  # noqa: E402
from scanmend.train.marked import Marked  # noqa: E402
from scanmend.train.processes import Processes  # noqa: E402
from scanmend.train.settings import Settings, load, of_model  # noqa: E402

ALONE = Processes(0, 1, torch.device("cpu"))
PRESETS = (
    *("defects-tmd", "defects-graphene", "defects-si001h", "defects-si111-7x7"),
    *("luzny-main", "luzny-control"),
)

ADATOMS = """
material = "cu111"
scans_per_session = 4

[frame]
rows = 40
columns = 40
width_nm = 4.0

[tunnelling]
bias_V = -0.1
coupling_eV = 5

[tip]
shape = "atom"

[defects_per_nm2]
adatom = 0.2
vacancy = 0.05
"""
"""Round and bright, and quickly simulated."""

PLAIN = {"flip": False, "gain": 0.0, "tilted": False, "worn": 0.0, "gap": 0.0}


@pytest.fixture(scope="module")
def copper(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("copper") / "adatoms.toml"
    path.write_text(ADATOMS)
    return str(path)


@pytest.fixture(scope="module")
def scenes(copper) -> Scenes:
    return Scenes((copper,), ("adatom", "vacancy"), sigma_nm=0.2, side=32)


@pytest.fixture(scope="module")
def tiny(scenes) -> Settings:
    lesson = Marked(mix=scenes, widths=(16, 16), blocks=(1, 1), middle=1, validation=12)
    return Settings("tiny", lesson, iterations=60, batch=8, warm_up=2, validate_every=60)


# The maps


def test_a_map_has_a_peak_of_its_class_at_each_defect():
    kinds = ("adatom", "adatom", "vacancy", "vacancy", "step")
    places = np.array([(10, 20), (10, 22), (30.5, 7), (math.nan, math.nan), (40, 40)])
    classes = ("vacancy", "adatom", "dopant")
    made = targets.maps(kinds, places, classes, (48, 64), (0.1, 0.1), sigma_nm=0.2)
    assert made.shape == (3, 48, 64) and made.dtype == np.float32
    vacancies, adatoms, dopants = made
    assert adatoms[10, 20] == adatoms[10, 22] == adatoms.max() == 1
    assert adatoms[10, 21] == pytest.approx(math.exp(-1 / 8)), "the highest, not the sum"
    assert adatoms[12, 20] == pytest.approx(math.exp(-0.5))
    assert (
        vacancies.max() == vacancies[30, 7] == vacancies[31, 7] == pytest.approx(math.exp(-1 / 32))
    )
    assert not dopants.any()
    assert targets.maps(kinds, places, (), (48, 64), (0.1, 0.1)).shape == (0, 48, 64)
    (together,) = targets.maps(kinds, places, (targets.ONE,), (48, 64), (0.1, 0.1), sigma_nm=0.2)
    np.testing.assert_array_equal(together[:28], np.maximum(adatoms, vacancies)[:28])
    assert together[40, 40] == 1


def test_a_gaussian_is_round_in_nm_and_may_begin_beyond_the_frame():
    (oblong,) = targets.maps(["a"], np.array([(8.0, 8.0)]), ["a"], (17, 17), (0.1, 0.2), 0.2)
    assert oblong[10, 8] == pytest.approx(oblong[8, 9]) == pytest.approx(math.exp(-0.5))
    (edge,) = targets.maps(["a"], np.array([(-1.0, 4.0)]), ["a"], (9, 9), (0.1, 0.1), 0.1)
    assert edge[0, 4] == edge.max() == pytest.approx(math.exp(-0.5))
    (far,) = targets.maps(["a"], np.array([(-90.0, 4.0)]), ["a"], (9, 9), (0.1, 0.1), 0.1)
    assert not far.any()


# The samples


def test_a_sample_depends_on_its_number_alone(scenes):
    before, learnt = sample(scenes, 0, 37), (scenes.classes, scenes.sigma_nm)
    for cache in (samples._session, samples._kept):
        cache.cache_clear()
    sample(scenes, 0, 5)
    after = sample(scenes, 0, 37)
    np.testing.assert_array_equal(before.image, after.image)
    np.testing.assert_array_equal(
        before.target(*learnt),
        after.target(*learnt),
    )
    assert (sample(scenes, 1, 37).image != after.image).any()
    assert after.image.shape == (2, 32, 32) and after.image.dtype == np.float32


def test_each_scan_of_a_session_serves_as_often_as_is_said(scenes, monkeypatch):
    asked = []
    monkeypatch.setattr(samples, "part", lambda seen, *_: asked.append(id(seen.image)))
    mix = replace(scenes, uses=3, retrace=False)
    for number in range(0, 16 * 24, 16):  # slot 0, two sessions of 4 scans
        sample(mix, 0, number)
    counts = np.unique(asked, return_counts=True)[1]
    assert len(counts) == 8 and set(counts) == {3}


@pytest.mark.parametrize("changes", [PLAIN, {**PLAIN, "flip": True}], ids=["plain", "flipped"])
def test_marks_lie_on_what_is_seen(scenes, changes):
    """Adatoms stand out, vacancies do not; wherever a part lies, and however it is flipped."""
    mix = replace(scenes, **changes)
    heights = {"adatom": [], "vacancy": []}
    agreement = []
    for number in range(96):
        seen = sample(mix, 0, number)
        image, (adatoms, _) = seen.image[0], seen.target(mix.classes, mix.sigma_nm)
        for kind, (row, column) in zip(seen.kinds, seen.places_px, strict=True):
            if 0 <= row <= 31 and 0 <= column <= 31:
                heights[kind].append(image[round(row), round(column)] - np.median(image))
        if adatoms.std() > 0.05:
            agreement.append(np.corrcoef(image.ravel(), adatoms.ravel())[0, 1])
    assert np.min(heights["adatom"]) > 1 > 0 > np.mean(heights["vacancy"])
    assert np.mean(agreement) > 0.8


def test_what_is_missing_is_told_by_the_mask(scenes):
    whole, gap = (sample(replace(scenes, **{**PLAIN, "gap": g}), 0, 3) for g in (0.0, 1.0))
    assert whole.image[1].all()
    lost = ~gap.image[1].astype(bool).any(axis=1)
    assert 1 <= lost.sum() <= 8
    np.testing.assert_allclose(gap.image[0][~lost], whole.image[0][~lost], rtol=1e-5, atol=1e-5)
    assert (gap.image[0][lost] != whole.image[0][lost]).all()


def test_a_network_sees_neither_tilt_nor_scale_nor_holes():
    y, x = np.indices((48, 40))
    heights = (0.1 * np.cos(x) * np.cos(y / 3)).astype(np.float32)
    scan = Scan(heights, (0.1, 0.1))
    tilted = scan.after("", 7 * (heights + 0.3 + 0.01 * x - 0.02 * y))
    np.testing.assert_allclose(view(scan), view(tilted), atol=1e-4)
    heights[20:23, 5] = np.nan
    image, mask = view(scan.after("", heights))
    assert np.isfinite(image).all() and (mask == 0).sum() == 3


def test_shards_are_learnt_from_one_by_one(tmp_path, copper, scenes):
    plan = experiment(copper)
    store = record.to_shards(plan, tmp_path / "shards", 8)
    mix = replace(scenes, **PLAIN)
    there = samples.of_shards(store.folder, mix)
    first, again = (sample(mix, 0, number, there) for number in (1, 9))
    scan = record.simulation(store, 1)
    assert first.kinds == again.kinds == tuple(d.kind for d in scan.defects)
    lesson = Marked(mix=mix, stored=str(tmp_path / "shards"))
    image, target = lesson.sampler(0)(1)
    np.testing.assert_array_equal(image, first.image)
    np.testing.assert_array_equal(target, first.target(mix.classes, mix.sigma_nm))

    other = replace(mix, experiments=("graphene",), classes=("vacancy",))
    with pytest.raises(RecipeError, match=r"holds 'adatoms' as it was made, not .* 'graphene'"):
        samples.of_shards(store.folder, other)
    store.path(0).unlink()
    with pytest.raises(ReadError, match="lacks 1 shards: the same `scanmend simulate`"):
        samples.of_shards(store.folder, mix)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"experiments": ()}, "name one experiment"),
        ({"side": 48}, "scans 40 x 40 pixels: a sample needs 48 x 48"),
        ({"classes": ("dopant",)}, r"no defect 'dopant'; there are .*adatom"),
        ({"classes": ("defect", "adatom")}, "or 'defect' alone"),
        ({"uses": 0}, "uses are 1 or more"),
    ],
)
def test_scenes_that_cannot_be_are_refused(scenes, changes, text):
    with pytest.raises(RecipeError, match=text):
        replace(scenes, **changes)


# The figures


def test_figures_tell_what_was_found(scenes):
    places, learnt = np.array([(8.0, 8.0), (20.0, 20.0), (-2.0, 10.0)]), (scenes.classes, 0.2)
    seen = Seen(np.zeros((2, 32, 32), np.float32), (0.1, 0.1), ("adatom",) * 3, places)
    right = seen.target(*learnt)[None]
    perfect = figures(right, [seen], *learnt)
    assert perfect["r2"] == perfect["f1_adatom"] == perfect["f1"] == 1 and perfect["mse"] == 0
    nothing = figures(0 * right, [seen], *learnt)
    assert nothing["f1"] == 0 and nothing["mse"] == pytest.approx(
        float((right**2).mean()), abs=1e-6
    )
    assert nothing["variance"] == pytest.approx(float(right.var()), abs=1e-6)
    assert nothing["smooth_l1"] == pytest.approx(nothing["mse"] / 2, abs=1e-6)

    moved = replace(seen, places_px=np.array([(10.0, 8.0), (20.0, 24.0)]), kinds=("adatom",) * 2)
    off = figures(moved.target(*learnt)[None], [seen], scenes.classes, scenes.sigma_nm)
    assert off["f1_adatom"] == pytest.approx(0.5), "0.2 nm off is found, 0.4 nm off is not"
    swapped = figures(right[:, ::-1], [seen], *learnt)
    assert swapped["f1_adatom"] == swapped["f1"] == 0


# The lesson


def test_a_network_learns_to_find_adatoms(tmp_path, tiny):
    net, _ = train(tiny, tmp_path, workers=0)
    after = tiny.lesson.validate(net)
    assert after["r2"] > 0.3
    assert after["f1_adatom"] > 0.6


def test_a_model_file_has_a_map_for_each_class(tmp_path, tiny):
    torch.manual_seed(0)
    net = tiny.lesson.network().eval()
    torch.nn.init.normal_(net.head.weight, std=0.1)
    model = models.load(export(net, tiny, tmp_path / "defects-copper.onnx"))
    card = model.card
    assert model.finds_defects and card["classes"] == ["adatom", "vacancy"]
    assert card["materials"] == ["Cu(111)"] and card["sigma_nm"] == 0.2
    assert card["pixel_nm"] == [0.1, 0.1] and card["quantity"] == "HEIGHT"
    (source,) = card["trained_on"]["source"]["experiments"]
    assert source["defects_per_nm2"] == {"adatom": 0.2, "vacancy": 0.05}
    image = sample(tiny.lesson.mix, 0, 0).image
    with torch.no_grad():
        expected = net(torch.from_numpy(image[None]), torch.zeros(1))[0].numpy()
    found = model.network(image, 0.0)
    assert found.shape == (2, 32, 32)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_what_is_begun_with_may_know_other_classes(tmp_path, tiny):
    torch.manual_seed(0)
    few = replace(
        tiny, lesson=replace(tiny.lesson, mix=replace(tiny.lesson.mix, classes=("adatom",)))
    )
    net = few.lesson.network().eval()
    torch.nn.init.normal_(net.head.weight, std=0.1)
    path = export(net, few, tmp_path / "one.onnx")
    begun = Learner(replace(tiny, start=str(path)), ALONE).net.eval()
    image = torch.from_numpy(sample(tiny.lesson.mix, 0, 0).image[None])
    with torch.no_grad():
        ((old,), (new, unknown)) = (n(image, torch.zeros(1))[0] for n in (net, begun))
    torch.testing.assert_close(old, new)
    assert not unknown.any()


def test_a_model_for_restoration_is_begun_with(scenes):
    """What it made of an image that is shown twice, its first layer makes of it once."""
    lesson = Marked(mix=scenes)
    begun = Learner(Settings("begun", lesson, start="surface"), ALONE).net
    graph = onnx.load(models.load("surface").path).graph
    stem = next(numpy_helper.to_array(w) for w in graph.initializer if w.name == "stem.weight")
    bias = next(numpy_helper.to_array(w) for w in graph.initializer if w.name == "stem.bias")
    image = torch.from_numpy(sample(scenes, 0, 0).image[None])
    fold = torch.nn.functional.pixel_unshuffle
    twice = fold(torch.cat([image[:, :1], image], 1), 2)
    expected = torch.nn.functional.conv2d(twice, *map(torch.tensor, (stem, bias)), padding=1)
    torch.testing.assert_close(begun.stem(fold(image, 2)), expected, atol=1e-4, rtol=1e-4)
    with pytest.raises(TrainingError, match="of another network"):
        Learner(Settings("begun", replace(lesson, widths=(16, 32, 64)), start="surface"), ALONE)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_drawn_from(name):
    lesson = load(name).lesson
    assert isinstance(lesson, Marked)
    image, target = lesson.sampler(0)(0)
    assert np.isfinite(image).all() and target.shape == (len(lesson.mix.classes), 64, 64)


def test_settings_come_back_from_a_card(tmp_path, tiny):
    path = export(tiny.lesson.network().eval(), tiny, tmp_path / "tiny.onnx")
    again = of_model(path, {"iterations": 5})
    assert again.lesson == tiny.lesson and again.iterations == 5 and again.start == str(path)
    with pytest.raises(RecipeError, match="for the task defects, got 'restore'"):
        of_model(path, {"task": "restore"})
