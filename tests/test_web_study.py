"""Blind studies over HTTP and in a browser: what raters see, what they do not, what is kept."""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

import scanmend
from scanmend.cli import main
from scanmend.crystals import silicon
from scanmend.scan import Acquisition, Scan
from scanmend.study import results, tables
from scanmend.study.records import MEASURED
from scanmend.study.store import Store

pytest.importorskip("fastapi")
from web_server import serving

from scanmend.errors import StudyError
from scanmend.web import app
from scanmend.web.settings import Settings

METHODS = ("zwiebel", "quitte", "mirabelle")
SECRETS = (*METHODS, "specimen", "provenance", "Nanonis", "2026-03-14")
"""What must never reach a rater: methods, names of files, what their headers say."""

TOKEN = "correct-horse"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three measured scans, and a folder of outputs for each method, as sharp as its place."""
    where = tmp_path_factory.mktemp("data")
    for name in ("scans", *METHODS):
        (where / name).mkdir()
    taken = Acquisition("Z", "forward", -2.0, 0.05, started="2026-03-14T15:09:26")
    for number in range(3):
        clean = silicon.surface(np.random.default_rng(number), (48, 64)).values
        rng = np.random.default_rng(number)
        noisy = (clean + rng.normal(0, 0.05, clean.shape)).astype(np.float32)
        scanmend.write(
            Scan(noisy, (0.19, 0.19), acquisition=taken), where / f"scans/specimen{number}.sxm"
        )
        for k, name in enumerate(METHODS):
            output = (clean + rng.normal(0, 0.01 * (k + 1), clean.shape)).astype(np.float32)
            scan = Scan(output, (0.19, 0.19), acquisition=taken, history=(f"by {name}",))
            scanmend.write(scan, where / f"{name}/specimen{number}_{name}.nc")
    return where


@pytest.fixture
def file(folder, tmp_path, capsys) -> Path:
    """A study of them, as the command line makes it."""
    path = tmp_path / "study.sqlite"
    outputs = [f"--outputs={folder / name}" for name in METHODS]
    assert (
        main(["study", "make", str(path), str(folder / "scans"), *outputs, "--title=Terraces"]) == 0
    )
    said = capsys.readouterr().out
    assert said == f"{path}: 3 scans, 3 methods: {', '.join(METHODS)}\n"
    return path


@pytest.fixture
def client(file):
    with serving(Settings(studies=(file,))) as client:
        yield client


class RaterOf:
    """A rater who holds the study's link, over HTTP."""

    def __init__(self, client: httpx.Client, join: str, name: str = "") -> None:
        self._client = client
        self.token = join
        self.token = self.ask("POST", "join", {"name": name}).json()["token"]

    def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        bearer = {"authorization": f"Bearer {self.token}"}
        return self._client.request(method, f"/rate/api/{path}", headers=bearer, json=body)


def join_of(client: httpx.Client, study: int = 0) -> str:
    return client.get(f"/api/studies/{study}").json()["join"]


def complete(rating: int = 3) -> dict:
    return {"ratings": [rating] * 3, "ranks": [1, 2, 3]}


# Over HTTP


def test_nothing_that_a_rater_is_sent_names_a_method_or_a_file(client):
    rater = RaterOf(client, join_of(client))
    answers = [rater.ask("GET", "study"), client.get("/rate/"), client.get("/rate/rate.js")]
    for position in range(3):
        answers.append(rater.ask("GET", f"items/{position}"))
        answers += [rater.ask("GET", f"items/{position}/{at}") for at in ("measured", 0, 1, 2)]
        answers.append(rater.ask("PUT", f"items/{position}", complete()))
    answers.append(rater.ask("PUT", "items/0", {"ratings": [9] * 3, "ranks": [1, 2, 3]}))
    answers.append(rater.ask("PUT", "items/9", complete()))
    for answer in answers:
        all_of_it = answer.content + repr(answer.headers.raw).encode() + str(answer.url).encode()
        for secret in SECRETS:
            assert secret.encode().lower() not in all_of_it.lower(), (answer.url, secret)
    about = json.loads(rater.ask("GET", "items/0/1").headers["x-scan"])
    assert set(about) - {"acquisition", "history"} == {
        *("rows", "columns", "pixel_nm", "quantity", "unit")
    }
    assert not any(about["acquisition"].values()) and about["history"] == []


