r"""Flows: from noise to an image, or from the posterior mean to a sample of the posterior.

The straight path :math:`x_t = (1 - t)\,x_0 + t\,x_1` joins a start :math:`x_0` at t = 0 to an image
:math:`x_1` at t = 1. In flow matching the start is noise, or the degraded image with some, and a
network learns the velocity :math:`x_1 - x_0`. From the posterior mean :math:`m` the start is
:math:`m + \sigma\varepsilon`, and a network that is shown :math:`x_t` and :math:`m` learns
:math:`\hat x = E[x_1 \mid x_t, m]`, and with it the velocity :math:`(\hat x - x_t)/(1 - t)`.

References:
    Lipman et al., Flow Matching, arXiv:2210.02747
    Kolev, Rodani et al., Eqs. 6-8; Eq. 8 runs t backwards along a velocity that points forwards,
        which cannot be meant: here t rises from the noise, 0, to the image, 1
    Ohayon et al., Posterior-Mean Rectified Flow, arXiv:2410.00418, algorithms 1 and 2
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import RecipeError
from .contract import Array, Network, at_least_one_step, one_of

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


def integrate(
    velocity: Callable[[Array, float], Array], start: Array, steps: int, solver: str = "midpoint"
) -> Array:
    """Where `start`, at t = 0, is at t = 1, in equal steps of the second order or, Euler, first.

    One step is two calls of `velocity(x, t)`, the second in the middle of the step; Euler's is one.
    """
    x, h = start, 1 / steps
    for i in range(steps):
        t = i / steps
        slope = velocity(x, t)
        if solver == "midpoint":
            slope = velocity(x + (h / 2) * slope, t + h / 2)  # type: ignore[operator]
        x = x + h * slope  # type: ignore[operator]
    return x


@dataclass(frozen=True)
class FlowMatching:
    """From noise to the image, along the velocity that the network predicts.

    Attributes:
        solver: "midpoint", two calls a step, or "euler", one.
        around: Standard deviation of the noise around the degraded image, in which the flow then
            begins; 0: it begins in noise alone.
    """

    solver: str = "midpoint"
    around: float = 0.0

    def __post_init__(self) -> None:
        one_of("solver", self.solver, ("midpoint", "euler"))
        if not 0 <= self.around < float("inf"):
            raise RecipeError(f"around must be at least 0, got {self.around}")

    def start(self, degraded: Array, noise: Array) -> Array:
        """Where the flow begins, for standard normal `noise`."""
        return degraded + self.around * noise if self.around else noise  # type: ignore[operator]

    def calls(self, steps: int) -> int:
        """Two a step, or one."""
        return 2 * steps if self.solver == "midpoint" else steps

    def restore(
        self, network: Network[Array], degraded: Array, normal: Callable[[], Array], steps: int
    ) -> Array:
        """See `contract.Method`."""
        at_least_one_step(steps)

        def velocity(x: Array, t: float) -> Array:
            return network(x, degraded, t)

        return integrate(velocity, self.start(degraded, normal()), steps, self.solver)


@dataclass(frozen=True)
class PosteriorFlow:
    """The posterior mean in the first step, and in the others a flow from it; by one network.

    What the network predicts is added to what it is shown as known: at t = 0 the degraded image,
    twice, to give the mean; then a point of the path and the mean.

    Attributes:
        noise: Standard deviation of what is added to the mean before the flow.
    """

    noise: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.noise < float("inf"):
            raise RecipeError(f"noise must be above 0, got {self.noise}")

    def calls(self, steps: int) -> int:
        """One a step."""
        return steps

    def restore(
        self, network: Network[Array], degraded: Array, normal: Callable[[], Array], steps: int
    ) -> Array:
        """See `contract.Method`; one step is the mean alone."""
        at_least_one_step(steps)
        mean = degraded + network(degraded, degraded, 0.0)  # type: ignore[operator]
        if steps == 1:
            return mean

        def predict(x: Array, t: float) -> Array:
            return mean + network(x, mean, max(t, FIRST_TIME))  # type: ignore[operator]

        start = mean + self.noise * normal()  # type: ignore[operator]
        return euler(predict, start, steps - 1)
