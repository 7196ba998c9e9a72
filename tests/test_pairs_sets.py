"""Pairs as the source of the method makes them, the same ones whoever makes them, and when."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from scanmend import io
from scanmend.crystals import silicon
from scanmend.degrade.base import height_range
from scanmend.degrade.fewer_lines import FewerLines
from scanmend.degrade.line_shift import LineShift
from scanmend.degrade.multi_tip import MultiTip
from scanmend.degrade.recipe import Recipe, Step, around_crop, isolated, margin_px, preset
from scanmend.errors import CorruptFile, ReadError, RecipeError, ScanError, WorkError
from scanmend.pairs import clean, sets
from scanmend.pairs.sets import SIDE, Counts, Pairs, build
from scanmend.scan import Quantity

PIXEL_NM = (100 / 512, 100 / 512)
FEW = Counts(train=5, validation=2, test=3, isolated=2)
DAMAGE = ["MultiTip", "LineShift", "BluntTip", "TipChange", "LineNoise"]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A folder of four clean images of 224x224 pixels."""
    folder = tmp_path_factory.mktemp("clean")
    recipe = replace(silicon.TRAINING, pixel_nm=PIXEL_NM[:1] * 2)
    for n in range(4):
        scan = silicon.surface(np.random.default_rng(n), (224, 224), recipe)
        io.write(scan, folder / f"{n}.nc")
    return folder


@pytest.fixture(scope="module")
def source(scans):
    return clean.folder(scans)


def undone(about: dict, pair: np.ndarray, channel: int) -> np.ndarray:
    """In the unit of the scan."""
    return about["low"][channel] + about["span"][channel] * (pair[channel] + 1) / 2


@pytest.mark.parametrize("recipe", ["paper", "realistic"])
@pytest.mark.parametrize("task", sets.TASKS)
def test_a_pair_is_its_number(source, recipe, task):
    pairs = Pairs(source, preset(recipe), task, seed=7)
    sample = pairs.sample(3)
    pair = sample.arrays["pair"]
    assert pair.shape == (2, SIDE, SIDE)
    assert pair.dtype == np.float32
    assert pair.min(axis=(1, 2)).tolist() == [-1, -1]
    assert pair.max(axis=(1, 2)).tolist() == [1, 1]
    again = pickle.loads(pickle.dumps(Pairs(source, preset(recipe), task, seed=7)))
    np.testing.assert_array_equal(again.images([2, 3])[1], pair)
    assert again.sample(3).about == sample.about
    for other in (replace(pairs, seed=8), replace(pairs, split="test")):
        assert (other.sample(3).arrays["pair"][0] != pair[0]).any()