def test_places_and_positions_are_those_of_the_design(client, file):
    join = join_of(client)
    raters = [RaterOf(client, join) for _ in range(3)]
    with Store(file) as store:
        for number, rater in enumerate(raters):
            order, places = store.design.order(number), store.design.places(number)
            for position, item in enumerate(order):
                said = rater.ask("GET", f"items/{position}").json()
                assert said == {
                    "limits": list(store.items[item][1]),
                    "ratings": [None] * 3,
                    "ranks": [None] * 3,
                }
                for at, method in (("measured", MEASURED), *enumerate(places[item])):
                    answer = rater.ask("GET", f"items/{position}/{at}")
                    values = np.frombuffer(answer.content, "<f4").reshape(48, 64)
                    assert np.array_equal(values, store.image(item, method).values)
            # What is said of the second place is said of the method that stands there.
            rater.ask("PUT", "items/0", {"ratings": [1, 5, 2], "ranks": [3, 1, 2]})
            marks = store.marks(number)[order[0]]
            assert marks.ratings[places[order[0]][1]] == 5
            assert marks.ranks[places[order[0]][0]] == 3
            again = rater.ask("GET", "items/0").json()
            assert (again["ratings"], again["ranks"]) == ([1, 5, 2], [3, 1, 2])


def test_a_rater_leaves_and_returns_exactly_there(file):
    with serving(Settings(studies=(file,))) as client:
        rater = RaterOf(client, join_of(client), " Ada ")
        assert rater.ask("PUT", "items/1", complete()).json() == {"complete": True}
        partly = {"ratings": [None, 4, None], "ranks": [None, 1, None]}
        assert rater.ask("PUT", "items/2", partly).json() == {"complete": False}
        assert rater.ask("PUT", "study", {"position": 2}).status_code == 204
        before = rater.ask("GET", "study").json()
    assert before["complete"] == [False, True, False]
    assert (before["name"], before["position"], before["items"], before["places"]) == (
        "Ada",
        2,
        3,
        3,
    )
    with serving(Settings(studies=(file,))) as client:
        rater._client = client
        assert rater.ask("GET", "study").json() == before
        assert rater.ask("GET", "items/2").json() | partly == rater.ask("GET", "items/2").json()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        (
            "PUT",
            "items/0",
            {"ratings": [6, 1, 1], "ranks": [1, 2, 3]},
            422,
            "a rating is 1 to 5, got 6",
        ),
        (
            "PUT",
            "items/0",
            {"ratings": [1, 1, 1], "ranks": [1, 1, 2]},
            422,
            "each rank is given once",
        ),
        ("PUT", "items/0", {"ratings": [1], "ranks": [1]}, 422, "send 3 ratings and ranks"),
        ("PUT", "items/0", {"ratings": "a"}, 422, "ratings: Input should be a valid list"),
        (
            "PUT",
            "items/3",
            {"ratings": [1] * 3, "ranks": [1, 2, 3]},
            404,
            "there is no item 3: they",
        ),
        ("GET", "items/-1", None, 404, "there is no item -1"),
        ("GET", "items/0/3", None, 404, "there is no place 3: they are 0 to 2"),
        ("PUT", "study", {"position": 3}, 404, "there is no item 3"),
    ],
)
def test_what_means_nothing_is_refused_in_one_line(client, method, path, body, status, says):
    answer = RaterOf(client, join_of(client)).ask(method, path, body)
    assert answer.status_code == status
    assert answer.json()["error"].startswith(says)


