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
from scanmend import models
from scanmend.degrade.recipe import Recipe, isolated, preset, without
from scanmend.evaluate.metrics import psnr, ssim
from scanmend.scan import Scan

GHOSTS = ("MultiTip", "mixed")
"""Damage with ghosts, of which a model that listens is told, as an operator who sees them would."""

SEEDS = 3
MARGIN = 16


def median(values: np.ndarray, side: int) -> np.ndarray:
    return median_filter(values, side)


def total_variation(values: np.ndarray, weight: float) -> np.ndarray:
    span = np.ptp(values)
    return denoise_tv_chambolle(values / span, weight=weight) * span


def non_local_means(values: np.ndarray, strength: float) -> np.ndarray:
    span = np.ptp(values)
    unit = values / span
    sigma = estimate_sigma(unit)
    h = strength * sigma
    return denoise_nl_means(unit, 5, 6, h=h, sigma=sigma, fast_mode=True) * span


CLASSICAL = {median: (3, 5), total_variation: (0.005, 0.02, 0.05), non_local_means: (0.4, 0.8, 1.6)}
"""Each with several strengths, of which the table shows the best for each damage: an advantage
that a user, who does not have the truth, would not have."""


def damage() -> dict[str, Recipe]:
    """The paper's list: each kind alone, then all, with and without ghosts of a multiple tip.

    With an asterisk, what the paper does not have.
    """
    paper, realistic = preset("paper"), preset("realistic")
    kinds = ("MultiTip", "LineShift", "BluntTip", "TipChange", "LineNoise")
    return {
        **{kind: isolated(paper, kind) for kind in kinds},
        "mixed, good tip": without(paper, "MultiTip"),
        "mixed": paper,
        **{f"{kind} *": isolated(realistic, kind) for kind in ("FeedbackLag", "LineOffset")},
    }


def squares(name: str) -> list[Scan]:
    """Squares of 128 pixels of a scan, with a margin that is damaged too and then cut off."""
    scan = si001h(name)
    return [scan.crop(*crop) for crop in crops(scan, side=128 + 2 * MARGIN)]


def inner(scan: Scan) -> Scan:
    return scan.crop(slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))


def mean(scores: list[tuple[float, float]]) -> tuple[float, float]:
    """Mean SSIM, and the PSNR of the mean squared error: an undamaged square's is infinite."""
    similarities, decibels = np.array(scores).T
    return similarities.mean(), -10 * np.log10(np.mean(10 ** (-decibels / 10)))


def quality(image: np.ndarray, clean: np.ndarray) -> tuple[float, float]:
    """SSIM and PSNR in the range of `clean`; heights have no origin, so the median is matched."""
    image = image - np.median(image - clean)
    return ssim(image, clean), psnr(image, clean)


def main(model: str = models.DEFAULT) -> None:
    heading("Restoration of real scans that the paper's list has damaged", model)
    wholes = [square for name in SI001H for square in squares(name)]
    listens = "told" in models.load(model).card
    rows = []
    for kind, recipe in damage().items():
        scores: dict[tuple, list[tuple[float, float]]] = {}
        within: list[list[float]] = []
        for i, whole in enumerate(wholes):
            for seed in range(SEEDS):
                damaged = recipe(whole, np.random.default_rng((seed, i)))
                measured = inner(damaged)
                images = {("damaged",): measured.values}
                for method, strengths in CLASSICAL.items():
                    images |= {(method, s): method(measured.values, s) for s in strengths}
                ours = scanmend.restore(measured, model, ghosts=listens and kind in GHOSTS)
                images["scanmend",] = ours.mean.values
                error = ours.mean.values - inner(whole).values
                error = abs(error - np.median(error)) / ours.spread.values
                within.append([np.mean(error <= 1), np.mean(error <= 2)])
                for key, image in images.items():
                    scores.setdefault(key, []).append(quality(image, inner(whole).values))
        classical = [max(mean(scores[f, p]) for p in ps) for f, ps in CLASSICAL.items()]
        before, after = (np.array(scores[name,])[:, 0] for name in ("damaged", "scanmend"))
        means = [mean(scores["damaged",]), *classical, mean(scores["scanmend",])]
        ahead = after.mean() - max(similarity for similarity, _ in classical)
        improved = f"{np.mean(after > before):.0%}"
        honest = ", ".join(f"{share:.0%}" for share in np.mean(within, axis=0))
        cells = (f"{s:.3f} / {p:.1f}" for s, p in means)
        rows.append([kind, *cells, f"{ahead:+.3f}", improved, honest])
    names = ["damaged", *(f.__name__.replace("_", " ") for f in CLASSICAL), "scanmend"]
    table(["damage", *names, "ahead", "improved", "within 1, 2 spreads"], rows)
    print(f"SSIM / PSNR in dB, means over {len(wholes) * SEEDS} squares of 128x128; ahead: SSIM")
    print("over the best classical method; improved: share of squares with a higher SSIM than")
    print("damaged; within: share of pixels whose truth lies within 1 and 2 spreads (Laplace:")
    print("76 %, 94 %); *: not in the paper's list.")
    if listens:
        print(f"Of {' and '.join(GHOSTS)} it was told that there are ghosts.")


if __name__ == "__main__":
    main(*sys.argv[1:])
