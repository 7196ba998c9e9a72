"""The way of the shipped models: the posterior mean in one call, and a flow from it for texture."""

from __future__ import annotations

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
    calls = job.calls or 1
    card = job.model.card
    tell = job.teller(calls + job.draws * max(2, calls - 1))
    call = partial(job.model.network, told=told)
    network = whole(call, card["multiple"], card.get("reach", REACH), tell)
    affine = Affine.of(levelled)
    y = affine.apply(known)
    view = np.clip(y, -VIEW, VIEW)
    out = network(np.stack([view, view, mask]), 0.0)
    mean = view + out[0]
    spread = np.sqrt(2) * np.exp(np.minimum(out[1], np.log(VIEW)))
    # Of what stands out of view, as much is kept as the network keeps of what it sees.
    kept = np.clip(np.divide(mean, view, out=np.zeros_like(y), where=view != y), 0, 1)
    beyond = kept * (y - view)
    rng = np.random.default_rng(job.seed)

    def predict(x: NDArray[np.float32], t: float) -> NDArray[np.float32]:
        return mean + network(np.stack([x, mean, mask]), max(t, FIRST_TIME))[0]

    def draw(flow_calls: int) -> NDArray[np.float32]:
        noise = rng.standard_normal(mean.shape, dtype=np.float32)
        return euler(predict, mean + card["flow_noise"] * noise, flow_calls)

    best = mean if calls == 1 else draw(calls - 1)
    drawn = [draw(max(2, calls - 1)) for _ in range(job.draws)]
    return Result(
        affine.undo(best + beyond),
        affine.undo_spread(spread),
        tuple(affine.undo(d + beyond) for d in drawn),
        {"calls": calls},
    )
