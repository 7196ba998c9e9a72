"""Blind studies: the design, the store, the results; no browser and no server."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal
import sqlite3
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import scanmend
from scanmend.errors import StudyError, WriteError
from scanmend.scan import Quantity, Scan
from scanmend.study import material, results, tables
from scanmend.study.agreement import alpha, coincidences
from scanmend.study.design import Design, williams
from scanmend.study.records import MEASURED, About, Marks
from scanmend.study.store import Store, create

ABOUT = About("Terraces", "Which is best?", 7, "inferno", "plane", {})
METHODS = ("alpha-net", "beta-net", "gamma-net")


def scan(seed: int, shape=(12, 16)) -> Scan:
    """Ripples on a tilt of their own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    values = rng.normal(0, 0.01, shape) + rng.normal() * x + rng.normal() * y
    return Scan(values.astype(np.float32), (0.2, 0.1), history=("by alpha-net",))


def made(path: Path, items: int = 4, methods=METHODS, seed: int = 7) -> Store:
    scans = {Path(f"scan{i}.nc"): lambda i=i: scan(i) for i in range(items)}
    networks = {
        name: lambda path, measured, k=k: measured.after("net", measured.values * (k + 2))
        for k, name in enumerate(methods)
    }
    about = About("Terraces", "Which is best?", seed, "inferno", "plane", {})
    assert create(path, about, methods, material.items(scans, networks, "plane")) == items
    return Store(path)


@pytest.fixture
def store(tmp_path):
    with made(tmp_path / "study.sqlite") as store:
        yield store


# The design


@pytest.mark.parametrize("count", range(2, 9))
def test_each_stands_at_each_place_and_follows_each_other_equally_often(count):
    rows = williams(count)
    squares = rows.reshape(-1, count, count)
    for square in squares:
        assert all(sorted(column) == list(range(count)) for column in square.T)
        assert all(sorted(row) == list(range(count)) for row in square)
    follows = Counter((a, b) for row in rows.tolist() for a, b in itertools.pairwise(row))
    assert len(follows) == count * (count - 1)
    assert set(follows.values()) == {len(squares)}


@pytest.mark.parametrize("methods", [2, 3, 4, 5])
@pytest.mark.parametrize("items", [1, 6, 7, 20])
def test_places_are_balanced_for_every_rater_and_every_item(items, methods):
    design = Design(items, methods, seed=3)
    shown = np.array([design.places(rater) for rater in range(4 * methods)])
    assert (np.sort(shown, axis=-1) == np.arange(methods)).all()
    for method in range(methods):
        stood = shown == method  # raters, items, places
        per_rater = stood.sum(axis=1)
        assert per_rater.max() - per_rater.min() <= 1
        if items % methods == 0:
            assert (per_rater == items // methods).all()
        assert (stood.sum(axis=0) == 4).all(), "an item's raters, a whole number of rounds"


@pytest.mark.parametrize("items", [1, 2, 5, 12])
def test_each_item_comes_at_each_position_once_in_a_round_of_raters(items):
    orders = np.array([Design(items, 3, seed=5).order(rater) for rater in range(2 * items)])
    for block in (orders[:items], orders[items:]):
        assert all(sorted(column) == list(range(items)) for column in block.T)
    if items > 2:
        assert len({tuple(order) for order in orders[:items].tolist()}) == items


def test_the_seed_decides_everything_and_nothing_else_does():
    one, again, other = Design(20, 3, 1), Design(20, 3, 1), Design(20, 3, 2)
    assert [one.order(4), one.places(4)] == [again.order(4), again.places(4)]
    assert one.order(4) != other.order(4) and one.places(4) != other.places(4)


# The material


def test_outputs_are_found_by_the_name_of_their_scan(tmp_path):
    files = [tmp_path / name for name in ("a_restored.nc", "a_2_x.nc", "b.nc", "b_old.nc", "z.nc")]
    outputs = material.Outputs(files, ["a", "a_2", "b", "c"], lambda path: scan(len(path.name)))
    chosen = {stem: outputs(Path(f"{stem}.sxm"), scan(0)) for stem in ("a", "a_2", "b")}
    lengths = {stem: len(name) for stem, name in {"a": "a_restored.nc", "a_2": "a_2_x.nc"}.items()}
    for stem, length in (lengths | {"b": len("b.nc")}).items():
        assert np.array_equal(chosen[stem].values, scan(length).values)
    with pytest.raises(StudyError, match=r"there is none of c\.sxm: a file c_….nc, say"):
        outputs(Path("c.sxm"), scan(0))
    twice = material.Outputs([tmp_path / "a_1.nc", tmp_path / "a_3.nc"], ["a"], scanmend.read)
    with pytest.raises(StudyError, match=r"2 are of a\.sxm: leave one of a_1\.nc, a_3\.nc"):
        twice(Path("a.sxm"), scan(0))


def test_all_images_of_an_item_are_levelled_alike_and_know_nothing_else(store):
    for item, (name, (low, high)) in enumerate(store.items):
        assert name == f"scan{item}.nc"
        images = [store.image(item, method) for method in range(MEASURED, 3)]
        for image in images:
            assert image.history == () and image.acquisition == scanmend.Acquisition()
            assert image.pixel_nm == (0.2, 0.1)
            y, x = np.indices(image.values.shape)
            assert abs(np.polyfit(x.ravel(), image.values.ravel(), 1)[0]) < 1e-6
            assert abs(np.polyfit(y.ravel(), image.values.ravel(), 1)[0]) < 1e-6
        # Of outputs 2, 3 and 4 times as high, the contrast is the middle one's.
        want = np.percentile(images[2].values, (0.5, 99.5))
        assert np.allclose((low, high), want, rtol=1e-4)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (scan(1, (24, 16)), "made 16 x 24 pixels of a.nc, and others 16 x 12"),
        (Scan(scan(1).values, (0.3, 0.1)), "a.nc is 1.6 x 2.4 nm large, and what odd made of it"),
        (Scan(scan(1).values, (0.2, 0.1), Quantity.CURRENT), "a.nc is in nm, and what odd made"),
        (Scan(np.full((12, 16), np.nan, np.float32), (0.2, 0.1)), "holds no value"),
    ],
)
def test_what_could_be_told_apart_without_looking_is_refused(output, says):
    if output.values.shape == (24, 16):
        output = Scan(output.values, (0.1, 0.1))
    methods = {"even": lambda path, measured: measured, "odd": lambda path, measured: output}
    with pytest.raises(StudyError, match=says):
        list(material.items({Path("a.nc"): lambda: scan(0)}, methods, "plane"))


