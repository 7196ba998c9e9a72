"""Every candidate on every set that it is for, once, the same whoever does it, and kept."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import defect_models
import numpy as np
import pytest
from click.testing import CliRunner

from scanmend import io
from scanmend.cli.evaluate import evaluate
from scanmend.crystals import silicon
from scanmend.degrade.recipe import preset
from scanmend.errors import (
    ModelError,
    ReadError,
    RecipeError,
    ScanError,
    ScanmendError,
    WorkError,
    WriteError,
)
from scanmend.evaluate import protocol, results, sources
from scanmend.evaluate.candidates import parse
from scanmend.evaluate.distances import cmmd
from scanmend.evaluate.faults import Finder
from scanmend.evaluate.metrics import scores
from scanmend.evaluate.protocol import Embedding, Evaluation
from scanmend.evaluate.results import SPEED
from scanmend.pairs import clean, sets
from scanmend.scan import Quantity, Scan
from scanmend.shards import Store

COUNTS = sets.Counts(train=0, validation=0, test=8, isolated=3)
PITCH = 100 / 512


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Sets of restoration and of half the lines."""
    where = tmp_path_factory.mktemp("sets")
    recipe = preset("paper")
    kept = tuple(s for s in recipe.steps if type(s.effect).__name__ in ("BluntTip", "FewerLines"))
    sets.build(
        clean.Surface("si001h"), replace(recipe, steps=kept), where, ("restore", "x2"), COUNTS
    )
    return where


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    pytest.importorskip("torch")
    from model_files import UNet, exported

    return exported(UNet(), tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def embedder(tmp_path_factory) -> Path:
    """Means over patches of 16x16 pixels."""
    torch = pytest.importorskip("torch")

    path = tmp_path_factory.mktemp("embedder") / "patches.onnx"
    net = torch.nn.Sequential(torch.nn.AvgPool2d(16), torch.nn.Flatten())
    image = torch.zeros(1, 1, 128, 128)
    axes = {"image": {0: "batch"}, "features": {0: "batch"}}
    with pytest.warns(DeprecationWarning):
        torch.onnx.export(
            *(net, image, str(path)),
            dynamo=False,
            input_names=["image"],
            output_names=["features"],
            dynamic_axes=axes,
        )
    return path


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> tuple[Path, Path]:
    """Scans with half the lines, and clean ones."""
    few, full = (tmp_path_factory.mktemp(name) for name in ("few", "full"))
    for n in range(4):
        recipe = replace(silicon.TRAINING, pixel_nm=(PITCH, PITCH))
        values = silicon.surface(np.random.default_rng(n), (128, 260), recipe).values
        io.write(Scan(values, (PITCH, PITCH)), full / f"{n}.nc")
        io.write(Scan(np.ascontiguousarray(values[::2]), (2 * PITCH, PITCH)), few / f"{n}.nc")
    (few / "notes.txt").write_text("no scan")
    return few, full


def all_of(*texts: object) -> tuple:
    return tuple(candidate for text in texts for candidate in parse(str(text)))


@pytest.fixture
def quick(monkeypatch) -> None:
    """Times are taken of nothing else here."""
    monkeypatch.setattr(protocol, "REPEATS", 3)


def test_an_evaluation_whole(folder, tiny, embedder, real, tmp_path, quick):
    on = sources.of_folder(folder) | {("x2", "real"): sources.Real(*real, "x2", io.read)}
    candidates = all_of(f"{tiny}@1,2", "median", "cubic spline")
    asked = Evaluation(tmp_path / "e", candidates, on, Embedding(embedder), seed=5)
    told = []
    found = protocol.run(asked, progress=lambda done, total: told.append((done, total)))
    tests = {
        "restore": ["test", "test-BluntTip"],
        "x2": ["test", "test-BluntTip", "test-FewerLines", "real"],
    }
    expected = {
        (name, steps, task, on)
        for name, steps, tasks in (
            ("degraded", None, ("restore", "x2")),
            ("tiny", 1, ("restore",)),
            ("tiny", 2, ("restore",)),
            ("median", None, ("restore", "x2")),
            ("cubic spline", None, ("x2",)),
        )
        for task in tasks
        for on in [*tests[task], *([SPEED] if name != "degraded" else [])]
    }
    assert {part.key for part in found.parts} == expected
    assert told[0] == (0, len(expected))
    assert told[-1] == (len(expected), len(expected))

    store = Store.open(folder / "x2/test")
    pairs = np.stack([sample.arrays["pair"] for sample in store])
    own = found.find("degraded", task="x2").scores
    np.testing.assert_array_equal(own.ssim, scores(pairs[:, 1], pairs[:, 0]).ssim)
    spline = found.find("cubic spline", task="x2", on="test-FewerLines")
    assert (
        spline.scores.ssim.mean()
        > found.find("degraded", task="x2", on="test-FewerLines").scores.ssim.mean()
    )
    assert spline.distances == ()
    np.testing.assert_allclose(spline.panels["clean"][0], pairs[0, 0], atol=1e-3)

    views = found.find("degraded", task="x2", on="real")
    assert views.scores is None
    assert set(views.panels) == {"degraded", "restored", "pixel_nm"}
    kid, cmmd, _ = views.distances
    assert kid.name.startswith("KID[patches-")
    assert (kid.n, kid.n_clean) == (8, 8)
    assert found.provenance.sets["x2/real"]["views"] == 8
    assert found.provenance.sets["x2/clean"]["scans"] == 4
    assert kid.name[4:] == cmmd.name[5:] == f"{found.provenance.embedder['name']}]"

    timing = found.find("tiny", 2, on=SPEED).timing
    assert timing.calls == 4
    assert 0 < timing.call_seconds < timing.seconds
    assert found.find("median", on=SPEED).timing.calls is None


def test_who_does_it_and_when_does_not_matter(folder, tmp_path, quick):
    on = {key: s for key, s in sources.of_folder(folder, 2).items() if key[0] == "restore"}
    candidates = all_of("si001h@2", "median")
    here = Evaluation(tmp_path / "here", candidates[:1], on, seed=1, count=2)
    protocol.run(here)
    stopped = results.load(here.folder)
    lost = here.folder / "found/restore.test.si001h@2.safetensors"
    kept = {p.name: p.stat().st_mtime_ns for p in lost.parent.iterdir() if p != lost}
    lost.unlink()
    again = protocol.run(replace(here, candidates=candidates))
    for name, when in kept.items():
        assert (lost.parent / name).stat().st_mtime_ns == when
    two = protocol.run(replace(here, folder=tmp_path / "two", candidates=candidates), workers=2)
    for part in stopped.parts:
        for other in (again, two):
            same = other.find(*part.key[:2], task=part.key.task, on=part.key.on)
            assert (same.scores is None) == (part.scores is None)
            for ours, theirs in zip(part.scores or (), same.scores or (), strict=True):
                np.testing.assert_array_equal(ours, theirs)
    assert again.find("median") is not None


def test_the_first_images_are_those_of_a_longer_evaluation(folder):
    few, many = (
        [batch.images for batch, _ in sources.of_folder(folder, n)["x2", "test"].batches(0)]
        for n in (3, None)
    )
    np.testing.assert_array_equal(np.concatenate(few), np.concatenate(many)[:3])


def test_views_are_cut_side_by_side_and_levelled(real):
    few, full = real
    (clean_views,) = sources.Real(few, full, "x2", io.read).clean()
    ((batch, nothing),) = sources.Real(few, None, "x2", io.read).batches(0)
    assert nothing is None
    assert batch.images.shape == clean_views.shape == (8, 128, 128)
    assert (batch.images.min(axis=(1, 2)) == -1).all()
    assert (batch.images.max(axis=(1, 2)) == 1).all()
    np.testing.assert_array_equal(batch.images[:, ::2], batch.images[:, 1::2])
    np.testing.assert_allclose(batch.pixel_nm, PITCH)
    tilted = np.polynomial.polynomial.polyfit(np.arange(128), batch.images.mean(axis=(0, 2)), 1)[1]
    assert abs(tilted * 128) < 0.5


def refused(evaluation: Evaluation, kind: type[ScanmendError], match: str) -> None:
    with pytest.raises(kind, match=match) as caught:
        protocol.run(evaluation)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_evaluated_is_told_in_one_line(folder, tiny, real, tmp_path, quick):
    on = sources.of_folder(folder)
    finer = {key: source for key, source in on.items() if key[0] == "x2"}
    asked = Evaluation(tmp_path / "e", all_of(tiny), finer)
    refused(asked, ModelError, "tiny is for restore, and there are sets of x2 only")
    twice = all_of(f"{tiny}@2", f"{tiny}@2")
    refused(replace(asked, candidates=twice, sources=on), RecipeError, "two candidates are called")
    broken = all_of("cmd:bad=false {input} {output}")
    text = "part bad on x2/test: command bad, image 0, ended with 1: it said nothing"
    refused(replace(asked, candidates=broken), WorkError, text)
    square = {("x2", "real"): sources.Real(real[1], None, "x2", io.read)}
    refused(
        replace(asked, candidates=(), sources=square),
        RecipeError,
        "0.nc has lines 0.195 nm apart, and pixels of 0.195 nm in them: .* 2 times as far apart",
    )
    nowhere = {("x2", "real"): sources.Real(tmp_path / "no", None, "x2", io.read)}
    refused(replace(asked, candidates=(), sources=nowhere), ReadError, "there is no folder .*no")
    with pytest.raises(ReadError, match="holds no sets of pairs"):
        sources.of_folder(tmp_path)
    small = tmp_path / "small"
    small.mkdir()
    io.write(Scan(np.eye(99, dtype=np.float32), (PITCH, PITCH)), small / "small.nc")
    views = {("restore", "real"): sources.Real(small, None, "restore", io.read)}
    refused(replace(asked, candidates=(), sources=views), ScanError, "small.nc has 99x99 pixels")


def test_a_set_without_its_shards_is_refused(folder, tmp_path):
    whole = Store.open(folder / "restore/test")
    Store.create(
        tmp_path / "restore/test", whole.kind, whole.recipe, 0, whole.count, whole.arrays, 4
    ).write(0, [whole[n] for n in range(4)])
    asked = Evaluation(tmp_path / "e", (), sources.of_folder(tmp_path))
    refused(asked, ReadError, "test lacks 1 of 2 shards: make them by the command that began it")
    first = replace(asked, sources=sources.of_folder(tmp_path, 4), count=4)
    assert len(protocol.run(first).find("degraded").scores.ssim) == 4


def test_what_is_made_of_a_pair_is_not_compared_with_its_clean_image(folder, embedder, tmp_path):
    pairs = np.stack([sample.arrays["pair"] for sample in Store.open(folder / "restore/test")])
    seven = sources.of_folder(folder, 7)["restore", "test"]
    np.testing.assert_array_equal(np.concatenate(list(seven.clean())), pairs[1:7:2, 0])
    assert [n for n in range(7) if seven.judged(n)] == [0, 2, 4, 6]
    assert seven.compared() == (4, 3)

    on = {("restore", "test"): sources.of_folder(folder)["restore", "test"]}
    asked = Evaluation(tmp_path / "e", (), on, Embedding(embedder))
    features = [Embedding(embedder)(pairs[n::2, 1 - n]) for n in (0, 1)]
    found = protocol.run(asked).find("degraded")
    assert [(d.n, d.n_clean) for d in found.distances] == [(4, 4)] * 3
    assert found.distances[1].value == pytest.approx(cmmd(*features), rel=1e-5)


def test_too_few_images_for_distances_are_refused_before_anything_is_begun(
    folder, embedder, tmp_path
):
    few = {("restore", "test"): sources.of_folder(folder, 7)["restore", "test"]}
    asked = Evaluation(tmp_path / "e", (), few, Embedding(embedder), count=7)
    text = r"restore/test has 4 images to compare with 3 clean ones, .* \(--no-distances\)"
    refused(asked, RecipeError, text)
    assert not asked.folder.exists()
    enough = {("restore", "test"): sources.of_folder(folder, 8)["restore", "test"]}
    assert protocol.run(replace(asked, sources=enough, count=8)).find("degraded").distances


def test_a_model_is_not_evaluated_on_what_it_has_seen(folder, tmp_path, quick):
    pytest.importorskip("torch")
    from model_files import Still, exported

    surfaces = Store.open(folder / "restore/test")
    scans = {"train": [["a.sxm", "aa"]], "validation": [["b.sxm", "bb"]], "test": [["c.sxm", "cc"]]}
    args = (surfaces.recipe | {"source": scans}, 0, 2, surfaces.arrays)
    Store.create(tmp_path / "sets/restore/test", surfaces.kind, *args).write(
        0, [surfaces[n] for n in range(2)]
    )
    on = sources.of_folder(tmp_path / "sets")

    def asked(name: str, source: dict) -> Evaluation:
        path = exported(
            Still(), tmp_path / f"{name}.onnx", name=name, trained_on={"source": source}
        )
        return Evaluation(tmp_path / name, all_of(f"{path}@1"), on)

    swapped = {"train": [["old.sxm", "dd"]], "validation": [["was-c.sxm", "cc"]], "test": []}
    refused(
        asked("seen", swapped),
        RecipeError,
        r"c\.sxm of the set restore/test is one .* seen was trained .* \(there: was-c\.sxm\)",
    )
    assert not (tmp_path / "seen").exists()
    for name, source in (("same", scans), ("drawn", {"surface": "si001h"})):
        assert protocol.run(asked(name, source)).find(name, 1)


def test_another_model_of_the_same_name_is_refused(folder, tiny, tmp_path, quick):
    from model_files import Still, exported

    on = {("restore", "test"): sources.of_folder(folder, 2)["restore", "test"]}
    asked = Evaluation(tmp_path / "e", all_of(f"{tiny}@1"), on)
    protocol.run(asked)
    other = exported(Still(), tmp_path / "other.onnx")
    refused(
        replace(asked, candidates=all_of(f"{other}@1")),
        RecipeError,
        "holds results of another tiny@1: give this one another name",
    )
    assert protocol.run(replace(asked, candidates=all_of(f"other={other}@1"))).find("other", 1)


def test_the_command_writes_a_report_and_goes_on(folder, tiny, real, tmp_path, quick):
    sets, where = tmp_path / "sets", tmp_path / "out"
    shutil.copytree(folder / "restore/test", sets / "restore/test")

    def run(*more: object) -> str:
        words = [sets, "-m", f"{tiny}@1", "--count", 4, "--no-distances", "-o", where, *more]
        return CliRunner().invoke(evaluate, list(map(str, words)), catch_exceptions=False).stdout

    with pytest.raises(RecipeError, match="they must lie 2 times as far apart"):
        run("--real", f"x2={real[1]}")
    told = json.loads(run("--real", real[1], "--json"))
    assert (where / "report.html").is_file()
    assert str(where / "report.html") in told["files"]
    of = {(p["candidate"], p["on"]): p for p in told["parts"]}
    assert of["tiny", "test"]["images"] == 4
    assert of["degraded", "real"]["distances"] == []
    with pytest.raises(WriteError, match=r"report\.html exists already"):
        run("--real", real[1])
    table = run("--real", real[1], "-m", "median", "--overwrite")
    assert "tiny" in table
    assert "median" in table


def test_defects_made_up_and_wiped_out_stand_beside_psnr(folder, tmp_path, quick):
    sets = tmp_path / "sets"
    shutil.copytree(folder / "restore/test", sets / "restore/test")

    def run(*more: object) -> str:
        words = [sets, "-m", "median", "--count", 4, "--no-distances", "-o", tmp_path / "out"]
        words += ["--defects", "template-matching", *more]
        return CliRunner().invoke(evaluate, list(map(str, words)), catch_exceptions=False).stdout

    of = {p["candidate"]: p for p in json.loads(run("--json"))["parts"] if p["on"] == "test"}
    assert of["median"]["omitted_per_100nm2"] > 0
    assert of["median"]["omitted_per_100nm2"] != of["degraded"]["omitted_per_100nm2"]
    shown = run("--overwrite")
    assert "hallucinated / 100 nm²" in shown
    assert f"| {of['median']['omitted_per_100nm2']:.1f} (" in shown
    with pytest.raises(RecipeError, match=r"holds another evaluation \(finder\)"):
        run("--overwrite", "--defects", "difference-of-gaussians")
    with pytest.raises(ModelError, match="no model was trained on 'NbSe2'"):
        run("--overwrite", "--defects", "NbSe2")


def test_faults_are_those_that_were_made(tmp_path, rng):
    y, x = np.mgrid[:64, :64]

    def image(*places: tuple[int, int]) -> np.ndarray:
        bumps = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in places)
        return (bumps + 0.02 * rng.standard_normal(x.shape)).astype(np.float32)

    clean = image((20, 20), (44, 20), (20, 44))
    restored = np.stack([clean, image((20, 20), (44, 20), (44, 44)), 0 * clean])
    finder = Finder(str(defect_models.finder(tmp_path / "tiny.onnx")))
    found = finder(restored, np.stack([clean] * 3), np.full((3, 2), 0.1), Quantity.HEIGHT)
    each = 100 / 5.8**2
    assert found.hallucinated_per_100nm2 == pytest.approx([0, each, 0])
    assert found.omitted_per_100nm2 == pytest.approx([0, each, 3 * each])
    assert finder.about()["name"] == "defects-tiny"
