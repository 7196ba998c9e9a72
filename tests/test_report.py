"""The report stands alone, says nothing that its numbers do not, and replaces nobody's file."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from test_tables import evaluated
from test_typeset import Page

from scanmend.errors import ReadError, WriteError
from scanmend.evaluate.estimates import Estimates
from scanmend.evaluate.report import chosen, pictures, write
from scanmend.evaluate.results import DEGRADED
from scanmend.evaluate.summary import summary

MODELS = ("autoencoder", "ddim-small", "fm-small", "fm-large", "si001h", "median")


@pytest.fixture(scope="module")
def results():
    return evaluated(60, ["restore"], MODELS, panels=True)


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "out"
    write(results, folder)
    return folder


@pytest.fixture(scope="module")
def page(folder) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_all_files_are_there_and_are_what_they_are_called(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("report.html", "tables.csv", "tables.tex", "tables.md"),
        *("violins-restoration.png", "damage-restoration.png"),
        *("images-restore-test.png", "images-restore-real.png"),
    }
    for path in folder.glob("*.png"):
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_page_fetches_nothing(page):
    parsed = Page(page)
    tags = [(tag, attrs) for tag, attrs in parsed.tags]
    assert not [tag for tag, _ in tags if tag in ("script", "link", "iframe")]
    sources = [attrs["src"] for _, attrs in tags if "src" in attrs]
    assert len(sources) == 4 and all(s.startswith("data:image/png;base64,") for s in sources)
    assert "@import" not in page and "url(" not in page


def test_the_page_can_be_read_without_seeing_it(page):
    parsed = Page(page)
    heads = [attrs for tag, attrs in parsed.tags if tag == "th"]
    assert heads and all(attrs.get("scope") for attrs in heads)
    images = [attrs for tag, attrs in parsed.tags if tag == "img"]
    assert all(len(attrs["alt"]) > 40 for attrs in images)
    tables = [tag for tag, _ in parsed.tags if tag in ("table", "caption")]
    assert tables == ["table", "caption"] * (len(tables) // 2)
    targets = {attrs["id"] for _, attrs in parsed.tags if "id" in attrs}
    links = [a["href"][1:] for tag, a in parsed.tags if tag == "a" and a["href"][0] == "#"]
    assert links and set(links) <= targets


def test_the_page_says_what_was_run(page):
    for fact in ("scanmend 0.4", "2026-11-21", "A Processor", "cd" * 32, "ab" * 8, "14,735,745"):
        assert fact in page


def test_names_cannot_break_the_page(tmp_path):
    results = evaluated(30, ["restore"], ["fm-small"])
    parts = tuple(
        replace(p, key=p.key._replace(candidate="<b>$x&amp;")) if p.key.candidate != DEGRADED else p
        for p in results.parts
    )
    text = write(replace(results, parts=parts), tmp_path)[0].read_text()
    assert "&lt;b&gt;$x&amp;amp;" in text and "<b>" not in text


def test_nothing_is_replaced_unless_that_is_allowed(tmp_path):
    few = evaluated(30, ["restore"], ["median"])
    kept = tmp_path / "tables.tex"
    kept.write_text("mine")
    with pytest.raises(WriteError, match=r"holds tables.tex already: name another folder, or all"):
        write(few, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tables.tex"]
    write(few, tmp_path, overwrite=True)
    assert kept.read_text() != "mine"


def test_results_of_nothing_are_refused(results, tmp_path):
    with pytest.raises(ReadError, match="holds no scores, distances or timings"):
        write(replace(results, parts=()), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_figures_show_one_of_each_family_and_the_best(results):
    shown = [label.split(",")[0] for label in chosen(Estimates(results), "restore")]
    assert shown == ["degraded", "median", "autoencoder", "fm-small", "fm-large", "si001h"]


def test_the_alternative_of_a_figure_has_its_numbers(results):
    found = {picture.name: picture for picture in pictures(Estimates(results))}
    assert re.search(
        r"SSIM: degraded 0\.\d+, median 0\.\d+, auto", found["violins-restoration"].alt
    )
    assert "multi-tip: degraded" in found["damage-restoration"].alt


def test_the_summary_is_made_of_the_numbers(results):
    found = summary(Estimates(results))
    first, second, third, hardest, kid, _ = found["Restoration"]
    assert re.match(r"Of 6 candidates, si001h, 3 steps has the highest mean SSIM, 0\.96", first)
    assert "and 0.680 in the paper" in second and "the best published model +0.249" in second
    assert re.match(r"Of the paper's models trained here, fm-large, \d+ steps is the best", third)
    assert "is multi-tip" in hardest and hardest.endswith("as in the paper.")
    assert "KID[stm-encoder]" in kid and "All can be told from clean ones." in kid


def test_the_summary_claims_no_more_than_the_intervals_allow():
    few = evaluated(12, ["restore"], ["fm-small", "fm-large"], seed=5)
    parts = [p for p in few.parts if p.scores is None or p.key.candidate in (DEGRADED, "fm-large")]
    twin = [replace(p, key=p.key._replace(candidate="twin")) for p in parts if p.key.steps == 10]
    found = summary(Estimates(replace(few, parts=(*parts, *twin))))
    assert "it cannot be told from" in found["Restoration"][0]
