"""A user's own scans, with marks, are learnt from; what does not fit is refused in a line."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

import scanmend  # noqa: E402
from scanmend import models  # noqa: E402
from scanmend.cli import main  # noqa: E402
from scanmend.defects.own import own  # noqa: E402
from scanmend.defects.samples import Scenes  # noqa: E402
from scanmend.errors import ReadError, RecipeError, ScanError  # noqa: E402
from scanmend.scan import Quantity, Scan  # noqa: E402
from scanmend.train.export import export  # noqa: E402
from scanmend.train.loop import train  # noqa: E402
from scanmend.train.marked import Marked  # noqa: E402
from scanmend.train.settings import Settings, of_model  # noqa: E402

EXPERIMENT = """
material = "cu111"
scans_per_session = 4

[frame]
rows = 40
columns = 40
width_nm = { uniform = [3.6, 4.4] }

[tunnelling]
bias_V = -0.1
coupling_eV = 5

[tip]
shape = "atom"

[defects_per_nm2]
adatom = 0.2
"""
CLASSES = ("adatom",)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Scenes:
    path = tmp_path_factory.mktemp("copper") / "adatoms.toml"
    path.write_text(EXPERIMENT)
    return Scenes((str(path),), CLASSES, sigma_nm=0.2, side=32, retrace=False)


@pytest.fixture(scope="module")
def settings(scenes) -> Settings:
    lesson = Marked(mix=scenes, widths=(16, 16), blocks=(1, 1), middle=1, validation=4)
    return Settings("defects-tiny", lesson, iterations=4, batch=4, warm_up=2, validate_every=4)


@pytest.fixture(scope="module")
def model(tmp_path_factory, settings) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return export(settings.lesson.network().eval(), settings, folder / "defects-tiny.onnx")


def put(folder: Path, name: str, places, *, pixel_nm: float = 0.1, side: int = 48) -> Path:
    """A scan with a pit, unlike anything simulated, at each place, and a table that says so."""
    y, x = np.indices((side, side)) * pixel_nm
    heights = 0.003 * np.random.default_rng(0).standard_normal((side, side)) + 0.02 * x
    middle = (side - 1) / 2 * pixel_nm
    for _, x0, y0 in places:
        heights -= 0.1 * np.exp(-((x - middle - x0) ** 2 + (y - middle - y0) ** 2) / 0.05)
    scan = Scan(heights.astype(np.float32), (pixel_nm, pixel_nm), Quantity.HEIGHT)
    scanmend.write(scan, folder / f"{name}.nc")
    with (folder / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("class", "x_nm", "y_nm"), *places])
    return folder / f"{name}.csv"


PITS = (("adatom", 0.5, -1.0), ("adatom", -1.2, 0.7))


@pytest.mark.parametrize("pixel_nm", [0.1, 0.05, 0.16])
def test_marks_lie_on_what_was_marked_at_any_pitch(tmp_path, scenes, pixel_nm):
    put(tmp_path, "one", PITS, pixel_nm=pixel_nm, side=round(6.4 / pixel_nm))
    ((seen, sha256),) = own(tmp_path, scenes, CLASSES)
    low, high = scenes.pixel_nm
    assert low * 0.9 <= seen.pixel_nm[0] <= high * 1.1 and len(sha256) == 64
    y, x = np.indices(seen.image.shape[1:])
    for row, column in seen.places_px:
        near = np.hypot(y - row, x - column) * seen.pixel_nm[0] < 0.6
        depth = np.where(near, -seen.image[0], 0) ** 4
        middle = (y * depth).sum() / depth.sum(), (x * depth).sum() / depth.sum()
        assert middle == pytest.approx((row, column), abs=0.2)
    assert seen.kinds == ("adatom", "adatom") and seen.image[1].all()


def test_tables_are_found_in_folders_with_the_scan_of_their_name(tmp_path, scenes):
    inner = tmp_path / "monday"
    inner.mkdir()
    put(inner, "one", PITS)
    put(tmp_path, "none", ())
    (inner / "one.csv").rename(inner / "one_defects.csv")
    Image.new("L", (8, 8)).save(inner / "one.png")
    (inner / "one.json").write_text("{}")
    counts = [len(seen.kinds) for seen, _ in own(tmp_path, scenes, CLASSES)]
    assert sorted(counts) == [0, 2]
    assert len(own(inner / "one_defects.csv", scenes, CLASSES)) == 1


@pytest.mark.parametrize(
    ("line", "how", "error", "text"),
    [
        ("adatom,9.0,0", {}, ScanError, r"one.csv, line 2: .* lies outside this scan"),
        ("blob,0,0", {}, RecipeError, r"one.csv, line 2: 'blob' .* adatom; .*--new-class 'blob'"),
        ("adatom,a,0", {}, ReadError, "class, x_nm and y_nm"),
        ("adatom,0,0", {"pixel_nm": 0.9}, RecipeError, r"0.9 nm, far outside the 0.09-0.11 nm"),
        ("adatom,0,0", {"pixel_nm": 0.05}, RecipeError, r"27 x 27 pixels .*; 32 x 32 are wanted"),
    ],
)
def test_what_cannot_be_learnt_is_refused(tmp_path, scenes, line, how, error, text):
    put(tmp_path, "one", (), **how).write_text(f"class,x_nm,y_nm\n{line}\n")
    with pytest.raises(error, match=text):
        own(tmp_path, scenes, CLASSES)


def test_a_table_needs_one_scan(tmp_path, scenes):
    with pytest.raises(ReadError, match="holds no marked scans: beside each scan"):
        own(tmp_path, scenes, CLASSES)
    with pytest.raises(ReadError, match="no folder or table"):
        own(tmp_path / "nowhere", scenes, CLASSES)
    put(tmp_path, "one", PITS)
    (tmp_path / "one.copy.csv").write_text("class,x_nm,y_nm\n")
    with pytest.raises(ReadError, match=r"beside one.copy.csv one scan .* but there is none"):
        own(tmp_path / "one.copy.csv", scenes, CLASSES)
    scan = scanmend.read(tmp_path / "one.nc")
    scanmend.write(scan, tmp_path / "one.gwy")
    with pytest.raises(ReadError, match=r"but one.gwy and one.nc"):
        own(tmp_path / "one.csv", scenes, CLASSES)
    scanmend.write(replace(scan, quantity=Quantity.CURRENT), tmp_path / "two.nc")
    (tmp_path / "two.csv").write_text("class,x_nm,y_nm\n")
    with pytest.raises(RecipeError, match="two.nc holds nA; heights are wanted"):
        own(tmp_path / "two.csv", scenes, CLASSES)


def test_own_scans_are_the_share_of_samples_that_is_asked_for(tmp_path, scenes):
    put(tmp_path, "one", PITS)
    lesson = Marked(mix=scenes, marked=str(tmp_path), own=0.5, validation=1)
    make = lesson.sampler(0)
    # A pit is below most of a scan, an adatom above.
    pits = [bool(abs(image[0].min()) > image[0].max()) for image, _ in map(make, range(60))]
    assert 15 < sum(pits) < 45
    assert make(7)[0].tobytes() == make(7)[0].tobytes()
    alone = replace(lesson, own=1.0).sampler(0)
    assert all(alone(number)[0].shape == (2, 32, 32) for number in range(4))


def test_a_model_learns_from_one_marked_scan(tmp_path, settings, model):
    """What no simulated scan shows, a class of its own."""
    put(tmp_path, "one", (("adatom", 0.5, -1.0), ("pit", -1.2, 0.7), ("pit", 1.0, 1.2)))
    changes = {"marked": str(tmp_path), "new": ("pit",), "iterations": 100, "batch": 8}
    plan = of_model(model, {**changes, "own": 1.0, "learning_rate": 3e-3, "warm_up": 5})
    plan = replace(plan, validate_every=100)
    net, progress = train(plan, tmp_path / "run", workers=0)
    assert progress.started_from["name"] == "defects-tiny"
    assert plan.lesson.card(net)["classes"] == ["adatom", "pit"]
    assert [m["defects"] for m in plan.lesson.data()["marked"]] == [3]
    tuned = export(net, plan, tmp_path / "tuned.onnx")
    assert of_model(tuned, {"new": ("hole",)}).lesson.classes == ("adatom", "pit", "hole")
    ((seen, _),) = plan.lesson._own
    with torch.no_grad():
        found = net(torch.from_numpy(seen.image[None]), torch.zeros(1))[0].numpy()
    target = seen.target(("adatom", "pit"), 0.2)
    assert np.corrcoef(found[1].ravel(), target[1].ravel())[0, 1] > 0.6


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"new": ("pit",)}, "nothing shows the new class 'pit': name marked scans"),
        ({"new": ("adatom",), "marked": "here"}, "no class is new twice, or known: adatom"),
        ({"own": 1.5}, "own is a share"),
    ],
)
def test_lessons_that_cannot_be_are_refused(settings, changes, text):
    with pytest.raises(RecipeError, match=text):
        replace(settings.lesson, **changes)


def test_the_command_goes_on_from_a_model(tmp_path, capsys, model):
    put(tmp_path, "one", PITS)
    command = ["train", "--task", "defects", "--from", str(model), "--marked", str(tmp_path)]
    command += ["--iterations", "2", "--batch", "2", "--workers", "0", "--threads", "1"]
    assert main([*command, "-o", str(tmp_path / "run"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    made = models.load(told["model"])
    assert made.card["trained_on"]["marked"][0]["defects"] == 2
    assert made.card["started_from"]["name"] == "defects-tiny" and "r2" in told

    assert main([*command, "--int8"]) == 1
    assert "finds defects, and not written in 8 bits" in capsys.readouterr().err
    (tmp_path / "one.csv").write_text("class,x_nm,y_nm\nblob,0,0\n")
    assert main([*command, "-o", str(tmp_path / "other")]) == 1
    assert "'blob' is none of the classes adatom" in capsys.readouterr().err
    assert not list((tmp_path / "other").glob("*.onnx"))
