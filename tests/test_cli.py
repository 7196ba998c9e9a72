"""The command line, as a user meets it: what it prints, and what it writes where."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import scanmend
from scanmend.scan import Scan


def test_info_tells_what_a_file_holds(run, file):
    status, out, err = run("info", file)
    assert (status, err) == (0, "")
    assert "scan.nc: scanmend NetCDF" in out
    assert "64 × 48 pixels" in out
    assert "12.16 × 9.12 nm" in out
    assert "bias -2 V · setpoint 0.05 nA" in out


def test_info_as_json(run, file):
    status, out, _ = run("info", "--json", file)
    (told,) = json.loads(out)
    assert status == 0
    assert told["channels"][0]["size_nm"] == pytest.approx([9.12, 12.16])
    assert told["bias_V"] == -2.0


@pytest.mark.parametrize("suffix", ["nc", "gwy", "gsf", "tif", "npy", "sxm"])
def test_restore_writes_every_format(run, file, suffix):
    status, out, err = run("restore", file, "--format", suffix, "-o", "there")
    assert status == 0, err
    assert out == f"there/scan_restored.{suffix}\n"
    assert "scan.nc: 64 × 48 pixels in" in err
    assert Path(out.strip()).stat().st_size > 0


def test_restore_does_what_the_library_does(run, file, terrace):
    run("restore", file)
    expected = scanmend.restore(terrace)
    mean = scanmend.read("scan_restored.nc")
    np.testing.assert_array_equal(mean.values, expected.mean.values)
    assert np.isnan(mean.values[:2]).all() and np.isfinite(mean.values[2:]).all()
    assert mean.acquisition.bias_V == -2.0
    assert not np.array_equal(mean.values[2:], terrace.values[2:]), "nothing was done"


def test_upscale_keeps_the_measured_lines(run, file, terrace):
    # Lines four times as far apart as the model wants them.
    status, *_ = run("upscale", file, "--factor", 4, "--size-nm", "12.16,36.48")
    finer = scanmend.read("scan_x4.nc")
    assert status == 0
    assert finer.values.shape == (192, 64)
    np.testing.assert_array_equal(finer.values[1::4], terrace.values)


def test_a_chosen_channel_is_in_the_name_of_its_result(run, file):
    run("restore", file)
    status, out, _ = run("restore", file, "--channel", "scan", "--direction", "forward")
    assert (status, out) == (0, "scan_scan_forward_restored.nc\n")


def test_pixels_that_the_model_does_not_know_are_told(run, terrace):
    coarse = scanmend.write(Scan(terrace.values, (0.3, 0.3)), "coarse.nc")
    _, _, err = run("restore", coarse, "--model", "si001h")
    assert "64 × 48 pixels in" in err
    assert "its 0.3 nm/pixel shown as 0.22" in err


def test_calls_draws_and_seed_reach_the_model(run, file):
    _, out, _ = run("restore", file, "--calls", 3, "--draws", 2, "--seed", 7, "--json")
    (told,) = json.loads(out)
    assert (told["calls"], told["draws"], told["seed"]) == (3, 2, 7)
    assert told["model"] == "surface" and len(told["model_sha256"]) == 64
    assert told["output"] == "scan_restored.nc" and told["unit"] == "nm"


def test_degrade_depends_on_the_seed_only(run, file):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert run("degrade", file, "--seed", seed, "-o", name)[0] == 0
    one, again, other = (
        scanmend.read(f"{name}/scan_degraded.nc").values for name in ("one", "again", "other")
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other, equal_nan=True)


def test_degrade_takes_a_recipe_of_the_users(run, file, terrace):
    Path("mine.toml").write_text('[[step]]\nkind = "FewerLines"\nkeep_every = 2\nphase = 0\n')
    run("degrade", file, "--recipe", "mine.toml")
    values = scanmend.read("scan_degraded.nc").values
    np.testing.assert_array_equal(values[4::2], terrace.values[4::2])
    np.testing.assert_array_equal(values[5:-1:2], terrace.values[6::2])


@pytest.mark.parametrize("verb", ["restore", "upscale --size-nm 12,18", "degrade"])
def test_png_writes_a_figure(run, file, verb):
    _, out, _ = run(*verb.split(), file, "--png")
    assert Path(out.splitlines()[1]).read_bytes().startswith(b"\x89PNG")


def test_the_demo_restores_and_shows_it(run):
    status, out, _ = run("demo", "--json")
    told = json.loads(out)
    assert status == 0
    assert told["restored"]["ssim"] > told["measured"]["ssim"]
    assert told["restored"]["psnr_dB"] > told["measured"]["psnr_dB"]
    assert Path(told["figure"]).read_bytes().startswith(b"\x89PNG")
    assert scanmend.read(told["output"]).values.shape == (256, 256)
    assert run("demo")[0] == 1, "an earlier demo was replaced without being asked"
    assert run("demo", "--overwrite")[0] == 0


def test_models_are_listed_described_and_verified(run):
    status, out, _ = run("models", "list")
    assert status == 0 and "defects-tmd " in out and "defects: WSe2, MoS2" in out
    listed = json.loads(run("models", "list", "--json")[1])
    assert [one["name"] for one in listed] == list(scanmend.models.names())
    assert json.loads(run("models", "card", "si001h")[1])["factors"] == [1, 2, 4]
    verified = [line.split(",")[0] for line in run("models", "verify")[1].splitlines()]
    assert verified == [f"{name}: as shipped" for name in scanmend.models.names()]


def test_a_folder_and_a_pattern_stand_for_their_scans(run, terrace):
    Path("day").mkdir()
    for name in ("a", "b"):
        scanmend.write(terrace, f"day/{name}.nc")
    Path("day/notes.txt").write_text("tip changed at noon")
    status, out, err = run("restore", "day", "-o", "day")
    assert (status, out) == (0, "day/a_restored.nc\nday/b_restored.nc\n")
    assert "day/notes.txt: no scan, left out" in err
    status, out, _ = run("info", "day", "--json")
    assert [Path(told["input"]).name for told in json.loads(out)] == ["a.nc", "b.nc"]
    status, out, _ = run("info", "day/*_restored.nc", "--json")
    assert (status, len(json.loads(out))) == (0, 2)


def test_size_and_unit_may_be_given(run, terrace):
    np.save("bare.npy", 1e3 * np.nan_to_num(terrace.values))
    run("restore", "bare.npy", "--size-nm", 12, "--unit", "pm")
    square = scanmend.read("bare_restored.nc")
    assert square.size_nm == pytest.approx((9.0, 12.0))
    assert np.ptp(square.values) < 2
    run("restore", "bare.npy", "--size-nm", "12,8", "--unit", "pm", "--overwrite")
    assert scanmend.read("bare_restored.nc").size_nm == pytest.approx((8.0, 12.0))


def test_a_folder_of_matrix_scans_is_read_whole(run, real):
    status, out, err = run("info", real / "stm/matrix")
    assert (status, err) == (0, "")
    assert "Omicron MATRIX" in out and "500 × 500 pixels  20 × 20 nm" in out


SILICON = """
material = "si001h"
scans_per_session = 2
frame = { rows = 8, columns = 8, width_nm = 3.0 }
defects_per_nm2 = {}
"""


def test_simulate_writes_scans_and_their_truth(run):
    Path("mine.toml").write_text(SILICON)
    status, out, err = run("simulate", "mine.toml", "-n", 3, "-o", "there", "--png", "--seed", 7)
    assert (status, err) == (0, "")
    assert out.split() == [f"there/mine_0000{number}.sxm" for number in range(3)]
    endings = {".sxm", ".json", ".truth.nc", ".png"}
    made = {path.name for path in Path("there").iterdir()}
    assert made == {f"mine_0000{number}{ending}" for number in range(3) for ending in endings}
    about = json.loads(Path("there/mine_00002.json").read_text())
    assert (about["seed"], about["scan"], about["fault"]) == (7, 2, None)
    assert scanmend.read("there/mine_00002.sxm", "Current").values.shape == (8, 8)


def test_simulate_tells_what_it_did_as_json(run):
    Path("mine.toml").write_text(SILICON)
    status, out, err = run("simulate", "mine.toml", "-n", 2, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == {"outputs": ["mine_00000.sxm", "mine_00001.sxm"], "faults": {}}


def test_simulate_makes_shards(run):
    Path("mine.toml").write_text(SILICON)
    arguments = ("simulate", "mine.toml", "-n", 3, "--format", "shards", "-o", "there")
    assert run(*arguments) == (0, "there\n", "")
    times = {path: path.stat().st_mtime_ns for path in Path("there").iterdir()}
    assert {path.name for path in times} == {"manifest.json", "shard-00000.safetensors"}
    assert run(*arguments) == (0, "there\n", "")
    assert {path: path.stat().st_mtime_ns for path in Path("there").iterdir()} == times


def test_a_simulated_scan_is_a_scan_like_any_other(run):
    Path("mine.toml").write_text(
        SILICON.replace("rows = 8, columns = 8", "rows = 16, columns = 16")
    )
    run("simulate", "mine.toml")
    status, out, err = run("restore", "mine_00000.sxm")
    assert (status, out) == (0, "mine_00000_restored.nc\n"), err
    _, out, _ = run("info", "mine_00000.sxm")
    assert "Nanonis SXM" in out and "simulated by scanmend" in out
