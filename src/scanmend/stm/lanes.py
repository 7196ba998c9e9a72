"""Sixteen scans side by side, in the lanes of the processor, and normal numbers for each.

Arrays of lanes end in an axis of `LANES`, and in single precision one register holds it. Every lane
draws from a stream of its own: what a scan gets depends neither on its neighbours nor on its lane.

References:
    D. Blackman, S. Vigna, ACM Trans. Math. Softw. 47, 36 (2021) (xoshiro128++)
    G. E. P. Box, M. E. Muller, Ann. Math. Stat. 29, 610 (1958)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

LANES = 16
BLOCK = 32  #: points that are moved between rows and lanes at a time


def streams(rngs: Sequence[np.random.Generator]) -> NDArray[np.uint32]:
    """What `draw` draws from: a state seeded by each rng; idle lanes repeat the first scan.

    Returns:
        Shape (4, `LANES`).
    """
    states = np.empty((4, LANES), np.uint32)
    for lane, rng in enumerate(rngs):
        states[:, lane] = rng.integers(1, 1 << 32, 4, np.uint32)
    states[:, len(rngs) :] = states[:, :1]
    return states


def normals(states: NDArray[np.uint32], size: int) -> NDArray[np.float32]:
    """Standard normal numbers of each stream; shape (size, `LANES`)."""
    numbers = np.empty((size + size % 2) * LANES, np.float32)
    draw(states, numbers)
    return numbers.reshape(-1, LANES)[:size]


def _move(_, into, at, source, first):
    """`into[at : at + LANES] = source[first : first + LANES]` in one go; flat, of one type.

    A loop would go number by number, for fear that the arrays overlap.
    """

    def lower(context, builder, signature, given):
        def place(which):
            array = context.make_array(signature.args[which])(context, builder, given[which])
            return builder.gep(array.data, [given[which + 1]])

        size = context.get_abi_sizeof(context.get_data_type(into.dtype))
        count = context.get_constant(types.intp, LANES)
        cgutils.raw_memcpy(builder, place(0), place(2), count, size)
        return context.get_dummy_value()

    return types.void(into, at, source, first), lower


move: Any = intrinsic(_move)  # whose first argument numba gives


def rows(count: int, size: int, kind: type) -> NDArray:
    """Empty, with gaps: rows a power of two apart would fight for the same cache lines."""
    return np.empty((count, size + 16), kind)[:, :size]


@njit(cache=True, nogil=True)
def scatter(block, into, begin):
    """Writes a flat `BLOCK` of lanes to rows, one a scan, from column `begin` on."""
    for row in range(len(into)):
        for i in range(min(BLOCK, into.shape[1] - begin)):
            into[row, begin + i] = block[LANES * i + row]


@njit(cache=True, nogil=True, inline="always")
def log1p(x):
    """For x > -0.9, to 2e-5 below |x| = 0.5: the series of 2 artanh(x / (2 + x))."""
    real = type(x)
    s = x / (real(2) + x)
    t = s * s
    series = real(1) + t * real(1 / 3) + t * t * (real(1 / 5) + t * real(1 / 7))
    return real(2) * s * series


@njit(cache=True, nogil=True, inline="always")
def advance(a, b, c, d):
    """The next 32 bits of xoshiro128++ and its next state."""
    u4 = np.uint32  # again and again, since numba widens what it adds
    bits = u4(a + d)
    bits = u4(u4(u4(bits << u4(7)) | u4(bits >> u4(25))) + a)
    shifted = u4(b << u4(9))
    c, d = u4(c ^ a), u4(d ^ b)
    b, a = u4(b ^ c), u4(a ^ d)
    return bits, a, b, u4(c ^ shifted), u4(u4(d << u4(11)) | u4(d >> u4(21)))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp", "nsz"})
def draw(states, numbers):
    """Fills `numbers`, flat, an even number of times `LANES`, with standard normal ones.

    By the formula of Box and Muller, from uniform numbers with a grain of 2^-24: it ends the tails
    at 5.9, beyond which there is 1 number in 3e8.
    """
    f4, i4 = np.float32, np.int32
    # Flat, with offsets that the compiler knows: else it fears that rows overlap, and takes one
    # lane at a time, five times slower.
    s = states.reshape(-1)
    for pair in range(numbers.size // (2 * LANES)):
        first = 2 * LANES * pair
        for i in range(LANES):
            a, b, c, d = s[i], s[LANES + i], s[2 * LANES + i], s[3 * LANES + i]
            one, a, b, c, d = advance(a, b, c, d)
            two, a, b, c, d = advance(a, b, c, d)
            s[i], s[LANES + i], s[2 * LANES + i], s[3 * LANES + i] = a, b, c, d

            uniform = f4(f4(f4(i4(one >> np.uint32(8))) + f4(0.5)) * f4(2.0**-24))
            written = f4(uniform).view(i4)  # as 2^power times a part from 0.71 to 1.41
            power = i4(i4(written - i4(0x3F3504F3)) >> i4(23))
            part = i4(written - i4(power << i4(23))).view(f4)
            log = f4(power) * f4(math.log(2)) + log1p(part - f4(1))
            radius = f4(math.sqrt(f4(-2) * log))

            half = f4(i4(two)) * f4(math.pi / 2**32)  # of the angle: -pi/2 to pi/2
            t = half * half
            sine = f4(1 / 120) + t * (f4(-1 / 5040) + t * f4(1 / 362880))
            sine = half * (f4(1) + t * (f4(-1 / 6) + t * sine))
            cosine = f4(1 / 24) + t * (f4(-1 / 720) + t * (f4(1 / 40320) - t * f4(1 / 3628800)))
            cosine = f4(1) + t * (f4(-1 / 2) + t * cosine)
            numbers[first + i] = radius * (f4(2) * sine * cosine)
            numbers[first + LANES + i] = radius * (f4(1) - f4(2) * sine * sine)
