r"""The tunnelling current as a sum of plane waves: a thousand times faster than pairs of atoms.

With :math:`a = 2\kappa`, what a pair of atoms carries over a height h has a two-dimensional Fourier
transform in closed form:

.. math:: \mathcal F[e^{-a \sqrt{x^2 + y^2 + h^2}}](k) = 2\pi a\, e^{-hq} (1 + hq) / q^3,
          \qquad q = \sqrt{k^2 + a^2}

(Hankel transform of order 0; at k = 0 it is the decay above a uniform sheet, :math:`2\pi a^{-2}
(1 + ah) e^{-ah}`.) With :math:`h = z + t_j - s_i`, the height of the tip and of the atoms in it and
in the sample, it separates exactly into a sum of two products of what belongs to the tip, to the
sample and to z. The integral over energies separates too, into the few products (its rank) that a
singular value decomposition of the tip's densities leaves. So each atom is met once per wave, not
once per pixel and partner.

What is given up is listed in `Accuracy`: the shortest waves; and as waves are periodic, the images
of the sample are only kept far away. `FINE` errs by less than 1e-8 of the current, `FAST` by about
1e-6, in half the time; where that is much against the corrugation, as above a perfect crystal, only
`FINE` will do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SimulationError
from .current import Array, Electrode, Junction

LEAST_DISTANCE_NM = 0.22  #: [nm] of tip and sample, vertically; nearer, the waves are too many


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What plane waves leave out, as parts of the current.

    Attributes:
        waves_to: Waves end where exp(-(q - a) h), h the least height, has fallen to this.
        replica_to: What an atom in an image of the sample adds, against one straight below.
        rank_to: Products of densities that are left out, against the greatest.
        dtype: Of all sums.
    """

    waves_to: float
    replica_to: float
    rank_to: float
    dtype: type[np.complexfloating]


FINE = Accuracy(1e-8, 1e-10, 1e-9, np.complex128)
FAST = Accuracy(3e-6, 1e-7, 3e-6, np.complex64)
"""At 4.5 eV: waves up to 49 /nm for h = 0.4 nm, up to 77 /nm for 0.22 nm."""
MOST_WAVES = 200_000

Waves = NDArray[np.complexfloating]

_PLANE_NM = 1e-6  # atoms that differ by less in height are in one plane


