"""How much of a surface every 2nd or 4th line still tells: upscaled, and measured against it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import scanmend
from scanmend.crystals import silicon
from scanmend.evaluate.metrics import ssim

truth = silicon.surface(np.random.default_rng(1), (256, 256))
for factor in (2, 4):
    first = (factor - 1) // 2  # upscale puts a measured line in the middle, or just above it
    pitch = (factor * truth.pixel_nm[0], truth.pixel_nm[1])
    sparse = replace(truth, values=truth.values[first::factor], pixel_nm=pitch)
    finer = scanmend.upscale(sparse, factor).mean
    print(f"every {factor}. line: SSIM {ssim(finer.values, truth.values):.3f}")
