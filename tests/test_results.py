"""What an evaluation found comes back from disk to the bit, and nothing else passes for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scanmend.errors import CorruptFile, ReadError, RecipeError, WriteError
from scanmend.evaluate import results
from scanmend.evaluate.distances import Distance
from scanmend.evaluate.metrics import Scores
from scanmend.evaluate.results import Key, Part, Provenance, Results, Timing

SETS = {"restore/test": {"manifest_sha256": "ab", "samples": 5}}
PROVENANCE = Provenance("1.0", "2026-11-21T14:00:00+00:00", 7, None, SETS)
FM = {"kind": "model", "model": "fm", "sha256": "cd", "calls": 4, "parameters": 3608161}
TIMING = Timing(0.25, 0.06, 4, 10, "cpu", 2, "a processor")
DISTANCE = Distance("KID[e]", 0.01, 0.002, 0.008, 0.012, 5, 5, 0.0, -0.001, 0.001, 2, 0.95)


def written(found: Results, folder: Path) -> None:
    there = {part.key for part in results.begin(folder, found.provenance).parts}
    for part in found.parts:
        if part.key not in there:
            results.keep(folder, part)


@pytest.fixture
def found(rng) -> Results:
    """Two parts with scores, of which one is perfect, and a timing."""
    scores = Scores(*rng.normal(size=(5, 5)))
    perfect = scores._replace(psnr_dB=np.full(5, np.inf))
    image = rng.uniform(-1, 1, (2, 8, 8)).astype(np.float16)
    panels = {"degraded": image, "restored": image / 2, "clean": -image}
    return Results(
        PROVENANCE,
        (
            Part(Key("degraded", None, "restore", "test"), {"kind": "input"}, perfect),
            Part(Key("fm", 2, "restore", "test"), FM, scores, (DISTANCE,), panels, 1.5),
            Part(Key("fm", 2, "restore", "128x128"), FM, timing=TIMING),
        ),
    )


def test_what_was_found_comes_back(found, tmp_path):
    written(found, tmp_path / "e")
    back = results.load(tmp_path / "e")
    assert back.provenance == found.provenance
    assert {part.key for part in back.parts} == {part.key for part in found.parts}
    for part in found.parts:
        of = back.find(part.key.candidate, part.key.steps, on=part.key.on)
        assert (of.candidate, of.distances, of.seconds, of.timing) == (
            *(part.candidate, part.distances, part.seconds, part.timing),
        )
        assert (of.scores is None) == (part.scores is None)
        for ours, theirs in zip(part.scores or (), of.scores or (), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert of.panels.keys() == part.panels.keys()
        for name, values in part.panels.items():
            np.testing.assert_array_equal(of.panels[name], values)
    assert back.runs() == [("degraded", None), ("fm", 2)]


def test_an_evaluation_goes_on_but_no_other_one_does(found, tmp_path):
    written(replace(found, parts=found.parts[:1]), tmp_path)
    later = replace(PROVENANCE, started="2026-11-22T09:00:00+00:00")
    written(replace(found, provenance=later), tmp_path)
    back = results.load(tmp_path)
    assert len(back.parts) == 3
    assert back.provenance.started == PROVENANCE.started
    with pytest.raises(RecipeError, match=r"\(set x2/test, seed 7, now 8, count None, now 3\)"):
        sets = SETS | {"x2/test": {"manifest_sha256": "ef", "samples": 5}}
        results.begin(tmp_path, replace(PROVENANCE, seed=8, count=3, sets=sets))


def test_a_part_is_written_once(found, tmp_path):
    written(found, tmp_path)
    with pytest.raises(WriteError, match="exists already"):
        results.keep(tmp_path, found.parts[1])


def test_parts_are_in_the_order_that_was_asked_for(found):
    asked = [found.parts[2].key, found.parts[0].key, Key("else", None, "x2", "test")]
    order = results.merged(asked, found.parts, PROVENANCE).parts
    assert [part.key for part in order] == [*asked[:2], found.parts[1].key]


def test_what_is_no_evaluation_is_refused(found, tmp_path):
    with pytest.raises(ReadError, match=r"holds no evaluation: no evaluation\.json in it"):
        results.load(tmp_path)
    written(found, tmp_path)
    file = tmp_path / "found/restore.test.fm@2.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptFile, match="delete it, and it is made again"):
        results.load(tmp_path)
    (tmp_path / "evaluation.json").write_text("{}")
    with pytest.raises(CorruptFile, match=r"evaluation\.json is damaged"):
        results.load(tmp_path)
    (tmp_path / "evaluation.json").unlink()
    with pytest.raises(ReadError, match=r"but no evaluation\.json: name another"):
        results.begin(tmp_path, PROVENANCE)
