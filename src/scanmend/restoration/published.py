"""The published way: a method of `generate` on overlapping patches, blended, and the unit refitted.

References:
    Kolev, Rodani et al., Sec. II A (step 9, and how larger images are processed)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import generate
from ..errors import RecipeError
from ..normalise import Affine
from ..scan import Scan
from .job import CRASH, Job, Result
from .patches import Patches

TOGETHER_PX = 128 * 128
"""Pixels that go through the network at once. A processor is no quicker with more, and a patch
takes 0.2 to 0.3 GB of memory in the published networks."""


def run(job: Job, known: NDArray[np.float32], mask: NDArray[np.float32], levelled: Scan) -> Result:
    """A sample by the model's method, and `job.draws` more, for the levelled image `known`.

    All patches take one step together, with noise cut from one field, so that what they share
    begins alike. A sample is no mean: the `spread` is how far the draws lie from it, in the root of
    the mean square, as the truth would if it were one of them; without draws it is not known, NaN.

    Args:
        job: What is wished for; the steps on the model's card where it does not say how many calls.
        known: What is known, in the scan's unit, on the model's grid.
        mask: 1 where that was measured.
        levelled: The scan, of which the range of heights is taken.

    Raises:
        RecipeError: The method makes no such number of calls, or knows one answer only and is to
            draw others.
    """
    card, method = job.model.card, job.model.method
    steps = _steps(job, method)
    if job.draws and not _asks_for_noise(method, steps):
        raise RecipeError(
            f"{job.model.name} has one answer only in {method.calls(steps)} call(s), so that there "
            f"is nothing to draw, got {job.draws} draws: ask for none"
        )
    patches = Patches(known.shape, card["side"])
    left = (1 + job.draws) * method.calls(steps) * len(patches)
    tell = job.teller(left)
    together = max(1, TOGETHER_PX // card["side"] ** 2)
    affine = _range(levelled, card["side"] ** 2 // card["factor"])
    y = affine.apply(known)
    view = np.clip(y, -1, 1)
    trusted = (mask > 0) & (y == view)
    degraded = patches.cut(view)
    rng = np.random.default_rng(job.seed)
    fits: list[tuple[float, float]] = []

    def normal() -> NDArray[np.float32]:
        return patches.cut(rng.standard_normal(patches.padded, np.float32))

    def network(x: NDArray, degraded: NDArray, t: float) -> NDArray[np.float32]:
        nonlocal left
        out = np.empty_like(degraded)
        for begin in range(0, len(out), together):
            part = slice(begin, begin + together)
            left -= len(out[part])
            hold = left > 0
            out[part] = job.model.network.conditioned(x[part], degraded[part], t, hold=hold)
            tell(len(out[part]))
        return out

    def sample() -> NDArray[np.float32]:
        out = patches.join(method.restore(network, degraded, normal, steps))
        gain, offset, share = refit(out, view, trusted)
        fits.append((gain, share))
        out = gain * out + offset
        # Of what stands out of view, as much is kept as the method keeps of what it sees.
        kept = np.clip(np.divide(out, view, out=np.zeros_like(y), where=view != y), 0, 1)
        return affine.undo(out + kept * (y - view))

    best = sample()
    drawn = tuple(sample() for _ in range(job.draws))
    spread = np.full_like(best, np.nan)
    if drawn:
        spread = np.sqrt(np.mean([(values - best) ** 2 for values in drawn], axis=0))
    gain, share = fits[0]
    facts = {"calls": method.calls(steps), "steps": steps, "method": card["method"]}
    facts |= {"patches": len(patches), "gain": gain, "trusted": share}
    return Result(best, spread, drawn, facts)


def repeat_lines(lines: NDArray[np.float32], at: ArrayLike, rows: int) -> NDArray[np.float32]:
    """From lines measured at the rows `at` to all `rows`: the nearest, the lower one of two.

    This is what `degrade.FewerLines` does, and so where a network takes a line to be measured.
    """
    known = np.asarray(at)
    return lines[np.searchsorted((known[:-1] + known[1:]) / 2, np.arange(rows), side="right")]


def refit(
    out: NDArray[np.float32], seen: NDArray[np.float32], trusted: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """How to bring an image to the heights of another: gain · out + offset = seen, where undamaged.

    Least trimmed squares: the line that fits the best half of some pixels leaves out, of all that
    are trusted, those farther off than 2.5 robust standard deviations, as damage is; the others
    make it exact. An image that has nothing to do with the other, or is its inverse, stays.

    Returns:
        The gain, the offset, and the share of the trusted pixels that had a say; 0 if it stays.

    References:
        Rousseeuw & Van Driessen, Data Min. Knowl. Discov. 12, 29 (2006), C-steps
    """
    if not trusted.any():
        return 1.0, 0.0, 0.0
    x, y = out[trusted].astype(np.float64), seen[trusted].astype(np.float64)
    some = slice(None, None, max(1, x.size // 20_000))
    kept = np.ones(x[some].shape, bool)
    for _ in range(20):
        gain, offset = _line(x[some][kept], y[some][kept])
        off = np.abs(y[some] - gain * x[some] - offset)
        kept = off <= np.median(off)
    gain, offset = _line(x[some][kept], y[some][kept])
    off = np.abs(y - gain * x - offset)
    kept = off <= 2.5 * 1.4826 * np.median(off)
    gain, offset = _line(x[kept], y[kept])
    return (gain, offset, float(kept.mean())) if gain > 0 else (1.0, 0.0, 0.0)


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Gain and offset of least squares."""
    middle = x.mean()
    variance = np.mean((x - middle) ** 2)
    gain = float(np.mean((x - middle) * y) / variance) if variance > 0 else 0.0
    return gain, float(y.mean() - gain * middle)


def _range(scan: Scan, patch_px: int) -> Affine:
    """To [-1, 1] from the least to the greatest height, of which those of a crash are none.

    Of a scan as large as several patches, as many pixels lie beyond either end: in training every
    patch had a least and a greatest height of its own.

    Args:
        scan: Levelled.
        patch_px: Measured pixels in a patch.
    """
    values = scan.values[~np.isnan(scan.values)].astype(np.float64)
    off = np.abs(values - np.median(values))
    some = values[off <= CRASH * np.median(off)]
    rank = max(1, some.size // patch_px)
    low, high = np.partition(some, (rank - 1, some.size - rank))[[rank - 1, -rank]]
    if low == high:  # as more than half of all are
        low, high = values.min(), values.max()
    return Affine(float(low + high) / 2, float(high - low) / 2)


def _steps(job: Job, method: generate.Method) -> int:
    """In how many steps `method` makes as many calls as are wished for."""
    if job.calls is None:
        return job.model.card["steps"]
    for steps in range(1, job.calls + 1):
        if method.calls(steps) == job.calls:
            return steps
    known = ", ".join(map(str, sorted({method.calls(steps) for steps in (1, 2, 3)})))
    more = " ..." if "," in known else ""
    raise RecipeError(f"{job.model.name} makes {known}{more} calls, not {job.calls}")


def _asks_for_noise(method: generate.Method, steps: int) -> bool:
    """Whether an answer is one of many: tried on a single pixel."""
    asked = False

    def normal() -> NDArray[np.float32]:
        nonlocal asked
        asked = True
        return pixel

    pixel = np.zeros((1, 1, 1, 1), np.float32)
    method.restore(lambda x, degraded, t: degraded, pixel, normal, steps)
    return asked
