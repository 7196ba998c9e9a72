"""Which network, and which way from a degraded image to a clean one, at equal compute?

Run: python benchmarks/methods.py FOLDER [--seconds S] [--only NAME ...] [--beside MODEL ...]

Each is trained for as many seconds of one processor thread, on the same pairs: simulated Si(001):H
with the damage of Kolev, Rodani et al., in crops of 64x64. FOLDER keeps what was made; a run that
was stopped goes on. --beside names further models to compare with, as `scanmend evaluate` has them.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from setting import command, heading

from scanmend.generate import FlowMatching, Method, PosteriorFlow, Regression
from scanmend.train import run
from scanmend.train.learner import Learner
from scanmend.train.paired import Paired
from scanmend.train.processes import Processes
from scanmend.train.settings import Settings

CALLS = "1,2,3,4"
MEAN = Regression("l1", residual=True)
CASES: dict[str, tuple[str, Method, str]] = {
    "swift": ("swift", MEAN, "1"),
    "wide": ("swift-wide", MEAN, "1"),
    "stem4": ("swift-4x", MEAN, "1"),
    "stem4-deep": ("swift-4x-deep", MEAN, "1"),
    "flow": ("swift", FlowMatching("euler"), CALLS),
    "flow-from-measured": ("swift", FlowMatching("euler", around=0.1), CALLS),
    "mean-and-flow": ("swift", PosteriorFlow(0.1), CALLS),
}
"""By name: the network, what it learns, and in how many calls it is judged."""


def planned(name: str, folder: Path, seconds: float) -> Settings:
    """As many batches as fit into `seconds`, by what one takes here; the same in a later run."""
    net, method, _ = CASES[name]
    lesson = Paired(net, method, stored=str(folder / "pairs"), jitter=0.0, crop=64, validation=12)
    how = {"batch": 16, "learning_rate": 1e-3, "warm_up": 50, "cool_down": 0.4, "average": 0.99}
    settings = Settings(name, lesson, **how)
    path = folder / name / "plan.json"
    if not path.exists():
        learner = Learner(settings, Processes(0, 1, torch.device("cpu")))
        batch = next(iter(learner.batches(0, 1)))
        taken = []
        for _ in range(5):
            start = time.process_time()
            learner.step(0, batch, 0.0)
            taken.append(time.process_time() - start)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"iterations": round(seconds / min(taken))}))
    count = json.loads(path.read_text())["iterations"]
    return replace(settings, iterations=count, validate_every=-(-count // 4))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=850)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--count", type=int, default=80, help="pairs to compare by")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--beside", nargs="+", default=[])
    parser.add_argument("--train-only", action="store_true")
    options = parser.parse_args()
    folder = options.folder
    torch.set_num_threads(1)
    counts = ("--train", options.pairs, "--validation", 12, "--test", options.count)
    made = ("--task", "restore", *counts, "--isolated", 0)
    command("pairs", "si001h", "-o", folder / "pairs", *made)
    compared = []
    for name in options.only:
        settings = planned(name, folder, options.seconds)
        model = run.train(settings, folder / name, workers=0)["model"]
        compared += ["-m", f"{model}@{CASES[name][2]}"]
    if options.train_only:
        return
    compared += [part for model in options.beside for part in ("-m", model)]
    command("evaluate", folder / "pairs", *compared, "-o", folder / "compared", "--overwrite")
    heading("Networks and methods, at equal compute")
    print((folder / "compared" / "tables.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
