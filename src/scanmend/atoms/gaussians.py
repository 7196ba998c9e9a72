r"""A sum of Gaussians, fitted to all columns of an image at once.

In a disc about each column the image is

.. math:: b_i + \sum_j h_j \exp\left(-\frac{(r - r_j)^2}{2 w_j^2}\right)

with the Gaussians of all others in it, so that what overlaps is told apart, as StatSTEM does (De
Backer et al.); b_i is its own. Pixels are weighted by their variance, read + gain times what the
model expects there, which for counts is the method of scoring, and leads to the greatest likelihood
(Nelder and Wedderburn). It goes in sweeps: a step of a column, with the others as they have become
by then. A column's width is held near the common one, which is fitted first, by a prior: few
electrons do not tell a wide column from a background.

References:
    A. De Backer et al., Ultramicroscopy 171, 104 (2016), doi:10.1016/j.ultramic.2016.08.018
    J. A. Nelder, R. W. M. Wedderburn, J. R. Stat. Soc. A 135, 370 (1972), doi:10.2307/2344614
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

REACH = 2.5  #: widths: the radius of the disc in which a column is fitted
WIDTH_SPREAD = 0.15  #: by how much a column's width differs from the common one
BACKGROUND_SPREAD = 0.15  #: by how much its background does, in mean heights
_CUT = 4.0  # widths at which a Gaussian ends
_PLACES, _COMMON, _ALL = range(3)  # what sweeps are for
_ENOUGH = 500  # columns that tell the common width
_FIRST = ((_PLACES, 8), (_COMMON, 5), (_PLACES, 6), (_COMMON, 5), (_PLACES, 6))
_AGAIN = ((_PLACES, 3), (_ALL, 20))
_STILL, _STILL_NM = 0.03, 2e-5  # steps that are none: in standard deviations, or this small
_DAMPING, _STEP = 1e-3, 0.3  # of the normal equations; the longest step, in widths
_FLOOR = 0.05  # of a column's height, which the model may expect at least when pixels are weighted
_Y, _X, _HEIGHT, _WIDTH, _BACKGROUND = range(5)
_SUM = ((0, 0, 0, 0, 0), (1, 2, 0, 0, 0), (3, 4, 5, 0, 0), (6, 7, 8, 9, 0), (10, 11, 12, 13, 14))


@dataclass(frozen=True, slots=True)
class Noise:
    """The variance of a pixel: `read` and `gain` times what is expected there.

    Attributes:
        read: In the image's unit squared.
        gain: In the image's unit; 1 for counted electrons.
    """

    read: float
    gain: float


@dataclass(frozen=True, slots=True, eq=False)
class Gaussians:
    """What was fitted.

    Attributes:
        places_nm: (y, x) from the middle of pixel [0, 0], nm; shape (n, 2).
        heights, backgrounds: In the image's unit; shape (n,).
        widths_nm: Standard deviations of the Gaussians, nm; shape (n,).
        errors: One standard deviation of y, x, height, width and background, in their units, with
            the other columns as they are; shape (n, 5).
        evidence: Heights in standard deviations, as far as noise is concerned; shape (n,).
        seen: Share of the pixels of a whole disc that were there; shape (n,).
        left: The image without the Gaussians, but with its backgrounds; shape (rows, columns).
        width_nm: The common width, nm.
    """

    places_nm: Array
    heights: Array
    backgrounds: Array
    widths_nm: Array
    errors: Array
    evidence: Array
    seen: Array
    left: Array
    width_nm: float

    def start(self, kept: NDArray[np.bool_]) -> Array:
        """Some of them, to be fitted again."""
        logs = np.log(self.widths_nm)
        columns = (*self.places_nm.T, self.heights, logs, self.backgrounds)
        return np.stack(columns, axis=1)[kept]


def start(places_nm: Array, width_nm: float) -> Array:
    """Columns of which only the places (y, x) are known, nm; shape (n, 5)."""
    state = np.zeros((len(places_nm), 5))
    state[:, :2], state[:, _WIDTH] = places_nm, math.log(width_nm)
    return state


def fit(
    values: Array,
    noise: Noise,
    pixel_nm: tuple[float, float],
    first: Array,
    width_nm: float,
    again: bool = False,
) -> Gaussians:
    """Fits columns.

    Args:
        values: The image; what is NaN is left out; shape (rows, columns).
        noise: Of its pixels; read above 0.
        pixel_nm: Pixel pitch (rows, columns), nm.
        first: To begin with, from `start` or `Gaussians.start`; shape (n, 5).
        width_nm: About the standard deviation of a column.
        again: Whether that is the common width; each then gets one of its own. Else it is fitted,
            and all have it.
    """
    state = first.copy()
    image = values, noise.read, noise.gain, *pixel_nm
    model = np.zeros_like(values)
    for one in state:
        _add(model, *pixel_nm, one, 1.0)
    common = _settle(*image, model, state, math.log(width_nm), _AGAIN if again else _FIRST)
    errors, seen, evidence = _judge(*image, model, state, common)
    widths = np.exp(state[:, _WIDTH])
    errors[:, _WIDTH] *= widths
    return Gaussians(
        *(state[:, :2], state[:, _HEIGHT], state[:, _BACKGROUND], widths),
        *(errors, evidence, seen, values - model, math.exp(common)),
    )


def at(
    values: Array, noise: Noise, pixel_nm: tuple[float, float], found: Gaussians, place_nm: Array
) -> tuple[float, float]:
    """Height of a column just there beside those found, and its standard deviation.

    It has the common width; a background is fitted besides.

    Args:
        values, noise, pixel_nm: What was given to `fit`, which made `found` of it.
        found: All others.
        place_nm: (y, x), nm.
    """
    state = np.array((*place_nm, 0.0, math.log(found.width_nm), 0.0))
    cut = np.ix_((_HEIGHT, _BACKGROUND), (_HEIGHT, _BACKGROUND))
    model = values - found.left
    inverse = np.zeros((2, 2))
    for _ in range(4):
        normal, right, _, _ = _normal(
            *(values, noise.read, noise.gain, *pixel_nm), model, state, found.width_nm
        )
        inverse = np.linalg.pinv(normal[cut])
        step = inverse @ right[[_HEIGHT, _BACKGROUND]]
        _add(model, *pixel_nm, np.array((*state[:2], step[0], *state[3:])), 1.0)
        state[[_HEIGHT, _BACKGROUND]] += step
    return float(state[_HEIGHT]), math.sqrt(max(float(inverse[0, 0]), 0.0))


@njit(cache=True, nogil=True)
def _settle(data, read, gain, down_nm, across_nm, model, state, common, phases):
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
                normal, right, _, _ = _normal(
                    data, read, gain, down_nm, across_nm, model, one, math.exp(common)
                )
                if phase == _COMMON:
                    normal, right = _wherever(
                        data, read, gain, down_nm, across_nm, model, one, math.exp(common), normal
                    )
                normal[_BACKGROUND, _BACKGROUND] += 1 / spread**2
                right[_BACKGROUND] += (level - one[_BACKGROUND]) / spread**2
                for k in range(5):
                    normal[k, k] += _DAMPING * normal[k, k] + 1e-30
                if phase == _COMMON:
                    # What is left to the width when height and background have followed it.
                    pair = np.array(((normal[2, 2], normal[2, 4]), (normal[4, 2], normal[4, 4])))
                    aside = np.array((normal[3, 2], normal[3, 4]))
                    follow = np.linalg.solve(pair, aside)
                    if one[_HEIGHT] > 0:
                        slope += right[3] - follow[0] * right[2] - follow[1] * right[4]
                        bend += normal[3, 3] - follow @ aside
                    _hold(normal, right, _Y)
                    _hold(normal, right, _X)
                if phase == _ALL:
                    normal[_WIDTH, _WIDTH] += 1 / WIDTH_SPREAD**2
                    right[_WIDTH] += (common - one[_WIDTH]) / WIDTH_SPREAD**2
                else:
                    _hold(normal, right, _WIDTH)
                step = np.linalg.solve(normal, right)
                limit = _STEP * math.exp(common)
                step[_Y] = min(max(step[_Y], -limit), limit)
                step[_X] = min(max(step[_X], -limit), limit)
                step[_WIDTH] = min(max(step[_WIDTH], -_STEP), _STEP)
                _add(model, down_nm, across_nm, one, -1.0)
                one += step
                _add(model, down_nm, across_nm, one, 1.0)
                if phase != _COMMON:
                    small = max(_STILL_NM, _STILL / math.sqrt(normal[_Y, _Y] + normal[_X, _X]))
                    still[i] = max(abs(step[_Y]), abs(step[_X])) < small
            if phase == _COMMON and bend > 0:
                common += min(max(slope / bend, -_STEP), _STEP)
                model[:] = 0.0
                for i in range(len(state)):
                    state[i, _WIDTH] = common
                    _add(model, down_nm, across_nm, state[i], 1.0)
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
    _add(model, down_nm, across_nm, one, -1.0)
    for k in (_Y, _X):
        aside = min(math.sqrt(2 / (normal[k, k] + 1e-30)), width)
        for sign in (-1.0, 1.0):
            other = one.copy()
            other[k] += sign * aside
            _add(model, down_nm, across_nm, other, 1.0)
            normal_there, right, _, _ = _normal(
                data, read, gain, down_nm, across_nm, model, other, width
            )
            _add(model, down_nm, across_nm, other, -1.0)
            mean += normal_there / 4
            right_side += right / 4
    _add(model, down_nm, across_nm, one, 1.0)
    return mean, right_side


@njit(cache=True, nogil=True)
def _level(state):
    """The common background, and by how much one column's differs from it."""
    level, height, many = 0.0, 0.0, 0
    for i in range(len(state)):
        if state[i, _HEIGHT] > 0:
            level, height, many = (
                level + state[i, _BACKGROUND],
                height + state[i, _HEIGHT],
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
def _judge(data, read, gain, down_nm, across_nm, model, state, common):
    """Standard deviations, and the share of each disc that was there."""
    width = math.exp(common)
    errors, seen, evidence = np.empty((len(state), 5)), np.empty(len(state)), np.empty(len(state))
    full = math.pi * (REACH * width) ** 2 / (down_nm * across_nm)
    _, spread = _level(state)
    for i in range(len(state)):
        normal, _, squares, pixels = _normal(
            data, read, gain, down_nm, across_nm, model, state[i], width
        )
        normal[_WIDTH, _WIDTH] += 1 / WIDTH_SPREAD**2
        normal[_BACKGROUND, _BACKGROUND] += 1 / spread**2
        for k in range(5):
            normal[k, k] += 1e-9 * normal[k, k] + 1e-30
        # Where Gaussians do not fit, their places are no surer than the misfit allows.
        worse = max(1.0, squares / max(pixels - 5, 1))
        inverse = np.linalg.inv(normal)
        for k in range(5):
            errors[i, k] = math.sqrt(max(inverse[k, k], 0.0) * worse)
        # The noise halfway between what is expected with the column, and without it.
        half = state[i].copy()
        half[_HEIGHT] *= 0.5
        _add(model, down_nm, across_nm, half, -1.0)
        normal, right, _, _ = _normal(data, read, gain, down_nm, across_nm, model, half, width)
        _add(model, down_nm, across_nm, half, 1.0)
        # Without the prior, for what is common to a few maxima of noise is no background.
        other = normal[2, 4] / max(normal[4, 4], 1e-30)
        bare = max(normal[2, 2] - other * normal[2, 4], 1e-30)
        height = half[_HEIGHT] + (right[_HEIGHT] - other * right[_BACKGROUND]) / bare
        evidence[i] = height * math.sqrt(bare / worse)
        seen[i] = min(pixels / full, 1.0)
    return errors, seen, evidence


@njit(cache=True, nogil=True)
def _box(place, reach, pitch, length):
    """The pixels within reach along an axis: the first, and one beyond the last."""
    first = max(0, math.ceil((place - reach) / pitch))
    return first, min(length, math.floor((place + reach) / pitch) + 1)


@njit(cache=True, nogil=True)
def _add(model, down_nm, across_nm, one, sign):
    """Adds a column's Gaussian."""
    width = math.exp(one[_WIDTH])
    reach = _CUT * width
    top, bottom = _box(one[_Y], reach, down_nm, model.shape[0])
    first, last = _box(one[_X], reach, across_nm, model.shape[1])
    if last <= first:
        return
    along = np.exp(-0.5 * ((np.arange(first, last) * across_nm - one[_X]) / width) ** 2)
    for i in range(top, bottom):
        y = i * down_nm - one[_Y]
        height = sign * one[_HEIGHT] * math.exp(-0.5 * (y / width) ** 2)
        half = math.sqrt(max(reach**2 - y * y, 0.0))
        left, right = _box(one[_X], half, across_nm, model.shape[1])
        for j in range(left, right):
            model[i, j] += height * along[j - first]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "arcp"})
