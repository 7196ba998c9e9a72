"""`scanmend calibrate`: the pitch that the lattice of a known crystal implies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

import scanmend

from .batch import Progress, Result, each, expand
from .options import Reading, Writing, files_argument, json_option, reading_options, writing_options

_SHEARED_DEG = 0.5  # above it, worth a word


@click.command()
@files_argument
@reading_options
@writing_options
@json_option
def calibrate(files: Sequence[str], reading: Reading, writing: Writing, as_json: bool) -> None:
    """Puts the pixel pitch right by a known crystal's lattice; writes STEM_calibrated.nc.

    Needs --lattice. A header's pitch may be off by 15 %; a lattice farther off is not taken for
    that crystal's. The pixels stay as they are.
    """
    if reading.lattice is None:
        raise click.UsageError("name the crystal that the scans show: --lattice NAME")
    sources = expand(files)

    def task(path: Path, frame: int | None, progress: Progress) -> Result:
        target, figure = writing.targets(path, reading.ending("calibrated", frame), sources)
        scan, found, header_nm = reading.calibrated(path, frame)
        scanmend.write(scan, target, overwrite=writing.overwrite)
        if figure:
            writing.figure(scanmend.plot(scan), figure)
        files = {"output": str(target), "figure": str(figure) if figure else None}
        return {"input": str(path), **files, "header_nm": header_nm} | asdict(found)

    each(sources, task, _said, as_json, reading.frames)


def _said(result: Result) -> str:
    lines = [f"{result['input']}: by the lattice of {result['crystal']}"]
    header = result["header_nm"] or (None, None)
    for axis, pitch, sigma, was in zip(
        ("rows", "columns"), result["pixel_nm"], result["sigma_nm"], header, strict=True
    ):
        says = "no header" if was is None else f"header {was:.5g}, {pitch / was - 1:+.1%}"
        lines.append(f"  {axis:7} {pitch:.6f} ± {sigma:.6f} nm/pixel   {says}")
    shear, sigma = result["shear_deg"], result["sigma_deg"]
    note = ": which no pitch puts right" if abs(shear) > max(_SHEARED_DEG, 2 * sigma) else ""
    lines.append(f"  sheared by {shear:.2f} ± {sigma:.2f}°{note}")
    seen = f"{result['reflections']} reflections, down to {result['finest_nm']:.3f} nm"
    lines.append(f"  {seen}")
    return "\n".join([*lines, *filter(None, (result["output"], result["figure"]))])
