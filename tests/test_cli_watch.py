"""The command that watches a folder."""

from __future__ import annotations

import json

import scanmend

QUICK = ("--once", "--interval", 0.05, "--settle", 0.1)


def test_one_line_for_each_event(run, terrace, tmp_path):
    (tmp_path / "in").mkdir()
    scanmend.write(terrace, tmp_path / "in/a.sxm")
    (tmp_path / "in/notes.txt").write_text("x")
    status, out, err = run("watch", "in", "-o", "out", "--png", *QUICK)
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert any(line.startswith("a.sxm: seen, ") for line in lines)
    assert "notes.txt: left out, it is no scan" in lines
    assert lines[-1].startswith("a.sxm: restored in ")
    assert "s, 46 lines measured -> a_restored.nc; tip: nothing stands out" in lines[-1]
    assert (tmp_path / "out/a_restored.png").is_file()
    assert (
        run("watch", "in", "-o", "out", *QUICK)[1]
        == "notes.txt: seen, 0 KiB\n"
        + lines[lines.index("notes.txt: left out, it is no scan")]
        + "\n"
    )


def test_json_lines_and_a_status_that_tells_of_failures(run, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.sxm").write_text(":NANONIS_VERSION:\n2\n")
    status, out, _ = run("watch", "in", "--json", *QUICK)
    told = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert [event["event"] for event in told] == ["seen", "failed"]
    assert told[1]["name"] == "a.sxm"
    assert told[1]["why"].startswith("the header never ends")


def test_what_cannot_be_watched_is_one_line(run):
    status, _, err = run("watch", "none", *QUICK)
    assert (status, err) == (1, "scanmend: there is no folder none: name one to watch\n")
    assert run("watch", ".", "--settle", 0)[0] == 2
