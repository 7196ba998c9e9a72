"""What a model is asked for, and what comes back from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import RecipeError
from ..models import Model
from ..scan import Restoration, Scan

Progress = Callable[[float], None]
"""Is told what share of the work is done, 0 to 1."""

CRASH = 30.0
"""How many times farther off than half of all pixels a height is, that must not tilt the plane,
nor set a contrast."""


@dataclass(frozen=True, slots=True)
class Result:
    """Levelled images, in the scan's unit, on the model's grid.

    Attributes:
        mean: The best single answer; shape (rows, columns).
        spread: One standard deviation for each of its pixels, NaN where none is known.
        draws: Others that would fit as well.
        facts: How they came about, for the provenance, with at least `calls`.
    """

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    draws: tuple[NDArray[np.float32], ...]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a model, with what is asked of it.

    Raises:
        RecipeError: One of the numbers is too small.
    """

    model: Model
    calls: int | None
    draws: int
    seed: int
    progress: Progress | None

    def __post_init__(self) -> None:
        for name, least in (("calls", 1), ("draws", 0), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise RecipeError(f"{name} must be at least {least}, got {value}")

    def teller(self, total: float) -> Callable[[float], None]:
        """To be told of work as it is done, in the unit of `total`; tells `progress` the share."""
        done = 0.0

        def tell(work: float) -> None:
            nonlocal done
            done += work
            if self.progress:
                self.progress(min(1.0, done / total))

        return tell

    def restoration(
        self,
        scan: Scan,
        verb: str,
        task: dict[str, Any],
        result: Result,
        back: Callable[[NDArray[np.float32]], NDArray[np.float64]],
        spread: NDArray[np.float32],
    ) -> Restoration:
        """The result on the scan's own grid, each part of it saying where it came from.

        Args:
            scan: What was measured.
            verb: What was done to it, for the history.
            task: The same, for the provenance.
            result: On the model's grid.
            back: Brings a levelled image from there to the scan's tilt and grid.
            spread: On the scan's grid.
        """
        done = f"{verb} by {self.model.name} ({self.model.sha256[:12]})"
        provenance = {
            "scanmend": __version__,
            "source": scan.acquisition.source,
            "source_sha256": scan.acquisition.source_sha256,
            **task,
            "model": self.model.name,
            "model_sha256": self.model.sha256,
            "runtime": self.model.network.runtime,
            **result.facts,
            "draws": self.draws,
            "seed": self.seed,
        }
        return Restoration(
            scan,
            scan.after(f"{done}, {result.facts['calls']} call(s)", back(result.mean)),
            scan.after(f"spread of what was {done}", spread),
            tuple(
                scan.after(f"draw {i} of seed {self.seed}, {done}", back(values))
                for i, values in enumerate(result.draws, 1)
            ),
            provenance,
        )
