r"""A constant-current topograph of many small bumps.

Everything on the surface contributes a Gaussian to the current, and the feedback keeps the current
constant, so that the tip follows

.. math:: z(x, y) = s \ln \sum_i e^{h_i / s} \, g_i(x, y)

with the height :math:`h_i` of each contribution and :math:`s = 1 / 2\kappa`, the height over which
the current falls by e. A terrace raised by :math:`h` is shown raised by exactly :math:`h`; the
rounding of edges, and the width of what stands high, come by themselves.

References:
    J. Tersoff and D. R. Hamann, Phys. Rev. B 31, 805 (1985), doi:10.1103/PhysRevB.31.805
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

FLOOR_NM = 0.45  #: [nm] depth of what still carries current where everything else is missing
CUT = math.log(300)  # a Gaussian ends where it has fallen to 1/300 of a dimer at height 0


class Topograph:
    """The current above a surface, to which each contribution adds its Gaussian.

    Positions are x (along the columns' axis) and y (downwards), nm from the middle of the image.

    Args:
        shape: (rows, columns).
        pixel_nm: Pixel pitch, nm.
        decay_nm: s above, nm.
        strain: Departure of the image from an undistorted one, (xx, xy, yx, yy).
    """

    def __init__(
        self,
        shape: tuple[int, int],
        pixel_nm: float,
        decay_nm: float,
        strain: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
    ) -> None:
        self.pixel_nm, self.decay_nm, self.strain = pixel_nm, decay_nm, strain
        self.current = np.full(shape, math.exp(-FLOOR_NM / decay_nm))

    def add(
        self, x: Array, y: Array, h: Array, angle: float, along_nm: float, across_nm: float
    ) -> None:
        """Adds Gaussians at `x`, `y` of heights `h`; arrays of one shape, nm.

        `along_nm` is their standard deviation in the direction `angle` (radians, from x to y),
        `across_nm` the one at right angles to it.
        """
        xx, xy, yx, yy = self.strain
        rows, columns = self.current.shape
        c, s = math.cos(angle), math.sin(angle)
        a, b = ((self.pixel_nm / w) ** 2 / 2 for w in (along_nm, across_nm))
        _splat(
            self.current,
            (rows - 1) / 2 + (yx * x + (1 + yy) * y) / self.pixel_nm,
            (columns - 1) / 2 + ((1 + xx) * x + xy * y) / self.pixel_nm,
            h / self.decay_nm,
            a * c * c + b * s * s,
            (a - b) * c * s,
            a * s * s + b * c * c,
            max(along_nm, across_nm) / self.pixel_nm,
        )

    def heights_nm(self) -> Array:
        """Where the tip runs, nm; shape (rows, columns)."""
        return self.decay_nm * np.log(self.current)


@njit(cache=True, fastmath=True)
def _splat(current, rows, columns, exponents, xx, xy, yy, width):
    """Adds exp(exponent - xx dx² - 2 xy dx dy - yy dy²) around each (row, column); in pixels.

    Along a line of pixels the exponent is a parabola, so that each value follows from the last by
    two multiplications instead of an exponential.
    """
    height, length = current.shape
    bend = math.exp(-2 * xx)
    for i in range(rows.size):
        reach = width * math.sqrt(2 * max(exponents[i] + CUT, 0.5))
        top, bottom = max(0, math.ceil(rows[i] - reach)), min(height, int(rows[i] + reach) + 1)
        left = max(0, math.ceil(columns[i] - reach))
        right = min(length, int(columns[i] + reach) + 1)
        if right <= left:
            continue
        dx = left - columns[i]
        for y in range(top, bottom):
            dy = y - rows[i]
            value = math.exp(exponents[i] - xx * dx * dx - 2 * xy * dx * dy - yy * dy * dy)
            ratio = math.exp(-xx * (2 * dx + 1) - 2 * xy * dy)
            for x in range(left, right):
                current[y, x] += value
                value *= ratio
                ratio *= bend
