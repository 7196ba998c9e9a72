"""The main job with no input: a simulated surface, damaged as an instrument would, and restored."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from . import level
from .crystals import silicon
from .degrade import recipe
from .evaluate.metrics import psnr, ssim
from .restoration import restore
from .scan import Acquisition, Restoration, Scan


@dataclass(frozen=True, slots=True, eq=False)
class Demo:
    """A restoration whose truth is known.

    Attributes:
        truth: The surface.
        result: What was measured of it, and restored.
        seconds: How long the restoration took.
    """

    truth: Scan
    result: Restoration
    seconds: float

    def scores(self) -> dict[str, dict[str, float]]:
        """SSIM and PSNR (dB) of the measured and the restored scan, with all planes removed."""
        truth = level.plane(self.truth)[0].values
        scans = {"measured": self.result.measured, "restored": self.result.mean}
        levelled = {name: level.plane(scan)[0].values for name, scan in scans.items()}
        return {
            name: {"ssim": ssim(values, truth), "psnr_dB": psnr(values, truth)}
            for name, values in levelled.items()
        }


def run(seed: int = 0, model: str | None = None) -> Demo:
    """Simulates 256 x 256 pixels of Si(001):H, damages them by the recipe `realistic`, restores.

    The ghosts of a multiple tip are left out: they are removed where somebody asks for it.
    """
    rng = np.random.default_rng(seed)
    surface = silicon.surface(rng, (256, 256))
    truth = replace(surface, acquisition=Acquisition(channel="simulated Si(001):H"))
    measured = recipe.without(recipe.preset("realistic"), "MultiTip")(truth, rng)
    start = time.perf_counter()
    result = restore(measured, model, seed=seed)
    return Demo(truth, result, time.perf_counter() - start)