def _normal(data, read, gain, down_nm, across_nm, model, one, width):
    """Normal equations of a column's step, the weighted squares left, and how many pixels.

    Slopes are the Gaussian times y, x, 1 and y2 + x2, and factors; so sums of these are enough.
    """
    own, reach = math.exp(one[_WIDTH]), REACH * width
    floor = _FLOOR * max(one[_HEIGHT], 0.0)
    top, bottom = _box(one[_Y], reach, down_nm, data.shape[0])
    first, last = _box(one[_X], reach, across_nm, data.shape[1])
    along = np.exp(-0.5 * ((np.arange(first, max(last, first)) * across_nm - one[_X]) / own) ** 2)
    sums, offs = np.zeros(15), np.zeros(5)
    squares, pixels = 0.0, 0.0
    for i in range(top, bottom):
        y = i * down_nm - one[_Y]
        down = math.exp(-0.5 * (y / own) ** 2)
        left, right = _box(one[_X], math.sqrt(max(reach**2 - y * y, 0.0)), across_nm, data.shape[1])
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = 0.0
        o0 = o1 = o2 = o3 = sq = n = 0.0
        for j in range(left, right):
            value = data[i, j]
            known = 1.0 if value == value else 0.0
            expected = model[i, j] + one[_BACKGROUND]
            off = value - expected if value == value else 0.0
            weight = known / (read + gain * max(expected, floor))
            x = j * across_nm - one[_X]
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
    steep = one[_HEIGHT] / own**2
    scale = np.array((steep, steep, 1.0, steep, 1.0))
    normal = np.empty((5, 5))
    for k in range(5):
        for m in range(k + 1):
            normal[k, m] = normal[m, k] = sums[_SUM[k][m]] * scale[k] * scale[m]
    return normal, offs * scale, squares, pixels
