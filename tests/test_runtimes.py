"""What a model file is run by: the same answer by each, and the one that is wished for or known."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnxruntime
import pytest

from scanmend import models
from scanmend.engine import DEFAULT, RUNTIMES, Network, choice, quantised
from scanmend.errors import ModelError, WriteError

PLAIN = f"onnxruntime {onnxruntime.__version__} fp32, CPU"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and nothing wished for."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SCANMEND_RUNTIME", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path):
    """A copy of the shipped model."""
    return shutil.copy(models.load().path, tmp_path / "model.onnx")


@pytest.fixture
def another(model, monkeypatch):
    """A runtime that is none of the default, to be told from it by its name alone."""

    class Another(RUNTIMES[DEFAULT]):
        device = "another CPU"

    monkeypatch.setitem(RUNTIMES, "another", Another)
    return "another"


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_runtime_answers_what_the_default_does(name, model, rng):
    if why := RUNTIMES[name].missing(model):
        pytest.skip(why)
    expected, network = Network(model, DEFAULT), Network(model, name)
    assert network.card == expected.card
    limit = {"fp32": 2e-5, "bf16": 0.02}[RUNTIMES[name].precision]
    told = expected.silence
    for shape, t in (((2, 3, 16, 24), 0.0), ((1, 3, 40, 16), 0.5), ((2, 3, 16, 24), 0.5)):
        image = rng.standard_normal(shape).astype(np.float32)
        wanted = expected.batch(image, t, told=told)
        for hold in (False, True):
            off = network.batch(image, t, told=told, hold=hold) - wanted
            assert np.sqrt(np.mean(off**2)) < limit * np.sqrt(np.mean(wanted**2))
        assert np.abs(wanted).max() > 0.1, "nothing was answered"


def test_without_anything_known_the_default_runs(model):
    network = Network(model)
    assert network.runtime == PLAIN == Network(model, DEFAULT).runtime


def test_what_is_wished_for_runs(model, another, monkeypatch):
    monkeypatch.setenv("SCANMEND_RUNTIME", another)
    assert Network(model).runtime.endswith("fp32, another CPU")
    choice.remember(model, another)
    monkeypatch.setenv("SCANMEND_RUNTIME", DEFAULT)
    assert Network(model).runtime == PLAIN, "a wish counts for more than what is remembered"


def test_a_wish_that_cannot_be_met_is_an_error(model, monkeypatch):
    monkeypatch.setenv("SCANMEND_RUNTIME", "abacus")
    with pytest.raises(
        ModelError,
        match="^SCANMEND_RUNTIME is 'abacus': it must be one of onnxruntime, onnxruntime-int8, ",
    ):
        Network(model)
    monkeypatch.setenv("SCANMEND_RUNTIME", "onnxruntime-int8")
    with pytest.raises(
        ModelError,
        match="^model.onnx cannot be run as wished: there is no model.int8.onnx beside model.onnx",
    ):
        Network(model)


def test_what_is_remembered_runs_while_it_fits(model, another, monkeypatch, tmp_path):
    file = choice.remember(model, another)
    assert json.loads(file.read_text())["runtime"] == another
    assert Network(model).runtime != PLAIN
    assert Network(shutil.copy(model, tmp_path / "same.onnx")).runtime != PLAIN, "the same bytes"
    with monkeypatch.context() as changed:
        changed.setattr(onnxruntime, "__version__", "0.1")
        assert choice.remembered(model) == DEFAULT
    with monkeypatch.context() as changed:
        changed.setattr(choice, "processor", lambda: "Z80")
        assert choice.remembered(model) == DEFAULT
    other = tmp_path / "other.onnx"
    other.write_bytes(models.load().path.read_bytes() + b"\x6a\x00")  # an empty graph added to it
    assert choice.remembered(other) == DEFAULT
    assert Network(model).runtime != PLAIN, "nothing has changed after all"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"runtime": "abacus"}', '{"runtime": 1}'])
def test_a_damaged_memory_is_none(text, model):
    choice.remember(model, DEFAULT).write_text(text)
    assert Network(model).runtime == PLAIN


def test_what_is_remembered_and_no_longer_runs_is_passed_over(model):
    quantised(model).write_bytes(b"no model")
    choice.remember(model, "onnxruntime-int8")
    assert choice.remembered(model) == "onnxruntime-int8"
    assert Network(model).runtime == PLAIN


def test_a_cache_that_cannot_be_written_to_is_said(model, cache):
    cache.write_text("a file in its place")
    assert Network(model).runtime == PLAIN
    with pytest.raises(WriteError, match="there is no folder .*scanmend/runtimes"):
        choice.remember(model, DEFAULT)


def test_weights_of_another_model_are_refused(model):
    shutil.copy(model, quantised(model))
    with pytest.raises(ModelError, match="model.int8.onnx was not made of this model.onnx"):
        Network(model, "onnxruntime-int8")


def test_what_is_to_be_told_must_be_told(tmp_path, rng):
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from scanmend.train.export import IMAGE_AXES, write

    class Shift(torch.nn.Module):
        """The image, moved by twice the first number and three times the second."""

        def forward(self, image, t, told):
            shift = 2 * told[:, :1] + 3 * told[:, 1:] + t[:, None]
            return image[:, :2] + shift[:, :, None, None]

    axes = {"image": IMAGE_AXES, "t": {0: "batch"}, "told": {0: "batch"}, "out": IMAGE_AXES}
    card = dict.fromkeys(("factors", "quantity", "pixel_nm", "flow_noise"), 1)
    card |= {"name": "shift", "multiple": 4, "told": ["near", "far"]}
    inputs = torch.zeros(1, 3, 8, 8), torch.zeros(1), torch.zeros(1, 2)
    path = tmp_path / "shift.onnx"
    write(Shift(), inputs, axes, card, path)
    network = Network(path)
    image = rng.standard_normal((3, 3, 8, 4)).astype(np.float32)
    told = np.array([1, -2], np.float32)
    np.testing.assert_allclose(
        network.batch(image, 0.5, told=told), image[:, :2] - 3.5, rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(
        network(image[1], 0.5, told=told), network.batch(image, 0.5, told=told)[1]
    )
    for wrong, got in ((None, "nothing"), (told[:1], "1 numbers"), (told[None], "2 numbers")):
        with pytest.raises(
            ModelError, match=f"shift is to be told near, far besides the time, got {got}$"
        ):
            network.batch(image, 0.5, told=wrong)


def test_who_is_told_nothing_is_told_nothing(tmp_path):
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from model_files import deaf

    image = np.zeros((1, 3, 8, 8), np.float32)
    with pytest.raises(
        ModelError, match="deaf is to be told nothing besides the time, got 2 numbers$"
    ):
        Network(deaf(tmp_path / "deaf.onnx")).batch(image, 0.0, told=np.zeros(2, np.float32))
