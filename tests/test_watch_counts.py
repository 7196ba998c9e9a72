"""Scans in counts in a watched folder: by their own model, and series frame by frame."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")
tifffile = pytest.importorskip("tifffile")

from model_files import of_counts  # noqa: E402
from test_watch import QUICK, kinds, once, scan_of  # noqa: E402

import scanmend  # noqa: E402
from scanmend import models  # noqa: E402
from scanmend.watch.events import Ignored, Restored, Seen  # noqa: E402
from scanmend.watch.journal import Journal  # noqa: E402
from scanmend.watch.settings import Settings  # noqa: E402
from scanmend.watch.watcher import Watcher  # noqa: E402


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> Path:
    """A folder of models that come along, with one for counts."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "surface.onnx").symlink_to(models._FOLDER / "surface.onnx")
    return of_counts(folder / "stem.onnx").parent


@pytest.fixture
def places(tmp_path, shipped, monkeypatch) -> tuple[Path, Path]:
    """The microscope's folder, with a series of three frames in it, and that of the results."""
    monkeypatch.setattr(models, "_FOLDER", shipped)
    (tmp_path / "scans").mkdir()
    series(tmp_path / "scans/series.tif", 3)
    return tmp_path / "scans", tmp_path / "results"


def series(path: Path, count: int) -> None:
    """Frames of few electrons; the first ones are the same however many there are."""
    y, x = np.indices((32, 40)) * 0.02
    bright = 4 + 3 * np.cos(20 * x) * np.cos(20 * y)
    frames = [np.random.default_rng(n).poisson(bright) for n in range(count)]
    how = {"resolution": (50, 50), "metadata": {"unit": "nm"}}
    tifffile.imwrite(path, np.stack(frames).astype(np.uint16), imagej=True, **how)


def test_every_frame_is_restored_once_by_the_model_for_counts(places, shipped):
    scanmend.write(scan_of(1), places[0] / "heights.sxm")
    events = once(places)
    frames = [e for e in events if isinstance(e, Restored) and e.frame]
    assert [(e.frame, e.frames, e.output) for e in frames] == [
        (n, 3, f"series_frame00{n}_restored.nc") for n in (1, 2, 3)
    ]
    assert "series.tif, frame 2 of 3: restored in" in frames[1].line()
    for event in frames:
        got = scanmend.read(places[1] / event.output)
        own = scanmend.restore(scanmend.read(places[0] / "series.tif", frame=event.frame))
        np.testing.assert_array_equal(got.values, own.mean.values)
    by = {entry.output: entry.model_sha256 for entry in Journal(places[1]).entries}
    hashes = {name: models.load(name).sha256 for name in ("surface", "stem")}
    assert by["heights_restored.nc"] == hashes["surface"]
    assert by["series_frame003_restored.nc"] == hashes["stem"]
    assert once(places) == []
    shutil.copy(places[0] / "series.tif", places[0] / "copy.tif")
    assert kinds(once(places)) == {Seen: 1, Ignored: 1}


def test_a_series_goes_on_where_it_was_stopped(places):
    for event in Watcher(Settings(*places, **QUICK)).events(once=True):
        if isinstance(event, Restored) and event.frame == 2:
            break
    assert [e.frame for e in once(places) if isinstance(e, Restored)] == [3]


def test_a_series_that_grows_keeps_its_names(places):
    once(places)
    series(places[0] / "series.tif", 4)
    assert [e.output for e in once(places) if isinstance(e, Restored)] == [
        f"series_frame00{n}_restored.nc" for n in (1, 2, 3, 4)
    ]


def test_other_scans_come_between_the_frames_of_a_series(places):
    scanmend.write(scan_of(2), places[0] / "heights.sxm")
    names = [event.name for event in once(places) if isinstance(event, Restored)]
    assert names.index("heights.sxm") < 2
