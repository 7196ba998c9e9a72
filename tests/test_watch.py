"""A folder that is watched: every scan once, none before it is whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import scanmend
from scanmend.crystals import silicon
from scanmend.errors import ReadError, RecipeError
from scanmend.scan import Scan
from scanmend.watch import growing
from scanmend.watch.events import Failed, Gone, Growing, Ignored, Restored, Seen
from scanmend.watch.folder import listing
from scanmend.watch.journal import NAME, Journal, sha256
from scanmend.watch.settings import Settings
from scanmend.watch.watcher import Watcher

QUICK = {"interval_s": 0.02, "settle_s": 0.08, "patience_s": 0.6}


@pytest.fixture
def places(tmp_path) -> tuple[Path, Path]:
    """The microscope's folder, and that of the results."""
    (tmp_path / "scans").mkdir()
    return tmp_path / "scans", tmp_path / "results"


def once(places, **other):
    """All events of one pass over the folder."""
    return list(Watcher(Settings(*places, **QUICK | other)).events(once=True))


def kinds(events) -> Counter:
    return Counter(type(event) for event in events)


def scan_of(seed: int, rows: int = 32, columns: int = 40) -> Scan:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns] * 0.19
    values = 0.05 * np.sin(2 * np.pi * x / 0.77 + rng.uniform(0, 6)) + 0.002 * y
    values += 0.003 * rng.standard_normal((rows, columns))
    return Scan(values.astype(np.float32), (0.19, 0.19))


def part(scan: Scan, lines: int, upward: bool = False) -> Scan:
    """It, as far as the microscope has come."""
    values = scan.values.copy()
    values[: len(values) - lines] = np.nan if upward else values[: len(values) - lines]
    values[lines:] = values[lines:] if upward else np.nan
    return scan.after("still being taken", values)


def live(places, act, until, limit_s=20.0, **other):
    """Watches while `act` goes on in a thread of its own, and until `until(events)` holds."""
    watcher = Watcher(Settings(*places, **QUICK | other))
    stop, events = threading.Event(), []
    doing = threading.Thread(target=act)
    clock = threading.Timer(limit_s, stop.set)
    clock.start()
    doing.start()
    for event in watcher.events(stop):
        events.append(event)
        if until(events):
            break
    doing.join()
    clock.cancel()
    assert not stop.is_set(), f"not within {limit_s} s: {kinds(events)}"
    return events


def test_a_hundred_slow_copies_are_read_whole_and_once(places, tmp_path):
    originals = tmp_path / "originals"
    originals.mkdir()
    suffixes = ("sxm", "npy", "gsf", "nc", "tif")
    files = [
        scanmend.write(scan_of(i), originals / f"scan{i:03}.{suffixes[i % 5]}") for i in range(100)
    ]
    sized = [file for file in files if file.suffix != ".npy"]

    def copies() -> None:
        def copy(file: Path) -> None:
            rng = np.random.default_rng(int(file.stem[4:]))
            content = file.read_bytes()
            cuts = sorted(rng.integers(0, len(content), 5))
            with (places[0] / file.name).open("wb") as out:
                if rng.random() < 0.3:  # some programs reserve the whole length first
                    out.truncate(len(content))
                for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
                    out.write(content[start:end])
                    out.flush()
                    # Now and then it stands still for longer than a file needs to settle.
                    time.sleep(rng.choice((0.01, 0.03, 0.2), p=(0.5, 0.3, 0.2)))

        for begin in range(0, 100, 20):
            threads = [threading.Thread(target=copy, args=(f,)) for f in files[begin : begin + 20]]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def all_done(events) -> bool:
        return kinds(events)[Restored] + kinds(events)[Ignored] >= 100

    events = live(places, copies, all_done, limit_s=60, patience_s=1.0, format="gsf")
    restored = [event for event in events if isinstance(event, Restored)]
    assert Counter(e.name for e in restored) == Counter(file.name for file in sized)
    assert not kinds(events)[Failed], [e for e in events if isinstance(e, Failed)]
    for event in restored:  # each from the whole content, and with every line of it
        assert event.source_sha256 == sha256(originals / event.name)
        assert event.measured_rows == event.rows == 32
    for event in restored[::8]:
        got = scanmend.read(places[1] / event.output)
        want = scanmend.restore(scanmend.read(originals / event.name)).mean
        assert np.array_equal(got.values, want.values)


