"""What this machine is, as far as it says so."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path


def cores() -> int:
    """How many cores this process may use, as Linux says and OMP_NUM_THREADS, if that is set."""
    affine = hasattr(os, "sched_getaffinity")
    there = len(os.sched_getaffinity(0)) if affine else os.cpu_count() or 1
    wished = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(wished), there) if wished.isdecimal() and int(wished) else there


def processor() -> str:
    """Its name."""
    told = _told()
    named = told.get("model name") or told.get("CPU part")
    return named or platform.processor() or platform.machine()


def abilities() -> str:
    """What it can do: behind one name clouds have many processors."""
    told = _told()
    return told.get("flags") or told.get("Features") or platform.machine()


@functools.cache
def _told() -> dict[str, str]:
    """Of the first core, where the system is Linux."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    cells = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in cells}
