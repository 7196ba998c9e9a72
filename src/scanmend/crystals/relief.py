"""The relief under the atoms, or without any: terraces, waves, halos, roughness.

What changes slowly raises and lowers a topograph of constant current as a whole, so that it is
added to the finished heights, on the pixels. Only terraces are asked for where the atoms are.

References:
    M. F. Crommie, C. P. Lutz and D. M. Eigler, Nature 363, 524 (1993), doi:10.1038/363524a0:
        standing waves around adatoms and along steps.
    J. V. Barth et al., Phys. Rev. B 42, 9307 (1990), doi:10.1103/PhysRevB.42.9307: pairs of
        ridges that turn by 120 degrees, the herringbone.
    S. K. Hamalainen et al., Phys. Rev. B 88, 201406 (2013), arXiv:1310.7772: a moire, three waves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

Floats = NDArray[np.floating]

HCP = 0.38  #: of the period of a herringbone, what lies between the ridges of a pair; see `metals`


def log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    """Evenly in the logarithm; `low`, where `high` is not above it."""
    return low * max(high / low, 1.0) ** rng.random()


def pixels(shape: tuple[int, int], pixel_nm: float) -> tuple[Floats, Floats]:
    """x and y of every pixel, nm from the middle, float32; both of `shape` = (rows, columns)."""
    y, x = (((np.arange(n) - (n - 1) / 2) * pixel_nm).astype(np.float32) for n in shape)
    return np.broadcast_to(x, shape), np.broadcast_to(y[:, None], shape)


@dataclass(frozen=True, slots=True, eq=False)
class Terraces:
    """Layers, each as far as its edge goes: a step, or a polygon that is an island or a pit.

    Attributes:
        layers: Of each, the unit normals (n, 2) of its edges in (x, y), outwards; how far each
            edge is from the middle of the image, nm; and whether the layer is there or missing.
        warp: Of each wave that makes edges wander: wave vector (x, y), 1/nm; displacement
            (x, y), nm; phase. Shape (waves, 5).
    """

    layers: tuple[tuple[Floats, Floats, bool], ...]
    warp: Floats

    @classmethod
    def drawn(cls, size_nm: Floats, pixel_nm: float, rng: np.random.Generator) -> Self:
        """One step or several down one way, islands and pits, or both."""
        layers, least = [], size_nm.min()
        if rng.random() < 0.75:
            across = rng.uniform(0, 2 * np.pi)
            normal = np.array([[math.cos(across), math.sin(across)]])
            for at in rng.uniform(-0.55, 0.55, rng.geometric(0.55)) * least:
                layers.append((normal, np.array([at]), True))
        if not layers or rng.random() < 0.4:
            corners = int(rng.choice((3, 4, 6, 6, 12)))
            turned, there = rng.uniform(0, 2 * np.pi), bool(rng.random() < 0.55)
            radius_nm = log_uniform(min(4 * pixel_nm, least / 3), 0.3 * least, rng)
            for _ in range(min(rng.geometric(0.3), 6)):
                angle = turned + 2 * np.pi * np.arange(corners) / corners
                normals = np.stack([np.cos(angle), np.sin(angle)], 1)
                middle = rng.uniform(-0.5, 0.5, 2) * size_nm[::-1]
                reach = radius_nm * rng.uniform(0.7, 1.3, corners) * rng.uniform(0.5, 1.2)
                layers.append((normals, normals @ middle + reach, there))
        waves_per_nm = rng.normal(0, 1, (4, 2)) * 2 * np.pi * rng.uniform(0.5, 5) / least
        # Less than a wavelength by so much that no edge folds over.
        shift = rng.normal(0, log_uniform(0.01, 0.2, rng), (4, 2))
        shift_nm = shift / np.hypot(*waves_per_nm.T)[:, None]
        phases = rng.uniform(0, 2 * np.pi, (4, 1))
        return cls(tuple(layers), np.hstack([waves_per_nm, shift_nm, phases]))

    def distances_nm(self, x: Floats, y: Floats, straight: bool = False) -> list[Floats]:
        """How far inside each layer's edge the points are, nm; negative outside.

        Those of steps only, if `straight`. In float32, which is ample and fast.
        """
        u = x = x.astype(np.float32)
        v = y = y.astype(np.float32)
        for kx, ky, du, dv, phase in self.warp.astype(np.float32):
            wave = np.cos(kx * x + ky * y + phase)
            u, v = u + du * wave, v + dv * wave
        layers = (layer for layer in self.layers if not straight or len(layer[1]) == 1)
        return [_inside(u, v, normals, reach_nm) for normals, reach_nm, _ in layers]

    def levels(self, distances_nm: list[Floats], blur_nm: float) -> Floats | int:
        """How many layers are below each point, from 0 up; edges rise over twice `blur_nm`."""
        rise = [np.tanh(d / np.float32(blur_nm)) for d in distances_nm]
        signed = zip(rise, self.layers, strict=True)
        return sum((1 + r if there else 1 - r) / 2 for r, (_, _, there) in signed)


def pattern(x: Floats, y: Floats, period_nm: float, rng: np.random.Generator) -> Floats:
    """Stripes, a herringbone, or two or three waves: a moire, a charge density wave; about 1 high.

    Args:
        x, y: Of the points, nm.
        period_nm: From stripe to stripe, or of each wave.
        rng: Where all randomness comes from.
    """
    angle, phase = rng.uniform(0, 2 * np.pi, 2)
    if rng.random() < 0.25:
        c, s = math.cos(angle), math.sin(angle)
        elbow_nm = period_nm * log_uniform(1, 8, rng)
        turn = abs(((x * s - y * c) / (2 * elbow_nm) + phase) % 1 - 0.5) * 2 * elbow_nm
        part = (x * c + y * s + math.tan(math.pi / 6) * turn) / period_nm
        apart = (((part - at) % 1 - 0.5) / 0.09 for at in (0.0, HCP))
        return sum((np.exp(-(d**2) / 2) for d in apart), np.zeros_like(x))
    count = int(rng.choice((1, 2, 3, 3)))
    total = np.zeros_like(x)
    for k in range(count):
        way = angle + np.pi * k / count * rng.normal(1, 0.01)
        kx, ky = 2 * np.pi / period_nm * math.cos(way), 2 * np.pi / period_nm * math.sin(way)
        total += np.cos(np.float32(kx) * x + np.float32(ky) * y + np.float32(rng.uniform(0, 6.3)))
    sharp = log_uniform(0.2, 8, rng)  # from waves to plateaus and walls
    return (
        np.tanh(np.float32(sharp) * (total / count - rng.uniform(-0.4, 0.4))) / math.tanh(sharp) / 2
    )


def standing_waves(distance_nm: Floats, wavelength_nm: float, phase: float) -> Floats:
    """What is scattered at distance 0, in one dimension or two: 1 high, and fading outwards."""
    part = np.abs(distance_nm) / np.float32(wavelength_nm)
    return np.cos(np.float32(2 * np.pi) * part + np.float32(phase)) * np.exp(-part / 4) / (1 + part)


def rough(shape: tuple[int, int], slope: float, rng: np.random.Generator) -> Floats:
    """A random relief whose power falls as the `slope`-th power of the wave number; rms 1."""
    spectrum = np.asarray(rfft2(rng.standard_normal(shape, np.float32)))
    rows, columns = shape
    k2 = np.fft.fftfreq(rows)[:, None] ** 2 + np.fft.rfftfreq(columns) ** 2
    k2[0, 0] = np.inf
    values = np.asarray(irfft2(spectrum * (k2 ** (-slope / 4)).astype(np.float32), shape))
    return values / (values.std() or 1.0)


@njit(cache=True, nogil=True)
def _inside(u, v, normals, reach):
    """How far inside the nearest of a polygon's edges each point is."""
    apart = np.empty(u.shape, u.dtype)
    for n in range(u.size):
        a, b = u.flat[n], v.flat[n]
        least = np.inf
        for k in range(reach.size):
            least = min(least, reach[k] - a * normals[k, 0] - b * normals[k, 1])
        apart.flat[n] = least
    return apart
