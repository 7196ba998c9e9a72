"""What every method of drawing an image is, and what it is given to do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ..errors import RecipeError

Array = TypeVar("Array")

Network = Callable[[Array, Array, float], Array]
"""From the image on its way, the degraded image, and a time in [0, 1], to what it has learnt."""


class Method(Protocol):
    """How a network turns a degraded image into a clean one, and so what it has to learn.

    An instance is its own configuration: a frozen dataclass of plain numbers and words.
    """

    def restore(
        self, network: Network[Array], degraded: Array, normal: Callable[[], Array], steps: int
    ) -> Array:
        """Images for the degraded ones.

        Args:
            network: What was trained.
            degraded: Shape (batch, 1, rows, columns), in [-1, 1].
            normal: Standard normal noise like `degraded`, at each call another.
            steps: Of the sampler.

        Returns:
            As `degraded`; what leaves [-1, 1] is not cut off, unless the method does.

        Raises:
            RecipeError: The method does not take so many steps.
        """
        ...

    def calls(self, steps: int) -> int:
        """How often `restore` calls the network in so many steps."""
        ...


def at_least_one_step(steps: int) -> None:
    """Raises RecipeError if there is none."""
    if steps < 1:
        raise RecipeError(f"steps must be at least 1, got {steps}")


def one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Raises RecipeError if `value` is not among those known."""
    if value not in known:
        raise RecipeError(f"{name} must be {' or '.join(known)}, got {value!r}")
