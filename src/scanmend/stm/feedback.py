r"""The feedback loop: the height that the electronics really command.

Several times at each point of its path the loop measures the current I, compares it with the
setpoint, and moves the command V of the vertical piezo by

.. math:: \Delta V_n = K_p e_n + K_i \sum_{m=n-w+1}^{n} e_m + K_d (e_n - e_{n-1})

with e = ln(I / I0) behind a logarithmic amplifier, e = I / I0 - 1 behind a linear one. No step is
longer than the piezo can make in a cycle, and while it is, the sum takes up no error (anti-windup).
The tip goes to :math:`\alpha V + \beta H` (`BoucWen`) and meets a sample that creep, drift and tilt
have lifted (`Track`). V is what a microscope writes down as its topograph.

The loop need not know where a current comes from: it takes ln I of each point as a polynomial in
height, `LogCurrent`. Sixteen scans run side by side, in the lanes of the processor, and one takes
hardly less time than sixteen; what a scan gives does not depend on its neighbours.

References:
    V. Lužný, Synthetic STM Imaging: a Pipeline for Deep-Learning Analysis (the windowed integral)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ..errors import SimulationError
from .log_current import LogCurrent
from .noise import SILENT, CurrentNoise
from .piezo import FAITHFUL, BoucWen, bouc_wen_step

LANES = 16
AMPLIFIER_SPAN = 7.0  #: [ln] a preamplifier measures e^7 = 1100 times the setpoint, no more
SUSPECT_ERROR = 0.2  #: rms error from which a loop with unstable gains is said to diverge
SUSPECT_SHARE = 0.1  #: of all cycles at the longest step, from which a loop is said not to follow


@dataclass(frozen=True, slots=True)
class Loop:
    """A feedback loop and its piezo. Gains are lengths: nm a cycle, for an error of 1.

    Attributes:
        setpoint_nA: Current that is to be kept, nA (its size, whatever the bias).
        proportional_nm, integral_nm, derivative_nm: Kp, Ki and Kd, nm.
        window_cycles: w, how many cycles the integral remembers.
        cycles_per_point: How often the loop acts at each point.
        longest_step_nm: How far the piezo can go in a cycle, nm.
        logarithmic: Whether the error is that of ln I or of I.
        noise: Of the current.
        piezo: Vertical hysteresis; unpolarised where the scan begins.

    Raises:
        SimulationError: A setpoint, window, number of cycles or step that is not positive; gains
            that are negative.
    """

    setpoint_nA: float
    proportional_nm: float = 0.012
    integral_nm: float = 0.0006
    derivative_nm: float = 0.0
    window_cycles: int = 20
    cycles_per_point: int = 8
    longest_step_nm: float = 0.1
    logarithmic: bool = True
    noise: CurrentNoise = SILENT
    piezo: BoucWen = FAITHFUL

    def __post_init__(self) -> None:
        if not 0 < self.setpoint_nA < math.inf:
            raise SimulationError(f"a setpoint must be positive, got {self.setpoint_nA} nA")
        if min(self.window_cycles, self.cycles_per_point) < 1 or not self.longest_step_nm > 0:
            raise SimulationError(
                "the window, the cycles at a point and the longest step must be positive, got "
                f"{self.window_cycles}, {self.cycles_per_point} and {self.longest_step_nm} nm"
            )
        if not all(0 <= gain < math.inf for gain in self.gains_nm):
            raise SimulationError(f"gains cannot be negative, got {self.gains_nm} nm")

    @property
    def gains_nm(self) -> tuple[float, float, float]:
        """Kp, Ki and Kd, nm."""
        return self.proportional_nm, self.integral_nm, self.derivative_nm

    def growth(self, decay_per_nm: float) -> float:
        r"""By which a small error is multiplied in each cycle, in the long run; above 1: unstable.

        Near the setpoint either error is :math:`-a \delta`, for a tip :math:`\delta` too high and
        a current that falls as :math:`e^{-az}`. This is the largest root of

        .. math:: \delta_{n+1} = \delta_n - a s \Big[K_p \delta_n +
                  K_i \sum_{m=n-w+1}^{n} \delta_m + K_d (\delta_n - \delta_{n-1})\Big]

        where s is the slope of the piezo where it is steepest.

        Args:
            decay_per_nm: a, 1/nm: about 20.
        """
        p, i, d = np.array(self.gains_nm) * (decay_per_nm * max(self.piezo.slopes))
        past = np.zeros(max(self.window_cycles, 2))
        past[: self.window_cycles] -= i
        past[0] += 1 - p - d
        past[1] += d
        companion = np.eye(past.size, k=-1)
        companion[0] = past
        return float(np.abs(np.linalg.eigvals(companion)).max())


@dataclass(frozen=True, slots=True, eq=False)
class Topograph:
    """What a loop wrote down, point by point.

    Attributes:
        height_nm: The command V of the vertical piezo, nm; shape (points,).
        current_nA: As measured, with its noise, nA; shape (points,).
        fault: What went wrong, or None.
    """

    height_nm: NDArray[np.float32]
    current_nA: NDArray[np.float32]
    fault: str | None = None


def follow(
    loops: Sequence[Loop],
    surfaces: Sequence[LogCurrent],
    lifts_nm: Sequence[ArrayLike],
    rngs: Sequence[np.random.Generator],
) -> list[Topograph]:
    """Scans each surface with its own loop, from where the current is the setpoint.

    Args:
        loops: With the same window, cycles at a point, and kind of amplifier.
        surfaces: With the same number of points.
        lifts_nm: How far each surface is lifted towards the tip, nm; shape () or (points,).
        rngs: For the noise of each scan.

    Returns:
        The topographs, those of loops that diverge or lose the surface with their `fault`.

    Raises:
        SimulationError: Loops or surfaces differ in what they must share, or a loop cannot begin.
    """
    if not len(loops) == len(surfaces) == len(lifts_nm) == len(rngs):
        raise SimulationError(
            f"each scan has a loop, a surface, a lift and an rng: got {len(loops)}, "
            f"{len(surfaces)}, {len(lifts_nm)} and {len(rngs)}"
        )
    shared = {(o.window_cycles, o.cycles_per_point, o.logarithmic) for o in loops}
    lengths = {surface.points for surface in surfaces}
    if len(shared) > 1 or len(lengths) > 1:
        raise SimulationError(
            "scans side by side need the same window, cycles and amplifier, and as many points: "
            f"got {sorted(shared)} and {sorted(lengths)}"
        )
    done: list[Topograph] = []
    for first in range(0, len(loops), LANES):
        some = slice(first, first + LANES)
        done += _follow(loops[some], surfaces[some], lifts_nm[some], rngs[some])
    return done


def _follow(loops, surfaces, lifts_nm, rngs) -> list[Topograph]:
    """Up to as many scans as there are lanes."""
    points, cycles = surfaces[0].points, loops[0].cycles_per_point
    lifts = [np.broadcast_to(np.float32(lift), points) for lift in lifts_nm]
    state = np.zeros((START // LANES + 1, LANES))
    for lane, (loop, surface) in enumerate(zip(loops, surfaces, strict=True)):
        state[:, lane] = _begin(loop, surface, float(lifts[lane][0]))
    state[:, len(loops) :] = state[:, :1]  # idle lanes repeat the first scan
    both = list(zip(loops, rngs, strict=True))
    height, current = np.empty((2, len(loops), points), np.float32)
    met = _run(
        _side_by_side([row for surface in surfaces for row in surface.coefficients]),
        _side_by_side(lifts),
        _side_by_side([loop.noise.white(rng, points * cycles) for loop, rng in both]),
        _side_by_side([loop.noise.slow(rng, points) for loop, rng in both]),
        *(state, loops[0].window_cycles, cycles, loops[0].logarithmic, height, current),
    )
    return [
        Topograph(
            height[lane],
            np.float32(loop.setpoint_nA) * current[lane],
            _fault(loop, surfaces[lane], *met[:, lane] / (points * cycles)),
        )
        for lane, loop in enumerate(loops)
    ]


def _side_by_side(rows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Stacked with a gap, since rows a power of two apart would fight for the same cache lines."""
    stacked = np.empty((len(rows), rows[0].size + 16), np.float32)[:, :-16]
    for place, row in zip(stacked, rows, strict=True):
        place[:] = row
    return stacked


