"""Model files: what is shipped, and what is none."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from scanmend import models
from scanmend.errors import ModelError
from scanmend.scan import Quantity


def test_what_is_shipped_is_what_was_trained():
    finders = tuple(f"defects-{family}" for family in ("graphene", "si001h", "si111-7x7", "tmd"))
    assert models.names() == (*finders, "si001h", "stem", "surface")
    assert models.restorers() == ("si001h", "stem", "surface")
    assert models.load().name == models.default(Quantity.HEIGHT) == models.DEFAULT
    assert models.load(models.default(Quantity.COUNTS)).card["quantity"] == "COUNTS"
    for name in models.names():
        model = models.load(name)
        assert models.verify(model) and model.name == name
        assert model.path.stat().st_size < 16 * 2**20


def test_a_changed_file_is_told_apart(tmp_path):
    path = tmp_path / "changed.onnx"
    changed = onnx.load(models.load().path)
    changed.doc_string = "tampered with"
    onnx.save(changed, path)
    model = models.load(path)
    assert model.name == models.DEFAULT
    assert not models.verify(model)


def test_a_call_knows_any_size_and_number_of_pixels():
    network = models.load().network
    multiple = network.card["multiple"]
    for shape in [(multiple, multiple), (5 * multiple, 7 * multiple)]:
        image = np.zeros((3, *shape), np.float32)
        assert network(image, 0.0, told=network.silence).shape == (2, *shape)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(
        ModelError, match="no model 'ge111': pass one of defects-graphene, .* surface, or"
    ):
        models.load("ge111")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(models.load().path.read_bytes()[:5000])
    with pytest.raises(ModelError, match="broken.onnx is not a model file"):
        models.load(broken)


def test_a_foreign_network_is_refused(tmp_path):
    path = tmp_path / "foreign.onnx"
    floats = (TensorProto.FLOAT, [1])
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "relu",
        [helper.make_tensor_value_info("x", *floats)],
        [helper.make_tensor_value_info("y", *floats)],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    with pytest.raises(
        ModelError, match="foreign.onnx is no model made by scanmend: its card lacks name, factors"
    ):
        models.load(path)
