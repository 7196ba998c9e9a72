"""Figures say what they show, in readable units, and no text covers another."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import BboxBase

from scanmend import Acquisition, Quantity, Restoration, Scan, plot
from scanmend.figures import nice_length, power_spectrum

TAKEN = Acquisition("Z", "backward", bias_V=-2.0, setpoint_nA=0.05, source="terrace.sxm")
GREY = to_rgb("#8d99a6")


@pytest.fixture
def scan(lattice) -> Scan:
    values = lattice.values.copy()
    values[40:50] = np.nan
    return replace(lattice, values=values, acquisition=TAKEN)


def restored(scan: Scan, factor: int = 1) -> Restoration:
    """Smoothed along the lines, whatever a model would make of it."""
    smooth = (scan.values + np.roll(scan.values, 1, axis=1)) / 2
    smooth = np.repeat(smooth, factor, axis=0)
    spread = np.full_like(smooth, 0.003)
    mean, doubt = scan.after("restored", smooth), scan.after("spread", spread)
    return Restoration(scan, mean, doubt, provenance={"model": "a model"})


def panels(figure: Figure) -> dict[str, Axes]:
    return {axes.get_title(): axes for axes in figure.axes if axes.get_title()}


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.findobj(Text) if isinstance(t, Text) and t.get_text()]


def drawn_texts(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, BboxBase]]:
    """What is written where; Matplotlib also keeps labels of ticks that it does not draw."""
    drawn: list[Text] = []
    draw = Text.draw

    def noted(text: Text, *arguments, **named) -> None:
        drawn.append(text)
        draw(text, *arguments, **named)

    monkeypatch.setattr(Text, "draw", noted)
    FigureCanvasAgg(figure).draw()
    seen = [t for t in dict.fromkeys(drawn) if t.get_visible() and t.get_text().strip()]
    return [(text.get_text(), text.get_window_extent()) for text in seen]


def test_a_sheet_has_every_panel(scan):
    figure = plot(scan, restored(scan))
    spectra = ["measured, log power spectrum", "restored, log power spectrum"]
    assert list(panels(figure)) == ["measured", "restored", "removed", *spectra, "spread"]


def test_a_known_truth_is_shown_with_the_error(scan):
    result = restored(scan)
    figure = plot(scan, result, replace(scan, values=result.mean.values + np.float32(1)))
    of = panels(figure)
    assert {"truth", "error"} <= set(of)
    error = np.ma.max(of["error"].images[0].get_array())
    assert error < 1e-3, "an offset, which levelling removes, counts as an error"
    assert of["error"].images[0].get_clim() == of["spread"].images[0].get_clim()


def test_scale_unit_bias_and_setpoint_are_written(scan):
    words = texts(plot(scan, restored(scan)))
    assert "terrace.sxm · Z · backward" in words
    facts = "24.32 × 24.32 nm · 128 × 128 pixels · −2 V · 50 pA · grey: not measured (8%)"
    assert f"{facts} · restored by a model" in words
    assert {"5 nm", "height (pm)", "measured − restored (pm)", "1/nm"} <= set(words)


@pytest.mark.parametrize(
    ("quantity", "scale", "label"),
    [
        (Quantity.HEIGHT, 1, "height (pm)"),
        (Quantity.HEIGHT, 1e3, "height (nm)"),
        (Quantity.CURRENT, 1, "current (pA)"),
        (Quantity.CURRENT, 1e3, "current (nA)"),
        (Quantity.COUNTS, 1e4, "counts"),
    ],
)
def test_the_unit_suits_the_range(lattice, quantity, scale, label):
    values = (scale * lattice.values).astype(np.float32)
    assert label in texts(plot(replace(lattice, values=values, quantity=quantity)))


def test_measured_and_restored_share_levels(scan):
    of = panels(plot(scan, restored(scan)))
    assert of["measured"].images[0].get_clim() == of["restored"].images[0].get_clim()


def test_lines_that_were_not_measured_are_grey(scan):
    figure = plot(scan)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    axes = figure.axes[0]
    x, y = axes.transData.transform((12.0, 45 * 0.19))
    assert pixels[len(pixels) - round(y), round(x)] == pytest.approx(GREY, abs=0.01)
    x, y = axes.transData.transform((12.0, 60 * 0.19))
    assert pixels[len(pixels) - round(y), round(x)] != pytest.approx(GREY, abs=0.01)


def test_a_column_that_is_missing_does_not_stop_an_upscaled_figure(lattice):
    values = lattice.values[::2].copy()
    values[:, 7] = np.nan
    few = lattice.after("few", values)
    finer = restored(few.after("finer", np.repeat(values, 2, axis=0)))
    added = panels(plot(few, finer))["added to a spline"].images[0].get_array()
    assert np.isfinite(np.ma.compressed(added)).all()
    assert added.mask[:, 7].all() and not added.mask[:, 9:].any()


def test_a_height_is_shown_level_and_a_current_as_it_is(lattice):
    def shown(scan: Scan) -> np.ndarray:
        return np.asarray(plot(scan).axes[0].images[0].get_array())

    slope = np.polyfit(np.arange(128), shown(lattice).mean(axis=1), 1)[0]
    assert abs(slope) < 1e-3, "pm per line; the scan itself rises by 0.76"
    current = replace(lattice, quantity=Quantity.CURRENT)
    assert shown(current) == pytest.approx(1e3 * lattice.values)


def test_a_change_of_nothing_is_blank(lattice):
    result = restored(lattice)
    same = replace(result, mean=lattice.after("restored", lattice.values * np.float32(1 + 1e-6)))
    image = panels(plot(lattice, same))["removed"].images[0]
    assert np.abs(image.get_array()).max() < 0.01 * image.get_clim()[1]


SHAPES = [(128, 128), (20, 128), (128, 20), (9, 128), (64, 100)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("what", ["scan", "restored", "upscaled", "with truth"])
def test_no_text_covers_another_or_leaves_the_page(scan, shape, what, monkeypatch):
    part = replace(scan, values=scan.values[: shape[0], : shape[1]])
    truth = replace(part, values=np.nan_to_num(part.values))
    figure = {
        "scan": lambda: plot(replace(part, acquisition=replace(TAKEN, source=80 * "n"))),
        "restored": lambda: plot(part, restored(part)),
        "upscaled": lambda: plot(part, restored(part, 4)),
        "with truth": lambda: plot(part, restored(part), truth),
    }[what]()
    boxes = drawn_texts(figure, monkeypatch)
    assert len(boxes) > 5
    for text, box in boxes:
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, f"{text!r} leaves the page"
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, f"{text!r} leaves the page"
    for (one, a), (other, b) in combinations(boxes, 2):
        assert not a.overlaps(b), f"{one!r} covers {other!r}"


def test_a_wave_is_found_at_its_frequency():
    y, x = np.mgrid[:60, :80]
    wave = np.cos(2 * np.pi * (12 * x / 80 + 6 * y / 60))
    power = power_spectrum(Scan(wave.astype(np.float32), (0.1, 0.1)))
    peak = np.unravel_index(power.argmax(), power.shape)
    assert peak in ((30 + 6, 40 + 12), (30 - 6, 40 - 12))


def test_white_noise_has_its_variance_as_power(rng):
    noise = Scan(rng.normal(0, 0.3, (128, 200)).astype(np.float32), (0.1, 0.2))
    assert power_spectrum(noise).mean() == pytest.approx(0.09, rel=0.05)


def test_a_scale_bar_is_a_round_number():
    assert [nice_length(n) for n in (0.99, 1.0, 4.9, 30, 2300)] == [0.5, 1, 2, 20, 2000]
