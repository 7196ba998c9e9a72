"""Quality against time: what a better picture costs, and who pays for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from scanmend.charts import COLOURS, plain

from .pooled import standing
from .real import SI001H

Board = Mapping[str, Any]
Points = dict[str, tuple[float, float, float]]
"""A score and its interval, by contender."""

_KINDS = {
    "ours": ("scanmend", COLOURS[1], "o", 8.0),
    "published": ("published methods, our training", COLOURS[0], "s", 6.0),
    "classical": ("classical", COLOURS[6], "^", 6.0),
}
_LABELS = {"ssim": "SSIM", "psnr_dB": "PSNR (dB)"}
_TIMES = (40, 80)
_INPUT, _FAINT = "_input", "#c9d0d6"

Box = tuple[float, float, float, float]
"""Left, bottom, right and top, points."""


def plot(board: Board) -> Figure | None:
    """A row of panels for each kind of test; None if nothing was timed and scored as well."""
    speed = board.get("speed", {}).get("each", {})
    times = {title: facts["scan_s"] for title, facts in speed.items() if "scan_s" in facts}
    rows = {
        title: {
            score: {t: p for t, p in of.items() if t in times or t == "input"}
            for score, of in r.items()
        }
        for title, r in _rows(board).items()
    }
    rows = {title: r for title, r in rows.items() if len(r["ssim"]) > 1}
    if not rows:
        return None
    papers = speed[board["speed"]["papers"]]["scan_s"]
    figure = Figure(figsize=(9.6, 0.75 + 3.5 * len(rows)), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), 2, sharex=True, squeeze=False)
    kinds = {title: facts["kind"] for title, facts in speed.items()}
    for axes_row, (title, scores) in zip(grid, rows.items(), strict=True):
        for axes, (score, points) in zip(axes_row, scores.items(), strict=True):
            _panel(axes, points, times, kinds, papers)
            axes.set_ylabel(_LABELS[score], fontsize=10)
            axes.set_title(title, fontsize=10, loc="left", pad=14)
    for axes in grid[-1]:
        axes.set_xlabel("time for 512 × 512 pixels (s)", fontsize=10)
    shown = [k for k in _KINDS if k in kinds.values()]
    marks = [
        Line2D([], [], ls="", marker=_KINDS[k][2], ms=_KINDS[k][3], color=_KINDS[k][1])
        for k in shown
    ]
    names = [_KINDS[k][0] for k in shown]
    marks.append(Line2D([], [], color=_FAINT, linewidth=1.2))
    names.append(f"so many times as quick as {board['speed']['papers']}")
    figure.legend(marks, names, loc="outside upper left", ncols=4, frameon=False, fontsize=9.5)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in grid.ravel():
        _label(axes)
    return figure


def _rows(board: Board) -> dict[str, dict[str, Points]]:
    found: dict[str, dict[str, Points]] = {}
    for task, name in (
        ("restore", "restoration"),
        ("x2", "2 × the lines"),
        ("x4", "4 × the lines"),
    ):
        records = [r for r in board.get("synthetic", []) if r["task"] == task]
        if records:
            found[f"Synthetic test set, {name} (n = {records[0]['images']})"] = {
                score: {_name(r): tuple(r[score].values()) for r in records} for score in _LABELS
            }
    real = [r for r in board.get("mended", []) if r["scan"] in SI001H and r["damage"] == "mixed"]
    if real:
        points: dict[str, Points] = {score: {} for score in _LABELS}
        squares = 0
        for record in {r["contender"]: r for r in real}.values():
            if one := standing(real, record["contender"]):
                squares = one.squares
                for score in _LABELS:
                    points[score][_name(record)] = tuple(getattr(one, score))
        found[f"Real Si(001):H, damage mixed (n = {squares} squares)"] = points
    return found


def _name(record: Mapping[str, Any]) -> str:
    return "input" if record["kind"] == "input" else record["contender"]


def _panel(
    axes: Axes, points: Points, times: Mapping[str, float], kinds: Mapping[str, str], papers: float
) -> None:
    axes.set_xscale("log")
    for title, (value, low, high) in points.items():
        if title == "input":
            axes.axhline(value, color="#8d99a6", lw=1, ls=(0, (5, 3)), zorder=1, label=_INPUT)
            axes.annotate(
                "input",
                (1, value),
                xycoords=("axes fraction", "data"),
                xytext=(-3, 2.5),
                textcoords="offset points",
                ha="right",
                fontsize=8,
                color="#6b7783",
            )
            continue
        _, colour, mark, size = _KINDS[kinds[title]]
        axes.vlines(times[title], low, high, color=colour, linewidth=1.3, zorder=2)
        axes.plot(
            times[title],
            value,
            mark,
            ms=size,
            color=colour,
            mec="white",
            mew=0.7,
            zorder=3,
            label=title,
        )
    plain(axes)
    known = [times[title] for title in points if title != "input"] + [papers / max(_TIMES)]
    axes.set_xlim(min(known) / 2.2, max(known) * 8)
    for times_faster in _TIMES:
        axes.axvline(papers / times_faster, color=_FAINT, linewidth=0.9, zorder=0)
        axes.annotate(
            f"{times_faster}×",
            (papers / times_faster, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color="#6b7783",
        )
    axes.margins(y=0.14)


def _label(axes: Axes) -> None:
    """The name of each mark beside it, where no other mark or name is; with a line if far off."""
    figure = axes.figure
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    point = figure.dpi / 72  # type: ignore[union-attr]
    marks = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    places = [
        axes.transData.transform((line.get_xdata()[0], line.get_ydata()[0])) / point
        for line in marks
    ]
    frame = tuple(axes.get_window_extent(renderer).extents / point)
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    for line in axes.get_lines():
        if line.get_label() == _INPUT:
            y = axes.transData.transform((1, line.get_ydata()[0]))[1] / point
            taken += [(frame[0], y - 1, frame[2], y + 1), (frame[2] - 30, y, frame[2], y + 11)]
    names: list[Box] = []
    for line, (x, y) in sorted(zip(marks, places, strict=True), key=lambda pair: -pair[1][1]):
        text = axes.annotate(
            str(line.get_label()),
            (line.get_xdata()[0], line.get_ydata()[0]),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=8,
            color=line.get_color(),
            va="center",
            arrowprops={"arrowstyle": "-", "color": line.get_color(), "lw": 0.5, "shrinkB": 3},
        )
        size = text.get_window_extent(renderer)
        wide, high = size.width / point, size.height / point

        def cost(at: tuple[float, float]) -> float:
            box = (x + at[0], y + at[1] - high / 2, x + at[0] + wide, y + at[1] + high / 2)  # noqa: B023
            outside = not (_within(box[:2], frame) and _within(box[2:], frame))
            lead = [(x + at[0] * k / 8, y + at[1] * k / 8) for k in range(1, 8)]  # noqa: B023
            crossed = sum(_within(spot, name) for spot in lead for name in names)
            over = sum(_overlap(box, other) for other in (*taken, *names))
            return 1e4 * outside + 10 * over + 40 * crossed + float(np.hypot(*at)) * 0.01

        best = min(_around(wide, high), key=cost)
        text.set_position(best)
        away = np.hypot(max(best[0], -best[0] - wide, 0), max(abs(best[1]) - high / 2, 0))
        text.arrow_patch.set_visible(away > 8)  # type: ignore[union-attr]
        corner = x + best[0], y + best[1] - high / 2
        names.append((*corner, corner[0] + wide, corner[1] + high))


def _around(wide: float, high: float) -> list[tuple[float, float]]:
    """Left ends of names, points from a mark: beside it, above, below, then farther off."""
    found = []
    for r in (6, 11, 17, 24, 32, 41, 51):
        for angle in (0, 180, 90, 270, 35, 145, 325, 215):
            along, up = np.cos(np.radians(angle)), np.sin(np.radians(angle))
            left = r * along - wide * (1 - along) / 2
            found.append((float(left), float(up * (r + high / 2))))
    return found


def _overlap(one: Box, other: Box) -> float:
    """Area that two boxes share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0


def _within(spot: Sequence[float], box: Sequence[float]) -> bool:
    return box[0] <= spot[0] <= box[2] and box[1] <= spot[1] <= box[3]