@pytest.mark.parametrize("upward", [False, True])
def test_a_scan_grows_line_by_line_under_one_name(places, upward):
    whole, path = scan_of(1, 192, 48), places[0] / "live.sxm"
    result = places[1] / "live_restored.nc"

    def take() -> None:
        for lines in (8, 40, 100, 150, 192):
            before = result.stat().st_mtime_ns if result.exists() else 0
            scanmend.write(part(whole, lines, upward), path, overwrite=True)
            time.sleep(0.2)
            while 8 < lines < 192 and (not result.exists() or result.stat().st_mtime_ns == before):
                time.sleep(0.02)

    events = live(places, take, lambda events: kinds(events)[Restored], patience_s=5)
    grown = [e for e in events if isinstance(e, Growing)]
    assert [e.measured_rows for e in grown] == [40, 100, 150]
    final = events[-1]
    assert isinstance(final, Restored)
    assert final.measured_rows == 192
    assert {e.output for e in [*grown, final]} == {"live_restored.nc"}
    got = scanmend.read(places[1] / final.output, "restored")
    assert np.array_equal(got.values, scanmend.restore(scanmend.read(path)).mean.values)


def test_only_lines_near_new_ones_are_restored_again(places):
    whole = scan_of(2, 512, 48)
    calls: list[int] = []

    def restore(scan: Scan) -> scanmend.Restoration:
        calls.append(len(scan.values))
        return scanmend.restore(scan)

    before, _ = growing.extend(None, part(whole, 400), restore)
    now, lines = growing.extend(before, part(whole, 410), restore)
    assert calls[1] == lines == 10 + 2 * growing.AROUND
    at_once = scanmend.restore(part(whole, 410))
    error = (now.mean.values - at_once.mean.values)[:410]
    assert np.isnan(now.mean.values[410:]).all()
    spread = at_once.spread.values[:410]
    assert np.sqrt(np.mean(error**2)) < 0.1 * np.median(spread)
    assert (np.abs(error) < 2 * spread).all()
    same, none = growing.extend(now, now.measured, restore)
    assert same is now
    assert none == 0


def test_a_tip_that_changed_leaves_no_step_where_a_preview_goes_on():
    """The lines near the new ones are mostly of the changed tip, those of the scan are not."""
    scan = silicon.surface(np.random.default_rng(7), (256, 64))
    whole = scan.after("longer", scan.values + 0.2 * (np.arange(256) >= 150)[:, None])
    before, _ = growing.extend(None, part(whole, 200), scanmend.restore)
    now, lines = growing.extend(before, part(whole, 204), scanmend.restore)
    assert lines == 4 + 2 * growing.AROUND
    at_once = scanmend.restore(part(whole, 204))
    assert at_once.provenance["jumps_at_line"] == [150]
    error = (now.mean.values - at_once.mean.values)[:204]
    assert np.abs(np.median(error[168:], axis=1)).max() < 0.01


def test_a_scan_that_was_stopped_is_final_after_a_while(places):
    scanmend.write(part(scan_of(3), 20), places[0] / "stopped.sxm")
    events = once(places)
    assert isinstance(events[-1], Restored)
    assert (events[-1].measured_rows, events[-1].rows) == (20, 32)
    assert "20 lines measured" in events[-1].line()


def test_nothing_is_done_twice_not_even_after_a_restart(places):
    scanmend.write(scan_of(4), places[0] / "a.sxm")
    assert kinds(once(places)) == {Seen: 1, Restored: 1}
    written = (places[1] / "a_restored.nc").stat()
    assert once(places) == []
    (places[0] / "a.sxm").rename(places[0] / "b.sxm")
    events = once(places)
    assert isinstance(events[-1], Ignored)
    assert events[-1].why == "the same as a.sxm, which is done: a_restored.nc"
    assert (places[1] / "a_restored.nc").stat().st_mtime_ns == written.st_mtime_ns


