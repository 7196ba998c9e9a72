"""Whether the spread says how far off a restoration is: real Si(001):H, damaged and restored.

Run: python benchmarks/doubt.py [NAME|FILE.onnx]

Nine squares of 128x128 pixels of each scan, with all damage of `realistic` but the ghosts of a
multiple tip and repeated lines, which no network is asked to know. Everything is in parts of the
square's relief, from the 5th to the 95th percentile; the error is taken without its median.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
from setting import SI001H, crops, heading, si001h, table

import scanmend
from scanmend.degrade import recipe
from scanmend.restoration.verdict import DOUBTFUL

EDGES = (0, 0.03, 0.06, DOUBTFUL, 0.15, 0.25, 0.5, np.inf)
DRAWS = 3


def main(model: str) -> None:
    """Error by spread, and what is doubtful of damaged and of undamaged squares."""
    heading("The spread, and the error", model)
    damage = recipe.without(recipe.preset("realistic"), "MultiTip", "FewerLines")
    rng = np.random.default_rng(0)
    errors, spreads, clean = [], [], []
    for name in SI001H:
        scan = si001h(name)
        for crop in crops(scan):
            truth = scan.crop(*crop)
            relief = np.subtract(*np.percentile(truth.values, (95, 5)))
            clean.append(scanmend.restore(truth, model).spread.values / relief)
            for _ in range(DRAWS):
                result = scanmend.restore(damage(truth, rng), model)
                error = result.mean.values - truth.values
                errors.append((error - np.median(error)) / relief)
                spreads.append(result.spread.values / relief)
    error, spread = np.abs(errors), np.array(spreads)
    rows = []
    for low, high in pairwise(EDGES):
        of = (spread > low) & (spread <= high)
        rms = np.sqrt(np.mean(error[of] ** 2))
        beyond = (np.mean(error[of] > limit) for limit in (DOUBTFUL, spread[of], 2 * spread[of]))
        parts = (f"{np.mean(of):.1%}", f"{np.mean(spread[of]):.3f}", f"{rms:.3f}")
        rows.append((f"{low:g} to {high:g}", *parts, *(f"{share:.0%}" for share in beyond)))
    off = ("off by > 0.1", "> spread", "> twice")
    table(("spread", "of the pixels", "mean spread", "rms error", *off), rows)
    print(
        f"Doubtful (spread over {DOUBTFUL:g}): {np.mean(spread > DOUBTFUL):.1%} of the damaged "
        f"squares, {np.mean(np.array(clean) > DOUBTFUL):.1%} of the undamaged."
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else scanmend.models.DEFAULT)
