"""The command that runs a simulated microscope."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .batch import bar
from .options import cluster_option, folder_option, json_option, seed_option, workers_option


@click.command()
@click.argument("experiment", metavar="NAME|FILE.toml")
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=1, show_default=True, help="Scans to take."
)
@folder_option
@seed_option
@click.option(
    "--format",
    "kind",
    type=click.Choice(["files", "shards"]),
    default="files",
    show_default=True,
    help="Files (.sxm of STM, .nc of STEM) with their truth beside them, or shards to train from.",
)
@click.option("--png", is_flag=True, help="A figure besides each scan: ideal and measured.")
@workers_option
@cluster_option
@json_option
def simulate(
    experiment: str,
    count: int,
    folder: Path,
    seed: int,
    kind: str,
    png: bool,
    workers: int,
    cluster: str | None,
    as_json: bool,
) -> None:
    """Takes scans with a simulated microscope, and tells their truth.

    EXPERIMENT is a file, or one of those that come along: of STM graphene, wse2, si111-7x7 ..., of
    STEM mos2-haadf, graphene-haadf ... Scans that are there already are not made again.
    """
    from ..stem import experiment as stem_experiments

    if stem_experiments.is_stem(experiment):
        from ..stem import record

        plan: Any = stem_experiments.load(experiment)
    else:
        from ..stm import experiment as experiments
        from ..stm import record

        plan = experiments.load(experiment)
    with bar(f"{plan.name}: {count} scans") as progress:

        def tell(done: int, total: int) -> None:
            progress(done / total if total else 1.0)

        how = (plan, folder, count, seed, workers, cluster, tell)
        if kind == "shards":
            store = record.to_shards(*how)
            outputs, faults = [str(folder)], [sample.about.get("fault") for sample in store]
        else:
            files = record.to_files(*how, png=png)
            about = [json.loads(file.with_suffix(".json").read_text("utf-8")) for file in files]
            outputs, faults = [str(file) for file in files], [scan.get("fault") for scan in about]
    marked = {number: fault for number, fault in enumerate(faults) if fault}
    if marked:
        first, fault = next(iter(marked.items()))
        click.echo(
            f"scanmend: {len(marked)} of {count} scans are marked; scan {first}: {fault}", err=True
        )
    if as_json:
        click.echo(json.dumps({"outputs": outputs, "faults": marked}, indent=2))
    else:
        click.echo("\n".join(outputs))
