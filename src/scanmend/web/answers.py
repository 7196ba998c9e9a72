"""What goes out: pixels, files, arrays, and JSON that a browser reads."""

from __future__ import annotations

import io
import json
import tempfile
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from .. import figures
from ..io import write
from ..io.provenance import plain
from ..io.write import ending as ending_of
from ..resample import fill_gaps, to_shape
from ..scan import Restoration, Scan
from . import report
from .jobs import Job, scans_of
from .messages import Wish

_DRAWING = threading.Lock()
"""Matplotlib keeps fonts and text layouts for everyone, and lets nobody share them."""


def text(value: Any) -> str:
    """One line of it."""
    return json.dumps(plain(value), allow_nan=False)


def pixels(scan: Scan, side: int | None, **more: Any) -> Response:
    """A scan as bytes, with at most `side` pixels a side, and a header that says the rest."""
    shown = _reduced(scan, side) if side and side < max(scan.values.shape) else scan
    rows, columns = shown.values.shape
    about = {
        "rows": rows,
        "columns": columns,
        "pixel_nm": shown.pixel_nm,
        "quantity": shown.quantity.name,
        "unit": shown.quantity.value,
        "acquisition": asdict(shown.acquisition),
        "history": [step[:500] for step in shown.history[-20:]],  # headers have to be short
        **more,
    }
    return Response(
        shown.values.astype("<f4", copy=False).tobytes(),
        media_type="application/octet-stream",
        headers={"X-Scan": text(about), "Cache-Control": "no-store"},
    )


def download(job: Job, result: Restoration, suffix: str) -> FileResponse:
    """The result as a file of that suffix."""
    folder = tempfile.TemporaryDirectory(prefix="scanmend-")
    try:
        path = Path(folder.name) / f"result{suffix}"
        if suffix == ".png":
            path.write_bytes(drawn(result))
        elif suffix == ".html":
            path.write_text(report.page(job, result, drawn(result)), "utf-8")
        else:
            write(result, path)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        path,
        filename=f"{Path(job.name).stem}{job.ending}{suffix}",
        media_type="application/octet-stream",
        headers={"Cache-Control": "no-store"},
        background=BackgroundTask(folder.cleanup),
    )


def arrays(job: Job, result: Restoration) -> Response:
    """The result as NumPy's .npz."""
    packed = io.BytesIO()
    scans = scans_of(result)
    about = {"name": job.name, "unit": result.mean.quantity.value, "seconds": job.json()["seconds"]}
    np.savez(
        packed,
        allow_pickle=False,
        **{name: scans[name].values for name in ("measured", "restored", "spread")},
        draws=np.array([draw.values for draw in result.draws], np.float32),
        pixel_nm=np.array(result.mean.pixel_nm),
        about=np.array(text(about | job.told)),
    )
    return Response(packed.getvalue(), media_type="application/zip")


def ending(wish: Wish) -> str:
    """Of a result's name, as the command line has it."""
    verb = f"x{wish.factor}" if wish.task == "upscale" else "restored"
    return ending_of(wish.channel, wish.direction, verb, wish.frame)[-100:]


def drawn(result: Restoration) -> bytes:
    """The figure of a result, PNG."""
    with _DRAWING:
        return figures.png(figures.plot(result.measured, result))


def _reduced(scan: Scan, side: int) -> Scan:
    known = np.isfinite(scan.values)
    rows, columns = (max(1, round(n * side / max(known.shape))) for n in known.shape)
    if not known.any():
        return scan.after("reduced", np.full((rows, columns), np.nan, np.float32))
    values = np.where(known, scan.values, np.float32("nan"))
    small = to_shape(fill_gaps(replace(scan, values=values)).values, (rows, columns))
    small = np.where(to_shape(known.astype(np.float32), (rows, columns)) > 0.5, small, np.nan)
    return scan.after("reduced", small)
