"""Published data: what was promised, or an error; never half of it, and nothing elsewhere."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from scanmend.errors import CorruptFile, ReadError, RecipeError, WriteError
from scanmend.pairs.clean import folder as clean_folder
from scanmend.pairs.published import DATA_SETS, fetch

RECORD = "17474268"


@dataclass
class Archive:
    """What a record holds, as an archive like Zenodo tells it, and what it is asked for.

    Attributes:
        files: Bytes by name.
        promised: Of some files, other bytes that their checksums are of.
        cut: After how many bytes the line goes dead, for some files.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    promised: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    host: str = ""

    def record(self) -> bytes:
        files = [
            {
                "key": name,
                "size": len(raw),
                "checksum": f"md5:{hashlib.md5(self.promised.get(name, raw)).hexdigest()}",
                "links": {"self": f"{self.host}/api/records/{RECORD}/files/{name}/content"},
            }
            for name, raw in self.files.items()
        ]
        return json.dumps({"doi": f"10.5281/zenodo.{RECORD}", "files": files}).encode()


@pytest.fixture
def archive() -> Iterator[Archive]:
    """One that answers on this machine only."""
    archive = Archive()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            archive.asked.append(self.path)
            parts = self.path.strip("/").split("/")
            if self.path == f"/api/records/{RECORD}":
                raw = archive.record()
            elif parts[-1] == "content" and parts[-2] in archive.files:
                raw = archive.files[parts[-2]]
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw[: archive.cut.get(parts[-2])])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    archive.host = f"http://127.0.0.1:{server.server_port}"
    yield archive
    server.shutdown()
    thread.join()
    server.server_close()


def npy(seed: int) -> bytes:
    raw = io.BytesIO()
    np.save(raw, np.random.default_rng(seed).normal(size=(32, 32)))
    return raw.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return raw.getvalue()


def tarred(files: dict[str, bytes], link: str | None = None) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as file:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            file.addfile(about, io.BytesIO(content))
        if link:
            about = tarfile.TarInfo("link")
            about.type, about.linkname = tarfile.SYMTYPE, link
            file.addfile(about)
    return raw.getvalue()


def there(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_files_come_and_archives_are_unpacked(archive, tmp_path):
    images = {f"scans/{n}.npy": npy(n) for n in range(3)}
    archive.files = {
        "clean.zip": zipped(images | {"README.md": b"words"}),
        "more.tar.gz": tarred({"d.npy": npy(3)}),
        "LICENSE": b"CC-BY",
    }
    told = []
    done = fetch("kolev2025", tmp_path / "new", archive.host, lambda *d: told.append(d))
    assert [p.name for p in done] == list(archive.files)
    for path in done:
        assert path.read_bytes() == archive.files[path.name]
    unpacked = {*(f"clean/{name}" for name in images), "clean/README.md", "more/d.npy"}
    assert there(tmp_path / "new") == {*archive.files, *unpacked}
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    found = clean_folder(tmp_path / "new", (2, 1, 1), size_nm=(100, 100))
    assert [len(found.images[split]) for split in found.images] == [2, 1, 1]
    assert {p.name for p in found.left_out} == {"README.md", "LICENSE", "clean.zip", "more.tar.gz"}


def test_what_is_there_is_not_fetched_again(archive, tmp_path):
    archive.files = {"a.npy": npy(0), "b.npy": npy(1)}
    fetch("kolev2025", tmp_path, archive.host)
    archive.asked.clear()
    fetch("kolev2025", tmp_path, archive.host)
    assert archive.asked == [f"/api/records/{RECORD}"]


def test_an_interrupted_fetch_goes_on(archive, tmp_path):
    archive.files = {name: npy(n) for n, name in enumerate(("a.npy", "b.npy", "c.npy"))}
    archive.cut = {"b.npy": 100}
    with pytest.raises(ReadError, match=r"b\.npy could not be fetched .*the same command goes on"):
        fetch("kolev2025", tmp_path, archive.host)
    assert there(tmp_path) == {"a.npy"}
    archive.cut.clear()
    archive.asked.clear()
    fetch("kolev2025", tmp_path, archive.host)
    assert there(tmp_path) == set(archive.files)
    assert not any("a.npy" in path for path in archive.asked)


def test_what_a_killed_fetch_left_does_no_harm(archive, tmp_path):
    archive.files = {"a.npy": npy(0)}
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished/file").write_bytes(npy(0)[:50])
    fetch("kolev2025", tmp_path, archive.host)
    assert there(tmp_path) == {"a.npy"}


def test_a_wrong_checksum_is_refused(archive, tmp_path):
    archive.files, archive.promised = {"a.npy": npy(0)}, {"a.npy": npy(1)}
    with pytest.raises(ReadError, match=r"a\.npy came with another checksum than md5:.*not kept"):
        fetch("kolev2025", tmp_path, archive.host)
    assert there(tmp_path) == set()


def test_a_file_of_the_users_is_left_alone(archive, tmp_path):
    archive.files = {"a.npy": npy(0)}
    (tmp_path / "a.npy").write_bytes(b"mine")
    with pytest.raises(WriteError, match=r"a\.npy is there, but is not the published one"):
        fetch("kolev2025", tmp_path, archive.host)
    assert (tmp_path / "a.npy").read_bytes() == b"mine"


def test_nobody_answers(archive, tmp_path):
    with pytest.raises(ReadError, match=r"http://127\.0\.0\.1:9 does not answer .*--host"):
        fetch("kolev2025", tmp_path, "http://127.0.0.1:9")
    with pytest.raises(ReadError, match="has no record of 10.5281/zenodo.17474268.* 404 Not Found"):
        fetch("kolev2025", tmp_path, f"{archive.host}/elsewhere")
    with pytest.raises(ReadError, match="an address like https://zenodo.org, got 'file:///etc'"):
        fetch("kolev2025", tmp_path, "file:///etc")
    assert there(tmp_path) == set()


def test_a_file_that_is_gone(archive, tmp_path, monkeypatch):
    archive.files = {"a.npy": npy(0)}
    record = archive.record()
    monkeypatch.setattr(archive, "record", lambda: record)
    archive.files.clear()
    with pytest.raises(ReadError, match=r"a\.npy could not be fetched \(404"):
        fetch("kolev2025", tmp_path, archive.host)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"<html>", "is no record of an archive like Zenodo"),
        (b'{"files": [{"key": "a"}]}', "is no record of an archive like Zenodo"),
        (b'{"files": []}', "lists no files"),
        (
            b'{"files": [{"key": "../a", "links": {"self": "http://x/a"}, "checksum": "md5:0"}]}',
            r"lists '\.\./a' at http://x/a: not fetched",
        ),
        (
            b'{"files": [{"key": "a", "links": {"self": "file:///a"}, "checksum": "md5:0"}]}',
            "lists 'a' at file:///a: not fetched",
        ),
    ],
)
def test_a_record_that_is_none(archive, tmp_path, monkeypatch, answer, text):
    monkeypatch.setattr(archive, "record", lambda: answer)
    with pytest.raises(ReadError, match=text):
        fetch("kolev2025", tmp_path, archive.host)


