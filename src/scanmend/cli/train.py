"""The command that trains a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..errors import RecipeError, TrainingError
from .options import json_option

_MISSING = 'training needs PyTorch: pip install "scanmend[train]"'


@click.command()
@click.argument("settings", metavar="[NAME|FILE.toml]", required=False)
@click.option("--from", "start", metavar="NAME|FILE", help="Begin with the weights of a model.")
@click.option(
    "-o",
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="For checkpoint, log and model.  [default: runs/NAME, or runs/NAME-TASK]",
)
@click.option("--clean", "source", metavar="FOLDER", help="Learn from clean scans of your own.")
@click.option(
    "--sets",
    "stored",
    metavar="FOLDER",
    help="Learn from what `scanmend pairs`, or `simulate --format shards`, made.",
)
@click.option("--marked", metavar="FOLDER|CSV", help="Learn from marked scans of your own.")
@click.option("--new-class", "new", multiple=True, help="Of defects, in marked scans only.")
@click.option("--task", metavar="restore|x2|x4|defects", help="Another one than the settings say.")
@click.option("--recipe", metavar="NAME|FILE.toml", help="Other damage than the settings say.")
@click.option("--iterations", type=click.IntRange(min=1), help="Other than the settings say.")
@click.option("--batch", type=click.IntRange(min=1), help="Other than the settings say.")
@click.option("--rate", "learning_rate", type=float, help="Other than the settings say.")
@click.option("--seed", type=click.IntRange(min=0), help="Other than the settings say.")
@click.option("--minutes", type=float, help="Stop after so many, and keep the state.")
@click.option("--find-rate", is_flag=True, help="Only tell at which rate it learns fastest.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="By default the quickest.")
@click.option("--workers", type=click.IntRange(min=0), default=1, help="Processes for samples.")
@click.option("--threads", type=click.IntRange(min=1), help="Of the processor; all by default.")
@click.option("--int8", is_flag=True, help="Also write a model of 8 bits, if nearly as exact.")
@click.option("--compile", "compiled", is_flag=True, help="Minutes more at first, quicker then.")
@json_option
def train(
    settings: str | None,
    folder: Path | None,
    minutes: float | None,
    find_rate: bool,
    device: str | None,
    workers: int,
    threads: int | None,
    int8: bool,
    compiled: bool,
    as_json: bool,
    **changes: Any,
) -> None:
    """Trains a network, or goes on training it, and writes a model file.

    The settings are a file, or one of those that come along: si001h, fm-small, ddim-large-fft ...;
    with --from, by default those of the model, for a shorter training at a lower rate. What is in
    the folder already is gone on from. Several processes share the work when begun by torchrun -m
    scanmend train ...
    """
    if not (settings or changes["start"]):
        raise click.UsageError("say what to train: settings, or --from a model")
    if changes["stored"] and (changes["source"] or changes["recipe"]):
        raise RecipeError("--sets have clean scans and damage of their own: leave out the others")
    try:
        from ..train import run
    except ImportError:
        raise TrainingError(_MISSING) from None
    if threads:
        run.use_threads(threads)
    changed = {k: v for k, v in changes.items() if v not in (None, ())}
    plan = run.load(settings, changed) if settings else run.of_model(changes["start"], changed)
    if folder is None:
        task = changes["task"]
        folder = Path("runs") / (f"{plan.name}-{task}" if task else plan.name)
    how = {"workers": workers, "device": device}
    if find_rate:
        result = run.find_rate(plan, folder, **how)
    else:
        result = run.train(plan, folder, minutes=minutes, compiled=compiled, int8=int8, **how)
    if as_json:
        click.echo(json.dumps(result, indent=2))
    elif result:
        click.echo("\n".join(f"{key}: {value}" for key, value in result.items()))
