"""Scores and images side by side: what an evaluation shows.

Drawn as in `figures`: through Matplotlib's objects, on white, in colours that the colour-blind tell
apart (Okabe and Ito, Color Universal Design, 2008).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from numpy.typing import NDArray

from .figures import nice_length

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b5b5b")
"""In the order in which they are taken; after the last the mark, or the dash, changes."""

_MARKERS = ("o", "s", "^", "D", "v")
_INPUT = "#8d99a6"  # what no model made

SURFACE, FRAME = "inferno", "#56b4e9"
"""The colour map of images, and the colour of what is magnified."""

Interval = tuple[float, float, float]
"""A value, and the low and the high end of its interval."""


def violins(
    scores: Mapping[str, Mapping[str, NDArray[np.floating]]], inputs: Sequence[str] = ()
) -> Figure:
    """How scores are distributed: a panel for each score, and in it a violin for each label.

    The dot is the mean, the bar goes from the first to the third quartile, the line across is the
    median; each violin ends at the smallest and the largest score. Scores that are not finite (the
    PSNR of an image that is its reference) are left out, and their number is said.

    Args:
        scores: Panel (the score, with its unit), then label, then the scores, shape (n,).
        inputs: Labels of what no model made, which are drawn in grey.
    """
    most = max(len(of) for of in scores.values())
    figure = Figure(
        figsize=(len(scores) * max(3.2, 0.4 + 1.15 * most), 3.7), dpi=160, layout="constrained"
    )
    for column, (score, of) in enumerate(scores.items(), 1):
        axes = figure.add_subplot(1, len(scores), column)
        colours = _colours(of, inputs)
        labels = []
        for at, (label, values) in enumerate(of.items()):
            known = values[np.isfinite(values)]
            labels.append(_counted(label, len(known), len(values)))
            if not len(known):
                continue
            parts = axes.violinplot([known], [at], widths=0.85, showextrema=False)
            parts["bodies"][0].set(  # type: ignore[index]
                facecolor=colours[label], alpha=0.45, edgecolor=colours[label], linewidth=1
            )
            low, middle, high = np.percentile(known, (25, 50, 75))
            axes.vlines(at, low, high, colors=colours[label], linewidth=6)
            axes.hlines(middle, at - 0.16, at + 0.16, colors="black", linewidth=1.2, zorder=3)
            axes.plot(at, known.mean(), "o", ms=4, mfc="white", mec="black", zorder=4)
        axes.set_xticks(range(len(of)), labels, fontsize=8)
        axes.set_xlim(-0.6, len(of) - 0.4)
        axes.set_ylabel(score, fontsize=9)
        axes.set_title("ABCDEFGH"[column - 1 : column], fontsize=11, fontweight="bold", loc="left")
        plain(axes)
    return figure


def intervals(
    panels: Mapping[str, Mapping[str, Mapping[str, Interval]]], inputs: Sequence[str] = ()
) -> Figure:
    """Values with their intervals: a panel for each score, a row a group, a mark a series.

    Args:
        panels: Panel (the score, with its unit), then group, then series, then its value and
            interval. Panels may lack some of the groups, and groups some of the series.
        inputs: Series of what no model made, which are drawn in grey.
    """
    groups = list(dict.fromkeys(group for of in panels.values() for group in of))
    series = list(
        dict.fromkeys(name for of in panels.values() for group in of.values() for name in group)
    )
    colours = _colours(series, inputs)
    step = 0.7 / max(len(series), 1)
    height = 1.0 + len(groups) * max(0.4, 0.11 * len(series)) + 0.2 * (len(series) // 4)
    figure = Figure(
        figsize=(1.2 + 3.6 * max(len(panels), 1.5), height), dpi=160, layout="constrained"
    )
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (label, of_panel) in zip(grid, panels.items(), strict=True):
        for row in range(1, len(groups), 2):
            axes.axhspan(row - 0.5, row + 0.5, color="#f2f4f6", zorder=0)
        for group, of in of_panel.items():
            for name, (value, low, high) in of.items():
                at = groups.index(group) + step * (series.index(name) - (len(series) - 1) / 2)
                axes.hlines(at, low, high, colors=colours[name], linewidth=1.6)
                axes.plot(value, at, _marker(series.index(name)), ms=4.5, color=colours[name])
        axes.set_xlabel(label, fontsize=9)
        plain(axes, "x")
    grid[0].set_yticks(range(len(groups)), groups, fontsize=9)
    grid[0].set_ylim(len(groups) - 0.5, -0.5)
    marks = [
        Line2D([], [], ls="", marker=_marker(i), ms=4.5, color=colours[name])
        for i, name in enumerate(series)
    ]
    figure.legend(marks, series, loc="outside upper left", ncols=4, frameon=False, fontsize=8)
    return figure


def compared(
    rows: Mapping[str, Mapping[str, NDArray[np.floating]]],
    pixels_nm: Mapping[str, Sequence[float]] | None = None,
    levels: str | None = None,
) -> Figure:
    """Images side by side: for each row of them one line with the whole, and one magnified.

    All of a row have the levels of one of its images, so that contrast can be compared. Magnified
    threefold is where the first image, the input, is furthest from the last.

    Args:
        rows: Name, then title, then the image, shape (rows, columns); all of a row are of one
            shape, and all rows have the same titles.
        pixels_nm: Size of a pixel (rows, columns) by the row's name, nm; None where nobody knows.
        levels: Title of the image that has the levels; by default the last.
    """
    titles = list(next(iter(rows.values())))
    wide, gap, head = 1.72, 0.06, 0.36
    pixels = pixels_nm or dict.fromkeys(rows, (1.0, 1.0))
    tall = []
    for name, of in rows.items():
        size = np.multiply(next(iter(of.values())).shape, pixels[name])
        tall.append(wide * min(max(size[0] / size[1], 0.25), 2))
    left = 0.3
    width = left + len(titles) * (wide + gap)
    height = head + sum(2 * t + gap + 0.16 for t in tall)
    figure = Figure(figsize=(width, height), dpi=160)
    above = head
    for (name, images), each in zip(rows.items(), tall, strict=True):
        last = list(images.values())[-1]
        shown = images[levels or titles[-1]]
        low, high = np.nanpercentile(shown, (0.5, 99.5)).tolist()
        top, bottom, begin, end = _worst(next(iter(images.values())), last)
        middle = 0.5 * left / width, 1 - (above + each) / height
        figure.text(*middle, name, rotation=90, ha="center", va="center", fontsize=9)
        for column, title in enumerate(titles):
            x = (left + column * (wide + gap)) / width
            for part, view in enumerate((images[title], images[title][top:bottom, begin:end])):
                y = 1 - (above + (part + 1) * each + part * gap) / height
                axes = figure.add_axes((x, y, wide / width, each / height))
                axes.imshow(view, cmap=SURFACE, vmin=low, vmax=high, aspect="auto")
                axes.set(xticks=[], yticks=[])
                if not part:
                    corner = begin - 0.5, top - 0.5
                    box = Rectangle(corner, end - begin, bottom - top, fill=False, ec=FRAME)
                    axes.add_patch(box)
                    if above == head:
                        axes.set_title(fill(title, 18, break_long_words=False), fontsize=8.5, pad=4)
                else:
                    for spine in axes.spines.values():
                        spine.set(edgecolor=FRAME, linewidth=1.5)
        if pixels_nm:
            _scale(figure.axes[-2 * len(titles)], last.shape[1], pixels_nm[name][1])
        above += 2 * each + gap + 0.16
    return figure


def _colours(labels: Sequence[str] | Mapping[str, object], inputs: Sequence[str]) -> dict[str, str]:
    made = [label for label in labels if label not in inputs]
    colours = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(made)}
    return colours | dict.fromkeys(inputs, _INPUT)


def _counted(label: str, known: int, of: int) -> str:
    text = fill(label, 14, break_long_words=False)
    return text if known == of else f"{text}\n({of - known} not finite)"


def _marker(index: int) -> str:
    return _MARKERS[index // len(COLOURS) % len(_MARKERS)]


def plain(axes: Axes, along: str = "y") -> None:
    """Only the axes that carry numbers, and faint lines to read them by."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=along, color="#dddddd", linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(which="both", labelsize=8)


def _worst(image: NDArray[np.floating], last: NDArray[np.floating]) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the third of the image in which it is furthest from `last`."""
    rows, columns = (max(1, n // 3) for n in image.shape)
    error = np.nan_to_num((image.astype(np.float64) - last) ** 2)
    sums = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    boxes = sums[rows:, columns:] - sums[:-rows, columns:] - sums[rows:, :-columns]
    boxes += sums[:-rows, :-columns]
    row, column = np.unravel_index(int(boxes.argmax()), boxes.shape)
    return int(row), int(row) + rows, int(column), int(column) + columns


def _scale(axes: Axes, columns: int, pixel_nm: float) -> None:
    length = nice_length(0.3 * columns * pixel_nm)
    bar = AnchoredSizeBar(
        axes.transData,
        length / pixel_nm,
        f"{length:g} nm",
        "lower left",
        color="white",
        size_vertical=0.015 * columns,  # pyright: ignore[reportArgumentType]
        pad=0.3,
        borderpad=0.4,
        sep=2,
        fontproperties=FontProperties(size=7),
    )
    bar.patch.set(facecolor="black", alpha=0.55, edgecolor="none")
    axes.add_artist(bar)
