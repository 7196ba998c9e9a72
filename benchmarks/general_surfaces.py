"""Real scans of many surfaces beside `crystals.general`: do they lie in what it draws?

Run: python benchmarks/general_surfaces.py [FIGURE]

Up to nine squares of 128x128 of each real scan, and synthetic ones with their acquisition noise,
are levelled by a plane and normalised as they are for a model, then measured. A figure shows one
square of each scan above synthetic squares of about its pitch.
"""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from setting import DATA, crops, heading, table
from surfaces import power

import scanmend
from scanmend import level
from scanmend.crystals import acquisition_noise, general
from scanmend.normalise import Affine
from scanmend.scan import Scan

SIDE, COUNT = 128, 600
SI001H = {"size_nm": (100, 100), "unit": "nm"}
REAL = {
    "atoms, step": ("STM_nanonis_generic_4_5.sxm", {}),
    "ABC graphite": ("abc_graphite.sm4", {}),
    "df scan": ("createc_afm.dat", {}),
    "islands, rings": ("createc_scan_island_60nm.dat", {}),
    "current, 57 lines": ("interrupted_scan.ibw", {}),
    "MATRIX": ("matrix/default_2011May27-164015_STM-STM_Spectroscopy--22_4.Z_mtrx", {}),
    "moire": ("moire_10nm.sxm", {}),
    "Si(001):H patch": ("si001h_patch.npy", SI001H),
    "Si(001):H step": ("si001h_step.npy", SI001H),
    # The file has no scale; its cells say about 20 nm.
    "Si(111)-7x7": ("si111_7x7_defects.dat", {"size_nm": (20, 20), "unit": "m"}),
    "graphite in air": ("stm-nanosurf-nid.nid", {}),
}
"""Of each scan, its file in DATA/stm, and what the file does not say."""


def squares(name: str) -> list[Scan]:
    """Parts of one real scan, without lines that were never measured."""
    file, scale = REAL[name]
    scan = scanmend.read(DATA / "stm" / file, **scale)
    known = slice(0, int(np.isfinite(scan.values).all(axis=1).sum()))
    scan = scan.crop(known, slice(None))
    return [scan.crop(*at) for at in crops(scan, min(SIDE, len(scan.values)))]


def measure(scan: Scan) -> dict[str, float]:
    """The numbers that the table compares; heights in the unit of the model."""
    flat, _ = level.plane(scan)
    affine = Affine.of(flat)
    z = affine.apply(flat.values)
    spectrum, ky, kx = power(Scan(z, (1.0, 1.0)))
    k = np.hypot(ky, kx)
    fine = (k > 3 / min(z.shape)) & (k < 0.5)
    octaves = np.geomspace(1 / 32, 0.45, 9)
    rings = [spectrum[(k >= a) & (k < b)].mean() for a, b in pairwise(octaves)]
    slope = np.polyfit(np.log(octaves[:-1] * octaves[1:]) / 2, np.log(rings), 1)[0]
    strongest = np.sort(spectrum[fine])[::-1]
    of: dict[str, float] = {}
    for q in (0.5, 5, 25, 75, 95, 99.5):
        of[f"height, quantile {q} %"] = float(np.percentile(z, q))
    deviation = z - z.mean()
    of["skewness"] = (deviation**3).mean() / z.std() ** 3
    of["kurtosis"] = (deviation**4).mean() / z.var() ** 2
    of["gradient along lines, rms a pixel"] = np.diff(z, axis=1).std()
    of["gradient across lines, rms a pixel"] = np.diff(z, axis=0).std()
    of["spectral slope"] = slope
    of["relief of periods under a third, %"] = 100 * spectrum[fine].sum() / spectrum.sum()
    of["of this, in 24 Fourier peaks (lattice), %"] = 100 * strongest[:24].sum() / strongest.sum()
    of["scale, pm"] = affine.scale * 1000
    return {name: float(value) for name, value in of.items()}


def draw(real: dict[str, list[Scan]], synthetic: list[Scan], path: Path) -> None:
    """The middle square of each scan, and the four synthetic ones next to it in pitch."""
    pitches = np.log([s.pixel_nm[0] for s in synthetic])
    figure = Figure(figsize=(1.5 * len(real), 8.6), dpi=90, layout="constrained")
    panels = figure.subplots(5, len(real))
    for (name, parts), column in zip(real.items(), panels.T, strict=True):
        middle = parts[len(parts) // 2]
        near = np.argsort(abs(pitches - np.log(middle.pixel_nm[0])))[:4]
        for axes, scan in zip(column, [middle, *(synthetic[i] for i in near)], strict=True):
            z = level.plane(scan)[0].values
            low, high = np.percentile(z, (1, 99))
            axes.imshow(z, cmap="gray", vmin=low, vmax=high)
            axes.set(xticks=[], yticks=[], aspect="equal")
            axes.set_title(f"{scan.pixel_nm[0]:.3f} nm, {(high - low) * 1000:.0f} pm", fontsize=7)
        column[0].set_title(f"{name}\n{column[0].get_title()}", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main(figure: str | None = None) -> None:
    heading("Real scans of many surfaces beside synthetic")
    rng = np.random.default_rng(0)
    for _ in range(60):  # compiled here, or read from numba's cache
        general.surface(rng, (SIDE, SIDE))
    start = time.process_time()
    clean = [general.surface(rng, (SIDE, SIDE)) for _ in range(COUNT)]
    seconds = time.process_time() - start
    print(f"{COUNT / seconds:.0f} clean squares of {SIDE}x{SIDE} a second on one core\n")
    synthetic = [acquisition_noise(scan, rng) for scan in clean]
    real = {name: squares(name) for name in REAL}

    drawn = [measure(s) for s in synthetic]
    measured = {name: [measure(s) for s in parts] for name, parts in real.items()}
    rows = []
    for figure_of in drawn[0]:
        low, middle, high = np.quantile([m[figure_of] for m in drawn], (0.05, 0.5, 0.95))
        middles: dict[str, float] = {
            name: float(np.median([m[figure_of] for m in parts]))
            for name, parts in measured.items()
        }
        out = [f"{name} {v:.2f}" for name, v in middles.items() if not low <= v <= high]
        values: NDArray = np.array(list(middles.values()))
        spans = [
            f"{low:.2f} / {middle:.2f} / {high:.2f}",
            f"{values.min():.2f} to {values.max():.2f}",
        ]
        rows.append([figure_of, *spans, ", ".join(out) or "none"])
    table(("", "synthetic, 5 / 50 / 95 %", "real, medians of scans", "outside"), rows)
    if figure:
        draw(real, synthetic, Path(figure))


if __name__ == "__main__":
    main(*sys.argv[1:])
