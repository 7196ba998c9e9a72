"""Restoration and super-resolution: level, normalise, run the model, and put everything back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__, level, resample
from ..errors import ModelError, RecipeError, ScanError
from ..generate.flow import FIRST_TIME, euler
from ..models import Model, load
from ..normalise import Affine
from ..scan import Quantity, Restoration, Scan, must_not_be_huge
from .tiles import Call, whole

Progress = Callable[[float], None]
"""Is told what share of the work is done, 0 to 1."""

VIEW = 8.0
"""What the network is shown of a height, in its units, in which 3.3 is the scan's relief. All but a
few pixels in ten thousand lie inside; a tip crash does not, and would upset the network far off."""

CRASH = 30.0
"""How many times farther off than half of all pixels a height is, that must not tilt the plane."""

REACH = 5.0
"""How many times finer or coarser than the model's pitches a scan may be and still be resampled."""


def restore(
    scan: Scan,
    model: str | Path | None = None,
    *,
    calls: int = 1,
    draws: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Restoration:
    """Removes from `scan` what the tip and the electronics did to it.

    The result has the scan's pixels, unit, tilt and offset; what was not measured (NaN) stays so.
    A scan whose pixels are finer or coarser than the model's is resampled for the network only:
    what the network adds is resampled back, and the scan's own detail stays.

    Args:
        scan: What was measured.
        model: Name or path of a model; the default one if None.
        calls: Calls of the network: 1 gives the posterior mean, 3 or more add texture by a flow.
        draws: How many textures to draw besides. They differ less than the truth may: the spread
            is what the network expects, not theirs.
        seed: Decides the draws, and the texture.
        progress: Is told the share of the work that is done.

    Raises:
        ScanError: The scan holds infinities, or nothing but NaN, or one value, or is too large
            or too small.
        ModelError: The model does not exist, or does not fit the scan.
        RecipeError: `calls`, `draws` or `seed` is none.
    """
    loaded = load(model)
    _check(scan, loaded)
    levelled, _ = _levelled(scan)
    work = resample.to_pitch(resample.fill_gaps(levelled), _pitch(levelled, loaded))
    job = _Job(loaded, calls, draws, seed, progress)
    result = job.run(work.values, _mask(scan, work.values.shape), Affine.of(levelled))

    def back(values: NDArray[np.float32]) -> NDArray[np.float64]:
        added = resample.to_shape(values - work.values, scan.values.shape)
        return scan.values + added.astype(np.float64)

    spread = np.maximum(resample.to_shape(result.spread, scan.values.shape), 0)
    spread[np.isnan(scan.values)] = np.nan
    task = {"task": "restore", "model_pixel_nm": list(work.pixel_nm)}
    return job.restoration(scan, "restored", task, result, back, spread)


def upscale(
    scan: Scan,
    factor: int,
    model: str | Path | None = None,
    *,
    keep_measured: bool = True,
    calls: int = 1,
    draws: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Restoration:
    """Puts `factor` lines where one was measured: the slow axis is what costs time.

    Of `factor` new lines, the measured one stands in the middle, or just above it. The other
    arguments, and errors, are those of `restore`.

    Args:
        factor: How many lines for one, as many as the model was trained for.
        keep_measured: Whether the measured lines come back as they were, to the last bit.
    """
    loaded = load(model)
    if factor not in loaded.card["factors"] or factor < 2:
        known = ", ".join(str(k) for k in loaded.card["factors"] if k > 1)
        raise ModelError(f"{loaded.name} upscales by {known}, not by {factor}")
    _check(scan, loaded, factor)
    levelled, plane = _levelled(scan)
    filled = resample.fill_gaps(levelled)
    rows = scan.values.shape[0]
    phase = resample.line_phase(factor)
    measured = np.flatnonzero(~np.isnan(scan.values).all(axis=1))
    at = measured * factor + phase
    columns = resample.to_pitch(filled, (scan.pixel_nm[0], _pitch(scan, loaded)[1]))
    known = resample.fill_lines(columns.values[measured], at, factor * rows)
    mask = np.zeros_like(known)
    mask[at] = _mask(scan, columns.values.shape)[measured]
    job = _Job(loaded, calls, draws, seed, progress)
    result = job.run(known, mask, Affine.of(levelled))

    # The plane by itself, because beyond the last lines a spline would not go on with the tilt.
    lines = (np.arange(factor * rows) - phase)[:, None] / factor
    base = resample.fill_lines(filled.values[measured], at, factor * rows)
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
    pixel_nm = [scan.pixel_nm[0] / factor, columns.pixel_nm[1]]
    task = {"task": "upscale", "factor": factor, "keep_measured": keep_measured}
    task |= {"model_pixel_nm": pixel_nm}
    return job.restoration(scan, f"upscaled {factor}x", task, result, back, spread)


@dataclass(frozen=True, slots=True)
class _Result:
    """Levelled images, in the scan's unit, on the model's grid."""

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    draws: tuple[NDArray[np.float32], ...]


@dataclass(frozen=True, slots=True)
class _Job:
    """One run of a model, with what is asked of it."""

    model: Model
    calls: int
    draws: int
    seed: int
    progress: Progress | None

    def __post_init__(self) -> None:
        for name, least in (("calls", 1), ("draws", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise RecipeError(f"{name} must be at least {least}, got {getattr(self, name)}")

    def run(self, known: NDArray[np.float32], mask: NDArray[np.float32], affine: Affine) -> _Result:
        """The mean, spread and draws for the levelled image `known`, gaps filled in."""
        network = self._network()
        y = affine.apply(known)
        view = np.clip(y, -VIEW, VIEW)
        out = network(np.stack([view, view, mask]), 0.0)
        mean = view + out[0]
        spread = np.sqrt(2) * np.exp(np.minimum(out[1], np.log(VIEW)))
        # Of what stands out of view, as much is kept as the network keeps of what it sees.
        kept = np.clip(np.divide(mean, view, out=np.zeros_like(y), where=view != y), 0, 1)
        beyond = kept * (y - view)
        rng = np.random.default_rng(self.seed)

        def predict(x: NDArray[np.float32], t: float) -> NDArray[np.float32]:
            return mean + network(np.stack([x, mean, mask]), max(t, FIRST_TIME))[0]

        def draw(flow_calls: int) -> NDArray[np.float32]:
            noise = rng.standard_normal(mean.shape, dtype=np.float32)
            return euler(predict, mean + self.model.card["flow_noise"] * noise, flow_calls)

        best = mean if self.calls == 1 else draw(self.calls - 1)
        drawn = [draw(max(2, self.calls - 1)) for _ in range(self.draws)]
        return _Result(
            affine.undo(best + beyond),
            affine.undo_spread(spread),
            tuple(affine.undo(d + beyond) for d in drawn),
        )

    def _network(self) -> Call:
        """The model for images of any size, telling `progress` the share of all calls made."""
        total = self.calls + self.draws * max(2, self.calls - 1)
        made = 0.0

        def tell(share_of_call: float) -> None:
            nonlocal made
            made += share_of_call
            if self.progress:
                self.progress(min(1.0, made / total))

        return whole(self.model.network, self.model.card["multiple"], tell)

    def restoration(
        self,
        scan: Scan,
        verb: str,
        task: dict[str, Any],
        result: _Result,
        back: Callable[[NDArray[np.float32]], NDArray[np.float64]],
        spread: NDArray[np.float32],
    ) -> Restoration:
        """The result on the scan's own grid, each part of it saying where it came from.

        Args:
            scan: What was measured.
            verb: What was done to it, for the history.
            task: The same, for the provenance.
            result: On the model's grid.
            back: Brings a levelled image from there to the scan's tilt and grid.
            spread: On the scan's grid.
        """
        done = f"{verb} by {self.model.name} ({self.model.sha256[:12]})"
        provenance = {
            "scanmend": __version__,
            "source": scan.acquisition.source,
            "source_sha256": scan.acquisition.source_sha256,
            **task,
            "model": self.model.name,
            "model_sha256": self.model.sha256,
            "calls": self.calls,
            "draws": self.draws,
            "seed": self.seed,
        }
        return Restoration(
            scan,
            scan.after(f"{done}, {self.calls} call(s)", back(result.mean)),
            scan.after(f"spread of what was {done}", spread),
            tuple(
                scan.after(f"draw {i} of seed {self.seed}, {done}", back(values))
                for i, values in enumerate(result.draws, 1)
            ),
            provenance,
        )


def _check(scan: Scan, model: Model, factor: int = 1) -> None:
    """Refuses what cannot be restored to `factor` times the lines, before any work is done."""
    rows, columns = scan.values.shape
    must_not_be_huge(factor * rows, columns)
    if min(rows, columns) < 8:
        raise ScanError(f"a scan of {rows}x{columns} pixels is too small: 8 at least")
    known = Quantity[model.card["quantity"]]
    if scan.quantity is not known:
        raise ModelError(
            f"the scan is in {scan.quantity.value}, and {model.name} was trained on {known.value}: "
            "choose another channel or model, or say the unit if the file does not (--unit)"
        )
    if np.isinf(scan.values).any():
        raise ScanError("the scan holds infinite pixels: mark what was not measured by NaN")
    low, high = model.card["pixel_nm"]
    apart, across = scan.pixel_nm
    if factor > 1 and not low / 1.25 <= apart / factor <= 1.25 * high:
        raise ModelError(
            f"lines {apart:.3g} nm apart: to put {factor} in the place of one, {model.name} needs "
            f"them {factor * low:.3g}-{factor * high:.3g} nm apart"
            + (" (restore takes them as they are)" if apart <= 1.25 * high else "")
        )
    for pitch in (apart / factor, across):
        if not low / REACH <= pitch <= high * REACH:
            raise ModelError(
                f"pixels of {pitch:.3g} nm are far outside the {low:g}-{high:g} nm that "
                f"{model.name} was trained at: check the scan's size, or use another model"
            )


def _levelled(scan: Scan) -> tuple[Scan, NDArray[np.floating]]:
    levelled, plane = level.plane(scan)
    off = np.abs(levelled.values - np.nanmedian(levelled.values))
    if (crash := off > CRASH * np.nanmedian(off)).any():
        # Found without the tilt, and so the same however a scan is tilted.
        plane = level.plane(scan.after("no crash", np.where(crash, np.nan, scan.values)))[1]
        levelled = scan.after("level plane", scan.values - plane)
    # Less than the last bits of float32 is no relief, but the rounding of a constant or a plane.
    if np.nanmax(np.abs(levelled.values)) <= 1e-6 * np.nanmax(np.abs(scan.values)):
        where = f"{np.nanmedian(scan.values):g} {scan.quantity.value}"
        raise ScanError(f"the scan is flat, at about {where}: there is nothing to restore")
    return levelled, plane


def _pitch(scan: Scan, model: Model) -> tuple[float, float]:
    """The pitch (rows, columns) to run at: the scan's own where the model knows it."""
    low, high = model.card["pixel_nm"]
    # A scale is seldom known better than to 10 %: a scan just outside is not worth resampling.
    own = tuple(p if low / 1.1 <= p <= high * 1.1 else (low + high) / 2 for p in scan.pixel_nm)
    return own[0], own[1]


def _mask(scan: Scan, shape: tuple[int, int]) -> NDArray[np.float32]:
    """1 where the scan was measured, else 0, on a grid of `shape`."""
    known = resample.to_shape(np.isfinite(scan.values).astype(np.float32), shape)
    return (known > 0.5).astype(np.float32)
