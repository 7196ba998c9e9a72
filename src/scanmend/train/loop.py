"""The training loop: interrupted at any moment, it goes on from its last checkpoint."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from ..errors import TrainingError
from . import checkpoint
from .learner import Learner
from .log import Log
from .processes import Processes
from .settings import Settings


def train(
    settings: Settings,
    folder: Path,
    *,
    workers: int = 1,
    device: str | None = None,
    minutes: float | None = None,
    compiled: bool = False,
) -> tuple[nn.Module, checkpoint.Progress]:
    """Trains until `settings.iterations`, or until it gets no better.

    `folder` gets `checkpoint.safetensors`, `best.safetensors` and `log.jsonl`, and events for
    TensorBoard if that is installed; a checkpoint that is there already is gone on from. Batch k
    holds the samples number k·batch and on, and each has its own random numbers: on one machine,
    an interrupted training ends as an uninterrupted one, and several processes, begun by
    `torchrun`, share each batch and have the losses that one would.

    Args:
        settings: What to train.
        folder: Where to.
        workers: Processes that make samples, of each process that trains.
        device: "cpu" or "cuda"; by default the latter where there is one.
        minutes: When to stop all the same; the checkpoint is kept.
        compiled: Whether torch compiles the network: minutes at first, quicker then.

    Returns:
        The network with its averaged weights, the best or the last ones, and how far it is.

    Raises:
        TrainingError: What is in `folder` was begun with other settings or is further on already;
            a batch cannot be shared by the processes; a loss is not finite.
        WriteError: The disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, best = folder / "checkpoint.safetensors", folder / "best.safetensors"
    with Processes.joined(device) as processes:
        begun = path.exists()
        learner = Learner(settings, processes, workers, compiled, fresh=not begun)
        state = (learner.net, learner.average, learner.optimiser)
        progress = checkpoint.Progress(started_from=learner.started_from)
        if begun:
            progress = checkpoint.load(path, settings, *state)
        began, start, before = time.monotonic(), progress.iteration, progress.seconds
        stop = start if _hopeless(settings, progress) else settings.iterations
        with Log(folder, start, processes.first) as log:
            since = torch.zeros(2, device=processes.device)  # sum of losses, batches
            for k, batch in enumerate(learner.batches(start, stop), start):
                try:
                    loss, norm = learner.step(k, batch, settings.rate(k))
                except TrainingError as error:
                    raise TrainingError(f"{error}: {_advice(path)}") from None
                since += torch.stack([loss, torch.ones_like(loss)])
                seconds = time.monotonic() - began
                progress.iteration, progress.seconds = k + 1, before + seconds
                late = minutes is not None and bool(processes.told(int(seconds > 60 * minutes)))
                due = progress.iteration % settings.validate_every == 0
                if not (due or late or progress.iteration == settings.iterations):
                    continue
                if processes.first:
                    figures = settings.lesson.validate(learner.averaged())
                    if figures[settings.lesson.score] > progress.best:
                        progress.best = figures[settings.lesson.score]
                        progress.since_best = 0
                        checkpoint.save_weights(best, learner.average)
                    else:
                        progress.since_best += 1
                    done = {"iteration": progress.iteration, "seconds": progress.seconds}
                    mean = (since[0] / since[1]).item()
                    entry = {"loss": mean, "rate": settings.rate(k), "norm": norm.item()}
                    log.write({**done, **entry, **figures})
                    checkpoint.save(path, settings, progress, *state)
                since.zero_()
                progress.since_best = processes.told(progress.since_best)
                if late or _hopeless(settings, progress):
                    break
        # Another process may be on a machine that does not see the file.
        kept = load_file(best) if settings.patience and processes.first else None
        return learner.averaged(kept), progress


def _hopeless(settings: Settings, progress: checkpoint.Progress) -> bool:
    return 0 < settings.patience <= progress.since_best


def _advice(path: Path) -> str:
    if not path.exists():
        return "nothing was kept yet; try a lower learning_rate"
    return f"{path}, of an earlier batch, is kept: go on from it with a lower learning_rate"