def test_another_scan_of_the_same_name_gets_a_result_of_its_own(places):
    path = scanmend.write(scan_of(5), places[0] / "latest.gsf")
    first, content = path.stat(), path.read_bytes()
    pixels = 4 * 32 * 40

    def turned(by: int) -> bytes:
        """Another scan, in a file of the same size."""
        return content[:-pixels] + content[-by:] + content[-pixels:-by]

    once(places)
    result = (places[1] / "latest_restored.nc").read_bytes()
    (places[0] / ".new").write_bytes(turned(400))
    (places[0] / ".new").replace(path)  # as programs do that write whole files
    assert once(places)[-1].output == "latest-2_restored.nc"
    path.write_bytes(turned(800))  # in place, the time put back
    os.utime(path, ns=(first.st_atime_ns, first.st_mtime_ns))
    assert path.stat().st_size == first.st_size
    watcher = Watcher(Settings(*places, **QUICK))
    assert list(watcher.events(once=True))[-1].output == "latest-3_restored.nc"
    path.write_bytes(turned(1200))
    os.utime(path, ns=(first.st_atime_ns, first.st_mtime_ns))
    assert list(watcher.events(once=True))[-1].output == "latest-4_restored.nc"
    assert (places[1] / "latest_restored.nc").read_bytes() == result


def test_nothing_of_the_users_is_overwritten(places):
    places[1].mkdir()
    (places[1] / "a_restored.nc").write_text("mine")
    scanmend.write(part(scan_of(8), 20), places[0] / "a.sxm")
    assert once(places)[-1].output == "a-2_restored.nc"
    (places[1] / "a-2_restored.nc").write_text("changed by hand")
    scanmend.write(scan_of(8), places[0] / "a.sxm", overwrite=True)
    assert once(places)[-1].output == "a-3_restored.nc"
    assert (places[1] / "a_restored.nc").read_text() == "mine"
    assert (places[1] / "a-2_restored.nc").read_text() == "changed by hand"


def test_results_and_strangers_in_the_same_folder_are_left_alone(places):
    folder = places[0]
    scanmend.write(scan_of(9), folder / "a.sxm")
    (folder / "notes.txt").write_text("2 K, new tip")
    (folder / ".hidden.sxm").write_text("")
    assert kinds(once((folder, folder), png=True)) == {Seen: 2, Restored: 1, Ignored: 1}
    shutil.copy(folder / "a_restored.nc", folder / "renamed.nc")
    events = once((folder, folder))
    why = {e.name: e.why for e in events if isinstance(e, Ignored)}
    assert why == {"notes.txt": "it is no scan", "renamed.nc": "it is a result of ours"}
    assert {p.name for p in folder.glob("*_restored*")} == {"a_restored.nc", "a_restored.png"}


def test_half_a_file_fails_in_the_end_and_is_tried_again_when_it_changes(places):
    content = scanmend.write(scan_of(10), places[0] / ".a.sxm").read_bytes()
    path = places[0] / "a.sxm"
    path.write_bytes(content[:-100])

    def go_on() -> None:
        time.sleep(1.5)
        path.write_bytes(content)

    events = live(places, go_on, lambda events: kinds(events)[Restored])
    assert kinds(events) == {Seen: 2, Failed: 1, Restored: 1}
    failed = next(e for e in events if isinstance(e, Failed))
    assert failed.why.startswith("is cut short: 32 x 40 pixels need 5120 bytes")


def test_a_locked_file_is_asked_for_until_it_opens(places, monkeypatch):
    path = scanmend.write(scan_of(11), places[0] / "a.sxm")
    opened, real = [], Path.open

    def locked(self, *args, **kwargs):
        if self == path and len(opened) < 9:
            opened.append(time.monotonic())
            raise PermissionError(13, "Permission denied")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", locked)
    events = live(places, lambda: None, lambda events: kinds(events)[Restored])
    assert kinds(events) == {Seen: 1, Failed: 1, Restored: 1}
    assert "Permission denied" in events[1].why


