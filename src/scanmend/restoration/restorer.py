"""Restoration and super-resolution: level, normalise, run the model, and put everything back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .. import __version__, level, resample
from ..errors import ModelError, ScanError
from ..generate.flow import FIRST_TIME, euler
from ..models import Model, load
from ..normalise import Affine
from ..scan import Quantity, Restoration, Scan, must_not_be_huge
from .tiles import Call, whole

Progress = Callable[[float], None]
"""Is told what share of the work is done, 0 to 1."""

REACH = 5.0
"""How many times finer or coarser than the model's pitches a scan may be and still be resampled."""


def restore(
    scan: Scan,
    model: str | None = None,
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
        calls: Calls of the network: 1 gives the posterior mean, more add texture by a flow.
        draws: Samples of the posterior to draw besides; their standard deviation is the spread.
        seed: Decides the draws, and the texture.
        progress: Is told the share of the work that is done.

    Raises:
        ScanError: The scan holds infinities, or nothing but NaN, or one value, or is too large
            or too small.
        ModelError: The model does not exist, or does not fit the scan.
    """
    loaded = load(model)
    _check(scan, loaded)
    levelled, _ = _levelled(scan)
    work = resample.to_pitch(_filled(levelled), _pitch(levelled, loaded))
    mask = resample.to_shape(np.isfinite(scan.values).astype(np.float32), work.values.shape)
    job = _Job(loaded, calls, draws, seed, progress)
    result = job.run(work.values, (mask > 0.5).astype(np.float32), Affine.of(levelled))

    def back(values: NDArray[np.float32]) -> NDArray[np.float64]:
        added = resample.to_shape(values - work.values, scan.values.shape)
        return scan.values + added.astype(np.float64)

    missing = np.isnan(scan.values)
    spread = resample.to_shape(result.spread, scan.values.shape)
    return job.restoration(
        scan,
        scan.after(job.title("restored"), back(result.mean)),
        scan.after("spread", np.where(missing, np.nan, np.maximum(spread, 0))),
        tuple(scan.after(f"draw {i}", back(v)) for i, v in enumerate(result.draws, 1)),
    )


def upscale(
    scan: Scan,
    factor: int,
    model: str | None = None,
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
    rows = scan.values.shape[0]
    finer = replace(scan, pixel_nm=(scan.pixel_nm[0] / factor, scan.pixel_nm[1]))
    _check(scan, loaded, factor)
    low, high = loaded.card["pixel_nm"]
    if not low / 1.25 <= finer.pixel_nm[0] <= high * 1.25:
        raise ModelError(
            f"{factor} times as many lines would be {finer.pixel_nm[0]:.3g} nm apart; "
            f"{loaded.name} was trained at {low:g}-{high:g} nm"
        )

    levelled, plane = _levelled(scan)
    filled = _filled(levelled)
    phase = resample.line_phase(factor)
    measured = np.flatnonzero(~np.isnan(scan.values).all(axis=1))
    at = tuple((measured * factor + phase).tolist())
    weights = resample.line_weights(factor * rows, at)
    columns = resample.to_pitch(filled, (scan.pixel_nm[0], _pitch(finer, loaded)[1]))
    known = weights @ columns.values[measured]
    mask = np.zeros_like(known)
    mask[list(at)] = 1
    job = _Job(loaded, calls, draws, seed, progress)
    result = job.run(known, mask, Affine.of(levelled))

    # The plane by itself, because beyond the last lines a spline would not go on with the tilt.
    lines = (np.arange(factor * rows) - phase)[:, None] / factor
    base = weights @ filled.values[measured] + plane[0] + lines * (plane[1] - plane[0])
    unknown = np.repeat(np.isnan(scan.values), factor, axis=0)

    def back(values: NDArray[np.float32]) -> NDArray[np.float64]:
        out = base + resample.to_shape(values - known, base.shape)
        out[unknown] = np.nan
        if keep_measured:
            out[list(at)] = scan.values[measured]
        return out

    spread = np.maximum(resample.to_shape(result.spread, base.shape), 0)
    if keep_measured:
        spread[list(at)] = 0
    return job.restoration(
        scan,
        scan.after(job.title(f"upscaled {factor}x"), back(result.mean)),
        scan.after("spread", np.where(unknown, np.nan, spread)),
        tuple(scan.after(f"draw {i}", back(v)) for i, v in enumerate(result.draws, 1)),
    )


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

    def run(self, known: NDArray[np.float32], mask: NDArray[np.float32], affine: Affine) -> _Result:
        """The mean, spread and draws for the levelled image `known`, gaps filled in."""
        network = self._network()
        y = affine.apply(known)
        out = network(np.stack([y, y, mask]), 0.0)
        mean, spread = y + out[0], np.sqrt(2) * np.exp(out[1])
        rng = np.random.default_rng(self.seed)

        def predict(x: NDArray[np.float32], t: float) -> NDArray[np.float32]:
            return mean + network(np.stack([x, mean, mask]), max(t, FIRST_TIME))[0]

        def draw(flow_calls: int) -> NDArray[np.float32]:
            noise = rng.standard_normal(mean.shape, dtype=np.float32)
            return euler(predict, mean + self.model.card["flow_noise"] * noise, flow_calls)

        best = mean if self.calls == 1 else draw(self.calls - 1)
        drawn = [draw(max(2, self.calls - 1)) for _ in range(self.draws)]
        if self.draws > 1:
            spread = np.std(drawn, axis=0, ddof=1)
        return _Result(
            affine.undo(best), affine.undo_spread(spread), tuple(affine.undo(d) for d in drawn)
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

    def title(self, verb: str) -> str:
        """The line of history."""
        return f"{verb} by {self.model.name} ({self.model.sha256[:12]}), {self.calls} call(s)"

    def restoration(
        self, measured: Scan, mean: Scan, spread: Scan, draws: tuple[Scan, ...]
    ) -> Restoration:
        """The result with where it came from."""
        provenance = {
            "scanmend": __version__,
            "source": measured.acquisition.source,
            "source_sha256": measured.acquisition.source_sha256,
            "model": self.model.name,
            "model_sha256": self.model.sha256,
            "calls": self.calls,
            "draws": self.draws,
            "seed": self.seed,
        }
        return Restoration(measured, mean, spread, draws, provenance)


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
    for pitch in (scan.pixel_nm[0] / factor, scan.pixel_nm[1]):
        if not low / REACH <= pitch <= high * REACH:
            raise ModelError(
                f"pixels of {pitch:.3g} nm are far outside the {low:g}-{high:g} nm that "
                f"{model.name} was trained at: check the scan's size, or use another model"
            )


def _levelled(scan: Scan) -> tuple[Scan, NDArray[np.floating]]:
    levelled, plane = level.plane(scan)
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


def _filled(scan: Scan) -> Scan:
    """`scan` with missing pixels taken from the nearest measured one of their column, or line."""
    missing = np.isnan(scan.values)
    if not missing.any():
        return scan
    begun = np.flatnonzero(~missing.all(axis=1))
    nearest = np.abs(np.arange(len(missing))[:, None] - begun).argmin(axis=1)
    values = scan.values[begun[nearest]]
    for row in np.flatnonzero(np.isnan(values).any(axis=1)):
        at = np.flatnonzero(~np.isnan(values[row]))
        values[row] = np.interp(np.arange(values.shape[1]), at, values[row, at])
    return scan.after("gaps filled", values)
