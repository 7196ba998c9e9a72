"""A table of numbers with their intervals, as CSV, LaTeX, Markdown and HTML."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from statistics import median_high


@dataclass(frozen=True, slots=True)
class Cell:
    """A number of a table; one without a value is printed as a dash.

    Attributes:
        value: The number.
        low, high: Ends of its interval; None where there is none.
        n: Of how many samples it is.
        best: Whether it is set in bold.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    best: bool = False

    @property
    def decimals(self) -> int | None:
        """As many as give half the interval's width two figures if the first is 1 or 2, else one.

        None where there is no interval, or one of no width.
        """
        if self.low is None or self.high is None or not 0 < self.high - self.low < math.inf:
            return None
        half = (self.high - self.low) / 2
        exponent = math.floor(math.log10(half))
        return max(0, (1 if half < 3 * 10.0**exponent else 0) - exponent)


@dataclass(frozen=True, slots=True)
class Column:
    """What stands in a column.

    Attributes:
        head: Its name, with the unit.
        group: What it shares with its neighbours, above their heads; may be empty.
        decimals: Of its numbers, where they have no intervals.
        signed: Whether positive numbers have a sign: differences.
    """

    head: str
    group: str = ""
    decimals: int = 3
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its words.

    Attributes:
        name: Short, for links and file names: "table-IX".
        caption: One sentence on what the numbers are of.
        columns: Of every row; the first holds the rows' names.
        rows: As many cells as columns; words stand as they are.
        notes: Sentences below it.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell | str, ...], ...]
    notes: tuple[str, ...] = ()

    def decimals(self, column: int) -> int:
        """Those that the middle one of a column's intervals allows; all its numbers have as many.

        They are 4 at most. Numbers without an interval do not count: they have as many as the
        column says.
        """
        cells = [row[column] for row in self.rows]
        known = [c.decimals for c in cells if isinstance(c, Cell) and c.decimals is not None]
        return min(median_high(known), 4) if known else self.columns[column].decimals

    def words(self, row: int, column: int) -> tuple[str, str]:
        """What is printed for a cell: its number, and its interval or nothing."""
        cell = self.rows[row][column]
        if isinstance(cell, str):
            return cell, ""
        if cell.value is None:
            return "–", ""
        sign = "+" if self.columns[column].signed else ""
        places = self.decimals(column)

        def number(value: float) -> str:
            text = f"{value:{sign}.{places}f}".replace("-", "−")
            return text.lstrip("−+") if not text.strip("−+0.") else text

        if cell.low is None or cell.high is None:
            return number(cell.value), ""
        return number(cell.value), f"{number(cell.low)} to {number(cell.high)}"

    def worded(self, column: int) -> bool:
        """Whether a column holds words only."""
        return all(isinstance(row[column], str) for row in self.rows)

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Names above the heads, each with how many columns it is over; none if all are empty."""
        spans = [(name, len(list(of))) for name, of in groupby(c.group for c in self.columns)]
        return spans if any(name for name, _ in spans) else []


def as_csv(tables: Iterable[Table]) -> str:
    """All tables in one list, a line a number, at full precision."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("table", "row", "group", "column", "value", "low", "high", "n", "best"))
    for table in tables:
        names = [i for i, c in enumerate(table.rows[0]) if isinstance(c, str)] if table.rows else []
        for row in table.rows:
            name = ", ".join(str(row[i]) for i in names if row[i])
            for column, cell in zip(table.columns, row, strict=True):
                if isinstance(cell, Cell) and cell.value is not None:
                    of = (cell.value, cell.low, cell.high, cell.n, int(cell.best))
                    lines.writerow((table.name, name, column.group, column.head, *of))
    return text.getvalue()


def as_markdown(table: Table) -> str:
    """For a README or a page of Sphinx; heads in one line, with their groups before them."""
    heads = [f"{c.group}: {c.head}" if c.group else c.head for c in table.columns]
    rules = ["---" if table.worded(c) else "---:" for c in range(len(heads))]
    lines = [heads, rules]
    for r, row in enumerate(table.rows):
        cells = []
        for c, cell in enumerate(row):
            value, interval = table.words(r, c)
            value = f"**{value}**" if isinstance(cell, Cell) and cell.best else value
            cells.append(f"{value} ({interval})" if interval else value)
        lines.append(cells)
    body = "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )
    notes = "".join(f"\n{note}\n" for note in table.notes)
    return f"{table.caption}\n\n{body}\n{notes}"