def test_the_clean_channel_is_the_image(source):
    for number in range(6):
        sample = Pairs(source, preset("paper"), "x2").sample(number)
        about = sample.about
        image = next(i for i in source.images["train"] if i.sha256 == about["sha256"])
        margin = margin_px(preset("paper"), PIXEL_NM)
        whole = np.rot90(image.level()[0].values, about["turned_deg"] // 90)
        rows, columns = (slice(about[k] + margin, about[k] + margin + SIDE) for k in WHERE)
        expected = whole[rows, columns]
        assert undone(about, sample.arrays["pair"], 0) == pytest.approx(expected, abs=1e-6)
        assert about["image"] == image.path.name
        assert about["unit"] == "nm"


WHERE = ("row", "column")


@pytest.mark.parametrize("kind", ["MultiTip", "LineShift"])
def test_damage_from_beside_the_crop_is_that_of_the_whole_image(source, kind):
    """Cut from a damaged image, or damaged with a margin and cut: the same, to the last bits."""
    recipe = isolated(preset("paper"), kind)
    image, within = source.images["test"][0].level()
    margin = margin_px(recipe, PIXEL_NM)
    around, on_crop = around_crop(recipe)
    assert on_crop.steps == ()
    row, column = 30, 41
    for seed in range(12):
        whole = around(image, np.random.default_rng(seed), within)
        top, left = row - margin, column - margin
        side = SIDE + 2 * margin
        piece = image.crop(slice(top, top + side), slice(left, left + side))
        if kind == "LineShift":  # draws one number a line
            piece = image.crop(slice(0, 224), slice(left, left + side))
            top = 0
        part = around(piece, np.random.default_rng(seed), within)
        inside = part.values[row - top :, margin:][:SIDE, :SIDE]
        expected = whole.values[row : row + SIDE, column : column + SIDE]
        # A median is taken in 256 levels of the ghost, whose range is that of the piece.
        assert np.abs(inside - expected).max() < 0.02 * within[1], seed


def test_heights_are_fractions_of_the_whole_image(source):
    """A constant segment of line noise: in units of the image's range, not of the crop's."""
    noise = Step(replace(preset("paper").steps[-1].effect, weights=(1.0, 0.0, 0.0)))
    noise = replace(noise, effect=replace(noise.effect, constant_of_range=(0.5, 0.5)))
    pairs = Pairs(source, Recipe("noise", (noise,)))
    spans = {image.sha256: image.level()[1][1] for image in source.images["train"]}
    smaller = 0
    for number in range(12):
        sample = pairs.sample(number)
        span = spans[sample.about["sha256"]]
        before, after = (undone(sample.about, sample.arrays["pair"], c) for c in (0, 1))
        assert (after - before).max() == pytest.approx(0.5 * span, rel=1e-4)
        smaller += np.ptp(before) < 0.9 * span
    assert smaller > 0


def test_the_margin_is_that_of_the_reach():
    paper = preset("paper")
    multi, shift = (isolated(paper, k) for k in ("MultiTip", "LineShift"))
    fine, coarse = (0.1, 0.2), (0.2, 0.2)
    assert margin_px(multi, fine) == multi.steps[0].effect.margin_px(fine) > 30
    assert margin_px(shift, fine) == margin_px(shift, coarse) == 5
    assert margin_px(paper, coarse) == margin_px(multi, coarse) + margin_px(shift, coarse)
    assert margin_px(isolated(paper, "BluntTip"), fine) == 0
    never = Recipe("never", tuple(replace(step, probability=0.0) for step in paper.steps))
    assert margin_px(never, fine) == 0


def test_steps_are_split_where_the_crop_is():
    kinds = [[type(s.effect).__name__ for s in r.steps] for r in around_crop(preset("paper"))]
    assert kinds[0] == ["MultiTip", "LineShift"]
    assert kinds[1] == ["BluntTip", "TipChange", "FewerLines", "LineNoise"]
    late = Recipe("late", (Step(FewerLines()), Step(LineShift()), Step(FewerLines())))
    assert [len(part.steps) for part in around_crop(late)] == [2, 1]


def test_sets_share_their_clean_images(source):
    paper = preset("paper")
    first = Pairs(source, paper, split="test").images(range(4))
    for task in sets.TASKS:
        for alone in sets.names(paper, task).values():
            other = Pairs(source, paper, task, "test", alone=alone).images(range(4))
            np.testing.assert_array_equal(other[:, 0], first[:, 0])


@pytest.mark.parametrize("task", sets.TASKS)
def test_isolated_damage_is_always_there_and_alone(source, task):
    names = {"MultiTip": "multi-tip", "LineShift": "line shift", "BluntTip": "blunt tip"}
    names |= {"TipChange": "tip change", "LineNoise": "line noise", "FewerLines": "fewer lines"}
    fewer = [] if task == "restore" else ["fewer lines"]
    for recipe in ("paper", "realistic"):
        known = sets.names(preset(recipe), task)
        assert list(known)[:3] == list(clean.SPLITS)
        for kind in [*DAMAGE, *(["FewerLines"] if fewer else [])]:
            assert known[f"test-{kind}"] == kind
            pairs = Pairs(source, preset(recipe), task, "test", alone=kind)
            for number in range(2):
                history = pairs.sample(number).about["history"]
                done = {line.split(":")[0] for line in history}
                expected = {names[kind], *fewer}
                assert all(any(line.startswith(n) for n in expected) for line in done), done
                assert len(history) == len(expected)


@pytest.mark.parametrize(("task", "factor"), sets.TASKS.items())
def test_lines_are_left_out_by_the_task(source, task, factor):
    nothing = tuple(replace(step, probability=0.0) for step in preset("paper").steps)
    sample = Pairs(source, Recipe("nothing", nothing), task).sample(0)
    image, part = (undone(sample.about, sample.arrays["pair"], c) for c in (0, 1))
    same = np.isclose(image, part, atol=1e-6).all(axis=1)
    assert same.sum() == SIDE // factor
    assert len(np.unique(part, axis=0)) == SIDE // factor


def test_tips_reach_as_low_as_in_the_whole_image(source):
    """Where a ghost begins is a height above the lowest of the image, not of the piece."""
    image, (low, span) = source.images["test"][0].level()
    piece = image.crop(slice(0, 150), slice(0, 150))
    low_here, _ = height_range(piece)
    part = isolated(preset("paper"), "MultiTip")
    as_whole = part(piece, np.random.default_rng(3), (low, span)).values
    by_hand = replace(part.steps[0].effect, low=low, span=span)
    rng = np.random.default_rng(3)
    rng.random()
    np.testing.assert_array_equal(as_whole, by_hand(piece, rng).values)
    deeper = part(piece, np.random.default_rng(3), (low_here - span, span)).values
    assert deeper.mean() > as_whole.mean() + 0.1 * span


@pytest.mark.parametrize("name", ["sbsr-paper", "sbsr-code"])
def test_recipes_that_take_fewer_pixels_both_ways(source, name):
    recipe = preset(name)
    known = ["PointSpread", "LowDose", "PercentileClip"]
    for task, factor in sets.TASKS.items():
        assert list(sets.names(recipe, task)) == [*clean.SPLITS, *(f"test-{k}" for k in known)]
        history = Pairs(source, recipe, task).sample(0).about["history"]
        assert [line.split(":")[0].split(",")[0] for line in history[:2]] == [
            "point spread",
            "low dose",
        ]
        assert f"pixels {factor}x as wide" in history[1]
        alone = Pairs(source, recipe, task, "test", alone="PointSpread").sample(0).about["history"]
        assert len(alone) == (1 if factor == 1 else 2)


def test_a_dose_is_counted_in_pixels_of_the_task(source):
    for task, factor in sets.TASKS.items():
        history = Pairs(source, preset("stem-realistic"), task).sample(0).about["history"]
        (dose,) = (line for line in history if "electrons/A2" in line)
        assert f"pixels {factor}x as wide" in dose


# Sets on disk


def test_all_sets_are_built_and_found_again(source, tmp_path):
    told = []
    built = build(source, preset("paper"), tmp_path, counts=FEW, progress=lambda *d: told.append(d))
    assert told[-1] == (sum(len(each) for each in built.values()),) * 2
    found = sets.open(tmp_path)
    assert list(found) == list(sets.TASKS)
    for task, stores in found.items():
        kinds = DAMAGE + ["FewerLines"] * (task != "restore")
        assert list(stores) == [*clean.SPLITS, *sorted(f"test-{kind}" for kind in kinds)]
        assert [len(stores[split]) for split in clean.SPLITS] == [5, 2, 3]
        for name, store in stores.items():
            pairs = sets.Plan(source, preset("paper"), tmp_path).pairs(task, name)
            for number, sample in enumerate(store):
                np.testing.assert_array_equal(
                    sample.arrays["pair"], pairs.sample(number).arrays["pair"]
                )
            split = name if name in clean.SPLITS else "test"
            images = {image.sha256 for image in source.images[split]}
            assert {sample.about["sha256"] for sample in store} <= images
            assert store.recipe["source"] == source.table()
    assert FEW.isolated == len(found["x4"]["test-FewerLines"])
    # What is there is not made again, and another seed, source or recipe is not mixed with it.
    told.clear()
    build(source, preset("paper"), tmp_path, counts=FEW, progress=lambda *d: told.append(d))
    assert {done for done, _ in told} == {sum(len(each) for each in built.values())}
    with pytest.raises(RecipeError, match=r"holds other samples \(seed: 0, now 1\): choose anothe"):
        build(source, preset("paper"), tmp_path, counts=FEW, seed=1)
    with pytest.raises(RecipeError, match=r"holds other samples \(.*source: "):
        build(clean.Surface("si001h"), preset("paper"), tmp_path, counts=FEW)


def test_workers_make_the_same_bytes(source, tmp_path):
    counts = Counts(train=3, validation=0, test=0, isolated=1)
    for workers in (1, 2):
        build(source, preset("paper"), tmp_path / f"{workers}", ("x2",), counts, workers=workers)
    one, two = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.*")}
        for n in ("1", "2")
    )
    assert one == two
    assert len(one) == 2 * 7


