"""What a few clean scans of one's own are worth: a model before and after it has seen 1, 4, 36.

Run: python benchmarks/fine_tuning.py FOLDER [--model surface] [--images 1 4 36] [--iterations N]

One's own scans are Si(111)-7x7 at one pitch by the simulated microscope, with its states and its
loop, which are not how surfaces to train on are drawn. Judged are 12 others. FOLDER keeps what was
made; a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from setting import heading, table

import scanmend
from scanmend import models
from scanmend.evaluate.metrics import fitted, psnr, ssim
from scanmend.pairs import clean
from scanmend.pairs.samples import Mix, Sample, sample
from scanmend.stm import experiment, record
from scanmend.train import run

TEST, SIDE, WIDTH_NM = 12, 192, 24.0
CASES = {"restore": (1, 1.0), "x2": (2, 0.0), "x4": (4, 0.0)}
"""By name: every how many-th line is measured, and the share that is damaged."""


def scans(folder: Path, count: int) -> list[Path]:
    """So many clean scans, in files."""
    frame = {"rows": SIDE, "columns": SIDE, "width_nm": WIDTH_NM}
    given = experiment.load("si111-7x7").table()
    plan = experiment.parse("si111-7x7", {**given, "frame": given["frame"] | frame})
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{n:02}.nc" for n in range(count)]
    if not all(path.exists() for path in paths):
        for path, made in zip(paths, record.simulate(plan, count, seed=7), strict=True):
            ideal = made.topograph_nm
            scan = scanmend.Scan(ideal, (made.pixel_nm, made.pixel_nm))
            scanmend.write(scan, path, overwrite=True)
    return paths


def restored(model: models.Model, one: Sample) -> np.ndarray:
    """The posterior mean, in the model's units."""
    return one.known + model.network(one.shown, 0.0, told=one.told)[0]


def scores(model: models.Model, samples: list[Sample]) -> tuple[str, str, str]:
    """SSIM of what goes in, of what comes out, and its PSNR, dB; heights have no origin."""
    both = [(s.known, fitted(restored(model, s), s.target), s.target) for s in samples]
    before, after = (np.mean([ssim(pair[k], pair[2]) for pair in both]) for k in (0, 1))
    return f"{before:.3f}", f"{after:.3f}", f"{np.mean([psnr(b, c) for _, b, c in both]):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="surface")
    parser.add_argument("--images", type=int, nargs="+", default=[1, 4, 36])
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    folder: Path = options.folder
    paths = scans(folder / "scans", TEST + max(options.images))
    test, own = paths[:TEST], paths[TEST:]
    surface = clean.folder(test, (1, 0, 0))
    cases: dict[str, list[Sample]] = {}
    for name, (factor, damaged) in CASES.items():
        how = {"factors": (factor,), "factor_shares": (1.0,), "ghosts": 0.0, "ghosted": 0.0}
        mix = Mix(128, 24, **how, gap=0.0, gain=0.0, untouched=1 - damaged, sparse_mended=0.0)
        cases[name] = [sample(surface, mix, 0, number) for number in range(4 * TEST)]
    heading("Fine-tuning on clean scans of one's own")
    rows = []
    for count in (0, *options.images):
        model = models.load(options.model)
        if count:
            few = folder / f"own-{count}"
            few.mkdir(exist_ok=True)
            for path in own[:count]:
                shutil.copy(path, few)
            changes = {"source": str(few), "iterations": options.iterations}
            plan = run.of_model(options.model, changes)
            made = run.train(plan, folder / f"with-{count}", workers=options.workers)
            model = models.load(made["model"])
        for name, samples in cases.items():
            rows.append((count, name, *scores(model, samples)))
    table(("own scans", "task", "SSIM before", "SSIM", "PSNR, fitted (dB)"), rows)


if __name__ == "__main__":
    main()