def test_the_owner_sees_progress_and_results(client, file):
    assert client.get("/api/studies").json()["studies"] == [
        {"id": 0, "name": "study", "title": "Terraces"}
    ]
    one, two = RaterOf(client, join_of(client), "Ada"), RaterOf(client, join_of(client))
    for rater in (one, two):
        rater.ask("PUT", "items/0", complete())
    one.ask("PUT", "items/1", {"ratings": [1, None, 1], "ranks": [1, 2, 3]})
    told = client.get("/api/studies/0").json()
    assert [(r["name"], r["done"]) for r in told["raters"]] == [("Ada", 1), ("", 1)]
    assert told["methods"] == list(METHODS)
    found = client.get("/api/studies/0/results").json()
    assert (found["annotations"], found["raters"]) == (2, 2)
    with Store(file) as store:
        assert found == json.loads(json.dumps(tables.plain(results.results(store))))
    answers = client.get("/api/studies/0/answers.csv")
    assert answers.headers["content-disposition"].endswith("study-answers.csv")
    lines = answers.text.splitlines()
    assert lines[0] == "rater,scan,method,rating,rank,position,place,at" and len(lines) == 7
    assert "Ada" not in answers.text
    everything = client.get("/api/studies/0/results.json").json()
    assert len(everything["answers"]) == 6 and everything["study"]["title"] == "Terraces"
    table = client.get("/api/studies/0/results.csv").text.splitlines()
    assert table[0].startswith("method,rating,rating_low,rating_high,rank,") and len(table) == 4
    assert client.get("/api/studies/0/other.csv").status_code == 422
    assert client.get("/api/studies/1").json()["error"].startswith("there is no study 1: ask for")


