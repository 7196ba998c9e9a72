"""The sweeps that fit Gaussians, compiled; `gaussians` says what they do.

A column is five numbers: y, x, height, logarithm of the width, and background.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

REACH = 2.5  #: widths: the radius of the disc in which a column is fitted
WIDTH_SPREAD = 0.15  #: by how much a column's width differs from the common one
BACKGROUND_SPREAD = 0.15  #: by how much its background does, in mean heights
_CUT = 4.0  # widths at which a Gaussian ends
_PLACES, _COMMON, _ALL = range(3)  # what sweeps are for
_ENOUGH = 500  # columns that tell the common width
FIRST = ((_PLACES, 8), (_COMMON, 5), (_PLACES, 6), (_COMMON, 5), (_PLACES, 6))
AGAIN = ((_PLACES, 3), (_ALL, 20))
_STILL, _STILL_NM = 0.03, 2e-5  # steps that are none: in standard deviations, or this small
_DAMPING, _STEP = 1e-3, 0.3  # of the normal equations; the longest step, in widths
_FLOOR = 0.05  # of a column's height, which the model may expect at least when pixels are weighted
Y, X, HEIGHT, WIDTH, BACKGROUND = range(5)
_SUM = ((0, 0, 0, 0, 0), (1, 2, 0, 0, 0), (3, 4, 5, 0, 0), (6, 7, 8, 9, 0), (10, 11, 12, 13, 14))


@njit(cache=True, nogil=True)
def settle(data, read, gain, down_nm, across_nm, model, state, common, phases):
    """Sweeps over `state` and its `model` until nothing moves; the common width's logarithm.

    That is fitted while places stand still: where electrons are few, columns that may narrow and
    move at once would end on single ones.
    """
    still = np.zeros(len(state), np.bool_)
    apart = max(1, len(state) // _ENOUGH)
    for phase, sweeps in phases:
        still[:] = False
        for _ in range(sweeps):
            slope, bend = 0.0, 0.0
            level, spread = _level(state)
            for i in range(0, len(state), apart if phase == _COMMON else 1):
                if still[i]:
                    continue
                one = state[i]
                normal, right, _, _ = equations(
                    data, read, gain, down_nm, across_nm, model, one, math.exp(common)
                )
                if phase == _COMMON:
                    normal, right = _wherever(
                        data, read, gain, down_nm, across_nm, model, one, math.exp(common), normal
                    )
                normal[BACKGROUND, BACKGROUND] += 1 / spread**2
                right[BACKGROUND] += (level - one[BACKGROUND]) / spread**2
                for k in range(5):
                    normal[k, k] += _DAMPING * normal[k, k] + 1e-30
                if phase == _COMMON:
                    # What is left to the width when height and background have followed it.
                    pair = np.array(((normal[2, 2], normal[2, 4]), (normal[4, 2], normal[4, 4])))
                    aside = np.array((normal[3, 2], normal[3, 4]))
                    follow = np.linalg.solve(pair, aside)
                    if one[HEIGHT] > 0:
                        slope += right[3] - follow[0] * right[2] - follow[1] * right[4]
                        bend += normal[3, 3] - follow @ aside
                    _hold(normal, right, Y)
                    _hold(normal, right, X)
                if phase == _ALL:
                    normal[WIDTH, WIDTH] += 1 / WIDTH_SPREAD**2
                    right[WIDTH] += (common - one[WIDTH]) / WIDTH_SPREAD**2
                else:
                    _hold(normal, right, WIDTH)
                step = np.linalg.solve(normal, right)
                limit = _STEP * math.exp(common)
                step[Y] = min(max(step[Y], -limit), limit)
                step[X] = min(max(step[X], -limit), limit)
                step[WIDTH] = min(max(step[WIDTH], -_STEP), _STEP)
                add(model, down_nm, across_nm, one, -1.0)
                one += step
                add(model, down_nm, across_nm, one, 1.0)
                if phase != _COMMON:
                    small = max(_STILL_NM, _STILL / math.sqrt(normal[Y, Y] + normal[X, X]))
                    still[i] = max(abs(step[Y]), abs(step[X])) < small
            if phase == _COMMON and bend > 0:
                common += min(max(slope / bend, -_STEP), _STEP)
                model[:] = 0.0
                for i in range(len(state)):
                    state[i, WIDTH] = common
                    add(model, down_nm, across_nm, state[i], 1.0)
            if still.all():
                break
    return common


@njit(cache=True, nogil=True)
def _wherever(data, read, gain, down_nm, across_nm, model, one, width, normal):
    """Normal equations, averaged over where the column may be for all that is known.

    By Fisher's identity their right side leads to the greatest likelihood of a width when places
    are not known: at fitted places, which electrons have drawn to them, columns are too narrow.
    """
    mean, right_side = np.zeros((5, 5)), np.zeros(5)
    add(model, down_nm, across_nm, one, -1.0)
    for k in (Y, X):
        aside = min(math.sqrt(2 / (normal[k, k] + 1e-30)), width)
        for sign in (-1.0, 1.0):
            other = one.copy()
            other[k] += sign * aside
            add(model, down_nm, across_nm, other, 1.0)
            normal_there, right, _, _ = equations(
                data, read, gain, down_nm, across_nm, model, other, width
            )
            add(model, down_nm, across_nm, other, -1.0)
            mean += normal_there / 4
            right_side += right / 4
    add(model, down_nm, across_nm, one, 1.0)
    return mean, right_side


@njit(cache=True, nogil=True)
def _level(state):
    """The common background, and by how much one column's differs from it."""
    level, height, many = 0.0, 0.0, 0
    for i in range(len(state)):
        if state[i, HEIGHT] > 0:
            level, height, many = (
                level + state[i, BACKGROUND],
                height + state[i, HEIGHT],
                many + 1,
            )
    if many == 0:
        return 0.0, 1e30
    return level / many, BACKGROUND_SPREAD * height / many


