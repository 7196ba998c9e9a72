"""How many scans a second the simulated microscope takes, from defects to trace and retrace.

Run: OMP_NUM_THREADS=1 python benchmarks/chain.py [--quick] [--plot FILE] [--make COUNT FOLDER]

Scans are written in shards, as to train from. `--make` does nothing but make so many scans of
luzny-wse2-main in a folder, with a worker a core, and says how long that took.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from setting import heading, table

from scanmend.defects.targets import ONE, target
from scanmend.engine import cores
from scanmend.stm import experiment as experiments
from scanmend.stm import record
from scanmend.stm.experiment import Experiment
from scanmend.stm.microscope import Microscope

SIZES = ((64, 12.5), (128, 25.0), (256, 50.0), (512, 100.0))  # pixels and nm along a side


def asked() -> Experiment:
    """The main data set at one size and bias: 300 atoms, 45 in the tip, 30 energies."""
    table = experiments.load("luzny-wse2-main").table()
    table["frame"] |= {"width_nm": 1.3}
    table["tunnelling"] |= {"bias_V": -1.4}
    table["tip"] |= {"shape": "W(111)", "dulled": 0}
    table["defects_per_nm2"] = {"chalcogen vacancy": 0.15, "dopant": 0.2}
    return experiments.parse("300-atoms", table)


def per_session(experiment: Experiment, rounds: int) -> float:
    """Least time for a scan, ms, in one process and one thread."""
    microscope = Microscope(experiment)
    microscope.session(0, 0)  # compiled code
    times = []
    for session in range(1, rounds + 1):
        start = time.perf_counter()
        microscope.session(0, session)
        times.append(time.perf_counter() - start)
    return min(times) / experiment.scans_per_session * 1e3


def per_second(experiment: Experiment, count: int, workers: int) -> tuple[float, float]:
    """Scans a second into shards: in all, and once all workers have begun."""
    done: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        store = record.to_shards(
            *(experiment, folder, count, 0, workers),
            progress=lambda *_: done.append(time.perf_counter()),
        )
        all_of_it = count / (done[-1] - start)
    later = done[workers + 1 :]  # the first call comes before anything is done
    return all_of_it, (len(later) - 1) * store.shard_size / (later[-1] - later[0])


def throughput(rounds: int, count: int) -> None:
    """Prints scans a second of the data sets."""
    rows = []
    for experiment in (asked(), *map(experiments.load, ("luzny-wse2-main", "luzny-wse2-control"))):
        rates = [per_second(experiment, count, workers) for workers in (1, cores())]
        rows.append(
            (
                experiment.name,
                f"{per_session(experiment, rounds):.2f}",
                *(f"{steady:.0f} ({overall:.0f})" for overall, steady in rates),
            )
        )
    print(
        "64x64 pixels, trace and retrace, all distortions but for the control set. In brackets: "
        f"of {count} scans, with the start of the workers.\n"
    )
    head = "experiment", "ms a scan, best session", "scans/s, 1 worker", f"{cores()} workers"
    table(head, rows)


def against_size(sizes: tuple[tuple[int, float], ...], plot: Path | None) -> None:
    """Prints, and draws, what a whole scan of Si(001):H takes from a small frame to 100 nm."""
    rows, seconds = [], []
    for pixels, frame_nm in sizes:
        given = experiments.load("si001h-100nm").table()
        given["frame"] |= {"rows": pixels, "columns": pixels, "width_nm": frame_nm}
        microscope = Microscope(experiments.parse("si001h", given))
        microscope.session(0, 0)
        start = time.perf_counter()
        microscope.session(0, 1)
        seconds.append(time.perf_counter() - start)
        rows.append((pixels, f"{frame_nm:g}", f"{seconds[-1]:.2f}"))
    print("A scan of Si(001):H, trace and retrace, one thread.\n")
    table(("pixels a side", "frame, nm", "s"), rows)
    if plot is not None:
        draw(sizes, seconds, plot)


def draw(sizes: tuple[tuple[int, float], ...], seconds: list[float], plot: Path) -> None:
    """Seconds a scan against its pixels; dotted, what is proportional to them."""
    figure = Figure(figsize=(5, 3.4), dpi=160, layout="constrained")
    axes = figure.subplots()
    pixels = np.array([side**2 for side, _ in sizes])
    axes.loglog(pixels, seconds, "o-", color="C0")
    axes.loglog(pixels, seconds[0] * pixels / pixels[0], ":", color="0.5")
    axes.set(xlabel="pixels", ylabel="seconds a scan")
    for (side, frame_nm), x, y in zip(sizes, pixels, seconds, strict=True):
        last = side == sizes[-1][0]
        where = {"xytext": (-8, 18) if last else (6, -10), "ha": "right" if last else "left"}
        label = f"{side} × {side}, {frame_nm:g} nm"
        axes.annotate(label, (x, y), textcoords="offset points", fontsize=8, **where)
    axes.margins(0.15)
    figure.savefig(plot)


def make(count: int, folder: Path) -> None:
    """Makes a whole data set, and says how long it took."""
    start = time.perf_counter()
    store = record.to_shards(experiments.load("luzny-wse2-main"), folder, count, 0, cores())
    took = time.perf_counter() - start
    size = sum(store.path(shard).stat().st_size for shard in range(store.shards))
    sample = [record.simulation(store, number) for number in range(0, count, max(1, count // 500))]
    maps = np.stack([target(one, [ONE])[0] for one in sample])
    faults = sum(one.fault is not None for one in sample) / len(sample)
    rows = [
        ("scans", f"{count}"),
        ("minutes", f"{took / 60:.1f}"),
        ("scans/s", f"{count / took:.0f}"),
        ("GB", f"{size / 1e9:.2f}"),
        ("defects a scan", f"{np.mean([len(one.defects) for one in sample]):.2f}"),
        ("scans that are marked", f"{faults:.1%}"),
        ("variance of the target", f"{maps.var():.4f}"),
    ]
    table(("luzny-wse2-main", f"{cores()} workers"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few scans, and no large frames")
    parser.add_argument("--plot", type=Path, help="where to draw cost against size")
    parser.add_argument("--make", nargs=2, metavar=("COUNT", "FOLDER"))
    given = parser.parse_args()
    heading("The simulated microscope")
    if given.make:
        make(int(given.make[0]), Path(given.make[1]))
        return
    throughput(*((8, 2048) if given.quick else (30, 4096)))
    against_size(SIZES[:2] if given.quick else SIZES, given.plot)


if __name__ == "__main__":
    main()
