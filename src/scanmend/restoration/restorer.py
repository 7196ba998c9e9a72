"""Restoration and super-resolution: level, normalise, run the model, and put everything back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import resample
from ..errors import ModelError
from ..models import Model, default, restorer
from ..normalise import told
from ..scan import Restoration, Scan, must_not_be_huge
from . import counted, posterior, prepare, published
from .job import Job, Progress, Result


def restore(
    scan: Scan,
    model: str | Path | None = None,
    *,
    ghosts: bool = False,
    calls: int | None = None,
    draws: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Restoration:
    """Removes from `scan` what the tip and the electronics did to it.

    The result has the scan's pixels, unit, tilt and offset; what was not measured (NaN) stays so.
    A scan whose pixels are finer or coarser than the model's is resampled for the network only:
    what the network adds is resampled back, and the scan's own detail stays.

    Of a scan in counts, as of an electron microscope, the result has the counts that were to be
    expected, see `restoration.counted`.

    Args:
        scan: What was measured.
        model: Name or path of a model; if None, the default one for what the scan measures.
        ghosts: Whether the scan shows the ghosts of a multiple tip, which are to go as well. A
            network that looked for them in every scan would fade what is real.
        calls: Calls of the network, by default 1: it gives the posterior mean, 3 or more add
            texture by a flow. Of a model with a method of its own, by default the steps on its
            card; what it gives is a sample, as that method draws it.
        draws: How many textures to draw besides. They differ less than the truth may: the spread
            is what the network expects, not theirs. A model with a method expects nothing: its
            spread is how far the draws lie from the result, and NaN without any.
        seed: Decides the draws, and the texture.
        progress: Is told the share of the work that is done.

    Raises:
        ScanError: The scan holds infinities, or nothing but NaN, or one value, or is too large
            or too small.
        ModelError: The model does not exist, does not fit the scan, or knows nothing of ghosts.
        RecipeError: `calls`, `draws` or `seed` is none, or the model's method cannot make them.
    """
    loaded = restorer(model or default(scan.quantity))
    if 1 not in loaded.factors:
        raise ModelError(
            f"{loaded.name} upscales by {_finer(loaded)} and does not restore: use upscale, or "
            "another model"
        )
    job = Job(loaded, calls, draws, seed, progress)
    if counted.is_way_of(loaded):
        return _counted(scan, job, 1, ghosts)
    _check(scan, loaded)
    aligned, jumped = prepare.aligned(scan, loaded)
    levelled, _ = prepare.levelled(aligned)
    pitch = prepare.pitch(levelled.pixel_nm, loaded)
    must_not_be_huge(*(round(size / p) for size, p in zip(scan.size_nm, pitch, strict=True)))
    work = resample.to_pitch(resample.fill_gaps(levelled), pitch)
    said = _told(loaded, work.pixel_nm, mend=True, ghosts=ghosts)
    result = _run(job, work.values, prepare.measured(scan, work.values.shape), levelled, said)

    def back(values: NDArray[np.float32]) -> NDArray[np.float64]:
        added = resample.to_shape(values - work.values, scan.values.shape)
        return aligned.values + added.astype(np.float64)

    spread = np.maximum(resample.to_shape(result.spread, scan.values.shape), 0)
    spread[np.isnan(scan.values)] = np.nan
    task = {"task": "restore", "ghosts": ghosts, "model_pixel_nm": list(work.pixel_nm)}
    task |= {"jumps_at_line": jumped}
    return job.restoration(scan, "restored", task, result, back, spread)


def upscale(
    scan: Scan,
    factor: int,
    model: str | Path | None = None,
    *,
    mend: bool = False,
    ghosts: bool = False,
    keep_measured: bool | None = None,
    calls: int | None = None,
    draws: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Restoration:
    """Puts `factor` lines where one was measured: the slow axis is what costs time.

    Of `factor` new lines, the measured one stands in the middle, or just above it. The other
    arguments, and errors, are those of `restore`.

    Of a scan in counts, both axes are made finer: a beam that moves between pixels costs nothing.
    The result has the counts that were to be expected of a measured pixel, centred elsewhere.

    Args:
        factor: How many lines for one, as many as the model was trained for.
        mend: Whether damage is to be removed as well; of counts, it always is.
        keep_measured: Whether the measured lines come back as they were, to the last bit; by
            default unless they are to be mended.
    """
    loaded = restorer(model or default(scan.quantity))
    if factor not in loaded.factors or factor < 2:
        known = f"upscales by {_finer(loaded)}, not by {factor}"
        if not _finer(loaded):
            known = "restores and does not upscale: use restore, or another model"
        raise ModelError(f"{loaded.name} {known}")
    job = Job(loaded, calls, draws, seed, progress)
    if counted.is_way_of(loaded):
        if keep_measured:
            raise ModelError(
                f"{loaded.name} says which counts were to be expected, on a grid on which no "
                "measured pixel stands: leave out keep_measured"
            )
        return _counted(scan, job, factor, ghosts)
    if mend and not (loaded.network.has_method or "told" in loaded.card):
        raise ModelError(f"{loaded.name} cannot be told to mend: use a model whose card says told")
    _check(scan, loaded, factor)
    mend |= ghosts
    aligned, jumped = prepare.aligned(scan, loaded) if mend else (scan, [])
    levelled, plane = prepare.levelled(aligned)
    filled = resample.fill_gaps(levelled)
    rows = scan.values.shape[0]
    phase = resample.line_phase(factor)
    keep_measured = not mend if keep_measured is None else keep_measured
    measured = np.flatnonzero(~np.isnan(scan.values).all(axis=1))
    at = measured * factor + phase
    pitch = prepare.pitch((scan.pixel_nm[0] / factor, scan.pixel_nm[1]), loaded)
    columns = resample.to_pitch(filled, (scan.pixel_nm[0], pitch[1]))
    fill = published.repeat_lines if loaded.network.has_method else resample.fill_lines
    known = fill(columns.values[measured], at, factor * rows)
    mask = np.zeros_like(known)
    mask[at] = prepare.measured(scan, columns.values.shape)[measured]
    pixel_nm = (scan.pixel_nm[0] / factor, columns.pixel_nm[1])
    said = _told(loaded, pixel_nm, mend=mend, ghosts=ghosts)
    result = _run(job, known, mask, levelled, said)

    # The plane by itself, because beyond the last lines a spline would not go on with the tilt.
    lines = (np.arange(factor * rows) - phase)[:, None] / factor
    base = fill(filled.values[measured], at, factor * rows)
    base = base + plane[0] + lines * (plane[1] - plane[0])
    unknown = np.repeat(np.isnan(scan.values), factor, axis=0)

    def back(values: NDArray[np.float32]) -> NDArray[np.float64]:
        out = base + resample.to_shape(values - known, base.shape)
        out[unknown] = np.nan
        if keep_measured:
            out[at] = scan.values[measured]
        return out

    spread = np.maximum(resample.to_shape(result.spread, base.shape), 0)
    if keep_measured:
        spread[at] = 0
    spread[unknown] = np.nan
    task = {"task": "upscale", "factor": factor, "mend": mend, "ghosts": ghosts}
    task |= {"keep_measured": keep_measured, "model_pixel_nm": list(pixel_nm)}
    task |= {"jumps_at_line": jumped}
    return job.restoration(scan, f"upscaled {factor}x", task, result, back, spread)


def _counted(scan: Scan, job: Job, factor: int, ghosts: bool) -> Restoration:
    """The way of counts; it has no ghosts, planes, or lines that matter more than columns."""
    rows, columns = scan.values.shape
    prepare.sound(scan, job.model, factor * rows, factor * columns)
    if ghosts:
        raise ModelError(f"{job.model.name} knows nothing of ghosts: they are a tip's")
    return counted.run(scan, job, factor)


def _run(
    job: Job,
    known: NDArray[np.float32],
    mask: NDArray[np.float32],
    levelled: Scan,
    said: NDArray[np.float32] | None,
) -> Result:
    if job.model.network.has_method:
        return published.run(job, known, mask, levelled)
    return posterior.run(job, known, mask, levelled, said)


def _told(
    model: Model, pixel_nm: tuple[float, float], *, mend: bool, ghosts: bool
) -> NDArray[np.float32] | None:
    """What the model's network is told; None if it listens to nothing."""
    if "told" in model.card:
        return told(pixel_nm, mend=mend, ghosts=ghosts)
    if ghosts:
        raise ModelError(f"{model.name} cannot be told of ghosts: use a model whose card says told")
    return None


def _finer(model: Model) -> str:
    """The factors by which it upscales."""
    return ", ".join(str(factor) for factor in model.factors if factor > 1)


def _check(scan: Scan, model: Model, factor: int = 1) -> None:
    """Refuses what cannot be restored to `factor` times the lines, before any work is done."""
    rows, columns = scan.values.shape
    prepare.sound(scan, model, factor * rows, columns)
    low, high = model.card["pixel_nm"]
    apart, across = scan.pixel_nm
    if factor > 1 and not low / 1.25 <= apart / factor <= 1.25 * high:
        raise ModelError(
            f"lines {apart:.3g} nm apart: to put {factor} in the place of one, {model.name} needs "
            f"them {factor * low:.3g}-{factor * high:.3g} nm apart"
            + (" (restore takes them as they are)" if apart <= 1.25 * high else "")
        )
    prepare.must_be_near((apart / factor, across), model)
