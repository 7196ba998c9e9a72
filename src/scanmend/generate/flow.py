r"""A flow from the posterior mean, plus a little noise, towards a sample of the posterior.

The straight path :math:`x_t = (1 - t)\,(m + \sigma\varepsilon) + t\,x` joins the mean :math:`m` at
t = 0 to an image :math:`x` at t = 1. A network that is shown :math:`x_t` and :math:`m` predicts
:math:`\hat x = E[x \mid x_t, m]`, and with it the velocity :math:`(\hat x - x_t)/(1 - t)`.

References:
    Ohayon et al., Posterior-Mean Rectified Flow, arXiv:2410.00418, algorithms 1 and 2
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Array = TypeVar("Array")

FIRST_TIME = 0.01
"""What a network is told at the flow's beginning: a time of 0 asks it for the posterior mean."""


def between(start: Array, end: Array, t: Array | float) -> Array:
    """The point at t of the straight path from `start` (t = 0) to `end` (t = 1)."""
    return start + t * (end - start)  # type: ignore[operator]


def euler(predict: Callable[[Array, float], Array], start: Array, calls: int) -> Array:
    """Follows the flow from `start` in `calls` equal steps; `predict(x, t)` returns x-hat.

    The last step lands on the last prediction itself, so that one call is that prediction.
    """
    x = start
    for i in range(calls):
        t = i / calls
        x = between(x, predict(x, t), (1 / calls) / (1 - t))
    return x
