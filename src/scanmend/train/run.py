"""A training from its settings to its model file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import curves
from ..engine import processor, quantised
from ..errors import TrainingError
from ..io.write import whole
from ..pairs.samples import Sample
from .counted import Counted
from .export import export
from .loop import train as train_network
from .marked import Marked
from .mixed import Mixed
from .processes import count, rank
from .quantise import MOST, cost, leave_out, quantise
from .rate import find_rate as find
from .settings import Settings, load, of_model

__all__ = ["find_rate", "load", "of_model", "train", "use_threads"]


_CALIBRATED, _CALIBRATION_SEED = 160, 1


def use_threads(count: int) -> None:
    """Has this process compute with so many threads."""
    torch.set_num_threads(count)


def train(settings: Settings, folder: Path, *, int8: bool = False, **how: Any) -> dict[str, Any]:
    """Trains as `loop.train` does, then writes the model file, and a plot of the run.

    Args:
        settings: What to train.
        folder: For all that is written.
        int8: Whether to write a model of 8 bits beside it, if that is nearly as exact.
        how: As for `loop.train`.

    Raises:
        TrainingError: The model file would replace the one to begin with, or is of a kind that is
            not written in 8 bits; or as `loop.train`.

    Returns:
        The files, and figures of the network in the model file; nothing, if another process
        writes them.
    """
    target = folder / f"{settings.name}.onnx"
    start = Path(settings.start)
    if target.exists() and start.exists() and target.samefile(start):
        raise TrainingError(f"{target} is the model to begin with: choose another name or folder")
    lesson = settings.lesson
    if int8 and not isinstance(lesson, Mixed | Counted):
        what = "finds defects" if isinstance(lesson, Marked) else "is run by a method of its own"
        raise TrainingError(f"{settings.name} {what}, and not written in 8 bits: leave out --int8")
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
    written = {"model": str(model), "plot": str(plot), **figures}
    return written | (
        of_8_bits(model, lesson) if int8 and isinstance(lesson, Mixed | Counted) else {}
    )


def of_8_bits(path: Path, lesson: Mixed | Counted) -> dict[str, Any]:
    """Writes the model of 8 bits beside the one at `path`, if it is nearly as exact.

    What it is told, and is not as good at, it leaves to single precision: ghosts, for example.

    Returns:
        The file, and what it costs at most in what it does, dB and SSIM.
    """
    learnt = map(lesson.sampler(_CALIBRATION_SEED), range(_CALIBRATED))
    samples = [
        Sample(known[0], mask[0], target[0], told, raw=known[1] if len(known) > 1 else None)
        for known, mask, target, told, *_ in learnt
    ]
    small = quantise(path, quantised(path), samples)
    each = {case: cost(path, held_out) for case, held_out in lesson.held_out.items()}
    dear = [case for case, costs in each.items() if any(np.array(costs) > MOST)]
    left_out = [case for case in dear if case in lesson.TOLD]
    done = [costs for case, costs in each.items() if case not in left_out]
    dB, ssim = (max(found) for found in zip(*done, strict=True))
    facts: dict[str, Any] = {"int8_costs_dB": round(dB, 3), "int8_costs_ssim": round(ssim, 4)}
    if dear != left_out:
        small.unlink()
        return {"int8": "none: it costs too much", **facts}
    if left_out:
        leave_out(small, left_out)
        facts["int8_leaves_out"] = left_out
    return {"int8": str(small), **facts}


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