@njit(cache=True, nogil=True)
def _hold(normal, right, k):
    """Takes an unknown out of normal equations."""
    normal[k, :] = 0.0
    normal[:, k] = 0.0
    normal[k, k] = 1.0
    right[k] = 0.0


@njit(cache=True, nogil=True)
def judge(data, read, gain, down_nm, across_nm, model, state, common):
    """Standard deviations, and the share of each disc that was there."""
    width = math.exp(common)
    errors, seen, evidence = np.empty((len(state), 5)), np.empty(len(state)), np.empty(len(state))
    full = math.pi * (REACH * width) ** 2 / (down_nm * across_nm)
    _, spread = _level(state)
    for i in range(len(state)):
        normal, _, squares, pixels = equations(
            data, read, gain, down_nm, across_nm, model, state[i], width
        )
        normal[WIDTH, WIDTH] += 1 / WIDTH_SPREAD**2
        normal[BACKGROUND, BACKGROUND] += 1 / spread**2
        for k in range(5):
            normal[k, k] += 1e-9 * normal[k, k] + 1e-30
        # Where Gaussians do not fit, their places are no surer than the misfit allows.
        worse = max(1.0, squares / max(pixels - 5, 1))
        inverse = np.linalg.inv(normal)
        for k in range(5):
            errors[i, k] = math.sqrt(max(inverse[k, k], 0.0) * worse)
        # The noise halfway between what is expected with the column, and without it.
        half = state[i].copy()
        half[HEIGHT] *= 0.5
        add(model, down_nm, across_nm, half, -1.0)
        normal, right, _, _ = equations(data, read, gain, down_nm, across_nm, model, half, width)
        add(model, down_nm, across_nm, half, 1.0)
        # Without the prior, for what is common to a few maxima of noise is no background.
        other = normal[2, 4] / max(normal[4, 4], 1e-30)
        bare = max(normal[2, 2] - other * normal[2, 4], 1e-30)
        height = half[HEIGHT] + (right[HEIGHT] - other * right[BACKGROUND]) / bare
        evidence[i] = height * math.sqrt(bare / worse)
        seen[i] = min(pixels / full, 1.0)
    return errors, seen, evidence


@njit(cache=True, nogil=True)
def _box(place, reach, pitch, length):
    """The pixels within reach along an axis: the first, and one beyond the last."""
    first = max(0, math.ceil((place - reach) / pitch))
    return first, min(length, math.floor((place + reach) / pitch) + 1)


