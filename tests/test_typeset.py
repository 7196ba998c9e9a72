"""A table is the same in every form, says how sure it is, and breaks no page."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from scanmend.evaluate.typeset import (
    Cell,
    Column,
    Table,
    as_csv,
    as_html,
    as_latex,
    as_markdown,
    latex,
)

TABLE = Table(
    "table-IX",
    "Restoration of 2,000 images & <more>",
    (
        Column("model"),
        Column("PSNR (dB)", "ours", 2),
        Column("gain", "ours", 2, signed=True),
        Column("PSNR (dB)", "paper", 2),
    ),
    (
        ("degraded", Cell(20.0, 19.83, 20.17, 2000), Cell(), Cell(20.0)),
        (
            "FM_Large | <b>",
            Cell(29.344, 29.1, 29.5, 2000, best=True),
            Cell(-0.25, -0.31, 0.002, 2000),
            Cell(31.57),
        ),
    ),
    ("Bold: the best of 100 %.",),
)


@pytest.mark.parametrize(
    ("half", "decimals"),
    [(0.0042, 3), (0.17, 2), (0.031, 2), (0.00029, 5), (3.2, 0), (1.7, 1), (25, 0), (0.999, 1)],
)
def test_the_width_of_the_interval_says_how_many_decimals_are_known(half, decimals):
    assert Cell(5.0, 5.0 - half, 5.0 + half).decimals == decimals


@pytest.mark.parametrize("low, high", [(None, None), (1.0, 1.0), (float("-inf"), 1.0)])
def test_no_interval_says_nothing(low, high):
    assert Cell(1.0, low, high).decimals is None


def test_numbers_of_a_column_have_as_many_decimals_as_its_middle_interval():
    rows = tuple((Cell(1.23456, 1.23456 - h, 1.23456 + h),) for h in (0.5, 0.05, 0.04, 0.00003))
    table = Table("t", "", (Column("x"),), rows)
    assert [table.words(i, 0) for i in (0, 2)] == [
        ("1.23", "0.73 to 1.73"),
        ("1.23", "1.19 to 1.27"),
    ]


def test_numbers_have_four_decimals_at_most():
    table = Table("t", "", (Column("gain", signed=True),), ((Cell(0.0, -1e-9, 1e-9),),))
    assert table.words(0, 0) == ("0.0000", "0.0000 to 0.0000")


def test_minus_is_a_minus_and_zero_has_no_sign():
    rows = ((Cell(-0.001),), (Cell(0.001),), (Cell(-0.31),), (Cell(0.31),), (Cell(None),))
    table = Table("t", "", (Column("x", decimals=2, signed=True),), rows)
    assert [table.words(i, 0)[0] for i in range(5)] == ["0.00", "0.00", "−0.31", "+0.31", "–"]


def test_csv_holds_every_number_in_full():
    lines = list(csv.DictReader(io.StringIO(as_csv([TABLE, TABLE]))))
    assert len(lines) == 10
    gain = next(line for line in lines if line["column"] == "gain")
    assert (gain["table"], gain["row"], gain["group"]) == ("table-IX", "FM_Large | <b>", "ours")
    assert [float(gain[key]) for key in ("value", "low", "high", "n")] == [
        -0.25,
        -0.31,
        0.002,
        2000,
    ]
    assert [line["best"] for line in lines[:5]] == ["0", "0", "1", "0", "0"]
    assert {line["low"] for line in lines if line["group"] == "paper"} == {""}


def test_markdown_has_a_row_for_each_row():
    caption, _, heads, rules, degraded, large, _, note = as_markdown(TABLE).splitlines()
    assert caption == TABLE.caption and note == TABLE.notes[0]
    assert heads == "| model | ours: PSNR (dB) | ours: gain | paper: PSNR (dB) |"
    assert rules == "| --- | ---: | ---: | ---: |"
    assert degraded == "| degraded | 20.00 (19.83 to 20.17) | – | 20.00 |"
    assert large.startswith(
        r"| FM_Large \| <b> | **29.34** (29.10 to 29.50) | −0.25 (−0.31 to 0.00"
    )


def test_latex_escapes_what_it_would_obey():
    assert latex(r"50 % & _x^2 \cmd {a} #1 $ ~ ×2 <") == (
        r"50 \% \& \_x\textasciicircum{}2 \textbackslash{}cmd \{a\} \#1 \$ \textasciitilde{} "
        r"$\times$2 \textless{}"
    )


def test_latex_is_a_booktabs_table():
    lines = as_latex(TABLE).splitlines()
    assert r"\caption{Restoration of 2,000 images \& \textless{}more\textgreater{}}" in lines
    assert r"\resizebox{\textwidth}{!}{\begin{tabular}{lrrr}" in lines
    assert (
        r"\multicolumn{1}{c}{} & \multicolumn{2}{c}{ours} & \multicolumn{1}{c}{paper} \\" in lines
    )
    assert [line for line in lines if "cmidrule" in line] == [
        r"\cmidrule(lr){2-3}",
        r"\cmidrule(lr){4-4}",
    ]
    bold = r"\textbf{29.34} {\scriptsize 29.10 to 29.50} & $-$0.25 {\scriptsize $-$0.31 to 0.00}"
    assert any(bold in line for line in lines)
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert [line.count(" & ") for line in body] == [3, 3]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_latex_compiles(tmp_path):
    head = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
    (tmp_path / "t.tex").write_text(head + as_latex(TABLE) + r"\end{document}")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode()[-2000:]


class Page(HTMLParser):
    """A page that was read: its tags, its text, and that tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "tags do not nest"

    def handle_data(self, data):
        self.text.append(data)


def test_html_nests_and_every_head_has_its_scope():
    page = Page(as_html(TABLE))
    assert not page.open
    heads = [attrs["scope"] for tag, attrs in page.tags if tag == "th"]
    assert heads == ["colgroup"] * 2 + ["col"] * 4 + ["row"] * 2
    assert [attrs.get("colspan") for tag, attrs in page.tags if "colspan" in attrs] == list("121")
    assert "FM_Large | <b>" in page.text and TABLE.caption in page.text
    assert [tag for tag, _ in page.tags].count("strong") == 1


def test_a_table_without_groups_has_one_line_of_heads():
    table = Table("t", "c", (Column("model"), Column("SSIM")), (("FM", Cell(0.9)),))
    assert as_html(table).count("<tr>") == 2
    assert "cmidrule" not in as_latex(table)
    assert Page(as_html(table)).open == []