def test_what_a_model_refuses_is_told_with_the_names_of_both(tmp_path):
    fine = Scan(scan(0).values, (0.01, 0.01))
    methods = {"si001h": material.Network("si001h"), "none": lambda path, measured: measured}
    says = r"a\.nc by si001h: pixels of 0\.01 nm are far outside"
    with pytest.raises(StudyError, match=says):
        list(material.items({Path("a.nc"): lambda: fine}, methods, "plane"))


def test_a_figure_beside_an_output_is_left_out(tmp_path):
    files = [tmp_path / "a_restored.nc", tmp_path / "a_restored.png"]
    outputs = material.Outputs(files, ["a"], lambda path: scan(len(path.suffix)))
    assert np.array_equal(outputs(Path("a.sxm"), scan(0)).values, scan(len(".nc")).values)


def test_a_study_needs_scans_of_different_names_and_two_to_eight_methods():
    same = {f"m{i}": lambda path, measured: measured for i in range(9)}
    scans = {Path("a/x.nc"): lambda: scan(0), Path("b/x.sxm"): lambda: scan(1)}
    with pytest.raises(StudyError, match="compares 2 to 8 methods, got 9"):
        list(material.items(scans, same, "plane"))
    two = {name: same[name] for name in ("m0", "m1")}
    with pytest.raises(StudyError, match="two scans are called x: rename one"):
        list(material.items(scans, two, "plane"))
    with pytest.raises(StudyError, match="needs measured scans: name files"):
        list(material.items({}, two, "plane"))


# The store


def test_what_was_said_is_there_when_the_file_is_opened_again(store):
    rater = store.enter("Ada")
    partly = Marks((3, None, 5), (2, None, 1))
    store.answer(rater.number, 2, partly)
    store.answer(rater.number, 1, Marks((1, 2, 3), (3, 2, 1)))
    store.answer(rater.number, 1, Marks((4, 4, 4), (1, 2, 3)))
    store.go(rater.number, 3)
    store.close()
    with Store(store.path) as again:
        known = again.rater(rater.token)
        assert (known.name, known.number, known.position) == ("Ada", 0, 3)
        assert again.marks(0) == {2: partly, 1: Marks((4, 4, 4), (1, 2, 3))}
        assert again.progress()[0][0] == 1
        assert [answer[:5] for answer in again.answers()] == [
            (0, 1, 0, 4, 1),
            (0, 1, 1, 4, 2),
            (0, 1, 2, 4, 3),
        ]
        assert again.rater("nobody") is None and again.rater("") is None


