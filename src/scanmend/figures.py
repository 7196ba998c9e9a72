"""Scans as figures: with scale bar, unit, bias and setpoint, and their Fourier transforms.

Everything is drawn through Matplotlib's objects, never through pyplot, which would keep every
figure alive and choose a window system.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from numpy.typing import NDArray

from . import level
from .resample import fill_gaps, fill_lines, line_phase, to_shape
from .scan import Quantity, Restoration, Scan

_NOT_MEASURED = "#8d99a6"
_FINE = {Quantity.HEIGHT: "pm", Quantity.CURRENT: "pA"}
_SURFACE = "inferno"
_RING_NM = 1.0  # diameter of the ring around a mark, within what can be seen


def plot(scan: Scan, result: Restoration | None = None, truth: Scan | None = None) -> Figure:
    """The scan; or the scan, its restoration, what was removed, the spread, and both spectra.

    Heights are shown with their plane subtracted. Measured and restored share one set of levels:
    the 0.5th to 99.5th percentile of either, so that a few spikes do not set the contrast.

    Args:
        scan: What was measured.
        result: What was made of it.
        truth: The surface, where it is known; it and the error of the result are shown besides.
    """
    return _single(scan) if result is None else _sheet(scan, result, truth)


def beside(
    scans: Mapping[str, Scan],
    marks: Mapping[str, Sequence[tuple[str, float, float]]] | None = None,
    panel_in: float = 3.1,
    ring_nm: Mapping[str, float] | None = None,
) -> Figure:
    """Scans in a row, by their titles, each with levels of its own; all in the shape of the first.

    Args:
        scans: By title; at least one.
        marks: For some of the titles: places to put a ring around, each with what is there, its row
            and its column. Every kind has its colour.
        panel_in: Width of each, inches.
        ring_nm: For some of the titles: the diameter of those rings, nm, by default 1.
    """
    first, marks = next(iter(scans.values())), marks or {}
    height, width = first.size_nm
    kinds = sorted({kind for places in marks.values() for kind, _, _ in places})
    page = _Page(len(scans), panel_in, row_heights=(_panel_height(panel_in, height / width),))
    for column, (title, scan) in enumerate(scans.items()):
        shown, (height, width) = _shown(scan), scan.size_nm
        low, high = _levels(shown)
        factor, unit = _unit(scan.quantity, high - low)
        axes = page.panel(0, column, title)
        image = _draw(axes, scan, factor * shown, _SURFACE, factor * low, factor * high)
        page.bar(image, _label(scan.quantity, unit))
        for index, kind in enumerate(kinds):
            at = [(r, c) for other, r, c in marks.get(title, ()) if other == kind]
            y, x = (np.array(at).reshape(-1, 2).T + 0.5) * np.array(scan.pixel_nm)[:, None]
            ring = (ring_nm or {}).get(title, _RING_NM)
            ring_pt = min(max(ring / width * panel_in * 72, 4.0 if ring == _RING_NM else 1.0), 12.0)
            axes.scatter(
                *(x, y, ring_pt**2),
                facecolors="none",
                edgecolors=f"C{index}",
                linewidths=ring_pt / 8,
                path_effects=[withStroke(linewidth=ring_pt / 4, foreground="black")],
            )
        axes.set(xlim=(0, width), ylim=(height, 0))
    page.head(first)
    rings = [Line2D([], [], ls="", marker="o", mfc="none", mec=f"C{i}") for i in range(len(kinds))]
    page.figure.legend(rings, kinds, loc="upper right", ncols=2, frameon=False, fontsize=9)
    return page.figure


def png(figure: Figure) -> bytes:
    """The figure as a file: drawn whole before anything is written."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()


