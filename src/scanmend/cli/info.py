"""`scanmend info`: what files hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

import scanmend

from .batch import Progress, Result, each, expand
from .options import files_argument, json_option

_FACTS = {
    "voltage_kV": "{:g} kV",
    "detector": "detector {}",
    "dwell_us": "{:.4g} µs a pixel",
    "beam_current_pA": "beam {:.4g} pA",
    "dose_per_A2": "dose {:.4g} electrons/Å²",
    "magnification": "magnification {:g}",
    "bias_V": "bias {:.4g} V",
    "setpoint_nA": "setpoint {:.4g} nA",
    "angle_deg": "angle {:g}°",
    "started": "started {}",
    "instrument": "{}",
}
"""What `info` tells of an acquisition, and how."""


@click.command()
@files_argument
@json_option
def info(files: Sequence[str], as_json: bool) -> None:
    """What files hold: channels, frames, size, bias or voltage, dose, and what is odd about it."""

    def task(path: Path, frame: int | None, progress: Progress) -> Result:
        file = scanmend.open(path)
        result: Result = {
            "input": str(path),
            "format": file.format,
            "channels": [
                {
                    "name": c.name,
                    "quantity": c.quantity.name.lower() if c.quantity else None,
                    "unit": c.unit,
                    "directions": c.directions,
                    "rows": c.rows,
                    "columns": c.columns,
                    "size_nm": c.size_nm,
                    "pixel_nm": c.pixel_nm,
                    "frames": c.frames,
                    "warnings": _warnings(path, c),
                }
                for c in file.channels
            ],
        }
        first = file.channels[0]
        result |= {name: getattr(first.acquisition, name) for name in _FACTS}
        dose = first.acquisition.dose_at(first.pixel_nm)
        follows = dose is not None and first.acquisition.dose_per_A2 is None
        why = "beam current x dwell time / area of a pixel" if follows else None
        return result | {"dose_per_A2": dose, "dose_follows_from": why}

    each(expand(files), task, _info, as_json)


def _warnings(path: Path, channel: scanmend.io.Channel) -> tuple[str, ...]:
    """Of counts, which detectors and converters bound; heights are not loaded for this."""
    if channel.quantity is not scanmend.Quantity.COUNTS:
        return ()
    return scanmend.io.remarks_on(path, channel.name)


def _info(result: Result) -> str:
    rows = []
    for c in result["channels"]:
        kind = f"{c['quantity'] or 'not read'} ({c['unit'] or 'no unit'})"
        height, width = c["size_nm"] or (0, 0)
        size = f"{width:.4g} × {height:.4g} nm" if width else "size unknown"
        pitch = f"{width / c['columns']:.3g} nm/pixel" if width else ""
        pixels = f"{c['columns']} × {c['rows']} pixels"
        pixels += f", {c['frames']} frames" if c["frames"] else ""
        rows.append((c["name"], kind, pixels, size, pitch, ", ".join(c["directions"])))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{result['input']}: {result['format']}"]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(f"  {'  '.join(cells)}".rstrip())
    known = [text.format(result[k]) for k, text in _FACTS.items() if result.get(k) is not None]
    if known:
        lines.append("  " + " · ".join(known))
    if result["dose_follows_from"]:
        lines.append(f"  dose from {result['dose_follows_from']}")
    lines += [f"  {c['name']}: {one}" for c in result["channels"] for one in c["warnings"]]
    return "\n".join(lines)
