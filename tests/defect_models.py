"""Model files that find defects without having learnt to: their maps are known functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CARD = {
    "name": "defects-tiny",
    "factors": [1],
    "quantity": "HEIGHT",
    "pixel_nm": [0.08, 0.2],
    "multiple": 4,
    "flow_noise": 0,
    "tasks": ["defects"],
    "channels": 2,
    "reach": 16,
    "materials": ["WSe2", "MoS2"],
    "classes": ["bright", "dark"],
    "sigma_nm": 0.2,
    "threshold": 0.5,
}


def finder(path: Path, gain: float = 0.2, **card: Any) -> Path:
    """Two maps, of bright and of dark bumps: a difference of Gaussians of 2 and 4 pixels."""
    y, x = np.mgrid[-12:13, -12:13]
    narrow, wide = (np.exp(-(x**2 + y**2) / (2 * s**2)) / (2 * np.pi * s**2) for s in (2.0, 4.0))
    kernel = np.zeros((2, 2, 25, 25), np.float32)
    kernel[0, 0], kernel[1, 0] = narrow - wide, wide - narrow
    pads = [12] * 4
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "kernel"], ["raw"], pads=pads),
            helper.make_node("Mul", ["raw", "gain"], ["out"]),
        ],
        "finder",
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 2, "rows", "columns"]),
            helper.make_tensor_value_info("t", TensorProto.FLOAT, ["n"]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 2, "rows", "columns"])],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.array(gain, np.float32), "gain"),
        ],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    model.metadata_props.add(key="card", value=json.dumps(CARD | card))
    onnx.save(model, path)
    return path
