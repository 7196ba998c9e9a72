"""Lužný's experiment: networks that learnt of distorted scans, and of scans with noise only.

Run: python benchmarks/defects_luzny.py MAIN.onnx CONTROL.onnx [--scans 512]

Both are judged on both kinds of scans, which the source did not do, and on what it left out:
several orbitals, defects of tungsten, double tips. The first two kinds have the same surfaces.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

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
SOURCE = {  # of its own validation set; R2 from the variance that it gives
    "main": ("all distortions", 0.0173, 0.00864, 0.07096),
    "control": ("noise only", 0.0137, 0.00686, 0.07096),
}


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
    for kind, experiment in KINDS.items():
        mix = replace(lesson.mix, experiments=(experiment,))
        scans = [sample(mix, SEED, number) for number in range(options.scans)]
        shown = np.stack([seen.image for seen in scans])
        for name, path in (("main", options.main), ("control", options.control)):
            network = models.load(path).network
            batches = np.split(shown, range(32, len(shown), 32))
            found = np.concatenate([network.batch(batch, 0.0) for batch in batches])
            of = figures(found, scans, mix.classes, mix.sigma_nm)
            told = f"{of['mse']:.4f}", f"{of['smooth_l1']:.5f}", f"{of['variance']:.4f}"
            rows.append((name, kind, *told, f"{of['r2']:.3f}", f"{of['f1']:.3f}"))
    head = ("network", "judged on", "MSE", "smooth L1", "variance", "R²", "F1 at 0.3 nm")
    table(head, rows)


if __name__ == "__main__":
    main()
