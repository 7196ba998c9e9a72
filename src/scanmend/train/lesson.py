"""What a training teaches; the loop knows nothing more of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

VALIDATION_SEED = 1_000_003
"""Validation samples have a seed that no settings file would choose by chance."""

Sampler = Callable[[int], tuple[NDArray[np.float32], ...]]
"""Gives the arrays of the sample of a number, everything random included; can be pickled."""


class Lesson(Protocol):
    """A frozen dataclass of settings, which is a table of the settings file."""

    @property
    def score(self) -> str:
        """The figure of `validate` that is to be as large as it can."""
        ...

    def network(self) -> nn.Module:
        """The untrained network."""
        ...

    def sampler(self, seed: int) -> Sampler:
        """What it is trained on."""
        ...

    def losses(self, net: nn.Module, batch: tuple[Tensor, ...], progress: float) -> Tensor:
        """The loss of each sample, shape (batch,).

        Args:
            net: As from `network`.
            batch: The arrays of the sampler, stacked.
            progress: Share of the training that is behind us.
        """
        ...

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Figures on samples never trained on, by name, which ends with the unit."""
        ...

    def data(self) -> dict[str, Any]:
        """What it is taught with, names and hashes; plain JSON values."""
        ...

    def card(self, net: nn.Module) -> dict[str, Any]:
        """What a model file must say so that it can be run."""
        ...


@runtime_checkable
class Adapts(Protocol):
    """A lesson that can begin with the weights of a network of other planes."""

    def adapted(
        self, weights: dict[str, NDArray[Any]], card: dict[str, Any]
    ) -> dict[str, NDArray[Any]]:
        """The weights of a model, by their names, as this lesson's network has them.

        Raises:
            TrainingError: They are of another network altogether.
        """
        ...
