"""Training, at a size that takes a second: it learns, and survives being killed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from scanmend import models  # noqa: E402
from scanmend.errors import RecipeError  # noqa: E402
from scanmend.nets.swift import Layout, Swift  # noqa: E402
from scanmend.objective.posterior_flow import flow_loss, mean_loss  # noqa: E402
from scanmend.pairs.samples import Mix  # noqa: E402
from scanmend.train.__main__ import main  # noqa: E402
from scanmend.train.export import export  # noqa: E402
from scanmend.train.loop import build, train, validate  # noqa: E402
from scanmend.train.settings import Settings, load  # noqa: E402

TINY = Settings(
    "tiny",
    iterations=6,
    batch=2,
    warm_up=2,
    widths=(8, 8),
    blocks=(1, 1),
    middle=1,
    flow_share=0.5,
    mix=Mix(side=32, margin=4),
)


def same(a: Swift, b: Swift) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


class Killed(Exception):
    """Stands for a signal: raised where a training is to stop dead."""


def test_a_training_that_was_killed_ends_as_one_that_was_not(tmp_path, monkeypatch):
    from scanmend.train import loop

    whole = train(TINY, tmp_path / "whole", workers=0, save_every=2)

    saved = loop.checkpoint.save

    def save_then_die(path, settings, iteration, *state):
        saved(path, settings, iteration, *state)
        if iteration == 4:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loop.checkpoint, "save", save_then_die)
        with pytest.raises(Killed):
            train(TINY, tmp_path / "killed", workers=0, save_every=2)
    resumed = train(TINY, tmp_path / "killed", workers=0, save_every=2)
    assert same(whole, resumed)
    log = (tmp_path / "killed/log.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in log] == [2, 4, 6]


def test_a_folder_belongs_to_its_settings(tmp_path):
    train(TINY, tmp_path, workers=0)
    with pytest.raises(RecipeError, match="begun with other settings \\(seed 0, now 9\\)"):
        train(replace(TINY, seed=9), tmp_path, workers=0)
    with pytest.raises(RecipeError, match="holds 6 iterations already, more than 4"):
        train(replace(TINY, iterations=4), tmp_path, workers=0)


def test_it_learns(tmp_path):
    """Scan-line noise alone, for a few seconds: better than what goes in."""
    others = ("MultiTip", "FewerLines", "AcquisitionNoise", "ThermalDrift", "LineShift")
    others += ("BluntTip", "TipChange", "FeedbackLag", "LineOffset")
    shares = {"untouched": 0, "gap": 0, "ghosted": 0, "faint": 0}
    mix = Mix(32, 4, factors=(1,), factor_shares=(1.0,), leave_out=others, **shares)
    settings = replace(TINY, iterations=120, batch=8, warm_up=10, flow_from=2.0, mix=mix)
    settings = replace(settings, learning_rate=3e-3, average=0.9)
    net = train(settings, tmp_path, workers=0, save_every=120)
    figures = validate(net, settings, "cpu")
    assert figures["mean_x1"] > figures["input_x1"] + 0.3


def test_a_new_network_changes_nothing():
    net = build(TINY).eval()
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
    net = build(TINY)
    known, mask = torch.randn(2, 1, 16, 16), torch.ones(2, 1, 16, 16)
    loss, mean = mean_loss(net, known, mask, known + 3)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.equal(mean, known)
    generator = torch.Generator().manual_seed(0)
    flow = flow_loss(net, mean, mask, known + 3, 0.0, generator)
    # Without noise the path stays at the mean, which a network that adds nothing predicts.
    assert flow.item() == pytest.approx(0, abs=1e-6)


def test_the_file_computes_what_was_trained(tmp_path):
    net = Swift(Layout((8, 16), (1, 1), 1)).eval()
    torch.nn.init.normal_(net.head.weight, std=0.1)
    model = models.load(export(net, TINY, tmp_path / "tiny.onnx", {"note": "for a test"}))
    image = torch.randn(3, 24, 40)
    with torch.no_grad():
        expected = net(image[None], torch.tensor([0.3]))[0].numpy()
    np.testing.assert_allclose(model.network(image.numpy(), 0.3), expected, atol=1e-4)
    assert model.card["name"] == "tiny"
    assert model.card["note"] == "for a test"
    assert model.card["recipe"]["mix"]["side"] == 32


def test_the_rate_rises_stays_and_falls():
    rates = [Settings("r", iterations=1000, warm_up=100).rate(k) for k in range(1000)]
    assert rates[0] < rates[50] < rates[100] == rates[700] == 1e-3
    assert rates[800] > rates[900] > rates[999] > 0


def test_the_preset_is_read():
    settings = load("si001h")
    assert settings.name == "si001h"
    assert settings.mix.factors == (1, 2, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iteration = 5", "unknown key 'iteration'; there are name, surface"),
        ("[mix]\nsides = 5", r"\[mix\]: unknown key 'sides'; there are side"),
        ("= 5", "is no TOML"),
        ("warm_up = 0", "warm_up must be above 0, got 0"),
        ("iterations = 'many'", "iterations must be like 6000, got 'many'"),
        ("surface = 'au111'", "no surface 'au111'; there are si001h"),
        ("[mix]\nfactors = [1, 2]", "factor_shares"),
        ("[mix]\nfactor_shares = [1, 1, 1]", "factor_shares must add up to 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(tmp_path, text, message, capsys):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load(path)
    with pytest.raises(RecipeError, match="no settings file nowhere"):
        load("nowhere")


def test_the_command_trains_and_writes_a_model(tmp_path, monkeypatch, capsys):
    text = "iterations = 2\nbatch = 2\nwidths = [8, 8]\nblocks = [1, 1]\nmiddle = 1\n"
    (tmp_path / "mine.toml").write_text(text + "[mix]\nside = 32\nmargin = 4\n")
    command = ["train", str(tmp_path / "mine.toml"), "-o", str(tmp_path / "run"), "--workers", "0"]
    monkeypatch.setattr("sys.argv", command)
    assert main() == 0
    assert models.load(tmp_path / "run/mine.onnx").name == "mine"
    monkeypatch.setattr("sys.argv", ["train", "nowhere"])
    assert main() == 1
    assert "no settings file nowhere" in capsys.readouterr().err