def power_spectrum(scan: Scan) -> NDArray[np.float64]:
    """Power of the Hann-windowed scan, zero frequency at [rows // 2, columns // 2].

    The plane is subtracted first; pixels that were not measured count as 0. Divided by the sum of
    the squared window, so that white noise of variance s² has mean power s² at any size.

    Returns:
        Shape (rows, columns), in the scan's unit squared; steps of 1 / size_nm.
    """
    values = np.nan_to_num(level.plane(scan)[0].values.astype(np.float64))
    window = np.hanning(values.shape[0] + 2)[1:-1, None] * np.hanning(values.shape[1] + 2)[1:-1]
    spectrum = np.fft.fftshift(np.fft.fft2(window * values))
    return np.abs(spectrum) ** 2 / np.sum(window**2)


def nice_length(limit_nm: float) -> float:
    """The longest of 1, 2, 5 times a power of ten that is at most `limit_nm`."""
    decade = 10.0 ** math.floor(math.log10(limit_nm))
    return max(m * decade for m in (1, 2, 5) if m * decade <= limit_nm)


def _single(scan: Scan) -> Figure:
    height, width = scan.size_nm
    page = _Page(columns=1, panel_in=6.0, row_heights=(_panel_height(6.0, height / width),))
    shown = _shown(scan)
    low, high = _levels(shown)
    factor, unit = _unit(scan.quantity, high - low)
    image = _draw(page.panel(0, 0), scan, factor * shown, _SURFACE, factor * low, factor * high)
    page.bar(image, _label(scan.quantity, unit))
    page.head(scan)
    return page.figure


def _sheet(scan: Scan, result: Restoration, truth: Scan | None) -> Figure:
    height, width = scan.size_nm
    image_in = _panel_height(3.1, height / width)
    page = _Page(4 if truth else 3, panel_in=3.1, row_heights=(image_in, max(image_in, 3.1)))

    surfaces = {"measured": scan, "restored": result.mean} | ({"truth": truth} if truth else {})
    shown = {title: _shown(of) for title, of in surfaces.items()}
    low, high = _levels(*shown.values())
    factor, unit = _unit(scan.quantity, high - low)
    for column, (title, of) in zip((0, 1, 3), surfaces.items(), strict=False):
        axes = page.panel(0, column, title)
        image = _draw(axes, of, factor * shown[title], _SURFACE, factor * low, factor * high)
        page.bar(image, _label(scan.quantity, unit))

    # A change that is nothing beside the scan is to look like nothing, not like its rounding.
    least = 0.01 * (high - low)
    title, label, on, change = _change(scan, result.mean)
    most = max(least, *(abs(bound) for bound in _levels(change)))
    factor, unit = _unit(scan.quantity, most)
    axes = page.panel(0, 2, title)
    image = _draw(axes, on, factor * change, "RdBu_r", -factor * most, factor * most)
    page.bar(image, f"{label} ({unit})")

    spectra = power_spectrum(scan), power_spectrum(result.mean)
    faint, bright = np.percentile(np.log10(np.maximum(spectra[0], 1e-30)), (20, 99.9))
    reach = max(0.5 / pitch for pitch in result.mean.pixel_nm)
    for column, of in enumerate((scan, result.mean)):
        title = f"{('measured', 'restored')[column]}, log power spectrum"
        _draw_spectrum(page.panel(1, column, title), of, spectra[column], faint, bright, reach)

    spread = result.spread.values
    known = "one standard deviation" if (spread > 0).any() else "not known without draws"
    deviations = {"spread": (spread, known)}
    if truth:
        error = _shown(result.mean) - _shown(truth)
        deviations["error"] = (np.abs(error), "|restored − truth|")
    top = max(least, _levels(*(values for values, _ in deviations.values()))[1])
    factor, unit = _unit(scan.quantity, top)
    for column, (title, (values, label)) in enumerate(deviations.items(), 2):
        axes = page.panel(1, column, title, image_in)
        image = _draw(axes, result.spread, factor * values, "cividis", 0, factor * top)
        page.bar(image, f"{label} ({unit})")
    page.head(scan, result)
    return page.figure


