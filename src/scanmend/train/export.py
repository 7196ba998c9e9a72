"""From a trained network to a model file: one .onnx that holds graph, weights and card."""

from __future__ import annotations

import copy
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from .. import __version__
from ..io.write import whole
from .settings import Settings


def export(
    net: nn.Module, settings: Settings, path: Path, facts: dict[str, Any] | None = None
) -> Path:
    """Writes `net` with its card to `path`, in place of what is there.

    Args:
        net: The trained network, in evaluation mode.
        settings: What it was trained with; their hash is the data recipe's.
        path: Where to.
        facts: Added to the card, such as measured figures.

    Raises:
        WriteError: It cannot be written there.
    """
    net = copy.deepcopy(net).cpu()
    own = settings.lesson.card(net)
    side = 8 * own["multiple"]
    image, t = torch.zeros(1, own["channels"], side, side), torch.zeros(1)
    recipe = settings.table()
    card = {
        "name": settings.name,
        "quantity": "HEIGHT",
        **own,
        "trained_on": settings.lesson.data(),
        "recipe": recipe,
        "recipe_sha256": hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest(),
        "parameters": sum(p.numel() for p in net.parameters()),
        "scanmend": __version__,
        "licence": "BSD-3-Clause",
        **(facts or {}),
    }
    inputs, axes = (image, t), {"image": IMAGE_AXES, "t": {0: "batch"}}
    if told := own.get("told"):
        inputs, axes = (*inputs, torch.zeros(1, len(told))), {**axes, "told": {0: "batch"}}
    write(net, inputs, {**axes, "out": IMAGE_AXES}, card, path)
    return path


IMAGE_AXES = {0: "batch", 2: "rows", 3: "columns"}
"""Those of images of any number and size."""


def write(
    net: nn.Module,
    inputs: tuple[Tensor, ...],
    axes: dict[str, dict[int, str]],
    card: dict[str, Any],
    path: Path,
) -> None:
    """Writes a graph with its weights and a card to `path`, in place of what is there.

    Args:
        net: In evaluation mode, on the CPU.
        inputs: Some that it takes.
        axes: By the names of the inputs and, at last, of the output: which sizes may differ.
        card: Plain JSON values.
        path: Where to.

    Raises:
        WriteError: It cannot be written there.
    """
    *names, out = axes
    with whole(path, overwrite=True) as unfinished:
        with warnings.catch_warnings():
            # The older exporter, because the newer one needs onnxscript.
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.onnx.export(
                net,
                inputs,
                str(unfinished),
                dynamo=False,
                opset_version=17,
                # Folded into others, weights could not be found again by their names.
                do_constant_folding=False,
                input_names=names,
                output_names=[out],
                dynamic_axes=axes,
            )
        model = onnx.load(unfinished)
        model.metadata_props.add(key="card", value=json.dumps(card))
        onnx.save(model, unfinished)
