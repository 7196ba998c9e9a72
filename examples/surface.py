"""Draws a surface of Si(001):H with a step, as a scan with its scale bar."""

from __future__ import annotations

import numpy as np

import scanmend
from scanmend.crystals import silicon

recipe = silicon.Si001H(step=1.0, patch=0.0, pixel_nm=(0.19, 0.19))
scan = silicon.surface(np.random.default_rng(3), (256, 256), recipe)
scanmend.plot(scan).savefig("surface.png")
print(scan.history[0])
