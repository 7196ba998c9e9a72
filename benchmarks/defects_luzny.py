"""Lužný's experiment: networks that learnt of distorted scans, and of scans with noise only.

Run: python benchmarks/defects_luzny.py MAIN.onnx CONTROL.onnx [--scans 512]

Both are judged on both kinds of scans, which the source did not do, and on what it left out:
several orbitals, defects of tungsten, double tips. The first two kinds have the same surfaces. The
others are the first under one condition each, of those that are drawn for it.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
from setting import heading, table

from scanmend import models
from scanmend.defects.samples import sample
from scanmend.defects.scores import figures
from scanmend.train.marked import Marked
from scanmend.train.settings import load

SEED = 2_000_003
KINDS = {
    "all distortions": "luzny-wse2-main",
    "noise only": "luzny-wse2-control",
    "what was left out": "wse2",
}
CONDITIONS = {
    "sharp (001) tip": {"shape": '"W(001)"', "dulled": "0"},
    "tip dulled by three layers": {"dulled": "3"},
    "at -1.2 V": {"bias_V": "-1.2"},
    "at -2 V": {"bias_V": "-2.0"},
    "vacancies alone": {"dopant": "0"},
    "dopants alone": {'"chalcogen vacancy"': "0"},
    "least noise": {"amplifier_nA": "0.0005", "flicker": "0"},
    "most noise": {"amplifier_nA": "0.005", "flicker": "0.05"},
}
SOURCE = {  # of its own validation set; R2 from the variance that it gives
    "main": ("all distortions", 0.0173, 0.00864, 0.07096),
    "control": ("noise only", 0.0137, 0.00686, 0.07096),
}


def conditions(folder: Path) -> dict[str, str]:
    """Files of the scans with all distortions, under each condition."""
    text = (resources.files("scanmend.stm") / "presets/luzny-wse2-main.toml").read_text("utf-8")
    made = {}
    for number, (name, fixed) in enumerate(CONDITIONS.items()):
        plan = text
        for key, value in fixed.items():
            plan, times = re.subn(f"(?m)^{key} = .*", f"{key} = {value}", plan)
            assert times == 1, f"{key} is there {times} times"
        path = folder / f"{number}.toml"
        path.write_text(plan, "utf-8")
        made[f"all distortions, {name}"] = str(path)
    return made


def judged(
    options: argparse.Namespace, lesson: Marked, kinds: dict[str, str]
) -> Iterator[tuple[str, ...]]:
    """Rows of the table: either network on every kind of scans."""
    for kind, experiment in kinds.items():
        mix = replace(lesson.mix, experiments=(experiment,))
        scans = [sample(mix, SEED, number) for number in range(options.scans)]
        shown = np.stack([seen.image for seen in scans])
        for name, path in (("main", options.main), ("control", options.control)):
            network = models.load(path).network
            batches = np.split(shown, range(32, len(shown), 32))
            found = np.concatenate([network.batch(batch, 0.0) for batch in batches])
            of = figures(found, scans, mix.classes, mix.sigma_nm)
            told = f"{of['mse']:.4f}", f"{of['smooth_l1']:.5f}", f"{of['variance']:.4f}"
            yield name, kind, *told, f"{of['r2']:.3f}", f"{of['f1']:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("main")
    parser.add_argument("control")
    parser.add_argument("--scans", type=int, default=512)
    options = parser.parse_args()
    lesson = load("luzny-main").lesson
    assert isinstance(lesson, Marked)
    heading("Defects of WSe2")
    rows: list[tuple[str, ...]] = []
    for name, (kind, mse, smooth, variance) in SOURCE.items():
        told = f"{mse:.4f}", f"{smooth:.5f}", f"{variance:.4f}", f"{1 - mse / variance:.3f}", "-"
        rows.append((f"{name}, of the source", kind, *told))
    with tempfile.TemporaryDirectory() as folder:
        rows += judged(options, lesson, KINDS | conditions(Path(folder)))
    head = ("network", "judged on", "MSE", "smooth L1", "variance", "R²", "F1 at 0.3 nm")
    table(head, rows)


if __name__ == "__main__":
    main()