def test_the_command_line_has_the_same_results(client, file, capsys):
    RaterOf(client, join_of(client)).ask("PUT", "items/0", complete(4))
    for kind in ("results.csv", "answers.csv", "results.json"):
        assert main(["study", "results", str(file), "--as", kind]) == 0
        assert capsys.readouterr().out.strip() == client.get(f"/api/studies/0/{kind}").text.strip()
    assert main(["study", "results", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Terraces: annotations 1, raters 1, scans 1"
    assert lines[1].split() == ["method", "rating", "(1-5)", "rank", "first", "%", "last", "%"]
    assert {line.split()[0] for line in lines[2:5]} == set(METHODS) and " 4.00 " in lines[2]


# Who may


@pytest.fixture
def guarded(file):
    """A server that is known beyond this machine, and so has a token."""
    with serving(Settings(studies=(file,), token=TOKEN, names=("stm.example",))) as client:
        yield client


def test_a_raters_link_opens_rating_and_nothing_else(guarded, file):
    with Store(file) as store:
        join, own = store.join, store.enter("Ada").token
    assert guarded.get("/rate/").status_code == 200
    assert guarded.get("/rate/rate.js").status_code == 200
    paths = ["/", "/api", "/api/about", "/api/studies", "/api/studies/0", "/api/studies/0/results"]
    paths += ["/api/openapi.json", "/api/jobs", "/study.html", "/rate.html", "/rate", "/ratepage"]
    paths += ["/rate/../api/about", "/rate/api/../../api/about", "/rate/%2e%2e/api/about"]
    paths += ["/rate//api/about", "//rate/", "/rate/..%2fstudy.html", "/rate/../study.html"]
    for token in (join, own):
        for path in paths:
            for given in (
                {"authorization": f"Bearer {token}"},
                {"cookie": f"scanmend_8765={token}"},
            ):
                answer = raw(guarded, path, given)
                assert answer == 401, (path, answer)
            assert raw(guarded, f"{path}?token={token}", {}) == 401
        rater = {"authorization": f"Bearer {token}"}
        assert raw(guarded, "/rate/study.js", rater) == 404, "the owner's page is not for raters"
        assert raw(guarded, "/rate/api/about", rater) == 404
    own_only = {"authorization": f"Bearer {own}"}
    assert guarded.get("/rate/api/study", headers=own_only).status_code == 200
    assert guarded.get("/rate/api/welcome", headers=own_only).status_code == 401
    join_only = {"authorization": f"Bearer {join}"}
    assert guarded.get("/rate/api/study", headers=join_only).status_code == 401


def raw(client: httpx.Client, path: str, headers: dict[str, str]) -> int:
    """The status for a path that no library has put in order."""
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=20)
    connection.request("GET", path, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("token", ["", "wrong", TOKEN, "ä"])
@pytest.mark.parametrize("path", ["study", "welcome", "items/0", "items/0/measured"])
def test_without_a_link_nothing_is_told(guarded, path, token):
    headers = {"authorization": f"Bearer {token}".strip().encode("latin-1")}
    answer = guarded.get(f"/rate/api/{path}", headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"error": "this link opens no study here: ask for a new one"}
    assert guarded.post("/rate/api/join", headers=headers, json={}).status_code == 401


def test_raters_are_held_to_host_origin_and_size(guarded, file):
    with Store(file) as store:
        bearer = {"authorization": f"Bearer {store.enter('').token}"}
    path = "/rate/api/items/0"
    assert guarded.get(path, headers=bearer | {"host": "evil.example"}).status_code == 421
    foreign = bearer | {"origin": "https://evil.example"}
    assert guarded.put(path, headers=foreign, json=complete()).status_code == 403
    assert guarded.put(path, headers=bearer, content=b" " * (2 << 20)).status_code == 413


def test_one_study_opens_no_other(folder, file, tmp_path):
    other = tmp_path / "other.sqlite"
    outputs = [f"--outputs={folder / name}" for name in METHODS[:2]]
    assert main(["study", "make", str(other), str(folder / "scans"), *outputs]) == 0
    (tmp_path / "foreign.txt").write_text("not asked for")
    with serving(Settings(studies=(tmp_path,))) as client:
        names = [s["name"] for s in client.get("/api/studies").json()["studies"]]
        assert sorted(names) == ["other", "study"]
        first, second = (RaterOf(client, join_of(client, i)) for i in range(2))
        assert {
            first.ask("GET", "study").json()["places"],
            second.ask("GET", "study").json()["places"],
        } == {2, 3}
        first.ask("PUT", "study", {"position": 1})
        assert second.ask("GET", "study").json()["position"] == 0


def test_a_file_that_is_no_study_stops_the_server_in_one_line(tmp_path, capsys):
    assert (
        main(["serve", "--no-browser", "--port=0", "--study", str(tmp_path / "none.sqlite")]) == 1
    )
    said = capsys.readouterr().err
    assert (
        said
        == f"scanmend: there is no study {tmp_path}/none.sqlite: `scanmend study make` makes one\n"
    )
    with pytest.raises(StudyError, match=r"a\.sqlite cannot be opened as a study"):
        (tmp_path / "a.sqlite").write_text(
            "text that is long enough to be looked at by a data base"
        )
        app.create(Settings(studies=(tmp_path,)))


# Nothing is lost


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("begun", [0, 4])
def test_what_was_acknowledged_is_there_after_sigkill(file, begun):
    with Store(file) as store:
        for _ in range(begun):
            store.enter("")
        join = store.join
    command = [sys.executable, "-m", "scanmend", "serve", "--no-browser", "--port=0"]
    server = subprocess.Popen([*command, "--study", str(file)], stdout=subprocess.PIPE, text=True)
    assert server.stdout
    with server.stdout as said, httpx.Client(timeout=60, trust_env=False) as client:
        client.base_url = said.readline().strip()
        raters = [RaterOf(client, join) for _ in range(4)]
        acknowledged: list[tuple[int, int, int]] = []
        enough = threading.Event()

        def rate(number: int, rater: RaterOf) -> None:
            for turn in range(10_000):
                try:
                    answer = rater.ask("PUT", f"items/{turn % 3}", complete(turn % 5 + 1))
                except httpx.HTTPError:
                    return  # killed
                if answer.status_code == 200:
                    acknowledged.append((number, turn % 3, turn))
                if len(acknowledged) > 60:
                    enough.set()

        work = [threading.Thread(target=rate, args=(begun + i, r)) for i, r in enumerate(raters)]
        for thread in work:
            thread.start()
        assert enough.wait(60)
        server.send_signal(signal.SIGKILL)
        server.wait()
        for thread in work:
            thread.join()
    with Store(file) as store:
        last = {(number, position): turn for number, position, turn in acknowledged}
        for (number, position), turn in last.items():
            item = store.design.order(number)[position]
            kept = store.marks(number)[item].ratings[0]
            # What was on its way when the server was killed may have been kept as well.
            assert kept in (turn % 5 + 1, (turn + 3) % 5 + 1)
        assert len(store.raters()) == begun + 4
        assert store._read("PRAGMA integrity_check") == [("ok",)]


def test_an_answer_that_cannot_be_kept_is_not_acknowledged(client, file):
    rater = RaterOf(client, join_of(client))
    assert rater.ask("PUT", "items/0", complete(2)).status_code == 200
    with sqlite3.connect(file) as db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON mark BEGIN SELECT RAISE(FAIL, 'full'); END"
        )
    db.close()
    answer = rater.ask("PUT", "items/0", complete(5))
    assert answer.status_code == 503
    assert answer.json() == {"error": "the study's file cannot be written: full"}
    assert rater.ask("GET", "items/0").json()["ratings"] == [2, 2, 2]


# Making one over HTTP


def until_made(client: httpx.Client) -> dict:
    for _ in range(600):
        making = client.get("/api/studies").json()["making"]
        if making["state"] != "running":
            return making
        threading.Event().wait(0.1)
    raise TimeoutError(making)


def plan(**others) -> dict:
    scans = {"folder": "0", "path": "scans"}
    outputs = [{"folder": "0", "path": name} for name in METHODS[:2]]
    return {"title": "Über: a/b", "scans": scans, "outputs": outputs} | others


def test_a_study_is_made_over_http_of_models_and_folders(folder, tmp_path):
    (tmp_path / "studies").mkdir()
    with serving(Settings(folders=(folder,), studies=(tmp_path / "studies",))) as client:
        assert client.post("/api/studies", json=plan(models=["si001h"])).status_code == 202
        making = until_made(client)
        assert (making["state"], making["error"], making["id"]) == ("done", None, 0)
        told = client.get("/api/studies/0").json()
        assert told["methods"] == ["si001h", "zwiebel", "quitte"]
        assert told["items"] == [f"specimen{i}.sxm" for i in range(3)]
        again = client.post("/api/studies", json=plan())
        assert again.json()["error"] == "über-a-b.sqlite exists already: choose another title"
        with Store(tmp_path / "studies/über-a-b.sqlite") as store:
            measured = scanmend.read(folder / "scans/specimen0.sxm")
            want = scanmend.level.plane(scanmend.restore(measured, "si001h").mean)[0].values
            assert np.array_equal(store.image(0, 0).values, want)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"outputs": []}, "a study compares 2 to 8 methods, got 0"),
        ({"models": ["none"]}, "there is no model 'none': choose one of surface, si001h"),
        ({"scans": {"folder": "0", "path": "../.."}}, "there is no '../..' in folder '0'"),
        ({"outputs": [{"folder": "7", "path": ""}] * 2}, "there is no '' in folder '7'"),
        ({"outputs": [{"folder": "0", "path": "quitte"}] * 2}, "two methods are called quitte"),
        ({"title": ""}, "title: String should have at least 1 character"),
    ],
)
def test_a_plan_that_means_nothing_is_refused_at_once(folder, tmp_path, asked, says):
    with serving(Settings(folders=(folder,), studies=(tmp_path,))) as client:
        answer = client.post("/api/studies", json=plan(**asked))
        assert answer.status_code in (404, 422) and answer.json()["error"].startswith(says)
        assert list(tmp_path.iterdir()) == []


