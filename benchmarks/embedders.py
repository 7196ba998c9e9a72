"""What an embedder notices: KID of sets that are ever further from clean ones, by one thing each.

Simulated Si(001):H with acquisition noise, 128x128. Each row is a change, each column more of it;
beside `stm-encoder` stands a network of its shape that was never trained. Printed is KID in units
of the floor's half width: below 1 the set cannot be told from a clean one.

    python benchmarks/embedders.py [COUNT]
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from scanmend.crystals import acquisition_noise, silicon
from scanmend.degrade.recipe import isolated, preset
from scanmend.evaluate.distances import distance
from scanmend.evaluate.embed import Embedder
from scanmend.train.encoder import Taught, export
from scanmend.train.examples import Lesson, example

SIDE, MARGIN = 128, 16


def scans(count: int, seed: int, **changes):
    """Clean ones; `changes` are functions of a parameter of the surface."""
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        surface = replace(silicon.TRAINING, diagonal=1.0, step=0.0).draw(rng)
        surface = replace(surface, **{k: f(getattr(surface, k)) for k, f in changes.items()})
        yield acquisition_noise(surface.scan((SIDE + 2 * MARGIN,) * 2, rng), rng)


def images(scans, after=lambda z, rng: z):
    """In [-1, 1], by their own minimum and maximum, after a change of the heights."""
    made = []
    for number, scan in enumerate(scans):
        z = after(scan.values, np.random.default_rng((99, number)))[MARGIN:-MARGIN, MARGIN:-MARGIN]
        made.append(2 * (z - z.min()) / np.ptp(z) - 1)
    return np.stack(made).astype(np.float32)


def ghosted(share: float):
    """A multiple tip's image, mixed with the single tip's."""
    recipe = isolated(preset("realistic"), "MultiTip")

    def after(scan, rng):
        return scan.after("ghosts", scan.values + share * (recipe(scan, rng).values - scan.values))

    return after


def untrained(folder: Path) -> Embedder:
    """A network with random weights, whose features are brought to mean 0 and variance 1."""
    torch.manual_seed(1)
    net = Taught().encoder
    batch = torch.from_numpy(np.stack([example(Lesson(), 7, n).image for n in range(256)]))
    with torch.no_grad():
        for _ in range(30):  # the running statistics move by a tenth each time
            net.train()(batch)
    path = folder / "untrained.onnx"
    export(net.eval(), path, {})
    return Embedder.load(path, name="untrained")


def main(count: int) -> None:
    """Prints the table."""
    clean, other = images(scans(count, 1)), list(scans(count, 2))

    def span(z):
        return z.max() - z.min()

    sets = {
        "none": {"": images(other)},
        "blur, px": {
            s: images(other, lambda z, rng, s=s: gaussian_filter(z, s))
            for s in (0.3, 0.6, 1.0, 1.5, 2.0)
        },
        "white noise, of the range": {
            s: images(other, lambda z, rng, s=s: z + s * span(z) * rng.standard_normal(z.shape))
            for s in (0.01, 0.03, 0.06, 0.12, 0.25)
        },
        "ghosts, share": {
            s: images(
                ghosted(s)(scan, np.random.default_rng((98, n))) for n, scan in enumerate(other)
            )
            for s in (0.1, 0.25, 0.5, 0.75, 1.0)
        },
        "rows turned, deg": {
            s: images(scans(count, 2, angle_deg=lambda a, s=s: a + s)) for s in (5, 10, 20, 30, 45)
        },
        "pitch, times": {
            s: images(scans(count, 2, pixel_nm=lambda p, s=s: p * s))
            for s in (1.03, 1.06, 1.12, 1.25, 1.5)
        },
        "missing dimers, times": {
            s: images(scans(count, 2, missing=lambda m, s=s: min(0.6, m * s)))
            for s in (1.5, 2, 3, 5, 8)
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        for embedder in (Embedder.load(), untrained(Path(folder))):
            began = time.perf_counter()
            reference = embedder(clean)
            seconds = time.perf_counter() - began
            print(f"\n## {embedder.name}: {count} images in {seconds:.2f} s\n")
            for what, row in sets.items():
                cells = []
                for amount, stack in row.items():
                    rng = np.random.default_rng(0)
                    d = distance("KID", embedder(stack), reference, embedder.name, rng)
                    width = (d.floor_high - d.floor_low) / 2
                    cells.append(f"{amount}: {d.value:.4f} ({d.value / width:.1f})")
                print(f"| {what} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
