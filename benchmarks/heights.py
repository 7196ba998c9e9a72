"""Do heights survive: a step's, and those of a scan that is tilted, offset, and ten times as tall?

Run: python benchmarks/heights.py [MODEL]
"""

from __future__ import annotations

import sys

import numpy as np
from setting import SI001H, heading, si001h, table

import scanmend
from scanmend import level, models
from scanmend.crystals import SURFACES
from scanmend.crystals.silicon import DIMER_NM, ROW_NM, STEP_NM
from scanmend.degrade.recipe import isolated, preset
from scanmend.degrade.tip_change import TipChange
from scanmend.pairs.clean import Surface
from scanmend.resample import line_phase
from scanmend.scan import Scan

PITCH_NM = 0.19
STEPS, PIECES = 24, 100
DAMAGE = (None, "LineNoise", "LineShift", "BluntTip", "FeedbackLag", "LineOffset")


def stepped(rng: np.random.Generator) -> tuple[Scan, np.ndarray, np.ndarray]:
    """Two terraces with rows at right angles, and where each of them is, 1 nm from the edge.

    Made by cosines, not by the generator of surfaces that the model was trained on.
    """
    y, x = np.mgrid[:192, :192] * PITCH_NM
    angle, turn = rng.uniform(0, np.pi, 2)
    beyond = (x - x.mean()) * np.cos(turn) + (y - y.mean()) * np.sin(turn)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    upper = 0.02 * np.cos(2 * np.pi * across / ROW_NM) + 0.004 * np.cos(
        2 * np.pi * along / DIMER_NM
    )
    lower = 0.02 * np.cos(2 * np.pi * along / ROW_NM) + 0.004 * np.cos(
        2 * np.pi * across / DIMER_NM
    )
    edge = 0.5 + 0.5 * np.tanh(beyond / 0.15)
    values = edge * upper + (1 - edge) * (lower - STEP_NM) + rng.normal(0, 0.002, x.shape)
    return Scan(values.astype(np.float32), (PITCH_NM, PITCH_NM)), beyond > 1, beyond < -1


def jumps() -> None:
    """How many changes of the tip's length are found, what else is taken for one, what is left."""
    rows = []
    for name in SURFACES:
        source, rng = Surface(name), np.random.default_rng(11)
        for side in (128, 256):
            false, before, after = 0, [], []
            for _ in range(PIECES):
                clean = source.piece("train", side, rng).scan
                false += level.jumps(clean).any()
                longer = TipChange(offset_probability=1.0, persists=True)(clean, rng)
                offsets = np.median(longer.values - clean.values, axis=1)
                errors = offsets, offsets - level.jumps(longer)
                were, are = (error.std() / np.ptp(clean.values) for error in errors)
                before.append(were)
                after.append(are)
            within = f"{np.mean(np.array(after) < 0.03):.0%}"
            shares = (f"{np.mean(before):.3f}", f"{np.mean(after):.4f}", within)
            rows.append((name, f"{side}x{side}", f"{false} of {PIECES}", *shares))
    head = ("surface", "pixels", "found in undamaged", "offsets / range", "left", "within 3 %")
    table(head, rows)
    print("A tip that becomes longer or shorter at one line: rms of the lines' offsets over the")
    print("scan's range, before and after `level.jumps`, and the share of scans that comes to 3 %.")


def main(model: str = models.DEFAULT) -> None:
    heading("Heights", model)
    rows = []
    for kind in DAMAGE:
        errors = []
        for seed in range(STEPS):
            rng = np.random.default_rng(seed)
            scan, high, low = stepped(rng)
            damaged = isolated(preset("realistic"), kind)(scan, rng) if kind else scan
            mended = scanmend.restore(damaged, model).mean
            steps = [s.values[high].mean() - s.values[low].mean() for s in (scan, damaged, mended)]
            errors.append(100 * (np.array(steps[1:]) / steps[0] - 1))
        before, after = np.array(errors).T
        cells = [f"{e.mean():+.2f} ({abs(e).max():.2f})" for e in (before, after)]
        rows.append((kind or "none", *cells))
    table(("damage", "before: error %, mean (worst)", "after"), rows)
    print(f"A step of {1e3 * STEP_NM:.0f} pm, {STEPS} scans of 192x192 pixels each.\n")

    rows = []
    for name in SI001H:
        scan = si001h(name)
        ramp = np.add.outer(np.linspace(0, 1.0, 512), np.linspace(0, -0.7, 512))
        moved = scan.after("moved", 10 * (scan.values + ramp) + 5)
        for factor in (1, 2, 4):
            if factor == 1:
                one, other = (scanmend.restore(s, model).mean for s in (scan, moved))
            else:
                phase = slice(line_phase(factor), None, factor)
                few = (s.after("few", s.values[phase]) for s in (scan, moved))
                one, other = (scanmend.upscale(s, factor, model).mean for s in few)
            both = level.plane(one)[0].values, level.plane(other)[0].values / 10
            error = abs(both[1] - both[0]).max() / np.ptp(one.values)
            rows.append((name, "restore" if factor == 1 else f"upscale {factor}", f"{error:.1e}"))
    table(("scan", "task", "largest difference / range"), rows)
    print("Of a scan tilted, offset and 10 times as tall from the scan, both restored, levelled.\n")
    jumps()


if __name__ == "__main__":
    main(*sys.argv[1:])
