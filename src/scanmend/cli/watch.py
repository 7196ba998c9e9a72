"""The command that restores what a microscope writes, as it appears."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .options import folder_option, model_option

_seconds = click.FloatRange(min=0, min_open=True)


@click.command()
@click.argument("source", metavar="DIR", type=click.Path(path_type=Path))
@folder_option
@model_option
@click.option("--channel", metavar="NAME", help="By default the first height; see `info`.")
@click.option("--direction", type=click.Choice(["forward", "backward"]))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["nc", "gwy", "gsf", "tif", "npy", "sxm"]),
    default="nc",
    show_default=True,
    help="nc and gwy hold what was measured and the spread too.",
)
@click.option("--png", is_flag=True, help="A figure besides: images and Fourier transforms.")
@click.option("--subfolders", is_flag=True, help="Watch those as well.")
@click.option("--new", "only_new", is_flag=True, help="Leave alone what is there already.")
@click.option("--once", is_flag=True, help="Do what is there, and end.")
@click.option(
    "--interval",
    "interval_s",
    type=_seconds,
    default=1.0,
    show_default=True,
    help="Seconds between two looks into the folder.",
)
@click.option(
    "--settle",
    "settle_s",
    type=_seconds,
    default=2.0,
    show_default=True,
    help="Seconds that a file must stand still before it is read.",
)
@click.option(
    "--patience",
    "patience_s",
    type=_seconds,
    default=30.0,
    show_default=True,
    help="Seconds after which a damaged file is reported, and an unfinished scan is final.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line.")
def watch(source: Path, folder: Path, kind: str, once: bool, as_json: bool, **how: object) -> None:
    """Restores what a microscope writes into a folder, as it appears.

    A file is read when it stands still; a scan that is still being taken, line by line where its
    format says how far it is. What was done is kept in the output folder, and not done again.
    """
    from ..watch.events import Failed
    from ..watch.settings import Settings
    from ..watch.watcher import Watcher

    failed = False
    watcher = Watcher(Settings(source, folder, format=kind, **how))  # pyright: ignore[reportArgumentType]
    for event in watcher.events(once=once):
        failed |= isinstance(event, Failed)
        click.echo(json.dumps(event.table()) if as_json else event.line())
    if failed:
        raise click.exceptions.Exit(1)