@pytest.mark.parametrize(
    ("ratings", "ranks", "says"),
    [
        ((0, 1, 1), (1, 2, 3), "a rating is 1 to 5, got 0"),
        ((6, 1, 1), (1, 2, 3), "a rating is 1 to 5, got 6"),
        ((1, 1, 1), (1, 2, 4), "a rank is 1 to 3, got 4"),
        ((1, 1, 1), (1, 1, None), r"each rank is given once, got \[1, 1\]"),
        ((1, 1, 1), (1, 2), "3 ratings and 2 ranks"),
    ],
)
def test_marks_that_mean_nothing_are_refused(ratings, ranks, says):
    with pytest.raises(StudyError, match=says):
        Marks(ratings, ranks)


def test_an_answer_to_other_outputs_changes_nothing(store):
    store.enter("")
    kept = Marks((1, 2, 3), (1, 2, 3))
    store.answer(0, 0, kept)
    with pytest.raises(StudyError, match="2 ratings of 3 outputs: send one for each"):
        store.answer(0, 0, Marks((1, 1), (1, 2)))
    assert store.marks(0) == {0: kept}


def test_nothing_is_ever_overwritten_and_nothing_half_written(tmp_path):
    path = tmp_path / "study.sqlite"
    made(path).close()
    before = path.read_bytes()
    with pytest.raises(WriteError, match=r"study\.sqlite exists already"):
        made(path)
    assert path.read_bytes() == before

    def breaks(path, measured):
        raise StudyError("no")

    items = material.items({Path("a.nc"): lambda: scan(0)}, {"a": breaks, "b": breaks}, "plane")
    with pytest.raises(StudyError, match="a: no"):
        create(tmp_path / "other.sqlite", ABOUT, ("a", "b"), items)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["study.sqlite"]


def test_what_is_no_study_is_left_as_it_is(tmp_path):
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    before = other.read_bytes()
    with pytest.raises(StudyError, match=r"other\.sqlite is no study of scanmend"):
        Store(other)
    assert other.read_bytes() == before
    (tmp_path / "text.sqlite").write_text("I am no data base, but long enough to look like one")
    with pytest.raises(StudyError, match=r"text\.sqlite cannot be opened as a study: file is not"):
        Store(tmp_path / "text.sqlite")
    with pytest.raises(StudyError, match="there is no study .*: `scanmend study make` makes one"):
        Store(tmp_path / "none.sqlite")
    assert not (tmp_path / "none.sqlite").exists()
    with pytest.raises(StudyError, match="the name of a study ends in"):
        create(tmp_path / "a.db", ABOUT, METHODS, [])


def test_a_study_that_is_damaged_is_refused_wherever_that_is_met(store):
    store.close()
    whole, said, page = store.path.read_bytes(), set(), 4096
    for start in range(0, len(whole), page):
        store.path.write_bytes(whole[:start] + bytes(page) + whole[start + page :])
        try:
            with Store(store.path) as damaged:
                results.results(damaged)
        except StudyError as error:
            said.add(str(error))
    assert said == {
        "study.sqlite cannot be opened as a study: file is not a database",
        "the study's file cannot be read: database disk image is malformed",
    }


def _answers(path: Path, said) -> None:
    """Answers as fast as it can, and says so after each."""
    store = Store(path)
    for number in range(100_000):
        rating = number % 5 + 1
        store.answer(0, number % 4, Marks((rating, rating, rating), (1, 2, 3)))
        os.write(said, f"{number}\n".encode())


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_killed_program_has_lost_nothing_it_said_it_kept(store):
    store.enter("Ada")
    told, said = os.pipe()
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        process = context.Process(target=_answers, args=(store.path, said))
        process.start()
        last = -1
        with os.fdopen(os.dup(told)) as lines:
            while last < 40:
                last = int(lines.readline())
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            os.write(said, b"end\n")
            while (line := lines.readline()) != "end\n":
                last = int(line)
        with Store(store.path) as again:
            marks = again.marks(0)
            for number in range(last - 2, last + 1):  # the fourth may have been overwritten
                assert marks[number % 4].ratings[0] == number % 5 + 1
            assert again._read("PRAGMA integrity_check") == [("ok",)]
    os.close(told)
    os.close(said)


# Agreement


