"""Who is compared on scans in counts: ours, classical filters, SBSR and r_em.

Each takes a scan and a factor, and gives images, shape (factor rows, factor columns), in units of
its own: one, or one for each strength that it may be used with. Scores pick the strength that suits
the truth best, and undo gain and offset.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

import scanmend
from scanmend import counts, models
from scanmend.resample import to_shape
from scanmend.scan import Scan

Image = NDArray[np.floating]
Method = Callable[[Scan, int], list[Image]]

WIDTHS_NM = np.geomspace(0.02, 0.12, 8)
STRENGTHS = (0.5, 1.0, 2.0, 4.0)


def finer(image: Image, factor: int) -> Image:
    """By cubic splines, on both axes."""
    return to_shape(image, (factor * image.shape[0], factor * image.shape[1]))


def as_measured(scan: Scan, factor: int) -> list[Image]:
    return [finer(scan.values, factor)]


def gaussian(scan: Scan, factor: int) -> list[Image]:
    values = scan.values.astype(np.float64)
    widths = ([nm / pitch for pitch in scan.pixel_nm] for nm in WIDTHS_NM)
    return [finer(gaussian_filter(values, width, mode="nearest"), factor) for width in widths]


def classical(mend: Callable[[Image, float], Image]) -> Method:
    """A filter of an image of unit noise, with a strength in units of that noise."""

    def method(scan: Scan, factor: int) -> list[Image]:
        noise = counts.noise(scan)
        image = (scan.values / noise).astype(np.float64)
        return [finer(mend(image, strength), factor) for strength in STRENGTHS]

    return method


def total_variation(image: Image, strength: float) -> Image:
    return denoise_tv_chambolle(image, weight=strength)


def non_local_means(image: Image, strength: float) -> Image:
    how = {"patch_size": 7, "patch_distance": 11, "fast_mode": True}
    return denoise_nl_means(image, h=0.6 * strength, sigma=1.0, **how)


def bm3d(image: Image, strength: float) -> Image:
    from bm3d import bm3d as filtered  # pyright: ignore[reportMissingImports]

    return np.asarray(filtered(image, strength))


@dataclass(frozen=True)
class Ours:
    """A model for counts."""

    model: str

    def __call__(self, scan: Scan, factor: int) -> list[Image]:
        """The posterior mean."""
        if factor == 1:
            return [scanmend.restore(scan, model=self.model).mean.values]
        return [scanmend.upscale(scan, factor, model=self.model).mean.values]


@dataclass(frozen=True)
class Published:
    """A network for x2 that was trained on pairs: from a spline of the measurement in [-1, 1]."""

    model: str
    steps: int

    def __call__(self, scan: Scan, factor: int) -> list[Image]:
        """One sample."""
        if factor != 2:
            return []
        model = models.load(self.model)
        seen = finer(scan.values, factor)
        low, high = seen.min(), seen.max()
        known = (2 * (seen - low) / (high - low) - 1)[None, None].astype(np.float32)
        rng = np.random.default_rng(0)

        def normal() -> Image:
            return rng.standard_normal(known.shape, np.float32)

        call = model.network.conditioned
        return [model.method.restore(call, known, normal, self.steps)[0, 0]]


R_EM = """
import sys, numpy as np
from tk_r_em import load_network
network = load_network("sfr_hrstem")
for line in sys.stdin:
    path = line.rstrip()
    np.save(path, network.predict(np.load(path)))
    print("done", file=sys.stderr, flush=True)
"""


class REm:
    """r_em of Lobato, Friedrich and Van Aert for atomic STEM, run by a Python that has it."""

    def __init__(self, python: str) -> None:
        pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([python, "-c", R_EM], stdout=subprocess.DEVNULL, **pipes)

    def __call__(self, scan: Scan, factor: int) -> list[Image]:
        """Restored, and finer by splines."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "image.npy"
            np.save(path, scan.values)
            assert self._process.stdin and self._process.stderr
            self._process.stdin.write(f"{path}\n")
            self._process.stdin.flush()
            for line in self._process.stderr:
                if line == "done\n":
                    return [finer(np.load(path), factor)]
        raise RuntimeError("r_em ended: has that Python tk_r_em and tensorflow-cpu==2.15.1?")


CLASSICAL: dict[str, Method] = {
    "as measured": as_measured,
    "Gaussian": gaussian,
    "total variation": classical(total_variation),
    "non-local means": classical(non_local_means),
    "BM3D": classical(bm3d),
}
