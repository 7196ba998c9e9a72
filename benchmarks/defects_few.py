"""What a few marked scans of one's own are worth: defects found after a model has seen 1, 5, 20.

Run: python benchmarks/defects_few.py FOLDER [--model defects-tmd] [--scans 1 5 20]

One's own scans are WSe2 with the electrons of one orbital, where the model learnt of eleven: the
same defects look otherwise. Judged are 40 others. FOLDER keeps what was made; a run that was
stopped goes on.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from pathlib import Path

import numpy as np
from setting import heading, table

import scanmend
from scanmend import models
from scanmend.defects.own import own
from scanmend.defects.scores import figures
from scanmend.stm import experiment, record
from scanmend.train import run
from scanmend.train.marked import Marked

TEST, SIDE, WIDTH_NM = 40, 96, 6.0
KINDS = ("chalcogen vacancy", "dopant")


def marked(folder: Path, count: int) -> list[Path]:
    """So many scans in files, each with a table of its defects beside it."""
    given = experiment.load("luzny-wse2-main").table()
    frame = {"rows": SIDE, "columns": SIDE, "width_nm": WIDTH_NM, "fast_axis": "x"}
    few = {kind: {"uniform": [0.02, 0.1]} for kind in KINDS}
    table = {**given, "frame": given["frame"] | frame, "defects_per_nm2": few}
    plan = experiment.parse("own", table)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{n:02}.nc" for n in range(count)]
    if not all(path.with_suffix(".csv").exists() for path in paths):
        for path, made in zip(paths, record.simulate(plan, count, seed=7), strict=True):
            scanmend.write(made.scan(), path, overwrite=True)
            places = [(d.kind, *d.trace[::-1]) for d in made.defects]
            inside = [p for p in places if 0 <= p[1] < SIDE - 1 and 0 <= p[2] < SIDE - 1]
            with path.with_suffix(".csv").open("w", newline="") as file:
                csv.writer(file).writerows([("class", "column", "row"), *inside])
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="defects-tmd")
    parser.add_argument("--scans", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    folder: Path = options.folder
    paths = marked(folder / "scans", TEST + max(options.scans))
    lesson = run.of_model(options.model).lesson
    assert isinstance(lesson, Marked)
    tables = [path.with_suffix(".csv") for path in paths]
    test = [own(path, lesson.mix, lesson.classes)[0][0] for path in tables[:TEST]]
    shown = np.stack([seen.image for seen in test])
    heading("Defects, learnt from a few marked scans", options.model)
    rows: list[tuple[str, ...]] = []
    for count in (0, *options.scans):
        model = models.load(options.model)
        if count:
            few = folder / f"own-{count}"
            few.mkdir(exist_ok=True)
            for path in paths[TEST : TEST + count]:
                shutil.copy(path, few)
                shutil.copy(path.with_suffix(".csv"), few)
            changes = {"marked": str(few), "iterations": options.iterations}
            plan = run.of_model(options.model, changes)
            made = run.train(plan, folder / f"with-{count}", workers=options.workers)
            model = models.load(made["model"])
        of = figures(model.network.batch(shown, 0.0), test, lesson.classes, lesson.mix.sigma_nm)
        each = (f"{of[f'f1_{kind}']:.3f}" for kind in KINDS)
        rows.append((str(count), f"{of['r2']:.3f}", f"{of['f1']:.3f}", *each))
    table(("own scans", "R²", "F1 at 0.3 nm", *KINDS), rows)


if __name__ == "__main__":
    main()
