r"""Sums over plane waves in real numbers: what `stm.spectral` consists of.

A real function with the waves (ky, kx) is kept as four real images over ky and kx from 0 up: what
goes with cos cos, cos sin, sin cos and sin sin of :math:`k_y y` and :math:`k_x x`. All sums over
atoms and pixels are products of real matrices then.

Shapes: images are (ky, 4, kx); turns, cosines and sines of multiples of an angle, (multiples, 2,
angles), or (angles, 2, multiples) where they are on the right of a product.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def turns_down(angles, count, like):
    """cos(m angle) and sin(m angle) for m from 0; (count, 2, angles), of the type of `like`.

    Each from the one before, in float64.
    """
    found = np.empty((count, 2, angles.size), like.dtype)
    cosine, sine = np.ones(angles.size), np.zeros(angles.size)
    step_c, step_s = np.cos(angles), np.sin(angles)
    for m in range(count):
        for i in range(angles.size):
            c, s = cosine[i], sine[i]
            found[m, 0, i] = c
            found[m, 1, i] = s
            cosine[i] = c * step_c[i] - s * step_s[i]
            sine[i] = c * step_s[i] + s * step_c[i]
    return found


@njit(cache=True, nogil=True)
def turns_along(angles, count, like):
    """The same as `turns_down`, of shape (angles, 2, count). By doubling: a half from the other."""
    found = np.empty((angles.size, 2, count), like.dtype)
    for i in range(angles.size):
        c, s = found[i, 0], found[i, 1]
        c[0], s[0], done = 1.0, 0.0, 1
        cosine, sine = math.cos(angles[i]), math.sin(angles[i])
        while done < count:
            more = min(done, count - done)
            step_c, step_s = like.dtype.type(cosine), like.dtype.type(sine)
            next_c, next_s = c[done : done + more], s[done : done + more]
            for m in range(more):
                next_c[m] = c[m] * step_c - s[m] * step_s
            for m in range(more):
                next_s[m] = c[m] * step_s + s[m] * step_c
            cosine, sine, done = cosine**2 - sine**2, 2 * cosine * sine, done + more
    return found


@njit(cache=True, nogil=True)
def ends_of(sizes, heights_nm, decay_per_nm, waves_to):
    """|k| where the waves of parts of the current end, 1/nm; NaN: they are too little for any.

    Args:
        sizes: Of the parts, by which exp(-(q - a) h) is multiplied, the greatest being 1.
        heights_nm: The least height h of each, nm.
        decay_per_nm: a, 1/nm.
        waves_to: What that has fallen to.
    """
    found = np.full(len(sizes), np.nan)
    for i in range(len(sizes)):
        if sizes[i] >= waves_to * sizes.max() > 0:
            fall = math.log(sizes[i] / (waves_to * sizes.max())) / heights_nm[i]
            found[i] = math.sqrt(fall * (fall + 2 * decay_per_nm))
    return found


@njit(cache=True, nogil=True)
def extent(positions):
    """The least and the greatest x, y and z, each of shape (3,)."""
    low, high = positions[0].copy(), positions[0].copy()
    for i in range(1, len(positions)):
        for axis in range(3):
            low[axis] = min(low[axis], positions[i, axis])
            high[axis] = max(high[axis], positions[i, axis])
    return low, high


@njit(cache=True, nogil=True, fastmath={"contract"})
def tip_waves(turns_y, turns_x, decays, densities):
    """Sums over the tip's atoms of densities times exp(-tq), shape (columns, ky, 4, kx).

    Args:
        turns_y: Of its atoms, (ky, 2, atoms).
        turns_x: Of its atoms, (atoms, 2, kx).
        decays: exp(-tq), and all factors of a wave; shape (ky, atoms, kx).
        densities: And these times t; shape (columns, atoms).
    """
    ny, atoms, nx = decays.shape
    found = np.empty((len(densities), ny, 4, nx), decays.dtype)
    each = np.empty((atoms, 4, nx), decays.dtype)
    for ky in range(ny):
        for j in range(atoms):
            decay, cosine, sine = decays[ky, j], turns_x[j, 0], turns_x[j, 1]
            for p in range(2):
                turn = turns_y[ky, p, j]
                even, odd = each[j, 2 * p], each[j, 2 * p + 1]
                for kx in range(nx):
                    even[kx] = turn * decay[kx] * cosine[kx]
                for kx in range(nx):
                    odd[kx] = turn * decay[kx] * sine[kx]
        sums = np.dot(densities, each.reshape(atoms, 4 * nx))
        for column in range(len(densities)):
            found[column, ky] = sums[column].reshape(4, nx)
    return found


@njit(cache=True, nogil=True)
def sample_times_tip(turns_y, turns_x, densities, cutoffs, steps, tip, tip_lifted):
    """A plane of atoms, wave by wave with the tip, summed over the rank: two images.

    Args:
        turns_y: Of its atoms, (ky, 2, atoms).
        turns_x: Of its atoms, (atoms, 2, kx).
        densities: Of its atoms; shape (rank, atoms).
        cutoffs: Along ky and kx the waves of each column end there, 1/nm, NaN for none; (rank,).
        steps: From wave to wave along y and x, 1/nm.
        tip, tip_lifted: From `tip_waves`; shape (rank, ky, 4, kx).
    """
    ny, nx, atoms = len(turns_y), turns_x.shape[2], len(turns_x)
    flat, lifted = np.zeros((2, ny, 4, nx), turns_x.dtype)
    left = turns_y.reshape(2 * ny, atoms)
    right_room, sums_room = np.empty(turns_x.size, tip.dtype), np.empty(4 * ny * nx, tip.dtype)
    for r in range(len(densities)):
        if not cutoffs[r] >= 0:
            continue
        high = min(ny, int(cutoffs[r] / steps[0]) + 1)
        wide = min(nx, int(cutoffs[r] / steps[1]) + 1)
        right = right_room[: atoms * 2 * wide].reshape(atoms, 2 * wide)
        for i in range(atoms):
            density = densities[r, i]
            for p in range(2):
                out, turn = right[i, p * wide : (p + 1) * wide], turns_x[i, p]
                for kx in range(wide):
                    out[kx] = density * turn[kx]
        sums = sums_room[: 4 * high * wide].reshape(2 * high, 2 * wide)
        np.dot(left[: 2 * high], right, sums)
        for ky in range(high):
            of_sample = sums[2 * ky : 2 * ky + 2].reshape(4, wide)
            _add(flat[ky], of_sample, tip[r, ky])
            _add(lifted[ky], of_sample, tip_lifted[r, ky])
    return flat, lifted


@njit(cache=True, nogil=True, fastmath={"contract"})
def _add(image, s, t):
    """Adds cos(u - v) = cos u cos v + sin u sin v, and sin(u - v), along y and along x.

    A loop for each part: what writes to one place only is compiled to SIMD.
    """
    n = s.shape[1]
    out = image[0]
    for i in range(n):
        out[i] += s[0, i] * t[0, i] + s[1, i] * t[1, i] + s[2, i] * t[2, i] + s[3, i] * t[3, i]
    out = image[1]
    for i in range(n):
        out[i] += s[1, i] * t[0, i] - s[0, i] * t[1, i] + s[3, i] * t[2, i] - s[2, i] * t[3, i]
    out = image[2]
    for i in range(n):
        out[i] += s[2, i] * t[0, i] + s[3, i] * t[1, i] - s[0, i] * t[2, i] - s[1, i] * t[3, i]
    out = image[3]
    for i in range(n):
        out[i] += s[3, i] * t[0, i] - s[2, i] * t[1, i] - s[1, i] * t[2, i] + s[0, i] * t[3, i]


@njit(cache=True, nogil=True, fastmath={"contract"})
def on_planes(constant, with_q, of_constant, of_q, cutoffs, steps, rows, columns):
    """The waves put together on each plane; shape (planes, rows, columns).

    Args:
        constant, with_q: Images that go with 1 and q.
        of_constant, of_q: exp(-hq) (1 + hq) and exp(-hq) q; shape (planes, ky, kx).
        cutoffs: |k| at which the waves of each plane end, 1/nm; shape (planes,).
        steps: From wave to wave along y and x, 1/nm.
        rows: Turns of the pixels, (ky, 2, rows).
        columns: Turns of the pixels, (2, kx, columns).
    """
    found = np.empty((len(cutoffs), rows.shape[2], columns.shape[2]), constant.dtype)
    room = np.empty(constant.size, constant.dtype)
    for z in range(len(cutoffs)):
        ny = min(constant.shape[0], int(cutoffs[z] / steps[0]) + 1)
        nx = min(constant.shape[2], int(cutoffs[z] / steps[1]) + 1)
        waves = room[: 4 * ny * nx].reshape(ny, 4, nx)
        for ky in range(ny):
            u, v = of_constant[z, ky], of_q[z, ky]
            for part in range(4):
                out, c, d = waves[ky, part], constant[ky, part], with_q[ky, part]
                for kx in range(nx):
                    out[kx] = u[kx] * c[kx] + v[kx] * d[kx]
        along_y = np.dot(waves.reshape(2 * ny, 2 * nx).T, rows[:ny].reshape(2 * ny, rows.shape[2]))
        np.dot(along_y.T, np.concatenate((columns[0, :nx], columns[1, :nx])), found[z])
    return found
