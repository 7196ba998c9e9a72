"""Raster and track: where the tip is told to go, where it goes, and what an image shows of it.

x runs along the columns, y downwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ..errors import SimulationError

Array = NDArray[np.float64]

CORNERS = ("top left", "top right", "bottom left", "bottom right")

AROUND = 3  # pixels within which displacements are averaged, in standard deviations of the weights
ROUNDS = 60  # after which an iteration that has not come to rest will not


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """The tip's way over the sample, in the order of time; all of shape (points,).

    Attributes:
        time_s: Since the scan began, s.
        x_nm, y_nm: Where the tip is above the sample, nm.
        lift_nm: How much nearer than in a perfect microscope the sample is to the tip, nm.
    """

    time_s: Array
    x_nm: Array
    y_nm: Array
    lift_nm: Array

    def and_then(self, other: Track) -> Track:
        """This way, and after it the other one."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Track(*map(np.concatenate, pairs))


@dataclass(frozen=True, slots=True)
class Raster:
    """The commanded path: each line there (trace) and back (retrace), then on to the next.

    Attributes:
        shape: Rows and columns.
        size_nm: Height and width of the frame, nm.
        line_s: Time for a line in one direction, s.
        fast_axis: "x", lines along rows, or "y", lines along columns.
        begins: The corner of the first point: one of `CORNERS`.
        angle_deg: By which the frame is turned about its centre, clockwise as displayed, degrees.
        centre_nm: Of the frame, (x, y), nm.

    Raises:
        SimulationError: No pixels, no size, no time, or an axis or a corner that there is not.
    """

    shape: tuple[int, int]
    size_nm: tuple[float, float]
    line_s: float = 0.5
    fast_axis: str = "x"
    begins: str = "top left"
    angle_deg: float = 0.0
    centre_nm: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise SimulationError(f"a raster needs rows and columns, got {self.shape}")
        if not all(0 < size < math.inf for size in (*self.size_nm, self.line_s)):
            raise SimulationError(
                f"the size and the time of a line must be positive, got {self.size_nm} nm "
                f"and {self.line_s} s"
            )
        if self.fast_axis not in ("x", "y"):
            raise SimulationError(f"the fast axis is 'x' or 'y', got {self.fast_axis!r}")
        if self.begins not in CORNERS:
            raise SimulationError(f"a scan begins {', '.join(CORNERS)}, got {self.begins!r}")
        if not np.isfinite([self.angle_deg, *self.centre_nm]).all():
            raise SimulationError(
                f"the angle and the centre must be finite, got {self.angle_deg} degrees "
                f"and {self.centre_nm} nm"
            )

    @property
    def dwell_s(self) -> float:
        """Time at a point, s."""
        return self.line_s / self.shape[self.fast_axis == "x"]

    def order(self) -> NDArray[np.intp]:
        """The pixel (row times columns + column) of each point; shape (lines, 2, pixels)."""
        pixels = np.arange(math.prod(self.shape)).reshape(self.shape)
        if self.begins.startswith("bottom"):
            pixels = pixels[::-1]
        if self.begins.endswith("right"):
            pixels = pixels[:, ::-1]
        if self.fast_axis == "y":
            pixels = pixels.T
        return np.stack([pixels, pixels[:, ::-1]], axis=1)

    def images(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """Trace and retrace, of shape (rows, columns), of `values` of shape (points,)."""
        rows, columns = self.shape
        lines = values.reshape(-1, 2, columns if self.fast_axis == "x" else rows)
        return self._displayed(lines[:, 0]), self._displayed(lines[:, 1, ::-1])

    def _displayed(self, image: NDArray) -> NDArray:
        """Lines in the order of time, from the first corner, as the image that they are."""
        if self.fast_axis == "y":
            image = image.T
        if self.begins.startswith("bottom"):
            image = image[::-1]
        if self.begins.endswith("right"):
            image = image[:, ::-1]
        return np.ascontiguousarray(image)

    def track(self) -> Track:
        """Where a perfect microscope has its tip: at the middle of one pixel after another."""
        pixels = self.order().ravel()
        return self._over(pixels, np.arange(1.0, pixels.size + 1) * self.dwell_s)

    def middles(self) -> Track:
        """The middles of the pixels, row by row, as a way that takes no time."""
        pixels = np.arange(math.prod(self.shape))
        return self._over(pixels, np.zeros(pixels.size))

    def _over(self, pixels: NDArray[np.intp], time_s: Array) -> Track:
        rows, columns = self.shape
        height, width = self.size_nm
        row, column = np.divmod(pixels, columns)
        x = ((column + 0.5) / columns - 0.5) * width
        y = ((row + 0.5) / rows - 0.5) * height
        c, s = math.cos(math.radians(self.angle_deg)), math.sin(math.radians(self.angle_deg))
        x0, y0 = self.centre_nm
        return Track(time_s, x0 + c * x - s * y, y0 + s * x + c * y, np.zeros_like(x))

    def pixels(
        self, track: Track, x_nm: ArrayLike, y_nm: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where points of the sample appear in trace and in retrace, after a distorted track.

        The displacement of the track, averaged around a place against jitter, is taken back by
        iteration.

        Args:
            track: The way that the tip took over this raster.
            x_nm, y_nm: Of the points, nm; shape (n,).

        Returns:
            Row and column in either image, in fractions of pixels; shape (n, 2); NaN outside the
            image, or where the track is so torn that it does not say.
        """
        wanted = np.atleast_2d(np.stack([x_nm, y_nm], axis=-1, dtype=np.float64)).reshape(-1, 2)
        placing = self._placing()
        went = zip(self.images(track.x_nm), self.images(track.y_nm), strict=True)
        trace, retrace = (_origins(x, y, placing, wanted) for x, y in went)
        return trace, retrace

    def _placing(self) -> Array:
        """What (x, y, 1), in nm, is to be multiplied by for a row and a column; shape (2, 3)."""
        turn = math.radians(self.angle_deg)
        axes = np.array(((-math.sin(turn), math.cos(turn)), (math.cos(turn), math.sin(turn))))
        axes *= (np.array(self.shape) / self.size_nm)[:, None]
        origin = (np.array(self.shape) - 1) / 2 - axes @ self.centre_nm
        return np.column_stack((axes, origin))


@njit(cache=True, nogil=True, inline="always")
def _placed(placing, axis, x, y):
    return placing[axis, 0] * x + placing[axis, 1] * y + placing[axis, 2]


@njit(cache=True, nogil=True)
def _origins(x, y, placing, wanted):
    """The pixels of an image above which the tip was, as x and y tell, at the points `wanted`."""
    found = np.full((len(wanted), 2), np.nan)
    height, width = x.shape
    for n in range(len(found)):
        goal_row = _placed(placing, 0, wanted[n, 0], wanted[n, 1])
        goal_column = _placed(placing, 1, wanted[n, 0], wanted[n, 1])
        row, column, moved = goal_row, goal_column, np.inf
        for _ in range(ROUNDS):
            down, right = _displacement(x, y, placing, row, column)
            moved = max(abs(goal_row - down - row), abs(goal_column - right - column))
            row, column = goal_row - down, goal_column - right
            if moved < 1e-9:
                break
        inside = -0.5 <= row <= height - 0.5 and -0.5 <= column <= width - 0.5
        if inside and moved < 0.01:
            found[n, 0], found[n, 1] = row, column
    return found


@njit(cache=True, nogil=True)
def _displacement(x, y, placing, row, column):
    """By how many pixels the tip was off around a place: a mean, weighted by a Gaussian."""
    height, width = x.shape
    near_row, near_column = min(max(row, 0.0), height - 1.0), min(max(column, 0.0), width - 1.0)
    top, left = int(near_row + 0.5) - AROUND, int(near_column + 0.5) - AROUND
    weights = down = right = 0.0
    for i in range(max(0, top), min(height, top + 2 * AROUND + 1)):
        for j in range(max(0, left), min(width, left + 2 * AROUND + 1)):
            weight = math.exp(-((i - near_row) ** 2 + (j - near_column) ** 2) / 2)
            weights += weight
            down += weight * (_placed(placing, 0, x[i, j], y[i, j]) - i)
            right += weight * (_placed(placing, 1, x[i, j], y[i, j]) - j)
    return down / weights, right / weights
