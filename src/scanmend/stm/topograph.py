r"""Images of an ideal microscope: at constant height, and at constant current.

At constant current the tip runs where :math:`|I(x, y, z)| = I_0`. As the current falls nearly
exponentially, Newton's method is applied to its logarithm,

.. math:: z \leftarrow z - \frac{\ln |I / I_0|}{\partial \ln |I| / \partial z}

which needs a few steps from anywhere. On the current itself it crawls upwards by
:math:`1 / 2\kappa` a step from too near, and leaps away from too far.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..errors import SimulationError
from .current import Array, Electrode, Junction, direct
from .spectral import FINE, LEAST_DISTANCE_NM, Accuracy, Spectral

PLANE_NM = 0.04  #: [nm] greatest distance of the planes between which ln I is interpolated
HEIGHTS_NM = (0.35, 0.75)  #: [nm] where the tip is looked for
PRECISION_NM = 1e-9  #: [nm] of the heights from the sum of pairs
MOST_STEPS = 50
TILE_NM = 5.0  #: [nm] side up to which one sum of plane waves is best


def constant_height(
    junction: Junction, x_nm: Array, y_nm: Array, z_nm: float, accuracy: Accuracy = FINE
) -> NDArray[np.floating]:
    """The current with the tip at `z_nm` everywhere, nA; shape (rows, columns).

    From plane waves, or, where the tip is too near for them, from the sum of all pairs.
    """
    if z_nm + junction.least_distance_nm < LEAST_DISTANCE_NM:
        return direct(junction, x_nm, y_nm, z_nm)[0]
    return current_on_planes(junction, x_nm, y_nm, np.array([z_nm]), accuracy)[0]


def constant_current(
    junction: Junction,
    x_nm: Array,
    y_nm: Array,
    setpoint_nA: float,
    heights_nm: tuple[float, float] = HEIGHTS_NM,
    accuracy: Accuracy = FINE,
) -> Array:
    """The height of the tip at which `setpoint_nA` flows, nm; shape (rows, columns).

    From plane waves, or, where the tip may come too near for them, from the sum of all pairs.

    Args:
        junction: Tip, sample and bias.
        x_nm: Of the columns, nm; shape (columns,).
        y_nm: Of the rows, nm; shape (rows,).
        setpoint_nA: Magnitude of the current, whatever the sign of the bias, nA.
        heights_nm: Between which heights the tip is looked for, nm.
        accuracy: Of the plane waves, `FINE` or `FAST`.

    Raises:
        SimulationError: The setpoint is not positive, or not reached within `heights_nm`.
    """
    if heights_nm[0] + junction.least_distance_nm < LEAST_DISTANCE_NM:
        near, far = (direct(junction, x_nm, y_nm, z)[0] for z in heights_nm)
        must_be_reachable(near, far, setpoint_nA, heights_nm)
        middle = np.full((len(y_nm), len(x_nm)), sum(heights_nm) / 2)
        return newton(junction, x_nm, y_nm, setpoint_nA, middle)
    planes = planes_between(*heights_nm)
    current = current_on_planes(junction, x_nm, y_nm, planes, accuracy)
    return heights_of(current, planes, setpoint_nA)


def current_on_planes(
    junction: Junction, x_nm: Array, y_nm: Array, z_nm: Array, accuracy: Accuracy = FINE
) -> NDArray[np.floating]:
    """The current on planes at the heights `z_nm`, nA; shape (planes, rows, columns)."""
    (current,) = currents_on_planes(junction, x_nm, y_nm, z_nm, [junction.sample], accuracy)
    return current


def currents_on_planes(
    junction: Junction,
    x_nm: Array,
    y_nm: Array,
    z_nm: Array,
    samples: Sequence[Electrode],
    accuracy: Accuracy = FINE,
) -> list[NDArray[np.floating]]:
    """The currents above several samples, with all that they share prepared once.

    Tile by tile, as the waves in a box grow with its area, and so their sums with its square.

    Args:
        junction: Tip and bias, and a sample as high as the highest.
        x_nm: Of the columns, evenly spaced, nm; shape (columns,).
        y_nm: Of the rows, evenly spaced, nm; shape (rows,).
        z_nm: Heights of the planes, nm; shape (planes,).
        samples: One or more.
        accuracy: Of the plane waves.

    Returns:
        Of each sample, nA; shape (planes, rows, columns).
    """
    shape = len(z_nm), len(y_nm), len(x_nm)
    currents = [np.empty(shape, accuracy.dtype) for _ in samples]
    (height, row_starts), (width, column_starts) = _tiles(y_nm), _tiles(x_nm)
    x_tile, y_tile = x_nm[:width], y_nm[:height]
    plan = Spectral(junction, x_tile, y_tile, z_nm, "widest", accuracy)
    for row, column in itertools.product(row_starts, column_starts):
        moved = float(x_nm[column] - x_nm[0]), float(y_nm[row] - y_nm[0])
        place = np.s_[:, row : row + height, column : column + width]
        for sample, current in zip(samples, currents, strict=True):
            current[place] = plan.current_nA(sample, moved)
    return currents


def planes_between(low_nm: float, high_nm: float) -> Array:
    """Heights at which to know the current, so that it is known between them; shape (planes,).

    Raises:
        SimulationError: The heights are not finite, or out of order.
    """
    if not -math.inf < low_nm < high_nm < math.inf:
        raise SimulationError(f"heights go from low to high, got {low_nm} to {high_nm} nm")
    return np.linspace(low_nm, high_nm, max(4, math.ceil((high_nm - low_nm) / PLANE_NM) + 1))


def heights_of(current_nA: NDArray[np.floating], planes_nm: Array, setpoint_nA: float) -> Array:
    """Where between evenly spaced planes the current is `setpoint_nA`, nm; (rows, columns).

    By Newton's method on the cubic through ln I on the four planes nearest to it.

    Args:
        current_nA: On each plane, nA; shape (planes, rows, columns).
        planes_nm: Ascending heights of four planes or more, nm; shape (planes,).
        setpoint_nA: Magnitude of the current, nA.

    Raises:
        SimulationError: The setpoint is not positive, or not reached between the planes.
    """
    must_be_reachable(current_nA[0], current_nA[-1], setpoint_nA, (planes_nm[0], planes_nm[-1]))
    # Noise of rounding, far from all atoms, may have either sign.
    logs = np.abs(current_nA)
    np.log(np.maximum(logs, np.finfo(logs.dtype).tiny, out=logs), out=logs)
    logs -= math.log(setpoint_nA)
    pitch = (planes_nm[-1] - planes_nm[0]) / (len(planes_nm) - 1)
    return planes_nm[0] + pitch * _level(logs)


def newton(
    junction: Junction,
    x_nm: Array,
    y_nm: Array,
    setpoint_nA: float,
    start_nm: Array,
    steps: int | None = None,
    on: Literal["log", "current"] = "log",
) -> Array:
    """Newton's method with the sum of all pairs: exact, and slow; nm, shape (rows, columns).

    Args:
        junction: Tip, sample and bias.
        x_nm: Of the columns, nm; shape (columns,).
        y_nm: Of the rows, nm; shape (rows,).
        setpoint_nA: Magnitude of the current, nA.
        start_nm: Heights to begin from, nm; shape (rows, columns).
        steps: How many; until heights move by less than `PRECISION_NM` if not given.
        on: Whether on ln I, or on I itself.

    Raises:
        SimulationError: It does not come to rest.
    """
    heights = np.array(start_nm, np.float64)
    for _ in range(MOST_STEPS if steps is None else steps):
        current, slope = direct(junction, x_nm, y_nm, heights)
        with np.errstate(all="ignore"):  # what has no current never comes to rest
            if on == "log":
                change = -np.log(np.abs(current) / setpoint_nA) * current / slope
            else:
                change = (math.copysign(setpoint_nA, junction.bias_V) - current) / slope
        heights += change
        if steps is None and np.max(np.abs(change)) < PRECISION_NM:
            return heights
    if steps is None:
        raise SimulationError(
            f"Newton's method on the {on} has not come to rest after {MOST_STEPS} steps: "
            "begin nearer to the surface"
        )
    return heights


def must_be_reachable(
    near_nA: NDArray[np.floating],
    far_nA: NDArray[np.floating],
    setpoint_nA: float,
    heights_nm: tuple[float, float],
) -> None:
    """Refuses a setpoint that some pixel has at no height, and says which, and why.

    Args:
        near_nA: The current at the lower of the heights, nA; shape (rows, columns).
        far_nA: At the upper one.
        setpoint_nA: Magnitude of the current, nA.
        heights_nm: Both heights, nm.

    Raises:
        SimulationError: The setpoint is not positive, or not between the two currents.
    """
    if not 0 < setpoint_nA < math.inf:
        raise SimulationError(f"a setpoint is a positive current, got {setpoint_nA} nA")
    near, far = (np.abs(current, dtype=np.float64) for current in (near_nA, far_nA))
    if not near.any():
        raise SimulationError(
            "no current flows at any height: raise the bias to where tip and sample have states"
        )
    faint, strong = near < setpoint_nA, far > setpoint_nA
    if not (faint.any() or strong.any()):
        return
    where = np.argmax(np.maximum(setpoint_nA / np.maximum(near, 1e-300), far / setpoint_nA))
    row, column = np.unravel_index(where, near.shape)
    low, high = heights_nm
    raise SimulationError(
        f"the setpoint of {setpoint_nA:.3g} nA is out of reach at {np.sum(faint | strong)} of "
        f"{near.size} pixels, worst at row {row}, column {column}, where the current falls from "
        f"{near[row, column]:.3g} nA at {low:.3g} nm to {far[row, column]:.3g} nA at {high:.3g} nm"
        ": " + ("lower" if faint[row, column] else "raise") + " the setpoint, or widen the heights"
    )


def _tiles(positions_nm: Array) -> tuple[int, list[int]]:
    """As few tiles as are no longer than `TILE_NM`: how many pixels they have, and their firsts.

    All have the same number; the last may begin before the one before it ends.
    """
    parts = min(len(positions_nm), max(1, math.ceil(np.ptp(positions_nm) / TILE_NM)))
    length = math.ceil(len(positions_nm) / parts)
    return length, [min(i * length, len(positions_nm) - length) for i in range(parts)]


@njit(cache=True, nogil=True)
def _level(logs):
    """Where `logs`, (planes, rows, columns), falling, are 0; in planes from the first."""
    planes, rows, columns = logs.shape
    found = np.empty((rows, columns))
    for row in range(rows):
        for column in range(columns):
            below = 0
            while below < planes - 2 and logs[below + 1, row, column] > 0:
                below += 1
            first = min(max(below - 1, 0), planes - 4)
            a, b = logs[first, row, column], logs[first + 1, row, column]
            c, d = logs[first + 2, row, column], logs[first + 3, row, column]
            # Newton's form of the cubic through the planes 0, 1, 2, 3.
            one, two, three = b - a, (c - 2 * b + a) / 2, (d - 3 * c + 3 * b - a) / 6
            low, high = logs[below, row, column], logs[below + 1, row, column]
            t = below - first + low / (low - high)
            for _ in range(3):
                value = a + t * (one + (t - 1) * (two + (t - 2) * three))
                slope = one + two * (2 * t - 1) + three * (3 * t * t - 6 * t + 2)
                t -= value / slope
            found[row, column] = first + t
    return found
