"""What trainings logged, drawn: runs on one sheet, and the learning-rate range test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .charts import COLOURS, plain
from .errors import ReadError

_SHOWN = ("loss", "psnr_dB", "ssim", "rate")
_LABELS = {
    "loss": "training loss",
    "psnr_dB": "validation PSNR (dB)",
    "ssim": "validation SSIM",
    "rate": "learning rate",
    "norm": "gradient norm",
}

_DASHES = ("-", "--", "-.", ":")


def training(logs: Sequence[Path | str], show: Sequence[str] = _SHOWN) -> Figure:
    """What runs of a training logged, over iterations and over the hours they took.

    Args:
        logs: A `log.jsonl` or the folder of a run that holds one, for each run.
        show: Keys of the log; those that no run has are left out.

    Raises:
        ReadError: A log is missing, damaged, or has none of these keys.
    """
    keys = ("iteration", "seconds")
    runs = {str(path): _entries(path, "log.jsonl", keys)[1] for path in logs}
    names = _short(list(runs))
    there = [key for key in show if any(key in entry for run in runs.values() for entry in run)]
    if not there:
        has = sorted({key for run in runs.values() for entry in run for key in entry})
        raise ReadError(
            f"{', '.join(runs)}: no entry has {' or '.join(show)}; there is {', '.join(has)}"
        )
    figure = Figure(figsize=(8.6, 0.7 + 1.75 * len(there)), dpi=160, layout="constrained")
    grid = figure.subplots(len(there), 2, sharex="col", sharey="row", squeeze=False)
    lines: list[Line2D] = []
    for row, key in enumerate(there):
        for index, entries in enumerate(runs.values()):
            points = np.array(
                [(e["iteration"], e["seconds"] / 3600, e[key]) for e in entries if key in e], float
            ).reshape(-1, 3)
            style = _style(index, few=len(points) < 40)
            for column in (0, 1):
                (line,) = grid[row, column].plot(points[:, column], points[:, 2], **style)
            if not row:
                lines.append(line)
        if key == "loss" and _positive(grid[row, 0]):
            grid[row, 0].set_yscale("log")
        if key == "rate":
            grid[row, 0].ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
            grid[row, 0].yaxis.get_offset_text().set_fontsize(8)
        grid[row, 0].set_ylabel(_LABELS.get(key, key.replace("_", " ")), fontsize=9)
        for axes in grid[row]:
            plain(axes)
    grid[-1, 0].set_xlabel("iterations", fontsize=9)
    grid[-1, 1].set_xlabel("hours", fontsize=9)
    figure.legend(lines, names, loc="outside upper left", ncols=4, frameon=False, fontsize=8.5)
    return figure


def rate_range(log: Path | str, suggested: float | None = None) -> Figure:
    """A learning-rate range test: the loss while the rate rises, and the rate that it suggests.

    Args:
        log: A `rates.jsonl`, with a rate and a loss in each line, or the folder that holds it.
        suggested: The rate to mark.

    Raises:
        ReadError: The log is missing, damaged or empty.
    """
    path, entries = _entries(log, "rates.jsonl", ("rate", "loss"))
    if not entries:
        raise ReadError(f"{path} holds no rates yet")
    rates, losses = np.array([(e["rate"], e["loss"]) for e in entries], float).T
    figure = Figure(figsize=(5.4, 3.4), dpi=160, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(rates, losses, color=COLOURS[0], linewidth=1.4)
    # A test ends where the loss explodes, and that is not to flatten all before it.
    begin, least = float(np.median(losses[: len(losses) // 10 + 1])), float(np.nanmin(losses))
    top = begin + 0.5 * abs(begin - least) + 0.05 * abs(begin)
    if top > least:
        axes.set_ylim(least - 0.1 * (top - least), top)
    axes.set_xscale("log")
    axes.set_xlabel("learning rate", fontsize=9)
    axes.set_ylabel("loss", fontsize=9)
    if suggested is not None:
        axes.axvline(suggested, color=COLOURS[1], linewidth=1.4, linestyle="--")
        axes.set_title(f"suggested: {suggested:.1e}", fontsize=10, color=COLOURS[1])
    plain(axes)
    return figure


def _entries(
    path: Path | str, name: str, keys: tuple[str, ...]
) -> tuple[Path, list[dict[str, float]]]:
    """The numbers in each line of a file of JSON tables, all of which have `keys`; and its path."""
    path = Path(path)
    path = path / name if path.is_dir() else path
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"cannot read the log {path}: {error}") from error
    entries: list[dict[str, float]] = []
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), 1):
        try:
            table = json.loads(line)
            entries.append({k: v for k, v in table.items() if isinstance(v, int | float)})
            damaged = any(key not in entries[-1] for key in keys)
        except (ValueError, AttributeError):
            damaged = True
        if damaged:
            raise ReadError(
                f"{path}, line {number}: expected a JSON table with the numbers "
                f"{' and '.join(keys)}, got {line[:60]!r}"
            )
    return path, entries


def _style(index: int, few: bool) -> dict:
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": _DASHES[index // len(COLOURS) % len(_DASHES)],
        "linewidth": 1.3,
        "marker": "o" if few else "",
        "ms": 2.5,
    }


def _positive(axes: Axes) -> bool:
    return all(not np.any(np.asarray(line.get_ydata()) <= 0) for line in axes.get_lines())


def _short(paths: Sequence[str]) -> list[str]:
    """Names that tell paths apart: the folder of a run, and as much above it as that takes."""
    parts = [Path(p).parts[:-1] if Path(p).suffix == ".jsonl" else Path(p).parts for p in paths]
    for count in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(p[-count:]) or "run" for p in parts]
        if len(set(names)) == len(names):
            return names
    return list(paths)