def _begin(loop: Loop, surface: LogCurrent, lift_nm: float) -> tuple[float, ...]:
    """What `_run` keeps in a lane, with the tip settled above the first point."""
    first = LogCurrent(surface.coefficients[:, :1], surface.range_nm)
    start = float(first.heights_nm(loop.setpoint_nA)[0]) + lift_nm
    piezo, setpoint = loop.piezo, loop.setpoint_nA
    return (
        *(*loop.gains_nm, loop.longest_step_nm, math.log(setpoint)),
        *(
            (loop.noise.shot_nA(setpoint) / setpoint) ** 2,
            (loop.noise.amplifier_nA / setpoint) ** 2,
        ),
        *surface.middle_and_half_nm,
        *(piezo.alpha, piezo.beta, piezo.A, piezo.B_per_nm, piezo.C_per_nm),
        start / piezo.alpha,
    )


# Where `_run` keeps what a lane holds: what it is given, what it remembers, what it meets.
KP, KI, KD, LONGEST, GOAL, SHOT, AMPLIFIER, MIDDLE, HALF, ALPHA, BETA, A, B, C, START = (
    LANES * row for row in range(15)
)
(
    V,
    H,
    SUM,
    BEFORE,
    RATIO,
    LIMITED,
    SQUARES,
    LOST,
    RAISED,
    SLOW,
    C0,
    C1,
    C2,
    C3,
    C4,
    PAST,
    NORMAL,
    END,
) = (LANES * row for row in range(15, 33))


@njit(cache=True, nogil=True, inline="always")
def _exp(x):
    """To 1e-4 for |x| up to 3.5, and, unlike that of the C library, in all lanes at once."""
    y = x / 16.0
    y = 1.0 + y * (1.0 + y * (0.5 + y * (1.0 / 6.0 + y * (1.0 / 24.0))))
    y *= y
    y *= y
    y *= y
    return y * y


