"""Training, at a size that takes seconds: it learns, survives being killed, and can be shared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

import scanmend  # noqa: E402
from scanmend import generate, models  # noqa: E402
from scanmend.cli import main  # noqa: E402
from scanmend.degrade.recipe import load as load_recipe  # noqa: E402
from scanmend.engine import Network  # noqa: E402
from scanmend.errors import ReadError, RecipeError, TrainingError, WriteError  # noqa: E402
from scanmend.nets.swift import Layout, Swift  # noqa: E402
from scanmend.objective.posterior_flow import flow_loss, mean_loss  # noqa: E402
from scanmend.pairs import clean, sets  # noqa: E402
from scanmend.pairs.samples import Mix  # noqa: E402
from scanmend.train import checkpoint, loop, mixed, run  # noqa: E402
from scanmend.train.export import export  # noqa: E402
from scanmend.train.learner import Learner, precision  # noqa: E402
from scanmend.train.loop import train  # noqa: E402
from scanmend.train.mixed import Mixed  # noqa: E402
from scanmend.train.paired import Paired  # noqa: E402
from scanmend.train.processes import Processes  # noqa: E402
from scanmend.train.settings import Settings, load, of_model  # noqa: E402

CPU, RNG = torch.device("cpu"), np.random.default_rng(0)
SMALL = {"widths": (8, 8), "blocks": (1, 1), "middle": 1}
MIXED = Settings(
    "tiny",
    Mixed(**SMALL, flow_share=0.5, mix=Mix(side=32, margin=4)),
    iterations=6,
    batch=2,
    warm_up=2,
    validate_every=2,
)
PAIRED = Settings(
    "pairs",
    Paired("small-noattn", crop=16, validation=2, steps=1),
    iterations=4,
    batch=4,
    warm_up=2,
    validate_every=2,
)
"""The smallest network of the paper, on small crops."""


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def entries(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


class Killed(Exception):
    """Stands for a signal: raised where a training is to stop dead."""


@pytest.mark.parametrize("settings", [MIXED, PAIRED], ids=["mixed", "paired"])
def test_a_training_that_was_killed_ends_as_one_that_was_not(tmp_path, monkeypatch, settings):
    whole, _ = train(settings, tmp_path / "whole", workers=0)
    saved = checkpoint.save

    def save_then_die(path, settings, progress, *state):
        saved(path, settings, progress, *state)
        if progress.iteration == 2:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loop.checkpoint, "save", save_then_die)
        with pytest.raises(Killed):
            train(settings, tmp_path / "killed", workers=0)
    resumed, _ = train(settings, tmp_path / "killed", workers=0)
    assert same(whole, resumed)
    times = ("seconds",)
    logs = [
        [{k: v for k, v in entry.items() if k not in times} for entry in entries(tmp_path / name)]
        for name in ("whole", "killed")
    ]
    assert logs[0] == logs[1]
    assert [entry["iteration"] for entry in logs[0]][:2] == [2, 4]


def test_what_was_logged_but_not_kept_is_logged_again(tmp_path):
    train(MIXED, tmp_path, workers=0)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"iteration": 8, "loss": 1}\n{"itera')
    train(replace(MIXED, iterations=8), tmp_path, workers=0)
    logged = entries(tmp_path)
    assert [entry["iteration"] for entry in logged] == [2, 4, 6, 8]
    assert logged[3]["seconds"] > logged[2]["seconds"] > logged[0]["seconds"] > 0


def test_a_folder_belongs_to_its_settings(tmp_path):
    train(MIXED, tmp_path, workers=0)
    with pytest.raises(TrainingError, match=r"begun with other settings \(seed 0, now 9\)"):
        train(replace(MIXED, seed=9), tmp_path, workers=0)
    narrower = replace(MIXED.lesson, mix=Mix(side=16, margin=4))
    with pytest.raises(TrainingError, match=r"\(mixed.mix.side 32, now 16\)"):
        train(replace(MIXED, lesson=narrower), tmp_path, workers=0)
    with pytest.raises(TrainingError, match="holds 6 iterations already, more than 4"):
        train(replace(MIXED, iterations=4), tmp_path, workers=0)
    with pytest.raises(TrainingError, match="batch 2, now 4; without a table paired; "):
        train(PAIRED, tmp_path, workers=0)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    train(MIXED, tmp_path, workers=0)
    path = tmp_path / "checkpoint.safetensors"
    net = Swift(Layout((8, 16), (1, 1), 1))
    optimiser = torch.optim.AdamW(net.parameters())
    with pytest.raises(TrainingError, match=r"another network: down.1.0.gain is \(1, 8, 1, 1\)"):
        checkpoint.load(path, MIXED, net, net.state_dict(), optimiser)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(TrainingError, match="is no checkpoint, or damaged .*: delete it"):
        train(MIXED, tmp_path, workers=0)


def test_it_learns(tmp_path):
    """Scan-line noise alone, for a few seconds: better than what goes in."""
    others = ("MultiTip", "FewerLines", "AcquisitionNoise", "ThermalDrift", "LineShift")
    others += ("BluntTip", "TipChange", "FeedbackLag", "LineOffset")
    shares = {"untouched": 0, "gap": 0, "ghosted": 0, "faint": 0}
    mix = Mix(32, 4, factors=(1,), factor_shares=(1.0,), leave_out=others, **shares)
    lesson = Mixed(**SMALL, flow_from=2.0, mix=mix)
    how = {"learning_rate": 3e-3, "average": 0.9, "warm_up": 10, "validate_every": 120}
    settings = Settings("tiny", lesson, iterations=120, batch=8, **how)
    figures = lesson.validate(train(settings, tmp_path, workers=0)[0])
    assert figures["mean_x1_dB"] > figures["input_x1_dB"] + 0.3


def test_pairs_are_learnt_from(tmp_path):
    lesson = Paired("small-noattn", generate.Regression(residual=True), crop=32, validation=4)
    how = {"learning_rate": 2e-3, "average": 0.8, "warm_up": 5, "validate_every": 40}
    train(Settings("pairs", lesson, iterations=40, batch=4, **how), tmp_path, workers=0)
    assert entries(tmp_path)[0]["psnr_dB"] > entries(tmp_path)[0]["input_psnr_dB"] + 1


def test_it_stops_when_it_gets_no_better(tmp_path, monkeypatch):
    scores = iter([0.1, 0.3, 0.2, 0.2])
    weights = []

    def validate(self, net):
        weights.append(net)
        return {"ssim": next(scores)}

    monkeypatch.setattr(Paired, "validate", validate)
    settings = replace(PAIRED, iterations=9, validate_every=1, patience=2, average=0.5)
    net, _ = train(settings, tmp_path, workers=0)
    assert [entry["ssim"] for entry in entries(tmp_path)] == [0.1, 0.3, 0.2, 0.2]
    assert same(net, weights[1])
    assert not same(net, weights[3])


def test_a_loss_that_is_no_number_stops_it(tmp_path, monkeypatch):
    settings = replace(PAIRED, iterations=6)
    train(replace(settings, iterations=2), tmp_path, workers=0)
    kept = (tmp_path / "checkpoint.safetensors").read_bytes()

    def losses(self, net, batch, progress):
        out = net(torch.cat(batch[:2], 1), batch[3]).flatten(1).mean(1)
        return torch.where(torch.tensor([False, False, True, False]), torch.nan, out)

    monkeypatch.setattr(Paired, "losses", losses)
    text = (
        r"sample 10 \(batch 2, seed 0\) is nan: .*checkpoint.safetensors, of an earlier batch, is"
    )
    with pytest.raises(TrainingError, match=text):
        train(settings, tmp_path, workers=0)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == kept
    with pytest.raises(TrainingError, match="nothing was kept yet"):
        train(settings, tmp_path / "new", workers=0)


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path):
    import resource

    train(MIXED, tmp_path, workers=0)
    kept = (tmp_path / "checkpoint.safetensors").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = 1000 + (tmp_path / "best.safetensors").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(WriteError, match=r"checkpoint.safetensors cannot be written: .*large"):
            train(replace(MIXED, iterations=8), tmp_path, workers=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == kept
    assert {p.name for p in tmp_path.glob(".*")} == set()


def shared(processes: int, settings: Path, folder: Path) -> list[dict]:
    """What is logged by a training that so many processes share."""
    run = folder / str(processes)
    command = ["-m", "scanmend", "train", str(settings), "--workers", "0", "--threads", "1"]
    begin = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    arguments = [sys.executable, *(begin * (processes > 1)), *command, "-o", str(run)]
    done = subprocess.run(
        [*arguments, "--device", "cpu"], capture_output=True, text=True, env=quiet, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("model: ") == 1
    return entries(run)


def test_several_processes_have_the_losses_of_one(tmp_path):
    text = "iterations = 4\nbatch = 4\nwarm_up = 2\nvalidate_every = 2\n[paired]\ncrop = 16\n"
    path = tmp_path / "mine.toml"
    path.write_text(text + 'net = "small-noattn"\nvalidation = 2\nsteps = 1\n')
    one, two = (shared(n, path, tmp_path) for n in (1, 2))
    # What is summed in another order differs by the rounding of the numbers that are multiplied.
    exactly = isinstance(precision(torch.device("cpu")), nullcontext)
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=2e-4 if exactly else 2e-3)
        assert b["ssim"] == pytest.approx(a["ssim"], abs=1e-3)


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch):
    with pytest.raises(TrainingError, match="a batch of 4 cannot be shared by 3 processes"):
        Learner(PAIRED, Processes(0, 3, torch.device("cpu")))


def test_a_new_network_changes_nothing():
    net = MIXED.lesson.network().eval()
    image = torch.randn(2, 3, 16, 24)
    assert (net(image, torch.zeros(2)) == 0).all()


def test_the_time_matters_once_it_has_learnt_anything():
    torch.manual_seed(0)
    net = Swift(Layout((8, 8), (1, 1), 1))
    torch.nn.init.normal_(net.head.weight)
    image = torch.randn(1, 3, 16, 16)
    early, late = net(image, torch.tensor([0.1])), net(image, torch.tensor([0.9]))
    assert not torch.allclose(early, late, atol=1e-4)


def test_the_origin_of_heights_is_nobodys_error():
    net = MIXED.lesson.network()
    known, mask = torch.randn(2, 1, 16, 16), torch.ones(2, 1, 16, 16)
    losses, mean, _ = mean_loss(net, known, mask, known + 3)
    assert losses.tolist() == pytest.approx([0, 0], abs=1e-6)
    assert torch.equal(mean, known)
    t = torch.tensor([0.2, 0.7])
    flow = flow_loss(net, mean, mask, known + 3, torch.zeros_like(known), t)
    # Without noise the path stays at the mean, which a network that adds nothing predicts.
    assert flow.tolist() == pytest.approx([0, 0], abs=1e-6)


def test_the_file_computes_what_was_trained(tmp_path):
    settings = replace(MIXED, lesson=replace(MIXED.lesson, widths=(8, 16)))
    net = settings.lesson.network().eval()
    torch.nn.init.normal_(net.head.weight, std=0.1)
    torch.nn.init.normal_(net.told[-1].weight)
    model = models.load(export(net, settings, tmp_path / "tiny.onnx", {"note": "for a test"}))
    image, said = torch.randn(3, 24, 40), torch.randn(1, 4)
    with torch.no_grad():
        expected = net(image[None], torch.tensor([0.3]), said)[0].numpy()
    found = model.network(image.numpy(), 0.3, told=said[0].numpy())
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert model.card["name"] == "tiny"
    assert model.card["note"] == "for a test"
    assert model.card["recipe"]["mixed"]["mix"]["side"] == 32


def test_the_file_of_a_paper_says_how_to_run_it(tmp_path):
    settings = replace(PAIRED, lesson=replace(PAIRED.lesson, task="x2"))
    net = settings.lesson.network().eval()
    model = models.load(export(net, settings, tmp_path / "pairs.onnx"))
    images = torch.randn(3, 2, 32, 48)
    with torch.no_grad():
        expected = net(images, torch.full((3,), 0.3)).numpy()
    np.testing.assert_allclose(model.network.batch(images.numpy(), 0.3), expected, atol=1e-4)
    card = model.card
    assert (card["task"], card["factor"], card["steps"]) == ("x2", 2, 1)
    assert generate.method(card["method"]) == settings.lesson.method


def test_the_rate_rises_stays_and_falls():
    settings = replace(MIXED, iterations=1000, warm_up=100)
    rates = [settings.rate(k) for k in range(1000)]
    assert rates[0] < rates[50] < rates[100] == rates[700] == 1e-3
    assert rates[800] > rates[900] > rates[999] > 0


def test_a_range_test_finds_where_learning_is_fastest(tmp_path):
    from scanmend.train.rate import find_rate, suggested

    rates = np.geomspace(1e-6, 1, 61)
    # It falls as a logistic function of the rate's logarithm, fastest at 1e-3, and explodes.
    losses = 1 - 0.8 / (1 + (1e-3 / rates) ** 2) + np.where(rates > 0.1, 5 * rates, 0)
    assert suggested(rates, losses) == pytest.approx(1e-3, rel=1e-6)
    shaky = losses + np.random.default_rng(3).normal(0, 0.05, 61) / np.sqrt(1 + np.arange(61))
    assert suggested(rates, shaky) == pytest.approx(1e-3, rel=1)
    best = find_rate(PAIRED, tmp_path, low=1e-5, high=1e-2, batches=12, workers=0)
    lines = [json.loads(line) for line in (tmp_path / "rates.jsonl").read_text().splitlines()]
    assert len(lines) == 12
    assert best in [line["rate"] for line in lines]
    with pytest.raises(TrainingError, match="from a low rate to a higher one in 10 batches"):
        find_rate(PAIRED, tmp_path, low=1.0, high=0.1)


PRESETS = sorted(p.stem for p in Path(loop.__file__).parent.glob("presets/*.toml"))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_read_and_can_be_read_again(name, tmp_path):
    settings = load(name)
    assert settings.name == name
    table = json.loads(json.dumps(settings.table()))
    assert table["batch"] == settings.batch


def test_changes_go_where_their_key_is():
    settings = load("fm-small", {"task": "x4", "iterations": 7})
    assert (settings.lesson.task, settings.iterations) == ("x4", 7)
    with pytest.raises(RecipeError, match=r"\[mixed\]: unknown key 'task'"):
        load("si001h", {"task": "x4"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iteration = 5\n[mixed]", "unknown key 'iteration'; there are name, seed, iterations"),
        ("[mixed.mix]\nsides = 5", r"\[mixed.mix\]: unknown key 'sides'; there are side"),
        ("= 5", "is no TOML"),
        (
            "iterations = 5",
            r"needs one table \[mixed\] or \[counted\] or \[paired\] or \[marked\], got 0",
        ),
        (
            "[mixed]\n[paired]",
            r"needs one table \[mixed\] or \[counted\] or \[paired\] or \[marked\], got 2",
        ),
        ("warm_up = 0\n[mixed]", "warm_up must be above 0, got 0"),
        ("average = 1.0\n[mixed]", "average must be at least 0 and below 1, got 1.0"),
        ("iterations = 'many'\n[mixed]", "iterations must be like 6000, got 'many'"),
        ("patience = true\n[mixed]", "patience must be like 0, got True"),
        ("[mixed]\nsurface = 'au111'", "no surface 'au111'; there are si001h"),
        ("[mixed.mix]\nfactors = [1, 2]", "factor_shares"),
        ("[mixed.mix]\nfactor_shares = [1, 1, 1]", "factor_shares must add up to 1"),
        ("[paired]\nnet = 'huge'", "no network 'huge'; there are small"),
        ("[paired]\ncrop = 200", "crop must be from 16 to 128 pixels in steps of 8, got 200"),
        ("[paired]\ncrop = 33", "in steps of 8, got 33"),
        ("paired = 3", r"\[paired\] is a table, got 3"),
        ("[paired]\nsteps = 0", "steps must be at least 1, got 0"),
        ("[paired]\nnet = 'autoencoder'", "autoencoder sees the degraded image only: use Regress"),
        ("[paired]\nsteps = 1001\nmethod = {kind = 'Diffusion'}", "takes no 1001 steps"),
        ("[paired]\nmethod = 5", "a method is a table with a kind, got 5"),
    ],
)
def test_settings_that_mean_nothing_are_refused(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load(path)


def test_settings_that_are_not_there(tmp_path):
    with pytest.raises(RecipeError, match="no settings file nowhere, nor a preset: autoencoder"):
        load("nowhere")


def test_the_command_trains_and_writes_a_model(tmp_path, capsys):
    text = "iterations = 2\nbatch = 2\n[mixed]\nwidths = [8, 8]\nblocks = [1, 1]\nmiddle = 1\n"
    (tmp_path / "mine.toml").write_text(text + "[mixed.mix]\nside = 32\nmargin = 4\n")
    run = str(tmp_path / "run")
    assert main(["train", str(tmp_path / "mine.toml"), "-o", run, "--workers", "0"]) == 0
    assert models.load(tmp_path / "run/mine.onnx").name == "mine"
    assert (tmp_path / "run/run.png").stat().st_size > 10_000
    assert main(["train", "nowhere"]) == 1
    assert "no settings file nowhere" in capsys.readouterr().err


@pytest.fixture
def few_samples(monkeypatch):
    """Of those by which 8 bits are calibrated and judged."""
    monkeypatch.setattr(run, "_CALIBRATED", 4)
    monkeypatch.setattr(mixed, "_VALIDATED", 2)


def test_the_command_writes_8_bits_too_but_only_of_models_for_scans(few_samples, tmp_path, capsys):
    text = "iterations = 2\nbatch = 2\n[mixed]\nwidths = [8, 8]\nblocks = [1, 1]\nmiddle = 1\n"
    path = tmp_path / "mine.toml"
    path.write_text(text + "[mixed.mix]\nside = 32\nmargin = 4\n")
    words = ["train", str(path), "-o", str(tmp_path / "run"), "--workers", "0", "--int8", "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert 0 <= abs(said["int8_costs_dB"]) < 0.1
    small = Network(tmp_path / "run/mine.onnx", "onnxruntime-int8")
    assert small.card["precision"] == "int8"
    assert main(["train", "fm-small", "--int8", "-o", str(tmp_path / "other")]) == 1
    assert "fm-small is run by a method of its own, and not written in" in capsys.readouterr().err


def test_8_bits_that_cost_too_much_are_not_kept(few_samples, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "MOST", (-1.0, -1.0))
    found = run.train(MIXED, tmp_path, int8=True, workers=0)
    assert found["int8"] == "none: it costs too much"
    assert not (tmp_path / "tiny.int8.onnx").exists()


def test_mixed_lessons_are_shared_too(tmp_path):
    """Which samples the flow is trained on differs from process to process."""
    text = "iterations = 4\nbatch = 4\nwarm_up = 2\nvalidate_every = 2\n[mixed]\nwidths = [8, 8]\n"
    text += "blocks = [1, 1]\nmiddle = 1\nflow_from = 0.0\nflow_share = 0.3\n"
    path = tmp_path / "mine.toml"
    path.write_text(text + "[mixed.mix]\nside = 16\nmargin = 4\n")
    one, two = (shared(n, path, tmp_path) for n in (1, 2))
    # What is summed in another order differs by the rounding of the numbers that are multiplied.
    exactly = isinstance(precision(torch.device("cpu")), nullcontext)
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=2e-4 if exactly else 2e-3)


def test_a_run_that_got_no_better_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(Paired, "validate", lambda self, net: {"ssim": 0.5})
    settings = replace(PAIRED, iterations=9, validate_every=1, patience=2)
    first, progress = train(settings, tmp_path, workers=0)
    assert progress.iteration == 3
    again, progress = train(settings, tmp_path, workers=0)
    assert progress.iteration == 3
    assert same(first, again)


def test_the_card_says_what_it_was_trained_on(tmp_path):
    pitch = (0.4, 0.4)
    for number in range(3):
        values = np.random.default_rng(number).normal(size=(200, 200)).astype(np.float32)
        scan = scanmend.Scan(values, pitch, scanmend.Quantity.HEIGHT)
        scanmend.write(scan, tmp_path / f"{number}.gsf")
    recipe = load_recipe({"step": [{"kind": "BluntTip"}]})
    counts = sets.Counts(4, 2, 0, 0)
    sets.build(clean.folder(tmp_path), recipe, tmp_path / "sets", ["restore"], counts)
    lesson = replace(PAIRED.lesson, stored=str(tmp_path / "sets"))
    settings = replace(PAIRED, lesson=lesson, iterations=2)
    result = run.train(settings, tmp_path / "run", workers=0)
    card = models.load(result["model"]).card
    assert card["pixel_nm"] == pytest.approx(pitch)
    assert [name for name, _ in card["trained_on"]["source"]["train"]] != []
    assert card["trained_on"]["damage"]["step"][0]["kind"] == "BluntTip"
    assert (card["iterations"], card["samples"]) == (2, 8)

    (tmp_path / "sets/restore/validation/shard-00000.safetensors").unlink()
    with pytest.raises(ReadError, match="lacks 1 shards of restore/validation"):
        replace(lesson)
    with pytest.raises(ReadError, match="holds no set x2/train"):
        replace(lesson, task="x2")


def test_sets_have_a_source_of_their_own(capsys):
    assert main(["train", "fm-small", "--sets", "there", "--clean", "here"]) == 1
    assert "leave out the others" in capsys.readouterr().err


def test_a_training_begins_with_the_weights_of_a_model(tmp_path, capsys):
    """And, by default, with its settings; on scans of one's own besides, however few."""
    (tmp_path / "good").mkdir()
    rng = np.random.default_rng(0)
    scan = clean.Surface("si001h").piece("train", 64, rng).scan
    scanmend.write(scan, tmp_path / "good/one.nc")
    first = export(MIXED.lesson.network(), MIXED, tmp_path / "first.onnx")
    how = ["--clean", str(tmp_path / "good"), "--iterations", "2", "--workers", "0"]
    begin = ["train", "--from", str(first), "-o", str(tmp_path / "run"), *how]
    assert main(begin) == 0
    card = models.load(tmp_path / "run/tiny-tuned.onnx").card
    assert card["started_from"]["sha256"] == models.load(first).sha256
    assert card["recipe"]["learning_rate"] == 3e-4
    assert [name for name, _ in card["trained_on"]["own"]["train"]] == ["one.nc"]
    assert card["pixel_nm"][0] <= scan.pixel_nm[0] <= card["pixel_nm"][1]
    (tmp_path / "wide.toml").write_text("[mixed]\nwidths = [8, 16]\nblocks = [1, 1]\nmiddle = 1\n")
    assert main(["train", str(tmp_path / "wide.toml"), "--from", str(first)]) == 1
    assert (
        "tiny is of another network: its down.1.0.gain is of shape (1, 8" in capsys.readouterr().err
    )
    assert main(["train"]) == 2


