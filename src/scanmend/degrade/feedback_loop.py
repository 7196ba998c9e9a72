"""The feedback loop of the simulated microscope, at work on a surface."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from ..errors import RecipeError
from ..scan import Scan
from ..stm.feedback import Loop, follow
from ..stm.lanes import LANES
from ..stm.log_current import DEGREE, LogCurrent
from ..stm.noise import CurrentNoise
from .base import Range, picometres, surface


@dataclass(frozen=True)
class FeedbackLoop:
    r"""Lets a feedback loop trace the surface, each line there and back, and keeps the way there.

    The loop is that of `scanmend.stm.feedback`, behind a logarithmic amplifier, and the current
    falls as :math:`e^{-2 \kappa (z - h)}`: it lags, overshoots, rings, and writes the white noise
    of its current into the heights. Bands of lines are scanned side by side, and start settled.

    Attributes:
        proportional_nm: Gain, nm a cycle; log-uniform ...
        integral_nm: ... as is that of the integral.
        decay_per_nm: :math:`2 \kappa`, 1/nm.
        setpoint_nA: Current that is kept, nA.
        amplifier_nA: White noise of each sample of the current, nA.
        cycles_per_point: How often the loop acts at each pixel.

    Raises:
        RecipeError: With some of these gains the loop diverges.
    """

    proportional_nm: Range = (0.004, 0.03)
    integral_nm: Range = (0.0001, 0.0009)
    decay_per_nm: Range = (18.0, 23.0)
    setpoint_nA: float = 0.1
    amplifier_nA: Range = (0.0002, 0.002)
    cycles_per_point: int = 8

    def __post_init__(self) -> None:
        # The integral needs the proportional part to be stable: all four corners count.
        for p, i in product(self.proportional_nm, self.integral_nm):
            growth = max(Loop(self.setpoint_nA, p, i).growth(a) for a in self.decay_per_nm)
            if growth > 1:
                raise RecipeError(
                    f"with gains of {p:.3g} and {i:.3g} nm the loop "
                    f"diverges: an error grows {growth:.3g}-fold a cycle; lower the second"
                )

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Draws gains, decay and noise once a scan."""
        nm = 1000 * picometres(scan)
        heights, missing = surface(scan)
        p, i = (_log_uniform(rng, gain) for gain in (self.proportional_nm, self.integral_nm))
        noise = CurrentNoise(amplifier_nA=rng.uniform(*self.amplifier_nA))
        cycles = self.cycles_per_point
        loop = Loop(self.setpoint_nA, p, i, cycles_per_point=cycles, noise=noise)
        decay = rng.uniform(*self.decay_per_nm)

        rows, columns = heights.shape
        band = -(-rows // LANES)
        filled = np.pad(heights / nm, ((0, -rows % band), (0, 0)), mode="edge")
        paths = np.concatenate([filled, filled[:, ::-1]], axis=1).reshape(-1, 2 * band * columns)
        currents = [_current(path, decay, self.setpoint_nA) for path in paths]
        count = len(paths)
        traced = follow([loop] * count, currents, [0.0] * count, rng.spawn(count))
        there = np.concatenate([one.height_nm for one in traced]).reshape(-1, 2 * columns)
        values = (nm * there[:rows, :columns]).astype(np.float32)
        values[missing] = np.nan
        return scan.after(f"feedback loop, Kp {p:.2g} nm, Ki {i:.2g} nm", values)


def _current(heights_nm: np.ndarray, decay_per_nm: float, setpoint_nA: float) -> LogCurrent:
    """The setpoint at these heights, falling exponentially above them."""
    low, high = float(heights_nm.min()) - 0.1, float(heights_nm.max()) + 0.1
    coefficients = np.zeros((DEGREE + 1, heights_nm.size), np.float32)
    coefficients[0] = math.log(setpoint_nA) + decay_per_nm * (heights_nm - (low + high) / 2)
    coefficients[1] = -decay_per_nm * (high - low) / 2
    return LogCurrent(coefficients, (low, high))


def _log_uniform(rng: np.random.Generator, span: Range) -> float:
    low, high = span
    return low if low == high else math.exp(rng.uniform(math.log(low), math.log(high)))
