"""Charts show what they were given, whatever is missing in it, and no text covers another."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from test_plot import drawn_texts, texts

from scanmend.charts import COLOURS, compared, intervals, violins
from scanmend.curves import rate_range, training
from scanmend.errors import ReadError

NAMES = ("degraded", "Autoencoder", "FM Small, 10 steps", "FM Large, 10 steps", "posterior flow, 3")
KINDS = ("blunt tip", "scan lines", "tip change", "misalignment", "multi-tip")
GREY = "#8d99a6"


@pytest.fixture
def scores(rng) -> dict[str, dict[str, np.ndarray]]:
    """Of 500 images, as models of growing merit might have them."""
    psnr = {name: rng.normal(20 + 3 * i, 3, 500) for i, name in enumerate(NAMES)}
    return {
        "PSNR (dB)": psnr,
        "SSIM": {name: 1 - 0.1 * rng.exponential(1, 500) for name in NAMES},
    }


@pytest.fixture
def run_folder(tmp_path):
    """Writes the log of a run of 40 validations, 10 iterations and 3 s apart."""

    def write(name: str, entries: list[dict] | None = None, tail: str = "") -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        if entries is None:
            entries = [
                {"iteration": i, "seconds": 0.3 * i, "loss": 1 / i, "rate": 1e-4, "ssim": 1 - 1 / i}
                for i in range(10, 401, 10)
            ]
        lines = "".join(json.dumps(entry) + "\n" for entry in entries)
        (folder / "log.jsonl").write_text(lines + tail)
        return folder

    return write


def assert_legible(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = drawn_texts(figure, monkeypatch)
    assert len(boxes) > 5
    for text, box in boxes:
        inside = figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert inside and figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, f"{text!r} is cut"
    for (one, a), (other, b) in combinations(boxes, 2):
        assert not a.overlaps(b), f"{one!r} covers {other!r}"


def test_a_violin_is_as_wide_as_its_scores_and_marks_their_mean_and_median(scores):
    axes = violins(scores, ["degraded"]).axes[0]
    for at, values in enumerate(scores["PSNR (dB)"].values()):
        y = axes.collections[3 * at].get_paths()[0].vertices[:, 1]
        assert (y.min(), y.max()) == pytest.approx((values.min(), values.max()))
        assert axes.lines[at].get_ydata() == pytest.approx(values.mean())
        quartiles, median = (axes.collections[3 * at + k].get_segments()[0] for k in (1, 2))
        assert quartiles[:, 1] == pytest.approx(np.percentile(values, (25, 75)))
        assert median[:, 1] == pytest.approx(np.median(values))


def test_what_no_model_made_is_grey_and_no_two_models_share_a_colour(scores):
    bodies = violins(scores, ["degraded"]).axes[0].collections[::3]
    colours = [to_hex(body.get_facecolor()[0][:3]) for body in bodies]
    assert colours == [GREY, *COLOURS[:4]]


def test_scores_that_are_not_finite_are_counted_and_left_out(scores):
    scores["PSNR (dB)"]["degraded"][:7] = np.inf
    scores["SSIM"]["degraded"][:] = np.nan
    figure = violins(scores)
    assert "degraded\n(7 not finite)" in texts(figure)
    assert "degraded\n(500 not finite)" in texts(figure)
    assert np.isfinite(figure.axes[0].lines[0].get_ydata()).all()


def test_scores_that_are_all_the_same_are_drawn(scores):
    scores["SSIM"]["degraded"] = np.ones(3)
    scores["SSIM"]["Autoencoder"] = np.ones(1)
    violins(scores).canvas.draw()


def test_intervals_end_where_they_should():
    groups = {kind: {"a": (i, i - 0.5, i + 0.2), "b": (9, 9, 9)} for i, kind in enumerate(KINDS)}
    axes = intervals({"SSIM": groups}).axes[0]
    segments = [c.get_segments()[0] for c in axes.collections][::2]
    assert [tuple(s[:, 0]) for s in segments] == [(i - 0.5, i + 0.2) for i in range(5)]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(KINDS)


def test_more_series_than_colours_differ_by_their_marks():
    many = {f"model {i}": (float(i), i - 0.1, i + 0.1) for i in range(2 * len(COLOURS))}
    lines = intervals({"SSIM": {"blunt tip": many}}).axes[0].lines
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == len(many)


@pytest.mark.parametrize("what", ["violins", "intervals", "compared", "training", "rates"])
def test_no_text_covers_another_or_leaves_the_page(what, scores, run_folder, rng, monkeypatch):
    def image() -> np.ndarray:
        return rng.normal(size=(64, 64))

    def rates() -> Figure:
        path = run_folder("r") / "rates.jsonl"
        path.write_text("".join(f'{{"rate": {2e-6 * k**2}, "loss": 1.5}}\n' for k in range(1, 50)))
        return rate_range(path, 2e-4)

    figure = {
        "violins": lambda: violins(scores),
        "intervals": lambda: intervals(
            {
                score: {k: {n: (i, i - 1, i + 1) for i, n in enumerate(NAMES)} for k in KINDS}
                for score in ("PSNR (dB)", "SSIM")
            }
        ),
        "compared": lambda: compared(
            {f"sample {i}": {n: image() for n in (*NAMES, "truth")} for i in (3, 17)},
            {"sample 3": (0.2, 0.2), "sample 17": (0.4, 0.2)},
        ),
        "training": lambda: training([run_folder(f"run{i}") for i in range(6)]),
        "rates": rates,
    }[what]()
    assert_legible(figure, monkeypatch)


def test_all_images_of_a_row_have_the_levels_of_the_last(rng):
    truth = rng.normal(size=(60, 60))
    rows = {"one": {"degraded": 9 * truth, "FM": 2 * truth, "truth": truth}}
    levels = [axes.images[0].get_clim() for axes in compared(rows, None).axes]
    assert levels == [tuple(np.percentile(truth, (0.5, 99.5)))] * 6


def test_magnified_is_where_the_input_is_furthest_from_the_truth(rng):
    truth = rng.normal(size=(60, 90))
    damaged = truth.copy()
    damaged[30:35, 70:75] += 5
    figure = compared({"one": {"degraded": damaged, "truth": truth}}, {"one": (0.2, 0.2)})
    box = figure.axes[0].patches[0]
    assert (box.get_width(), box.get_height()) == (30, 20)
    row, column = round(box.get_y() + 0.5), round(box.get_x() + 0.5)
    assert row <= 30 and row + 20 >= 35 and column <= 70 and column + 30 >= 75
    part = np.asarray(figure.axes[1].images[0].get_array())
    assert np.array_equal(part, damaged[row : row + 20, column : column + 30])


def test_runs_are_drawn_over_iterations_and_hours(run_folder):
    figure = training([run_folder("small/flow"), run_folder("large/flow")])
    assert {"small/flow", "large/flow", "iterations", "hours"} <= set(texts(figure))
    loss, hours = figure.axes[:2]
    assert loss.get_yscale() == "log"
    assert loss.lines[1].get_xydata()[-1] == pytest.approx((400, 1 / 400))
    assert hours.lines[1].get_xydata()[-1] == pytest.approx((400 * 0.3 / 3600, 1 / 400))
    labels = [axes.get_ylabel() for axes in figure.axes[::2]]
    assert labels == ["training loss", "validation SSIM", "learning rate"]


def test_what_only_some_entries_have_is_drawn_from_those(run_folder):
    entries = [{"iteration": i, "seconds": i, "loss": 1.0} for i in range(1, 7)]
    entries[2] |= {"psnr_dB": 21.0}
    entries[5] |= {"psnr_dB": 23.0}
    axes = training([run_folder("run", entries)]).axes[2]
    assert axes.lines[0].get_xydata().tolist() == [[3, 21], [6, 23]]


def test_losses_below_zero_are_drawn_on_a_linear_axis(run_folder):
    entries = [{"iteration": i, "seconds": i, "loss": 1.0 - i} for i in range(4)]
    assert training([run_folder("run", entries)]).axes[0].get_yscale() == "linear"


def test_an_unfinished_last_line_is_left_out(run_folder):
    folder = run_folder("run", tail='{"iteration": 410, "sec')
    for path in (folder, folder / "log.jsonl"):
        assert training([path]).axes[0].lines[0].get_xydata()[-1][0] == 400


@pytest.mark.parametrize("line", ["{", "[1, 2]", '{"iteration": 3}', '{"seconds": 1}', "7"])
def test_a_damaged_log_is_refused_by_its_line(run_folder, line):
    folder = run_folder("run", tail=line + "\n")
    words = "log.jsonl, line 41: expected a JSON table with the numbers iteration and seconds"
    with pytest.raises(ReadError, match=words):
        training([folder])


def test_logs_that_are_missing_or_lack_what_is_asked_for_are_refused(run_folder, tmp_path):
    with pytest.raises(ReadError, match="cannot read the log .*nowhere"):
        training([tmp_path / "nowhere"])
    with pytest.raises(ReadError, match=r"no entry has kid; there is iteration, loss, rate, sec"):
        training([run_folder("run")], show=["kid"])
    (tmp_path / "rates.jsonl").write_text("")
    with pytest.raises(ReadError, match="holds no rates yet"):
        rate_range(tmp_path)


def test_a_range_test_marks_the_rate_and_is_not_flattened_by_its_end(tmp_path):
    rates = np.geomspace(1e-6, 1, 50)
    losses = np.where(rates < 0.3, 1 - 0.5 * (rates > 1e-3), 1e6)
    lines = [json.dumps({"rate": r, "loss": x}) for r, x in zip(rates, losses, strict=True)]
    (tmp_path / "rates.jsonl").write_text("\n".join(lines) + "\n")
    axes = rate_range(tmp_path, 4e-4).axes[0]
    assert axes.get_xscale() == "log"
    assert axes.lines[1].get_xdata() == [4e-4, 4e-4]
    low, high = axes.get_ylim()
    assert low < 0.5 and 1 < high < 2
