"""The current above the points of a path, as a feedback loop needs it: quickly, at any height."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ..errors import SimulationError
from .piezo import Array

DEGREE = 4  #: of the polynomials: within 0.3 nm, ln I is known to 3e-6 nm of height


@dataclass(frozen=True, slots=True, eq=False)
class LogCurrent:
    r"""The logarithm of the current above each point of a path, over a range of heights.

    .. math:: \ln \frac{I}{1\,\mathrm{nA}} = \sum_{k=0}^{4} c_k u^k, \qquad
              u = \frac{z - z_{mid}}{z_{half}} \in [-1, 1]

    and beyond the range straight on, with the slope c1 + c3 of the chord.

    Attributes:
        coefficients: c; shape (5, points), float32.
        range_nm: The lowest and the highest z of the range, nm.

    Raises:
        SimulationError: Coefficients of another shape, or no range.
    """

    coefficients: NDArray[np.float32]
    range_nm: tuple[float, float]

    def __post_init__(self) -> None:
        shape = self.coefficients.shape
        if len(shape) != 2 or shape[0] != DEGREE + 1 or not shape[1]:
            raise SimulationError(
                f"coefficients have shape ({DEGREE + 1}, points), got {self.coefficients.shape}"
            )
        if not self.range_nm[0] < self.range_nm[1]:
            raise SimulationError(f"a range ascends, got {self.range_nm} nm")

    @classmethod
    def fit(cls, z_nm: ArrayLike, log_current: NDArray[np.floating]) -> LogCurrent:
        """Least squares through ln(I / nA), of shape (heights, points), at 5 heights or more.

        Raises:
            SimulationError: There are fewer heights, or a current is not positive and finite.
        """
        z = np.asarray(z_nm, np.float64)
        if z.size <= DEGREE or len(log_current) != z.size:
            raise SimulationError(
                f"a polynomial needs currents at {DEGREE + 1} heights or more, "
                f"got {len(log_current)} at {z.size}"
            )
        if not np.isfinite(log_current).all():
            raise SimulationError("the logarithm of a current must be finite: give |I|, above 0")
        span = float(z.min()), float(z.max())
        u = (z - sum(span) / 2) / ((span[1] - span[0]) / 2)
        solve = np.linalg.pinv(np.vander(u, DEGREE + 1, increasing=True))
        return cls((solve.astype(log_current.dtype) @ log_current).astype(np.float32), span)

    @property
    def points(self) -> int:
        """How many points the path has."""
        return self.coefficients.shape[1]

    @property
    def middle_and_half_nm(self) -> tuple[float, float]:
        """The middle of the range, and half its extent, nm."""
        low, high = self.range_nm
        return (low + high) / 2, (high - low) / 2

    def at(self, z_nm: ArrayLike) -> Array:
        """ln(I / nA) at heights of shape () or (points,); shape (points,)."""
        middle, half = self.middle_and_half_nm
        u = (np.asarray(z_nm, np.float64) - middle) / half
        inside = np.clip(u, -1, 1)
        c0, c1, c2, c3, c4 = self.coefficients.astype(np.float64)
        within = c0 + inside * (c1 + inside * (c2 + inside * (c3 + inside * c4)))
        return within + (c1 + c3) * (u - inside)

    def heights_nm(self, setpoint_nA: float) -> Array:
        """The constant-current topograph, nm; shape (points,). An ideal loop gives it.

        Raises:
            SimulationError: Some point has no such current in the range.
        """
        goal = math.log(setpoint_nA)
        near, far = (self.at(z) for z in self.range_nm)
        missed = np.flatnonzero((near < goal) | (far > goal))
        if missed.size:
            span = np.exp([far[missed[0]], near[missed[0]]])
            raise SimulationError(
                f"a setpoint of {setpoint_nA:.4g} nA cannot be reached at {missed.size} of "
                f"{self.points} points; at point {missed[0]} there are {span[0]:.3g} to "
                f"{span[1]:.3g} nA from z = {self.range_nm[1]:.4g} down to {self.range_nm[0]:.4g} "
                "nm: change the setpoint or the range"
            )
        middle, half = self.middle_and_half_nm
        return middle + half * _crossings(self.coefficients, goal)


@njit(cache=True, nogil=True)
def _crossings(coefficients, goal):
    """The u of each point where its polynomial, above the goal at -1, falls below: bisection."""
    found = np.empty(coefficients.shape[1])
    for point in range(found.size):
        c = coefficients[:, point].astype(np.float64)
        low, high = -1.0, 1.0
        for _ in range(40):
            u = (low + high) / 2
            if c[0] + u * (c[1] + u * (c[2] + u * (c[3] + u * c[4]))) < goal:
                high = u
            else:
                low = u
        found[point] = (low + high) / 2
    return found
