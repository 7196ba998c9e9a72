"""The way of scans in counts: from electrons that were counted to those that were to be expected.

Nothing is levelled or aligned, for counts have an origin. No detail is finer than the aperture lets
through, so that a scan of finer pixels than the model's is summed up for the network, with more
electrons in each, and what comes back is brought to the scan's pixels by splines; coarser ones, if
the model upscales, are seen on a finer grid.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import counts, resample
from ..errors import ModelError, ScanError
from ..models import Model
from ..scan import Quantity, Restoration, Scan
from . import posterior
from .job import Job, Result

SLACK = 1.1
"""How much finer or coarser than the model's pitches pixels may be: no scale is known better."""


def is_way_of(model: Model) -> bool:
    """Whether a model goes this way."""
    return model.card["quantity"] == Quantity.COUNTS.name and not model.network.has_method


def run(scan: Scan, job: Job, factor: int) -> Restoration:
    """The expected counts of a pixel of `scan`, on a grid `factor` times finer on both axes.

    NaN stays NaN.

    Raises:
        ModelError: The model has no pitch for these pixels.
        ScanError: Nothing was measured, or all pixels are equal.
    """
    if np.isnan(scan.values).all():
        raise ScanError("nothing in this scan was measured: every pixel is NaN")
    summed, split = grid(scan.pixel_nm, factor, job.model)
    seen = _binned(scan, summed)
    filled = _filled(seen)
    affine, noise = counts.affine(filled), counts.noise(seen)
    pitch = seen.pixel_nm[0] / split, seen.pixel_nm[1] / split
    known, raw = counts.shown(filled, split, affine, noise)
    told = counts.told(pitch, split, affine, noise)
    # Gaps were filled with the mean, and no network learns what a gap is from that.
    answer = posterior.answer(job, known, raw, np.ones_like(known), told)

    rows, columns = (factor * n for n in scan.values.shape)
    whole = tuple(factor * n * b for n, b in zip(seen.values.shape, summed, strict=True))
    unknown = np.isnan(scan.values).repeat(factor, axis=0).repeat(factor, axis=1)

    def back(values: NDArray[np.float32]) -> NDArray[np.float64]:
        out = resample.to_shape(values, (whole[0], whole[1]))[:rows, :columns].astype(np.float64)
        out[unknown] = np.nan
        return out

    result = Result(
        affine.undo(answer.best),
        affine.undo_spread(answer.spread),
        tuple(affine.undo(draw) for draw in answer.drawn),
        {"calls": answer.calls},
    )
    spread = np.maximum(back(result.spread), 0).astype(np.float32)
    verb = "restored" if factor == 1 else f"upscaled {factor}x on both axes"
    task: dict[str, Any] = {"task": "restore"} if factor == 1 else {"task": "upscale"}
    task |= {"factor": factor, "axes": "both", "mend": True} if factor > 1 else {}
    task |= {"ghosts": False, "model_pixel_nm": list(pitch), "pixels_summed": list(summed)}
    task |= {"noise_counts": float(f"{noise:.4g}")}
    return job.restoration(scan, verb, task, result, back, spread)


def grid(pixel_nm: tuple[float, float], factor: int, model: Model) -> tuple[tuple[int, int], int]:
    """How many pixels, of rows and columns, are summed, and into how many the sum is split then.

    Raises:
        ModelError: The model has no pitch for these pixels.
    """
    low, high = model.card["pixel_nm"]
    coarsest = model.card.get("coarsest_nm", math.inf)
    wide = max(pixel_nm)
    summed = tuple(max(round(wide / p), math.ceil(low / SLACK / p)) for p in pixel_nm)
    pitch = max(p * n for p, n in zip(pixel_nm, summed, strict=True))
    fit = [
        k
        for k in model.factors
        if low / SLACK <= pitch / k <= high * SLACK and (k == 1 or pitch <= coarsest * SLACK)
    ]
    if not fit:
        least, most = low, max(high, min(max(model.factors) * high, coarsest))
        raise ModelError(
            f"pixels of {wide:.3g} nm are far outside the {least:g}-{most:g} nm that {model.name} "
            "was trained at: check the scan's size, or use another model"
        )
    # As fine as is asked for; if that would only be empty magnification, as fine as it may be.
    split = max((k for k in fit if k <= factor), default=min(fit))
    return (summed[0], summed[1]), split


def _binned(scan: Scan, summed: tuple[int, int]) -> Scan:
    """The mean of so many pixels; of those that were measured, and NaN where none was."""
    if summed == (1, 1):
        return scan
    pad = [(0, -n % b) for n, b in zip(scan.values.shape, summed, strict=True)]
    padded = np.pad(scan.values.astype(np.float64), pad, constant_values=np.nan)
    rows, columns = (n // b for n, b in zip(padded.shape, summed, strict=True))
    blocks = padded.reshape(rows, summed[0], columns, summed[1]).swapaxes(1, 2)
    known = np.isfinite(blocks)
    number = known.sum((2, 3))
    total = np.where(known, blocks, 0).sum((2, 3))
    mean = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    pixel_nm = scan.pixel_nm[0] * summed[0], scan.pixel_nm[1] * summed[1]
    return Scan(mean.astype(np.float32), pixel_nm, scan.quantity)


def _filled(scan: Scan) -> Scan:
    """Gaps as bright as the rest: between lines of few electrons, splines would run wild."""
    gaps = np.isnan(scan.values)
    if not gaps.any():
        return scan
    return scan.after("gaps filled", np.where(gaps, np.nanmean(scan.values), scan.values))
