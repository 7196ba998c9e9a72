"""Model files of 8 bits: how near they come, and how much of the model stays as it was."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
onnx = pytest.importorskip("onnx", reason="the extra 'train' is not installed")

from model_files import UNet, exported  # noqa: E402

from scanmend.engine import DEFAULT, Network, quantised  # noqa: E402
from scanmend.errors import ModelError  # noqa: E402
from scanmend.nets.swift import Layout, Swift  # noqa: E402
from scanmend.pairs.samples import Sample  # noqa: E402
from scanmend.train.export import IMAGE_AXES, write  # noqa: E402
from scanmend.train.quantise import leave_out, quantise  # noqa: E402

SIDE = 32


def samples(count, seed=0):
    """Lattices with noise, as the network is shown them."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for _ in range(count):
        target = np.cos(rows * rng.uniform(0.5, 1)) + np.cos(columns * rng.uniform(0.5, 1))
        known = target + 0.2 * rng.standard_normal((SIDE, SIDE))
        planes = (a.astype(np.float32) for a in (known, np.ones_like(known), target))
        yield Sample(*planes, told=rng.uniform(-1, 1, 2).astype(np.float32))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network of three resolutions that is told two numbers, with weights that do something."""
    torch.manual_seed(0)
    net = Swift(Layout((16, 32, 64), (1, 1, 1), 1, told=2)).eval()
    for last in (net.head, net.told[-1]):
        torch.nn.init.normal_(last.weight, std=0.1)
    card = {"name": "tiny", "factors": [1], "quantity": "HEIGHT", "pixel_nm": [0.1, 0.3]}
    card |= {"multiple": net.multiple, "flow_noise": 0.1, "told": ["near", "far"]}
    axes = {"image": IMAGE_AXES, "t": {0: "batch"}, "told": {0: "batch"}, "out": IMAGE_AXES}
    inputs = torch.zeros(1, 3, SIDE, SIDE), torch.zeros(1), torch.zeros(1, 2)
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    write(net, inputs, axes, card, path)
    return path


@pytest.fixture(scope="module")
def small(model):
    return quantise(model, quantised(model), list(samples(8)))


def answers(model, name):
    network = Network(model, name)
    shown = [(s.shown, t, s.told) for t in (0.0, 0.5) for s in samples(4, seed=1)]
    return np.stack([network(image, t, told=told) for image, t, told in shown])


def test_it_answers_nearly_the_same(model, small):
    expected, got = answers(model, DEFAULT), answers(model, "onnxruntime-int8")
    noise = np.sqrt(np.mean((got - expected) ** 2) / np.var(expected))
    assert 1e-5 < noise < 0.03, "nothing was rounded, or too much"


def test_its_weights_are_of_8_bits_but_at_the_finest_resolution_and_between_two(model, small):
    graph = onnx.load(small).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    scaled = {
        node.output[0]: kinds[node.input[0]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in kinds
    }
    whole = {
        node.name: scaled.get(node.input[1]) == onnx.TensorProto.INT8
        for node in graph.node
        if node.op_type == "Conv"
    }
    fine = ("stem", "head", "down.0", "up.0", "coarser", "finer")
    assert whole and all(
        is_whole != any(part in name for part in fine) for name, is_whole in whole.items()
    )


def test_its_card_says_what_it_was_made_of(model, small):
    card = Network(model, "onnxruntime-int8").card
    assert card["quantised_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert card == Network(model, DEFAULT).card | {
        "precision": "int8",
        "quantised_sha256": card["quantised_sha256"],
    }


def test_what_it_is_not_as_good_at_is_left_to_single_precision(model, small, tmp_path):
    some, path = next(samples(1, seed=2)), tmp_path / "tiny.onnx"
    path.write_bytes(model.read_bytes())
    quantised(path).write_bytes(small.read_bytes())
    leave_out(quantised(path), ["far"])
    plain, tiny = Network(path, DEFAULT), Network(path, "onnxruntime-int8")
    assert tiny.runtime.endswith("int8, CPU, fp32 for far")
    for told, same in (([1, 0], False), ([0, 1], True), ([1, 1], True)):
        words = np.array(told, np.float32)
        got, expected = (net(some.shown, 0.0, told=words) for net in (tiny, plain))
        assert np.array_equal(got, expected) == same


def test_what_cannot_be_quantised_is_refused(model, tmp_path):
    with pytest.raises(ModelError, match="^no samples to find the scales on"):
        quantise(model, tmp_path / "out.onnx", [])
    with pytest.raises(ModelError, match="^tiny.onnx is run by a method of its own"):
        quantise(exported(UNet(), tmp_path / "tiny.onnx"), tmp_path / "out.onnx", [])
    assert not (tmp_path / "out.onnx").exists()
