"""The command that finds defects, and audits what a restoration did to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

import scanmend

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


@click.command()
@files_argument
@click.option(
    "--material",
    "--family",
    "material",
    metavar="NAME",
    help="What the scan shows, WSe2, or a family of materials, tmd: see `scanmend models list`.",
)
@click.option(
    "--model",
    metavar="NAME|FILE",
    help="A model that finds defects, or a method: difference-of-gaussians, template-matching, "
    "or, of dark-field images, atom-columns.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(min=0, min_open=True),
    help="The least score of a defect; by default what the model's card says, or 0.3; of methods, "
    "6, 0.6 and 4.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The scan that FILE was made of: tell which defects were kept, moved, added, removed.",
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    metavar="FILE.json|FILE.csv",
    help="Known defects: tell what was hallucinated and omitted.",
)
@reading_options
@folder_option
@click.option(
    "--format",
    type=click.Choice(["csv", "json", "nc"]),
    default="csv",
    show_default=True,
    help="json and nc hold densities and the pair correlation too.",
)
@click.option("--png", is_flag=True, help="A figure besides, with every defect.")
@click.option("--overwrite", is_flag=True, help="Replace earlier results; never the input.")
@json_option
def defects(
    files: Sequence[str],
    material: str | None,
    model: str | None,
    threshold: float | None,
    against: Path | None,
    truth: Path | None,
    reading: Reading,
    folder: Path,
    format: str,
    png: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Finds the defects of scans, measured or restored; writes STEM_defects.csv.

    Each has a place in nm, a class and a score. With --against or --truth, STEM_audit.csv tells
    what became of each.
    """
    from ..defects import audit, marks, record
    from ..defects.finder import found

    sources = expand(files)
    other = against or truth
    if against and truth:
        raise click.UsageError("--against and --truth are two audits: name one")
    if other and len(sources) != 1:
        raise click.UsageError(f"an audit is that of one scan, got {len(sources)}")
    inputs = [*sources, *([other] if other else [])]
    writing = Writing(folder, format, png, overwrite)
    tables = Writing(folder, "csv", png, overwrite)

    def task(path: Path, frame: int | None, progress: Progress) -> Result:
        target, image = writing.targets(path, reading.ending("defects", frame), inputs)
        beside = tables.targets(path, reading.ending("audit", frame), inputs) if other else None
        scan = reading.scan(path, frame)
        counted = scan.quantity is scanmend.Quantity.COUNTS  # else nobody asks for its noise
        measured = measured_beside(path) if counted and scan.is_restored else None
        here = found(scan, material, model, threshold, measured)
        told = record.summary(here)
        result: Result = {"input": str(path), "output": str(target)}
        result |= {"figure": str(image) if image else None} | told
        if other and beside:
            before = None
            if against:
                before = found(_compared(against, path, scan, reading), material, model, threshold)
                judged = audit.against(here, before)
            else:
                judged = audit.against_truth(here, marks.read(other, scan))
            told["audit"] = result["audit"] = judged.summary()
            result["features"], result["audit_figure"] = (str(p) if p else None for p in beside)
            record.write_audit(judged, beside[0], overwrite=overwrite)
            if beside[1]:
                sheet = record.audit_figure(judged, scan, before and before.maps.scan)
                writing.figure(sheet, beside[1])
        if format == "csv":
            record.write_table(here, target, overwrite=overwrite)
        else:
            write = record.write_json if format == "json" else record.write_netcdf
            write(here, told, target, overwrite=overwrite)
        if image:
            writing.figure(record.figure(here), image)
        return result

    each(sources, task, _text, as_json, reading.frames)


def _compared(against: Path, path: Path, scan: scanmend.Scan, reading: Reading) -> scanmend.Scan:
    """The scan that `scan` is compared with: of the channel it was made of, if there is one."""
    taken, names = scan.acquisition, {c.name for c in scanmend.open(against).channels}
    channel = "measured" if against.exists() and against.samefile(path) else taken.channel
    if channel not in names:
        channel = None
    way = taken.direction if channel else None
    return replace(reading, channel=channel, direction=way).scan(against, taken.frame)


def _text(result: Result) -> str:
    """What a person wants to know of it."""
    lines = [
        f"{result['input']}: {result['defects']} defects on {result['area_nm2']:.4g} nm², "
        f"{result['edge']} of them at the edge"
    ]
    if "judged" in result:
        lines.append(f"  {result['judged']} sites of columns judged")
    for kind, rate in result["classes"].items():
        low, high = (f"{rate[key]:.2g}" for key in ("low_per_nm2", "high_per_nm2"))
        per_nm2 = f"{rate['per_nm2']:.2g} / nm² ({low} to {high})"
        lines.append(f"  {rate['count']} {kind}, {per_nm2}")
    if judged := result.get("audit"):
        lines.append("  " + ", ".join(f"{n} {fate}" for fate, n in judged["features"].items()))
        for fate in list(judged["features"])[-2:]:
            of = judged[fate]
            per = "{per_100_nm2:.2g} / 100 nm² ({low_per_100_nm2:.2g} to {high_per_100_nm2:.2g})"
            lines.append(f"  {fate}: {per.format(**of)}")
    files = (result.get(key) for key in ("output", "figure", "features", "audit_figure"))
    return "\n".join([*lines, *filter(None, files)])
