"""The command line: each command reads, calls one library function, writes.

Data goes to stdout, talk and progress to stderr. Names of `scanmend` load what they need when they
are first used, and rich is imported where a bar is drawn, so that `scanmend --help` is quick.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import click

import scanmend

from ..errors import ScanmendError
from .atoms import atoms
from .batch import Progress, Result, each, expand, why
from .bench import bench
from .calibrate import calibrate
from .defects import defects
from .evaluate import evaluate
from .info import info
from .options import (
    Reading,
    Running,
    Writing,
    files_argument,
    folder_option,
    json_option,
    model_option,
    reading_options,
    running_options,
    seed_option,
    writing_options,
)
from .pairs import data, pairs
from .serve import serve
from .simulate import simulate
from .study import study
from .train import train
from .watch import watch


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(scanmend.__version__, prog_name="scanmend")
def commands() -> None:
    """Mends and sharpens atomic-resolution scans."""


@commands.command()
@files_argument
@reading_options
@running_options
@writing_options
@json_option
def restore(
    files: Sequence[str], reading: Reading, running: Running, writing: Writing, as_json: bool
) -> None:
    """Restores scans; writes STEM_restored.nc."""
    sources = expand(files)

    def task(path: Path, frame: int | None, progress: Progress) -> Result:
        targets = writing.targets(path, reading.ending("restored", frame), sources)
        scan = reading.scan(path, frame)
        start = time.perf_counter()
        result = scanmend.restore(scan, progress=progress, **vars(running))
        return _written(path, result, targets, writing, time.perf_counter() - start)

    each(sources, task, _outputs, as_json, reading.frames)


@commands.command()
@files_argument
@click.option(
    "--factor",
    type=click.Choice(["2", "4"]),
    default="2",
    show_default=True,
    help="Lines for each line that was scanned; of counts, pixels along both axes.",
)
@click.option("--mend", is_flag=True, help="Remove damage as well; of counts it always is.")
@click.option(
    "--keep-measured/--no-keep-measured",
    default=None,
    help="Measured lines come back to the bit; by default unless --mend is given.",
)
@reading_options
@running_options
@writing_options
@json_option
def upscale(
    files: Sequence[str],
    factor: str,
    mend: bool,
    keep_measured: bool | None,
    reading: Reading,
    running: Running,
    writing: Writing,
    as_json: bool,
) -> None:
    """Puts 2 or 4 lines where one was scanned; writes STEM_x2.nc or STEM_x4.nc.

    Scans in counts, as of electron microscopes, become finer on both axes.
    """
    sources = expand(files)

    def task(path: Path, frame: int | None, progress: Progress) -> Result:
        targets = writing.targets(path, reading.ending(f"x{factor}", frame), sources)
        scan = reading.scan(path, frame)
        start = time.perf_counter()
        how = {"mend": mend, "keep_measured": keep_measured, **vars(running)}
        result = scanmend.upscale(scan, int(factor), progress=progress, **how)
        return _written(path, result, targets, writing, time.perf_counter() - start)

    each(sources, task, _outputs, as_json, reading.frames)


@commands.command()
@files_argument
@click.option(
    "--recipe",
    default="realistic",
    show_default=True,
    metavar="NAME|FILE.toml",
    help="What happens to the scan: paper, realistic, microscope, sbsr-paper, sbsr-code, "
    "stem-realistic, or a file of yours.",
)
@seed_option
@reading_options
@writing_options
@json_option
def degrade(
    files: Sequence[str],
    recipe: str,
    seed: int,
    reading: Reading,
    writing: Writing,
    as_json: bool,
) -> None:
    """Damages scans as an instrument would; writes STEM_degraded.nc."""
    import numpy as np

    from ..degrade import recipe as recipes

    sources = expand(files)
    is_file = recipe.endswith(".toml")
    steps = recipes.load_file(recipe) if is_file else recipes.preset(recipe)

    def task(path: Path, frame: int | None, progress: Progress) -> Result:
        target, figure = writing.targets(path, reading.ending("degraded", frame), sources)
        scan = steps(reading.scan(path, frame), np.random.default_rng(seed))
        scanmend.write(scan, target, overwrite=writing.overwrite)
        if figure:
            writing.figure(scanmend.plot(scan), figure)
        return _described(path, scan, target, figure) | {"recipe": recipe, "seed": seed}

    each(sources, task, _outputs, as_json, reading.frames)


for command in (
    info,
    atoms,
    defects,
    calibrate,
    simulate,
    pairs,
    data,
    train,
    evaluate,
    watch,
    study,
    serve,
    bench,
):
    commands.add_command(command)


@commands.group()
def models() -> None:
    """The models that come with scanmend, and model files of yours."""


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """Names, and what each is for."""
    cards = [scanmend.models.load(name).card for name in scanmend.models.names()]
    if as_json:
        click.echo(json.dumps(cards, indent=2))
        return
    for card in cards:
        low, high = card["pixel_nm"]
        surface = card.get("surface") or ", ".join(card["materials"])
        pitch = f"{low:.2g}-{high:.2g} nm/pixel"
        click.echo(f"{card['name']:18}{pitch:20}{', '.join(card['tasks'])}: {surface}")


@models.command()
@click.argument("name", metavar="NAME|FILE")
def card(name: str) -> None:
    """What a model was trained on and for, as JSON."""
    click.echo(json.dumps(scanmend.models.load(name).card, indent=2))


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME|FILE]...")
def verify(names: Sequence[str]) -> None:
    """Checks that model files are those that were shipped, to the last bit."""
    failed = False
    for name in names or scanmend.models.names():
        try:
            model = scanmend.models.load(name)
        except ScanmendError as error:
            failed = True
            click.echo(f"scanmend: {why(error)}", err=True)
            continue
        good = scanmend.models.verify(model)
        failed |= not good
        click.echo(f"{name}: {'as shipped' if good else 'NOT as shipped'}, {model.sha256}")
    if failed:
        raise click.exceptions.Exit(1)


@commands.command()
@folder_option
@seed_option
@model_option
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier demo.")
@json_option
def demo(folder: Path, seed: int, model: str | None, overwrite: bool, as_json: bool) -> None:
    """Simulates a damaged scan, restores it, shows both: the main job with no input."""
    from .. import demo as demonstration

    writing = Writing(folder, "nc", png=True, overwrite=overwrite)
    target, figure = writing.targets(Path("scanmend-demo"), "")
    assert figure is not None
    shown = demonstration.run(seed, model)
    scanmend.write(shown.result, target, overwrite=overwrite)
    writing.figure(scanmend.plot(shown.result.measured, shown.result, shown.truth), figure)
    scores, seconds = shown.scores(), round(shown.seconds, 3)
    if as_json:
        files = {"output": str(target), "figure": str(figure)}
        click.echo(json.dumps(scores | {"seconds": seconds} | files, indent=2))
        return
    rows, columns = shown.truth.values.shape
    click.echo(f"Si(001):H, {columns} × {rows} pixels, simulated, damaged, restored:")
    for name, score in scores.items():
        click.echo(f"  {name:9} SSIM {score['ssim']:.3f}   PSNR {score['psnr_dB']:.1f} dB")
    click.echo(f"  restored in {seconds:.2f} s with {shown.result.provenance['model']}")
    click.echo(f"wrote {target} and {figure}")


def _written(
    source: Path,
    result: scanmend.Restoration,
    targets: tuple[Path, Path | None],
    writing: Writing,
    seconds: float,
) -> Result:
    """Writes a restoration, and its figure where asked for."""
    target, figure = targets
    scanmend.write(result, target, overwrite=writing.overwrite)
    if figure:
        writing.figure(scanmend.plot(result.measured, result), figure)
    columns, rows = result.mean.values.shape[::-1]
    name = click.format_filename(source.name)
    seen, own = result.provenance["model_pixel_nm"][1], result.mean.pixel_nm[1]
    note = "" if abs(seen / own - 1) < 0.02 else f", its {own:.3g} nm/pixel shown as {seen:.3g}"
    frame = result.measured.acquisition.frame
    name += f", frame {frame}" if frame else ""
    click.echo(f"{name}: {columns} × {rows} pixels in {seconds:.2f} s{note}", err=True)
    for step in result.measured.history:
        if step.startswith(scanmend.io.WARNING):
            click.echo(f"{name}: {step}", err=True)
    described = _described(source, result.mean, target, figure)
    return described | {"seconds": round(seconds, 3)} | result.provenance


def _described(source: Path, scan: scanmend.Scan, target: Path, figure: Path | None) -> Result:
    return {
        "input": str(source),
        "output": str(target),
        "figure": str(figure) if figure else None,
        "quantity": scan.quantity.name.lower(),
        "unit": scan.quantity.value,
        "rows": scan.values.shape[0],
        "columns": scan.values.shape[1],
        "size_nm": scan.size_nm,
    }


def _outputs(result: Result) -> str:
    return "\n".join(result[key] for key in ("output", "figure") if result[key])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status, and never shows a traceback."""
    try:
        return commands.main(arguments, "scanmend", standalone_mode=False) or 0
    except click.ClickException as error:  # wrong usage
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("scanmend: stopped", err=True)
        return 130
    except Exception as error:
        if "SCANMEND_DEBUG" in os.environ:
            raise
        click.echo(f"scanmend: {why(error)}", err=True)
        return 1
