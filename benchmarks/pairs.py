"""How fast are pairs of clean and damaged images made, and how large are they?

Run: python benchmarks/pairs.py [FOLDER of clean scans]

From a folder of images of 512x512 pixels, by default simulated ones, and from surfaces that are
drawn for each pair. A multiple tip has its full reach.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from setting import heading, table

from scanmend import io
from scanmend.crystals import acquisition_noise, silicon
from scanmend.degrade.recipe import preset
from scanmend.pairs import clean, sets

PRESETS = ("paper", "realistic", "sbsr-paper", "sbsr-code")
IMAGES, BATCH, BATCHES = 6, 32, 8
SHARDS = {"folder": 8, "si001h": 3}


def images(folder: Path) -> Path:
    """As large and as fine as the source's scans."""
    recipe = replace(silicon.TRAINING, pixel_nm=(100 / 512, 100 / 512))
    for n in range(IMAGES):
        rng = np.random.default_rng(n)
        scan = acquisition_noise(silicon.surface(rng, (512, 512), recipe), rng)
        io.write(scan, folder / f"{n}.nc")
    return folder


def in_memory(pairs: sets.Pairs) -> float:
    """Pairs a second of one process, the best of some batches."""
    pairs.images(range(8))
    best = 0.0
    for batch in range(BATCHES):
        start = time.perf_counter()
        pairs.images(range(batch * BATCH, (batch + 1) * BATCH))
        best = max(best, BATCH / (time.perf_counter() - start))
    return best


def on_disk(source: clean.Source, workers: int, shards: int) -> tuple[float, float]:
    """Pairs a second once all workers are at it, and bytes a pair."""
    with tempfile.TemporaryDirectory() as folder:
        marks: list[tuple[int, float]] = []
        size = sets.Counts(shards * 256, 0, 0, 0)
        stores = sets.build(
            *(source, preset("paper"), folder, ("restore",), size),
            workers=workers,
            progress=lambda done, _: marks.append((done, time.perf_counter())),
        )
        store = stores["restore"]["train"]
        held = sum(store.path(n).stat().st_size for n in range(store.shards)) / len(store)
    (first, start), (last, end) = marks[workers], marks[-1]
    return 256 * (last - first) / (end - start), held


def main(where: str | None = None) -> None:
    heading("Pairs to train on")
    with tempfile.TemporaryDirectory() as folder:
        sources = {
            "folder": clean.folder(where or images(Path(folder))),
            "si001h": clean.Surface("si001h"),
        }
        rows = [
            (
                *(name, recipe),
                *(f"{in_memory(sets.Pairs(source, preset(recipe), t)):.0f}" for t in sets.TASKS),
            )
            for name, source in sources.items()
            for recipe in PRESETS
        ]
        table(("source", "recipe", *(f"{task}, pairs/s" for task in sets.TASKS)), rows)
        rows = []
        for name, source in sources.items():
            for workers in (1, 2):
                rate, held = on_disk(source, workers, SHARDS[name])
                rows.append((name, workers, f"{rate:.0f}", f"{held:.0f}"))
        table(("paper, in shards", "workers", "pairs/s", "bytes a pair"), rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