class _Page:
    """A figure whose panels are placed in inches, so that no text can run into another."""

    MARGIN, GAP, HEAD, TITLE, FOOT = 0.2, 0.25, 0.72, 0.3, 0.62

    def __init__(self, columns: int, panel_in: float, row_heights: Sequence[float]) -> None:
        self.panel_in, self.row_heights = panel_in, row_heights
        self.width_in = 2 * self.MARGIN + columns * panel_in + (columns - 1) * self.GAP
        self.height_in = self.HEAD + sum(self.TITLE + h + self.FOOT for h in row_heights)
        self.figure = Figure(figsize=(self.width_in, self.height_in), dpi=160)

    def panel(self, row: int, column: int, title: str = "", height_in: float = 0) -> Axes:
        """Axes at the top of a cell; they fill it unless their height is given."""
        above = self.HEAD + sum(self.TITLE + h + self.FOOT for h in self.row_heights[:row])
        left = self.MARGIN + column * (self.panel_in + self.GAP)
        axes = self._axes(left, above + self.TITLE, height_in or self.row_heights[row])
        axes.set_title(title, fontsize=11, pad=5)
        axes.set_anchor("N")
        return axes

    def bar(self, image: AxesImage, label: str) -> None:
        """The colour bar below a panel."""
        box = image.axes.get_position(original=True)
        below = (1 - box.y0) * self.height_in + 0.07
        axes = self._axes(box.x0 * self.width_in, below, 0.1)
        bar = self.figure.colorbar(image, cax=axes, orientation="horizontal", extend="both")
        bar.set_label(label, fontsize=9, labelpad=1)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
        axes.tick_params(labelsize=8, length=2, pad=2)

    def head(self, scan: Scan, result: Restoration | None = None) -> None:
        """Two lines above the panels: which scan this is, and how it was taken and treated."""
        name, facts = _caption(scan, result)
        self._line(name, 0.30, 12, 0.72, fontweight="bold")
        self._line(facts, 0.56, 9.5, 0.62, color="#444444")

    def _line(self, text: str, above_in: float, size: float, em: float, **style: str) -> None:
        """A line of text, made small enough for the page; its letters are `em` wide on average."""
        fits = 72 * (self.width_in - 2 * self.MARGIN) / (em * max(len(text), 1))
        x, y = self.MARGIN / self.width_in, 1 - above_in / self.height_in
        self.figure.text(x, y, text, fontsize=min(size, fits), va="center", **style)  # type: ignore[arg-type]

    def _axes(self, left_in: float, above_in: float, height_in: float) -> Axes:
        bottom = (self.height_in - above_in - height_in) / self.height_in
        size = self.panel_in / self.width_in, height_in / self.height_in
        return self.figure.add_axes((left_in / self.width_in, bottom, *size))


def _panel_height(width_in: float, ratio: float) -> float:
    """Height of a panel for a scan `ratio` times as tall as wide, within reason."""
    return width_in * min(max(ratio, 1 / 4), 1.6)


def _caption(scan: Scan, result: Restoration | None) -> tuple[str, str]:
    taken = scan.acquisition
    rows, columns = scan.values.shape
    height, width = scan.size_nm
    facts = [f"{width:.4g} × {height:.4g} nm", f"{columns} × {rows} pixels"]
    if taken.bias_V is not None:
        facts.append(f"{taken.bias_V:.3g} V".replace("-", "−"))
    if taken.setpoint_nA is not None:
        amps = taken.setpoint_nA
        facts.append(f"{amps:.3g} nA" if abs(amps) >= 1 else f"{1e3 * amps:.3g} pA")
    if taken.voltage_kV is not None:
        facts.append(f"{taken.voltage_kV:g} kV")
    if (dose := taken.dose_at(scan.pixel_nm)) is not None:
        facts.append(f"{dose:.3g} electrons/Å²")
    if missing := np.count_nonzero(np.isnan(scan.values)):
        facts.append(f"grey: not measured ({missing / scan.values.size:.0%})")
    if result is not None and "model" in result.provenance:
        facts.append(f"restored by {result.provenance['model']}")
    name = " · ".join(filter(None, (taken.source, taken.channel, taken.direction)))
    return name or "scan", " · ".join(facts)


