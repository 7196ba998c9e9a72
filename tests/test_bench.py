"""Which runtime is measured to be the best, and how that is told and remembered."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from model_files import UNet, exported  # noqa: E402

from scanmend import models  # noqa: E402
from scanmend.cli.bench import bench  # noqa: E402
from scanmend.engine import DEFAULT, RUNTIMES, Network, choice, measure, quantised  # noqa: E402
from scanmend.engine.measure import LIMIT, Measured, best  # noqa: E402
from scanmend.errors import ModelError  # noqa: E402

EXACT = {"difference": 0.0, "rms_difference": 0.0}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `scanmend bench --json` says of a small model, and that model."""
    folder = tmp_path_factory.mktemp("bench")
    path = exported(UNet(), folder / "model.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.delenv("SCANMEND_RUNTIME", raising=False)
        done = CliRunner().invoke(bench, [str(path), "--json", "--repeats", "1"])
        assert done.exit_code == 0, done.output
        yield json.loads(done.stdout), path


def test_every_runtime_is_measured_or_says_why_not(found):
    told, path = found
    assert [runtime["name"] for runtime in told["runtimes"]] == list(RUNTIMES)
    for runtime in told["runtimes"]:
        assert runtime["why"] == RUNTIMES[runtime["name"]].missing(path)
        if runtime["why"] is None:
            assert runtime["start_s"] > runtime["image_s"] > runtime["strip_s"] > 0
            assert runtime["rms_difference"] <= runtime["difference"]
            assert runtime["accurate"] == (runtime["rms_difference"] <= LIMIT)
        else:
            assert runtime["image_s"] is None and not runtime["accurate"]
    plain = told["runtimes"][0]
    assert plain["name"] == DEFAULT and plain["difference"] == 0


def test_the_best_is_remembered_and_used(found):
    told, path = found
    runtimes = {r["name"]: r for r in told["runtimes"]}
    accurate = [r for r in told["runtimes"] if r["accurate"]]
    assert runtimes[told["best"]] == min(accurate, key=lambda r: r["total_s"])
    assert choice.remembered(path) == told["best"]
    assert Network(path).runtime == runtimes[told["best"]]["runtime"]


def test_the_quickest_of_the_accurate_is_the_best():
    plain = Measured("plain", start_s=1.0, image_s=0.30, **EXACT)
    slow_to_start = Measured("slow to start", start_s=3.0, image_s=0.10, **EXACT)
    wrong = Measured("wrong", start_s=0.1, image_s=0.01, difference=1, rms_difference=2 * LIMIT)
    broken = Measured("no numbers", start_s=0.1, image_s=0.01, rms_difference=np.nan)
    there = [plain, slow_to_start, wrong, broken, Measured("absent", why="not installed")]
    assert best(there, scans=1) is best(there, scans=10) is plain
    assert best(there, scans=12) is best(there, scans=1000) is slow_to_start


def test_a_runtime_that_fails_is_named_and_the_others_are_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in RUNTIMES.keys() - {DEFAULT, "onnxruntime-int8"}:
        monkeypatch.delitem(RUNTIMES, name)
    path = exported(UNet(), tmp_path / "model.onnx")
    quantised(path).write_bytes(b"no model")
    done = CliRunner().invoke(bench, [str(path), "--repeats", "1", "--forget"])
    assert done.exit_code == 0, done.output
    head, plain, broken, verdict = done.stdout.splitlines()
    assert head.split() == ["runtime", "512x512", "128x128", "start", "difference"]
    assert plain.startswith("onnxruntime ") and plain.endswith("best")
    assert "ms" in plain and "model.int8.onnx is not a model file" in broken
    assert verdict == f"best for 20 scans a start: {Network(path, DEFAULT).runtime}"
    assert not choice.folder().exists(), "nothing was to be remembered"


def test_what_is_no_model_is_not_measured(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match="broken.onnx is not a model file"):
        measure.measure(path)


def test_what_is_shown_fits_the_network():
    network = Network(models.load().path, DEFAULT)
    shown = measure.shown(network, 128)
    assert shown["image"].shape == (1, 3, 128, 128)
    assert network.batch(**shown).std() > 0.01, "a network that has nothing to do proves nothing"


@pytest.mark.parametrize(
    "error", [PermissionError("not yours"), RuntimeError("no home"), OSError("gone")]
)
def test_a_cache_that_cannot_be_had_stops_nobody(monkeypatch, error):
    def folder():
        raise error

    monkeypatch.setattr(choice, "folder", folder)
    assert choice.remembered(models.load().path) == DEFAULT
