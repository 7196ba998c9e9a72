"""A training from its settings to its model file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from .. import curves
from ..engine import processor
from ..errors import TrainingError
from ..io.write import whole
from .export import export
from .loop import train as train_network
from .processes import count, rank
from .rate import find_rate as find
from .settings import Settings, load, of_model

__all__ = ["find_rate", "load", "of_model", "train", "use_threads"]


def use_threads(count: int) -> None:
    """Has this process compute with so many threads."""
    torch.set_num_threads(count)


def train(settings: Settings, folder: Path, **how: Any) -> dict[str, Any]:
    """Trains as `loop.train` does, then writes the model file, and a plot of the run.

    Raises:
        TrainingError: The model file would replace the one to begin with; or as `loop.train`.

    Returns:
        The files, and figures of the network in the model file; nothing, if another process
        writes them.
    """
    target = folder / f"{settings.name}.onnx"
    start = Path(settings.start)
    if target.exists() and start.exists() and target.samefile(start):
        raise TrainingError(f"{target} is the model to begin with: choose another name or folder")
    net, progress = train_network(settings, folder, **how)
    if rank() > 0:
        return {}
    figures = settings.lesson.validate(net.cpu())
    facts: dict[str, Any] = {
        "iterations": progress.iteration,
        "samples": progress.iteration * settings.batch,
        "training_s": round(progress.seconds),
        "machine": _machine(),
        "validation": figures,
    }
    if progress.started_from:
        facts["started_from"] = progress.started_from
    model = export(net, settings, target, facts)
    shown = dict.fromkeys(("loss", "psnr_dB", "ssim", settings.lesson.score, "rate"))
    plot = _drawn(curves.training([folder], tuple(shown)), folder / "run.png")
    return {"model": str(model), "plot": str(plot), **figures}


def find_rate(settings: Settings, folder: Path, **how: Any) -> dict[str, Any]:
    """Does what `rate.find_rate` does, and draws it.

    Returns:
        The rate, and the plot; nothing, if another process tells them.
    """
    best = find(settings, folder, **how)
    if rank() > 0:
        return {}
    plot = _drawn(curves.rate_range(folder / "rates.jsonl", best), folder / "rates.png")
    return {"learning_rate": float(f"{best:.2g}"), "plot": str(plot)}


def _machine() -> str:
    """What it was trained on at last."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{processor()}, {count() * torch.get_num_threads()} threads"


def _drawn(figure: Any, path: Path) -> Path:
    with whole(path, overwrite=True) as unfinished:
        figure.savefig(unfinished)
    return path