@njit(cache=True, nogil=True, inline="always")
def _log1p(x):
    """For x > -0.9, to 2e-5 below |x| = 0.5: the series of 2 artanh(x / (2 + x))."""
    s = x / (2.0 + x)
    t = s * s
    return 2.0 * s * (1.0 + t * (1.0 / 3.0 + t * (0.2 + t * (1.0 / 7.0))))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp", "nsz"})
def _run(log_i, lift, white, slow, given, window, cycles, logarithmic, height, current):
    # One flat array with offsets that the compiler knows: else it must fear that arrays overlap,
    # and takes one lane at a time, ten times slower.
    m = np.zeros(END)
    m[: given.size] = given.ravel()
    m[V:H] = m[START:V]
    errors, normal = np.zeros(window * LANES), np.zeros(cycles * LANES)
    scans, points = lift.shape
    oldest = 0
    for point in range(points):
        for i in range(LANES):
            scan = i if i < scans else 0
            m[RAISED + i], m[SLOW + i] = lift[scan, point], slow[scan, point]
            m[C0 + i], m[C1 + i] = log_i[5 * scan, point], log_i[5 * scan + 1, point]
            m[C2 + i], m[C3 + i] = log_i[5 * scan + 2, point], log_i[5 * scan + 3, point]
            m[C4 + i] = log_i[5 * scan + 4, point]
            for cycle in range(cycles):
                normal[cycle * LANES + i] = white[scan, point * cycles + cycle]
        for cycle in range(cycles):
            m[PAST:NORMAL] = errors[oldest : oldest + LANES]
            m[NORMAL:END] = normal[cycle * LANES : (cycle + 1) * LANES]
            for i in range(LANES):
                z = m[ALPHA + i] * m[V + i] + m[BETA + i] * m[H + i] - m[RAISED + i]
                u = (z - m[MIDDLE + i]) / m[HALF + i]
                w = min(max(u, -1.0), 1.0)
                m[LOST + i] += 1.0 if u != w else 0.0
                within = m[C2 + i] + w * (m[C3 + i] + w * m[C4 + i])
                within = m[C0 + i] + w * (m[C1 + i] + w * within)
                ln = within + (m[C1 + i] + m[C3 + i]) * (u - w) - m[GOAL + i]
                ln = min(max(ln, -AMPLIFIER_SPAN), AMPLIFIER_SPAN)

                root = _exp(0.5 * ln)
                ratio = root * root  # I / I0
                noise = math.sqrt(m[SHOT + i] * ratio + m[AMPLIFIER + i]) / ratio
                noise = max(noise * m[NORMAL + i] + m[SLOW + i], -0.9)
                m[RATIO + i] = ratio * (1.0 + noise)
                error = ln + _log1p(noise) if logarithmic else m[RATIO + i] - 1.0

                total = m[SUM + i] + error - m[PAST + i]
                step = m[KP + i] * error + m[KI + i] * total + m[KD + i] * (error - m[BEFORE + i])
                bounded = min(max(step, -m[LONGEST + i]), m[LONGEST + i])
                over = step != bounded
                m[LIMITED + i] += 1.0 if over else 0.0
                m[SUM + i] = total - error if over else total
                m[PAST + i] = 0.0 if over else error
                m[BEFORE + i] = error
                m[SQUARES + i] += error * error
                m[H + i] = bouc_wen_step(m[H + i], bounded, m[A + i], m[B + i], m[C + i])
                m[V + i] += bounded
            errors[oldest : oldest + LANES] = m[PAST:NORMAL]
            oldest = (oldest + LANES) % errors.size
        for lane in range(scans):
            height[lane, point] = m[V + lane]
            current[lane, point] = m[RATIO + lane]
    return m[LIMITED:RAISED].reshape(3, LANES)


def _fault(
    loop: Loop, surface: LogCurrent, limited: float, square: float, lost: float
) -> str | None:
    """What went wrong, from shares of all cycles and from the mean square of the error."""
    _, half = surface.middle_and_half_nm
    if math.sqrt(square) > SUSPECT_ERROR or limited > SUSPECT_SHARE:
        growth = loop.growth(-float(np.median(surface.coefficients[1])) / half)
        if growth > 1:
            return (
                f"the loop diverges: an error grows {growth:.3g}-fold a cycle; lower the gains, "
                "Kp = {:.3g}, Ki = {:.3g}, Kd = {:.3g} nm".format(*loop.gains_nm)
            )
    if limited > SUSPECT_SHARE:
        return (
            f"the loop cannot follow: {limited:.0%} of its steps are the longest of "
            f"{loop.longest_step_nm:.3g} nm; the surface is too steep or the noise too strong, "
            "so scan slower, with more cycles at a point"
        )
    if lost:
        low, high = surface.range_nm
        return (
            f"the tip left the heights of {low:.4g} to {high:.4g} nm, for which the current is "
            f"known, in {lost:.2%} of its cycles: calculate it in a wider range, or scan slower"
        )
    return None
