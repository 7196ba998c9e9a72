"""Small filters on float32 images; beyond the frame they see its mirror image.

scipy.ndimage has them all, but at training time they run a hundred times a second: these are
five to fifty times faster at the sizes that occur here, and are tested against it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Image = NDArray[np.float32]


def gaussian(values: Image, sigma_px: float) -> Image:
    """Convolution with a normalised Gaussian, cut at four sigmas."""
    radius = int(4 * sigma_px + 0.5)
    x = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (x / max(sigma_px, 1e-6)) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    return _separable(values, weights, -radius, weights, -radius)


def shift(values: Image, rows_px: float, columns_px: float) -> Image:
    """The image moved down and to the right by parts of pixels too (Lanczos, a = 3)."""
    row_weights, row_start = _lanczos(-rows_px)
    column_weights, column_start = _lanczos(-columns_px)
    return _separable(values, row_weights, row_start, column_weights, column_start)


def correlate(values: Image, kernel: Image) -> Image:
    """Correlation with a square kernel, whose centre is at size // 2."""
    return _correlate(values, np.ascontiguousarray(kernel, np.float32))


def median(values: Image, size: int) -> Image:
    """Median of the size x size window around each pixel, size at most 15, in 256 levels.

    The error is at most 0.2 % of the image's range. Of an even number of pixels it is the upper
    of the middle two, as in scipy.ndimage.
    """
    low, high = values.min(), values.max()
    step = (high - low) / 255
    if size == 1 or step == 0:
        return values.copy()
    levels = ((values - low) / step + np.float32(0.5)).astype(np.uint8)
    return low + step * _median(levels, size).astype(np.float32)


@njit(cache=True, nogil=True)
def _lanczos(offset: float) -> tuple[Image, int]:
    """Six weights that read a line `offset` pixels further on, and where they begin."""
    start = math.floor(offset) - 2
    weights = np.ones(6)
    for k in range(6):
        x = math.pi * (offset - start - k)
        if abs(x) > 1e-9:
            weights[k] = math.sin(x) / x * math.sin(x / 3) / (x / 3)
    return (weights / weights.sum()).astype(np.float32), start


@njit(cache=True, nogil=True)
def mirror(index: int, length: int) -> int:
    """Where the mirror image (d c b a | a b c d | d c b a) has pixel `index`."""
    if 0 <= index < length:
        return index
    index %= 2 * length
    return index if index < length else 2 * length - 1 - index


@njit(cache=True, nogil=True)
def _padded(values: np.ndarray, top: int, left: int, rows: int, columns: int) -> np.ndarray:
    """`rows` x `columns` pixels of the endless mirror image, from (top, left) on."""
    height, length = values.shape
    first = min(max(-left, 0), columns)
    last = max(first, min(columns, length - left))
    out = np.empty((rows, columns), values.dtype)
    for i in range(rows):
        source, target = values[mirror(top + i, height)], out[i]
        for j in range(first):
            target[j] = source[mirror(left + j, length)]
        if first < last:
            target[first:last] = source[left + first : left + last]
        for j in range(last, columns):
            target[j] = source[mirror(left + j, length)]
    return out


# Below, a padded image is one long line, in which a neighbour is at a fixed distance: long inner
# loops over contiguous slices, which compilers vectorise. What wraps round is cut off at the end.


@njit(cache=True, nogil=True, fastmath=True)
def _add(out: Image, size: int, source: Image, step: int, weights: Image) -> None:
    """Adds the sum over k of weights[k] source[j + k step] to the first `size` of `out`."""
    fours = weights.size // 4 * 4  # at a time, for memory is slower than arithmetic
    for k in range(0, fours, 4):
        s0, s1, s2, s3 = [source[(k + m) * step :] for m in range(4)]
        w0, w1, w2, w3 = weights[k : k + 4]
        for j in range(size):
            out[j] += w0 * s0[j] + w1 * s1[j] + w2 * s2[j] + w3 * s3[j]
    for k in range(fours, weights.size):
        s0, w0 = source[k * step :], weights[k]
        for j in range(size):
            out[j] += w0 * s0[j]


@njit(cache=True, nogil=True, fastmath=True)
def _separable(
    values: Image, row_weights: Image, row_start: int, column_weights: Image, column_start: int
) -> Image:
    rows, columns = values.shape
    width = columns + column_weights.size
    padded = _padded(values, row_start, column_start, rows + row_weights.size, width).ravel()
    total = np.zeros((rows + 1) * width, np.float32)
    out = np.zeros(rows * width, np.float32)
    _add(total, out.size, padded, width, row_weights)
    _add(out, out.size, total, 1, column_weights)
    return out.reshape(rows, width)[:, :columns].copy()


@njit(cache=True, nogil=True, fastmath=True)
def _correlate(values: Image, kernel: Image) -> Image:
    rows, columns = values.shape
    size = len(kernel)
    width = columns + size
    padded = _padded(values, -(size // 2), -(size // 2), rows + size, width).ravel()
    out = np.zeros(rows * width, np.float32)
    for a in range(size):
        _add(out, out.size, padded[a * width :], 1, kernel[a])
    return out.reshape(rows, width)[:, :columns].copy()


@njit(cache=True, nogil=True)
def _median(levels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Bit by bit: the highest level that at most half of the window lies below."""
    rows, columns = levels.shape
    width = columns + size
    padded = _padded(levels, -(size // 2), -(size // 2), rows + size, width).ravel()
    found = np.zeros(rows * width, np.uint8)
    trial, below = np.empty_like(found), np.empty_like(found)
    half = np.uint8(size * size // 2)
    for bit in range(7, -1, -1):
        step = np.uint8(1 << bit)
        below[:] = 0
        for j in range(found.size):
            trial[j] = found[j] | step
        for a in range(size):
            line = padded[a * width :]
            for b in range(0, size - 2, 3):
                s0, s1, s2 = line[b:], line[b + 1 :], line[b + 2 :]
                for j in range(found.size):
                    t = trial[j]
                    below[j] += np.uint8(s0[j] < t) + np.uint8(s1[j] < t) + np.uint8(s2[j] < t)
            for b in range(size // 3 * 3, size):
                source = line[b:]
                for j in range(found.size):
                    below[j] += source[j] < trial[j]
        for j in range(found.size):
            found[j] |= step * np.uint8(below[j] <= half)
    return found.reshape(rows, width)[:, :columns].copy()
