"""Defects in the application: what it tells is what the library finds, and rings show it."""

from __future__ import annotations

import numpy as np
import pytest
from defect_models import finder
from web_server import finished, serving, shown

import scanmend
from scanmend.crystals import silicon
from scanmend.defects import audit, classical
from scanmend.defects.finder import found
from scanmend.scan import Scan
from scanmend.web.settings import Settings

METHOD = "template-matching"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    rng = np.random.default_rng(3)
    clean = silicon.surface(rng, (96, 128))
    noisy = clean.values + 0.01 * rng.standard_normal(clean.values.shape)
    scanmend.write(Scan(noisy.astype(np.float32), clean.pixel_nm), folder / "noisy.gwy")
    return folder


@pytest.fixture(scope="module")
def client(folder):
    model = finder(folder.parent / "mine.onnx", pixel_nm=[0.1, 0.3])
    with serving(Settings((folder,), models=(model,))) as client:
        yield client


@pytest.fixture(scope="module")
def file(client):
    return client.post("/api/files", json={"folder": "0", "path": "noisy.gwy"}).json()["id"]


@pytest.fixture(scope="module")
def job(client, file):
    id = client.post(f"/api/files/{file}/jobs", json={"model": "si001h"}).json()["id"]
    assert finished(client, id)["state"] == "done"
    return id


def test_finders_restore_nothing_and_restorers_find_nothing(client, file):
    about = client.get("/api/about").json()
    assert about["finders"][-4:] == ["mine", *classical.METHODS]
    assert "mine" not in [model["name"] for model in about["models"]]
    said = client.post(f"/api/files/{file}/jobs", json={"model": "mine"}).json()["error"]
    assert said.startswith("no model 'mine': ask for one of surface")
    answer = client.get(f"/api/files/{file}/defects", params={"finder": "surface"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("nothing called 'surface' finds defects: ask for one")


@pytest.mark.parametrize("name", ["mine", METHOD])
def test_the_defects_of_a_file_are_those_of_the_library(client, file, folder, name):
    told = client.get(f"/api/files/{file}/defects", params={"finder": name}).json()
    scan = scanmend.read(folder / "noisy.gwy")
    there = found(scan, source=folder.parent / "mine.onnx" if name == "mine" else name)
    assert told["classes"] == there.counts()
    places = [(mark["x_nm"], mark["y_nm"]) for mark in told["marks"]]
    assert np.allclose(places, there.defects.places_nm, atol=1e-3)
    assert {mark["fate"] for mark in told["marks"]} == {"found"}


def test_the_audit_of_a_job_is_that_of_the_library(client, job, folder):
    told = client.get(f"/api/jobs/{job}/defects", params={"finder": METHOD}).json()
    result = scanmend.restore(scanmend.read(folder / "noisy.gwy"), "si001h")
    there = audit.against(*(found(s, source=METHOD) for s in (result.mean, result.measured)))
    assert told["counts"] == there.summary()["features"]
    assert [mark["fate"] for mark in told["marks"]] == [f.fate for f in there.features]
    assert told["audit"]["added"] == there.summary()["added"]


@pytest.fixture
def page(browser, client):
    with shown(browser, str(client.base_url)) as page:
        yield page


def rings(page, canvas: str) -> int:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    return int(page.locator(canvas).get_attribute("data-rings"))


def test_rings_show_what_a_restoration_did(page, client, folder):
    page.evaluate("document.forms.task.elements.atOnce.checked = false")
    page.set_input_files("#file", folder / "noisy.gwy")
    page.wait_for_selector("#facts dd")
    assert rings(page, "#left") == 0
    page.select_option("#finder", METHOD)
    page.wait_for_selector("#found span:has-text('found')")
    (counts,) = page.locator("#found span").all_inner_texts()[:1]
    assert counts == f"{rings(page, '#left')} found"

    page.select_option("#model", "si001h")
    page.click("#go")
    page.wait_for_selector("#rightTitle:text-is('restored')")
    page.wait_for_selector("#found span:has-text('kept')")
    job = client.get("/api/jobs").json()["jobs"][0]["id"]
    told = client.get(f"/api/jobs/{job}/defects", params={"finder": METHOD}).json()
    fates = [mark["fate"] for mark in told["marks"]]
    assert rings(page, "#left") == sum(fate != "added" for fate in fates)
    assert rings(page, "#rightCanvas") == sum(fate != "removed" for fate in fates)
    page.keyboard.press("v")
    assert rings(page, "#left") == len(fates)
    page.keyboard.press("f")  # a Fourier transform has no defects
    assert rings(page, "#left") == 0
    page.keyboard.press("f")
    page.keyboard.press("d")
    page.wait_for_selector("#found.error")  # no column of atoms is as wide as these pixels
    page.keyboard.press("d")
    page.wait_for_selector("#found", state="hidden")
    assert rings(page, "#left") == 0


def test_a_finder_that_does_not_fit_says_so(page, folder, tmp_path):
    scan = scanmend.read(folder / "noisy.gwy")
    scanmend.write(Scan(scan.values, (5.0, 5.0)), tmp_path / "coarse.gwy")
    page.evaluate("document.forms.task.elements.atOnce.checked = false")
    page.set_input_files("#file", tmp_path / "coarse.gwy")
    page.wait_for_selector("#facts dd")
    page.select_option("#finder", "mine")
    page.wait_for_selector("#found.error")
    assert page.locator("#found").inner_text().startswith("pixels of 5 nm are far outside the 0.1")
