"""Scans in counts in the application: series, lattices, both axes; what is told and what is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra `web`")
pytest.importorskip("torch", reason="the extra 'train' is not installed")
tifffile = pytest.importorskip("tifffile")

from model_files import of_counts  # noqa: E402
from web_server import finished, serving, shown  # noqa: E402

import scanmend  # noqa: E402
from scanmend import models  # noqa: E402
from scanmend.scan import Scan  # noqa: E402
from scanmend.stem import calibration  # noqa: E402
from scanmend.stem.microscope import simulate  # noqa: E402
from scanmend.web.settings import Settings  # noqa: E402


@pytest.fixture(scope="module")
def truth() -> Scan:
    (made,) = simulate("mos2-haadf", count=1, seed=3)
    return made.truth()


def written(path: Path, values: np.ndarray, pitch: float | None) -> Path:
    """Counts as ImageJ writes them: a series, if there is another axis."""
    how = {"resolution": (1 / pitch, 1 / pitch), "metadata": {"unit": "nm"}} if pitch else {}
    tifffile.imwrite(path, values, imagej=True, **how)
    return path


@pytest.fixture(scope="module")
def folder(truth, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("counts")
    rng, pitch = np.random.default_rng(0), truth.pixel_nm[0]
    bright = 20 * truth.values / truth.values.mean()
    frames = np.stack([rng.poisson(k * bright[:64, :96]) for k in (1, 2, 3)])
    written(folder / "series.tif", frames.astype(np.uint16), pitch)
    whole = rng.poisson(5 * bright).astype(np.uint16)
    written(folder / "off.tif", whole, 1.08 * pitch)
    written(folder / "bare.tif", whole, None)
    written(folder / "saturated.tif", np.minimum(whole[:64, :64], 255).astype(np.uint8), pitch)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return of_counts(tmp_path_factory.mktemp("model") / "mine.onnx")


@pytest.fixture(scope="module")
def client(folder, model):
    with serving(Settings((folder,), models=(model,))) as client:
        yield client


def chosen(client, name: str) -> dict:
    return client.post("/api/files", json={"folder": "0", "path": name}).json()


def pixels(answer):
    assert answer.status_code == 200, answer.text
    about = json.loads(answer.headers["x-scan"])
    return np.frombuffer(answer.content, "<f4").reshape(about["rows"], about["columns"]), about


def job(client, file: dict, **wish) -> dict:
    answer = client.post(f"/api/files/{file['id']}/jobs", json=wish)
    assert answer.status_code == 202, answer.text
    return finished(client, answer.json()["id"])


def test_a_frame_of_a_series_is_chosen(client, folder):
    file = chosen(client, "series.tif")
    assert [c["frames"] for c in file["channels"]] == [3]
    answer = client.get(f"/api/files/{file['id']}/scan")
    assert answer.status_code == 422
    assert "is a stack of 3 frames of 64 x 96 pixels" in answer.json()["error"]
    second = scanmend.read(folder / "series.tif", frame=2)
    values, about = pixels(client.get(f"/api/files/{file['id']}/scan", params={"frame": 2}))
    np.testing.assert_array_equal(values, second.values)
    assert about["acquisition"]["frame"] == 2
    done = job(client, file, frame=2)
    restored, _ = pixels(client.get(f"/api/jobs/{done['id']}/scan"))
    np.testing.assert_array_equal(restored, scanmend.restore(second).mean.values)
    saved = client.get(f"/api/jobs/{done['id']}/file", params={"suffix": ".npy"})
    assert saved.headers["content-disposition"].endswith('="series_frame002_restored.npy"')


def test_the_pitch_is_that_of_the_lattice(client, folder, truth):
    for name in ("off.tif", "bare.tif"):
        file = chosen(client, name)
        values, about = pixels(
            client.get(f"/api/files/{file['id']}/scan", params={"lattice": "mos2"})
        )
        own = calibration.read(folder / name, "mos2")[0]
        assert about["pixel_nm"] == pytest.approx(own.pixel_nm)
        assert about["pixel_nm"] == pytest.approx(truth.pixel_nm, rel=0.02)
        assert about["history"][-1].startswith("calibrated by the lattice of MoS2")
        np.testing.assert_array_equal(values, own.values)
    answer = client.get(f"/api/files/{file['id']}/scan", params={"lattice": "kryptonite"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("no crystal is called 'kryptonite'; there are mos2")
    assert client.get("/api/about").json()["lattices"]["mos2"] == "MoS2"


def test_the_dose_is_told_where_it_is_known(client, folder):
    (made,) = simulate("mos2-haadf", count=1, seed=3)
    scanmend.write(made.scan(), folder / "dosed.nc")
    file = chosen(client, "dosed.nc")
    _, about = pixels(client.get(f"/api/files/{file['id']}/scan", params={"side": 32}))
    assert about["dose_per_A2"] == pytest.approx(made.scan().acquisition.dose_per_A2)
    file = chosen(client, "off.tif")
    assert pixels(client.get(f"/api/files/{file['id']}/scan"))[1]["dose_per_A2"] is None


def test_both_axes_become_finer_by_the_model_for_counts(client, folder):
    about = {m["name"]: m for m in client.get("/api/about").json()["models"]}
    assert about["mine"]["axes"] == ["rows", "columns"] and about["surface"]["axes"] == ["rows"]
    file = chosen(client, "saturated.tif")
    done = job(client, file, task="upscale", factor=2)
    assert done["provenance"]["model"] == "stem"  # nobody asked for it by name
    assert pixels(client.get(f"/api/jobs/{done['id']}/scan"))[0].shape == (128, 128)
    notes = done["verdict"]["notes"]
    assert "a tenth of the contrast" in notes[0]
    assert "each pixel has the counts of a measured one, 4 times its own share" in notes
    for suffix in (".png", ".html", ".nc"):
        answer = client.get(f"/api/jobs/{done['id']}/file", params={"suffix": suffix})
        assert answer.status_code == 200 and len(answer.content) > 1000


def test_what_cannot_be_is_one_line(folder, model):
    with serving(Settings((folder,), models=(model,), pixels=4 * 64 * 96)) as client:
        file = chosen(client, "series.tif")
        wish = {"frame": 1, "task": "upscale", "model": "mine"}
        job(client, file, **wish, factor=2)
        answer = client.post(f"/api/files/{file['id']}/jobs", json=wish | {"factor": 4})
        assert answer.json()["error"].startswith("the result would have 98304 pixels, and 24576")


@pytest.fixture
def page(browser, client):
    with shown(browser, str(client.base_url)) as page:
        yield page


def done(page, before: str = "") -> str:
    """Waits for the end of another job than `before`."""
    page.wait_for_selector(f"#task[data-state=done]:not([data-job='{before}'])")
    page.wait_for_selector("#rightTitle:text-is('restored')")
    return page.get_attribute("#task", "data-job")


def test_the_page_goes_through_a_series_on_both_axes(page, client, folder):
    page.set_input_files("#file", folder / "series.tif")
    first = done(page)
    assert page.locator("#model").input_value() == "stem"
    assert page.locator("#frameCount").inner_text() == "of 3"
    for link in page.locator("#save a").all():
        assert page.request.get(f"{client.base_url}/{link.get_attribute('href')}").ok
    for hidden in ("#levelRow", "#ghostsRow", "#mendRow", "#warnings", "#noModel"):
        assert page.locator(hidden).is_hidden()
    page.keyboard.press(".")
    second = done(page, first)
    assert page.locator("#frame").input_value() == "2"
    provenance = client.get(f"/api/jobs/{second}").json()["provenance"]
    frame = scanmend.read(folder / "series.tif", frame=2)
    assert provenance["noise_counts"] == pytest.approx(scanmend.counts.noise(frame), rel=1e-3)
    assert "upscale: 2 × 2 for one" in page.locator("#job option").all_inner_texts()
    page.select_option("#job", "2")
    page.click("#go")
    third = done(page, second)
    assert pixels(client.get(f"/api/jobs/{third}/scan"))[0].shape == (128, 192)


def test_the_page_has_the_pitch_by_the_lattice_and_says_why_not(page, folder):
    page.set_input_files("#file", folder / "bare.tif")
    page.wait_for_selector("#scale:not([hidden])")
    page.select_option("[name=lattice]", "mos2")
    page.click("#reread")
    before = done(page)
    assert "by the lattice of MoS2: 0.01" in page.locator("#facts").inner_text()
    page.set_input_files("#file", folder / "off.tif")
    page.keyboard.press("]")
    done(page, before)
    page.select_option("[name=lattice]", "graphene")
    page.click("#reread")
    page.wait_for_selector("#error:not([hidden])")
    line = page.locator("#error").inner_text()
    assert line.startswith("a lattice is seen that graphene would have at") and "\n" not in line


def test_the_page_warns_of_what_is_saturated(page, folder):
    page.set_input_files("#file", folder / "saturated.tif")
    done(page)
    assert "are at 255, the top of their range" in page.locator("#warnings").inner_text()


def test_the_page_says_that_no_model_is_for_counts(browser, folder, monkeypatch):
    monkeypatch.setattr(models, "names", lambda: ("surface",))
    with serving(Settings((folder,))) as client:
        page = browser.new_page()
        page.goto(str(client.base_url))
        page.wait_for_selector("html[data-ready]")
        page.set_input_files("#file", folder / "saturated.tif")
        page.wait_for_selector("#leftTitle:text-is('measured')")
        line = page.locator("#noModel").inner_text()
        assert line.startswith("No model here is for scans in counts: start scanmend serve --model")
        assert page.locator("#go").is_disabled()
        page.close()