@pytest.mark.parametrize(
    ("name", "raw", "text"),
    [
        ("x.zip", zipped({"good": b"1", "../bad": b"2"}), r"x\.zip holds '\.\./bad', which would"),
        ("x.tar.gz", tarred({"good": b"1", "../bad": b"2"}), r"holds '\.\./bad', which would be"),
        ("x.tgz", tarred({"/bad": b"2"}), "holds '/bad', which would be written outside"),
        (
            "x.tar.gz",
            tarred({}, link="../../bad"),
            r"x\.tar\.gz holds 'link', neither a file nor a folder",
        ),
        ("x.zip", zipped({"a": b"1"})[:-30], r"x\.zip cannot be unpacked"),
    ],
    # Named: archives hold the time they were made at, and pytest-xdist wants equal names in all
    # its processes.
    ids=["zip-above", "tar-above", "tgz-absolute", "tar-link", "zip-cut"],
)
def test_nothing_is_unpacked_outside(archive, tmp_path, name, raw, text):
    archive.files = {name: raw}
    with pytest.raises(CorruptFile, match=text):
        fetch("kolev2025", tmp_path / "in", archive.host)
    assert there(tmp_path) == {f"in/{name}"}


def test_a_set_that_nobody_published(tmp_path):
    with pytest.raises(RecipeError, match="no data set is called 'mnist'; there are kolev2025"):
        fetch("mnist", tmp_path)


def test_the_command(archive, run, tmp_path):
    archive.files = {"clean.zip": zipped({"a.npy": npy(0)})}
    status, out, _ = run("data", "fetch", "kolev2025", "-o", "got", "--host", archive.host)
    assert (status, out) == (0, str(Path("got/clean.zip")) + "\n")
    status, out, _ = run(
        "data", "fetch", "kolev2025", "-o", "got", "--host", archive.host, "--json"
    )
    assert json.loads(out)["doi"] == DATA_SETS["kolev2025"].doi
    assert there(tmp_path / "got") == {"clean.zip", "clean/a.npy"}
    status, out, err = run("data", "fetch", "kolev2025", "--host", "http://127.0.0.1:9")
    assert (status, out) == (1, "")
    assert err.startswith("scanmend: http://127.0.0.1:9 does not answer")
    assert err.count("\n") == 1