def test_without_a_folder_for_them_none_is_made(client, folder, file):
    assert client.get("/api/studies").json()["can_make"] is False
    with serving(Settings(folders=(folder,), studies=(file,))) as other:
        answer = other.post("/api/studies", json=plan())
    assert answer.json()["error"].startswith("no folder was given for new studies")


# In a browser


@pytest.fixture
def opened(browser, file, folder, tmp_path):
    """Opens pages of a server; what they ask elsewhere, and every error in them, fails the test."""
    (tmp_path / "more").mkdir()
    strangers: list[str] = []
    errors: list[str] = []
    contexts = []
    with serving(Settings(folders=(folder,), studies=(file, tmp_path / "more"))) as client:
        own = str(client.base_url)

        def only_here(route):
            if route.request.url.startswith(own):
                route.continue_()
            else:
                strangers.append(route.request.url)
                route.abort()

        def opened(path: str, listen=None):
            context = browser.new_context(viewport={"width": 1366, "height": 768})
            context.set_default_timeout(30_000)  # a machine may be busy
            context.route("**/*", only_here)
            contexts.append(context)
            page = context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            if listen:
                page.on("response", listen)
            page.goto(own + path)
            page.wait_for_selector("html[data-ready]")
            return page

        yield opened, client
        for context in contexts:
            context.close()
    assert not strangers, "another host was asked"
    assert not errors


