"""The examples run, and write what they promise."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
EXAMPLES = [path for path in EXAMPLES if path.stem != "client"]  # that needs a server: test_web_api
WRITES = {
    "restore": {"mended.gwy", "mended.png"},
    "simulate": {"graphene_0.gwy", "graphene_1.gwy"},
    "surface": {"surface.png"},
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(example)])
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == WRITES.get(example.stem, set())
    assert len(example.read_text().splitlines()) < 40
