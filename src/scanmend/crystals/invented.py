r"""What is of no material: crystals of any lattice and basis, what spoils them, and molecules.

A superstructure (p, q, r) has the vectors :math:`p a_1` and :math:`q a_1 + r a_2`: on a hexagonal
lattice (3, 1, 1) is :math:`\sqrt 3 \times \sqrt 3`; (4, 2, 1) is c(4x2), (2, 1, 4) c(2x8). Some of
its sites, or all, are moved and raised against those of the lattice.

References:
    E. A. Wood, J. Appl. Phys. 35, 1306 (1964): the names of superstructures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from . import defects
from .relief import log_uniform
from .topograph import Array

KNOWN = ((2, 0, 1), (2, 1, 1), (3, 1, 1), (3, 0, 1), (4, 2, 1), (2, 0, 2), (2, 1, 4))


@dataclass(frozen=True, slots=True, eq=False)
class Crystal:
    """A perfect one.

    Attributes:
        name: Of its Bravais lattice.
        vectors_nm: a1 and a2 in rows, (x, y) in columns; shape (2, 2).
        basis_nm, h_nm: Places and heights of what is in a cell; shapes (atoms, 2) and (atoms,).
        superstructure: (p, q, r) above; (1, 0, 1) is none.
        moved_nm: Displacement (x, y) and rise at each of its sites; shape (p r, atoms, 3).
        width_nm: Standard deviation of the Gaussians.
    """

    name: str
    vectors_nm: Array
    basis_nm: Array
    h_nm: Array
    superstructure: tuple[int, int, int]
    moved_nm: Array
    width_nm: float

    @classmethod
    def drawn(cls, a_nm: float, superstructure: float, rng: np.random.Generator) -> Self:
        """One whose a1 is `a_nm` long; `superstructure` is the probability that it has one."""
        second = {
            "hexagonal": (0.5, math.sqrt(3) / 2),
            "square": (0.0, 1.0),
            "rectangular": (0.0, rng.uniform(1, 1.9)),
            "centred": (0.5, rng.uniform(0.6, 1.2)),
            "oblique": (rng.uniform(0.1, 0.45), rng.uniform(0.85, 1.6)),
        }
        name = list(second)[rng.choice(5, p=(0.36, 0.18, 0.18, 0.12, 0.16))]
        vectors = a_nm * np.array([(1.0, 0.0), second[name]])
        if a_nm > 0.55 and rng.random() < 0.6:
            turned = molecule(rng) @ rotation(rng.uniform(0, 2 * np.pi))
            basis = turned * a_nm * rng.uniform(0.15, 0.36)
            h, width_nm = rng.normal(0, 0.015, len(basis)), a_nm * rng.uniform(0.08, 0.2)
        else:
            n = int(rng.choice((1, 2, 3, 4), p=(0.4, 0.35, 0.15, 0.1)))
            place = rng.random((n, 2))
            place[0] = 0
            if (name, n) == ("hexagonal", 2):
                place[1] = 1 / 3  # a honeycomb
            basis, h = place @ vectors, rng.normal(0, 0.04, n)
            width_nm = a_nm * rng.uniform(0.25, 0.55) / n**0.35
        p, q, r = _any(rng) if rng.random() < superstructure else (1, 0, 1)
        moved = np.zeros((p * r, len(h), 3))
        if p * r > 1 and rng.random() < 0.4:  # as the holes at the corners of large cells
            moved[0, :, 2] = rng.normal(-0.08, 0.12)
        elif p * r > 1:
            away = 0.05 * a_nm
            moved = rng.normal(0, (away, away, log_uniform(0.01, 0.06, rng)), moved.shape)
        return cls(name, vectors, basis, h, (p, q, r), moved, width_nm)

    def sites(
        self, reach_nm: float, angle: float, shift_nm: Array, phase: int
    ) -> tuple[Array, Array, Array]:
        """x, y and height of all sites within `reach_nm` of the middle, and of some more.

        Args:
            reach_nm: At least so far.
            angle: By which the crystal is turned, radians.
            shift_nm: By which it is shifted afterwards, (x, y).
            phase: By how many a1 the superstructure is shifted in the lattice, as across an
                antiphase boundary.

        Returns:
            Three arrays of shape (rows, sites of a row along a1, atoms).
        """
        turn, (p, q, r) = rotation(angle), self.superstructure
        vectors = self.vectors_nm @ turn
        area_nm2 = abs(np.linalg.det(vectors))
        i, j = (int(reach_nm * np.hypot(*v) / area_nm2) + 2 for v in vectors[::-1])
        n2, n1 = np.mgrid[-j : j + 1, -i : i + 1]
        which = (n1 + phase - q * (n2 // r)) % p * r + n2 % r
        inside = (self.basis_nm + self.moved_nm[..., :2]) @ turn
        cells = n1[..., None] * vectors[0] + n2[..., None] * vectors[1] + shift_nm
        x, y = np.moveaxis(cells[:, :, None] + inside[which], 3, 0)
        return x, y, (self.h_nm + self.moved_nm[..., 2])[which]


def spoiled(
    x: Array, y: Array, h: Array, vectors_nm: Array, often: float, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Sites as of `Crystal.sites` with vacancies, other atoms, missing rows, and atoms on top.

    `often` is the probability of each of these. `h` is changed in place; what lies on top makes
    the arrays that come back longer, and flat.
    """
    vacancies, others, rows, on_top = rng.random(4) < often * np.array((1, 1, 0.3, 1))
    if vacancies:  # of all that is in a cell, or of one of its atoms
        hole = np.zeros((*h.shape[:2], 1))
        depth_nm, length, wide = rng.uniform((0.05, 1, 1), (0.4, 4, 2.2))
        defects.remove(hole[..., 0], log_uniform(0.002, 0.15, rng), length, wide, depth_nm, rng)
        one = np.arange(h.shape[2]) == rng.integers(h.shape[2])
        h += hole * (one if rng.random() < 0.5 else 1)
    if others:
        hit = defects.some(h.shape, log_uniform(0.002, 0.1, rng), rng)
        h[hit] += rng.normal(0, 0.1) * rng.choice((1.0, 0.6), hit[0].size)
    if rows:
        h[defects.some(h.shape[:1], log_uniform(0.01, 0.15, rng), rng)] -= rng.uniform(0.04, 0.3)
    hit = defects.some(h.shape, log_uniform(0.001, 0.03, rng) * on_top, rng)
    side = rng.uniform(-0.5, 0.5, 2) @ vectors_nm  # the same place in each cell
    high_nm = np.full(hit[0].size, rng.uniform(0.03, 0.25))
    added = (x[hit] + side[0], y[hit] + side[1], high_nm)
    x, y, h = (np.append(a, b) for a, b in zip((x, y, h), added, strict=True))
    return x, y, h