def at(page, position: int) -> None:
    page.wait_for_selector(f"#work[data-position='{position}']")


def saved(page) -> None:
    page.wait_for_selector("#saved[data-state=saved]")


def pressed(page) -> dict[str, str]:
    """What is marked, by what it is called: {"A: rank": "2", ...}."""
    names = page.locator("#grid [aria-pressed=true]").evaluate_all(
        "all => all.map((b) => b.getAttribute('aria-label'))"
    )
    return {" ".join(name.split()[:2]): name.split()[2].strip(",") for name in names}


def pixels(page, canvas: str) -> str:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    return page.evaluate("id => document.querySelector(id).toDataURL()", canvas)


def test_a_rater_ranks_rates_goes_back_leaves_and_returns_by_keyboard(opened, file):
    opens, client = opened
    page = opens(f"/rate/#join={join_of(client)}")
    assert page.inner_text("#beginTitle") == "Terraces"
    page.keyboard.type("Ada")
    page.keyboard.press("Enter")
    at(page, 0)
    assert "1 of 3 · 0 complete" in page.inner_text("#where")
    for key in ("4", "2", "5"):  # each goes on to the next
        page.keyboard.press(key)
    assert pressed(page) == {"A: rate": "4", "B: rate": "2", "C: rate": "5"}
    page.keyboard.press("a")
    page.keyboard.press("3")
    page.keyboard.press("Shift+C")
    page.keyboard.press("Shift+B")  # A is last, of itself
    assert pressed(page) == {
        **{"A: rate": "3", "B: rate": "2", "C: rate": "5"},
        **{"A: rank": "3", "B: rank": "2", "C: rank": "1"},
    }
    page.keyboard.press("Backspace")
    assert pressed(page)["C: rank"] == "1" and "A: rank" not in pressed(page)
    page.keyboard.press("Shift+A")
    whole = pressed(page)
    assert (whole["A: rank"], whole["B: rank"]) == ("2", "3")
    assert "1 complete" in page.inner_text("#where")
    page.keyboard.press("j")
    at(page, 1)
    page.keyboard.press("j")
    at(page, 2)
    page.keyboard.press("b")
    page.keyboard.press("1")
    page.keyboard.press("k")
    at(page, 1)
    saved(page)
    with Store(file) as store:
        item, places = store.design.order(0)[0], store.design.places(0)
        marks = store.marks(0)[item]
        assert [marks.ratings[m] for m in places[item]] == [3, 2, 5]
        assert [marks.ranks[m] for m in places[item]] == [2, 3, 1]
        assert store.raters()[0].name == "Ada"
    # The address is the rater's own now: elsewhere it leads to the same place.
    other = opens(f"/rate/{page.evaluate('location.hash')}")
    at(other, 1)
    other.keyboard.press("k")
    at(other, 0)
    assert pressed(other) == whole
    other.keyboard.press("u")
    at(other, 1)
    # And who opens the study's link again, in the same browser, may go on as well.
    page.goto(f"{client.base_url}/rate/?again#join={join_of(client)}")
    page.click("text=Go on as Ada")
    page.wait_for_selector("#work[data-position]")
    assert client.get("/api/studies/0").json()["raters"][0]["done"] == 1
    assert len(client.get("/api/studies/0").json()["raters"]) == 1


