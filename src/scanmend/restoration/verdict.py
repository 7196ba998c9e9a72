"""How far a restoration is to be believed: what is known about it, in numbers and in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import level
from ..models import Model
from ..scan import Quantity, Restoration
from .prepare import OBLONG

DOUBTFUL = 0.1
"""Share of the relief; a pixel whose spread exceeds it is doubtful."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a restoration; what is not known is None.

    Attributes:
        task: "restore" or "upscale".
        model: Name of the model.
        surface: What it was trained on.
        pixel_nm: Pitch (rows, columns) of the result, nm.
        model_pixel_nm: Least and greatest pitch that the model was trained at, nm.
        pitch_in_range: Whether the model saw the scan at its own pitch, to 10 %.
        relief: From the 5th to the 95th percentile of the result, of heights without their plane: a
            few spikes, or one step, must not set it.
        unit: Of `relief`.
        doubtful: Share of the measured pixels whose spread exceeds a tenth of the relief.
        not_measured: Share of the pixels that are NaN.
        notes: The same in words, what matters most first.
    """

    task: str
    model: str
    surface: str | None
    pixel_nm: tuple[float, float]
    model_pixel_nm: tuple[float, float]
    pitch_in_range: bool
    relief: float
    unit: str
    doubtful: float | None
    not_measured: float
    notes: tuple[str, ...]


def verdict(result: Restoration, model: Model) -> Verdict:
    """What is known of `result`, which `model` made."""
    said, card = result.provenance, model.card
    low, high = card["pixel_nm"]
    own, seen = result.mean.pixel_nm, said["model_pixel_nm"]
    near = all(abs(s / o - 1) <= 0.1 for s, o in zip(seen, own, strict=True))
    in_range = near and all(low / 1.1 <= o <= high * 1.1 for o in own)

    known = np.isfinite(result.mean.values)
    spread = result.spread.values[known]
    spread = spread[np.isfinite(spread)]
    counts = result.mean.quantity is Quantity.COUNTS
    flat = result.mean if counts else level.plane(result.mean)[0]
    ends = np.percentile(flat.values[known].astype(np.float64), (5, 95))
    relief = float(ends[1] - ends[0])
    doubtful = float(np.mean(spread > DOUBTFUL * relief)) if spread.any() else None
    missing = 1 - float(np.mean(np.isfinite(result.measured.values)))

    notes = []
    unit = result.mean.quantity.value
    if doubtful is None:
        notes.append("how far to trust it is not known: this model says it only of draws")
    else:
        notes.append(
            f"{doubtful:.1%} of the pixels are doubtful: they may be off by more than a tenth of "
            f"the {'contrast' if counts else 'relief'}, {float(f'{relief:.3g}'):g} {unit}"
        )
    if counts and said["task"] == "upscale":
        share = said["factor"] ** 2
        notes.append(f"each pixel has the counts of a measured one, {share} times its own share")
    rows, columns = said.get("pixels_summed", (1, 1))
    if (rows, columns) != (1, 1):
        notes.append(
            f"the model saw {rows} x {columns} pixels as one: no aperture passes anything finer"
        )
    elif counts and max(seen) > 1.1 * max(own):
        notes.append(
            f"the model made pixels of {max(seen):.3g} nm, and splines those of {max(own):.3g} nm: "
            "no aperture passes anything finer"
        )
    elif not in_range:
        size = " x ".join(f"{p:.3g}" for p in own)
        shown = " x ".join(f"{p:.3g}" for p in seen)
        text = f"pixels of {size} nm are not the {low:g}-{high:g} nm that {model.name} learned from"
        notes.append(text if near else f"{text}: it saw them as {shown} nm")
    if max(own) > OBLONG * min(own):
        notes.append("the pixels are far from square, and models learn from square ones")
    if card.get("surface"):
        notes.append(f"the model learned from {card['surface']}: elsewhere its spread is a guess")
    if missing:
        notes.append(f"{missing:.1%} of the pixels were not measured, and stay so")
    if said.get("calls", 1) > 1:
        notes.append("its texture is one of many that fit, not the mean")
    if said.get("ghosts"):
        notes.append("ghosts were looked for: what repeats at one distance may have faded")
    return Verdict(
        said["task"],
        model.name,
        card.get("surface"),
        own,
        (low, high),
        in_range,
        relief,
        unit,
        doubtful,
        missing,
        tuple(notes),
    )
