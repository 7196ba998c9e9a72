"""The state of a training on disk: whole or absent, and nothing to unpickle."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import TrainingError
from ..io.write import whole
from .settings import Settings


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        iteration: Batches that were trained on.
        best: The best score of a validation so far.
        since_best: Validations since then.
        seconds: What it took, all runs together.
        started_from: Name and hash of the model whose weights it began with, if with any.
    """

    iteration: int = 0
    best: float = -math.inf
    since_best: int = 0
    seconds: float = 0.0
    started_from: dict[str, str] | None = None


def save(
    path: Path,
    settings: Settings,
    progress: Progress,
    net: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
) -> None:
    """Writes weights, their running average and the optimiser's state.

    Raises:
        WriteError: It cannot be written; what was there is kept.
    """
    tensors = {f"net/{k}": v for k, v in net.state_dict().items()}
    tensors |= {f"average/{k}": v for k, v in average.items()}
    names = [name for name, _ in net.named_parameters()]
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{names[i]}/{k}": v for k, v in state.items()}
    about = {"progress": json.dumps(asdict(progress)), "settings": json.dumps(_all(settings))}
    _write(path, tensors, about)


def save_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Writes weights alone, in place of what is there.

    Raises:
        WriteError: They cannot be written; what was there is kept.
    """
    _write(path, weights, {})


def load(
    path: Path,
    settings: Settings,
    net: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
) -> Progress:
    """Restores what `save` wrote.

    Raises:
        TrainingError: It is damaged, of another network, was begun with other settings, but for
            `iterations`, or is further on.
    """
    parts: dict[str, dict[str, Tensor]] = {"net": {}, "average": {}, "optimiser": {}}
    try:
        with safe_open(path, "pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            begun = json.loads(file.metadata()["settings"])
            for key in file.keys():  # noqa: SIM118 (not a dictionary)
                part, name = key.split("/", 1)
                parts[part][name] = file.get_tensor(key)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise TrainingError(f"{path} is no checkpoint, or damaged ({error}): delete it") from None
    _must_be_of(settings, begun, progress, path)
    there = {name: value.shape for name, value in parts["net"].items()}
    wanted = {name: value.shape for name, value in net.state_dict().items()}
    if there != wanted:
        name = next(n for n in (*wanted, *there) if there.get(n) != wanted.get(n))
        raise TrainingError(
            f"{path} is of another network: {name} is {_shape(there.get(name))}, not "
            f"{_shape(wanted.get(name))}"
        )
    net.load_state_dict(parts["net"])
    for name, value in average.items():
        value.copy_(parts["average"][name])
    state = optimiser.state_dict()
    for i, (name, weights) in enumerate(net.named_parameters()):
        found = {k: parts["optimiser"][f"{name}/{k}"] for k in ("step", "exp_avg", "exp_avg_sq")}
        # In the weights' order of memory: a fused optimiser walks through both as they lie there.
        state["state"][i] = {
            k: v if v.ndim == 0 else torch.empty_like(weights).copy_(v) for k, v in found.items()
        }
    optimiser.load_state_dict(state)
    return progress


def _write(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    # Contiguous copies: safetensors takes neither channels-last nor shared memory.
    copies = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    with whole(path, overwrite=True) as unfinished:
        try:
            save_file(copies, unfinished, metadata=about)
        except SafetensorError as error:  # a full disk, among others
            raise OSError(str(error)) from error


def _must_be_of(settings: Settings, begun: dict[str, Any], progress: Progress, path: Path) -> None:
    changed = list(_changes(begun, json.loads(json.dumps(_all(settings)))))
    if changed:
        raise TrainingError(
            f"{path} was begun with other settings ({'; '.join(changed)}): choose another folder "
            "with -o"
        )
    if progress.iteration > settings.iterations:
        raise TrainingError(
            f"{path} holds {progress.iteration} iterations already, more than {settings.iterations}"
        )


def _all(settings: Settings) -> dict[str, Any]:
    """What decides what comes out: a folder's name does not tell what is in it."""
    return {**settings.table(), "data": settings.lesson.data()}


def _changes(old: dict[str, Any], new: dict[str, Any], where: str = "") -> Iterator[str]:
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            yield from _changes(old[key], value, f"{where}{key}.")
        elif isinstance(value, dict):
            yield f"without a table {where}{key}"
        elif key != "iterations" and value != old.get(key):
            old_text, text = (str(v)[:60] for v in (old.get(key), value))
            yield f"{where}{key} {old_text}, now {text}"


def _shape(shape: Any) -> str:
    return "absent" if shape is None else str(tuple(shape))
