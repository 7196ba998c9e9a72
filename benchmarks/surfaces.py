"""Real Si(001):H beside synthetic: do real scans lie inside the distribution we train on?

Run: python benchmarks/surfaces.py [FIGURE]

Two real scans (512x512 pixels, 100 nm) are cut into squares of 128x128. Every square, real or
synthetic, is levelled by a plane, then measured.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from setting import SI001H, heading, si001h, table

from scanmend import level
from scanmend.crystals import acquisition_noise, silicon
from scanmend.scan import Scan

FIGURE = Path(__file__).parents[1] / "docs/figures/surfaces.png"
SIDE = 128
COUNT = 200
BANDS_NM = {"over 4": (4, 99), "4-1.2": (1.2, 4), "1.2-0.6": (0.6, 1.2), "0.6-0.39": (0.39, 0.6)}


def power(scan: Scan) -> tuple[NDArray, NDArray, NDArray]:
    """Power of each Fourier component (pm², summing to the variance), and its wave vector, 1/nm."""
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
    # Of every second pixel in 21x21: the same to a few per cent, sixteen times faster.
    around = median_filter(z[::2, ::2], 11).repeat(2, axis=0).repeat(2, axis=1)
    local = z - around[: z.shape[0], : z.shape[1]]
    of["area lower than 40 pm, %"] = 100 * (local < -40).mean()
    of["area higher than 40 pm, %"] = 100 * (local > 40).mean()
    return {name: float(value) for name, value in of.items()}


def squares(name: str) -> list[Scan]:
    """Sixteen squares of one real scan."""
    scan = si001h(name)
    parts = [slice(start, start + SIDE) for start in range(0, 512, SIDE)]
    return [scan.crop(rows, columns) for rows in parts for columns in parts]


def radial(scan: Scan, edges: NDArray) -> NDArray:
    """Power density (pm² nm²) averaged over directions, in rings of wave number between `edges`."""
    spectrum, ky, kx = power(level.plane(scan)[0])
    ring = np.digitize(np.hypot(ky, kx).ravel(), edges)
    total = np.bincount(ring, spectrum.ravel(), edges.size + 1)[1:-1]
    count = np.bincount(ring, minlength=edges.size + 1)[1:-1]
    return total / np.maximum(count, 1) * np.prod(scan.size_nm)


def draw(real: dict[str, list[Scan]], synthetic: list[Scan], path: Path) -> None:
    """Four real squares above the first eight synthetic ones; spectra and histograms beside."""
    figure = Figure(figsize=(11, 5.1), dpi=110, layout="constrained")
    images, graphs = figure.subfigures(1, 2, width_ratios=(1.32, 1), wspace=0.02)
    step, patch = (real[name] for name in SI001H)
    panels = images.subplots(3, 4, gridspec_kw={"wspace": 0.03, "hspace": 0.03})
    shown = [step[5], step[1], patch[9], patch[11], *synthetic[:8]]
    for n, (axes, scan) in enumerate(zip(panels.flat, shown, strict=True)):
        picture(axes, scan)
        if n % 4 == 0:
            axes.set_ylabel("real" if n < 4 else "synthetic", fontsize=11)
    images.supxlabel("squares of 128 x 128 pixels, grey from −120 to 120 pm; bars 5 nm", fontsize=9)

    spectra, heights = graphs.subplots(2, 1)
    edges = np.linspace(0.05, 2.25, 56)
    bins = np.linspace(-300, 300, 76)
    groups = {f"real, {name.split('_')[1]}": scans for name, scans in real.items()}
    for label, scans in {"synthetic": synthetic, **groups}.items():
        z = [level.plane(s)[0].values * 1000 for s in scans]
        power_of = np.array([radial(s, edges) for s in scans])
        share_of = np.array([np.histogram(a - np.median(a), bins, density=True)[0] for a in z])
        for axes, at, y in ((spectra, edges, power_of), (heights, bins, share_of)):
            x = (at[1:] + at[:-1]) / 2
            if label == "synthetic":
                low, high = np.quantile(y, (0.05, 0.95), axis=0)
                axes.fill_between(x, low, high, color="0.85", label="synthetic, 5 to 95 %")
            else:
                axes.plot(x, np.median(y, axis=0), label=f"{label} (median)", lw=1.2)
    spectra.set(yscale="log", xlabel="wave number (1/nm)", ylabel="power (pm² nm²)", xlim=(0, 2.25))
    heights.set(yscale="log", ylim=(1e-6, 0.05), xlim=(-300, 300))
    heights.set(xlabel="height (pm)", ylabel="share (1/pm)")
    spectra.axvline(1 / silicon.ROW_NM, color="0.5", lw=0.8, ls=":")
    spectra.annotate("dimer rows", (1 / silicon.ROW_NM + 0.03, 8e3), fontsize=8, color="0.35")
    spectra.legend(fontsize=8, loc="lower left", frameon=False)
    for axes in (spectra, heights):
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, pil_kwargs={"optimize": True})


def picture(axes: Axes, scan: Scan) -> None:
    """One square in grey, with a bar of 5 nm."""
    z = level.plane(scan)[0].values * 1000
    axes.imshow(z - np.median(z), cmap="gray", vmin=-120, vmax=120)
    axes.set(xticks=[], yticks=[])
    length = 5 / scan.pixel_nm[1]
    for width, color in ((5, "black"), (2.5, "white")):
        axes.plot((6, 6 + length), (120, 120), color=color, lw=width, solid_capstyle="butt")


def main(figure: str | Path = FIGURE) -> None:
    heading("Real Si(001):H beside synthetic")
    rng = np.random.default_rng(0)
    silicon.surface(rng)  # compiled here, or read from numba's cache
    start = time.process_time()
    clean = [silicon.surface(rng, (SIDE, SIDE)) for _ in range(COUNT)]
    seconds = time.process_time() - start
    print(f"{COUNT / seconds:.0f} clean squares of {SIDE}x{SIDE} a second on one core\n")

    synthetic = [acquisition_noise(scan, rng) for scan in clean]
    real = {name: squares(name) for name in SI001H}
    measured = [[measure(s) for s in group] for group in (*real.values(), synthetic)]
    rows = []
    for name in measured[0][0]:
        columns = [np.array([m[name] for m in group]) for group in measured]
        quantiles = [np.quantile(c, (0.05, 0.5, 0.95)) for c in columns]
        low, _, high = quantiles[2]
        both = np.concatenate(columns[:2])
        inside = np.mean((both >= low) & (both <= high))
        digits = 2 if "pixels" in name else 1
        cells = [" / ".join(f"{v:.{digits}f}" for v in q) for q in quantiles]
        rows.append([name, *cells, f"{inside:.0%}"])
    table(("5 / 50 / 95 %", *SI001H, "synthetic", "real inside 5-95 %"), rows)
    draw(real, synthetic, Path(figure))


if __name__ == "__main__":
    main(*sys.argv[1:])