def test_alpha_is_that_of_the_published_example():
    # Krippendorff (2011), 4 observers, 12 units, 7 values missing: ordinal 0.815.
    values = """1 2 3 3 2 1 4 1 2 0 0 0
                1 2 3 3 2 2 4 1 2 5 0 3
                0 3 3 3 2 3 4 2 2 5 1 0
                1 2 3 3 2 4 4 1 2 5 1 0"""
    given = np.array([list(map(int, line.split())) for line in values.split("\n")])
    assert alpha(coincidences(given, 5).sum(axis=0)) == pytest.approx(0.815, abs=5e-4)
    # The example's table: 40 values can be paired, and the first three counts are 9, 13 and 10.
    table = coincidences(given, 5).sum(axis=0)
    assert table.sum() == pytest.approx(40) and table.sum(axis=1)[:3] == pytest.approx([9, 13, 10])


def test_alpha_is_one_for_agreement_zero_for_chance_below_for_contradiction(rng):
    same = np.tile(rng.integers(1, 6, 50), (3, 1))
    assert alpha(coincidences(same, 5).sum(axis=0)) == 1
    chance = np.stack([rng.permuted(np.tile([1, 2, 3], (800, 1)), axis=1) for _ in range(4)])
    assert abs(alpha(coincidences(chance.reshape(4, -1), 3).sum(axis=0))) < 0.03
    assert alpha(coincidences(np.array([[1, 5, 1, 5], [5, 1, 5, 1]]), 5).sum(axis=0)) < -0.5
    assert np.isnan(alpha(coincidences(np.full((3, 9), 2), 5).sum(axis=0)))
    assert np.isnan(alpha(coincidences(np.array([[1, 2, 3]]), 5).sum(axis=0)))


# Results


def test_the_table_is_what_was_said(tmp_path):
    with made(tmp_path / "study.sqlite", items=2) as store:
        for _ in range(2):
            store.enter("")
        store.answer(0, 0, Marks((5, 3, 1), (1, 2, 3)))
        store.answer(0, 1, Marks((4, 4, 2), (2, 1, 3)))
        store.answer(1, 0, Marks((3, 2, 2), (1, 3, 2)))
        store.answer(1, 1, Marks((1, 1, None), (1, 2, 3)))  # not complete: left out
        found = results.results(store)
    assert (found.annotations, found.raters, found.items) == (3, 2, 2)
    assert found.resampled == "raters and scans"
    best, second, worst = found.lines
    assert (best.method, second.method, worst.method) == METHODS
    assert best.rating.value == 4 and best.rank.value == pytest.approx(4 / 3)
    assert best.first.value == pytest.approx(2 / 3) and best.last.value == 0
    assert second.last.value == pytest.approx(1 / 3)
    assert best.preferred[1].value == pytest.approx(2 / 3) and np.isnan(best.preferred[0].value)
    assert best.preferred[2].value == 1 and worst.preferred[0].value == 0
    for line in found.lines:
        assert sum(line.places) == 3
        assert line.rating.low <= line.rating.value <= line.rating.high
    told = tables.plain(found)
    assert (
        json.loads(json.dumps(told, allow_nan=False))["lines"][0]["preferred"][0]["value"] is None
    )


def test_nothing_said_is_no_error(store):
    found = results.results(store)
    assert found.annotations == 0 and found.resampled == "nothing"
    assert tables.as_text(found).splitlines()[2].split() == ["alpha-net", "-", "-", "-", "-"]
    assert tables.as_csv(tables.table(found)).splitlines()[1] == "alpha-net" + "," * 12 + ",0"
    assert tables.answers(store) == []


def test_intervals_hold_what_they_promise(rng, monkeypatch):
    """Raters and items differ; 95 % intervals of the mean hold the truth about as often."""
    monkeypatch.setattr(results, "_SAMPLES", 200)
    inside, tries = 0, 120
    for _ in range(tries):
        lean, hard = rng.normal(0, 0.7, 12), rng.normal(0, 0.7, 25)
        better = lean[:, None] + hard + rng.normal(0, 1, (12, 25)) > 0  # the truth is one half
        ranks = np.where(better[..., None], [1, 2], [2, 1])
        said = np.stack([np.full_like(ranks, 3), ranks])
        first = results._means(said, rng)[4]
        inside += first.low <= 0.5 <= first.high
    assert 0.88 <= inside / tries <= 1


def test_one_rater_says_nothing_of_others(tmp_path):
    with made(tmp_path / "study.sqlite", items=3) as store:
        store.enter("")
        for item in range(3):
            store.answer(0, item, Marks((item + 1, 3, 3), (1, 2, 3)))
        found = results.results(store)
    assert found.resampled == "scans"
    assert np.isnan(found.ranks_alpha.value)
    assert found.lines[0].rating.low < 2 < found.lines[0].rating.high
