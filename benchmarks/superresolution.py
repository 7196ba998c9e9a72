"""Real Si(001):H scans with every second or fourth line only, against the lines that were there.

Run: python benchmarks/superresolution.py [MODEL]
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.interpolate import CubicSpline
from setting import SI001H, crops, heading, si001h, table

import scanmend
from scanmend import models
from scanmend.evaluate.metrics import fourier_peak, psnr, ssim
from scanmend.resample import line_phase
from scanmend.scan import Restoration, Scan

ROWS_NM = 0.768


def sparse(scan: Scan, factor: int) -> tuple[Scan, np.ndarray]:
    """Every `factor`-th line of the scan, over the same field of view, and which lines they are."""
    at = np.arange(line_phase(factor), scan.values.shape[0], factor)
    return scan.after(f"every {factor}. line", scan.values[at]), at


def nearest(lines: np.ndarray, at: np.ndarray, rows: int) -> np.ndarray:
    return lines[np.abs(np.arange(rows)[:, None] - at).argmin(axis=1)]


def linear(lines: np.ndarray, at: np.ndarray, rows: int) -> np.ndarray:
    return np.stack([np.interp(np.arange(rows), at, column) for column in lines.T], axis=1)


def cubic(lines: np.ndarray, at: np.ndarray, rows: int) -> np.ndarray:
    inside = np.clip(np.arange(rows), at[0], at[-1])
    return CubicSpline(at, lines)(inside)


def lanczos(lines: np.ndarray, at: np.ndarray, rows: int) -> np.ndarray:
    distance = (np.arange(rows)[:, None] - at) / (at[1] - at[0])
    weights = np.where(abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)
    return weights / weights.sum(axis=1, keepdims=True) @ lines


def quality(image: np.ndarray, scan: Scan) -> tuple[float, float]:
    """SSIM and PSNR, means over nine crops of 128x128, each in the range of its real crop."""
    pairs = [(image[crop], scan.values[crop]) for crop in crops(scan)]
    return np.mean([ssim(*p) for p in pairs]), np.mean([psnr(*p) for p in pairs])  # type: ignore


def coverage(ours: Restoration, lines: np.ndarray, scan: Scan) -> str:
    """How often the truth lies within one, and two, spreads of the mean, on some lines."""
    error = abs(ours.mean.values - scan.values)[lines]
    spread = ours.spread.values[lines]
    return ", ".join(f"{np.mean(error <= k * spread):.0%}" for k in (1, 2))


def row_peak(scan: Scan) -> tuple[float, float]:
    """Frequency (rows, columns) of the dimer rows: the strongest wave of about their period."""
    spectrum = abs(np.fft.fft2(scan.values - scan.values.mean()))
    frequency = np.meshgrid(*map(np.fft.fftfreq, scan.values.shape), indexing="ij")
    period_nm = scan.pixel_nm[0] / np.maximum(np.hypot(*frequency), 1e-9)
    spectrum[(period_nm < 0.85 * ROWS_NM) | (period_nm > 1.15 * ROWS_NM)] = 0
    row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
    return float(frequency[0][row, column]), float(frequency[1][row, column])


def main(model: str = models.DEFAULT) -> None:
    heading("Super-resolution along the slow axis, on real scans never trained on", model)
    rows = []
    for name in SI001H:
        scan = si001h(name)
        true, where = fourier_peak(scan.values, row_peak(scan))
        for factor in (2, 4):
            few, at = sparse(scan, factor)
            images = {f.__name__: f(few.values, at, 512) for f in (nearest, linear, cubic, lanczos)}
            ours = scanmend.upscale(few, factor, model)
            images["scanmend"] = ours.mean.values
            honest = coverage(ours, np.delete(np.arange(512), at), scan)
            images["scanmend, 3 calls"] = scanmend.upscale(few, factor, model, calls=3).mean.values
            scores = {method: quality(image, scan) for method, image in images.items()}
            best = max(scores[m][0] for m in ("nearest", "linear", "cubic", "lanczos"))
            for method, (s, p) in scores.items():
                peak, _ = fourier_peak(images[method], where, reach=0)
                phase = np.degrees(np.angle(peak / true))
                gain = f"{s - best:+.3f}" if method.startswith("scanmend") else ""
                wave = f"{abs(peak / true):.2f}", f"{phase:+.1f}"
                within = honest if method == "scanmend" else ""
                rows.append((name, factor, method, f"{s:.3f}", f"{p:.1f}", gain, *wave, within))
    head = ("scan", "factor", "method", "SSIM", "PSNR dB", "gain", "row peak", "phase deg")
    table((*head, "within 1, 2 spreads"), rows)
    print("gain: SSIM over the best classical method; row peak: modulus of the dimer-row Fourier")
    print("peak over the real scan's, and its phase less the real scan's; within: share of pixels")
    print("between measured lines whose truth lies within 1 and 2 spreads (Laplace: 76 %, 94 %).")


if __name__ == "__main__":
    main(*sys.argv[1:])
