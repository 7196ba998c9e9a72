"""The state of a training on disk: whole or absent, and nothing to unpickle."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import RecipeError
from .settings import Settings


def save(
    path: Path,
    settings: Settings,
    iteration: int,
    net: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
) -> None:
    """Writes weights, their running average and the optimiser's state after `iteration` batches."""
    tensors = {f"net/{k}": v for k, v in net.state_dict().items()}
    tensors |= {f"average/{k}": v for k, v in average.items()}
    names = [name for name, _ in net.named_parameters()]
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{names[i]}/{k}": v for k, v in state.items()}
    part = path.with_suffix(".part")
    # Contiguous copies: safetensors takes neither channels-last nor shared memory.
    copies = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    about = {"iteration": str(iteration), "settings": json.dumps(asdict(settings))}
    save_file(copies, part, metadata=about)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)


def load(
    path: Path,
    settings: Settings,
    net: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
) -> int:
    """Restores what `save` wrote; returns the number of batches that were trained on.

    Raises:
        RecipeError: It was begun with other settings, but for `iterations`, or is further on.
    """
    parts: dict[str, dict[str, Tensor]] = {"net": {}, "average": {}, "optimiser": {}}
    with safe_open(path, "pt") as file:
        iteration = int(file.metadata()["iteration"])
        _must_be_of(settings, json.loads(file.metadata()["settings"]), iteration, path)
        for key in file.keys():  # noqa: SIM118 (not a dictionary)
            part, name = key.split("/", 1)
            parts[part][name] = file.get_tensor(key)
    net.load_state_dict(parts["net"])
    for name, value in average.items():
        value.copy_(parts["average"][name])
    state = optimiser.state_dict()
    for i, (name, _) in enumerate(net.named_parameters()):
        state["state"][i] = {
            k: parts["optimiser"][f"{name}/{k}"] for k in ("step", "exp_avg", "exp_avg_sq")
        }
    optimiser.load_state_dict(state)
    return iteration


def _must_be_of(settings: Settings, begun: dict[str, Any], iteration: int, path: Path) -> None:
    now = json.loads(json.dumps(asdict(settings)))
    changed = [key for key in now if key != "iterations" and now[key] != begun.get(key)]
    if changed:
        what = ", ".join(f"{key} {begun.get(key)}, now {now[key]}" for key in changed)
        raise RecipeError(
            f"{path} was begun with other settings ({what}): choose another folder with -o"
        )
    if iteration > settings.iterations:
        raise RecipeError(
            f"{path} holds {iteration} iterations already, more than {settings.iterations}"
        )
