"""Thermal drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from ..scan import Scan
from .base import surface


@dataclass(frozen=True)
class ThermalDrift:
    r"""Slides the sample under the tip while the image is being scanned.

    Row :math:`i` is recorded at time :math:`t_i = i\,T_{line}`, when the sample has moved by
    :math:`v\,t_i`, so that the pixel at :math:`(y, x)` shows what lay at
    :math:`(y, x) - v\,t_i`. Skew comes from :math:`v_x`, stretch from :math:`v_y`.

    Attributes:
        speed_nm_per_s: Root-mean-square speed of each component of :math:`v`, nm/s.
        line_s: Time for one line, forth and back, s.

    References:
        R. V. Lapshin, Meas. Sci. Technol. 18, 907 (2007), doi:10.1088/0957-0233/18/3/046
    """

    speed_nm_per_s: float = 0.01
    line_s: float = 0.5

    def __call__(self, scan: Scan, rng: np.random.Generator) -> Scan:
        """Drifts at a velocity that `rng` draws once for the whole image."""
        velocity = rng.normal(0.0, self.speed_nm_per_s, size=2)
        values, missing = surface(scan)

        rows, columns = np.indices(values.shape, dtype=float)
        elapsed = rows * self.line_s
        y = rows - velocity[0] * elapsed / scan.pixel_nm[0]
        x = columns - velocity[1] * elapsed / scan.pixel_nm[1]

        drifted = map_coordinates(values, (y, x), order=3, mode="reflect")
        drifted[missing] = np.nan
        return scan.after(f"drift {velocity[0]:+.4f} {velocity[1]:+.4f} nm/s", drifted)
