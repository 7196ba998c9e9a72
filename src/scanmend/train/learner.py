"""A network that learns, batch by batch, in one of the processes that share the work."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import nullcontext

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from .. import models
from ..engine.machine import abilities
from ..errors import TrainingError
from .lesson import Adapts, Sampler
from .processes import Processes
from .settings import Settings


class Learner:
    """A network, the running average of its weights, and their optimiser.

    Args:
        settings: What to train.
        processes: Who shares each batch.
        workers: Processes that make samples, for this one.
        compiled: Whether torch compiles the network: minutes at first, quicker then.
        fresh: Whether it begins, with the weights of `settings.start` if that is given.

    Attributes:
        started_from: Name and hash of the model whose weights it began with; None if with none.

    Raises:
        TrainingError: A batch cannot be shared by that many, or the weights to begin with are of
            another network.
        ModelError: There is no model to begin with.
    """

    def __init__(
        self,
        settings: Settings,
        processes: Processes,
        workers: int = 0,
        compiled: bool = False,
        *,
        fresh: bool = True,
    ) -> None:
        if settings.batch % processes.count:
            raise TrainingError(
                f"a batch of {settings.batch} cannot be shared by {processes.count} processes: "
                "choose a multiple"
            )
        torch.manual_seed(settings.seed)
        self.settings, self.processes, self.workers = settings, processes, workers
        net = settings.lesson.network()
        self.started_from = _begin(net, settings) if settings.start and fresh else None
        self.net = placed(net, processes.device)
        self.average = {k: v.clone() for k, v in self.net.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.net.parameters(), fused=True)
        if compiled:
            self.net.compile()
        self._called = DistributedDataParallel(self.net) if processes.count > 1 else self.net

    def batches(self, start: int, stop: int) -> Iterator[tuple[Tensor, ...]]:
        """Of those numbered `start` to `stop`, this process's share."""
        settings, device = self.settings, self.processes.device
        loader = DataLoader(
            _Samples(settings.lesson.sampler(settings.seed)),
            batch_sampler=[self.numbers(k) for k in range(start, stop)],  # type: ignore[arg-type]
            num_workers=self.workers,
            prefetch_factor=8 if self.workers else None,
            pin_memory=device.type == "cuda",
        )
        for batch in loader:
            yield tuple(_moved(array, device) for array in batch)

    def numbers(self, k: int) -> range:
        """Of the samples of batch k, those that are this process's."""
        share = self.settings.batch // self.processes.count
        start = k * self.settings.batch + self.processes.rank * share
        return range(start, start + share)

    def step(self, k: int, batch: tuple[Tensor, ...], rate: float) -> tuple[Tensor, Tensor]:
        """Learns from batch k; its loss, and the norm of its gradient.

        Raises:
            TrainingError: One of the two is not finite; nothing was learnt then.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        settings = self.settings
        with precision(self.processes.device):
            losses = settings.lesson.losses(self._called, batch, k / settings.iterations)
        finite = bool(losses.isfinite().all())
        if not self.processes.all(finite):
            if finite:
                raise TrainingError(f"another process's loss of batch {k} is not finite")
            row = int((~losses.isfinite()).nonzero()[0])
            raise TrainingError(
                f"the loss of sample {self.numbers(k)[row]} (batch {k}, seed {settings.seed}) is "
                f"{losses[row].item()}"
            )
        self.optimiser.zero_grad(set_to_none=True)
        losses.mean().backward()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), settings.clip)
        if not norm.isfinite():
            raise TrainingError(f"the gradient of batch {k} is {norm.item()}")
        self.optimiser.step()
        values, decay = self.net.state_dict(), min(settings.average, (k + 1) / (k + 10))
        follow = get_ema_multi_avg_fn(decay)
        follow(list(self.average.values()), [values[name] for name in self.average], k)
        return self.processes.mean(losses.detach().mean()), norm

    def averaged(self, weights: dict[str, Tensor] | None = None) -> nn.Module:
        """A copy of the network for use: with the averaged weights, or with others."""
        net = copy.deepcopy(self.net)
        net.load_state_dict(self.average if weights is None else weights)
        return net.eval()


def placed(net: nn.Module, device: str | torch.device) -> nn.Module:
    """`net` on a device, its weights in the order of memory that convolutions are quickest in."""
    # In two steps, because the types of torch know only one at a time.
    return net.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def precision(device: torch.device):
    """bfloat16 where the processor multiplies it; where it does not, it would be slower."""
    fast = device.type == "cuda" or "avx512_bf16" in abilities()
    return torch.autocast(device.type, torch.bfloat16) if fast else nullcontext()


def _begin(net: nn.Module, settings: Settings) -> dict[str, str]:
    """Gives `net` the weights of a model; how it takes what only `net` is told stays as it is."""
    model = models.load(settings.start)
    alike = model.card.get("told") == list(getattr(settings.lesson, "TOLD", ()))
    graph = onnx.load(model.path).graph
    stored = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    # Of several equal weights, as an untrained network has them, the exporter stores one.
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in stored:
            stored[node.output[0]] = stored[node.input[0]]
    if isinstance(settings.lesson, Adapts):
        stored = settings.lesson.adapted(stored, model.card)
    weights = net.state_dict()
    for name, value in weights.items():
        if name.startswith("told.") and not alike:
            continue
        found = stored.get(name)
        if found is None or found.shape != value.shape:
            size = "missing" if found is None else f"of shape {found.shape}"
            raise TrainingError(
                f"{model.name} is of another network: its {name} is {size}, not "
                f"{tuple(value.shape)}"
            )
        value.copy_(torch.from_numpy(found.copy()))
    return {"name": model.name, "sha256": model.sha256}


class _Samples(Dataset[tuple[Tensor, ...]]):
    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(array) for array in self.sampler(number))


def _moved(array: Tensor, device: torch.device) -> Tensor:
    order = torch.channels_last if array.ndim == 4 else torch.preserve_format
    return array.to(device, non_blocking=True, memory_format=order)
