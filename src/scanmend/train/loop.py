"""The training loop: interrupted at any moment, it goes on from its last checkpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ..generate.flow import FIRST_TIME, euler
from ..nets.swift import Layout, Swift
from ..objective.posterior_flow import flow_loss, mean_loss
from ..pairs.samples import sample
from . import checkpoint
from .settings import Settings

VALIDATION_SEED = 1_000_003
"""Validation samples have a seed that no settings file would choose by chance."""


def train(
    settings: Settings,
    folder: Path,
    *,
    workers: int = 1,
    save_every: int = 500,
    device: str = "cpu",
) -> Swift:
    """Trains until `settings.iterations`, and returns the network with its averaged weights.

    `folder` gets `checkpoint.safetensors` and `log.jsonl`; a checkpoint that is there already is
    gone on from. Batch k holds the samples number k·batch and on, and what else is random is drawn
    from (seed, k): on one machine, an interrupted training ends as an uninterrupted one.

    Raises:
        RecipeError: What is in `folder` was begun with other settings, or is further on already.
    """
    torch.manual_seed(settings.seed)
    net = _placed(build(settings), device)
    average = {k: v.clone() for k, v in net.state_dict().items()}
    optimiser = torch.optim.AdamW(net.parameters(), settings.learning_rate)
    state = folder / "checkpoint.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    start = checkpoint.load(state, settings, net, average, optimiser) if state.exists() else 0

    began = time.monotonic()
    for k, batch in enumerate(_batches(settings, start, workers, device), start):
        for group in optimiser.param_groups:
            group["lr"] = settings.rate(k)
        with _precision(device):
            loss, flow = _losses(net, settings, k, *batch)
        optimiser.zero_grad()
        (loss + flow).backward()
        norm = nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        optimiser.step()
        _follow(average, net, min(settings.average, (k + 1) / (k + 10)))

        done = k + 1
        if done % save_every == 0 or done == settings.iterations:
            entry = {
                "iteration": done,
                "loss": loss.item(),
                "flow": float(torch.as_tensor(flow).detach()),
                "norm": norm.item(),
                "seconds": round(time.monotonic() - began, 1),
                **validate(averaged(net, average), settings, device),
            }
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(entry) + "\n")
            print(json.dumps(entry), flush=True)
            checkpoint.save(state, settings, done, net, average, optimiser)
    return averaged(net, average)


def build(settings: Settings) -> Swift:
    """The untrained network of `settings`."""
    return Swift(Layout(settings.widths, settings.blocks, settings.middle, settings.stem))


def averaged(net: Swift, average: dict[str, Tensor]) -> Swift:
    """A copy of `net` with the averaged weights, for use."""
    copy = Swift(net.layout)
    copy.load_state_dict(average)
    return _placed(copy, next(net.parameters()).device).eval()


@torch.no_grad()
def validate(net: Swift, settings: Settings, device: str, count: int = 48) -> dict[str, float]:
    """PSNR on samples never trained on, dB: of what goes in, of the mean, and after 3 flow calls.

    One figure for each factor, `input_x4`, `mean_x4` and so on; the peak is each target's range.
    """
    figures: dict[str, float] = {}
    for factor in settings.mix.factors:
        mix = replace(settings.mix, factors=(factor,), factor_shares=(1.0,))
        batch = [sample(settings.surface, mix, VALIDATION_SEED, i) for i in range(count)]
        known, mask, target = (x.to(device) for x in _stack(batch))
        mean = known + net(torch.cat([known, known, mask], 1), known.new_zeros(count))[:, :1]

        def predict(x: Tensor, t: float, mean: Tensor = mean, mask: Tensor = mask) -> Tensor:
            times = x.new_full((count,), max(t, FIRST_TIME))
            return mean + net(torch.cat([x, mean, mask], 1), times)[:, :1]

        noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0)).to(device)
        drawn = euler(predict, mean + settings.flow_noise * noise, 3)
        for name, image in {"input": known, "mean": mean, "flow": drawn}.items():
            figures[f"{name}_x{factor}"] = round(_psnr(image, target), 2)
    return figures


class _Samples(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """The samples numbered `start` to `stop`."""

    def __init__(self, settings: Settings, start: int, stop: int) -> None:
        self.settings, self.start, self.stop = settings, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        s = self.settings
        one = sample(s.surface, s.mix, s.seed, self.start + index)
        return tuple(torch.from_numpy(x)[None] for x in (one.known, one.mask, one.target))  # type: ignore[return-value]


def _batches(
    settings: Settings, start: int, workers: int, device: str
) -> Iterator[tuple[Tensor, ...]]:
    samples = _Samples(settings, start * settings.batch, settings.iterations * settings.batch)
    loader = DataLoader(
        samples, settings.batch, num_workers=workers, prefetch_factor=8 if workers else None
    )
    for batch in loader:
        yield tuple(x.to(device, memory_format=torch.channels_last) for x in batch)


def _losses(
    net: Swift, settings: Settings, k: int, known: Tensor, mask: Tensor, target: Tensor
) -> tuple[Tensor, Tensor | float]:
    loss, mean = mean_loss(net, known, mask, target)
    if k < settings.flow_from * settings.iterations:
        return loss, 0.0
    few = slice(0, max(1, round(settings.flow_share * len(known))))
    generator = torch.Generator().manual_seed(settings.seed * 1_000_000_007 + k)
    flow = flow_loss(net, mean[few], mask[few], target[few], settings.flow_noise, generator)
    return loss, settings.flow_share * 2 * flow


def _placed(net: Swift, device: str | torch.device) -> Swift:
    # In two steps, because the types of torch know only one at a time.
    return net.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _precision(device: str):
    """bfloat16 where the processor multiplies it; where it does not, it would be slower."""
    fast = device == "cuda" or "avx512_bf16" in _cpu_flags()
    return torch.autocast(device, torch.bfloat16) if fast else nullcontext()


@cache
def _cpu_flags() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


def _follow(average: dict[str, Tensor], net: nn.Module, decay: float) -> None:
    for name, value in net.state_dict().items():
        average[name].lerp_(value, 1 - decay)


def _stack(batch: list) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(  # type: ignore[return-value]
        torch.stack([torch.from_numpy(getattr(s, name))[None] for s in batch])
        for name in ("known", "mask", "target")
    )


def _psnr(image: Tensor, target: Tensor) -> float:
    # Errors are averaged before the logarithm: undamaged samples have a PSNR of infinity.
    error = image - target
    error = error - error.flatten(1).median(dim=1).values[:, None, None, None]
    span = target.flatten(1).max(1).values - target.flatten(1).min(1).values
    return float(-10 * torch.log10((error.pow(2).flatten(1).mean(1) / span**2).mean()))
