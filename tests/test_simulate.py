"""Simulated scans on disk: the same bytes whoever made them, and files that others can read."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import scanmend
from scanmend.errors import RecipeError, WorkError, WriteError
from scanmend.stm import record
from scanmend.stm.experiment import Experiment, parse
from scanmend.stm.microscope import Microscope
from scanmend.stm.simulation import Simulation

SEED = 3
TABLE = {
    "material": "si001h",
    "scans_per_session": 2,
    "frame": {"rows": 16, "columns": 20, "width_nm": 6.0, "angle_deg": 15.0},
    "surface": {"angle_deg": {"uniform": [0, 360]}},
    "defects_per_nm2": {"dangling bond": 0.1},
    "noise": {"flicker": 0.01, "shot_bandwidth_Hz": 1000},
    "motion": {"drift_nm_per_min": {"uniform": [1, 8]}},
}
SUFFIXES = (".json", ".sxm", ".truth.nc")


def experiment(name: str = "silicon", **changes: object) -> Experiment:
    return parse(name, TABLE | changes)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(one: Simulation, other: Simulation) -> bool:
    images = ("trace_nm", "retrace_nm", "trace_nA", "retrace_nA", "topograph_nm")
    places = ([(d.x_nm, d.y_nm, *d.trace, *d.retrace) for d in s.defects] for s in (one, other))
    rest = ("experiment", "seed", "number", "pixel_nm", "parameters", "fault")
    return (
        all(np.array_equal(getattr(one, name), getattr(other, name)) for name in images)
        and np.array_equal(*map(np.array, places), equal_nan=True)
        and [d.kind for d in one.defects] == [d.kind for d in other.defects]
        and all(getattr(one, name) == getattr(other, name) for name in rest)
    )


@pytest.fixture
def small_shards(monkeypatch) -> None:
    """Two sessions in each."""
    monkeypatch.setattr(record, "SHARD", 5)


# Shards


def test_shards_hold_what_the_microscope_gives(tmp_path, small_shards):
    plan = experiment(motion={"drift_nm_per_min": 40.0})
    store = record.to_shards(plan, tmp_path, 7, SEED)
    assert (len(store), store.shard_size) == (7, 4)
    microscope = Microscope(plan)
    scans = [record.simulation(store, number) for number in range(7)]
    for number, scan in enumerate(scans):
        assert same(scan, microscope.scan(SEED, number))
    seen = [math.isnan(defect.trace[0]) for scan in scans for defect in scan.defects]
    assert any(seen) and not all(seen), "some defects drift out of the image, some do not"
    with pytest.raises(IndexError):
        record.simulation(store, 7)


@pytest.mark.parametrize(
    "way",
    [{"workers": 4}, {"workers": 2, "cluster": "local"}],
    ids=["processes", "dask"],
)
def test_the_bytes_of_shards_do_not_depend_on_who_works(way, tmp_path, small_shards):
    if "cluster" in way:
        pytest.importorskip("distributed")
    record.to_shards(experiment(), tmp_path / "one", 14, SEED)
    done: list[tuple[int, int]] = []
    record.to_shards(
        experiment(), tmp_path / "many", 14, SEED, **way, progress=lambda *now: done.append(now)
    )
    alone = contents(tmp_path / "one")
    assert len(alone) == 5
    assert contents(tmp_path / "many") == alone
    assert (done[0], done[-1]) == ((0, 4), (4, 4))


def test_frames_of_many_sizes_share_a_store(tmp_path):
    plan = experiment(frame={"rows": {"integer": [8, 12]}, "columns": 10, "width_nm": 4.0})
    store = record.to_shards(plan, tmp_path, 8, SEED)
    shapes = [record.simulation(store, number).trace_nm.shape for number in range(8)]
    assert shapes[0] == shapes[1]
    assert len(set(shapes)) > 1


@pytest.mark.parametrize(
    ("plan", "count", "seed", "text"),
    [
        (
            experiment(noise={"flicker": 0.02}),
            4,
            SEED,
            r"holds other samples \(noise.flicker: 0.01, now 0.02",
        ),
        (experiment("other"), 4, SEED, r'holds other samples \(name: "silicon", now "other"\)'),
        (experiment(), 4, SEED + 1, r"holds other samples \(seed: 3, now 4\)"),
        (experiment(), 5, SEED, r"holds other samples \(count: 4, now 5\)"),
    ],
)
def test_shards_of_another_experiment_are_left_alone(tmp_path, plan, count, seed, text):
    record.to_shards(experiment(), tmp_path, 4, SEED)
    before = contents(tmp_path)
    with pytest.raises(RecipeError, match=text):
        record.to_shards(plan, tmp_path, count, seed)
    assert contents(tmp_path) == before


def test_a_session_that_cannot_be_is_named(tmp_path, small_shards):
    plan = experiment(tunnelling={"setpoint_nA": 1e9})
    with pytest.raises(WorkError, match=r"^shard 0: .*1e\+09 nA"):
        record.to_shards(plan, tmp_path / "shards", 4, SEED)
    with pytest.raises(WorkError, match=r"^session 0: .*1e\+09 nA"):
        record.to_files(plan, tmp_path / "files", 4, SEED)
    assert not list((tmp_path / "files").iterdir())


SCRIPT = """
import json, sys
from scanmend.stm import record
from scanmend.stm.experiment import parse
if __name__ == "__main__":
    record.SHARD, table = 5, json.loads(sys.argv[3])
    getattr(record, sys.argv[1])(parse("silicon", table), sys.argv[2], int(sys.argv[4]), 3)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("kind", ["to_shards", "to_files"])
