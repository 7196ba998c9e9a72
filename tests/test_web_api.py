"""The HTTP interface gives what the library gives, to the bit, and says in one line why not."""

from __future__ import annotations

import io
import json
import runpy
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from web_server import finished, serving

import scanmend
from scanmend.scan import Scan
from scanmend.web.settings import Settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder to choose from, with one scan in a folder of its own."""
    folder = tmp_path_factory.mktemp("scans")
    (folder / "monday").mkdir()
    y, x = np.mgrid[:72, :96] * 0.19
    values = 0.02 * (np.cos(2 * np.pi * x / 0.77) + np.cos(2 * np.pi * y / 0.77)) + 0.003 * x
    values[:2] = np.nan
    scanmend.write(Scan(values.astype(np.float32), (0.19, 0.19)), folder / "monday/tip 1.gwy")
    return folder


@pytest.fixture(scope="module")
def client(folder):
    with serving(Settings((folder,), waiting=2)) as client:
        yield client


@pytest.fixture
def path(folder):
    return folder / "monday/tip 1.gwy"


@pytest.fixture
def sent(client, path):
    """The file, sent."""
    answer = client.post("/api/files", files={"file": (path.name, path.read_bytes())})
    assert answer.status_code == 201
    return answer.json()


def pixels(answer):
    assert answer.status_code == 200, answer.text
    about = json.loads(answer.headers["x-scan"])
    return np.frombuffer(answer.content, "<f4").reshape(about["rows"], about["columns"]), about


def test_about_tells_models_formats_and_folders(client):
    about = client.get("/api/about").json()
    assert about["version"] == scanmend.__version__
    first = about["models"][0]
    assert first["name"] == scanmend.models.DEFAULT
    assert first["factors"] == [1, 2, 4] and first["pixel_nm"] == [0.02, 0.4]
    assert [f["id"] for f in about["folders"]] == ["0"]
    assert ".html" in about["suffixes"] and "Nanonis SXM" in about["formats"]


def test_a_sent_file_tells_its_channels(sent, path):
    known = scanmend.open(path)
    assert (sent["name"], sent["format"]) == (path.name, known.format)
    channel = sent["channels"][0]
    assert (channel["rows"], channel["columns"]) == (72, 96)
    assert channel["quantity"] == "HEIGHT"
    assert channel["size_nm"] == pytest.approx(known.channels[0].size_nm)


def test_a_chosen_file_is_the_same_as_a_sent_one(client, sent):
    entries = client.get("/api/folders/0").json()["entries"]
    assert [(e["name"], e["kind"]) for e in entries] == [("monday", "folder")]
    entries = client.get("/api/folders/0", params={"path": "monday"}).json()["entries"]
    assert [e["path"] for e in entries] == ["monday/tip 1.gwy"]
    chosen = client.post("/api/files", json={"folder": "0", "path": entries[0]["path"]}).json()
    assert chosen["channels"] == sent["channels"]


def test_pixels_are_those_of_the_library(client, sent, path):
    values, about = pixels(client.get(f"/api/files/{sent['id']}/scan"))
    scan = scanmend.read(path)
    np.testing.assert_array_equal(values, scan.values)
    assert about["pixel_nm"] == pytest.approx(scan.pixel_nm)
    assert about["unit"] == "nm" and about["history"] == list(scan.history)


def test_a_thumbnail_covers_the_same_field(client, sent, path):
    values, about = pixels(client.get(f"/api/files/{sent['id']}/scan", params={"side": 24}))
    assert values.shape == (18, 24)
    size = np.multiply(about["pixel_nm"], values.shape)
    np.testing.assert_allclose(size, scanmend.read(path).size_nm)
    assert np.isfinite(values[1:]).all()


def test_what_is_measured_nowhere_has_a_thumbnail_too(client):
    packed = io.BytesIO()
    np.save(packed, np.full((64, 64), np.nan, np.float32))
    file = client.post("/api/files", files={"file": ("n.npy", packed.getvalue())}).json()
    how = {"size_nm": "10,10", "unit": "nm", "side": 8}
    values, _ = pixels(client.get(f"/api/files/{file['id']}/scan", params=how))
    assert values.shape == (8, 8) and np.isnan(values).all()


def test_a_job_gives_what_restore_gives(client, sent, path):
    id = client.post(f"/api/files/{sent['id']}/jobs", json={"draws": 2, "seed": 3}).json()["id"]
    job = finished(client, id)
    assert (job["state"], job["progress"], job["error"]) == ("done", 1.0, None)
    assert job["scans"] == ["measured", "restored", "spread", "draw 1", "draw 2"]
    own = scanmend.restore(scanmend.read(path), draws=2, seed=3)
    scans = own.measured, own.mean, own.spread, *own.draws
    for name, scan in zip(job["scans"], scans, strict=True):
        values, about = pixels(client.get(f"/api/jobs/{id}/scan", params={"name": name}))
        np.testing.assert_array_equal(values, scan.values)
        assert about["pixel_nm"] == pytest.approx(scan.pixel_nm)
    assert job["provenance"] == json.loads(json.dumps(own.provenance))


def test_upscaling_puts_two_lines_for_one(client, sent):
    wish = {"task": "upscale", "factor": 2, "size_nm": "18.24,27.36"}
    id = client.post(f"/api/files/{sent['id']}/jobs", json=wish).json()["id"]
    assert finished(client, id)["verdict"]["task"] == "upscale"
    values, about = pixels(client.get(f"/api/jobs/{id}/scan"))
    assert values.shape == (144, 96)
    assert about["pixel_nm"] == pytest.approx([0.19, 0.19])
    saved = client.get(f"/api/jobs/{id}/file", params={"suffix": ".npy"})
    assert "tip%201_x2.npy" in saved.headers["content-disposition"]


def test_events_end_with_the_job(client, sent):
    id = client.post(f"/api/files/{sent['id']}/jobs", json={}).json()["id"]
    with client.stream("GET", f"/api/jobs/{id}/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        told = [json.loads(line[6:]) for line in events.iter_lines() if line.startswith("data: ")]
    assert told[-1]["state"] == "done" and told[-1]["verdict"]["model"] == "surface"
    assert [t["progress"] for t in told] == sorted(t["progress"] for t in told)
    assert client.get("/api/jobs").json()["jobs"][0]["id"] == id


@pytest.fixture(scope="module")
def done(client, folder):
    sent = "../<tip>.gwy", (folder / "monday/tip 1.gwy").read_bytes()
    file = client.post("/api/files", files={"file": sent}).json()["id"]
    id = client.post(f"/api/files/{file}/jobs", json={"direction": None}).json()["id"]
    return finished(client, id)


@pytest.mark.parametrize("suffix", [".nc", ".gwy", ".gsf", ".tif", ".npy", ".sxm"])
def test_a_saved_result_is_what_the_library_would_write(client, done, suffix, tmp_path):
    answer = client.get(f"/api/jobs/{done['id']}/file", params={"suffix": suffix})
    assert answer.headers["content-disposition"].endswith(f"''%3Ctip%3E_restored{suffix}")
    saved = tmp_path / f"saved{suffix}"
    saved.write_bytes(answer.content)
    values, _ = pixels(client.get(f"/api/jobs/{done['id']}/scan"))
    given = {"size_nm": (72 * 0.19, 96 * 0.19), "unit": "nm"} if suffix == ".npy" else {}
    np.testing.assert_allclose(scanmend.read(saved, **given).values, values, atol=1e-6)


def test_a_figure_and_a_page_that_stands_alone(client, done):
    png = client.get(f"/api/jobs/{done['id']}/file", params={"suffix": ".png"})
    assert png.content.startswith(b"\x89PNG")
    page = client.get(f"/api/jobs/{done['id']}/file", params={"suffix": ".html"}).text
    assert 'src="data:image/png;base64,' in page and done["provenance"]["model_sha256"] in page
    assert "&lt;tip&gt;" in page and "<tip>" not in page
    assert "http" not in page.replace("http-equiv", "")
    for note in done["verdict"]["notes"]:
        assert note in page


def test_programs_send_an_array_and_get_arrays(client):
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.03, (40, 56)).astype(np.float32)
    packed = io.BytesIO()
    np.save(packed, values)
    how = {"size_nm": "10.64,7.6", "unit": "nm", "draws": 1}
    answer = client.post("/api/restore", params=how, files={"file": ("a.npy", packed.getvalue())})
    assert answer.status_code == 200, answer.text
    with np.load(io.BytesIO(answer.content)) as arrays:
        np.testing.assert_array_equal(arrays["measured"], values)
        np.testing.assert_allclose(arrays["pixel_nm"], 0.19)
        about = json.loads(str(arrays["about"]))
        own = scanmend.restore(Scan(values, tuple(arrays["pixel_nm"].tolist())), draws=1)
        np.testing.assert_allclose(arrays["restored"], own.mean.values, atol=1e-6)
        assert arrays["draws"].shape == (1, 40, 56)
    assert about["unit"] == "nm" and about["provenance"]["source"] == "a.npy"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"model": "/etc/passwd"}, "no model '/etc/passwd': ask for one of surface, si001h"),
        ({"channel": "Current"}, "tip 1.gwy has no channel 'Current'"),
        ({"calls": 0}, "calls: Input should be greater than or equal to 1"),
        ({"what": 1}, "what: Extra inputs are not permitted"),
        ({"size_nm": "0.0,1"}, "size_nm: String should match pattern"),
        ({"unit": "furlong"}, "tip 1.gwy says that"),
    ],
)
def test_what_cannot_be_is_one_line(client, sent, body, text):
    answer = client.post(f"/api/files/{sent['id']}/jobs", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(text)


def test_what_is_not_there_is_one_line(client, sent):
    for where in ("files/x/scan", "jobs/x", "jobs/x/events", "jobs/x/scan", "folders/7"):
        answer = client.get(f"/api/{where}")
        assert answer.status_code == 404 and "\n" not in answer.json()["error"]
    error = client.get("/api/jobs/x").json()["error"]
    assert error == "there is no job 'x' here, or not any more: start it again"


def test_a_scan_that_no_model_fits_fails_and_says_so(client):
    packed = io.BytesIO()
    np.save(packed, np.eye(32, dtype=np.float32))
    file = client.post("/api/files", files={"file": ("a.npy", packed.getvalue())}).json()
    how = {"size_nm": "3200,3200", "unit": "nm"}
    id = client.post(f"/api/files/{file['id']}/jobs", json=how).json()["id"]
    job = finished(client, id)
    assert job["state"] == "failed" and job["error"].startswith("pixels of 100 nm are far outside")
    answer = client.get(f"/api/jobs/{id}/scan")
    assert answer.status_code == 409 and answer.json()["error"].endswith("and has no result")


def test_work_is_stopped_and_the_queue_is_bounded(client, sent):
    long = {"calls": 400, "draws": 8}
    ids = [client.post(f"/api/files/{sent['id']}/jobs", json=long).json()["id"] for _ in range(2)]
    while client.get(f"/api/jobs/{ids[0]}").json()["state"] == "waiting":
        threading.Event().wait(0.01)
    ids.append(client.post(f"/api/files/{sent['id']}/jobs", json=long).json()["id"])
    full = client.post(f"/api/files/{sent['id']}/jobs", json=long)
    assert full.status_code == 429
    assert full.json()["error"].startswith("2 jobs wait already, no more may")
    for id in reversed(ids):
        client.delete(f"/api/jobs/{id}")
    assert [finished(client, id)["state"] for id in ids] == ["stopped"] * 3


def test_older_results_give_way(folder):
    pixels = 4 * 72 * 96 * 3
    with serving(Settings((folder,), memory_bytes=2 * pixels)) as client:
        body = {"folder": "0", "path": "monday/tip 1.gwy"}
        file = client.post("/api/files", json=body).json()["id"]
        ids = [client.post(f"/api/files/{file}/jobs", json={}).json()["id"] for _ in range(3)]
        states = [finished(client, id)["state"] for id in ids]
        assert states == ["done"] * 3
        answers = [client.get(f"/api/jobs/{id}/scan") for id in ids]
        assert [answer.status_code for answer in answers] == [404, 200, 200]
        error = answers[0].json()["error"]
        assert error == "the result of tip 1.gwy gave way to newer ones: run it again"
        many = client.post(f"/api/files/{file}/jobs", json={"draws": 9})
        assert many.status_code == 422 and "more than can be kept" in many.json()["error"]


def test_a_file_that_changed_is_read_anew(client, folder, path):
    copy = folder / "changing.gwy"
    scanmend.write(scanmend.read(path), copy)
    file = client.post("/api/files", json={"folder": "0", "path": copy.name}).json()["id"]
    before, _ = pixels(client.get(f"/api/files/{file}/scan"))
    scan = scanmend.read(path)
    scanmend.write(replace(scan, values=2 * scan.values), copy, overwrite=True)
    after, _ = pixels(client.get(f"/api/files/{file}/scan"))
    np.testing.assert_array_equal(after, 2 * before)
    copy.unlink()
    assert client.get(f"/api/files/{file}/scan").status_code == 404


def test_the_example_of_a_client_runs(client, path, monkeypatch, capsys):
    example = Path(__file__).parents[1] / "examples/client.py"
    url = str(client.base_url).rstrip("/")
    monkeypatch.setattr(sys, "argv", [str(example), str(path), url])
    runpy.run_path(str(example), run_name="__main__")
    assert "(72, 96) pixels of [0.19 0.19] nm, in nm\n" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [str(example), str(example), url])
    with pytest.raises(SystemExit, match=r"^client\.py: the name of a scan ends in one of"):
        runpy.run_path(str(example), run_name="__main__")


def test_the_reference_lists_every_route(client):
    page = client.get("/api").text
    paths = client.get("/api/openapi.json").json()["paths"]
    assert len(paths) >= 9 and all(path in page for path in paths)
    assert page.count("<script") == page.count('src="/reference.js"') == 1
    assert "//" not in page.replace("</", "") and "WIDTH,HEIGHT in nm" in page
    assert "Whether upscaling removes damage as well." in page
