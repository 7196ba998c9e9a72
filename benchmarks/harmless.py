"""Undamaged real scans go in: they, and what is special on them, must come out as they were.

Run: python benchmarks/harmless.py [MODEL]
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.ndimage import gaussian_filter, label, maximum_filter, median_filter
from setting import SI001H, crops, heading, si001h, table

import scanmend
from scanmend import models
from scanmend.evaluate.metrics import psnr, ssim


def features(values: np.ndarray, sign: int) -> list[tuple[int, int]]:
    """Where something stands out by over 4 robust deviations, upward (+1) or downward (-1).

    Extrema of the image less its surroundings: bright chains, dangling bonds and adsorbates, or
    vacancies; the lattice itself stays below. What stands on a single line is none: a tip rounds
    everything over two lines at least, and a spike is what restoration should remove.
    """
    seen = on_two_lines(values)
    local = sign * (gaussian_filter(seen, 1.0) - gaussian_filter(seen, 8.0))
    deviation = 1.4826 * np.median(abs(local - np.median(local)))
    tops = (local == maximum_filter(local, 9)) & (local > 4 * deviation)
    marks, count = label(tops)
    return [tuple(np.argwhere(marks == i + 1)[0]) for i in range(count)]


def heights(values: np.ndarray, places: list[tuple[int, int]], sign: int) -> np.ndarray:
    """Of each feature, how far its extremum lies from the median of 15x15 pixels around it."""
    seen = on_two_lines(values)
    out = []
    for row, column in places:
        near = seen[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
        around = seen[max(0, row - 7) : row + 8, max(0, column - 7) : column + 8]
        out.append((near.max() if sign > 0 else near.min()) - np.median(around))
    return np.array(out)


def on_two_lines(values: np.ndarray) -> np.ndarray:
    """The median of each pixel and those above and below it: without what is on one line only."""
    return median_filter(values, (3, 1))


def main(model: str = models.DEFAULT) -> None:
    heading("Undamaged real scans: what restoration changes", model)
    rows = []
    for name in SI001H:
        scan = si001h(name)
        mended = scanmend.restore(scan, model).mean.values
        squares = crops(scan)
        pairs = [(mended[c], scan.values[c]) for c in squares]
        alone = [
            (scanmend.restore(scan.crop(*c), model).mean.values, scan.values[c]) for c in squares
        ]
        row = [
            name,
            f"{np.mean([ssim(*p) for p in pairs]):.4f}",
            f"{min(ssim(*p) for p in pairs):.4f}",
        ]
        row += [
            f"{np.mean([psnr(*p) for p in pairs]):.1f}",
            f"{np.mean([ssim(*p) for p in alone]):.4f}",
        ]
        for sign in (1, -1):
            places = features(scan.values, sign)
            ratio = heights(mended, places, sign) / heights(scan.values, places, sign)
            low, middle, high = np.percentile(ratio, (5, 50, 95))
            within = 100 * np.mean(abs(ratio - 1) <= 0.1)
            row.append(f"{len(places)}: {middle:.3f} ({low:.2f}-{high:.2f}), {within:.0f} %")
        rows.append(row)
    head = ("scan", "SSIM", "worst square", "PSNR dB", "SSIM, squares alone", "bright", "dark")
    table(head, rows)
    print("bright, dark: how many features, their height after over before (median, 5-95 %), and")
    print("the share that keeps its height within 10 %.")


if __name__ == "__main__":
    main(*sys.argv[1:])
