"""Restores a scan and says how far it was changed: python restore.py [FILE]."""

from __future__ import annotations

import sys

import numpy as np

import scanmend
from scanmend.crystals import silicon
from scanmend.degrade import recipe

if len(sys.argv) > 1:
    scan = scanmend.read(sys.argv[1])
else:  # Without a file: a surface, simulated and damaged.
    rng = np.random.default_rng(0)
    scan = recipe.preset("realistic")(silicon.surface(rng, (256, 256)), rng)

result = scanmend.restore(scan)
scanmend.write(result, "mended.gwy", overwrite=True)
scanmend.plot(scan, result).savefig("mended.png")

change = scan.values - result.mean.values
print(f"changed by {1e3 * np.nanstd(change):.1f} pm (root mean square),", end=" ")
print(f"expected error {1e3 * np.nanmedian(result.spread.values):.1f} pm (median)")
