"""The way of the shipped models: the posterior mean in one call, and a flow from it for texture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..generate.flow import FIRST_TIME, euler
from ..normalise import Affine
from ..scan import Scan
from .job import Job, Result
from .tiles import whole

REACH = 128
"""How far off pixels can be that a pixel depends on, if the model's card does not say it."""

VIEW = 8.0
"""What the network is shown of a height, in its units, in which 3.3 is the scan's relief. All but a
few pixels in ten thousand lie inside; a tip crash does not, and would upset the network far off."""


def run(
    job: Job,
    known: NDArray[np.float32],
    mask: NDArray[np.float32],
    levelled: Scan,
    told: NDArray[np.float32] | None,
) -> Result:
    """The mean, spread and draws for the levelled image `known`, gaps filled in.

    Args:
        job: What is wished for; one call where it does not say how many.
        known: What is known, in the scan's unit, on the model's grid.
        mask: 1 where that was measured.
        levelled: The scan, of which the range of heights is taken.
        told: What the network is told besides; None if it listens to nothing.
    """
    affine = Affine.of(levelled)
    y = affine.apply(known)
    view = np.clip(y, -VIEW, VIEW)
    found = answer(job, view, view, mask, told)
    # Of what stands out of view, as much is kept as the network keeps of what it sees.
    kept = np.clip(np.divide(found.mean, view, out=np.zeros_like(y), where=view != y), 0, 1)
    beyond = kept * (y - view)
    return Result(
        affine.undo(found.best + beyond),
        affine.undo_spread(found.spread),
        tuple(affine.undo(d + beyond) for d in found.drawn),
        {"calls": found.calls},
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """Of a network, in its units; each image of shape (rows, columns).

    Attributes:
        mean: Of all that may be the truth.
        best: That, or with more calls than one, one of them.
        spread: One standard deviation.
        drawn: Others.
        calls: How often it was asked for `best`.
    """

    mean: NDArray[np.float32]
    best: NDArray[np.float32]
    spread: NDArray[np.float32]
    drawn: tuple[NDArray[np.float32], ...]
    calls: int


def answer(
    job: Job,
    known: NDArray[np.float32],
    seen: NDArray[np.float32],
    mask: NDArray[np.float32],
    told: NDArray[np.float32] | None,
) -> Answer:
    """Asks the network.

    Args:
        job: What is wished for; one call where it does not say how many.
        known: What the network adds to, in its units.
        seen: What it is shown besides; of heights, the same.
        mask: 1 where that was measured.
        told: What it is told; None if it listens to nothing.
    """
    calls = job.calls or 1
    card = job.model.card
    tell = job.teller(calls + job.draws * max(2, calls - 1))
    call = partial(job.model.network, told=told)
    network = whole(call, card["multiple"], card.get("reach", REACH), tell)
    out = network(np.stack([known, seen, mask]), 0.0)
    mean = known + out[0]
    rng = np.random.default_rng(job.seed)

    def predict(x: NDArray[np.float32], t: float) -> NDArray[np.float32]:
        return mean + network(np.stack([x, mean, mask]), max(t, FIRST_TIME))[0]

    def draw(flow_calls: int) -> NDArray[np.float32]:
        noise = rng.standard_normal(mean.shape, dtype=np.float32)
        return euler(predict, mean + card["flow_noise"] * noise, flow_calls)

    return Answer(
        mean=mean,
        best=mean if calls == 1 else draw(calls - 1),
        spread=np.sqrt(2) * np.exp(np.minimum(out[1], np.log(VIEW))),
        drawn=tuple(draw(max(2, calls - 1)) for _ in range(job.draws)),
        calls=calls,
    )