def test_a_lost_shard_is_made_again_and_a_damaged_one_is_told(source, tmp_path):
    counts = Counts(train=3, validation=0, test=0, isolated=0)
    store = build(source, preset("paper"), tmp_path, ("restore",), counts)["restore"]["train"]
    whole = store.path(0).read_bytes()
    store.path(0).unlink()
    with pytest.raises(ReadError, match="is not there: the store is not complete"):
        sets.open(tmp_path)["restore"]["train"][0]
    build(source, preset("paper"), tmp_path, ("restore",), counts)
    assert store.path(0).read_bytes() == whole
    store.path(0).write_bytes(whole[:-50])
    with pytest.raises(CorruptFile, match="is damaged .*: delete it, and it is made again"):
        sets.open(tmp_path)["restore"]["train"][0]
    (tmp_path / "restore/train/manifest.json").write_text("{")
    with pytest.raises(CorruptFile, match="is damaged"):
        sets.open(tmp_path)
    with pytest.raises(ReadError, match="holds no sets of pairs: scanmend pairs makes them"):
        sets.open(tmp_path / "restore")


def test_what_cannot_be_done_leaves_nothing_behind(source, tmp_path):
    paper = preset("paper")
    with pytest.raises(RecipeError, match="there is no task 'x3'; there are restore, x2, x4"):
        Pairs(source, paper, "x3")
    with pytest.raises(RecipeError, match="there is no split 'tset'; there are train, validation"):
        Pairs(source, paper, "restore", "tset")
    with pytest.raises(RecipeError, match="a seed is 0 or more, got -1"):
        Pairs(source, paper, seed=-1)
    with pytest.raises(RecipeError, match="recipe blunt has no step FewerLines or LowDose or"):
        build(source, Recipe("blunt", paper.steps[2:3]), tmp_path / "out", ("x2",), FEW)
    far = Recipe("far", (Step(MultiTip(offset_nm=(0.2, 10.0))),))
    with pytest.raises(RecipeError, match=r"has 224x224 pixels, .* needs 262x262: leave it out"):
        build(source, far, tmp_path / "out", ("restore",), FEW)
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_knows_heights_only(scans, tmp_path):
    for n in range(3):
        scan = replace(io.read(scans / f"{n}.nc"), quantity=Quantity.CURRENT)
        io.write(scan, tmp_path / f"{n}.nc")
    currents = clean.folder(tmp_path)
    assert Pairs(currents, preset("paper")).sample(0).about["unit"] == "nA"
    with pytest.raises(ScanError, match="damage in pm needs a height image, got one in nA"):
        build(currents, preset("realistic"), tmp_path / "out", counts=FEW)
    assert not (tmp_path / "out").exists()


