"""The current above the points of a path, as a feedback loop needs it: quickly, at any height.

A current that is known on a few planes over a grid becomes a polynomial in z above each of the
grid's points, and the coefficients become cubic splines over the grid, for wherever the tip goes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ..errors import SimulationError
from .raster import Array, Track
from .splines import LANES, LEAST_POINTS, USED, along, splines

DEGREE = USED - 1  #: 4: within 0.3 nm, ln I is known to 1e-6 nm of height; within 0.4 nm, to 5e-6


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
    def fit(
        cls,
        z_nm: ArrayLike,
        log_current: NDArray[np.floating],
        range_nm: tuple[float, float] | None = None,
    ) -> LogCurrent:
        """Least squares through ln(I / nA), of shape (heights, points), at 5 heights or more.

        The range is that of the heights, if none is given.

        Raises:
            SimulationError: There are fewer heights, or a current is not positive and finite.
        """
        solve, span = _solution(z_nm, len(log_current), range_nm)
        if not np.isfinite(log_current).all():
            raise SimulationError("the logarithm of a current must be finite: give |I|, above 0")
        return cls((solve.astype(log_current.dtype) @ log_current).astype(np.float32), span)

    @classmethod
    def along(
        cls,
        track: Track,
        x_nm: Array,
        y_nm: Array,
        z_nm: ArrayLike,
        current_nA: NDArray[np.floating],
        range_nm: tuple[float, float] | None = None,
    ) -> LogCurrent:
        """Above the points of a track, from the current on planes over a regular grid.

        Args:
            track: Where the tip goes.
            x_nm: Of the grid's columns, evenly spaced, nm; shape (columns,).
            y_nm: Of its rows, evenly spaced, nm; shape (rows,).
            z_nm: Heights of the planes, best those of `planes_within`, nm; shape (planes,).
            current_nA: Of any sign, nA; shape (planes, rows, columns). What is less than the
                rounding of the greatest in its plane counts as that.
            range_nm: Of heights; that of the planes if not given.

        Raises:
            SimulationError: The track leaves the grid, too few points or planes, a current that is
                not finite.
        """
        solve, span = _solution(z_nm, len(current_nA), range_nm)
        if (
            current_nA.shape[1:] != (len(y_nm), len(x_nm))
            or min(len(y_nm), len(x_nm)) < LEAST_POINTS
        ):
            raise SimulationError(
                f"a grid of {len(y_nm)}x{len(x_nm)} points does not fit currents of shape "
                f"{current_nA.shape}, or has fewer than {LEAST_POINTS} along an axis"
            )
        at_x, at_y = (
            _on_axis(position, axis, name)
            for position, axis, name in ((track.x_nm, x_nm, "x"), (track.y_nm, y_nm, "y"))
        )
        logs = np.abs(current_nA)
        most = logs.max((1, 2), keepdims=True)
        if not np.isfinite(most).all():
            raise SimulationError("currents must be finite: NaN or infinity on a plane")
        limits = np.finfo(logs.dtype)
        np.log(np.maximum(logs, np.maximum(limits.eps * most, limits.tiny), out=logs), out=logs)
        lanes = np.zeros((len(logs), LANES), np.float32)
        lanes[:, : DEGREE + 1] = solve.T
        coefficients = splines(logs.astype(np.float32, copy=False), lanes)
        return cls(along(coefficients.ravel(), len(y_nm) + 2, at_x, at_y), span)

    @property
    def points(self) -> int:
        """How many points the path has."""
        return self.coefficients.shape[1]

    @property
    def middle_and_half_nm(self) -> tuple[float, float]:
        """The middle of the range, and half its extent, nm."""
        low, high = self.range_nm
        return (low + high) / 2, (high - low) / 2

    def split(self, first: int) -> tuple[LogCurrent, LogCurrent]:
        """The `first` so many points, and the others."""
        one, other = (
            np.ascontiguousarray(self.coefficients[:, :first]),
            self.coefficients[:, first:],
        )
        return LogCurrent(one, self.range_nm), LogCurrent(other, self.range_nm)

    def at(self, z_nm: ArrayLike) -> Array:
        """ln(I / nA) at heights of shape () or (points,); shape (points,)."""
        middle, half = self.middle_and_half_nm
        u = (np.asarray(z_nm, np.float64) - middle) / half
        inside = np.clip(u, -1, 1)
        c0, c1, c2, c3, c4 = self.coefficients.astype(np.float64)
        within = c0 + inside * (c1 + inside * (c2 + inside * (c3 + inside * c4)))
        return within + (c1 + c3) * (u - inside)

    def _ends(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """ln(I / nA) at both ends of the range; each of shape (points,)."""
        c0, c1, c2, c3, c4 = self.coefficients
        even, odd = c0 + c2 + c4, c1 + c3
        return even - odd, even + odd

    def out_of_reach(self, setpoint_nA: float) -> NDArray[np.intp]:
        """Points where no height of the range has such a current."""
        goal = np.float32(math.log(setpoint_nA))
        near, far = self._ends()
        return np.flatnonzero((near < goal) | (far > goal))

    def heights_nm(self, setpoint_nA: float, extended: bool = False) -> Array:
        """The constant-current topograph, nm; shape (points,). An ideal loop gives it.

        Args:
            setpoint_nA: Magnitude of the current, nA.
            extended: Whether the setpoint may be reached beyond the range, straight on.

        Raises:
            SimulationError: Some point has no such current in the range, and that is not enough.
        """
        missed = self.out_of_reach(setpoint_nA)
        if missed.size and not extended:
            near, far = (np.exp(end[missed[0]]) for end in self._ends())
            raise SimulationError(
                f"a setpoint of {setpoint_nA:.4g} nA cannot be reached at {missed.size} of "
                f"{self.points} points; at point {missed[0]} there are {far:.3g} to {near:.3g} nA "
                f"from z = {self.range_nm[1]:.4g} down to {self.range_nm[0]:.4g} nm: change the "
                "setpoint or the range"
            )
        middle, half = self.middle_and_half_nm
        found = _crossings(self.coefficients, math.log(setpoint_nA)).astype(np.float64)
        if missed.size:
            near, far = (end[missed] for end in self._ends())
            goal, (_, c1, _, c3, _) = math.log(setpoint_nA), self.coefficients[:, missed]
            left = np.where(near < goal, goal - near, goal - far)
            found[missed] = np.where(near < goal, -1.0, 1.0) + left / (c1 + c3)
        return middle + half * found


def planes_within(range_nm: tuple[float, float], count: int = DEGREE + 1) -> Array:
    """Heights from which ln I is best known within a range (Chebyshev's), nm; shape (count,)."""
    middle, half = sum(range_nm) / 2, (range_nm[1] - range_nm[0]) / 2
    return middle - half * np.cos(math.pi * (np.arange(count) + 0.5) / count)


def axes_over(tracks: Iterable[Track], pitch_nm: float) -> tuple[Array, Array]:
    """The x and the y of the least regular grid of some pitch on which all tracks lie, nm.

    Splines through a lattice of 0.25 nm err by 2e-5 nm at a pitch of a quarter of that.
    """
    corners = np.array(
        [[f(track.x_nm), f(track.y_nm)] for track in tracks for f in (np.min, np.max)]
    )
    low, high = corners.min(0), corners.max(0)
    counts = np.maximum(np.ceil((high - low) / pitch_nm).astype(int) + 1, LEAST_POINTS)
    starts = (low + high - pitch_nm * (counts - 1)) / 2
    x_nm, y_nm = (a + pitch_nm * np.arange(n) for a, n in zip(starts, counts, strict=True))
    return x_nm, y_nm


def _solution(
    z_nm: ArrayLike, given: int, range_nm: tuple[float, float] | None
) -> tuple[Array, tuple[float, float]]:
    """What ln I at heights is to be multiplied by for coefficients, (5, heights), and the range."""
    z = np.asarray(z_nm, np.float64)
    if z.size <= DEGREE or given != z.size:
        raise SimulationError(
            f"a polynomial needs currents at {DEGREE + 1} heights or more, got {given} at {z.size}"
        )
    span = range_nm or (float(z.min()), float(z.max()))
    u = (z - sum(span) / 2) / ((span[1] - span[0]) / 2)
    powers: Array = np.vander(u, DEGREE + 1, increasing=True)
    return np.linalg.solve(powers.T @ powers, powers.T).astype(np.float64), span


def _on_axis(positions_nm: Array, axis_nm: Array, name: str) -> Array:
    """Positions in steps of an axis from its beginning; what is beyond by rounding is put on it."""
    step = (axis_nm[-1] - axis_nm[0]) / (len(axis_nm) - 1)
    at = (positions_nm - axis_nm[0]) / step
    low, high = at.min(), at.max()
    beyond = max(-low, high - (len(axis_nm) - 1))
    if not beyond < 1e-6:
        raise SimulationError(
            f"the tip strays {beyond * step:.3g} nm beyond the grid, which has {name} from "
            f"{axis_nm[0]:.4g} to {axis_nm[-1]:.4g} nm, where the track has "
            f"{positions_nm.min():.4g} to {positions_nm.max():.4g} nm: make the grid with "
            "axes_over(tracks, pitch_nm)"
        )
    return at


@njit(cache=True, nogil=True, fastmath={"contract"})
def _crossings(coefficients, goal):
    """The u of each point where its polynomial, falling from above the goal, meets it.

    By Newton's method from the chord; ln I is nearly straight, and 5 steps are more than it takes.
    All points take each step together, in SIMD.
    """
    c0, c1, c2, c3, c4 = coefficients
    two, three, four, one = np.float32(2), np.float32(3), np.float32(4), np.float32(1)
    found = np.empty(c0.size, np.float32)
    for i in range(c0.size):
        found[i] = (np.float32(goal) - c0[i] - c2[i] - c4[i]) / (c1[i] + c3[i])
    for _ in range(5):
        for i in range(c0.size):
            u = found[i]
            value = c0[i] - np.float32(goal) + u * (c1[i] + u * (c2[i] + u * (c3[i] + u * c4[i])))
            slope = c1[i] + u * (two * c2[i] + u * (three * c3[i] + u * four * c4[i]))
            found[i] = min(max(u - value / slope, -one), one)
    return found
