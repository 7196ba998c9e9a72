"""Real Si(001):H scans damaged by the paper's list, mended by us and by classical methods.

Run: python benchmarks/restoration.py [MODEL]        (scikit-image is needed)
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.ndimage import median_filter
from setting import SI001H, crops, heading, si001h, table
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, estimate_sigma

import scanmend
from scanmend.degrade.recipe import Recipe, isolated, preset
from scanmend.evaluate.metrics import psnr, ssim
from scanmend.scan import Scan

SEEDS = 3
MARGIN = 16


def median(values: np.ndarray) -> np.ndarray:
    return median_filter(values, 3)


def total_variation(values: np.ndarray) -> np.ndarray:
    span = np.ptp(values)
    return denoise_tv_chambolle(values / span, weight=0.05) * span


def non_local_means(values: np.ndarray) -> np.ndarray:
    span = np.ptp(values)
    unit = values / span
    sigma = estimate_sigma(unit)
    return denoise_nl_means(unit, 5, 6, h=0.8 * sigma, sigma=sigma, fast_mode=True) * span


CLASSICAL = (median, total_variation, non_local_means)


def damage() -> dict[str, Recipe]:
    """The paper's list: each kind alone, then all, with and without ghosts of a multiple tip."""
    paper = preset("paper")
    kinds = ("MultiTip", "LineShift", "BluntTip", "TipChange", "LineNoise")
    without = tuple(s for s in paper.steps if type(s.effect).__name__ != "MultiTip")
    return {
        **{kind: isolated(paper, kind) for kind in kinds},
        "mixed, good tip": Recipe("paper without multi-tip", without),
        "mixed": paper,
    }


def squares(name: str) -> list[Scan]:
    """Squares of 128 pixels of a scan, with a margin that is damaged too and then cut off."""
    scan = si001h(name)
    wide = [
        tuple(slice(s.start - MARGIN, s.stop + MARGIN) for s in crop)
        for crop in crops(scan, margin=MARGIN)
    ]
    pitch = scan.pixel_nm
    return [Scan(np.ascontiguousarray(scan.values[crop]), pitch) for crop in wide]


def inner(values: np.ndarray) -> np.ndarray:
    return values[MARGIN:-MARGIN, MARGIN:-MARGIN]


def quality(image: np.ndarray, clean: np.ndarray) -> tuple[float, float]:
    """SSIM and PSNR in the range of `clean`; heights have no origin, so the median is matched."""
    image = image - np.median(image - clean)
    return ssim(image, clean), psnr(image, clean)


def main(model: str | None = None) -> None:
    heading("Restoration of real scans that the paper's list has damaged")
    wholes = [square for name in SI001H for square in squares(name)]
    rows = []
    for kind, recipe in damage().items():
        scores: dict[str, list[tuple[float, float]]] = {}
        for i, whole in enumerate(wholes):
            for seed in range(SEEDS):
                damaged = recipe(whole, np.random.default_rng((seed, i)))
                clean, measured = inner(whole.values), inner(damaged.values)
                images = {"damaged": measured} | {f.__name__: f(measured) for f in CLASSICAL}
                scan = Scan(np.ascontiguousarray(measured), whole.pixel_nm)
                images["scanmend"] = scanmend.restore(scan, model).mean.values
                for method, image in images.items():
                    scores.setdefault(method, []).append(quality(image, clean))
        means = {m: np.mean(s, axis=0) for m, s in scores.items()}
        best = max(means[f.__name__][0] for f in CLASSICAL)
        ours = np.array(scores["scanmend"])[:, 0] - np.array(scores["damaged"])[:, 0]
        rows.append(
            [kind, *(f"{s:.3f} / {p:.1f}" for s, p in means.values())]
            + [f"{means['scanmend'][0] - best:+.3f}", f"{100 * np.mean(ours > 0):.0f} %"]
        )
    names = ["damaged", *(f.__name__.replace("_", " ") for f in CLASSICAL), "scanmend"]
    table(["damage", *names, "ahead", "improved"], rows)
    print(f"SSIM / PSNR in dB, means over {len(wholes) * SEEDS} squares of 128x128; ahead: SSIM")
    print("over the best classical method; improved: share of squares with a higher SSIM than damaged.")


if __name__ == "__main__":
    main(*sys.argv[1:])
