"""What a simulated microscope gives: a scan, and all that a real one does not tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NoSuchChannel
from ..scan import Acquisition, Quantity, Scan

Image = NDArray[np.float32]

INSTRUMENT = "simulated by scanmend"


@dataclass(frozen=True, slots=True)
class SeenDefect:
    """A defect in a scan.

    Attributes:
        kind: Its class.
        x_nm, y_nm: Where it is on the surface, nm from the middle of the frame, in its directions.
        trace, retrace: Where it appears, after all distortion of the path: (row, column), of
            pixels' centres; NaN where the tip did not come by.
    """

    kind: str
    x_nm: float
    y_nm: float
    trace: tuple[float, float]
    retrace: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """One scan of an experiment, and its truth. Images have the shape (rows, columns), float32.

    Attributes:
        experiment: Name of the experiment.
        seed, number: Of the scan: they and the experiment decide all of it.
        pixel_nm: Pixel pitch, nm.
        trace_nm, retrace_nm: Heights that the microscope wrote down, there and back, nm.
        trace_nA, retrace_nA: Currents, nA.
        topograph_nm: What an ideal microscope with the same tip would have written, nm.
        defects: Those that are in the frame, or appear in the scan.
        parameters: Every parameter that was drawn, by its table.
        fault: What went wrong with the loop, or None.
    """

    experiment: str
    seed: int
    number: int
    pixel_nm: float
    trace_nm: Image
    retrace_nm: Image
    trace_nA: Image
    retrace_nA: Image
    topograph_nm: Image
    defects: tuple[SeenDefect, ...]
    parameters: Mapping[str, Mapping[str, Any]]
    fault: str | None

    def scan(self, direction: str = "forward", channel: str = "Z") -> Scan:
        """The trace ("forward") or the retrace ("backward") of "Z" or "Current", as of a file.

        Raises:
            NoSuchChannel: It is neither.
        """
        images = {
            ("Z", "forward"): self.trace_nm,
            ("Z", "backward"): self.retrace_nm,
            ("Current", "forward"): self.trace_nA,
            ("Current", "backward"): self.retrace_nA,
        }
        if (channel, direction) not in images:
            raise NoSuchChannel(
                "a simulation has Z and Current, forward and backward; "
                f"got {channel!r}, {direction!r}"
            )
        quantity = Quantity.HEIGHT if channel == "Z" else Quantity.CURRENT
        return self._scan(images[channel, direction], channel, direction, quantity)

    def truth(self) -> Scan:
        """The topograph of an ideal microscope."""
        return self._scan(self.topograph_nm, None, None, Quantity.HEIGHT)

    def _scan(
        self, values: Image, channel: str | None, direction: str | None, quantity: Quantity
    ) -> Scan:
        taken = Acquisition(
            channel=channel,
            direction=direction,
            source=f"{self.experiment}, seed {self.seed}, scan {self.number}",
            bias_V=float(self.parameters["tunnelling"]["bias_V"]),
            setpoint_nA=float(self.parameters["tunnelling"]["setpoint_nA"]),
            angle_deg=float(self.parameters["frame"]["angle_deg"]),
            instrument=INSTRUMENT,
        )
        history = f"simulate {self.experiment}, seed {self.seed}, scan {self.number}"
        return Scan(values, (self.pixel_nm, self.pixel_nm), quantity, taken, (history,))
