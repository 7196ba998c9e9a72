"""How many samples a second each network of the papers learns from: plainly, and as we train it.

Run: python benchmarks/training.py [NAME ...] [--seconds S] [--compile]   (nothing else should run)

"plain" is PyTorch as its tutorials have it: weights in the usual order of memory, AdamW weight by
weight, an average kept weight by weight. "ours" is `scanmend.train`: channels last, one fused
kernel for AdamW, bfloat16 where the processor multiplies it. "compiled" is that with --compile.
Each figure is the best of several batches, taken in turns with the others of its line.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from setting import heading, table
from torch import nn

from scanmend.train.learner import Learner
from scanmend.train.processes import Processes
from scanmend.train.settings import Settings, load

NAMES = ("fm-small", "fm-large", "ddim-small", "ddim-large-fft", "autoencoder", "pmrf-small")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BATCH = 64 if DEVICE == "cuda" else 4


def plain(settings: Settings) -> Callable[[list], None]:
    """A step of a training as one would write it first."""
    net = settings.lesson.network().to(DEVICE)
    average = {k: v.clone() for k, v in net.state_dict().items()}
    optimiser = torch.optim.AdamW(net.parameters(), settings.learning_rate, foreach=False)

    def step(batch: list) -> None:
        loss = settings.lesson.losses(net, [x.contiguous() for x in batch], 0.0).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
        optimiser.step()
        for name, value in net.state_dict().items():
            average[name].lerp_(value, 1e-3)

    return step


def ours(settings: Settings, compiled: bool = False) -> tuple[Learner, Callable[[list], None]]:
    learner = Learner(settings, Processes(0, 1, torch.device(DEVICE)), compiled=compiled)
    return learner, lambda batch: learner.step(0, batch, settings.learning_rate)


def seconds(step: Callable[[list], None], batch: list) -> float:
    """Of one step."""
    begun = time.perf_counter()
    step(batch)
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def shared(processes: int, folder: Path, text: str) -> float:
    """Seconds for a training of 8 batches by so many processes, one thread each."""
    path = folder / "shared.toml"
    path.write_text(text)
    begin = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    run = ["-m", "scanmend", "train", str(path), "-o", str(folder / str(processes))]
    command = [sys.executable, *begin, *run, "--workers", "0", "--threads", "1"]
    subprocess.run(command, check=True, capture_output=True)
    log = (folder / str(processes) / "log.jsonl").read_text()
    return float(log.split('"seconds": ')[1].split(",")[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=NAMES, help="settings")
    parser.add_argument("--seconds", type=float, default=12, help="for each figure")
    parser.add_argument("--compile", action="store_true", help="the third column as well")
    options = parser.parse_args()

    heading("Training: samples of 128x128 a second")
    where = (
        torch.cuda.get_device_name() if DEVICE == "cuda" else f"{torch.get_num_threads()} threads"
    )
    print(f"PyTorch {torch.__version__}, {where}, batches of {BATCH}, samples made beforehand.\n")
    rows = []
    for name in options.names:
        settings = replace(load(name), batch=BATCH)
        learner, step = ours(settings)
        batch = list(next(learner.batches(0, 1)))
        steps = {"plain": plain(settings), "ours": step}
        if options.compile:
            steps["compiled"] = ours(settings, compiled=True)[1]
        taken = {kind: [seconds(step, batch)] for kind, step in steps.items()}  # warm up
        begun = time.perf_counter()
        while time.perf_counter() - begun < options.seconds * len(steps):
            for kind, step in steps.items():
                taken[kind].append(seconds(step, batch))
        best = {kind: min(times[1:]) for kind, times in taken.items()}
        ratio = best["plain"] / min(best.values())
        rows.append([name, *(f"{BATCH / s:.2f}" for s in best.values()), f"{ratio:.2f}"])
    table(["settings", *steps, "gain"], rows)

    if DEVICE == "cpu":
        text = (
            "iterations = 8\nbatch = 4\nvalidate_every = 8\n[paired]\nvalidation = 1\nsteps = 1\n"
        )
        with tempfile.TemporaryDirectory() as folder:
            one, two = (shared(n, Path(folder), text) for n in (1, 2))
        print(f"FM Small, two processes of one thread against one: {one / two:.2f} times as fast.")


if __name__ == "__main__":
    main()
