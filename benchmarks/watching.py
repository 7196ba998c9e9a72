"""A watched folder: from file to picture, what a preview is worth, and how true the tip's state is.

Run: python benchmarks/watching.py [picture] [preview] [tip] [alarms]        (all by default)

Surfaces are simulated, 128 x 128 pixels, at pitches that the model can be brought to. Each measure
is shown damage of its own kind, of strength 0 to the one named, one surface for each strength, so
that the surfaces' differences count against it; sharpness is compared on the same surface, as the
rule does it. Series of scans are drawn from what was so measured, damaged in every way at once.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from setting import heading, table

import scanmend
from scanmend.degrade.acquisition_noise import AcquisitionNoise
from scanmend.degrade.base import Degradation, height_range
from scanmend.degrade.blunt_tip import BluntTip
from scanmend.degrade.line_noise import LineNoise
from scanmend.degrade.line_offset import LineOffset
from scanmend.degrade.recipe import preset
from scanmend.degrade.tip_change import TipChange
from scanmend.pairs.clean import Surface
from scanmend.scan import Scan
from scanmend.watch import growing, tip
from scanmend.watch.events import Restored
from scanmend.watch.settings import Settings
from scanmend.watch.watcher import Watcher

COUNT, SIDE = 60, 128
REACHED_NM = (0.06, 0.5)


def kinds(share: float) -> dict[str, tuple[str, str, Degradation]]:
    """By measure: what the damage is, its strongest, and the damage at `share` of that."""
    x = share
    noise = LineNoise((60 * x, 60 * x), sign="either")
    step = TipChange((0, 0), 1.0, (0.5 * x, 0.5 * x), persists=True)
    return {
        "disturbed": ("LineNoise", "60 of 128 lines", noise),
        "jumps_pm": ("LineOffset", "30 pm", LineOffset((30 * x, 30 * x))),
        "step_pm": ("TipChange, persisting", "half the relief", step),
        "noise_pm": (
            "AcquisitionNoise, white",
            "40 pm",
            AcquisitionNoise((40 * x, 40 * x), (0, 0)),
        ),
        "finest_nm": ("BluntTip", "2 px", BluntTip((2 * x, 2 * x))),
    }


def surfaces(name: str, count: int) -> Iterator[Scan]:
    """Clean scans with their acquisition noise."""
    for seed in range(10 * count):
        scan = Surface(name).piece("test", SIDE, np.random.default_rng(seed)).scan
        if REACHED_NM[0] < scan.pixel_nm[1] < REACHED_NM[1]:
            yield scan
            count -= 1
        if not count:
            return


def state(scan: Scan) -> tip.TipState:
    """Of a scan, restored by the default model."""
    found = tip.measure(scan, scanmend.restore(scan).mean)
    assert found is not None
    return found


def picture() -> None:
    """Files of 512 x 512 pixels that appear in a watched folder."""
    print("## From file to picture, 512 x 512 pixels, .sxm\n")
    rows = []
    scan = next(surfaces("si001h", 1))
    scan = scan.after("tiled", np.tile(scan.values, (4, 4)))
    scan = replace(scan, pixel_nm=(0.19, 0.19))
    for settle_s, interval_s, png in ((2.0, 1.0, False), (0.5, 0.25, False), (0.5, 0.25, True)):
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            (folder / "scans").mkdir()
            how = {"settle_s": settle_s, "interval_s": interval_s, "png": png}
            watcher = Watcher(Settings(folder / "scans", folder / "results", **how))
            stop, seconds = threading.Event(), []

            def write(folder: Path = folder, stop: threading.Event = stop) -> None:
                for number in range(8):
                    values = scan.values + np.float32(1e-4 * number)
                    path = folder / f"scans/{number}.sxm"
                    scanmend.write(replace(scan, values=values), path)
                    while not (folder / f"results/{number}_restored.nc").exists():
                        time.sleep(0.05)
                time.sleep(1)
                stop.set()

            thread = threading.Thread(target=write)
            thread.start()
            seconds = [e.seconds for e in watcher.events(stop) if isinstance(e, Restored)]
            thread.join()
        median, least = np.median(seconds[1:]), min(seconds)
        rows.append(
            (
                *(f"{settle_s:g}", f"{interval_s:g}", "yes" if png else "no"),
                *(f"{s:.2f}" for s in (seconds[0], median, least, median - settle_s)),
            )
        )
    head = (
        "settling s",
        "interval s",
        "figure",
        "first s",
        "median s",
        "least s",
        "without settling",
    )
    table(head, rows)


def preview() -> None:
    """A growing scan: what is restored anew, against the whole."""
    print("## A growing scan of 512 lines, 10 new ones, realistic damage\n")
    rows = []
    for around in (16, 32, 48, 96):
        growing.AROUND = around
        errors, largest, spreads, times, wholes, lines = [], [], [], [], [], 0
        for seed in range(4):
            scan = Surface("si001h").piece("test", 512, np.random.default_rng(seed)).scan
            scan = preset("realistic")(scan, np.random.default_rng(seed))
            before, now = (
                np.where(np.arange(512)[:, None] < n, scan.values, np.nan) for n in (400, 410)
            )
            first, _ = growing.extend(None, scan.after("400 lines", before), scanmend.restore)
            begun = time.perf_counter()
            after, lines = growing.extend(first, scan.after("410", now), scanmend.restore)
            between = time.perf_counter()
            whole = scanmend.restore(scan.after("410", now))
            wholes.append(time.perf_counter() - between)
            times.append(between - begun)
            off = 1e3 * (after.mean.values - whole.mean.values)[:410]
            errors.append(np.sqrt(np.mean(off**2)))
            largest.append(np.abs(off).max())
            spreads.append(1e3 * np.nanmedian(whole.spread.values))
        cells = (np.mean(errors), max(largest), np.mean(spreads))
        seconds = (np.median(times), np.median(wholes))
        rows.append((around, lines, *(f"{c:.2f}" for c in cells), *(f"{s:.2f}" for s in seconds)))
    head = ("lines around", "through the network", "rms off pm", "largest pm", "spread pm")
    table((*head, "s", "s, whole"), rows)


def calibration() -> None:
    """Measured against true strength."""
    for name in ("si001h", "surface"):
        clean = list(surfaces(name, COUNT))
        states = [state(scan) for scan in clean]
        print(f"## The tip's state, {name}: {COUNT} clean scans\n")
        rows = []
        for measure, limit in (*tip.LIMITS.items(), ("finest_nm", None)):
            values = [getattr(s, measure) for s in states]
            above = sum(v > limit for v in values) if limit else "-"
            cells = (f"{np.percentile(values, q):.3g}" for q in (50, 95, 100))
            rows.append((measure, *cells, limit or "-", above))
        table(("measure", "median", "95 %", "largest", "limit", "above it"), rows)
        shares, rows = np.linspace(0, 1, COUNT), []
        for measure, (damage, most, _) in kinds(1).items():
            if measure == "finest_nm":
                series = [
                    [state(kinds(x)[measure][2](s, _rng(i))) for x in np.linspace(0, 1, 6)]
                    for i, s in enumerate(clean[:10])
                ]
                own = [spearmanr(np.arange(6), [s.finest_nm for s in line])[0] for line in series]
                grown = [line[-1].finest_nm / line[0].finest_nm for line in series]
                cells = ["-"] * 3 + [f"x {np.median(grown):.2f}"]
                rows.append((measure, damage, most, f"{np.nanmean(own):.2f}", *cells, "-"))
                continue
            damaged = [
                kinds(x)[measure][2](s, _rng(i))
                for i, (s, x) in enumerate(zip(clean, shares, strict=True))
            ]
            values = np.array([getattr(state(scan), measure) for scan in damaged])
            quarters = [f"{np.median(part):.3g}" for part in np.array_split(values, 4)]
            found = np.mean(values[COUNT // 2 :] > tip.LIMITS[measure])
            rows.append(
                (
                    measure,
                    damage,
                    most,
                    f"{spearmanr(shares, values)[0]:.2f}",
                    *quarters,
                    f"{100 * found:.0f} %",
                )
            )
        quarters = ("1st quarter", "2nd", "3rd", "4th")
        table(
            ("measure", "damage", "strongest", "rank corr.", *quarters, "found, upper half"), rows
        )


def alarms() -> None:
    """Series of 50 scans: of good tips, of good ones with a bad scan in ten, and of bad ones."""
    print("## Advice: false alarms and delay\n")
    rng, rows = _rng(0), []
    for name in ("si001h", "surface"):
        clean = list(surfaces(name, COUNT))
        # Each scan is of a surface of its own, where a session stays with one: that is harder.
        good = [state(scan) for scan in clean]
        bad = [state(preset("realistic")(scan, _rng(i))) for i, scan in enumerate(clean)]
        worn = [state(_worn(scan, _rng(i))) for i, scan in enumerate(clean)]
        for said, share in (
            ("clean", 0.0),
            ("1 in 10 damaged as realistic", 0.1),
            ("1 in 4", 0.25),
        ):
            first = raised = 0
            for _ in range(400):
                series = [_draw(bad if rng.random() < share else good, rng) for _ in range(50)]
                said_now = [bool(tip.advice(series[: n + 1])) for n in range(50)]
                raised += sum(said_now)
                first += any(said_now)
            rows.append(
                (name, said, f"{100 * raised / 20_000:.2f} %", f"{100 * first / 400:.1f} %", "-")
            )
        delays = []
        for _ in range(400):
            series = [_draw(good, rng) for _ in range(20)] + [_draw(worn, rng) for _ in range(20)]
            told = [n - 20 + 1 for n in range(20, 40) if tip.advice(series[: n + 1])]
            delays.append(told[0] if told else np.inf)
        caught = np.isfinite(delays)
        rows.append(
            (
                name,
                "a worn tip from scan 21 on",
                "-",
                f"{100 * caught.mean():.0f} % caught",
                f"{np.median(delays):.0f} scans",
            )
        )
    head = ("surface", "series", "scans with advice", "series of 50 with advice", "told after")
    table(head, rows)


def _draw(states: list[tip.TipState], rng: np.random.Generator) -> tip.TipState:
    return states[int(rng.integers(len(states)))]


def _worn(scan: Scan, rng: np.random.Generator) -> Scan:
    """A tip that picks things up and drops them all the time."""
    span = height_range(scan)[1]
    noise = LineNoise((30, 50), sign="either", span=span)
    return LineOffset((8, 16))(noise(scan, rng), rng)


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng([20, seed])


def main() -> None:
    parts = {"picture": picture, "preview": preview, "tip": calibration, "alarms": alarms}
    heading("A watched folder")
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
