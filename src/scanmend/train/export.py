"""From a trained network to a model file: one .onnx that holds graph, weights and card."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import torch

from ..crystals import SURFACES
from ..nets.swift import Swift
from .settings import Settings


def export(net: Swift, settings: Settings, path: Path, facts: dict[str, Any] | None = None) -> Path:
    """Writes `net` with its card to `path`.

    Args:
        net: The trained network, in evaluation mode, on the CPU.
        settings: What it was trained with; their hash is the data recipe's.
        path: Where to.
        facts: Added to the card, such as measured figures.
    """
    side = 8 * net.layout.multiple
    image, t = torch.zeros(1, 3, side, side), torch.zeros(1)
    axes = {"image": {0: "batch", 2: "rows", 3: "columns"}, "t": {0: "batch"}}
    with warnings.catch_warnings():
        # The older exporter, because the newer one needs onnxscript.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            net,
            (image, t),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["image", "t"],
            output_names=["out"],
            dynamic_axes={**axes, "out": axes["image"]},
        )
    recipe = json.dumps(asdict(settings), sort_keys=True)
    card = {
        "name": settings.name,
        "tasks": ["restore", *(f"upscale {k}" for k in settings.mix.factors if k > 1)],
        "factors": list(settings.mix.factors),
        "quantity": "HEIGHT",
        "surface": settings.surface,
        "pixel_nm": list(SURFACES[settings.surface].TRAINING.pixel_nm),
        "multiple": net.layout.multiple,
        "flow_noise": settings.flow_noise,
        "recipe": asdict(settings),
        "recipe_sha256": hashlib.sha256(recipe.encode()).hexdigest(),
        "parameters": sum(p.numel() for p in net.parameters()),
        "licence": "BSD-3-Clause",
        **(facts or {}),
    }
    model = onnx.load(path)
    model.metadata_props.add(key="card", value=json.dumps(card))
    onnx.save(model, path)
    return path
