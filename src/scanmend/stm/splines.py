"""Cubic splines over a regular grid, for a few numbers at each of its points at once.

The numbers of a point stand side by side, as many as fill a register, so that each sum over them is
one instruction.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LANES = 8  #: numbers of a point
USED = 5  #: of them, those that come out
LEAST_POINTS = 4  #: along each axis of a grid that a cubic spline goes through


@njit(cache=True, nogil=True)
def splines(logs, solve):
    """Coefficients of cubic B-splines through polynomials' coefficients at each point of a grid.

    Args:
        logs: ln I; shape (planes, rows, columns).
        solve: What makes them coefficients; shape (planes, lanes).

    Returns:
        Shape (columns + 2, rows + 2, lanes): from one before the first point to one after the last.
    """
    planes, rows, columns = logs.shape
    lanes = solve.shape[1]
    polynomials = np.dot(logs.reshape(planes, rows * columns).T, solve)
    down = np.empty((rows + 2, columns, lanes), np.float32)
    _spline(polynomials.reshape(rows, columns * lanes), down.reshape(rows + 2, columns * lanes))
    turned = np.empty((columns, rows + 2, lanes), np.float32)
    for column in range(columns):
        for row in range(rows + 2):
            for lane in range(lanes):
                turned[column, row, lane] = down[row, column, lane]
    found = np.empty((columns + 2, rows + 2, lanes), np.float32)
    width = (rows + 2) * lanes
    _spline(turned.reshape(columns, width), found.reshape(columns + 2, width))
    return found


@njit(cache=True, nogil=True, fastmath={"contract"})
def _spline(f, c):
    """Solves c[i] + 4 c[i+1] + c[i+2] = 6 f[i], the ends by "not a knot"; f (n, m), c (n + 2, m).

    That the third derivative does not jump at the second point gives 6 c[2] = 8 f[1] - f[0] - f[2].
    """
    n, m = f.shape
    six, four = np.float32(6), np.float32(4)
    for k in range(m):
        c[2, k] = (np.float32(8) * f[1, k] - f[0, k] - f[2, k]) / six
    for k in range(m):
        c[n - 1, k] = (np.float32(8) * f[n - 2, k] - f[n - 1, k] - f[n - 3, k]) / six
    factors = np.zeros(n + 2, np.float32)
    for i in range(3, n - 1):
        factors[i] = 1 / (four - factors[i - 1])
        for k in range(m):
            c[i, k] = (six * f[i - 1, k] - c[i - 1, k]) * factors[i]
    for i in range(n - 2, 2, -1):
        for k in range(m):
            c[i, k] -= factors[i] * c[i + 1, k]
    for k in range(m):
        c[1, k] = six * f[1, k] - four * c[2, k] - c[3, k]
    for k in range(m):
        c[0, k] = six * f[0, k] - four * c[1, k] - c[2, k]
    for k in range(m):
        c[n, k] = six * f[n - 2, k] - four * c[n - 1, k] - c[n - 2, k]
    for k in range(m):
        c[n + 1, k] = six * f[n - 1, k] - four * c[n, k] - c[n - 1, k]


@njit(cache=True, nogil=True)
def along(coefficients, rows, at_x, at_y):
    """Splines, as one row of numbers, at points given in steps of the grid; (5, points), float32.

    Block by block, in loops simple enough for SIMD: over the points, but for the sum itself.
    """
    pitch, size = rows * LANES, 64
    columns = coefficients.size // pitch
    found = np.empty((USED, at_x.size), np.float32)
    parts, w = np.zeros((2, size), np.float32), np.empty((8, size), np.float32)
    cells, sums = np.empty((2, size), np.int64), np.empty((size, LANES), np.float32)
    for first in range(0, at_x.size, size):
        count = min(size, at_x.size - first)
        for axis, at, last in ((0, at_x, columns - 4), (1, at_y, rows - 4)):
            part, cell, here = parts[axis], cells[axis], at[first : first + count]
            for i in range(count):
                cell[i] = min(max(int(here[i]), 0), last)
            for i in range(count):
                part[i] = here[i] - cell[i]
        _weights(parts[0], w[:4])
        _weights(parts[1], w[4:])
        for i in range(count):
            at = cells[0, i] * pitch + cells[1, i] * LANES
            _taps(
                *(sums[i], coefficients[at:], coefficients[at + pitch :]),
                *(coefficients[at + 2 * pitch :], coefficients[at + 3 * pitch :]),
                *(w[0, i], w[1, i], w[2, i], w[3, i], w[4, i], w[5, i], w[6, i], w[7, i]),
                pitch // rows,
            )
        for i in range(count):
            for k in range(USED):
                found[k, first + i] = sums[i, k]
    return found


@njit(cache=True, nogil=True, fastmath={"contract"})
def _taps(out, a, b, c, d, p0, p1, p2, p3, q0, q1, q2, q3, lanes):
    """Four times four coefficients of each lane, weighted; how many lanes is hidden, for SIMD."""
    for k in range(lanes):
        i, j, m = k + LANES, k + 2 * LANES, k + 3 * LANES
        out[k] = (
            p0 * (q0 * a[k] + q1 * a[i] + q2 * a[j] + q3 * a[m])
            + p1 * (q0 * b[k] + q1 * b[i] + q2 * b[j] + q3 * b[m])
            + p2 * (q0 * c[k] + q1 * c[i] + q2 * c[j] + q3 * c[m])
            + p3 * (q0 * d[k] + q1 * d[i] + q2 * d[j] + q3 * d[m])
        )


@njit(cache=True, nogil=True)
def _weights(parts, weights):
    """Of the four cubic B-splines at parts of a step; shapes (points,) and (4, points)."""
    one, two, three, four = np.float32(1), np.float32(2), np.float32(3), np.float32(4)
    sixth = np.float32(1 / 6)
    first, second, third, last = weights[0], weights[1], weights[2], weights[3]
    for i in range(parts.size):
        s = one - parts[i]
        first[i] = sixth * s * s * s
    for i in range(parts.size):
        t = parts[i]
        second[i] = sixth * (four - three * t * t * (two - t))
    for i in range(parts.size):
        s = one - parts[i]
        third[i] = sixth * (four - three * s * s * (two - s))
    for i in range(parts.size):
        t = parts[i]
        last[i] = sixth * t * t * t
