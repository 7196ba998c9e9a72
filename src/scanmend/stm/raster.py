"""Raster and track: where the tip is told to go, where it goes, and what an image shows of it.

x runs along the columns, y downwards.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from ..errors import SimulationError

Array = NDArray[np.float64]

CORNERS = ("top left", "top right", "bottom left", "bottom right")


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
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Track(*(np.concatenate(pair) for pair in pairs))


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
        order = self.order()
        trace, retrace = np.empty((2, order.size // 2), values.dtype)
        there, back = values.reshape(order.shape).swapaxes(0, 1)
        trace[order[:, 0]], retrace[order[:, 1]] = there, back
        return trace.reshape(self.shape), retrace.reshape(self.shape)

    def track(self) -> Track:
        """Where a perfect microscope has its tip: at the middle of one pixel after another."""
        rows, columns = self.shape
        height, width = self.size_nm
        row, column = np.divmod(self.order().ravel(), columns)
        x = ((column + 0.5) / columns - 0.5) * width
        y = ((row + 0.5) / rows - 0.5) * height
        c, s = math.cos(math.radians(self.angle_deg)), math.sin(math.radians(self.angle_deg))
        (x0, y0), time = self.centre_nm, np.arange(1.0, x.size + 1) * self.dwell_s
        return Track(time, x0 + c * x - s * y, y0 + s * x + c * y, np.zeros_like(x))

    def pixels(
        self, track: Track, x_nm: ArrayLike, y_nm: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where points of the sample appear in trace and in retrace, after a distorted track.

        The displacement of the track, smoothed over a pixel against jitter, is interpolated
        linearly between pixels and taken back by iteration.

        Args:
            track: The way that the tip took over this raster.
            x_nm, y_nm: Of the points, nm; shape (n,).

        Returns:
            Row and column in either image, in fractions of pixels; shape (n, 2); NaN outside the
            image, or where the track is so torn that it does not say.
        """
        wanted = self._place(np.asarray(x_nm, np.float64), np.asarray(y_nm, np.float64))
        went = self._place(track.x_nm, track.y_nm)
        images = zip(*(self.images(axis) for axis in went), strict=True)
        trace, retrace = (self._origin(np.stack(image), wanted) for image in images)
        return trace, retrace

    def _place(self, x_nm: NDArray, y_nm: NDArray) -> NDArray[np.float64]:
        """Row and column of points in the ideal image, shape (2, points)."""
        c, s = math.cos(math.radians(self.angle_deg)), math.sin(math.radians(self.angle_deg))
        x, y = x_nm - self.centre_nm[0], y_nm - self.centre_nm[1]
        rows_columns = np.stack([c * y - s * x, c * x + s * y]).reshape(2, -1)
        size, shape = np.array(self.size_nm)[:, None], np.array(self.shape)[:, None]
        return (rows_columns / size + 0.5) * shape - 0.5

    def _origin(self, image: NDArray, wanted: NDArray) -> NDArray[np.float64]:
        """The pixels whose tip was above those `wanted`; `image` says above which it was."""
        displaced = image - np.indices(self.shape)
        displaced = ndimage.gaussian_filter(displaced, (0, 1, 1), mode="nearest")
        pixel, last = wanted, np.full_like(wanted, np.inf)
        for _ in range(60):
            at = [ndimage.map_coordinates(d, pixel, order=1, mode="nearest") for d in displaced]
            last, pixel = pixel, wanted - np.stack(at)
            if np.allclose(pixel, last, rtol=0, atol=1e-9):
                break
        edge = np.array(self.shape)[:, None] - 0.5
        found = (np.abs(pixel - last) < 0.01) & (pixel >= -0.5) & (pixel <= edge)
        return np.where(found.all(axis=0), pixel, np.nan).T
