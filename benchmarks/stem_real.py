"""Real dark-field scans, made poorer and restored: without a truth, but with what was left out.

    PYTHONPATH=src python benchmarks/stem_real.py [--model FILE] [--r-em PYTHON] [--figures FOLDER]

Decimated: every 2nd or 4th pixel of both axes, made finer again, beside the scan itself. Thinned:
a scan's electrons fall by chance into two parts, which are independent; one is restored, the other
judges. Gain and offset of each detector follow from the scan: where counts are electrons, their
variance is their mean. What noise the judging scan has is taken off: in all tables, the root mean
square error, gain and offset undone, in parts of the scan's own standard deviation without noise;
1 is a grey image, 0 the scene itself.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, shift
from setting import DATA, heading, table
from stem_methods import CLASSICAL, Image, Method, Ours, REm

import scanmend
from scanmend import counts
from scanmend.evaluate.metrics import fitted
from scanmend.scan import Scan

SCANS = {
    "mos2_haadf.dm3": None,
    "srtio3_haadf.ser": None,
    "perovskite_adf.hdf5": (400 * 0.0093, 380 * 0.0093),
}
SHARES = 1 / 2, 1 / 8, 1 / 32
SIDE = 320


def read(name: str) -> Scan:
    """The middle of a real scan."""
    scan = scanmend.read(DATA / "stem" / name, size_nm=SCANS[name])
    rows, columns = scan.values.shape
    top, left = max(0, rows - SIDE) // 2, max(0, columns - SIDE) // 2
    part = scan.values[top : top + SIDE, left : left + SIDE]
    part = part[: len(part) // 4 * 4, : part.shape[1] // 4 * 4]
    return Scan(part, scan.pixel_nm, scan.quantity)


def electrons(scan: Scan) -> Image:
    """The scan in electrons: variance over mean is 1, by a line through local ones.

    Noise of neighbours is alike in some detectors, and then there are more electrons than this.
    """
    values = scan.values.astype(np.float64)
    smooth = gaussian_filter(values, 2.0)
    squares = counts.rough(values) ** 2
    means = smooth[1:-1, 1:-1].ravel()
    order = np.argsort(means)
    bins = [part for part in np.array_split(order, 64)]
    x = np.array([means[part].mean() for part in bins])
    y = np.array([squares.ravel()[part].mean() for part in bins])
    gain, offset = np.polyfit(x, y, 1)
    if gain <= 0:  # a detector whose noise is not that of electrons
        gain, offset = float(y.mean() / (x.mean() - values.min())), 0.0
    darkest = max(-offset / gain, values.min())
    return ((values - darkest) / gain).clip(0)


def error(image: Image, reference: Image, noise: float) -> float:
    """Without what the reference's own noise, its standard deviation, adds."""
    off = float(np.mean((fitted(image, reference) - reference) ** 2)) - noise**2
    scene = float(reference.var()) - noise**2
    return math.copysign(math.sqrt(abs(off) / scene), off)


def least(images: list[Image], reference: Image, noise: float) -> float:
    return min(error(image, reference, noise) for image in images)


def thinned(scan: Scan, share: float, method: Method) -> float:
    """Restored from a share of the electrons, judged by the others."""
    rng = np.random.default_rng(0)
    whole = np.rint(electrons(scan)).astype(np.int64)
    few = rng.binomial(whole, share)
    rest = (whole - few).astype(np.float64)
    given = Scan(few.astype(np.float32), scan.pixel_nm, scan.quantity)
    return least(method(given, 1), rest, math.sqrt(rest.mean()))


def decimated(scan: Scan, factor: int, method: Method) -> float:
    """From every `factor`-th pixel, judged by all."""
    pitch = scan.pixel_nm[0] * factor, scan.pixel_nm[1] * factor
    given = Scan(scan.values[::factor, ::factor].copy(), pitch, scan.quantity)
    # A coarse pixel's middle is that of the first fine one here, and not of all of them.
    images = [shift(one, -(factor - 1) / 2, mode="nearest") for one in method(given, factor)]
    inner = slice(4, -4)
    cut = [image[inner, inner] for image in images]
    return least(cut, scan.values[inner, inner].astype(np.float64), counts.noise(scan))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="stem")
    parser.add_argument("--r-em")
    parser.add_argument("--figures", type=Path)
    asked = parser.parse_args()
    methods: dict[str, Method] = {"ours": Ours(asked.model)}
    methods |= {
        k: m for k, m in CLASSICAL.items() if k != "BM3D" or importlib.util.find_spec("bm3d")
    }
    if asked.r_em:
        methods["r_em"] = REm(asked.r_em)

    heading("Real dark-field scans, made poorer", asked.model)
    rows = []
    for name in SCANS:
        scan = read(name)
        mean = electrons(scan).mean()
        for share in SHARES:
            errors = [f"{thinned(scan, share, m):.3f}" for m in methods.values()]
            rows.append((name, f"1/{1 / share:.0f} of {mean:.3g} electrons", *errors))
        for factor in (2, 4):
            errors = [f"{decimated(scan, factor, m):.3f}" for m in methods.values()]
            rows.append((name, f"every {factor}. pixel", *errors))
    table(("scan", "what is left", *methods), rows)
    if asked.figures:
        _figures(asked.figures, methods["ours"])


def _figures(folder: Path, ours: Method) -> None:
    """Middles of the scans, and what ours makes of them."""
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    for name in SCANS:
        scan = read(name)
        whole = np.rint(electrons(scan)).astype(np.int64)
        few = np.random.default_rng(0).binomial(whole, SHARES[1]).astype(np.float32)
        poor = Scan(few, scan.pixel_nm, scan.quantity)
        fig, axes = pyplot.subplots(2, 2, figsize=(12, 12), layout="constrained")
        shown = (scan.values, ours(scan, 1)[0], few, ours(poor, 1)[0])
        titles = ("measured", "restored", "an eighth of the electrons", "restored from it")
        for axis, image, title in zip(axes.flat, shown, titles, strict=True):
            part = image[:256, :256]
            low, high = np.percentile(part, (0.5, 99.5))
            axis.imshow(part, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            axis.set(title=title, xticks=[], yticks=[])
        fig.savefig(folder / f"{Path(name).stem}.png", dpi=80)


if __name__ == "__main__":
    main()
