"""The command that compares models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import RecipeError, WriteError
from .batch import bar
from .options import Reading, json_option, reading_options, seed_option, workers_option

if TYPE_CHECKING:
    from ..evaluate.results import Part

_MAIN = ("table-IX", "table-XI", "defects")
"""The tables that are printed: every candidate, at every number of steps, on the test sets."""


@click.command()
@click.argument("sets", metavar="SETS_FOLDER", type=click.Path(path_type=Path))
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="FILE.onnx@2,5,10|NAME|cmd:NAME=COMMAND",
    help="What to compare, as often as you like: model files at so many steps, models that come "
    "along, median, BM3D, cubic spline ..., or a program: cmd:NAME='prog {input} {output}'.",
)
@click.option(
    "--real",
    multiple=True,
    metavar="[x2=|x4=]FOLDER",
    help="Degraded scans; those of few lines with their task. What is made of them is compared "
    "with --clean.",
)
@click.option(
    "--clean",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Clean scans of such surfaces.",
)
@click.option("--count", type=click.IntRange(min=1), help="Images of each set at most.")
@click.option(
    "--embedder",
    metavar="[NAME=]FILE.onnx",
    help="Takes the features that KID and CMMD compare; by default the one that comes along.",
)
@click.option(
    "--defects",
    metavar="MATERIAL|FILE.onnx|METHOD",
    help="Looks for defects that were made up or wiped out, by what `scanmend defects` would.",
)
@click.option("--no-distances", is_flag=True, help="Without KID and CMMD, which take long.")
@click.option(
    "-o",
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="evaluation",
    show_default=True,
    help="For results and report; what is there already is not found out again.",
)
@click.option("--overwrite", is_flag=True, help="Replace the report of an earlier run.")
@seed_option
@workers_option
@reading_options
@json_option
def evaluate(
    sets: Path,
    models: Sequence[str],
    real: Sequence[str],
    clean: Path | None,
    count: int | None,
    embedder: str | None,
    defects: str | None,
    no_distances: bool,
    folder: Path,
    overwrite: bool,
    seed: int,
    workers: int,
    reading: Reading,
    as_json: bool,
) -> None:
    """Compares models on test sets that `scanmend pairs` made, and on real scans.

    PSNR and SSIM of every image, KID and CMMD of every set, and seconds an image; written as a
    report of one page, tables as CSV and LaTeX, and figures.
    """
    from ..evaluate import candidates, protocol, report, sources
    from ..evaluate.estimates import Estimates
    from ..evaluate.faults import Finder
    from ..evaluate.tables import tables
    from ..evaluate.typeset import as_markdown

    compared = [candidate for text in models for candidate in candidates.parse(text)]
    on = dict[tuple[str, str], sources.Source](sources.of_folder(sets, count))
    if clean and not real:
        raise RecipeError("--clean is what --real is compared with: name both")
    for text in real:
        task, equals, where = text.partition("=")
        if not equals or task not in sources.TASKS:
            task, where = "restore", text
        on[task, "real"] = sources.Real(Path(where), clean, task, reading.scan, count)
    embedding = None
    if not no_distances:
        name, _, file = (embedder or "").rpartition("=")
        embedding = protocol.Embedding(Path(file) if file else None, name or None)
    page = folder / "report.html"
    if page.exists() and not overwrite:
        raise WriteError(f"{page} exists already: choose another -o, or --overwrite")
    finder = Finder(defects) if defects else None
    asked = protocol.Evaluation(folder, tuple(compared), on, embedding, seed, count, finder)
    with bar(f"{sets}: evaluation") as progress:

        def tell(done: int, total: int) -> None:
            progress(done / total)

        found = protocol.run(asked, workers, tell)
    written = report.write(found, folder, overwrite=overwrite)
    if as_json:
        parts = [_means(part) for part in found.parts]
        files = [str(path) for path in written]
        click.echo(
            json.dumps({**asdict(found.provenance), "parts": parts, "files": files}, indent=2)
        )
        return
    main = [table for table in tables(Estimates(found)) if table.name in _MAIN]
    click.echo("\n".join(map(as_markdown, main)))
    click.echo(f"wrote {page}")


def _means(part: Part) -> dict[str, Any]:
    """A part without its images: means of what is finite."""
    import numpy as np

    result: dict[str, Any] = {**part.key._asdict(), **part.candidate, "seconds": part.seconds}
    if part.scores:
        result["images"] = len(part.scores.ssim)
        faults = part.faults._asdict() if part.faults else {}
        for name, values in (part.scores._asdict() | faults).items():
            known = values[np.isfinite(values)]
            result[name] = float(known.mean()) if known.size else None
    result["distances"] = [asdict(distance) for distance in part.distances]
    return result | {"timing": part.timing and asdict(part.timing)}
