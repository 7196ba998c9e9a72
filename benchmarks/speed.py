"""How long the operator waits, and how much memory it takes.

Run: python benchmarks/speed.py        (Linux; nothing else should run meanwhile)
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from setting import heading, table

import scanmend
from scanmend.crystals import silicon

REPEATS = 5


WATCH = """
import resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3)
"""
"""Started by a small process, because a child's peak counts what its parent held at the fork."""


def process(*command: str) -> tuple[float, float]:
    """Wall time (s) and peak memory (MB) of a whole process."""
    watch = (sys.executable, "-S", "-c", WATCH, *command)
    out = subprocess.run(watch, check=True, capture_output=True, text=True).stdout
    seconds, megabytes = map(float, out.split())
    return seconds, megabytes


def call(function, *arguments) -> float:
    """Wall time of one call, s."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def main() -> None:
    heading("Speed and memory")
    rng = np.random.default_rng(0)
    scan = silicon.surface(rng, (512, 512))
    network = scanmend.models.load().network
    planes = rng.standard_normal((3, 512, 512), dtype=np.float32)
    one_call = partial(network, planes, 0.0, told=network.silence)
    few = scan.after("every 4. line", scan.values[1::4])
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "scan.nc"
        scanmend.write(scan, source)
        restore = (python, "-m", "scanmend", "restore", str(source), "-o", folder, "--overwrite")
        bare = lambda: process(python, "-c", "pass")  # noqa: E731
        tasks = {
            "model, 512x512, one call": lambda: (call(one_call), None),
            "restore(), 512x512": lambda: (call(scanmend.restore, scan), None),
            "upscale(), 128x512 to 512x512": lambda: (call(scanmend.upscale, few, 4), None),
            "`scanmend restore` 512x512, whole process": lambda: process(*restore),
            "`import scanmend`, less an empty Python": lambda: process(
                python, "-c", "import scanmend"
            ),
            "`scanmend --help`": lambda: process(python, "-m", "scanmend", "--help"),
        }
        rows = []
        for name, task in tasks.items():
            task()  # compiled code, file caches
            runs = [task() for _ in range(REPEATS)]
            seconds = statistics.median(run[0] for run in runs)
            if "less" in name:
                seconds -= statistics.median(bare()[0] for _ in range(REPEATS))
            memory = [run[1] for run in runs if run[1] is not None]
            rows.append((name, f"{seconds:.3f}", f"{max(memory):.0f}" if memory else ""))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    table(("task", "median of 5, s", "peak memory, MB"), rows)
    print(f"This process itself, with all of the above calls in it, peaked at {peak:.0f} MB.")


if __name__ == "__main__":
    main()
