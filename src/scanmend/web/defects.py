"""Defects of an opened file, and what a restoration did to them, as marks for the page."""

from __future__ import annotations

import threading
from dataclasses import astuple
from pathlib import Path
from typing import Any

from .. import models
from ..defects import finder, record
from ..defects.audit import against
from ..defects.classical import METHODS
from ..defects.peaks import Found
from ..errors import ModelError
from ..io.provenance import plain
from ..scan import Restoration, Scan
from .settings import Settings

FOUND = "found"
"""What has become of a defect where there is nothing to compare with."""

_LOOKING = threading.Lock()
"""A network uses every core by itself: two at once gain nothing."""


def finders(settings: Settings) -> dict[str, Path | str]:
    """What finds defects, by the names that clients use: models, then methods."""
    shipped = {n: n for n in models.names() if n.startswith(models.OF_DEFECTS)}
    own = {p.stem: p for p in settings.models if models.load(p).finds_defects}
    return {**shipped, **own, **{name: name for name in METHODS}}


def of_scan(scan: Scan, name: str, settings: Settings) -> dict[str, Any]:
    """The defects of a scan.

    Raises:
        ModelError: There is no such finder, or it does not fit the scan.
        ScanError: There is nothing to find anything in.
    """
    here = _found(scan, name, settings)
    marks = [{"fate": FOUND, **of} for of in record.listed(here)]
    return plain({"marks": marks, "counts": {FOUND: len(marks)}, "classes": here.counts()})


def of_result(result: Restoration, name: str, settings: Settings) -> dict[str, Any]:
    """What a restoration did to the defects of a scan. Raises as `of_scan` does."""
    here = _found(result.mean, name, settings, result.measured)
    audit = against(here, _found(result.measured, name, settings))
    marks = [dict(zip(record.FEATURES, astuple(f), strict=True)) for f in audit.features]
    told = audit.summary()
    return plain({"marks": marks, "counts": told["features"], "audit": told})


def _found(scan: Scan, name: str, settings: Settings, measured: Scan | None = None) -> Found:
    known = finders(settings)
    if name not in known:
        raise ModelError(
            f"nothing called {name!r} finds defects: ask for one of {', '.join(known)}"
        )
    with _LOOKING:
        return finder.found(scan, source=known[name], measured=measured)