def test_what_is_deleted_before_it_was_done_is_told(places):
    (places[0] / "a.sxm").write_text(":NANONIS_VERSION:")

    def delete() -> None:
        time.sleep(0.3)
        (places[0] / "a.sxm").unlink()

    assert isinstance(live(places, delete, lambda events: kinds(events)[Gone])[-1], Gone)


def test_a_share_that_goes_away_comes_back(places):
    hidden = places[0].with_name("away")

    def drop() -> None:
        places[0].rename(hidden)
        time.sleep(0.4)
        scanmend.write(scan_of(12), hidden / "a.sxm")
        hidden.rename(places[0])

    events = live(places, drop, lambda events: kinds(events)[Restored])
    assert [e.name for e in events] == [".", "a.sxm", "a.sxm"]
    assert events[0].why == "cannot be listed: No such file or directory"


def test_subfolders_keep_their_names_and_results_are_no_input(places):
    folder = places[0]
    (folder / "monday").mkdir()
    scanmend.write(scan_of(13), folder / "monday" / "a.sxm")
    assert once((folder, folder / "out")) == []
    events = once((folder, folder / "out"), subfolders=True)
    assert events[-1].output == "monday/a_restored.nc"
    assert (folder / "out/monday/a_restored.nc").is_file()
    assert listing(folder, True, folder / "out").keys() == {"monday/a.sxm"}


def test_it_can_be_killed_between_any_two_steps(places):
    """The line is there and its result is not, or half a line is: the scan is done again."""
    scanmend.write(scan_of(14), places[0] / "a.sxm")
    once(places)
    result, journal = places[1] / "a_restored.nc", places[1] / NAME
    line = journal.read_bytes()
    result.unlink()
    assert kinds(once(places))[Restored] == 1
    journal.write_bytes(line[:-30])
    assert once(places)[-1].output == "a-2_restored.nc"  # whose it is can no longer be told
    assert len(Journal(places[1]).entries) == 1
    journal.write_bytes(line[:-30])
    Journal(places[1])
    assert journal.read_bytes() == line[:-30] + b"\n"


def test_killed_at_any_time_it_leaves_nothing_half_written(places):
    for i in range(4):
        scanmend.write(scan_of(20 + i), places[0] / f"s{i}.sxm")
    command = [sys.executable, "-m", "scanmend", "watch", str(places[0]), "-o", str(places[1])]
    command += ["--interval", "0.02", "--settle", "0.05"]
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        for said in process.stdout:
            if ": restored" in said:
                process.kill()
                break
        process.wait()
        process.stdout.close()
    for result in places[1].glob("s*.nc"):
        assert scanmend.read(result, "restored").values.shape == (32, 40)
    once(places)
    assert {p.name for p in places[1].glob("s*")} == {f"s{i}_restored.nc" for i in range(4)}


def test_a_look_opens_no_file_and_each_folder_once(places):
    """Ten thousand scans are looked through every few seconds."""
    (places[0] / "more").mkdir()
    for i in range(50):
        (places[0] / f"{i}.sxm").touch()
        (places[0] / "more" / f"{i}.sxm").touch()
    asked, listening = [], True
    sys.addaudithook(lambda event, _: asked.append(event) if listening else None)
    assert len(listing(places[0], True, places[1])) == 100
    listening = False
    assert asked.count("os.scandir") == 2 and "open" not in asked


def test_only_what_is_new(places):
    scanmend.write(scan_of(15), places[0] / "old.sxm")
    act = lambda: (time.sleep(0.3), scanmend.write(scan_of(16), places[0] / "new.sxm"))  # noqa: E731
    events = live(places, act, lambda events: kinds(events)[Restored], only_new=True)
    assert {e.name for e in events} == {"new.sxm"}


def test_what_cannot_be_watched(places):
    with pytest.raises(ReadError, match=r"there is no folder .*: name one to watch"):
        Watcher(Settings(places[0] / "none", places[1]))
    with pytest.raises(RecipeError, match="settle_s must be above 0, got 0"):
        Settings(*places, settle_s=0)
    with pytest.raises(RecipeError, match="nothing writes 'doc': choose one of nc, gwy"):
        Settings(*places, format="doc")
