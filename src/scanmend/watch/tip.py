"""The tip's state, measured on its scans: what is measured against what was restored from it.

Ghosts of a multiple tip are not among it: no simple measure told them from the surface's own
structure in simulated scans. Neither is a blunter tip, from one scan alone: how fine a scan can be
depends on the surface, so sharpness is compared with that of earlier scans with such pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from .. import level, resample
from ..scan import Quantity, Scan
from . import growing

FEWEST_LINES = 32
"""Of a scan that is measured; fewer say too little of lines."""

LIMITS = {"disturbed": 0.02, "jumps_pm": 5.0, "step_pm": 25.0, "noise_pm": 25.0}
"""What clean simulated scans stay below, see docs/watching.md."""

WORSE = {"finest_nm": 2.0, "noise_pm": 1.5}
"""By how much these may grow, against the median of earlier scans with such pixels: they depend on
the surface as well, of which nothing is known."""

WORDS = {
    "disturbed": "streaks",
    "jumps_pm": "jumps between lines",
    "step_pm": "changes of the tip",
    "noise_pm": "noise",
    "finest_nm": "blur",
}
"""What each measure tells of."""

OF, BAD = 4, 3
"""Advice is given when so many of the last scans, of so many, and the last one, show the same."""

_NEAR, _RUN_PX, _BEFORE = 6, 5, 20
"""Lines on either side of a step; pixels of a streak at least; scans that sharpness looks back."""


@dataclass(frozen=True, slots=True)
class TipState:
    """What one scan shows.

    Attributes:
        disturbed: Share of pixels in streaks: what was removed stands out by six times its spread
            and a tenth of the surface's relief, on average over 5 pixels of a line.
        jumps_pm: Between neighbouring lines, beyond those of the surface, rms of a line's offset.
        step_pm: The largest jump between two lines that stays for 6 lines and is not the
            surface's.
        noise_pm: White noise of a pixel, rms, from the corners of the power spectrum.
        finest_nm: Wavelength along the lines above which 95 % of their power lies, noise taken off.
        pixel_nm: Along the lines.
    """

    disturbed: float
    jumps_pm: float
    step_pm: float
    noise_pm: float
    finest_nm: float
    pixel_nm: float

    def table(self) -> dict[str, float]:
        """By name."""
        return asdict(self)

    def beyond(self) -> dict[str, float]:
        """How many times each measure is its limit."""
        return {name: getattr(self, name) / limit for name, limit in LIMITS.items()}

    def line(self) -> str:
        """What stands out, in words."""
        said = {
            "disturbed": f"streaks on {100 * self.disturbed:.1f} % of pixels",
            "jumps_pm": f"line jumps {self.jumps_pm:.1f} pm",
            "step_pm": f"a step of {self.step_pm:.0f} pm",
            "noise_pm": f"noise {self.noise_pm:.0f} pm",
        }
        shown = [said[name] for name, times in self.beyond().items() if times > 1]
        return "tip: " + (", ".join(shown) or "nothing stands out")


@dataclass(frozen=True, slots=True)
class Sample:
    """The state at one scan: the time stamp of its file, and its name."""

    modified_ns: int
    name: str
    state: TipState


def measure(scan: Scan, restored: Scan) -> TipState | None:
    """The state that a scan shows; None for what is no height or has too few lines or pixels.

    Args:
        scan: As measured.
        restored: The same, restored; both of shape (rows, columns), NaN where not measured.
    """
    there = np.flatnonzero(growing.measured(scan))
    if scan.quantity is not Quantity.HEIGHT or not there.size:
        return None
    lines = slice(int(there[0]), int(there[-1]) + 1)
    scan, restored = (
        resample.fill_gaps(level.plane(s.crop(lines, slice(None)))[0]) for s in (scan, restored)
    )
    if len(scan.values) < FEWEST_LINES or scan.values.shape[1] < FEWEST_LINES:
        return None
    z, clean = 1e3 * scan.values.astype(float), 1e3 * restored.values.astype(float)
    low, high = np.percentile(clean, (5, 95))
    noise, finest_px = _noise_and_finest(z)
    return TipState(
        _disturbed(z - clean, high - low),
        *_jumps_and_step(z, clean),
        noise,
        finest_px * scan.pixel_nm[1],
        scan.pixel_nm[1],
    )


def _disturbed(removed: NDArray[np.float64], relief: float) -> float:
    of_line = removed - np.median(removed, axis=1, keepdims=True)
    smooth = uniform_filter1d(of_line, _RUN_PX, axis=1)
    return float(np.mean(np.abs(smooth) > max(6 * _robust(smooth), 0.1 * relief)))


def _jumps_and_step(z: NDArray[np.float64], clean: NDArray[np.float64]) -> tuple[float, float]:
    """By medians along lines, which features of the surface do not move."""
    jump, own = (np.median(np.diff(v, axis=0), axis=1) for v in (z, clean))
    rms = np.sqrt(max(0.0, _robust(jump) ** 2 - _robust(own) ** 2) / 2)
    line = np.median(z, axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(line, _NEAR)
    before_and_after = np.median(windows, axis=1)
    stays = np.abs(before_and_after[_NEAR:] - before_and_after[:-_NEAR])
    sudden = np.abs(jump - own)[_NEAR - 1 : _NEAR - 1 + len(stays)]
    return float(rms), float(np.minimum(sudden, stays).max())


def _noise_and_finest(z: NDArray[np.float64]) -> tuple[float, float]:
    """Noise, pm, and the finest detail, pixels."""
    rows, columns = z.shape
    window = np.hanning(rows)[:, None] * np.hanning(columns)
    power = np.abs(np.fft.rfft2(z * window)) ** 2 / (window**2).sum()
    y, x = np.abs(np.fft.fftfreq(rows))[:, None], np.fft.rfftfreq(columns)
    # Of white noise the power is exponentially distributed: its median is ln 2 of its mean.
    noise = np.sqrt(np.median(power[(y > 0.4) & (x > 0.4)]) / np.log(2))
    spectrum = (np.abs(np.fft.rfft(z * np.hanning(columns), axis=1)) ** 2).mean(axis=0)
    floor = np.median(spectrum[-max(4, len(spectrum) // 8) :])
    share = np.cumsum(np.maximum(spectrum[1:] - floor, 0))
    finest = x[1 + int(np.searchsorted(share, 0.95 * share[-1]))]
    return float(noise), float(1 / finest)


def _robust(values: NDArray[np.float64]) -> float:
    """A standard deviation that outliers do not move."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def excess(states: Sequence[TipState]) -> dict[str, float]:
    """How many times each measure of the last state is its limit; sharpness only after 4 others."""
    last = states[-1]
    before = states[-_BEFORE - 1 : -1]
    same = [s for s in before if 0.8 < s.pixel_nm / last.pixel_nm < 1.25]
    found = last.beyond()
    if len(same) >= OF:
        for name, worse in WORSE.items():
            usual = worse * float(np.median([getattr(s, name) for s in same]))
            found[name] = getattr(last, name) / max(usual, LIMITS.get(name, 0.0))
    return found


def advice(states: Sequence[TipState]) -> str | None:
    """When to re-condition: the same artefact in 3 of the last 4 scans, and in the last one.

    A single bad scan is no reason: what the tip picked up, it often drops again.

    Args:
        states: Of the scans so far, oldest first.
    """
    ends = range(max(1, len(states) - OF + 1), len(states) + 1)
    times = [excess(states[:end]) for end in ends]
    found = []
    for name, words in WORDS.items():
        bad = [time.get(name, 0.0) > 1 for time in times]
        if sum(bad) >= BAD and bad[-1]:
            found.append(f"{words} in {sum(bad)} of the last {len(bad)} scans")
    return f"re-condition the tip: {', '.join(found)}" if found else None