def test_a_rater_ranks_and_rates_by_mouse(opened, file):
    opens, client = opened
    page = opens(f"/rate/#join={join_of(client)}")
    page.click("#enter button")
    at(page, 0)
    for name in ("A: rank 1, the best", "B: rank 2", "A: rate 5, excellent", "B: rate 1, useless"):
        page.click(f"[aria-label='{name}']")
    page.click("[aria-label='C: rate 3, fair']")
    assert pressed(page)["C: rank"] == "3"
    page.click("[aria-label='C: rank 1, the best']")  # who had it gets what becomes free
    marks = pressed(page)
    assert (marks["A: rank"], marks["B: rank"], marks["C: rank"]) == ("3", "2", "1")
    page.click("#next")
    at(page, 1)
    page.click("#back")
    at(page, 0)
    assert pressed(page) == marks
    page.click("#open")
    at(page, 1)
    saved(page)
    assert client.get("/api/studies/0").json()["raters"][0]["done"] == 1


def test_all_images_share_place_and_colours_and_measured_is_a_key_away(opened):
    opens, client = opened
    page = opens(f"/rate/#join={join_of(client)}")
    page.keyboard.press("Enter")
    at(page, 0)
    canvases = [f"#grid section:nth-child({n}) canvas" for n in range(1, 5)]
    page.wait_for_selector(f"{canvases[3]}[data-scale-bar]")
    before = [pixels(page, canvas) for canvas in canvases]
    assert len(set(before)) == 4
    boxes = [page.locator(canvas).bounding_box() for canvas in canvases]
    assert len({(box["width"], box["height"]) for box in boxes}) == 1
    # 64 x 48 pixels: two rows of two fill the page best, but for the marks below each.
    assert boxes[0]["height"] > 220 and 1.2 < boxes[0]["width"] / boxes[0]["height"] < 1.6
    assert page.locator("[aria-label='C: rate 5, excellent']").is_visible()
    page.keyboard.down("m")
    page.wait_for_selector("#measured[aria-pressed=true]")
    assert [pixels(page, canvas) for canvas in canvases] == [before[0]] * 4
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    page.wait_for_selector("#measured[aria-pressed=false]")
    page.keyboard.down("m")
    page.wait_for_selector("#measured[aria-pressed=true]")
    page.keyboard.up("m")
    page.wait_for_selector("#measured[aria-pressed=false]")
    assert [pixels(page, canvas) for canvas in canvases] == before
    box = page.locator(canvases[1]).bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.wheel(0, -600)
    page.mouse.move(5, 5)
    bars = [page.get_attribute(canvas, "data-scale-bar") for canvas in canvases]
    assert len(set(bars)) == 1
    assert all(pixels(page, c) != b for c, b in zip(canvases, before, strict=True))
    page.click("#fit")
    assert [pixels(page, canvas) for canvas in canvases] == before


def test_what_a_raters_browser_gets_names_nothing(opened):
    opens, client = opened
    seen: list = []
    page = opens(f"/rate/#join={join_of(client)}", lambda response: seen.append(response))
    page.keyboard.press("Enter")
    at(page, 0)
    for position in (1, 2):
        page.keyboard.press("3")
        page.keyboard.press("j")
        at(page, position)
    saved(page)
    assert len([r for r in seen if "/items/" in r.url]) >= 15
    for response in seen:
        body = b"" if response.status == 204 else response.body()
        told = " ".join([response.url, *response.all_headers().values()]).encode() + body
        for secret in SECRETS:
            assert secret.lower().encode() not in told.lower(), (response.url, secret)
    shown = page.content() + page.evaluate("JSON.stringify(localStorage)")
    assert not any(secret.lower() in shown.lower() for secret in SECRETS)
    assert page.locator("nav a").count() == 0, "raters are led to no other page"


def test_what_is_said_while_the_next_open_one_is_looked_for_is_kept(opened, file):
    """It is this one, when all others are complete."""
    opens, client = opened
    rater = RaterOf(client, join_of(client))
    for position in (0, 1):
        rater.ask("PUT", f"items/{position}", complete())
    rater.ask("PUT", "study", {"position": 2})
    page = opens(f"/rate/#rater={rater.token}")
    at(page, 2)

    def late(route):
        answer = route.fetch()
        page.wait_for_timeout(300)
        route.fulfill(response=answer)

    page.context.route(
        "**/rate/api/items/2", lambda r: late(r) if r.request.method == "GET" else r.continue_()
    )
    page.keyboard.press("u")
    page.keyboard.press("5")
    saved(page)
    page.wait_for_timeout(600)
    page.keyboard.press("4")
    saved(page)
    assert rater.ask("GET", "items/2").json()["ratings"] == [5, 4, None]


