r"""Where the tip really is: creep, drift, hysteresis and tilt.

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
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from ..errors import SimulationError
from .lanes import BLOCK, LANES, draw, move, rows, scatter, streams
from .raster import Array, Raster, Track

Vector = tuple[float, float, float]

STILL: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Creep:
    r"""The slow rest of the motion to the frame: :math:`\gamma \ln(t / t_0)`, t0 the first point.

    Attributes:
        per_efold_nm: :math:`\gamma`, the way while the time grows e-fold, nm.
    """

    per_efold_nm: Vector = STILL


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
        return _memories(np.asarray(command_nm, np.float64), _curves([self]))[:, 0]

    def response_nm(self, command_nm: Array) -> Array:
        """Where the piezo goes on commands, of shape (points,), that began at 0, nm."""
        if self.beta == 0:
            return self.alpha * command_nm
        return self.alpha * command_nm + self.beta * self.memory_nm(command_nm)


FAITHFUL = BoucWen()  #: a piezo without hysteresis
LONGEST = 0.25  #: step of the integration, as a part of the way on which H saturates


def _curves(piezos: Sequence[BoucWen]) -> Array:
    """A, B and C of lanes, shape (3, `LANES`); idle ones repeat the first."""
    idle = [piezos[0]] * (LANES - len(piezos))
    return np.array([(p.A, p.B_per_nm, p.C_per_nm) for p in (*piezos, *idle)]).T


@njit(cache=True, nogil=True, inline="always")
def bouc_wen_step(h, dv, a, b, c):
    """H after the command went on by `dv`: one step of the classical Runge-Kutta method."""
    real = type(dv)
    way, lost, skew = a * dv, b * abs(dv), c * dv
    k1 = way - lost * h - skew * abs(h)
    h2 = h + real(1 / 2) * k1
    k2 = way - lost * h2 - skew * abs(h2)
    h3 = h + real(1 / 2) * k2
    k3 = way - lost * h3 - skew * abs(h3)
    h4 = h + k3
    k4 = way - lost * h4 - skew * abs(h4)
    return h + real(1 / 6) * (k1 + k2 + k2 + k3 + k3 + k4)


@njit(cache=True, nogil=True, error_model="numpy")
def _memories(command, curves):
    """H of lanes that get the same commands, shape (points, `LANES`); curves: A, B and C."""
    m = np.zeros(4 * LANES)
    m[: 3 * LANES] = curves.ravel()
    memories = np.empty(command.size * LANES)
    sharpest = np.max(curves[1] + np.abs(curves[2]))
    v = 0.0
    for point in range(command.size):
        dv = command[point] - v
        v = command[point]
        # The way from the centre to the first corner is long, and one step would not be accurate.
        for part in range(max(1, math.ceil(abs(dv) * sharpest / LONGEST)) if dv != 0 else 0):
            for i in range(LANES):
                a, b, c, h = m[i], m[LANES + i], m[2 * LANES + i], m[3 * LANES + i]
                parts = max(1.0, math.ceil(abs(dv) * (b + abs(c)) / LONGEST))
                m[3 * LANES + i] = bouc_wen_step(h, dv / parts if part < parts else 0.0, a, b, c)
        move(memories, LANES * point, m, 3 * LANES)
    return memories.reshape(-1, LANES)


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
        return tracks([self], raster, [rng])[0]


def tracks(
    scanners: Sequence[Scanner], raster: Raster, rngs: Sequence[np.random.Generator]
) -> list[Track]:
    """Where the tips of several scans of one raster go, each with a scanner and an rng."""
    if len(scanners) != len(rngs):
        raise SimulationError(
            f"each scan has a scanner and an rng: got {len(scanners)} and {len(rngs)}"
        )
    ideal = raster.track()
    command = np.stack([ideal.x_nm - raster.centre_nm[0], ideal.y_nm - raster.centre_nm[1]])
    clock = np.stack([ideal.time_s, np.log(ideal.time_s / ideal.time_s[0])])
    done: list[Track] = []
    for first in range(0, len(scanners), LANES):
        some = scanners[first : first + LANES]
        if any(scanner.hysteresis.beta for scanner in some):
            curves = _curves([scanner.hysteresis for scanner in some])
            bent_x, bent_y = (_memories(axis, curves).ravel() for axis in command)
        else:
            bent_x = bent_y = np.empty(0)
        walking = any(any(scanner.drift.walk_nm_per_sqrt_s) for scanner in some)
        shaking = any(any(scanner.jitter_nm) for scanner in some)
        walks, shakes = (streams(rngs[first : first + LANES]) for _ in range(2))
        given = np.zeros((STEP_X // LANES, LANES))
        given[:, : len(some)] = np.array([_given(o, raster.dwell_s) for o in some]).T
        xs, ys, lifts = (rows(len(some), command.shape[1], np.float64) for _ in range(3))
        _steer(
            *(command, clock, bent_x, bent_y, walks, shakes),
            *(walking, shaking, given, xs, ys, lifts),
        )
        for x, y, lift in zip(xs, ys, lifts, strict=True):
            done.append(Track(ideal.time_s, x + raster.centre_nm[0], y + raster.centre_nm[1], lift))
    return done


def _given(scanner: Scanner, dwell_s: float) -> tuple[float, ...]:
    """What `_steer` is told of a scanner."""
    return (
        *(scanner.hysteresis.alpha, scanner.hysteresis.beta),
        *(*scanner.creep.per_efold_nm, *scanner.drift.velocity_nm_per_s),
        *(walk * math.sqrt(dwell_s) for walk in scanner.drift.walk_nm_per_sqrt_s),
        *(*scanner.jitter_nm, *(math.tan(math.radians(tilt)) for tilt in scanner.tilt_deg)),
    )


# Where `_steer` keeps what a lane holds: what it is given, what it draws, where it is.
(ALPHA, BETA, CREEP_X, CREEP_Y, CREEP_Z, DRIFT_X, DRIFT_Y, DRIFT_Z, WALK_X, WALK_Y, WALK_Z) = (
    LANES * row for row in range(11)
)
SHAKE_X, SHAKE_Y, SHAKE_Z, SLOPE_X, SLOPE_Y = (LANES * row for row in range(11, 16))
STEP_X, STEP_Y, STEP_Z, OFF_X, OFF_Y, OFF_Z = (LANES * row for row in range(16, 22))
BENT_X, BENT_Y, FAR_X, FAR_Y, FAR_Z, X, Y, LIFT, END = (LANES * row for row in range(22, 31))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def _steer(
    command, clock, bent_x, bent_y, walks, shakes, walking, shaking, given, xs, ys, lifts
):  # fmt: skip
    # One flat array, as in `feedback._run`.
    m = np.zeros(END)
    m[:STEP_X] = given.ravel()
    steps = np.zeros(3 * BLOCK * LANES, np.float32)
    shifts = np.zeros_like(steps)
    x_seen = np.zeros(BLOCK * LANES)
    y_seen, lift_seen = np.zeros_like(x_seen), np.zeros_like(x_seen)
    for begin in range(0, command.shape[1], BLOCK):
        if walking:
            draw(walks, steps)
        if shaking:
            draw(shakes, shifts)
        for p in range(min(BLOCK, command.shape[1] - begin)):
            x, y = command[0, begin + p], command[1, begin + p]
            time, efolds = clock[0, begin + p], clock[1, begin + p]
            for i in range(3 * LANES):
                m[STEP_X + i] = steps[3 * LANES * p + i]
            for i in range(3 * LANES):
                m[OFF_X + i] = shifts[3 * LANES * p + i]
            if bent_x.size:
                move(m, BENT_X, bent_x, LANES * (begin + p))
                move(m, BENT_Y, bent_y, LANES * (begin + p))
            for i in range(LANES):
                m[FAR_X + i] += m[WALK_X + i] * m[STEP_X + i]
                m[FAR_Y + i] += m[WALK_Y + i] * m[STEP_Y + i]
                m[FAR_Z + i] += m[WALK_Z + i] * m[STEP_Z + i]
                right = m[CREEP_X + i] * efolds + m[DRIFT_X + i] * time + m[FAR_X + i]
                down = m[CREEP_Y + i] * efolds + m[DRIFT_Y + i] * time + m[FAR_Y + i]
                up = m[CREEP_Z + i] * efolds + m[DRIFT_Z + i] * time + m[FAR_Z + i]
                right += m[ALPHA + i] * x + m[BETA + i] * m[BENT_X + i]
                down += m[ALPHA + i] * y + m[BETA + i] * m[BENT_Y + i]
                m[X + i] = right + m[SHAKE_X + i] * m[OFF_X + i]
                m[Y + i] = down + m[SHAKE_Y + i] * m[OFF_Y + i]
                up += m[SHAKE_Z + i] * m[OFF_Z + i]
                m[LIFT + i] = m[SLOPE_X + i] * m[X + i] + m[SLOPE_Y + i] * m[Y + i] - up
            move(x_seen, LANES * p, m, X)
            move(y_seen, LANES * p, m, Y)
            move(lift_seen, LANES * p, m, LIFT)
        scatter(x_seen, xs, begin)
        scatter(y_seen, ys, begin)
        scatter(lift_seen, lifts, begin)