@njit(cache=True, nogil=True)
def add(model, down_nm, across_nm, one, sign):
    """Adds a column's Gaussian."""
    width = math.exp(one[WIDTH])
    reach = _CUT * width
    top, bottom = _box(one[Y], reach, down_nm, model.shape[0])
    first, last = _box(one[X], reach, across_nm, model.shape[1])
    if last <= first:
        return
    along = np.exp(-0.5 * ((np.arange(first, last) * across_nm - one[X]) / width) ** 2)
    for i in range(top, bottom):
        y = i * down_nm - one[Y]
        height = sign * one[HEIGHT] * math.exp(-0.5 * (y / width) ** 2)
        half = math.sqrt(max(reach**2 - y * y, 0.0))
        left, right = _box(one[X], half, across_nm, model.shape[1])
        for j in range(left, right):
            model[i, j] += height * along[j - first]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp"})
def equations(data, read, gain, down_nm, across_nm, model, one, width):
    """Normal equations of a column's step, the weighted squares left, and how many pixels.

    Slopes are the Gaussian times y, x, 1 and y2 + x2, and factors; so sums of these are enough.
    """
    own, reach = math.exp(one[WIDTH]), REACH * width
    floor = _FLOOR * max(one[HEIGHT], 0.0)
    top, bottom = _box(one[Y], reach, down_nm, data.shape[0])
    first, last = _box(one[X], reach, across_nm, data.shape[1])
    along = np.exp(-0.5 * ((np.arange(first, max(last, first)) * across_nm - one[X]) / own) ** 2)
    sums, offs = np.zeros(15), np.zeros(5)
    squares, pixels = 0.0, 0.0
    for i in range(top, bottom):
        y = i * down_nm - one[Y]
        down = math.exp(-0.5 * (y / own) ** 2)
        left, right = _box(one[X], math.sqrt(max(reach**2 - y * y, 0.0)), across_nm, data.shape[1])
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = 0.0
        o0 = o1 = o2 = o3 = sq = n = 0.0
        for j in range(left, right):
            value = data[i, j]
            known = 1.0 if value == value else 0.0
            expected = model[i, j] + one[BACKGROUND]
            off = value - expected if value == value else 0.0
            weight = known / (read + gain * max(expected, floor))
            x = j * across_nm - one[X]
            xx = x * x
            shape = down * along[j - first]
            w1 = weight * shape
            w2 = w1 * shape
            s0 += w2
            s1 += w2 * x
            s2 += w2 * xx
            s3 += w2 * xx * x
            s4 += w2 * xx * xx
            s5 += w1
            s6 += w1 * x
            s7 += w1 * xx
            s8 += weight
            o0 += w1 * off
            o1 += w1 * off * x
            o2 += w1 * off * xx
            o3 += weight * off
            sq += weight * off * off
            n += known
        yy = y * y
        sums[0] += yy * s0  # yy
        sums[1] += y * s1  # yx
        sums[2] += s2  # xx
        sums[3] += y * s0  # y
        sums[4] += s1  # x
        sums[5] += s0  # 1
        sums[6] += y * (yy * s0 + s2)  # y far
        sums[7] += yy * s1 + s3  # x far
        sums[8] += yy * s0 + s2  # far
        sums[9] += yy * yy * s0 + 2 * yy * s2 + s4  # far far
        sums[10] += y * s5  # with the background: y, x, 1, far and itself
        sums[11] += s6
        sums[12] += s5
        sums[13] += yy * s5 + s7
        sums[14] += s8
        offs[0] += y * o0
        offs[1] += o1
        offs[2] += o0
        offs[3] += yy * o0 + o2
        offs[4] += o3
        squares += sq
        pixels += n
    steep = one[HEIGHT] / own**2
    scale = np.array((steep, steep, 1.0, steep, 1.0))
    normal = np.empty((5, 5))
    for k in range(5):
        for m in range(k + 1):
            normal[k, m] = normal[m, k] = sums[_SUM[k][m]] * scale[k] * scale[m]
    return normal, offs * scale, squares, pixels