def domains(
    size_nm: Array, angle: float, rng: np.random.Generator
) -> Callable[[Array, Array], NDArray[np.intp]]:
    """Which of three domains points (x, y) belong to: what is around some points, or stripes."""
    if rng.random() < 0.6:
        seeds = rng.uniform(-0.6, 0.6, (int(rng.integers(3, 8)), 2)) * size_nm[::-1]
        return lambda x, y: np.argmin([np.hypot(x - u, y - v) for u, v in seeds], axis=0) % 3
    c, s = rotation(angle)[0] / (size_nm.min() * rng.uniform(0.15, 0.5))
    return lambda x, y: np.floor(c * x + s * y).astype(np.intp) % 3


def adsorbed(
    size_nm: Array, pixel_nm: float, angle: float, rng: np.random.Generator
) -> tuple[Array, Array, Array, float]:
    """x, y, height and width of the lobes of molecules, or of clusters that stand high, nm.

    They are anywhere, in rows along or across `angle` or diagonal to it, or gathered.
    """
    width_nm = max(rng.uniform(0.1, 0.3), 0.9 * pixel_nm)
    radius_nm = log_uniform(max(0.12, pixel_nm), max(0.8, 2 * pixel_nm), rng)
    radius_nm *= rng.random() < 0.7  # else they have no shape of their own
    room = size_nm.prod() / (3 * (radius_nm + 2 * width_nm)) ** 2
    count = int(min(rng.geometric(1 / log_uniform(1, 40, rng)), room + 1))
    places = rng.uniform(-0.52, 0.52, (count, 2)) * size_nm[::-1]
    along = angle + rng.choice((0, np.pi / 4, np.pi / 3, np.pi / 2))
    group, k = (n[:count] for n in defects.runs(rng.geometric(0.2, count)))
    step_nm = max(2 * radius_nm, 2.5 * width_nm) * rng.uniform(1, 1.6)
    row, beside = k[:, None] * step_nm * rotation(along)[0], rng.normal(0, step_nm, (count, 2))
    way = rng.choice(3, p=(0.5, 0.25, 0.25))
    places = (places, places[group] + row, places[group] + beside)[way]
    turns = along + rng.integers(6, size=count) * rng.choice((0, np.pi / 3, np.pi / 2, 1.0))
    shape = molecule(rng) * radius_nm
    lobes = [shape @ rotation(turn) + at for turn, at in zip(turns, places, strict=True)]
    x, y = np.concatenate(lobes).T
    low_nm, high_nm, least = (0.3, 2.0, 0.4) if rng.random() < 0.15 else (0.02, 0.35, 0.95)
    h = log_uniform(low_nm, high_nm, rng) * rng.uniform(least, 1, (count, 1))
    return x, y, (h + rng.normal(0, 0.015, len(shape))).ravel(), width_nm


def molecule(rng: np.random.Generator) -> Array:
    """Where a molecule has lobes, in parts of its radius; shape (lobes, 2)."""
    kind, n = rng.choice(("ring", "rod", "cross", "blob")), int(rng.integers(2, 8))
    if kind == "rod":
        return np.stack([np.linspace(-1, 1, n), np.zeros(n)], 1)
    if kind == "blob":
        return rng.normal(0, 0.5, (n, 2))
    arms = 2 * np.pi * np.arange(max(n, 3)) / max(n, 3)
    ring = np.stack([np.cos(arms), np.sin(arms)], 1)
    return ring if kind == "ring" else np.concatenate([ring, ring / 2, np.zeros((1, 2))])


def rotation(angle: float) -> Array:
    """What turns rows (x, y) by an angle, radians, from x towards y; shape (2, 2)."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, s], [-s, c]])


def _any(rng: np.random.Generator) -> tuple[int, int, int]:
    """A superstructure that is known, or another one."""
    if rng.random() < 0.7:
        return KNOWN[rng.integers(len(KNOWN))]
    p, r = int(rng.integers(2, 7)), int(rng.integers(1, 5))
    return p, int(rng.integers(p)), r
