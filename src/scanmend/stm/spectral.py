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
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import SimulationError
from .current import Array, Electrode, Junction
from .waves import (
    ends_of,
    extent,
    on_planes,
    sample_times_tip,
    tip_waves,
    turns_along,
    turns_down,
)

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
    dtype: type[np.floating]


FINE = Accuracy(1e-8, 1e-10, 1e-9, np.float64)
FAST = Accuracy(3e-6, 1e-7, 3e-6, np.float32)
"""At 4.5 eV: waves up to 49 /nm for h = 0.4 nm, up to 77 /nm for 0.22 nm."""
MOST_WAVES = 200_000

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
        box_nm: Period (along y, along x); the least that is accurate for the first sample if not
            given, for any sample if "widest".
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
        box_nm: tuple[float, float] | Literal["widest"] | None = None,
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
        self._accuracy, self._dtype = accuracy, np.dtype(accuracy.dtype)
        self._reach_nm = tuple(
            _reach(junction, raster_nm, axis, float(z_nm.max()) - self._top_nm, accuracy.replica_to)
            for raster_nm, axis in ((y_nm, 1), (x_nm, 0))
        )
        felt = self._felt(junction.sample)
        needed = self._box_needed(*extent(felt[0]))
        (bottom, top), (left, right) = self._reach_nm
        widest = top - bottom, right - left
        self.box_nm = widest if box_nm == "widest" else box_nm or needed
        self._must_fit(needed)
        self._prepare(felt, y_nm, x_nm, z_nm)

    @property
    def waves(self) -> tuple[int, int]:
        """How many wave vectors there are along y and along x, where half of them suffice."""
        rows, columns = self._q.shape
        return 2 * rows - 1, columns

    def current_nA(
        self, sample: Electrode | None = None, moved_nm: tuple[float, float] = (0.0, 0.0)
    ) -> NDArray[np.floating]:
        """The current on each plane, nA; shape (planes, rows, columns).

        Args:
            sample: Another than the junction's, no higher and, in the box, no wider.
            moved_nm: (x, y) by which the raster is moved over it, nm.

        Raises:
            SimulationError: It is higher, or too wide.
        """
        positions, densities = self._felt(sample or self.junction.sample, moved_nm)
        low, high = extent(positions)
        if high[2] > self._top_nm + _PLANE_NM:
            raise SimulationError(
                f"the sample reaches up to {high[2]:.4g} nm, but the waves were chosen for one up "
                f"to {self._top_nm:.4g} nm: begin with the highest sample"
            )
        self._must_fit(self._box_needed(low, high))
        densities = (self._basis.T @ densities.T).astype(self._dtype)
        sizes = np.abs(densities).max(1)  # not the norms: one atom may differ from all others
        constant, with_q = 0.0, 0.0
        for depth, members in _planes(positions[:, 2] - self._top_nm):
            at = positions[members]
            fallen = self._dtype.type(math.exp(self.junction.decay_per_nm * depth))
            flat, lifted = sample_times_tip(
                turns_down(self._steps[0] * at[:, 1], len(self._q), self._q),
                turns_along(self._steps[1] * at[:, 0], self._q.shape[1], self._q),
                densities[:, members] * fallen,
                self._ends(self._nearest_nm - depth, sizes),
                *(self._steps, self._tip, self._tip_lifted),
            )
            if depth:
                decay = np.exp(self._dtype.type(depth) * self._excess)[:, None]
                flat *= decay
                lifted = lifted * decay - self._dtype.type(depth) * flat
            constant, with_q = flat + constant, lifted + with_q
        return on_planes(
            *(constant, with_q, self._of_constant, self._of_q),
            *(self._cutoffs, self._steps, self._rows, self._columns),
        )

    def _felt(
        self, sample: Electrode, moved_nm: tuple[float, float] = (0.0, 0.0)
    ) -> tuple[Array, Array]:
        """Positions and densities of the atoms that the tip can feel from somewhere in the raster.

        Raises:
            SimulationError: There are none.
        """
        (bottom, top), (left, right) = self._reach_nm
        x, y = (sample.positions_nm[:, axis] - moved_nm[axis] for axis in (0, 1))
        near = np.flatnonzero((left <= x) & (x <= right) & (bottom <= y) & (y <= top))
        if not near.size:
            raise SimulationError("no atom of the sample is near the scan frame: move one of them")
        positions = sample.positions_nm[near] - (*moved_nm, 0)
        part = Electrode(positions, sample.energies_eV, sample.ldos_per_eV[near])
        return positions, self.junction.sample_densities(part)

    def _box_needed(self, low_nm: Array, high_nm: Array) -> tuple[float, float]:
        """The least periods that keep images of atoms between two corners out of reach, nm."""
        (bottom, top), (left, right) = self._reach_nm
        return (
            max(top - float(low_nm[1]), float(high_nm[1]) - bottom),
            max(right - float(low_nm[0]), float(high_nm[0]) - left),
        )

    def _must_fit(self, needed_nm: tuple[float, float]) -> None:
        if any(box < need - 1e-9 for box, need in zip(self.box_nm, needed_nm, strict=True)):
            got, least = (
                f"{height:.4g} x {width:.4g} nm" for height, width in (self.box_nm, needed_nm)
            )
            raise SimulationError(
                f"a box of {got} is too small for this sample, tip and raster: they need {least}"
            )

    def _ends(self, height_nm: float, sizes: Array) -> Array:
        """|k| where waves end for parts of these sizes, 1/nm; NaN where they have none."""
        heights = np.full(len(sizes), height_nm)
        return ends_of(sizes, heights, self.junction.decay_per_nm, self._accuracy.waves_to)

    def _prepare(self, felt: tuple[Array, Array], y_nm: Array, x_nm: Array, z_nm: Array) -> None:
        """The waves, and what the tip, the raster and the planes bring to each."""
        a = self.junction.decay_per_nm
        heights = z_nm - self._top_nm
        tip = self.junction.tip.positions_nm
        self._nearest_nm = heights.min() + tip[:, 2].min()
        above = heights + tip[:, 2].min()
        self._cutoffs = ends_of(np.ones(len(above)), above, a, self._accuracy.waves_to)
        self._steps = 2 * math.pi / np.array(self.box_nm)
        ny, nx = (math.ceil(self._cutoffs.max() / step) + 1 for step in self._steps)
        if (2 * ny - 1) * nx > MOST_WAVES:
            raise SimulationError(
                f"{2 * ny - 1}x{nx} plane waves are too many: scan a smaller frame, "
                "or keep the tip farther away"
            )
        ky, kx = (step * np.arange(n) for step, n in zip(self._steps, (ny, nx), strict=True))
        q = np.sqrt(ky[:, None] ** 2 + kx**2 + a * a)
        self._q, self._excess = q.astype(self._dtype), (q - a).astype(self._dtype)
        # Waves of -kx and of -ky have the same weights, and are counted with their opposites.
        count = np.where(ky == 0, 1, 2)[:, None] * np.where(kx == 0, 1, 2)
        weight = (2 * math.pi * a / math.prod(self.box_nm) * count / q**3).astype(self._dtype)

        basis, densities = _low_rank(
            self.junction.tip_densities(), np.exp(-a * tip[:, 2]), self._accuracy.rank_to
        )
        of_sample = felt[1] @ basis
        _, rotation = np.linalg.eigh(of_sample.T @ of_sample)
        self._basis = basis @ rotation[:, ::-1]
        # Decays are taken apart, exp(-(q - a) t) exp(-at): in float32, exp of much is inexact.
        densities = (densities @ rotation[:, ::-1]).T * np.exp(-a * tip[:, 2])
        decays = np.exp(-self._excess[:, None] * tip[:, 2, None].astype(self._dtype))
        decays *= weight[:, None]
        waves = tip_waves(
            turns_down(self._steps[0] * tip[:, 1], ny, self._q),
            turns_along(self._steps[1] * tip[:, 0], nx, self._q),
            decays,
            np.concatenate([densities, densities * tip[:, 2]]).astype(self._dtype),
        )
        self._tip, self._tip_lifted = np.split(waves, 2)

        height = heights.astype(self._dtype)[:, None, None]
        decay = (
            np.exp(-height * self._excess) * np.exp(-a * heights).astype(self._dtype)[:, None, None]
        )
        self._of_constant, self._of_q = decay * (1 + height * self._q), decay * self._q
        self._rows = turns_down(self._steps[0] * y_nm, ny, self._q)
        columns = turns_down(self._steps[1] * x_nm, nx, self._q)
        self._columns = np.ascontiguousarray(columns.swapaxes(0, 1))


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


def _planes(heights_nm: Array) -> list[tuple[float, NDArray[np.intp] | slice]]:
    """The atoms of each height, as (height, indices)."""
    if np.ptp(heights_nm) < _PLANE_NM:
        return [(float(heights_nm[0]), slice(None))]
    _, plane = np.unique(np.round(heights_nm / _PLANE_NM), return_inverse=True)
    members = (np.flatnonzero(plane == i) for i in range(plane.max() + 1))
    return [(float(heights_nm[m].mean()), m) for m in members]