def test_an_image_that_is_lost_meanwhile(scans, tmp_path):
    for n in range(3):
        io.write(io.read(scans / f"{n}.nc"), tmp_path / f"{n}.nc")
    images = clean.folder(tmp_path)
    gone = images.images["train"][0].path
    clean.folder(scans)
    gone.unlink()
    with pytest.raises(ReadError, match=f"there is no file .*{gone.name}"):
        Pairs(images, preset("paper")).sample(0)
    counts = Counts(1, 0, 0, 0)
    with pytest.raises((ReadError, WorkError), match=gone.name):
        build(images, preset("paper"), tmp_path / "out", ("restore",), counts)


def test_surfaces_are_made_into_sets(tmp_path):
    surface = clean.Surface("si001h")
    counts = Counts(train=2, validation=2, test=2, isolated=0)
    built = build(surface, preset("paper"), tmp_path, ("restore",), counts)["restore"]
    hashes = [sample.about["sha256"] for store in built.values() for sample in store]
    assert len(set(hashes)) == 6
    assert built["test"].recipe["source"] == {"surface": "si001h"}
    assert built["test"].recipe["pixel_nm"] == list(silicon.TRAINING.pixel_nm)


# The command

SMALL = ("--train", 2, "--validation", 1, "--test", 1, "--isolated", 1)


