"""The command that measures what runs a model best on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

import scanmend

from .batch import bar
from .options import json_option

if TYPE_CHECKING:
    from ..engine.measure import Measured


@click.command()
@click.argument("model", metavar="[NAME|FILE]", required=False)
@click.option(
    "--scans",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many scans scanmend is started for, as a rule: some runtimes start slowly and then "
    "are quick.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="Calls of each size, of which the median counts.",
)
@click.option("--forget", is_flag=True, help="Only measure, and remember nothing.")
@json_option
def bench(model: str | None, scans: int, repeats: int, forget: bool, as_json: bool) -> None:
    """Measures what runs a model quickest here, and remembers it for all that restores.

    Every runtime that is installed is measured, and compared with the plain one. Remembered is the
    quickest of those whose results are as good, for this model, processor and these versions.
    SCANMEND_RUNTIME=NAME overrides it.
    """
    from ..engine import choice, measure, processor

    path = scanmend.models.load(model).path
    with bar(f"{path.name}: runtimes") as progress:
        measured = measure.measure(path, repeats, progress)
    best = measure.best(measured, scans)
    file = None if forget else choice.remember(path, best.name)
    if as_json:
        found = {"model": str(path), "processor": processor(), "best": best.name}
        runtimes = [_told(m, scans) for m in measured]
        click.echo(
            json.dumps({**found, "remembered": file and str(file), "runtimes": runtimes}, indent=2)
        )
        return
    head = f"{'runtime':17} {'512x512':>9} {'128x128':>9} {'start':>8} {'difference':>12}"
    click.echo(head)
    for m in measured:
        if m.why:
            click.echo(f"{m.name:17} {m.why}")
            continue
        note = "  best" if m is best else "" if m.accurate else "  not exact enough"
        times = f"{1e3 * m.image_s:6.1f} ms {1e3 * m.strip_s:6.2f} ms {m.start_s:6.2f} s"
        click.echo(f"{m.name:17} {times} {m.difference:12.2g}{note}")
    click.echo(f"best for {scans} scans a start: {best.runtime}")
    if file:
        click.echo(f"remembered in {file}", err=True)


def _told(measured: Measured, scans: int) -> dict[str, object]:
    """A runtime as JSON; what is not known is null."""
    from ..io.provenance import plain

    facts = {"total_s": measured.total_s(scans), "accurate": measured.accurate}
    return plain(asdict(measured) | facts)