class Spectral:
    """All that the currents on some planes above a surface share, whatever the sample holds.

    Made once for a tip, a bias and a raster, it serves many samples that are no higher and no
    wider than the first.

    Args:
        junction: Tip, first sample and bias.
        x_nm: Of the columns, nm; shape (columns,).
        y_nm: Of the rows, nm; shape (rows,).
        z_nm: Heights of the planes, nm; shape (planes,).
        box_nm: Period (along y, along x); the least that is accurate if not given.
        accuracy: `FINE` or `FAST`.

    Raises:
        SimulationError: The tip comes nearer to the sample than `LEAST_DISTANCE_NM`, the box is
            smaller than accuracy asks for, or it holds too many waves.
    """

    def __init__(
        self,
        junction: Junction,
        x_nm: Array,
        y_nm: Array,
        z_nm: Array,
        box_nm: tuple[float, float] | None = None,
        accuracy: Accuracy = FINE,
    ) -> None:
        z_nm = np.atleast_1d(np.asarray(z_nm, np.float64))
        nearest = z_nm.min() + junction.least_distance_nm
        if not nearest >= LEAST_DISTANCE_NM:
            raise SimulationError(
                f"the tip comes within {nearest:.3g} nm of the sample, and plane waves need "
                f"{LEAST_DISTANCE_NM} nm: raise the tip, or sum the pairs directly"
            )
        self.junction = junction
        self._top_nm = float(junction.sample.positions_nm[:, 2].max())
        self._accuracy, self._dtype = accuracy, accuracy.dtype
        self._reach_nm = tuple(
            _reach(junction, raster_nm, axis, float(z_nm.max()) - self._top_nm, accuracy.replica_to)
            for raster_nm, axis in ((y_nm, 1), (x_nm, 0))
        )
        needed = self._box_needed(junction.sample.positions_nm)
        self.box_nm = box_nm or needed
        self._must_fit(needed)
        self._prepare(nearest, y_nm, x_nm, z_nm)

    @property
    def waves(self) -> tuple[int, int]:
        """How many wave vectors there are along y and along x, where half of them suffice."""
        return len(self._ky), len(self._kx)

    def current_nA(self, sample: Electrode | None = None) -> NDArray[np.floating]:
        """The current on each plane, nA; shape (planes, rows, columns).

        Args:
            sample: Another than the junction's, no higher and, in the box, no wider.

        Raises:
            SimulationError: It is higher, or too wide.
        """
        sample = sample or self.junction.sample
        top = sample.positions_nm[:, 2].max()
        if top > self._top_nm + _PLANE_NM:
            raise SimulationError(
                f"the sample reaches up to {top:.4g} nm, but the waves were chosen for one up to "
                f"{self._top_nm:.4g} nm: begin with the highest sample"
            )
        self._must_fit(self._box_needed(sample.positions_nm))
        near = self._near(sample.positions_nm)
        atoms = Electrode(sample.positions_nm[near], sample.energies_eV, sample.ldos_per_eV[near])
        densities = self.junction.sample_densities(atoms) @ self._basis
        squares, rotation = np.linalg.eigh(densities.T @ densities)
        rotation = rotation[:, squares >= self._accuracy.rank_to**2 * squares[-1]]
        positions = atoms.positions_nm - (0, 0, self._top_nm)
        flat, lifted = self._waves_of(positions, densities @ rotation)
        turned = rotation.T.astype(self._q.dtype)
        return self._images(flat, lifted, turned @ self._tip, turned @ self._tip_lifted)

    def _near(self, positions_nm: Array) -> NDArray[np.bool_]:
        """The atoms that the tip can feel from anywhere in the raster."""
        (bottom, top), (left, right) = self._reach_nm
        x, y, _ = positions_nm.T
        return (left <= x) & (x <= right) & (bottom <= y) & (y <= top)

    def _box_needed(self, positions_nm: Array) -> tuple[float, float]:
        """The least periods that keep all images of the sample out of reach, nm."""
        atoms = positions_nm[self._near(positions_nm)]
        if not len(atoms):
            raise SimulationError("no atom of the sample is near the scan frame: move one of them")
        (bottom, top), (left, right) = self._reach_nm
        x, y, _ = atoms.T
        return max(top - y.min(), y.max() - bottom), max(right - x.min(), x.max() - left)

    def _must_fit(self, needed_nm: tuple[float, float]) -> None:
        if any(box < need - 1e-9 for box, need in zip(self.box_nm, needed_nm, strict=True)):
            got, least = (
                f"{height:.4g} x {width:.4g} nm" for height, width in (self.box_nm, needed_nm)
            )
            raise SimulationError(
                f"a box of {got} is too small for this sample, tip and raster: they need {least}"
            )

    def _prepare(self, nearest_nm: float, y_nm: Array, x_nm: Array, z_nm: Array) -> None:
        """The waves, and what the tip, the raster and the planes bring to each."""
        a = self.junction.decay_per_nm
        cutoff = math.sqrt((a - math.log(self._accuracy.waves_to) / nearest_nm) ** 2 - a**2)
        dky, dkx = (2 * math.pi / box for box in self.box_nm)
        ny, nx = math.ceil(cutoff / dky), math.ceil(cutoff / dkx)
        if (2 * ny + 1) * (nx + 1) > MOST_WAVES:
            raise SimulationError(
                f"{2 * ny + 1}x{nx + 1} plane waves are too many: scan a smaller frame, "
                "or keep the tip farther away"
            )
        self._ky, self._kx = np.arange(-ny, ny + 1) * dky, np.arange(nx + 1) * dkx
        q = np.sqrt(self._ky[:, None] ** 2 + self._kx**2 + a * a)
        self._q = q.astype(np.finfo(self._dtype).dtype)
        # Waves of -k are the conjugates of those of k, and so counted twice but for kx = 0.
        weight = 2 * math.pi * a / q**3 * np.where(self._kx == 0, 1, 2) / math.prod(self.box_nm)

        tip = self.junction.tip.positions_nm
        self._basis, densities = _low_rank(
            self.junction.tip_densities(), np.exp(-a * tip[:, 2]), self._accuracy.rank_to
        )
        flat, lifted = self._waves_of(tip * (-1, -1, -1), densities)
        weight = weight.astype(self._q.dtype)[:, None]
        self._tip, self._tip_lifted = flat * weight, -lifted * weight

        height = (z_nm - self._top_nm)[:, None, None]
        self._decay = np.exp(-height * q).astype(self._q.dtype)
        self._linear = (1 + height * q).astype(self._q.dtype)
        self._rows = np.exp(1j * np.outer(y_nm, self._ky)).astype(self._dtype)
        # The real part of a product of complex matrices, as one of real matrices.
        turns = np.outer(self._kx, x_nm)
        parts = np.stack([np.cos(turns), -np.sin(turns)], 1).reshape(-1, len(x_nm))
        self._columns = parts.astype(self._q.dtype)

    def _waves_of(self, positions_nm: Array, densities: Array) -> tuple[Waves, Waves]:
        """Sums over atoms of u exp(sq - ikr), and of s times it; u their densities, s their z.

        Both of shape (waves along y, rank, waves along x).
        """
        dky, dkx = (2 * math.pi / box for box in self.box_nm)
        ex = _phases(dkx * positions_nm[:, 0], len(self._kx)).astype(self._dtype)
        turns = _phases(dky * positions_nm[:, 1], len(self._ky) // 2 + 1)
        # Sums with cos and sin are real products, and give the waves of both +ky and -ky.
        ey = np.concatenate([turns.real.T, turns.imag[:, 1:].T]).astype(self._q.dtype)
        weights = densities.astype(self._q.dtype)
        shape = len(self._ky), weights.shape[1], len(self._kx)
        flat, lifted = np.zeros(shape, self._dtype), np.zeros(shape, self._dtype)
        for s, members in _planes(positions_nm[:, 2]):
            right = weights[members, :, None] * ex[members, None, :]
            sums = ey[:, members] @ right.view(self._q.dtype).reshape(len(members), -1)
            even, odd = np.split(sums.view(self._dtype).reshape(shape), [len(self._ky) // 2 + 1])
            odd *= 1j
            waves = np.concatenate([(even[1:] - odd)[::-1], even[:1], even[1:] + odd])
            if s:
                waves *= np.exp(s * self._q)[:, None]
                lifted += s * waves
            flat += waves
        return flat, lifted

    def _images(
        self, flat: Waves, lifted: Waves, tip: Waves, tip_lifted: Waves
    ) -> NDArray[np.floating]:
        """The waves of sample and tip put together on each plane, shape (planes, rows, columns)."""
        constant = np.sum(flat * tip, 1)
        with_q = np.sum(flat * tip_lifted - lifted * tip, 1)
        planes = self._decay * (self._linear * constant + self._q * with_q)
        along_y = self._rows @ planes
        return along_y.view(self._q.dtype) @ self._columns


def _reach(
    junction: Junction, raster_nm: Array, axis: int, height_nm: float, replica_to: float
) -> tuple[float, float]:
    """Between which coordinates atoms are felt from the raster, nm, the tip at `height_nm`.

    Beyond, the pair is so much longer than the tip is high that it carries less than `replica_to`.
    """
    tip = junction.tip.positions_nm
    vertical = height_nm + tip[:, 2]
    longest = vertical.min() - math.log(replica_to) / junction.decay_per_nm
    aside = np.sqrt(np.maximum(longest**2 - vertical**2, 0))
    low, high = np.min(tip[:, axis] - aside), np.max(tip[:, axis] + aside)
    return float(np.min(raster_nm) + low), float(np.max(raster_nm) + high)


def _low_rank(densities: Array, weights: Array, rank_to: float) -> tuple[Array, Array]:
    """Few columns in place of many energies, without changing what comes of a product with them.

    Args:
        densities: Of the tip, shape (atoms, energies).
        weights: Of its atoms: what is far from the sample need not be precise.
        rank_to: Which part of the greatest singular value is too little.

    Returns:
        What densities of a sample are to be multiplied by, shape (energies, rank), and what stands
        for the tip's own, (atoms, rank), of equal weight in all columns.
    """
    _, values, right = np.linalg.svd(densities * weights[:, None], full_matrices=False)
    rank = max(1, int(np.sum(values > rank_to * values[0])))
    scale = values[:rank] if values[0] else np.ones(1)
    return right[:rank].T * scale, densities @ (right[:rank].T / scale)


def _phases(angles: Array, count: int) -> NDArray[np.complex128]:
    """exp(-i m angle) for m from 0 to count - 1, shape (angles, count).

    By doubling: each half from the one before, with one exponential for each angle.
    """
    phases = np.ones((len(angles), count), np.complex128)
    step, done = np.exp(-1j * angles)[:, None], 1
    while done < count:
        more = min(done, count - done)
        np.multiply(phases[:, :more], step, out=phases[:, done : done + more])
        step, done = step * step, done + more
    return phases


def _planes(heights_nm: Array) -> list[tuple[float, NDArray[np.intp]]]:
    """The atoms of each height, as (height, indices)."""
    _, plane = np.unique(np.round(heights_nm / _PLANE_NM), return_inverse=True)
    members = (np.flatnonzero(plane == i) for i in range(plane.max() + 1))
    return [(float(heights_nm[m].mean()), m) for m in members]
