"""The commands of blind studies: making one, and its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import StudyError
from .batch import bar, expand
from .options import Reading, reading_options, seed_option

if TYPE_CHECKING:
    from ..study.material import Item, Method

_KINDS = ("text", "results.csv", "answers.csv", "results.json")
_FILE = click.argument("file", metavar="STUDY.sqlite", type=click.Path(path_type=Path))


@click.group()
def study() -> None:
    """Blind studies: which method do people who know such scans prefer?"""


@study.command()
@_FILE
@click.argument("scans", nargs=-1, required=True, metavar="SCAN...")
@click.option("--model", "models", multiple=True, metavar="NAME|FILE", help="Restores each scan.")
@click.option(
    "--outputs",
    multiple=True,
    metavar="[NAME=]DIR",
    help="A method's finished outputs: STEM.* or STEM_* for each scan; named as the folder.",
)
@click.option(
    "--factor",
    type=click.Choice(["1", "2", "4"]),
    default="1",
    show_default=True,
    help="Lines for each measured one that the models make.",
)
@click.option("--mend", is_flag=True, help="Models that upscale remove damage as well.")
@click.option("--calls", type=click.IntRange(min=1), help="Calls of the models' networks.")
@click.option("--title", default="Which is best?", show_default=True, help="Raters see it.")
@click.option("--question", help="What raters are asked.")
@click.option(
    "--colours",
    type=click.Choice(["inferno", "viridis", "cividis", "gold", "grey"]),
    default="inferno",
    show_default=True,
)
@click.option(
    "--level",
    "levelling",
    type=click.Choice(["plane", "none"]),
    default="plane",
    show_default=True,
    help="What is taken off each image before it is shown.",
)
@seed_option
@reading_options
def make(
    file: Path,
    scans: Sequence[str],
    models: Sequence[str],
    outputs: Sequence[str],
    factor: str,
    mend: bool,
    calls: int | None,
    title: str,
    question: str | None,
    colours: str,
    levelling: str,
    seed: int,
    reading: Reading,
) -> None:
    """Makes a study of measured SCANs and what several methods make of each.

    Two to eight methods: models, and folders of finished outputs. `scanmend serve --study` opens
    it to its raters.
    """
    from ..study import material, records, store

    paths = [_there(source) for source in expand(scans)]
    methods: dict[str, Method] = {}
    told: dict[str, Any] = {}

    def add(name: str, method: Method, **how: object) -> None:
        if name in methods:
            raise StudyError(f"two methods are called {name}: name one with --outputs NAME=DIR")
        methods[name], told[name] = method, how

    for model in models:
        network = material.Network(model, int(factor), mend, calls)
        name = Path(model).name
        add(name.removesuffix(".onnx"), network, model=name, factor=int(factor), calls=calls)
    alone = replace(reading, channel=None, direction=None)
    for text in outputs:
        name, _, where = text.rpartition("=")
        folder = Path(where)
        if not folder.is_dir():
            raise StudyError(f"{where} is no folder: name one of finished outputs")
        files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
        found = material.Outputs(files, [path.stem for path in paths], alone.scan)
        add(name or folder.resolve().name, found, folder=folder.resolve().name)
    material.must_be_comparable(paths, methods)
    readers = {path: lambda path=path: reading.scan(path) for path in paths}
    about = records.About(title, question or records.QUESTION, seed, colours, levelling, told)
    with bar(f"{file.name}: {len(paths)} scans") as progress:

        def items() -> Iterator[Item]:
            for done, item in enumerate(material.items(readers, methods, levelling), 1):
                progress(done / len(paths))
                yield item

        count = store.create(file, about, tuple(methods), items())
    click.echo(f"{file}: {count} scans, {len(methods)} methods: {', '.join(methods)}")


@study.command()
@_FILE
@click.option("--as", "kind", type=click.Choice(_KINDS), default="text", show_default=True)
def results(file: Path, kind: Any) -> None:
    """The results so far: mean rating, mean rank, share of firsts, agreement of the raters."""
    from ..study import results as outcome
    from ..study import store, tables

    with store.Store(file) as opened:
        if kind == "text":
            click.echo(tables.as_text(outcome.results(opened)))
        else:
            click.echo(tables.exported(opened, kind), nl=kind.endswith("json"))


def _there(source: Path | str) -> Path:
    if isinstance(source, str) or not source.is_file():
        raise StudyError(f"{source} is no scan, and no folder that holds any")
    return source
