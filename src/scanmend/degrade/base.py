"""The contract that every degradation keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..scan import Scan


class Degradation(Protocol):
    """Turns a scan into what the instrument would have recorded.

    An instance is its own configuration: a frozen dataclass of physical parameters.
    All randomness comes from `rng`, so that one seed replays one image.
    """

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """The degraded scan: same field of view, same unit, one more line of history."""
        ...


def chain(steps: Sequence[Degradation], scan: Scan, rng: np.random.Generator) -> Scan:
    """Applies `steps` in the order in which the instrument does."""
    for step in steps:
        scan = step(scan, rng)
    return scan
