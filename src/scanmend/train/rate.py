"""How fast a network can learn: its loss while the learning rate rises.

References:
    L. N. Smith, Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186, Sec. 3.3
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import TrainingError
from ..io.write import whole
from .learner import Learner
from .processes import Processes
from .settings import Settings

_SMOOTH = 0.9
_SETTLED, _WINDOW = 10, 13
"""Batches before averages are of as many, and that a slope is taken over."""

_HOPELESS = 4.0
"""The test ends where the loss has grown to this many times its lowest."""


def find_rate(
    settings: Settings,
    folder: Path,
    *,
    low: float = 1e-6,
    high: float = 1.0,
    batches: int = 120,
    workers: int = 1,
    device: str | None = None,
) -> float:
    """The learning rate at which the loss falls fastest; `rates.jsonl` in `folder` tells all.

    A new network is trained for `batches`, from the rate `low` on to `high`, by a constant factor
    a batch, or until its loss explodes. Losses are averaged over about ten batches.

    Raises:
        TrainingError: There are fewer than 10 batches, the range is none, or the loss explodes
            within 10 of them.
    """
    if not 0 < low < high or batches < 10:
        raise TrainingError(
            f"a range test goes from a low rate to a higher one in 10 batches or more, got "
            f"{low:g} to {high:g} in {batches}"
        )
    rates = np.geomspace(low, high, batches)
    settings = replace(settings, iterations=batches)
    losses: list[float] = []
    folder.mkdir(parents=True, exist_ok=True)
    with Processes.joined(device) as processes:
        learner = Learner(settings, processes, workers)
        smooth, lowest = 0.0, math.inf
        for k, batch in enumerate(learner.batches(0, batches)):
            try:
                loss, _ = learner.step(k, batch, float(rates[k]))
            except TrainingError:  # not finite any more
                break
            smooth = _SMOOTH * smooth + (1 - _SMOOTH) * loss.item()
            losses.append(smooth / (1 - _SMOOTH ** (k + 1)))
            lowest = min(lowest, losses[-1])
            if losses[-1] > _HOPELESS * lowest:
                break
    if len(losses) < 10:
        raise TrainingError(
            f"the loss explodes at a rate of {rates[len(losses) - 1]:.3g}: begin with a lower one"
        )
    lines = [json.dumps({"rate": r, "loss": v}) for r, v in zip(rates, losses, strict=False)]
    if processes.first:
        with whole(folder / "rates.jsonl", overwrite=True) as unfinished:
            unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return suggested(rates[: len(losses)], np.array(losses))


def suggested(rates: np.ndarray, losses: np.ndarray) -> float:
    """Where the loss falls fastest with the logarithm of the rate, before its lowest point."""
    lowest = max(2, int(np.argmin(losses)) + 1)
    # The first averages are of few batches, and their differences those of luck.
    first = min(_SETTLED, lowest // 2)
    slope = np.gradient(losses, np.log(rates))[first:lowest]
    window = min(_WINDOW, len(slope))
    smooth = np.convolve(slope, np.ones(window) / window, "valid")
    return float(rates[first + int(np.argmin(smooth)) + window // 2])
