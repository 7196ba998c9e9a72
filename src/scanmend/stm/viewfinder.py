"""Scans of an experiment that somebody is changing, as soon as they are asked for.

What takes long, a material's electrons, is prepared with room to spare: for a bias and a frame that
are somewhat larger than asked for, so that it stays while they change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .distribution import Distribution
from .experiment import Experiment
from .exposure import Exposure
from .microscope import Microscope

BIAS_STEP_V = 0.5
WIDTHS_NM = [m * 2.0**k for k in range(8) for m in (2, 3)]  #: [nm] 2, 3, 4, 6, 8, 12 ...


@dataclass(frozen=True, slots=True)
class _Room:
    """What electrons are prepared for: a square frame, a bias of either sign, a second apex."""

    material: str
    electrons: str | None
    bias_V: float
    side_nm: float
    apart_nm: float

    @classmethod
    def of(cls, experiment: Experiment) -> _Room:
        """As much as all that may be drawn takes, and up to the next step."""
        bias, width, rows, columns, apart = (
            [abs(float(value)) for value in experiment.extremes(table, key)]
            for table, key in (
                ("tunnelling", "bias_V"),
                ("frame", "width_nm"),
                ("frame", "rows"),
                ("frame", "columns"),
                ("tip", "double_nm"),
            )
        )
        side_nm = max(width) * max(1.0, max(rows) / min(columns))
        return cls(
            experiment.material,
            experiment.electrons,
            BIAS_STEP_V * max(1, math.ceil(max(bias) / BIAS_STEP_V)),
            next((w for w in WIDTHS_NM if w >= side_nm), side_nm),
            float(math.ceil(max(apart))),
        )

    def has(self, other: _Room) -> bool:
        """Whether it has that one's electrons."""
        alike = (self.material, self.electrons) == (other.material, other.electrons)
        sizes = ("bias_V", "side_nm", "apart_nm")
        return alike and all(getattr(self, s) >= getattr(other, s) for s in sizes)

    def microscope(self) -> Microscope:
        """One that fills it."""
        tables = {
            "frame": {"width_nm": self.side_nm},
            "tunnelling": {"bias_V": Distribution("uniform", (-self.bias_V, self.bias_V))},
            "tip": {"double_nm": self.apart_nm},
        }
        return Microscope(Experiment("room", self.material, self.electrons, 1, tables))


class Viewfinder:
    """Looks at one experiment after the other; what the last one prepared serves the next."""

    def __init__(self) -> None:
        self._known: tuple[_Room, Microscope] | None = None

    def exposure(self, experiment: Experiment, seed: int, number: int) -> Exposure:
        """A scan of an experiment, by its number; see `Microscope.exposure`.

        Raises:
            SimulationError: Something in it cannot be carried out.
        """
        asked = _Room.of(experiment)
        if self._known is None or not self._known[0].has(asked):
            self._known = None  # not two at a time
            self._known = asked, asked.microscope()
        room, microscope = self._known
        self._known = room, microscope.turned_to(experiment)
        return self._known[1].exposure(seed, number)
