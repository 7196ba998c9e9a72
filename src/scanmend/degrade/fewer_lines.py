"""A scan of fewer lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import RecipeError
from ..scan import Scan


@dataclass(frozen=True)
class FewerLines:
    """Keeps every k-th scan line and puts each of the others equal to the nearest kept one.

    The lines in between were never scanned, so nothing is averaged. The frame keeps its number
    of lines; the kept ones stay where they were measured, bit for bit, and `kept_lines` finds
    them again from the history. `phase = keep_every // 2` is the plain k-fold repeat.

    Attributes:
        keep_every: k; 1 keeps all.
        phase: The first line kept, below `keep_every`; drawn for each scan by default.

    Raises:
        RecipeError: `keep_every` is 0, or `phase` is not below it.

    References:
        Kolev, Rodani et al., Sec. II A, step 7
    """

    keep_every: int = 4
    phase: int | None = None

    def __post_init__(self) -> None:
        if self.keep_every < 1 or not 0 <= (self.phase or 0) < self.keep_every:
            raise RecipeError(
                "FewerLines needs keep_every of at least 1 and a phase below it, "
                f"got keep_every {self.keep_every}, phase {self.phase}"
            )

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws the phase if it is open; a scan shorter than the phase keeps its last line."""
        phase = int(rng.integers(self.keep_every)) if self.phase is None else self.phase
        rows = len(scan.values)
        phase = min(phase, rows - 1)
        kept = np.arange(phase, rows, self.keep_every)
        nearest = (np.arange(rows) - phase + self.keep_every // 2) // self.keep_every
        values = scan.values[kept[np.clip(nearest, 0, len(kept) - 1)]]
        values[np.isnan(scan.values)] = np.nan
        return scan.after(f"fewer lines: every {self.keep_every} from {phase}", values)


def kept_lines(scan: Scan) -> slice:
    """The rows that were measured, as the history tells; all, where no lines were left out."""
    for step in reversed(scan.history):
        if step.startswith("fewer lines: every "):
            words = step.split()
            return slice(int(words[5]), None, int(words[3]))
    return slice(0, None, 1)