def test_a_run_that_was_killed_goes_on(kind, tmp_path, small_shards):
    folder, count = tmp_path / "there", {"to_shards": 120, "to_files": 40}[kind]
    arguments = [sys.executable, "-c", SCRIPT, kind, folder, json.dumps(TABLE), str(count)]
    process = subprocess.Popen(arguments)
    deadline = time.monotonic() + 60
    while not folder.is_dir() or len(list(folder.iterdir())) < 9:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.name[0] != "."}
    getattr(record, kind)(experiment(), folder, count, SEED)
    getattr(record, kind)(experiment(), tmp_path / "whole", count, SEED)
    assert contents(folder) == contents(tmp_path / "whole")
    assert len(before) < len(contents(folder)), "it was killed too late to show anything"
    kept = [path for path, when in before.items() if path.stat().st_mtime_ns == when]
    assert len(kept) >= len(before) - 3, "what was there was made again"


# Files


def test_files_are_the_same_whoever_works_and_read_back(tmp_path):
    files = record.to_files(experiment(), tmp_path / "one", 5, SEED)
    record.to_files(experiment(), tmp_path / "two", 5, SEED, workers=2)
    assert [file.name for file in files] == [f"silicon_{n:05d}.sxm" for n in range(5)]
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert len(contents(tmp_path / "one")) == 15


@pytest.mark.parametrize("begins", ["top left", "bottom right"])
@pytest.mark.parametrize("fast_axis", ["x", "y"])
def test_a_nanonis_file_is_the_simulation(tmp_path, begins, fast_axis):
    frame = TABLE["frame"] | {"begins": begins, "fast_axis": fast_axis}
    plan = experiment(frame=frame)
    (path,) = record.to_files(plan, tmp_path, 1, SEED)
    scan = Microscope(plan).scan(SEED, 0)
    for channel in ("Z", "Current"):
        for direction in ("forward", "backward"):
            read = scanmend.read(path, channel, direction)
            made = scan.scan(direction, channel)
            assert read.quantity is made.quantity
            np.testing.assert_allclose(read.values, made.values, rtol=2e-7, atol=0)
            assert read.pixel_nm == pytest.approx((0.3, 0.3))
            taken = read.acquisition
            assert (taken.bias_V, taken.setpoint_nA) == pytest.approx((-1.0, 0.05))
            assert taken.angle_deg == pytest.approx(15)
            assert taken.direction == direction
    truth = scanmend.read(path.with_suffix(".truth.nc"))
    np.testing.assert_array_equal(truth.values, scan.topograph_nm)
    assert truth.acquisition.instrument == "simulated by scanmend"


def test_others_read_what_they_would_of_a_measured_file(tmp_path):
    nanonispy = pytest.importorskip("nanonispy2").read
    frame = TABLE["frame"] | {"begins": "bottom left", "line_s": 0.3}
    (path,) = record.to_files(experiment(frame=frame), tmp_path, 1, SEED)
    scan = Microscope(experiment(frame=frame)).scan(SEED, 0)
    theirs = nanonispy.Scan(str(path))
    header = theirs.header
    assert header["scan_dir"] == "up"
    assert header["scan_pixels"].tolist() == [20, 16]
    assert header["scan_range"] == pytest.approx([6e-9, 4.8e-9])
    assert float(header["scan_angle"]) == pytest.approx(15)
    assert float(header["bias"]) == pytest.approx(-1.0)
    assert header["scan_time"] == pytest.approx([0.3, 0.3])
    assert "imulated by scanmend" in header["comment"]
    assert "not measured: silicon, seed 3, scan 0" in header["comment"]
    # It gives lines in the order in which they were scanned, and the way back mirrored.
    z, current = theirs.signals["Z"], theirs.signals["Current"]
    np.testing.assert_allclose(z["forward"][::-1], scan.trace_nm * 1e-9, rtol=1e-6)
    np.testing.assert_allclose(z["backward"][::-1, ::-1], scan.retrace_nm * 1e-9, rtol=1e-6)
    np.testing.assert_allclose(current["forward"][::-1], scan.trace_nA * 1e-9, rtol=1e-6)


