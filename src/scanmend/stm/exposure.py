"""One simulated scan, and what stands behind it: atoms, currents, the tip's way, the loop's error.

For people who look at what a parameter does; those who train take a `Simulation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..crystals.specimen import Specimen
from .log_current import LogCurrent
from .raster import Array, Raster, Track
from .simulation import Image, Simulation

BALL_NM = 0.15  #: [nm] radius of curvature of an atom, where the surface is drawn
NEIGHBOURS = 8  #: atoms among which the highest above a pixel is looked for


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """A scan as it came about, in the coordinates of its frame: the origin is the middle.

    Attributes:
        simulation: The scan.
        raster: The commanded path, not turned.
        way: Where the tip went.
        specimen: The piece of surface.
        ideal: The current above the middles of the pixels.
        measured_nA: The current that the loop saw, in the order of time, nA; shape (points,).
    """

    simulation: Simulation
    raster: Raster
    way: Track
    specimen: Specimen
    ideal: LogCurrent
    measured_nA: NDArray[np.float32]

    def surface_nm(self) -> Image:
        """The atoms from above, each a paraboloid as blunt as a ball, nm; shape (rows, columns)."""
        middles = self.raster.middles()
        atoms = self.specimen.positions_nm
        count = min(NEIGHBOURS, len(atoms))
        places = np.stack([middles.x_nm, middles.y_nm], axis=1)
        found = KDTree(atoms[:, :2]).query(places, count)
        apart_nm, which = (np.reshape(part, (len(places), count)) for part in found)
        heights = (atoms[which, 2] - apart_nm**2 / (2 * BALL_NM)).max(axis=1)
        return heights.reshape(self.raster.shape).astype(np.float32)

    def height_nm(self) -> float:
        """The mean of the ideal topograph, nm."""
        return float(self.simulation.topograph_nm.mean())

    def current_nA(self) -> Image:
        """The size of what flows at a constant height, `height_nm`; nA, shape (rows, columns)."""
        current = np.exp(self.ideal.at(self.height_nm()))
        return current.reshape(self.raster.shape).astype(np.float32)

    def error(self) -> NDArray[np.float32]:
        """Of the loop, each point's last: ln(I / I0) or, behind a linear amplifier, I / I0 - 1."""
        tables = self.simulation.parameters
        ratio = self.measured_nA / np.float32(tables["tunnelling"]["setpoint_nA"])
        return np.log(ratio) if tables["electronics"]["amplifier"] == "log" else ratio - 1

    def astray_nm(self) -> tuple[Array, Array, Array]:
        """How far off in x and y the tip was, and how much nearer the sample; nm, (points,)."""
        told = self.raster.track()
        return self.way.x_nm - told.x_nm, self.way.y_nm - told.y_nm, self.way.lift_nm
