"""Whole scans by models of the published kind: patches, noise, the unit, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from model_files import Still, Towards, UNet, Untrained, exported  # noqa: E402

import scanmend  # noqa: E402
from scanmend import level, models  # noqa: E402
from scanmend.crystals import silicon  # noqa: E402
from scanmend.degrade.fewer_lines import FewerLines  # noqa: E402
from scanmend.errors import ModelError, RecipeError  # noqa: E402
from scanmend.resample import line_phase  # noqa: E402
from scanmend.restoration import published, restore, upscale  # noqa: E402
from scanmend.restoration.patches import Patches  # noqa: E402
from scanmend.scan import Scan  # noqa: E402


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Model files by name."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(3)
    regression = {"method": {"kind": "Regression"}, "steps": 1}
    return {
        "towards": exported(Towards(0.5, 0.2), folder / "towards.onnx", name="towards"),
        "still": exported(Still(), folder / "still.onnx", name="still"),
        "unet": exported(Untrained(), folder / "unet.onnx", name="unet"),
        "regression": exported(
            UNet(1), folder / "regression.onnx", name="regression", channels=1, **regression
        ),
        "x2": exported(Towards(0.5, 0.2), folder / "x2.onnx", name="fine2", task="x2", factor=2),
        "x4": exported(Towards(0.5, 0.2), folder / "x4.onnx", name="fine4", task="x4", factor=4),
    }


@pytest.fixture(scope="module")
def surface() -> Scan:
    """40 x 60 nm of Si(001):H, tilted, 3 nm above zero."""
    flat = silicon.surface(np.random.default_rng(7), (150, 230))
    ramp = 3 + 0.4 * np.arange(150)[:, None] / 150 - 0.3 * np.arange(230) / 230
    return flat.after("tilted", flat.values + ramp)


def patch_window(length: int, index: int, count: int) -> np.ndarray:
    """The weights along one axis of patch `index` of `count`, as `join` uses them."""
    patches = Patches((128, length), 128)
    assert len(patches) == count
    stack = np.zeros((count, 1, 128, 128), np.float32)
    stack[index] = 1
    return patches.join(stack)[64]


@pytest.mark.parametrize("shape", [(512, 512), (128, 128), (150, 230), (513, 225), (9, 129)])
def test_patches_join_to_the_image_they_were_cut_from(shape, rng):
    image = rng.standard_normal(shape).astype(np.float32)
    patches = Patches(shape, 128)
    np.testing.assert_allclose(patches.join(patches.cut(image)), image, atol=1e-6)


def test_512_pixels_are_5_patches_96_apart_that_blend_by_squared_cosines():
    assert len(Patches((512, 512), 128)) == 25
    first, second = patch_window(512, 0, 5), patch_window(512, 1, 5)
    assert (first[:96] == 1).all() and (second[128:192] == 1).all()  # also at the border
    ramp = np.cos(np.pi / 2 * (np.arange(32) + 0.5) / 32) ** 2
    np.testing.assert_allclose(first[96:128], ramp, atol=1e-6)
    np.testing.assert_allclose(first[:192] + second[:192], 1, atol=1e-6)


@pytest.mark.parametrize("rows", [150, 128, 40])
def test_the_scan_comes_back_in_its_unit_from_a_network_that_returns_it(files, surface, rows):
    """What it returns has another gain and offset: one affine fit undoes them, for all patches."""
    scan = surface.crop(slice(rows), slice(None))
    restored = restore(scan, files["towards"]).mean.values
    assert np.abs(restored - scan.values).max() < 1e-4 * np.ptp(scan.values - scan.values.mean())


def test_tilt_offset_and_gain_of_the_scan_are_those_of_the_result(files, surface):
    rows, columns = surface.values.shape
    ramp = 0.4 * np.arange(rows)[:, None] / rows - 0.3 * np.arange(columns) / columns
    moved = surface.after("moved", 10 * (surface.values + ramp) + 5)
    plain, other = (restore(s, files["unet"]).mean.values for s in (surface, moved))
    assert np.abs(plain - surface.values).max() > 0.05 * np.ptp(surface.values)
    assert np.abs(other / 10 - 0.5 - ramp - plain).max() < 1e-3 * np.ptp(plain)


def test_the_noise_is_one_field_over_all_patches(files, surface):
    out = restore(surface, files["still"], seed=11)
    shape = surface.values.shape
    noise = np.random.default_rng(11).standard_normal(shape, np.float32)
    basis = np.stack([noise, *np.indices(shape), np.ones(shape)], axis=-1).reshape(-1, 4)
    left = np.linalg.lstsq(basis, out.mean.values.ravel(), rcond=None)[1]
    assert left < 1e-6 * np.var(out.mean.values) * noise.size


def test_it_repeats_by_the_seed_whatever_goes_together(files, surface, monkeypatch):
    first, again, other = (restore(surface, files["unet"], seed=s).mean.values for s in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    monkeypatch.setattr(published, "TOGETHER_PX", 1)
    one_by_one = restore(surface, files["unet"], seed=5).mean.values
    assert np.abs(one_by_one - first).max() < 1e-5 * np.ptp(first)


def test_what_was_not_measured_stays_so(files, surface):
    gap = surface.values.copy()
    gap[100:] = np.nan
    gap[30, 40:50] = np.nan
    part = restore(surface.after("interrupted", gap), files["towards"], draws=1)
    for image in (part.mean, part.spread, part.draws[0]):
        np.testing.assert_array_equal(np.isnan(image.values), np.isnan(gap))
    assert np.nanmax(np.abs(part.mean.values - gap)) < 1e-4 * np.ptp(surface.values)


def test_a_tip_crash_is_kept_and_sets_no_contrast(files, surface):
    crashed = surface.values.copy()
    crashed[80:83, 40:] += 20
    plain, other = (restore(s, files["unet"]) for s in (surface, surface.after("crash", crashed)))
    change = (other.mean.values - crashed) - (plain.mean.values - surface.values)
    assert np.median(np.abs(change[np.r_[0:70, 93:150]])) < 0.02 * np.ptp(surface.values)
    back = restore(surface.after("crash", crashed), files["towards"]).mean.values
    assert np.abs(back - crashed).max() < 1e-3


def test_other_pixel_sizes_are_resampled_for_the_network_only(files, surface):
    coarse = replace(surface, pixel_nm=tuple(2 * p for p in surface.pixel_nm))
    result = restore(coarse, files["towards"])
    assert result.mean.pixel_nm == coarse.pixel_nm
    assert result.provenance["model_pixel_nm"] == pytest.approx([0.22, 0.22], rel=0.01)
    assert np.abs(result.mean.values - coarse.values).max() < 1e-4 * np.ptp(coarse.values)


def test_the_fit_is_not_led_by_damage(rng):
    out = rng.uniform(-1, 1, (100, 100)).astype(np.float32)
    seen = 0.7 * out - 0.1 + 0.01 * rng.standard_normal(out.shape).astype(np.float32)
    seen[::3] += 0.4
    gain, offset, share = published.refit(out, seen, np.ones(out.shape, bool))
    assert (gain, offset) == pytest.approx((0.7, -0.1), abs=1e-3)
    assert share == pytest.approx(0.66, abs=0.02)


def test_an_image_that_has_nothing_to_do_with_the_scan_is_not_fitted_to_it(rng):
    seen = rng.standard_normal((50, 50)).astype(np.float32)
    for out in (-seen, np.zeros_like(seen)):
        assert published.refit(out, seen, np.ones(seen.shape, bool)) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("factor", [2, 4])
def test_lines_are_repeated_for_the_network_as_they_were_in_training(factor, surface):
    at = np.arange(line_phase(factor), 128, factor)
    scan = surface.crop(slice(128), slice(None))
    few = FewerLines(factor, line_phase(factor))(scan, np.random.default_rng(0))
    repeated = published.repeat_lines(scan.values[at], at, 128)
    np.testing.assert_array_equal(repeated, few.values)


@pytest.mark.parametrize("factor", [2, 4])
def test_upscaling_keeps_the_unit_the_measured_lines_and_what_is_missing(factor, files, surface):
    few = Scan(surface.values.copy(), (factor * 0.19, 0.19))
    few.values[-3:] = np.nan
    kept = upscale(few, factor, files[f"x{factor}"], draws=1)
    assert kept.mean.size_nm == pytest.approx(few.size_nm)
    phase = line_phase(factor)
    np.testing.assert_array_equal(kept.mean.values[phase::factor], few.values)
    assert (kept.spread.values[phase::factor][:-3] == 0).all()
    assert np.isnan(kept.mean.values[-3 * factor :]).all()
    free = upscale(few, factor, files[f"x{factor}"], keep_measured=False).mean.values
    free = free[: factor * -3].astype(np.float64)
    near = 1e-4 * np.ptp(surface.values)
    assert np.abs(free[phase::factor] - few.values[:-3]).max() < near
    # The line above a measured one repeats it, but for the tilt, which goes on between them.
    above = (
        free[phase + factor :: factor] - free[phase + factor - 1 :: factor][: len(few.values) - 4]
    )
    assert np.std(above) < near
    assert np.mean(above) == pytest.approx(
        np.diff(level.plane(few)[1][:2, 0])[0] / factor, rel=1e-4
    )


def test_the_spread_is_how_far_the_draws_lie_from_the_result(files, surface):
    alone = restore(surface, files["unet"])
    assert np.isnan(alone.spread.values).all()
    drawn = restore(surface, files["unet"], draws=3)
    np.testing.assert_array_equal(drawn.mean.values, alone.mean.values)
    apart = [draw.values.astype(np.float64) - drawn.mean.values for draw in drawn.draws]
    expected = np.sqrt(np.mean(np.square(apart), axis=0))
    np.testing.assert_allclose(drawn.spread.values, expected, atol=1e-6)
    assert drawn.spread.values.min() > 0


def test_a_result_says_how_it_was_made(files, surface):
    result = restore(surface, files["unet"], draws=1, seed=4, calls=6)
    model = models.load(files["unet"])
    told = result.provenance
    assert told["model_sha256"] == model.sha256
    assert (told["calls"], told["steps"], told["patches"]) == (6, 3, 6)
    assert told["method"] == {"kind": "FlowMatching", "solver": "midpoint"}
    assert (told["draws"], told["seed"]) == (1, 4)
    assert 0.5 < told["trusted"] <= 1
    assert result.mean.history[-1] == f"restored by unet ({model.sha256[:12]}), 6 call(s)"
    towards = restore(surface, files["towards"]).provenance
    assert (towards["calls"], towards["steps"]) == (4, 2)  # as the card says
    assert towards["gain"] == pytest.approx(2)


def test_progress_ends_at_1(files, surface, monkeypatch):
    monkeypatch.setattr(published, "TOGETHER_PX", 128 * 128)
    told: list[float] = []
    restore(surface, files["towards"], draws=1, progress=told.append)
    assert told == pytest.approx(np.arange(1, 49) / 48)


def test_a_task_that_is_not_the_models_is_refused_in_one_line(files, surface):
    for task, text in (
        (lambda: restore(surface, files["x4"]), "fine4 upscales by 4 and does not restore: use up"),
        (lambda: upscale(surface, 2, files["x4"]), "fine4 upscales by 4, not by 2"),
        (lambda: upscale(surface, 4, files["unet"]), "unet restores and does not upscale: use re"),
    ):
        with pytest.raises(ModelError, match=text) as caught:
            task()
        assert "\n" not in str(caught.value)


def test_calls_that_the_method_does_not_make_are_refused(files, surface):
    with pytest.raises(RecipeError, match=r"unet makes 2, 4, 6 \.\.\. calls, not 3"):
        restore(surface, files["unet"], calls=3)
    with pytest.raises(RecipeError, match="regression makes 1 calls, not 2"):
        restore(surface, files["regression"], calls=2)


def test_a_regression_draws_nothing(files, surface):
    result = restore(surface, files["regression"])
    assert result.provenance["calls"] == 1
    with pytest.raises(RecipeError, match="regression has one answer only"):
        restore(surface, files["regression"], draws=1)


def test_the_command_line_takes_such_a_model(run, file, files):
    status, out, _ = run("restore", file, "--model", files["unet"], "--calls", 2, "--json")
    assert status == 0
    assert '"calls": 2' in out


def test_a_spread_that_is_not_known_is_written_and_drawn_as_such(files, surface, tmp_path):
    result = restore(surface, files["unet"])
    for name in ("result.gwy", "result.nc"):
        path = scanmend.write(result, tmp_path / name)
        assert np.isnan(scanmend.read(path, "spread").values).all()
    labels = [axes.get_xlabel() for axes in scanmend.plot(surface, result).axes]
    assert "not known without draws (pm)" in labels
