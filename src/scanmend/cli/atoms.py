"""The command that finds atoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from .batch import Progress, Result, each, expand
from .options import (
    Reading,
    Writing,
    files_argument,
    folder_option,
    json_option,
    measured_beside,
    reading_options,
)

_UNSURE = (
    "it was restored, and has no measured scan beside it: errors are too small (keep .nc or .gwy)"
)


@click.command()
@files_argument
@click.option(
    "--apart-nm",
    type=click.FloatRange(min=0, min_open=True),
    default=0.1,
    show_default=True,
    help="How far apart two columns can be told; about the full width of one.",
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    metavar="ATOMS.csv",
    help="Of a simulated scan: tell the error, and what was missed and invented.",
)
@reading_options
@folder_option
@click.option("--png", is_flag=True, help="A figure besides, with every column and vacancy.")
@click.option("--overwrite", is_flag=True, help="Replace earlier results; never the input.")
@json_option
def atoms(
    files: Sequence[str],
    apart_nm: float,
    truth: Path | None,
    reading: Reading,
    folder: Path,
    png: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Finds the atoms of dark-field images, measured or restored; writes STEM_atoms.csv.

    Each column of atoms has a place, a height, a width and their errors, and its sublattice in the
    crystal; STEM_vacancies.csv has the sites where one is missing, or of the wrong height.
    """
    from ..atoms import record
    from ..atoms import truth as truths

    sources = expand(files)
    if truth and len(sources) != 1:
        raise click.UsageError(f"--truth is that of one scan, got {len(sources)}")
    writing = Writing(folder, "csv", png, overwrite)

    def task(path: Path, frame: int | None, progress: Progress) -> Result:
        inputs = [*sources, *([truth] if truth else [])]
        target, figure = writing.targets(path, reading.ending("atoms", frame), inputs)
        beside = Writing(folder, "csv", False, overwrite)
        sites, _ = beside.targets(path, reading.ending("vacancies", frame), inputs)
        scan = reading.scan(path, frame)
        known = truths.read(truth, scan, apart_nm) if truth else None
        measured = measured_beside(path) if scan.is_restored else None
        if scan.is_restored and measured is None:
            name = click.format_filename(path.name)
            click.echo(f"{name}: {_UNSURE}", err=True)
        found = record.atoms(scan, apart_nm, measured)
        result: Result = {"input": str(path), "output": str(target), "vacancies": str(sites)}
        result |= {"figure": str(figure) if figure else None} | found.summary()
        result["noise_of"] = "measured" if measured else "itself"
        if known is not None:
            result["truth"] = asdict(truths.compare(found.found.columns, known, scan.size_nm))
        record.write_columns(found, target, overwrite=overwrite)
        record.write_sites(found, sites, overwrite=overwrite)
        if figure:
            writing.figure(record.figure(found), figure)
        return result

    each(sources, task, _text, as_json, reading.frames)


def _text(result: Result) -> str:
    """What a person wants to know of it."""
    error = f", {result['error_pm']:g} pm of error" if result["error_pm"] is not None else ""
    lines = [f"{result['input']}: {result['columns']} columns, {result['cut']} of them cut{error}"]
    if result["noise_of"] == "measured":
        lines.append("  errors are those of the measured scan's noise")
    for grain in result["grains"]:
        a, b = grain["a_nm"]
        kinds = ", ".join(f"{v['columns']} {k}" for k, v in grain["sublattices"].items())
        lines.append(f"  lattice {a:.4g} × {b:.4g} nm, {grain['angle_deg']:.4g}°: {kinds}")
    if not result["grains"]:
        lines.append("  no lattice, and so no vacancies")
    else:
        odd = ", ".join(f"{many} {kind}" for kind, many in result["sites"].items()) or "none odd"
        lines.append(f"  {result['judged']} sites judged: {odd}; {result['unsure']} not to be told")
    if (truth := result.get("truth")) is not None:
        rms = f"{truth['rms_pm']:.3g} pm rms" if truth["rms_pm"] is not None else "no pairs"
        lines.append(
            f"  of {truth['true']} true columns {truth['missed']} missed, {rms}; "
            f"{truth['invented']} invented, {truth['in_vacuum']} of them in vacuum"
        )
    files = (result[key] for key in ("output", "vacancies", "figure"))
    return "\n".join([*lines, *filter(None, files)])
