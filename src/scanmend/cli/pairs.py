"""The commands that make what models are trained on, and fetch what others published."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import RecipeError
from .batch import bar, expand
from .options import (
    Reading,
    cluster_option,
    folder_option,
    json_option,
    reading_options,
    seed_option,
    workers_option,
)

if TYPE_CHECKING:
    from ..pairs.clean import Folder, Surface


def _count(name: str, default: int, what: str) -> Callable:
    return click.option(
        f"--{name}",
        type=click.IntRange(min=0),
        default=default,
        show_default=True,
        help=f"Pairs {what}; 0 for none.",
    )


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="FOLDER|FILE...|SURFACE")
@folder_option
@click.option(
    "--recipe",
    default="paper",
    show_default=True,
    metavar="NAME|FILE.toml",
    help="What happens to the clean images; see `degrade`.",
)
@click.option(
    "--task",
    type=click.Choice(["restore", "x2", "x4", "all"]),
    default="all",
    show_default=True,
    help="All lines, every second, every fourth.",
)
@_count("train", 20_000, "to train on")
@_count("validation", 2_000, "to validate with")
@_count("test", 2_000, "to test with")
@_count("isolated", 1_000, "to test each kind of damage alone with")
@click.option(
    "--split",
    default="36,12,6",
    show_default=True,
    metavar="N,N,N",
    help="Images to train, validate and test with: how many, or in which ratio.",
)
@seed_option
@workers_option
@cluster_option
@reading_options
@json_option
def pairs(
    sources: Sequence[str],
    folder: Path,
    recipe: str,
    task: str,
    train: int,
    validation: int,
    test: int,
    isolated: int,
    split: str,
    seed: int,
    workers: int,
    cluster: str | None,
    reading: Reading,
    as_json: bool,
) -> None:
    """Makes pairs of clean and damaged images to train, validate and test with.

    Of clean scans of one surface, a folder or files, split by image before anything is cut from
    them; split already if the folder has folders train, validation and test. Or of a surface that
    is simulated: si001h or surface. Pairs that are there already are not made again.
    """
    from ..degrade import recipe as recipes
    from ..pairs import clean, sets

    damage = recipes.load_file(recipe) if recipe.endswith(".toml") else recipes.preset(recipe)
    images = _source(sources, split, reading)
    for path in images.left_out if isinstance(images, clean.Folder) else ():
        click.echo(f"{click.format_filename(path)}: no scan, left out", err=True)
    tasks = tuple(sets.TASKS) if task == "all" else (task,)
    counts = sets.Counts(train, validation, test, isolated)
    with bar(f"{' '.join(sources)}: pairs") as progress:

        def tell(done: int, total: int) -> None:
            progress(done / total if total else 1.0)

        made = sets.build(images, damage, folder, tasks, counts, seed, workers, cluster, tell)
    if as_json:
        listed = {
            of: {name: {"folder": str(s.folder), "pairs": len(s)} for name, s in each.items()}
            for of, each in made.items()
        }
        click.echo(json.dumps({"source": images.table(), "sets": listed}, indent=2))
        return
    for each in made.values():
        for store in each.values():
            click.echo(f"{store.folder}: {len(store)} pairs")


def _source(sources: Sequence[str], split: str, reading: Reading) -> Folder | Surface:
    from ..pairs import clean

    try:
        train, validation, test = (int(part) for part in split.split(","))
    except ValueError:
        raise RecipeError(f"--split is three numbers such as 36,12,6, got {split!r}") from None
    where: Path | list[Path] = Path(sources[0])
    if len(sources) > 1 or not where.is_dir():
        where = [Path(file) for file in expand(sources)]
        if len(where) == 1 and not where[0].is_file():
            return clean.Surface(sources[0])
    size = reading.size_nm
    return clean.folder(
        where,
        (train, validation, test),
        channel=reading.channel,
        direction=reading.direction,
        size_nm=size and ((None, size[0]) if len(size) == 1 else (size[1], size[0])),
        unit=reading.unit,
    )


@click.group()
def data() -> None:
    """Data sets that others have published."""


@data.command()
@click.argument("name", metavar="NAME")
@folder_option
@click.option("--host", metavar="URL", help="Of the archive; by default https://zenodo.org.")
@json_option
def fetch(name: str, folder: Path, host: str | None, as_json: bool) -> None:
    """Downloads a data set by its DOI, checks it, and unpacks it: kolev2025.

    What is there already is not fetched again.
    """
    from ..pairs import published

    with bar(name) as progress:

        def tell(done: int, total: int) -> None:
            progress(done / total)

        files = published.fetch(name, folder, host or published.HOST, tell)
    if as_json:
        found = {"data_set": name, "doi": published.DATA_SETS[name].doi}
        click.echo(json.dumps(found | {"files": [str(file) for file in files]}, indent=2))
    else:
        click.echo("\n".join(map(str, files)))