def test_weights_come_back_from_a_model_file(tmp_path):
    settings = replace(MIXED, seed=3)
    net = settings.lesson.network()
    torch.nn.init.normal_(net.head.weight)
    path = export(net, settings, tmp_path / "one.onnx")
    learner = Learner(replace(MIXED, start=str(path)), Processes(0, 1, torch.device("cpu")))
    assert same(learner.net, net)


def test_weights_come_back_of_every_network(tmp_path):
    """Also those of the papers': nothing is folded into anything else."""
    for name in ("small-noattn", "autoencoder-small", "sbsr", "swift"):
        method = generate.Regression()
        settings = replace(PAIRED, lesson=Paired(name, method, crop=16, validation=2, steps=1))
        net = settings.lesson.network()
        path = export(net, settings, tmp_path / f"{name}.onnx")
        begun = Learner(replace(settings, seed=1, start=str(path)), Processes(0, 1, CPU))
        assert same(begun.net, net), name


def test_where_it_began_is_what_it_began_with(tmp_path, capsys):
    """Whatever becomes of that file later; and it is never written over."""
    first = export(MIXED.lesson.network(), MIXED, tmp_path / "tiny.onnx")
    sha256 = models.load(first).sha256
    begin = replace(MIXED, name="next", start=str(first), iterations=2)
    run.train(begin, tmp_path / "run", workers=0)
    first.unlink()
    made = run.train(replace(begin, iterations=4), tmp_path / "run", workers=0)["model"]
    assert models.load(made).card["started_from"] == {"name": "tiny", "sha256": sha256}
    export(MIXED.lesson.network(), MIXED, first)
    with pytest.raises(TrainingError, match="tiny.onnx is the model to begin with: choose another"):
        run.train(replace(MIXED, start=str(first)), tmp_path, workers=0)


def test_scans_of_ones_own_that_are_too_small_are_refused(tmp_path):
    scanmend.write(clean.Surface("si001h").piece("train", 36, RNG).scan, tmp_path / "small.nc")
    small = replace(MIXED, lesson=replace(MIXED.lesson, source=str(tmp_path)))
    with pytest.raises(RecipeError, match="small.nc has 36x36 pixels, but .* needs 40x40"):
        train(small, tmp_path / "run", workers=0)


def test_what_belonged_to_other_scans_is_forgotten(tmp_path):
    lesson = replace(PAIRED.lesson, width_nm=50.0, unit="m")
    path = export(lesson.network(), replace(PAIRED, lesson=lesson), tmp_path / "one.onnx")
    assert of_model(path).lesson.width_nm == 50
    assert of_model(path, {"source": "elsewhere"}).lesson == replace(
        lesson, source="elsewhere", width_nm=0.0, unit=""
    )
