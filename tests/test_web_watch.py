"""The page of a watched folder, in a browser; and its HTTP interface."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import scanmend
from scanmend.crystals import silicon
from scanmend.scan import Scan

pytest.importorskip("fastapi")
from web_server import serving

from scanmend.web.settings import Settings

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


def surface(seed: int, damaged: bool = False, lines: int = 128) -> Scan:
    """128 x 128 pixels of Si(001):H, streaked if damaged, as far as `lines`."""
    scan = silicon.surface(np.random.default_rng(seed), (128, 128))
    values = scan.values.copy()
    if damaged:
        rng = np.random.default_rng(seed)
        for row in rng.permutation(128)[:50]:
            begin = int(rng.integers(0, 64))
            values[row, begin : begin + 50] += 0.15
    values[lines:] = np.nan
    return Scan(values, (0.19, 0.19))


@pytest.fixture
def served(tmp_path) -> Iterator:
    """A client of a server that watches a folder, and that folder."""
    folder = tmp_path / "session"
    folder.mkdir()
    with serving(Settings(watched=(folder,))) as client:
        yield client, folder


@pytest.fixture
def page(served) -> Iterator:
    """The page in a browser that may ask this server alone; it must log no error."""
    sync = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    client, _ = served
    own = str(client.base_url)
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        strangers: list[str] = []
        errors: list[str] = []
        page.on("console", lambda said: said.type == "error" and errors.append(said.text))
        page.on("pageerror", lambda error: errors.append(str(error)))

        def ask(route) -> None:
            if route.request.url.startswith(own):
                route.continue_()
            else:
                strangers.append(route.request.url)
                route.abort()

        page.route("**/*", ask)
        page.goto(f"{own}/watch.html")
        page.wait_for_selector("html[data-ready]")
        yield page
        browser.close()
        assert not strangers
        assert not errors


def state_of(page, name: str, state: str) -> None:
    """Waits until the page says so of a file."""
    page.wait_for_selector(f'#files button[title="{name}"].{state}', timeout=30_000)


def events_until(client, kind: str, after: int = -1) -> list[dict]:
    """What is told up to the first event of a kind."""
    found = []
    with client.stream("GET", f"/api/watched/0/events?after={after}") as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
                if found[-1]["event"] == kind:
                    return found
    raise AssertionError("the stream ended")


def test_events_files_and_pictures_over_http(served):
    client, folder = served
    assert client.get("/api/watched").json() == {"folders": [{"id": 0, "name": "session"}]}
    scanmend.write(surface(1), folder / "a.sxm")
    told = events_until(client, "restored")
    assert [event["event"] for event in told] == ["seen", "restored"]
    assert [event["number"] for event in told] == [1, 2]
    assert events_until(client, "restored", after=1)[0]["number"] == 2
    known = client.get("/api/watched/0").json()
    assert known["files"][0]["output"] == "a_restored.nc"
    assert known["tips"][0]["excess"].keys() >= {"disturbed", "jumps_pm"}
    assert known["advice"] is None
    answer = client.get("/api/watched/0/scan", params={"file": "a.sxm", "name": "restored"})
    values = np.frombuffer(answer.content, "<f4").reshape(128, 128)
    want = scanmend.restore(scanmend.read(folder / "a.sxm")).mean.values
    assert np.array_equal(values, want)


def test_only_files_of_the_list_are_told_of(served):
    client, folder = served
    (folder / "notes.txt").write_text("mine")
    told = events_until(client, "ignored")[-1]
    assert told["why"] == "it is no scan"
    for name in ("notes.txt", "../secret.sxm", "/etc/passwd", ""):
        answer = client.get("/api/watched/0/scan", params={"file": name})
        assert answer.status_code == 404
        assert answer.json() == {"error": f"there is no result of {name!r} yet"}
    answer = client.get("/api/watched/7")
    assert answer.json() == {"error": "folder 7 is not watched: ask for one of /api/watched"}


def test_a_scan_appears_and_grows_before_ones_eyes(page, served):
    _, folder = served
    assert page.inner_text("#counts") == "no file yet"
    scanmend.write(surface(2, lines=60), folder / "live.sxm")
    state_of(page, "live.sxm", "growing")
    assert "line 60 of 128" in page.inner_text("#files")
    page.wait_for_selector("#left[data-scale-bar]")
    scanmend.write(surface(2), folder / "live.sxm", overwrite=True)
    state_of(page, "live.sxm", "restored")
    assert "picture after" in page.inner_text("#files")
    page.wait_for_selector("#tip:not([hidden])")
    assert page.inner_text("#advice") == "no reason to re-condition"


def test_a_worn_tip_is_told_and_older_files_are_looked_at_by_keyboard(page, served):
    _, folder = served
    for number in range(4):
        scanmend.write(surface(3 + number, damaged=number > 0), folder / f"scan{number}.sxm")
        state_of(page, f"scan{number}.sxm", "restored")
    (folder / "broken.txt").write_text("no scan")
    state_of(page, "broken.txt", "ignored")
    page.wait_for_selector("#advice.bad")
    assert page.inner_text("#advice") == "re-condition the tip: streaks in 3 of the last 4 scans"
    assert page.inner_text("#name") == "scan3.sxm"
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.wait_for_selector('#name:text-is("scan1.sxm")')
    assert not page.is_checked("#follow")
    page.keyboard.press("n")
    assert page.inner_text("#rightTitle") == "removed"
    page.keyboard.press("g")
    page.wait_for_selector('#name:text-is("scan3.sxm")')
    page.click('#files button[title="scan0.sxm"]')
    page.wait_for_selector('#name:text-is("scan0.sxm")')


def test_what_was_done_is_there_after_a_restart(tmp_path):
    folder = tmp_path / "session"
    folder.mkdir()
    scanmend.write(surface(9), folder / "a.sxm")
    with serving(Settings(watched=(folder,))) as client:
        events_until(client, "restored")
    with serving(Settings(watched=(folder,))) as client:
        time.sleep(0.3)
        known = client.get("/api/watched/0").json()
        assert [(file["name"], file["event"]) for file in known["files"]] == [("a.sxm", "restored")]
        assert len(known["tips"]) == 1
        assert client.get("/api/watched/0/scan", params={"file": "a.sxm"}).status_code == 200
