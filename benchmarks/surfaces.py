"""Real Si(001):H beside synthetic: do real scans lie inside the distribution we train on?

python benchmarks/surfaces.py [--real FOLDER] [--count 400] [--figure docs/figures/surfaces.png]

The real scans (si001h_step.npy, si001h_patch.npy; 512x512 pixels, 100 nm, heights in nm) are cut
into 128x128 crops. Every crop, real or synthetic, is levelled by a plane, then measured.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from scanmend import level
from scanmend.crystals import acquisition_noise, silicon
from scanmend.scan import Scan

ROOT = Path(__file__).parents[1]
SIZE = 128
REAL = ("si001h_step", "si001h_patch")
BANDS_NM = {"over 4": (4, 99), "4-1.2": (1.2, 4), "1.2-0.6": (0.6, 1.2), "0.6-0.39": (0.39, 0.6)}


def power(scan: Scan) -> tuple[NDArray, NDArray, NDArray]:
    """Power of each Fourier component (pm², summing to the variance), and its wave vector (1/nm)."""
    window = np.outer(*(np.hanning(n) for n in scan.values.shape))
    z = (scan.values - np.average(scan.values, weights=window)) * 1000 * window
    spectrum = np.abs(np.fft.fft2(z)) ** 2 / (window**2).sum() / z.size
    ky, kx = (np.fft.fftfreq(n, d) for n, d in zip(z.shape, scan.pixel_nm, strict=True))
    return spectrum, ky[:, None], kx[None, :]


def rows_of(scan: Scan) -> tuple[float, float]:
    """Period (nm) of the dimer rows, and peak to peak (pm) of the mean profile across them."""
    rows, columns = scan.values.shape
    window = np.outer(np.hanning(rows), np.hanning(columns))
    spectrum = np.abs(np.fft.fft2((scan.values - scan.values.mean()) * window, (1024, 1024)))
    ky, kx = (np.fft.fftfreq(1024, d) for d in scan.pixel_nm)
    k = np.hypot(ky[:, None], kx)
    i, j = np.unravel_index(np.argmax(spectrum * ((k > 1.1) & (k < 1.55))), k.shape)
    y, x = np.indices(scan.values.shape)
    # In 32-pixel tiles, because drift bends the rows over longer distances.
    depth = []
    phase = 12 * ((ky[i] * y * scan.pixel_nm[0] + kx[j] * x * scan.pixel_nm[1]) % 1)
    for a in range(0, rows - 31, 32):
        for b in range(0, columns - 31, 32):
            z, bins = (p[a : a + 32, b : b + 32] for p in (scan.values, phase.astype(int)))
            profile = [np.median(z[bins == n]) for n in range(12) if (bins == n).any()]
            depth.append(np.ptp(profile))
    return 1 / float(k[i, j]), float(np.median(depth)) * 1000


def measure(scan: Scan) -> dict[str, float]:
    """The numbers that the table compares; heights in pm."""
    scan, _ = level.plane(scan)
    spectrum, ky, kx = power(scan)
    k = np.hypot(ky, kx)
    of: dict[str, float] = {}
    period_nm, of["row corrugation, pm"] = rows_of(scan)
    of["row period, pixels"] = period_nm / scan.pixel_nm[0]
    of["row Fourier peak, pm"] = 2 * np.sqrt(2 * spectrum[(k > 1.1) & (k < 1.55)].max())
    for name, (low, high) in BANDS_NM.items():
        band = (k > 1 / high) & (k <= 1 / low)
        of[f"rms, periods {name} nm, pm"] = np.sqrt(spectrum[band].sum())
    for name, along in (("along lines", kx), ("across lines", ky)):
        fine = (abs(along) > 1 / 0.6) & (abs(along) <= 1 / 0.39)
        of[f"rms, 0.6-0.39 nm {name}, pm"] = np.sqrt(spectrum[np.broadcast_to(fine, k.shape)].sum())
    z = (scan.values - np.median(scan.values)) * 1000
    of["standard deviation, pm"] = z.std()
    for q in (1, 5, 95, 99):
        of[f"height, quantile {q} %, pm"] = np.percentile(z, q)
    local = z - median_filter(z, 21)
    of["area lower than 40 pm, %"] = 100 * (local < -40).mean()
    of["area higher than 40 pm, %"] = 100 * (local > 40).mean()
    return {name: float(value) for name, value in of.items()}


def crops(folder: Path, name: str) -> list[Scan]:
    """Sixteen crops of one real scan."""
    z = np.load(folder / f"{name}.npy").astype(np.float32)
    corners = [(a, b) for a in range(0, 512, SIZE) for b in range(0, 512, SIZE)]
    pixel_nm = (100 / 512, 100 / 512)
    return [Scan(z[a : a + SIZE, b : b + SIZE].copy(), pixel_nm) for a, b in corners]


def radial(scan: Scan, edges: NDArray) -> NDArray:
    """Power density (pm² nm²) averaged over directions, in rings of wave number between `edges`."""
    spectrum, ky, kx = power(level.plane(scan)[0])
    ring = np.digitize(np.hypot(ky, kx).ravel(), edges)
    total = np.bincount(ring, spectrum.ravel(), edges.size + 1)[1:-1]
    count = np.bincount(ring, minlength=edges.size + 1)[1:-1]
    return total / np.maximum(count, 1) * np.prod(scan.size_nm)


def draw(real: dict[str, list[Scan]], synthetic: list[Scan], path: Path) -> None:
    """Four real crops above eight synthetic ones, spectra and height histograms beside them."""
    figure = plt.figure(figsize=(11, 5.6), layout="constrained")
    grid = figure.add_gridspec(6, 6)
    shown = [real[REAL[0]][i] for i in (5, 1)] + [real[REAL[1]][i] for i in (9, 11)]
    for n, scan in enumerate(shown + synthetic[:8]):
        axes = figure.add_subplot(grid[2 * (n // 4) : 2 * (n // 4) + 2, n % 4])
        z = level.plane(scan)[0].values
        axes.imshow((z - np.median(z)) * 1000, cmap="gray", vmin=-120, vmax=120)
        axes.set(xticks=[], yticks=[])
        if n % 4 == 0:
            axes.set_ylabel("real" if n < 4 else "synthetic")
    spectra, heights = figure.add_subplot(grid[:3, 4:]), figure.add_subplot(grid[3:, 4:])
    edges = np.linspace(0.05, 2.25, 56)
    bins = np.linspace(-300, 300, 76)
    groups = {name.split("_")[1] + ", real": scans for name, scans in real.items()}
    for label, scans in {"synthetic": synthetic, **groups}.items():
        k, p = edges[:-1] + 0.02, np.array([radial(s, edges) for s in scans])
        z = [level.plane(s)[0].values * 1000 for s in scans]
        h = np.array([np.histogram(a - np.median(a), bins, density=True)[0] for a in z])
        for axes, x, y in ((spectra, k, p), (heights, bins[:-1] + 4, h)):
            if label == "synthetic":
                low, high = np.quantile(y, (0.05, 0.95), axis=0)
                axes.fill_between(x, low, high, color="0.85", label="synthetic, 5-95 %")
            else:
                axes.plot(x, np.median(y, axis=0), label=label + ", median crop", lw=1)
    spectra.set(yscale="log", xlabel="wave number (1/nm)", ylabel="power (pm² nm²)")
    heights.set(yscale="log", ylim=(1e-6, 0.1), xlabel="height (pm)", ylabel="density (1/pm)")
    spectra.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, pil_kwargs={"optimize": True})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, default=ROOT.parent / "shared/data/stm")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--figure", type=Path, default=ROOT / "docs/figures/surfaces.png")
    arguments = parser.parse_args()

    rng = np.random.default_rng(0)
    silicon.surface(rng)  # compiled here, or read from numba's cache
    start = time.process_time()
    clean = [silicon.surface(rng, (SIZE, SIZE)) for _ in range(arguments.count)]
    seconds = time.process_time() - start
    synthetic = [acquisition_noise(scan, rng) for scan in clean]
    real = {name: crops(arguments.real, name) for name in REAL}

    print(f"{datetime.date.today()}, {platform.processor() or platform.machine()}, one core")
    print(f"{arguments.count / seconds:.0f} clean patches of {SIZE}x{SIZE} a second\n")
    print(f"{'':36}{'real: step':^24}{'real: patch':^24}{'synthetic':^24}{'inside':>8}")
    print(f"{'':36}" + f"{'5 %':>7}{'50 %':>8}{'95 %':>8} " * 3 + "   5-95 %")
    table = [[measure(s) for s in group] for group in (real[REAL[0]], real[REAL[1]], synthetic)]
    for name in table[0][0]:
        columns = [np.array([m[name] for m in group]) for group in table]
        quantiles = [np.quantile(c, (0.05, 0.5, 0.95)) for c in columns]
        both = np.concatenate(columns[:2])
        inside = np.mean((both >= quantiles[2][0]) & (both <= quantiles[2][2]))
        digits = 2 if "pixels" in name else 1
        cells = "".join("".join(f"{v:8.{digits}f}" for v in q) for q in quantiles)
        print(f"{name:36}{cells}{inside:9.0%}")
    draw(real, synthetic, arguments.figure)


if __name__ == "__main__":
    main()