def as_latex(table: Table) -> str:
    """A float for booktabs and graphicx, as wide as the page; words are escaped."""
    align = "".join("l" if table.worded(c) else "r" for c in range(len(table.columns)))
    lines = [r"\begin{table*}", r"\centering", rf"\caption{{{latex(table.caption)}}}"]
    lines += [
        rf"\label{{{table.name}}}",
        rf"\resizebox{{\textwidth}}{{!}}{{\begin{{tabular}}{{{align}}}",
        r"\toprule",
    ]
    if groups := table.groups:
        over = [rf"\multicolumn{{{span}}}{{c}}{{{latex(name)}}}" for name, span in groups]
        lines.append(_row(over))
        begins = [1 + sum(span for _, span in groups[:i]) for i in range(len(groups))]
        lines += [
            rf"\cmidrule(lr){{{begin}-{begin + span - 1}}}"
            for begin, (name, span) in zip(begins, groups, strict=True)
            if name
        ]
    lines += [_row(latex(column.head) for column in table.columns), r"\midrule"]
    for r, row in enumerate(table.rows):
        cells = []
        for c, cell in enumerate(row):
            value, interval = map(latex, table.words(r, c))
            value = rf"\textbf{{{value}}}" if isinstance(cell, Cell) and cell.best else value
            cells.append(rf"{value} {{\scriptsize {interval}}}" if interval else value)
        lines.append(_row(cells))
    lines += [r"\bottomrule", r"\end{tabular}}"]
    lines += [rf"\par\smallskip{{\footnotesize {latex(note)}}}" for note in table.notes]
    return "\n".join([*lines, r"\end{table*}", ""])


def as_html(table: Table) -> str:
    """A figure with the table, its caption and its notes."""
    head = ""
    if groups := table.groups:
        cells = (
            f'<th colspan="{span}" scope="colgroup">{escape(name)}</th>'
            if name
            else f'<td colspan="{span}"></td>'
            for name, span in groups
        )
        head = f"<tr>{''.join(cells)}</tr>\n"
    begins = _begins(table)
    kinds = [
        ' class="words"' if table.worded(c) else ' class="begins"' if c in begins else ""
        for c in range(len(table.columns))
    ]
    head += "<tr>" + "".join(
        f'<th scope="col"{kind}>{escape(column.head)}</th>'
        for column, kind in zip(table.columns, kinds, strict=True)
    )
    body = []
    for r, row in enumerate(table.rows):
        cells = []
        for c, cell in enumerate(row):
            value, interval = map(escape, table.words(r, c))
            if c == 0:
                cells.append(f'<th scope="row">{value}</th>')
                continue
            value = f"<strong>{value}</strong>" if isinstance(cell, Cell) and cell.best else value
            if interval:
                value += f"<small>{interval}</small>"
            cells.append(f"<td{kinds[c]}>{value}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    notes = "".join(f"<p>{escape(note)}</p>\n" for note in table.notes)
    return (
        f'<section class="table" id="{escape(table.name)}" tabindex="0">\n<table>\n'
        f"<caption>{escape(table.caption)}</caption>\n<thead>\n{head}</tr>\n</thead>\n"
        f"<tbody>\n{chr(10).join(body)}\n</tbody>\n</table>\n{notes}</section>\n"
    )


_LATEX = {
    **{c: "\\" + c for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "×": r"$\times$",
    "−": r"$-$",
    "–": "--",
    "σ": r"$\sigma$",
    "τ": r"$\tau$",
}


def latex(text: str) -> str:
    """`text` as LaTeX prints it."""
    return "".join(_LATEX.get(character, character) for character in text)


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _begins(table: Table) -> Sequence[int]:
    """Columns with which a group begins."""
    groups = table.groups
    return [sum(span for _, span in groups[:i]) for i in range(1, len(groups))]