def test_the_command(scans, run, tmp_path):
    (tmp_path / "notes.txt").write_text("words")
    status, out, err = run("pairs", scans, "-o", "sets", "--task", "x2", "--split", "2,1,1", *SMALL)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 9
    assert lines[0].endswith("train: 2 pairs")
    status, out, _ = run(
        "pairs", scans, "-o", "sets", "--task", "x2", "--split", "2,1,1", *SMALL, "--json"
    )
    told = json.loads(out)
    assert told["sets"]["x2"]["train"]["pairs"] == 2
    assert [len(told["source"][split]) for split in clean.SPLITS] == [2, 1, 1]
    assert list(sets.open(tmp_path / "sets")) == ["x2"]


def test_the_command_reads_bare_files_and_recipes(scans, run, tmp_path):
    for n in range(3):
        np.save(tmp_path / f"{n}.npy", io.read(scans / f"{n}.nc").values)
    (tmp_path / "mine.toml").write_text('[[step]]\nkind = "BluntTip"\nsigma_px = [1.0, 1.0]\n')
    one = ("--task", "restore", "--recipe", "mine.toml", *SMALL, "-o", "sets")
    status, out, _ = run("pairs", *(tmp_path / f"{n}.npy" for n in range(3)), *one)
    assert status == 1
    assert out == ""
    files = [tmp_path / f"{n}.npy" for n in range(3)]
    status, out, _ = run("pairs", *files, *one, "--size-nm", 43.75)
    assert status == 0
    assert out.count("\n") == 4
    store = sets.open(tmp_path / "sets")["restore"]["test-BluntTip"]
    assert store.recipe["pixel_nm"] == pytest.approx(PIXEL_NM)
    assert store.recipe["margin"] == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nowhere",), "'nowhere' is neither a folder of scans nor a surface: si001h"),
        (("si001h", "--split", "a,b"), "--split is three numbers such as 36,12,6, got 'a,b'"),
        (("si001h", "--recipe", "rough"), "no recipe is called 'rough'; there are "),
        (("empty",), "no scan is in empty; there is nothing"),
    ],
)
def test_one_line_says_what_is_wrong(run, tmp_path, arguments, text):
    (tmp_path / "empty").mkdir()
    status, out, err = run("pairs", *arguments, "-o", "sets")
    assert (status, out) == (1, "")
    assert err.startswith(f"scanmend: {text}")
    assert err.count("\n") == 1
    assert not (tmp_path / "sets").exists()
