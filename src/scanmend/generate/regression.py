"""The image itself, in one call: no sample, but the mean or the median of all that it may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .contract import Array, Network, one_of


@dataclass(frozen=True)
class Regression:
    """The network's answer, however many steps are asked for.

    A network that takes an image on its way is shown the degraded one in its place, at t = 0.

    Attributes:
        loss: "l1", which makes it the median, or "l2", the mean.
        residual: Whether the network says what to add to the degraded image.
    """

    loss: str = "l1"
    residual: bool = False

    def __post_init__(self) -> None:
        one_of("loss", self.loss, ("l1", "l2"))

    def calls(self, steps: int) -> int:
        """One."""
        return 1

    def restore(
        self, network: Network[Array], degraded: Array, normal: Callable[[], Array], steps: int
    ) -> Array:
        """See `contract.Method`."""
        answer = network(degraded, degraded, 0.0)
        return degraded + answer if self.residual else answer  # type: ignore[operator]
