"""What spoils a lattice, and what lies on it: nothing here knows one material from another."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .topograph import Array

Field = Callable[[Array, Array], Array]
"""A function of x and y, nm from the middle of the image; both arrays of one shape."""


class Canvas(Protocol):
    """What bumps are added to: a `Topograph`, or what else has its `add`."""

    def add(
        self, x: Array, y: Array, h: Array, angle: float, along_nm: float, across_nm: float
    ) -> None:
        """Bumps at `x`, `y` of heights `h`, that belong together; see `Topograph.add`."""
        ...


def some(shape: tuple[int, ...], fraction: float, rng: np.random.Generator) -> tuple[NDArray, ...]:
    """Indices of a random `fraction` of the sites of a lattice; a site may come twice."""
    n = rng.poisson(fraction * math.prod(shape))
    return tuple(rng.integers(0, size, n) for size in shape)


def remove(
    h: Array, fraction: float, length: float, rows: float, depth_nm: float, rng: np.random.Generator
) -> None:
    """Lowers a `fraction` of the sites, in vacancies of `length` sites and `rows` rows on average.

    `h`, of shape (rows, sites), is changed in place. Half of the vacancies are `depth_nm` deep,
    the others shallower. From row to row a vacancy may shift by one site, so that no pit has
    straight walls.
    """
    row, first = some(h.shape, fraction / (length * rows), rng)
    depth = depth_nm * np.where(rng.random(row.size) < 0.5, 1.0, rng.uniform(0.25, 1, row.size))
    lengths = rng.geometric(1 / length, row.size)
    vacancy, k = runs(rng.geometric(1 / rows, row.size))
    strip, m = runs(lengths[vacancy])
    shift = np.where(k > 0, rng.integers(-1, 2, k.size), 0)
    i, j = (row[vacancy] + k)[strip], (first[vacancy] + shift)[strip] + m
    inside = (i < h.shape[0]) & (j >= 0) & (j < h.shape[1])
    h[i[inside], j[inside]] = -depth[vacancy[strip[inside]]]


def disorder(size_nm: Array, most: float, rng: np.random.Generator) -> Field:
    """Fraction of sites that are disordered: `most` beyond a wavy, blurred border, else 0."""
    direction, *phases = rng.uniform(0, 2 * np.pi, 7)
    border = rng.uniform(-0.5, 0.3) * size_nm.min()
    waves_per_nm = rng.normal(0, 1.2, (6, 2))
    blur_nm = rng.uniform(0.5, 2.0)

    def fraction(x: Array, y: Array) -> Array:
        depth = x * math.cos(direction) + y * math.sin(direction) - border
        for (kx, ky), phase in zip(waves_per_nm, phases, strict=True):
            depth += 0.7 * np.cos(kx * x + ky * y + phase)
        return most / 2 * (1 + np.tanh(depth / blur_nm))

    return fraction


def jumble(
    x: Array, y: Array, h: Array, fraction: Array, rough_nm: float, rng: np.random.Generator
) -> None:
    """Moves a fraction of the sites by half a lattice constant, at heights of any kind, and digs.

    Nothing is left of the lattice then but its density; holes of 1 to 4 nm reach the layer below.
    """
    hit = np.nonzero(rng.random(h.shape) < fraction)
    x[hit] += rng.normal(0, 0.35, hit[0].size)
    y[hit] += rng.normal(0, 0.35, hit[0].size)
    h[hit] = rng.normal(-0.05, rough_nm, hit[0].size)
    for centre in rng.integers(0, hit[0].size, rng.poisson(0.004 * hit[0].size)):
        row, dimer = hit[0][centre], hit[1][centre]
        distance = np.hypot(x[hit] - x[row, dimer], y[hit] - y[row, dimer])
        h[hit] -= 0.25 * (distance < rng.uniform(0.5, 2.0) * rng.uniform(0.6, 1.4, distance.size))


def chains(
    canvas: Canvas,
    per_nm2: float,
    angle: float,
    ground: Field,
    size_nm: Array,
    rng: np.random.Generator,
) -> None:
    """Rows of bright features along, across, or diagonal to `angle`; each is longer across it."""
    for _ in range(rng.poisson(per_nm2 * size_nm.prod())):
        y, x = rng.uniform(-0.5, 0.5, 2) * size_nm
        direction = angle + rng.choice((0.0, np.pi / 4, np.pi / 2))
        n = rng.geometric(0.2)
        distance = np.cumsum(rng.uniform(0.9, 1.1, n)) * rng.uniform(1.0, 3.5)
        x, y = x + distance * math.cos(direction), y + distance * math.sin(direction)
        h = ground(x, y) + rng.uniform(0.06, 0.2) * rng.uniform(0.7, 1, n)
        canvas.add(x, y, h, angle, 0.28, rng.uniform(0.25, 0.6))


def adsorbates(
    canvas: Canvas, per_nm2: float, ground: Field, size_nm: Array, rng: np.random.Generator
) -> None:
    """Single bumps, and clusters of them up to 3 nm wide."""
    for _ in range(rng.poisson(per_nm2 * size_nm.prod())):
        centre, radius_nm = rng.uniform(-0.5, 0.5, 2) * size_nm, rng.uniform(0.2, 1.5)
        n = 1 + rng.poisson(4 * radius_nm**2)
        y, x = centre[:, None] + rng.normal(0, radius_nm / 2, (2, n))
        h = ground(x, y) + rng.uniform(0.05, 0.4) * rng.uniform(0.5, 1, n)
        canvas.add(x, y, h, 0.0, 0.3, 0.3)


def runs(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For runs laid end to end: which run each element belongs to, and its place in it."""
    run = np.repeat(np.arange(lengths.size), lengths)
    return run, np.arange(run.size) - (np.cumsum(lengths) - lengths)[run]