def _shown(scan: Scan) -> NDArray[np.float64]:
    """What is drawn of a scan: heights without their plane, currents and counts as they are."""
    if scan.quantity is Quantity.HEIGHT:
        scan = level.plane(scan)[0]
    return scan.values.astype(np.float64)


def _levels(*images: NDArray[np.floating]) -> tuple[float, float]:
    known = [k for image in images if (k := image[np.isfinite(image)]).size]
    low = min((float(np.percentile(k, 0.5)) for k in known), default=0.0)
    high = max((float(np.percentile(k, 99.5)) for k in known), default=0.0)
    return (low, high) if high > low else (low - 1e-6, high + 1e-6)


def _unit(quantity: Quantity, span: float) -> tuple[float, str]:
    """Factor and unit in which a range of `span` reads well."""
    if quantity in _FINE and span < 1:
        return 1e3, _FINE[quantity]
    return 1.0, quantity.value


def _label(quantity: Quantity, unit: str) -> str:
    name = quantity.name.lower()
    return name if name == unit else f"{name} ({unit})"


def _change(scan: Scan, mean: Scan) -> tuple[str, str, Scan, NDArray[np.floating]]:
    """What the model did: a title, a label, the grid it is on, and the image."""
    rows, columns = mean.values.shape
    values = scan.values.astype(np.float64)
    if mean.values.shape == scan.values.shape:
        return "removed", "measured − restored", scan, values - mean.values
    if columns != values.shape[1]:  # finer on both axes
        spline = to_shape(fill_gaps(scan).values, (rows, columns))
        label = "restored − spline through the pixels"
        return "added to a spline", label, mean, mean.values.astype(np.float64) - spline
    factor = rows // scan.values.shape[0]
    begun = np.flatnonzero(~np.isnan(values).all(axis=1))
    lines = fill_gaps(scan).values[begun].astype(np.float64)
    spline = fill_lines(lines, begun * factor + line_phase(factor), rows)
    return "added to a spline", "restored − spline through the lines", mean, mean.values - spline


def _colours(name: str) -> Colormap:
    return colormaps[name].with_extremes(bad=_NOT_MEASURED)


def _draw(
    axes: Axes, scan: Scan, values: NDArray[np.floating], colours: str, low: float, high: float
) -> AxesImage:
    height, width = scan.size_nm
    image = axes.imshow(
        np.ma.masked_invalid(values),
        cmap=_colours(colours),
        vmin=low,
        vmax=high,
        extent=(0, width, height, 0),
        aspect="equal" if 1 / 8 < height / width < 8 else "auto",
    )
    axes.set(xticks=[], yticks=[])
    length = nice_length(0.3 * width)
    bar = AnchoredSizeBar(
        axes.transData,
        length,
        f"{length:g} nm",
        "lower left",
        color="white",
        size_vertical=min(0.012 * width, 0.04 * height),  # pyright: ignore[reportArgumentType]
        pad=0.35,
        borderpad=0.5,
        sep=3,
    )
    bar.patch.set(facecolor="black", alpha=0.55, edgecolor="none")
    axes.add_artist(bar)
    return image


def _draw_spectrum(
    axes: Axes, scan: Scan, power: NDArray[np.float64], low: float, high: float, reach: float
) -> None:
    def edges(count: int, length_nm: float) -> tuple[float, float]:
        return -(count // 2 + 0.5) / length_nm, ((count - 1) // 2 + 0.5) / length_nm

    left, right = edges(power.shape[1], scan.size_nm[1])
    top, bottom = edges(power.shape[0], scan.size_nm[0])
    axes.imshow(
        np.log10(np.maximum(power, 1e-30)),
        cmap="magma",
        vmin=low,
        vmax=high,
        extent=(left, right, -bottom, -top),  # upwards is positive, as on the surface
    )
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), yticks=[], facecolor=_NOT_MEASURED)
    axes.set_xlabel("1/nm", fontsize=9, labelpad=1)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
    axes.tick_params(labelsize=8, length=2, pad=2)
