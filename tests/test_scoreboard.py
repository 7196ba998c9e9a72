"""The scoreboard: one small run of all of it, and its arithmetic on what is known."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from model_files import Untrained, exported
from scipy.ndimage import gaussian_filter

import scanmend
from scanmend.crystals import silicon
from scanmend.errors import RecipeError, ScanError
from scanmend.evaluate.distances import distance, kid_difference
from scanmend.scan import Scan

pytest.importorskip("skimage")
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import scoreboard
from board import plot, pooled, real, speed, traces
from board.contenders import contenders
from board.estimates import decibels, gain_dB, mean


@pytest.fixture
def tiny(tmp_path):
    """An untrained network of a published method."""
    return exported(Untrained(), tmp_path / "tiny.onnx")


def test_one_run_writes_table_plot_and_json(tiny, tmp_path, rng, monkeypatch):
    scan = silicon.surface(rng, (128, 128))
    scanmend.write(scan, tmp_path / "scan.nc")
    scanmend.write(Scan(scan.values, (0.01, 0.01)), tmp_path / "fine.nc")
    places = {"si001h_step": real.Place("scan.nc", clean=True), "fine": real.Place("fine.nc")}
    monkeypatch.setattr(real, "PLACES", places)
    kinds = ("LineNoise", "mixed")
    every = real.damage()
    monkeypatch.setattr(real, "damage", lambda: {kind: every[kind] for kind in kinds})
    sets = tmp_path / "pairs"
    how = ("--train", "0", "--validation", "0", "--isolated", "0", "--task", "restore")
    assert scanmend.cli.main(["pairs", "si001h", "-o", str(sets), "--test", "8", *how]) == 0
    out = tmp_path / "out"
    words = [str(out), "-m", "si001h", "-m", f"tiny={tiny}@1", "--pairs", str(sets)]
    words += ["--data", str(tmp_path), "--only", "synthetic", "real"]
    found = scoreboard.main(words)

    assert json.loads((out / "scoreboard.json").read_text()) == json.loads(json.dumps(found))
    by = {(r["contender"], r["task"]): r for r in found["synthetic"]}
    ours, theirs = by["si001h@1", "restore"], by["tiny@1", "restore"]
    assert ours["images"] == 8 and ours["kid_images"] == 4
    assert ours["ssim"]["value"] == pytest.approx(np.mean(ours["each"]["ssim"]), abs=1e-4)
    apart = np.mean(np.subtract(ours["each"]["ssim"], theirs["each"]["ssim"]))
    assert ours["over_published"]["ssim"]["than"] == "tiny@1"
    assert ours["over_published"]["ssim"]["value"] == pytest.approx(apart, abs=1e-4)
    assert theirs["over_published"]["kid"]["value"] == 0

    refused = {(r["scan"], r["contender"]) for r in found["mended"] if "refused" in r}
    assert refused == {("fine", "si001h@1"), ("fine", "tiny@1")}
    once = [r for r in found["mended"] if r["scan"] == "si001h_step"]
    assert {len(r["ssim"]) for r in once} == {1} and {r["damage"] for r in once} == set(kinds)
    clean = [r for r in found["unharmed"] if r["contender"] == "si001h@1" and "ssim" in r]
    assert clean[0]["ssim"][0] > 0.95
    text = (out / "scoreboard.md").read_text()
    assert "- si001h@1, fine: pixels of 0.01 nm are far outside the 0.16-0.22 nm" in text
    assert "| si001h_step | 4x |" in text and "## Synthetic, restore" in text

    again = scoreboard.main(words)
    assert {k: again[k] for k in ("synthetic", "mended")} == {
        k: found[k] for k in ("synthetic", "mended")
    }


def test_traces_are_told_from_blur_and_from_invention(rng):
    shape, gap = (230, 230), 3
    surface = gaussian_filter(rng.standard_normal((shape[0], shape[1] + gap)), 1.2)
    surface /= surface.std()
    true = surface[:, gap:], surface[:, :-gap]
    raw = tuple(s + 0.7 * rng.standard_normal(shape) for s in true)
    invented = gaussian_filter(rng.standard_normal(surface.shape), 1.2)
    invented /= invented.std()

    def found(first, second):
        return traces.summary(traces.correlated(raw, (first, second)), 0.1)

    same = found(*raw)
    assert same["squares"] == 4 and same["moved_px"] == pytest.approx([0, -gap], abs=0.05)
    assert same["both"]["value"] == same["with_raw"]["value"] == 0
    blurred = found(*(gaussian_filter(trace, 1) for trace in raw))
    assert abs(blurred["with_raw"]["value"]) < 0.01
    assert blurred["both"]["value"] < 0.01 and blurred["kept_dB"]["value"] < -2
    both = found(raw[0] + invented[:, gap:], raw[1] + invented[:, :-gap])
    assert both["both"]["low"] > 0.03 and both["with_raw"]["high"] < -0.03
    better = found(*true)
    assert better["with_raw"]["low"] > 0.03
    assert better["with_raw"]["value"] == pytest.approx(better["possible"]["value"], abs=0.02)
    assert better["kept_dB"]["value"] == pytest.approx(0, abs=0.5)


def test_a_model_stands_beside_the_best_classical_method_on_the_scans_that_it_takes():
    def record(scan, contender, kind, ssim):
        return {"scan": scan, "contender": contender, "kind": kind} | (
            {"ssim": ssim, "psnr_dB": [20.0] * len(ssim)} if ssim else {"refused": "too fine"}
        )

    records = [
        record("a", "input", "input", [0.5, 0.6]),
        record("a", "median", "classical", [0.6, 0.7]),
        record("a", "wavelet", "classical", [0.5, 0.5]),
        record("a", "model", "ours", [0.8, 0.8]),
        record("b", "input", "input", [0.1]),
        record("b", "median", "classical", [0.1]),
        record("b", "wavelet", "classical", [0.9]),
        record("b", "model", "ours", []),
    ]
    found = pooled.standing(records, "model")
    assert (found.squares, found.best) == (2, "median")
    assert found.gain.value == pytest.approx(0.15) and found.gain.low == pytest.approx(0.1)
    assert found.over_input.value == pytest.approx(0.25)
    wavelet = pooled.standing(records, "wavelet")
    assert (wavelet.squares, wavelet.best, wavelet.gain.value) == (3, "wavelet", 0)
    assert pooled.standing(records[4:], "model") is None


def test_decibels_are_of_the_mean_squared_error():
    values = np.array([20.0, np.inf])
    assert decibels(values).value == pytest.approx(20 + 10 * np.log10(2))
    assert gain_dB(values, np.array([10.0, np.inf])).value == pytest.approx(10)
    assert mean(np.array([1.0, np.inf, 3.0])).value == 2


def test_speed_is_over_the_papers_way(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "SIDE", 128)
    # Ours are timed from file to file too, which takes as long as Python takes to start.
    of = [
        one for one in contenders([f"fm-small={tiny}@2"]) if one.title in ("fm-small@2", "median")
    ]
    found = speed.speed(of, tmp_path, speed.Patience(2, 0.1, 2), lambda what: None)
    assert found["papers"] == "fm-small@2"
    papers, median = found["each"]["fm-small@2"], found["each"]["median"]
    assert papers["ratio"] == 1 and papers["repeats"] == 2 and papers["strip_call_s"] > 0
    assert median["ratio"] == papers["scan_s"] / median["scan_s"]


def test_names_in_the_plot_lie_on_no_other():
    each = {f"model number {i}": {"kind": "ours", "scan_s": 1 + 0.02 * i} for i in range(6)}
    each |= {"papers": {"kind": "published", "scan_s": 10.0}}
    scores = {"value": 0.7, "low": 0.69, "high": 0.71}
    records = [
        {"task": "restore", "contender": name, "kind": facts["kind"], "images": 9}
        | {"ssim": scores, "psnr_dB": scores}
        for name, facts in each.items()
    ]
    figure = plot.plot({"synthetic": records, "speed": {"papers": "papers", "each": each}})
    renderer = figure.canvas.get_renderer()
    for axes in figure.axes:
        names = [text for text in axes.texts if text.get_text() in each]
        boxes = [super(type(t), t).get_window_extent(renderer) for t in names]
        assert len(boxes) == 7
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:i])


def test_the_difference_of_two_distances_is_surer_than_either(rng):
    clean, first = rng.standard_normal((2, 60, 8))
    second = 1.3 * first
    same = kid_difference(first, first, clean, rng)
    assert tuple(same) == (0, 0, 0)
    found = kid_difference(second, first, clean, np.random.default_rng(0))
    other = kid_difference(first, second, clean, np.random.default_rng(0))
    assert found.value == pytest.approx(-other.value) and found.low == pytest.approx(-other.high)
    one, two = (
        distance("KID", made, clean, "any", np.random.default_rng(0)) for made in (second, first)
    )
    assert found.value == pytest.approx(one.value - two.value, abs=0.3 * (one.sd + two.sd))
    assert found.high - found.low < (one.high - one.low) + (two.high - two.low)
    with pytest.raises(ScanError, match="60 images against 59: a difference is taken of what two"):
        kid_difference(first, second[:59], clean, rng)


def test_two_of_one_name_are_refused(tiny):
    with pytest.raises(RecipeError, match="two are called tiny@1: give one another name"):
        contenders([f"{tiny}@1", f"{tiny}@1"])
