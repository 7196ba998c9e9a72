"""Sets of scans in counts: fewer pixels on both axes, compared by counts and not by their range."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")
pytest.importorskip("skimage")

from model_files import of_counts

import scanmend
from scanmend.degrade.electron_dose import ElectronDose
from scanmend.degrade.low_dose import interpolation
from scanmend.degrade.recipe import Recipe, Step
from scanmend.evaluate import protocol, sources
from scanmend.evaluate.candidates import parse
from scanmend.evaluate.metrics import psnr, scores
from scanmend.pairs import clean, sets
from scanmend.scan import Quantity, Scan
from scanmend.stem.experiment import load
from scanmend.stem.microscope import simulate

FEW = 30.0  #: [electrons/A2], each of which counts


@pytest.fixture(scope="module")
def truths(tmp_path_factory) -> Path:
    """Expected counts of simulated MoS2, three images of 0.02 nm a pixel."""
    folder = tmp_path_factory.mktemp("truths")
    (folder / "mine.toml").write_text(
        'microscope = "stem"\ncrystal = "mos2"\n'
        "[frame]\nrows = 160\ncolumns = 176\npixel_nm = 0.02\n[beam]\ndose_per_A2 = 1000"
    )
    for n, made in enumerate(simulate(load(folder / "mine.toml"), count=3, seed=1)):
        scanmend.write(made.truth(), folder / f"{n}.nc")
    (folder / "mine.toml").unlink()
    return folder


@pytest.fixture(scope="module")
def folder(truths, tmp_path_factory) -> Path:
    dose = ElectronDose(dose_per_A2=(FEW, FEW), scattered=(1.0, 1.0), readout_electrons=(0.0, 0.0))
    where = tmp_path_factory.mktemp("sets")
    counts = sets.Counts(train=0, validation=0, test=4, isolated=0)
    sets.build(
        clean.folder(truths, (1, 1, 1)),
        Recipe("dose", (Step(dose),)),
        where,
        ("restore", "x2"),
        counts,
    )
    return where


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return of_counts(tmp_path_factory.mktemp("model") / "stem.onnx")


def batch_of(folder: Path, task: str):
    return next(sources.Synthetic(folder / task / "test", task).batches(0))


def in_counts(batch, images: np.ndarray) -> np.ndarray:
    """What a candidate gives, in the unit of the set."""
    return batch.clean_low[:, None, None] + batch.clean_span[:, None, None] * (images + 1.0) / 2


def test_clean_counts_are_not_levelled(folder, truths):
    batch, images = batch_of(folder, "restore")
    values = in_counts(batch, images)
    known = [scanmend.read(path).values for path in sorted(truths.glob("*.nc"))]
    assert min(abs(v.max() - values.max()) for v in known) < 1e-3 * values.max()
    assert values.min() > 0


def test_electrons_are_counted_from_0_on(folder):
    """Where half as many are to be expected, half as many are counted, with half the variance."""
    batch, images = batch_of(folder, "restore")
    expected, seen = in_counts(batch, images), np.stack([s.values for s in batch.scans()])
    for low, high in ((0.05, 0.2), (0.5, 0.9)):
        there = (expected > low * expected.max()) & (expected < high * expected.max())
        gain = expected.max() / (FEW * 100 * 0.02**2)
        off, variance = (seen - expected)[there], gain * expected[there].mean()
        assert abs(off.mean()) < 3 * np.sqrt(variance / off.size)
        assert off.var() == pytest.approx(variance, rel=0.1)


def test_what_was_measured_is_found_again(folder):
    batch, _ = batch_of(folder, "x2")
    assert batch.kernel == "bicubic"
    for scan in batch.scans():
        coarse = batch.fewer(scan)
        assert coarse.values.shape == (64, 64) and coarse.pixel_nm == pytest.approx((0.04, 0.04))
        up = interpolation(64, 128, "bicubic")
        np.testing.assert_allclose(up @ coarse.values @ up.T, scan.values, atol=1e-3)
        assert len(np.unique(np.round(coarse.values, 3))) < 25  # whole electrons


def test_candidates_give_counts_on_both_axes(folder, model):
    batch, images = batch_of(folder, "x2")
    (shipped,), (spline,), (lanczos,), (degraded,) = (
        parse(text) for text in (str(model), "cubic spline", "Lanczos", "degraded")
    )
    first = batch.scans()[0]
    own = scanmend.upscale(batch.fewer(first), 2, model).mean.values
    np.testing.assert_allclose(in_counts(batch, shipped.restore(batch))[0], own, atol=1e-5)
    np.testing.assert_allclose(
        in_counts(batch, degraded.restore(batch))[0], first.values, rtol=1e-4, atol=1e-4
    )
    found = {c.name: scores(c.restore(batch), images, clip=False).psnr_dB.mean() for c in (
        shipped, spline, lanczos, degraded)}  # fmt: skip
    assert found["tiny"] > found["degraded"] + 1  # it smooths, and what is counted is noisy
    for name in ("cubic spline", "Lanczos"):
        assert found[name] == pytest.approx(found["degraded"], abs=1.5)


@pytest.mark.parametrize("name", ["cubic spline", "Lanczos", "median", "wavelet"])
def test_filters_leave_what_is_clean_where_it_is(name):
    (candidate,) = parse(name)
    y, x = (np.indices((128, 128)) + 0.5) / 128
    bright = 2 + np.cos(8 * np.pi * (x + 0.3 * y)) + np.cos(8 * np.pi * y)
    down, up = interpolation(128, 64, "bicubic"), interpolation(64, 128, "bicubic")
    seen = (up @ down @ bright @ down.T @ up.T)[None]
    low, span = seen.min((1, 2)), np.ptp(seen, (1, 2))
    images = (2 * (seen - low) / span - 1).astype(np.float32)
    pitch = np.full((1, 2), 0.02)
    clean_low, clean_span = bright.min(keepdims=True)[0], np.ptp(bright, keepdims=True)[0]
    batch = sources.Batch(
        *(images, 2, range(1), 0, low, span, pitch, Quantity.COUNTS, "bicubic"),
        clean_low,
        clean_span,
    )
    assert psnr(in_counts(batch, candidate.restore(batch))[0], bright) > 27


def test_real_scans_of_few_pixels_are_seen_on_finer_ones(truths, tmp_path):
    values = scanmend.read(truths / "0.nc").values
    scanmend.write(Scan(values, (0.04, 0.04), Quantity.COUNTS), tmp_path / "few.nc")
    batch, none = next(sources.Real(tmp_path, None, "x2", scanmend.read).batches(0))
    assert none is None and batch.images.shape == (4, 128, 128)
    np.testing.assert_allclose(batch.pixel_nm, 0.02)
    coarse = batch.fewer(batch.scans()[0])
    np.testing.assert_allclose(coarse.values, values[:64, :64], atol=1e-3)
    assert coarse.pixel_nm == pytest.approx((0.04, 0.04))


def test_an_evaluation_on_counts_by_the_command_line(folder, model, run, monkeypatch):
    monkeypatch.setattr(protocol, "REPEATS", 3)
    models = ("-m", model, "-m", "median", "-m", "cubic spline")
    status, out, err = run("evaluate", folder, *models, "--no-distances", "--json")
    assert status == 0, err
    parts = {(p["candidate"], p["task"]): p for p in json.loads(out)["parts"] if p["on"] == "test"}
    for task in ("restore", "x2"):
        noisy = parts["degraded", task]
        assert noisy["images"] == 4 and np.isfinite(noisy["ssim"])
        assert parts["tiny", task]["psnr_dB"] > noisy["psnr_dB"] + 1
    assert ("cubic spline", "x2") in parts


def test_noise_is_not_cut_off(folder):
    batch, images = batch_of(folder, "restore")
    (degraded,) = parse("degraded")
    whole = scores(degraded.restore(batch), images, clip=False)
    assert (scores(degraded.restore(batch), images).psnr_dB > whole.psnr_dB).all()
    off = np.stack([scan.values for scan in batch.scans()]) - in_counts(batch, images)
    by_hand = 10 * np.log10(batch.clean_span**2 / (off**2).mean((1, 2)))
    np.testing.assert_allclose(whole.psnr_dB, by_hand, atol=1e-3)
    assert replace(batch.first(), seed=1).images.shape == (1, 128, 128)
