"""No file outside the folders is read or listed, and none that is read can do harm."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from io import BytesIO

import h5py
import numpy as np
import pytest
from conftest import REAL
from PIL import Image
from web_server import serving

import scanmend
from scanmend import io
from scanmend.errors import CorruptFile, ReadError, ScanError, ScanmendError, UnknownFormat
from scanmend.scan import Scan
from scanmend.web.files import Files, shown_name
from scanmend.web.folders import Folders
from scanmend.web.reading import Reader
from scanmend.web.settings import Settings
from scanmend.web.shelf import Gone, Shelf

ALL = {"channel": None, "direction": None, "size_nm": None, "unit": None}
TRAVERSALS = [
    *("..", "../secret.gsf", "../../etc/passwd", "in/../../secret.gsf", "in/..", "./scan.gsf"),
    *(
        "/etc/passwd",
        "//etc/passwd",
        "/scan.gsf",
        "in//../..//secret.gsf",
        "...",
        "..../secret.gsf",
    ),
    *("..\\secret.gsf", "in\\..\\..\\secret.gsf", "C:\\Windows\\win.ini", "C:secret.gsf", "C:/x"),
    *("scan.gsf\x00", "\x00", "scan.gsf\x00.png", "scan.gsf\n", "in/\r\nscan.gsf", "\x7f"),
    *("CON", "con.gsf", "NUL", "nul.txt", "aux", "COM1", "com1.sxm", "LPT9", "lpt¹", "in/PRN"),
    *("scan.gsf:stream", "scan.gsf::$DATA", "scan.gsf.", "scan.gsf ", ". .", ".hidden.gsf"),
    *(
        "in/.hidden/scan.gsf",
        "~",
        "~root",
        "%2e%2e/secret.gsf",
        "..%2fsecret.gsf",
        "..%5csecret.gsf",
    ),
    *("..;/secret.gsf", "\u2025/secret.gsf", "..\u2215secret.gsf", "..\uff0fsecret.gsf"),
    *("out.gsf", "outside/secret.gsf", "outside", "loop", "loop/loop/scan.gsf", "pipe.gsf"),
    *("scan.gsf/", "scan.gsf/..", "scan.gsf/../../secret.gsf", "a" * 300, "in/" * 2000, "\udcff"),
    *(
        "/proc/self/environ",
        "\\\\?\\C:\\x",
        "\\\\host\\share\\x",
        "file:///etc/passwd",
        "*",
        "in/?",
    ),
]


@pytest.fixture
def scan():
    rng = np.random.default_rng(1)
    return Scan(rng.normal(0, 0.1, (24, 32)).astype(np.float32), (0.2, 0.2))


@pytest.fixture
def folder(tmp_path, scan):
    """A folder with a scan, one outside, and links in and out of it."""
    folder = tmp_path / "scans"
    (folder / "in/.hidden").mkdir(parents=True)
    for path in ("scan.gsf", "in/deep.gsf", ".hidden.gsf", "in/.hidden/scan.gsf"):
        scanmend.write(scan, folder / path)
    scanmend.write(scan, tmp_path / "secret.gsf")
    (folder / "out.gsf").symlink_to(tmp_path / "secret.gsf")
    (folder / "outside").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    (folder / "link.gsf").symlink_to("in/deep.gsf")
    (folder / "notes.txt").write_text("mine")
    os.mkfifo(folder / "pipe.gsf")
    return folder


@pytest.fixture(scope="module")
def reader():
    reader = Reader(Settings(parse_s=5.0, pixels=1 << 20))
    yield reader
    reader.stop()


def test_no_name_leads_outside(folder):
    folders = Folders.of([folder])
    assert len(TRAVERSALS) > 60
    for name in TRAVERSALS:
        # A slash at the end is no attack: it is the file, or the folder, itself.
        if name == "scan.gsf/":
            continue
        with pytest.raises(ReadError, match="choose one that is listed"):
            folders.resolve("0", name)
    for id in ("1", "-1", "", "00000000001", "²", "٠", "0/..", "x"):
        with pytest.raises(ReadError):
            folders.resolve(id, "scan.gsf")


def test_no_name_leads_outside_over_http(folder):
    with serving(Settings((folder,))) as client:
        for name in TRAVERSALS:
            try:
                sent = name.encode().decode()
            except UnicodeEncodeError:
                continue
            listed = client.get("/api/folders/0", params={"path": sent})
            assert listed.status_code in (404, 422), name
            chosen = client.post("/api/files", json={"folder": "0", "path": sent})
            assert chosen.status_code in (404, 422) or name == "scan.gsf/", name
            assert "\n" not in chosen.json().get("error", "")
        for path in ("/../pyproject.toml", "/%2e%2e/app.py", "/..%2fapp.py", "/static/../app.py"):
            assert client.get(path).status_code in (404, 421), path


def test_what_is_inside_is_listed_and_found(folder):
    folders = Folders.of([folder])
    listed = {e["path"]: e for e in folders.entries("0", "")}
    assert set(listed) == {"in", "scan.gsf", "link.gsf"}
    assert listed["scan.gsf"]["size_bytes"] == (folder / "scan.gsf").stat().st_size
    assert [e["path"] for e in folders.entries("0", "in/")] == ["in/deep.gsf"]
    assert folders.resolve("0", "link.gsf") == folder / "in/deep.gsf"
    with pytest.raises(ReadError, match="is no folder: name one that is there"):
        Folders.of([folder / "scan.gsf"])


def test_only_scans_are_chosen(folder, reader):
    files = Files(Settings((folder,), upload_bytes=4000), Folders.of([folder]), reader)
    for path in ("notes.txt", "in"):
        with pytest.raises(ReadError, match="is no scan"):
            files.choose("0", path)
    (folder / "large.gsf").write_bytes(bytes(5000))
    with pytest.raises(ReadError, match=r"large\.gsf has 5000 bytes, and 4000 are allowed here"):
        files.choose("0", "large.gsf")
    files.close()


def test_names_of_sent_files_are_never_paths(reader, folder):
    files = Files(Settings(), Folders.of([]), reader)
    before = sorted(folder.parent.rglob("*"))
    for name in (
        "../../evil.gsf",
        "/tmp/evil.gsf",
        "C:\\evil.gsf",
        "a\x00\n.gsf",
        "x" * 500 + ".gsf",
    ):
        with (folder / "scan.gsf").open("rb") as source:
            file = files.send(source, name)
        assert file.path.parent.parent == files._place and file.path.name == "scan.gsf"
        assert not set(file.name) & set("/\\\x00\n") and len(file.name) <= 120
        taken = files.scan(file, ALL).acquisition
        assert taken.source in (file.name, None)
    for name in ("evil.py", "evil", ".gsf/..", "evil.gsf.exe", ""):
        with (folder / "scan.gsf").open("rb") as source, pytest.raises(UnknownFormat):
            files.send(source, name)
    assert len(list(files._place.iterdir())) == 5
    assert sorted(folder.parent.rglob("*")) == before
    files.close()
    assert not files._place.exists()


def test_a_name_that_says_nothing_still_is_one():
    assert shown_name("a/b\\c.sxm") == "c.sxm"
    assert shown_name("\x00\u202e") == shown_name("..") == shown_name("") == "scan"


def test_what_cannot_be_read_leaves_nothing_behind(reader, tmp_path):
    files = Files(Settings(), Folders.of([]), reader)
    (tmp_path / "x").write_bytes(b"no scan at all")
    with (tmp_path / "x").open("rb") as source, pytest.raises(ReadError, match=r"^mine\.sxm "):
        files.send(source, "mine.sxm")
    assert list(files._place.iterdir()) == []
    files.close()


def test_the_reader_gives_what_the_library_reads(reader, scan, tmp_path):
    path = tmp_path / "stored.npy"
    np.save(path, scan.values)
    how = ALL | {"size_nm": (3.0, 4.0), "unit": "pm"}
    own, read = io.read(path, **how), reader.scan(path, "mine.npy", how)
    np.testing.assert_array_equal(read.values, own.values)
    assert (read.pixel_nm, read.quantity) == (own.pixel_nm, own.quantity)
    assert read.acquisition == replace(own.acquisition, source="mine.npy")
    assert read.history == tuple(s.replace("stored.npy", "mine.npy") for s in own.history)


@pytest.mark.parametrize("suffix", sorted({*io.WRITERS} - {".tiff"}))
def test_half_a_file_and_a_damaged_one_are_one_line(reader, scan, suffix, tmp_path):
    path = tmp_path / f"on-disk{suffix}"
    whole = scanmend.write(scan, path).read_bytes()
    rng = np.random.default_rng(2)
    damaged = np.frombuffer(whole, np.uint8).copy()
    damaged[rng.integers(0, len(whole), len(whole) // 50)] ^= 0xFF
    for content in (whole[: len(whole) // 2], whole[:100], damaged.tobytes()):
        path.write_bytes(content)
        try:
            reader.channels(path, "mine")
            reader.scan(path, "mine", ALL | {"size_nm": (1.0, 1.0)})
        except ScanmendError as error:
            assert "\n" not in str(error) and "on-disk" not in str(error)
    path.write_bytes(whole)
    assert reader.channels(path, "mine")["channels"]


def test_an_image_of_too_many_pixels_is_refused(reader, tmp_path):
    path = tmp_path / "large.npy"
    np.save(path, np.zeros((1025, 1024), np.uint8))
    with pytest.raises(ScanError, match=r"^mine\.npy declares 1025 x 1024 pixels, and 1048576 are"):
        reader.channels(path, "mine.npy")


def test_a_picture_that_swells_is_refused(reader, tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("L", (4096, 4096)).save(path)
    with pytest.raises(CorruptFile, match=r"^mine\.png declares 16777216 bytes of pixels, and has"):
        reader.channels(path, "mine.png")


def test_what_needs_too_much_memory_is_one_line(scan, tmp_path):
    path = tmp_path / "large.npy"
    np.save(path, np.zeros((0, 10000)))
    head = path.read_bytes().replace(b"(0, 10000), }    ", b"(7000, 10000), } ")
    path.write_bytes(head)
    os.truncate(path, len(head) + 7000 * 10000 * 8)  # a file with holes: large, and costs nothing
    good = scanmend.write(scan, tmp_path / "good.gsf")
    reader = Reader(Settings(pixels=1 << 30, parse_bytes=900 << 20))
    try:
        assert reader.channels(path, "mine.npy")["channels"][0]["rows"] == 7000
        with pytest.raises(ScanmendError, match="more memory than reading") as caught:
            reader.scan(path, "mine.npy", ALL | {"size_nm": (9.0, 9.0), "unit": "nm"})
        assert "\n" not in str(caught.value)
        assert reader.channels(good, "good.gsf")["channels"]
    finally:
        reader.stop()


def test_what_takes_for_ever_is_ended_and_the_next_file_is_read(scan, tmp_path):
    reader = Reader(Settings(parse_s=1.5))
    good = scanmend.write(scan, tmp_path / "good.gsf")
    pipe = tmp_path / "pipe.gsf"
    os.mkfifo(pipe)  # opening it waits until somebody writes
    try:
        start = time.monotonic()
        with pytest.raises(CorruptFile, match=r"^mine\.gsf took over 3 s: it is damaged, or too"):
            reader.channels(pipe, "mine.gsf")
        assert time.monotonic() - start < 6
        reader._settings = Settings(parse_s=30)
        assert reader.channels(good, "good.gsf")["format"].startswith("Gwyddion")
    finally:
        reader.stop()


def test_a_reader_that_was_killed_is_begun_again(reader, scan, tmp_path):
    path = scanmend.write(scan, tmp_path / "good.gsf")
    reader.channels(path, "good.gsf")
    process = reader._process
    process.kill()
    process.wait()
    assert reader.channels(path, "good.gsf")["channels"]
    assert reader._process.pid != process.pid


def test_the_reader_ends_with_the_server(scan, tmp_path):
    reader = Reader(Settings())
    reader.start()
    process = reader._process
    process.stdin.close()  # as it is when the server dies, however it dies
    assert process.wait(timeout=20) == 0
    reader.stop()


def test_a_compressed_table_that_is_huge_is_refused(reader, tmp_path):
    path = tmp_path / "bomb.emd"
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group.create_dataset("data", (60000, 60000), "f8", chunks=(1000, 1000), compression="gzip")
        for axis in ("dim1", "dim2"):
            group.create_dataset(axis, data=np.arange(60000.0))
    with pytest.raises(ScanmendError) as caught:
        reader.channels(path, "mine.emd")
    assert "\n" not in str(caught.value)


def test_a_shelf_drops_what_was_longest_unused():
    dropped = []
    shelf = Shelf(10, dropped.append)
    shelf.put("a", "A", 4)
    shelf.put("b", "B", 4)
    assert shelf.get("a") == "A"
    shelf.put("c", "C", 4)
    assert dropped == ["B"] and shelf.get("b") is None and shelf.used == 8
    shelf.put("a", "A2", 5)
    assert dropped == ["B", "A"] and shelf.used == 9
    shelf.put("d", "D", 100)  # larger than the shelf: alone on it
    assert shelf.get("d") == "D" and shelf.used == 100
    shelf.remove("d")
    shelf.remove("d")
    assert shelf.used == 0 and dropped[-1] == "D"


def test_sent_files_give_way_to_newer_ones(reader, folder):
    size = (folder / "scan.gsf").stat().st_size
    files = Files(Settings(disk_bytes=2 * size), Folders.of([]), reader)
    sent = []
    for _ in range(3):
        with (folder / "scan.gsf").open("rb") as source:
            sent.append(files.send(source, "s.gsf"))
    with pytest.raises(Gone, match="never sent, or gave way to newer ones; open it again"):
        files.get(sent[0].id)
    assert not sent[0].path.exists() and files.get(sent[2].id) == sent[2]
    files.close()


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real scans in {REAL}")
def test_real_files_are_read_as_the_library_reads_them(reader):
    path = REAL / "stm/createc_scan_island_60nm.dat"
    np.testing.assert_array_equal(reader.scan(path, path.name, ALL).values, io.read(path).values)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real scans in {REAL}")
def test_a_matrix_image_is_sent_with_its_experiment(reader):
    image, experiment = sorted((REAL / "stm/matrix").iterdir(), key=lambda path: path.suffix)
    files = Files(Settings(), Folders.of([]), reader)
    with image.open("rb") as source, experiment.open("rb") as more:
        file = files.send(source, image.name, [(more, experiment.name)])
    assert file.about["channels"][0]["size_nm"] is not None
    np.testing.assert_array_equal(files.scan(file, ALL).values, io.read(image).values)
    files.close()


def test_only_an_experiment_goes_beside_a_scan(reader, folder):
    files = Files(Settings(), Folders.of([]), reader)
    text = "beside a scan go only the .mtrx files of an Omicron MATRIX experiment"
    for name in ("../a_0001.mtrx", "/a_0001.mtrx", "a\\b_0001.mtrx", ".a_0001.mtrx", "a.sxm", ""):
        with (folder / "scan.gsf").open("rb") as source, pytest.raises(UnknownFormat, match=text):
            files.send(source, "scan.gsf", [(source, name)])
    twice = [(BytesIO(b"a"), "a_0001.mtrx"), (BytesIO(b"b"), "a_0001.mtrx")]
    with pytest.raises(ReadError, match=r"a_0001\.mtrx came twice: send it once"):
        files.send(BytesIO(b""), "a--1_1.Z_mtrx", twice)
    assert list(files._place.iterdir()) == []
    files.close()


def test_the_process_that_reads_needs_no_server():
    script = "import sys, scanmend.web.parse; print(*{n.split('.')[0] for n in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & {"fastapi", "uvicorn", "onnxruntime", "torch"}
