"""The command that finds defects: what it writes, and how it refuses."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from defect_models import finder

import scanmend
from scanmend.scan import Acquisition, Restoration, Scan

PLACES = [(x, y) for x in (-2.2, 0.1, 2.0) for y in (-2.0, 0.3, 2.1)]


def surface(rng, but: int | None = None, also: tuple[float, float] | None = None) -> Scan:
    """Bumps at PLACES, without one of them, and with another."""
    at = [p for i, p in enumerate(PLACES) if i != but] + ([also] if also else [])
    y, x = (np.mgrid[:64, :64] - 31.5) * 0.1
    values = sum(0.3 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * 0.2**2)) for a, b in at)
    values = values + 0.01 * rng.standard_normal(x.shape)
    taken = Acquisition("Z", "forward", source="scan.sxm")
    return Scan(values.astype(np.float32), (0.1, 0.1), acquisition=taken)


@pytest.fixture
def model(run) -> Path:
    """A model, in the folder where commands are run."""
    return finder(Path("tiny.onnx"), gain=0.75)


def read(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def test_defects_are_listed_counted_and_drawn(run, model, rng):
    scanmend.write(surface(rng), "scan.gsf")
    status, out, err = run("defects", "scan.gsf", "--model", model, "--material", "MoS2", "--png")
    assert (status, err) == (0, "")
    assert out.startswith(
        "scan.gsf: 9 defects on 40.96 nm², 0 of them at the edge\n  9 bright, 0.2"
    )
    assert out.split()[-2:] == ["scan_defects.csv", "scan_defects.png"]
    assert len(read("scan_defects.csv")) == 9
    assert Path("scan_defects.png").read_bytes().startswith(b"\x89PNG")
    status, _, err = run("defects", "scan.gsf", "--model", model)
    assert (status, "scan_defects.csv exists already" in err) == (1, True)
    assert run("defects", ".", "--model", model, "--overwrite")[1].count("9 defects") == 1
    for suffix in ("json", "nc"):
        status, out, err = run("defects", "scan.gsf", "--model", model, "--format", suffix)
        assert (status, out.split()[-1], err) == (0, f"scan_defects.{suffix}", "")


def test_an_audit_tells_what_came_and_went(run, model, rng):
    measured, restored = surface(rng), surface(rng, but=4, also=(0.9, 1.1))
    scanmend.write(measured, "scan.nc")
    whole = Restoration(measured, restored, replace(measured), provenance={"model": "x"})
    scanmend.write(whole, "scan_restored.nc")
    arguments = ("scan_restored.nc", "--model", model, "--overwrite")
    for other in ("scan.nc", "scan_restored.nc"):  # in which the measured scan is as well
        status, out, err = run("defects", *arguments, "--against", other, "--json", "--png")
        assert (status, err) == (0, "")
        (told,) = json.loads(out)
        features = {"kept": 8, "moved": 0, "changed": 0, "added": 1, "removed": 1}
        assert told["audit"]["features"] == features
    (new,) = (row for row in read("scan_restored_audit.csv") if row["fate"] == "added")
    assert (float(new["x_nm"]), float(new["y_nm"])) == pytest.approx((0.9, 1.1), abs=0.03)
    assert Path("scan_restored_audit.png").read_bytes().startswith(b"\x89PNG")
    Path("marks.csv").write_text(
        "class,x_nm,y_nm\n" + "".join(f"bright,{x},{y}\n" for x, y in PLACES)
    )
    status, out, err = run("defects", *arguments, "--truth", "marks.csv", "-o", "there")
    assert (status, err) == (0, "")
    assert "  8 kept, 0 moved, 0 changed, 1 hallucinated, 1 omitted\n" in out
    assert f"  hallucinated: {100 / 5.8**2:.2g} / 100 nm² (" in out


def test_what_cannot_be_done_is_one_line_and_writes_nothing(run, model, rng):
    scan = surface(rng)
    scanmend.write(scan, "scan.nc")
    scanmend.write(scan.crop(slice(0, 40), slice(None)), "part.nc")
    scanmend.write(scan.crop(slice(0, 10), slice(None)), "strip.nc")
    Path("far.csv").write_text("class,x_nm,y_nm\nbright,50,0\n")
    before = set(Path().iterdir())
    with_model = ("--model", model)
    for arguments, said in [
        (("scan.nc",), "scan.nc: which material does the scan show? Known are "),
        (("scan.nc", "--material", "NbSe2"), "scan.nc: no model was trained on 'NbSe2'"),
        (("scan.nc", *with_model, "--family", "NbSe2"), "trained on WSe2, MoS2, not on 'NbSe2'"),
        (("scan.nc", "--model", "surface"), "surface restores scans and finds no defects"),
        (("scan.nc", *with_model, "--size-nm", 500), "pixels of 7.81 nm are far outside"),
        (("strip.nc", *with_model), "looks 16 pixels far, and this scan has 64x10"),
        (("part.nc", *with_model, "--against", "scan.nc"), "the scans differ in size: 6.4 x 4 nm"),
        (("scan.nc", *with_model, "--truth", "far.csv"), "far.csv, line 2: the bright at (50, 0)"),
        (("scan.nc", *with_model, "--truth", "none.csv"), "none.csv cannot be read: no such file"),
        (("scan.nc", *with_model, "--against", "none.nc"), "none.nc"),
    ]:
        status, out, err = run("defects", *arguments)
        assert (status, out, err.count("\n")) == (1, "", 1), err
        assert said in err
        assert "bug" not in err
    assert set(Path().iterdir()) == before
    status, _, err = run("restore", "scan.nc", *with_model)
    assert (status, "defects-tiny finds defects and restores nothing" in err) == (1, True)
    status, _, err = run("defects", "scan.nc", "part.nc", *with_model, "--against", "scan.nc")
    assert (status, "an audit is that of one scan, got 2" in err) == (2, True)


def test_no_torch_is_loaded(run, model, rng):
    scanmend.write(surface(rng), "scan.nc")
    code = (
        "import sys; from scanmend.cli import main; "
        f"main(['defects', 'scan.nc', '--model', '{model}', '--png']); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
