r"""Where the tip really is: raster, creep, drift, hysteresis and tilt.

The electronics command a position V(t), in nm by the calibration of the scanner. The tip is at

.. math:: y(t) = \alpha V(t) + \beta H(t) + \gamma \ln\frac{t}{t_0} + v t + \sigma W(t) + n(t)

on each axis: hysteresis, creep, drift (linear, and a random walk W of variance t), and white noise.
x runs along the columns, y downwards, z away from the sample; a vector is (x, y, z).

Lateral errors do not depend on the surface, so the whole path is known before the scan; of the
vertical ones, hysteresis follows the heights that feedback commands, and belongs to `stm.feedback`.

References:
    V. Lužný, Synthetic STM Imaging: a Pipeline for Deep-Learning Analysis (the terms of y)
    Y.-K. Wen, J. Eng. Mech. Div. ASCE 102, 249 (1976) (H)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ..errors import SimulationError

Array = NDArray[np.float64]
Vector = tuple[float, float, float]

CORNERS = ("top left", "top right", "bottom left", "bottom right")
STILL: Vector = (0.0, 0.0, 0.0)


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


@dataclass(frozen=True, slots=True)
class Creep:
    r"""The slow rest of the motion to the frame: :math:`\gamma \ln(t / t_0)`.

    Attributes:
        per_efold_nm: :math:`\gamma`, the way while the time grows e-fold, nm.
    """

    per_efold_nm: Vector = STILL

    def displacement_nm(self, time_s: Array) -> Array:
        """From where the tip was at the first of the times, t0; shape (points, 3)."""
        return np.log(time_s / time_s[0])[:, None] * np.array(self.per_efold_nm)


@dataclass(frozen=True, slots=True)
class Drift:
    """Thermal motion of the tip against the sample, steady and not.

    Attributes:
        velocity_nm_per_s: Steady part, nm/s.
        walk_nm_per_sqrt_s: Standard deviation, after 1 s, of a random walk, nm; it grows as the
            square root of time.
    """

    velocity_nm_per_s: Vector = STILL
    walk_nm_per_sqrt_s: Vector = STILL

    def displacement_nm(self, time_s: Array, rng: np.random.Generator) -> Array:
        """From where the tip was at the time 0; shape (points, 3)."""
        way = time_s[:, None] * np.array(self.velocity_nm_per_s)
        if any(self.walk_nm_per_sqrt_s):
            spread = np.sqrt(np.diff(time_s, prepend=0.0))[:, None] * self.walk_nm_per_sqrt_s
            way += np.cumsum(spread * rng.standard_normal(way.shape), axis=0)
        return way


@dataclass(frozen=True, slots=True)
class BoucWen:
    r"""Hysteresis of a piezo: domains that turn late.

    .. math:: y = \alpha V + \beta H, \qquad \dot H = A \dot V - B |\dot V| H - C \dot V |H|

    It has no time of its own: H depends on the way that V took, not on how fast. After a turn H
    changes at once and then less and less, up to A / (B + C), so that a piezo that lags, as real
    ones do, has a negative beta. The last term is the standard one; the slides of the source print
    :math:`|\dot H|`.

    Attributes:
        alpha: Slope of y once H has saturated.
        beta: Share of the hysteresis; 0: none; below 0: the tip lags.
        A: Slope of H where it begins.
        B_per_nm: Dissipation: the loop's width, 1/nm.
        C_per_nm: How much sooner (above 0) or later H saturates on loading, 1/nm.

    Raises:
        SimulationError: H could grow without bound, or the tip go against its command.
    """

    alpha: float = 1.0
    beta: float = 0.0
    A: float = 1.0
    B_per_nm: float = 0.5
    C_per_nm: float = 0.2

    def __post_init__(self) -> None:
        if not -self.B_per_nm < self.C_per_nm <= self.B_per_nm < math.inf:
            raise SimulationError(
                "hysteresis is bounded if C is above -B and no greater than B, "
                f"got B = {self.B_per_nm} and C = {self.C_per_nm} /nm"
            )
        if not (self.A >= 0 and min(self.slopes) > 0):
            raise SimulationError(
                "a piezo must go where it is told: A must not be negative, nor alpha and beta such "
                f"that its slope is {self.slopes[0]:.3g} to {self.slopes[1]:.3g}"
            )

    @property
    def slopes(self) -> tuple[float, float]:
        """dy/dV where H is saturated, and at once after a turn there; all others lie between."""
        turned = 2 * self.A * self.B_per_nm / (self.B_per_nm + self.C_per_nm)
        return self.alpha, self.alpha + self.beta * turned

    def memory_nm(self, command_nm: ArrayLike) -> Array:
        """H after each of the commands, of shape (points,), from H = 0 at V = 0, nm."""
        command = np.asarray(command_nm, np.float64)
        return _memory(command, self.A, self.B_per_nm, self.C_per_nm)

    def response_nm(self, command_nm: Array) -> Array:
        """Where the piezo goes on commands, of shape (points,), that began at 0, nm."""
        if self.beta == 0:
            return self.alpha * command_nm
        return self.alpha * command_nm + self.beta * self.memory_nm(command_nm)


FAITHFUL = BoucWen()  #: a piezo without hysteresis


@njit(cache=True, nogil=True, inline="always")
def bouc_wen_step(h, dv, a, b, c):
    """H after the command went on by `dv`: one step of the classical Runge-Kutta method."""
    way = abs(dv)
    k1 = a * dv - b * way * h - c * dv * abs(h)
    h2 = h + 0.5 * k1
    k2 = a * dv - b * way * h2 - c * dv * abs(h2)
    h3 = h + 0.5 * k2
    k3 = a * dv - b * way * h3 - c * dv * abs(h3)
    h4 = h + k3
    k4 = a * dv - b * way * h4 - c * dv * abs(h4)
    return h + (k1 + 2.0 * k2 + 2.0 * k3 + k4) / 6.0


@njit(cache=True, nogil=True)
def _memory(command, a, b, c):
    memory = np.empty_like(command)
    v, h = 0.0, 0.0
    for i in range(command.size):
        # The way from the centre to the first corner is long, and one step would not be accurate.
        parts = max(1, math.ceil(abs(command[i] - v) * (b + abs(c)) / 0.25))
        for _ in range(parts):
            h = bouc_wen_step(h, (command[i] - v) / parts, a, b, c)
        v = command[i]
        memory[i] = h
    return memory


@dataclass(frozen=True, slots=True)
class Scanner:
    """All that leads the tip astray, whatever the surface; by default, nothing.

    Attributes:
        hysteresis: Of the lateral piezos; unpolarised at the centre of the frame.
        creep, drift: Of the tip against the sample.
        jitter_nm: Standard deviation of white noise in the position, nm.
        tilt_deg: How steeply the sample rises along x and along y, degrees.

    Raises:
        SimulationError: The sample stands upright, or noise is negative.
    """

    hysteresis: BoucWen = FAITHFUL
    creep: Creep = Creep()
    drift: Drift = Drift()
    jitter_nm: Vector = STILL
    tilt_deg: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not max(map(abs, self.tilt_deg)) < 90:
            raise SimulationError(f"a tilt is between -90 and 90 degrees, got {self.tilt_deg}")
        if min(*self.jitter_nm, *self.drift.walk_nm_per_sqrt_s) < 0:
            raise SimulationError(
                "standard deviations cannot be negative, got "
                f"{self.jitter_nm} nm and {self.drift.walk_nm_per_sqrt_s} nm"
            )

    def track(self, raster: Raster, rng: np.random.Generator) -> Track:
        """Where the tip goes when `raster` is commanded."""
        ideal = raster.track()
        x0, y0 = raster.centre_nm
        x = x0 + self.hysteresis.response_nm(ideal.x_nm - x0)
        y = y0 + self.hysteresis.response_nm(ideal.y_nm - y0)
        way = self.drift.displacement_nm(ideal.time_s, rng)
        way += self.creep.displacement_nm(ideal.time_s)
        if any(self.jitter_nm):
            way += rng.standard_normal(way.shape) * self.jitter_nm
        x, y = x + way[:, 0], y + way[:, 1]
        slope_x, slope_y = np.tan(np.radians(self.tilt_deg))
        return Track(ideal.time_s, x, y, slope_x * (x - x0) + slope_y * (y - y0) - way[:, 2])