def test_a_file_tells_its_truth(tmp_path):
    plan = experiment(motion={"drift_nm_per_min": 40.0})
    files = record.to_files(plan, tmp_path, 6, SEED)
    lost = 0
    for number, path in enumerate(files):
        scan = Microscope(plan).scan(SEED, number)
        about = json.loads(path.with_suffix(".json").read_text("utf-8"))
        assert about["parameters"] == scan.parameters
        assert about["fault"] == scan.fault
        assert (about["seed"], about["scan"], about["pixel_nm"]) == (SEED, number, scan.pixel_nm)
        recipe = about["recipe"]
        assert parse(recipe.pop("name"), recipe) == plan
        for told, defect in zip(about["defects"], scan.defects, strict=True):
            assert (told["kind"], told["x_nm"], told["y_nm"]) == (
                defect.kind,
                defect.x_nm,
                defect.y_nm,
            )
            missed = math.isnan(defect.trace[0])
            assert told["trace"] == (None if missed else list(defect.trace))
            lost += missed
    assert lost, "none has drifted out of the image"


def test_a_figure_has_rings_where_defects_appear(tmp_path):
    plan = experiment(defects_per_nm2={"dangling bond": 0.2, "missing dimer": 0.2})
    (path,) = record.to_files(plan, tmp_path, 1, SEED, png=True)
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    scan = Microscope(plan).scan(SEED, 0)
    figure = record.figure(scan)
    titled = {axes.get_title(): axes for axes in figure.axes}
    for title, places in (
        ("trace", [defect.trace for defect in scan.defects]),
        ("retrace", [defect.retrace for defect in scan.defects]),
    ):
        rings = np.concatenate([c.get_offsets() for c in titled[title].collections])
        wanted = [((c + 0.5) * 0.3, (r + 0.5) * 0.3) for r, c in places if not math.isnan(r)]
        shown = rings[np.isfinite(rings).all(axis=1)]
        assert len(wanted) > 1
        np.testing.assert_allclose(sorted(map(tuple, shown)), sorted(wanted), rtol=1e-12)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == sorted({defect.kind for defect in scan.defects})
    assert not any(len(rings.get_offsets()) for rings in titled["ideal"].collections)


def test_what_is_there_is_not_made_again(tmp_path):
    files = record.to_files(experiment(), tmp_path, 4, SEED)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    whole = contents(tmp_path)
    told: list[tuple[int, int]] = []
    record.to_files(experiment(), tmp_path, 4, SEED, progress=lambda *now: told.append(now))
    assert told == [(0, 0)]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before

    files[1].unlink()
    files[2].with_suffix(".truth.nc").unlink()
    record.to_files(experiment(), tmp_path, 4, SEED)
    assert contents(tmp_path) == whole
    for number in (0, 3):
        assert files[number].stat().st_mtime_ns == before[files[number]]
    assert len(record.to_files(experiment(), tmp_path, 5, SEED)) == 5
    assert contents(tmp_path).items() > whole.items()


@pytest.mark.parametrize(
    ("plan", "seed"),
    [(experiment(), SEED + 1), (experiment(noise={}), SEED)],
    ids=["seed", "experiment"],
)
def test_files_of_another_experiment_are_left_alone(tmp_path, plan, seed):
    record.to_files(experiment(), tmp_path, 2, SEED)
    before = contents(tmp_path)
    text = r"silicon_00000.json is of another experiment or seed: choose another folder, or remove"
    with pytest.raises(WriteError, match=text):
        record.to_files(plan, tmp_path, 4, seed)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("suffix", [".json", ".sxm", ".truth.nc", ".png"])
def test_a_file_of_nobody_knows_whom_is_left_alone(tmp_path, suffix):
    theirs = tmp_path / f"silicon_00003{suffix}"
    theirs.write_text("[3, 4]")
    with pytest.raises(WriteError, match=f"silicon_00003{suffix} is of another experiment or see"):
        record.to_files(experiment(), tmp_path, 4, SEED, png=True)
    assert contents(tmp_path) == {theirs.name: b"[3, 4]"}


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"file/sub cannot be made: Not a directory"):
        record.to_files(experiment(), tmp_path / "file/sub", 1)
    with pytest.raises(WriteError, match=r"file/sub cannot be made: Not a directory"):
        record.to_shards(experiment(), tmp_path / "file/sub", 1)


HASH = """
import hashlib
from scanmend.stm.experiment import load
from scanmend.stm.microscope import Microscope
made = Microscope(load("graphene")).session(0, 0)
print(hashlib.sha256(b"".join(one.trace_nm.tobytes() for one in made)).hexdigest())
"""


def test_threads_of_linear_algebra_change_nothing():
    told = set()
    for threads in "14":
        given = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        command = [sys.executable, "-c", HASH]
        told.add(subprocess.run(command, env=given, capture_output=True, check=True).stdout)
    assert len(told) == 1
