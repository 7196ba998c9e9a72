"""The models of Kolev, Rodani et al. trained on our synthetic Si(001):H, and every table of theirs.

Run: python benchmarks/papers.py FOLDER [--full] [--minutes M] [--train-only] [--tasks restore x4]

Everything goes into FOLDER, and what is there already is gone on from: pairs, one folder for each
training, the evaluation with its report. By default it is what a processor can do in some hours:
the small networks, each for 600 batches of 8 crops of 64x64. --full trains those of their Table I
and two of ours as their settings have them, for up to 15,000 batches of 64 whole samples: 800 times
as much, which asks for an accelerator. --real and --clean name folders of real scans, to compare
with as sets.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from setting import command, heading

from scanmend.train import run

FULL = (
    *("autoencoder", "ddim-small", "ddim-large", "ddim-large-fft", "fm-small", "fm-large"),
    *("regression-small", "pmrf-small"),
)
ALSO = ("si001h", "median", "non-local means", "total variation", "line repair")
STEPS = {"fm": (2, 5, 10), "ddim": (5, 10), "pmrf": (1, 2, 3)}
SMALL: dict[str, dict[str, Any]] = {
    "autoencoder-small": {"net": "autoencoder-small"},
    **{name: {} for name in ("ddim-small", "ddim-small-fft", "fm-small")},
    **{name: {} for name in ("regression-small", "pmrf-small")},
}
CHEAP: dict[str, Any] = {
    "iterations": 600,
    "batch": 8,
    "crop": 64,
    "jitter": 0.0,
    "learning_rate": 1e-3,
    "average": 0.99,
    "warm_up": 50,
    "cool_down": 0.4,
    "validate_every": 200,
    "validation": 12,
    "patience": 0,
}


def trained(name: str, task: str, folder: Path, changes: dict[str, Any], **how: Any) -> Path:
    """The model file of a preset for a task, trained as far as it is not yet."""
    preset = name.removesuffix("-small") if name.startswith("autoencoder") else name
    settings = run.load(preset, {**changes, "task": task, "name": name})
    return Path(run.train(settings, folder / "runs" / f"{name}-{task}", **how)["model"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--tasks", nargs="+", default=["restore"])
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--minutes", type=float, help="for each training")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--count", type=int, default=200, help="pairs of each test set")
    parser.add_argument("--steps", type=int, help="only so many numbers of steps for each model")
    parser.add_argument("--real", help="a folder of degraded scans")
    parser.add_argument("--clean", help="a folder of clean scans")
    parser.add_argument("--train-only", action="store_true")
    options = parser.parse_args()
    folder, count = options.folder, options.count
    names = options.models or (FULL if options.full else tuple(SMALL))
    how = {"minutes": options.minutes, "workers": options.workers, "compiled": options.full}

    compared: list[str] = []
    for task in options.tasks:
        for name in names:
            changes = {} if options.full else {**CHEAP, **SMALL.get(name, {})}
            model = trained(name, task, folder, changes, **how)
            steps = ",".join(map(str, STEPS.get(name.split("-")[0], (1,))[: options.steps]))
            compared += ["-m", f"{model}@{steps}"]
    if options.train_only:
        return
    sets, found = folder / "pairs", folder / "evaluation"
    for task in options.tasks:
        counts = ("--train", 0, "--validation", 0, "--test", count, "--isolated", count // 4)
        command("pairs", "si001h", "-o", sets, "--task", task, *counts)
    real = ("--real", options.real, "--clean", options.clean) if options.real else ()
    also = [part for name in ALSO for part in ("-m", name)]
    command("evaluate", sets, *compared, *also, *real, "-o", found, "--overwrite")
    heading("The papers' tables, of our own training")
    print((found / "tables.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
