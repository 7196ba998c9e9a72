"""What the benchmarks share: where the real scans are, the machine, and tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import scanmend
from scanmend import cli, level, models
from scanmend.engine import cores, processor
from scanmend.scan import Scan

DATA = Path(os.environ.get("SCANMEND_DATA", Path(__file__).parents[2] / "shared/data"))
"""Real scans, which are not part of the project; SCANMEND_DATA names another folder."""

SI001H = ("si001h_step", "si001h_patch")
"""Two scans of Si(001):H, 512x512 pixels, 100 nm; never trained on."""


def si001h(name: str) -> Scan:
    """One of `SI001H`, levelled by a plane."""
    scan = scanmend.read(DATA / f"stm/{name}.npy", size_nm=(100, 100), unit="nm")
    return level.plane(scan)[0]


def heading(title: str, model: str | None = None) -> None:
    """Prints what was run, with which model, where and when: no figure is quoted without these."""
    if model:
        title += f": {models.load(model).name}"
    now = datetime.now(UTC).date()
    print(f"# {title}\n\n{now}, scanmend {scanmend.__version__}, {processor()}, {cores()} cores\n")


def command(*words: object) -> None:
    """Runs `scanmend`, or ends as it does."""
    if status := cli.main([str(word) for word in words]):
        sys.exit(status)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a Markdown table; numbers are given as text already."""
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
    print(flush=True)


def crops(scan: Scan, side: int = 128) -> list[tuple[slice, slice]]:
    """Nine squares of `side` pixels, 3x3 across the scan."""
    starts = [np.linspace(0, n - side, 3).astype(int) for n in scan.values.shape]
    return [(slice(r, r + side), slice(c, c + side)) for r in starts[0] for c in starts[1]]
