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
from .lanes import BLOCK, LANES, draw, log1p, move, rows, scatter, streams
from .log_current import LogCurrent
from .noise import SILENT, CurrentNoise, slow
from .piezo import FAITHFUL, BoucWen, bouc_wen_step

MOST_BEND = 2.5  #: (B + |C|) times a step: from 2.7 on, the method of Runge and Kutta diverges
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
        piezo = self.piezo
        bend = (piezo.B_per_nm + abs(piezo.C_per_nm)) * self.longest_step_nm
        if piezo.beta and bend > MOST_BEND:
            raise SimulationError(
                f"the vertical piezo forgets within {1 / piezo.B_per_nm:.3g} nm, but its steps go "
                f"up to {self.longest_step_nm:.3g} nm: shorten them, or lengthen its lag"
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

        .. math:: \delta_{n+1} = \delta_n - a s [K_p \delta_n +
                  K_i \sum_{m=n-w+1}^{n} \delta_m + K_d (\delta_n - \delta_{n-1})]

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
    above = rows(6 * len(loops), points, np.float32)
    given = np.zeros((V // LANES, LANES), np.float32)
    starts = np.empty(len(loops))
    for lane, (loop, surface, lift_nm) in enumerate(zip(loops, surfaces, lifts_nm, strict=True)):
        lift = np.broadcast_to(np.asarray(lift_nm, np.float64), points)
        starts[lane] = start = _start_nm(loop, surface, lift[0])
        middle, half = surface.middle_and_half_nm
        np.subtract(surface.coefficients[0], math.log(loop.setpoint_nA), out=above[6 * lane])
        above[6 * lane + 1 : 6 * lane + 5] = surface.coefficients[1:]
        np.multiply(start - middle - lift, 1 / half, out=above[6 * lane + 5], casting="same_kind")
        given[:, lane] = _given(loop, half)
    given[:, len(loops) :] = given[:, :1]  # idle lanes repeat the first scan
    noises, states = [loop.noise for loop in loops], streams(rngs)
    height, current = (rows(len(loops), points, np.float32) for _ in range(2))
    met = _run(
        *(above, slow(noises, states, points).ravel(), states, given, height, current),
        *(loops[0].window_cycles, cycles, loops[0].logarithmic),
        any(noise.is_white for noise in noises),
    )
    return [
        Topograph(
            height[lane] + np.float32(starts[lane] / loop.piezo.alpha),
            current[lane] * np.float32(loop.setpoint_nA),
            _fault(loop, surfaces[lane], *met[:, lane] / (points * cycles)),
        )
        for lane, loop in enumerate(loops)
    ]


def _start_nm(loop: Loop, surface: LogCurrent, lift_nm: float) -> float:
    """Where the tip is once it has settled above the first point, nm."""
    first = LogCurrent(surface.coefficients[:, :1], surface.range_nm)
    return float(first.heights_nm(loop.setpoint_nA, extended=True)[0]) + float(lift_nm)


def _given(loop: Loop, half_nm: float) -> tuple[float, ...]:
    """What `_run` is told of a loop; heights on the surface in units of half its range."""
    piezo, noise, setpoint = loop.piezo, loop.noise, loop.setpoint_nA
    return (
        *(*loop.gains_nm, loop.longest_step_nm),
        *((noise.shot_nA(setpoint) / setpoint) ** 2, (noise.amplifier_nA / setpoint) ** 2),
        *(piezo.alpha / half_nm, piezo.beta / half_nm, piezo.A, piezo.B_per_nm, piezo.C_per_nm),
    )


# Where `_run` keeps what a lane holds: what it is given, what it remembers, what it meets.
KP, KI, KD, LONGEST, SHOT, AMPLIFIER, ALPHA, BETA, A, B, C = (LANES * row for row in range(11))
V, H, SUM, BEFORE, LIMITED, SQUARES, LOST, RATIO = (LANES * row for row in range(11, 19))
C0, C1, C2, C3, C4, ABOVE, SLOW, PAST, NORMAL, END = (LANES * row for row in range(19, 29))


@njit(cache=True, nogil=True, inline="always")
def _exp(x):
    """To 4e-5 for |x| up to 3.5, and, unlike that of the C library, in all lanes at once."""
    real = type(x)
    y = x * real(1 / 4)
    t = y * y
    high = real(1 / 24) + y * real(1 / 120) + t * (real(1 / 720) + y * real(1 / 5040))
    y = (real(1) + y) + t * (real(1 / 2) + y * real(1 / 6)) + t * t * high
    y *= y
    return y * y


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp", "nsz"})
def _run(above, slow, states, given, height, current, window, cycles, logarithmic, noisy):
    # One flat array with offsets that the compiler knows: else it must fear that arrays overlap,
    # and takes one lane at a time, ten times slower. Within a cycle each step waits for the one
    # before: sums are split so that what is known beforehand is added up beforehand.
    f4 = np.float32
    span = f4(AMPLIFIER_SPAN)
    m = np.zeros(END, np.float32)
    m[:V] = given.ravel()
    block = np.zeros(6 * BLOCK * LANES, np.float32)
    commands = np.zeros(BLOCK * LANES, np.float32)
    ratios = np.zeros_like(commands)
    errors = np.zeros(window * LANES, np.float32)
    normal = np.zeros((cycles + cycles % 2) * LANES, np.float32)
    met = np.zeros((3, LANES))
    scans, points = height.shape
    oldest = 0
    for begin in range(0, points, BLOCK):
        size = min(BLOCK, points - begin)
        for row in range(6):
            for i in range(LANES):
                scan = i if i < scans else 0
                for p in range(size):
                    block[(row * BLOCK + p) * LANES + i] = above[6 * scan + row, begin + p]
        for p in range(size):
            for row in range(6):
                move(m, C0 + LANES * row, block, (row * BLOCK + p) * LANES)
            move(m, SLOW, slow, (begin + p) * LANES)
            if noisy:
                draw(states, normal)
            for cycle in range(cycles):
                move(m, PAST, errors, LANES * oldest)
                move(m, NORMAL, normal, LANES * cycle)
                for i in range(LANES):
                    u = m[ALPHA + i] * m[V + i] + m[ABOVE + i] + m[BETA + i] * m[H + i]
                    w = min(max(u, f4(-1)), f4(1))
                    m[LOST + i] += f4(1) if u != w else f4(0)
                    ln = m[C0 + i] + w * m[C1 + i] + (m[C1 + i] + m[C3 + i]) * (u - w)
                    ln += w * w * (m[C2 + i] + w * m[C3 + i] + w * w * m[C4 + i])
                    ln = min(max(ln, -span), span)

                    root = _exp(f4(-0.5) * ln)
                    inverse = root * root  # I0 / I
                    noise = f4(math.sqrt(m[SHOT + i] + m[AMPLIFIER + i] * inverse)) * root
                    noise = max(noise * m[NORMAL + i] + m[SLOW + i], f4(-0.9))
                    m[RATIO + i] = (f4(1) + noise) / inverse
                    error = ln + log1p(noise) if logarithmic else m[RATIO + i] - f4(1)

                    rest = m[SUM + i] - m[PAST + i]
                    step = m[KI + i] * rest - m[KD + i] * m[BEFORE + i]
                    step += (m[KP + i] + m[KI + i] + m[KD + i]) * error
                    bounded = min(max(step, -m[LONGEST + i]), m[LONGEST + i])
                    over = step != bounded
                    m[LIMITED + i] += f4(1) if over else f4(0)
                    m[SUM + i] = rest if over else rest + error
                    m[PAST + i] = f4(0) if over else error
                    m[BEFORE + i] = error
                    m[SQUARES + i] += error * error
                    m[H + i] = bouc_wen_step(m[H + i], bounded, m[A + i], m[B + i], m[C + i])
                    m[V + i] += bounded
                move(errors, LANES * oldest, m, PAST)
                oldest = oldest + 1 if oldest + 1 < window else 0
            for i in range(LANES):  # a point at a time: single precision cannot count to 2^25
                met[0, i] += m[LIMITED + i]
                met[1, i] += m[SQUARES + i]
                met[2, i] += m[LOST + i]
                m[LIMITED + i], m[SQUARES + i], m[LOST + i] = f4(0), f4(0), f4(0)
            move(commands, LANES * p, m, V)
            move(ratios, LANES * p, m, RATIO)
        scatter(commands, height, begin)
        scatter(ratios, current, begin)
    return met


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
