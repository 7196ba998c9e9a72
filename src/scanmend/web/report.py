"""A restoration as one page that stands alone: for a laboratory book, or to send."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from string import Template
from typing import Any

from ..scan import Restoration
from .jobs import Job

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$name</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
img { width: 100%; height: auto; background: #fff }
table { border-collapse: collapse; margin: 0.5rem 0 2rem }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 1.5rem 0.2rem 0;
 border-bottom: 1px solid #8884; overflow-wrap: anywhere }
th { font-weight: 600; white-space: nowrap }
</style></head><body>
<h1>$name</h1>
<p><img src="data:image/png;base64,$figure" alt="measured, restored, removed, and the spread"></p>
<h2>How far to trust it</h2>
<ul>$notes</ul>
<h2>The scan</h2>
$scan
<h2>How it came about</h2>
$provenance
<ol>$history</ol>
</body></html>
""")


def page(job: Job, result: Restoration, figure: bytes) -> str:
    """The page; `figure` is PNG."""
    scan = result.measured
    height, width = scan.size_nm
    rows, columns = scan.values.shape
    taken: dict[str, Any] = {
        "size": f"{width:.5g} × {height:.5g} nm",
        "pixels": f"{columns} × {rows}",
        "quantity": ", ".join(dict.fromkeys((scan.quantity.name.lower(), scan.quantity.value))),
    }
    acquisition = scan.acquisition
    taken |= {name: getattr(acquisition, name) for name in acquisition.__slots__}
    taken["dose_per_A2"] = acquisition.dose_at(scan.pixel_nm)
    return _PAGE.substitute(
        name=escape(f"{job.name}: {result.provenance.get('task', 'restored')}"),
        figure=base64.b64encode(figure).decode(),
        notes=_items(job.told["verdict"]["notes"]),
        scan=_table(taken),
        provenance=_table(result.provenance | {"seconds": job.json()["seconds"]}),
        history=_items(result.mean.history),
    )


def _items(lines: Any) -> str:
    return "".join(f"<li>{escape(str(line))}</li>" for line in lines)


def _table(facts: Mapping[str, Any]) -> str:
    rows = (
        f"<tr><th>{escape(key.replace('_', ' '))}</th><td>{escape(_said(value))}</td></tr>"
        for key, value in facts.items()
        if value is not None
    )
    return f"<table>{''.join(rows)}</table>"


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