def test_what_could_not_be_sent_is_sent_again(opened, file):
    opens, client = opened
    page = opens(f"/rate/#join={join_of(client)}")
    page.keyboard.press("Enter")
    at(page, 0)
    page.context.route("**/rate/api/items/0", lambda route: route.abort())
    page.keyboard.press("5")
    page.wait_for_selector("#saved[data-state=lost]")
    assert "not saved yet" in page.inner_text("#saved")
    page.keyboard.press("4")
    with Store(file) as store:
        assert store.marks(0) == {}
    page.context.unroute("**/rate/api/items/0")
    saved(page)
    with Store(file) as store:
        item = store.design.order(0)[0]
        marks = store.marks(0)[item]
        assert [marks.ratings[m] for m in store.design.places(0)[item]] == [5, 4, None]


def test_a_link_that_leads_nowhere_says_so(opened):
    opens, _ = opened
    page = opens("/rate/#join=wrong")
    assert page.inner_text("#trouble") == "this link opens no study here: ask for a new one"
    page = opens("/rate/")
    assert page.inner_text("#trouble").startswith("This page is opened by the link that")


def test_the_owner_sees_raters_and_results_as_they_come(opened):
    opens, client = opened
    page = opens("/study.html")
    assert page.inner_text("#summary") == "Nobody has opened the link yet."
    link = page.input_value("#join")
    assert link == f"{client.base_url}/rate/#join={join_of(client)}"
    page.fill("#name", "Grace")
    page.keyboard.press("Enter")
    page.wait_for_selector("#raters th:text-is('Grace')")
    own = page.get_attribute("#raters a", "href")
    rater = opens(own.removeprefix(str(client.base_url)))
    at(rater, 0)
    for key in ("4", "2", "5", "Shift+C", "Shift+B"):
        rater.keyboard.press(key)
    saved(rater)
    page.wait_for_selector("#raters td:text-is('1 of 3')")
    page.wait_for_selector("#results:not([hidden]) #table tbody tr")
    rows = page.locator("#table tbody tr").all_inner_texts()
    best = client.get("/api/studies/0/results").json()["lines"][0]
    assert rows[0].split() == [best["method"], "5.00", "1.00", "100.0", "0.0"]
    before = page.locator("#before tbody tr").all_inner_texts()
    assert before[0].split()[1:] == ["–", "100.0", "100.0"]
    assert before[2].split()[1:] == ["0.0", "0.0", "–"]
    page.focus("#raters a")
    for _ in range(2):
        with page.expect_response("**/api/studies/0"):
            pass
    assert page.evaluate("document.activeElement.textContent") == "their own"
    with page.expect_download() as file:
        page.click("#answersCsv")
    assert Path(file.value.path()).read_text().count("\n") == 4


def test_the_owner_makes_a_study_on_the_page(opened, tmp_path):
    opens, client = opened
    page = opens("/study.html")
    page.click("#maker summary")
    page.fill("[name=title]", "Second")
    page.select_option(
        "[name=scans]", label=page.locator("[name=scans] option >> text=/scans").inner_text()
    )
    for name in METHODS[:2]:
        page.check(f"#outputs label:has-text('/{name}') input")
    page.focus("[name=seed]")
    page.keyboard.press("Control+A")
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    page.wait_for_selector("#study option:text-is('Second')", state="attached")
    page.wait_for_selector("#about h2:text-is('Second')")
    told = client.get("/api/studies/1").json()
    assert set(told["methods"]) == set(METHODS[:2]) and told["about"]["seed"] == 7
    assert (tmp_path / "more/second.sqlite").is_file()
    page.keyboard.press("Tab")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("[")
    page.wait_for_selector("#about h2:text-is('Terraces')")
    page.click("#make button")
    page.wait_for_selector("#trouble:has-text('second.sqlite exists already')")
    for _ in range(2):  # and stays while the page goes on looking
        with page.expect_response("**/api/studies/0"):
            pass
    assert "second.sqlite exists already" in page.inner_text("#trouble")
