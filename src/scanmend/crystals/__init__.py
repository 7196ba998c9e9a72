"""Surfaces: clean scans to learn from, one module a material."""

from __future__ import annotations

from collections.abc import Callable

from ..scan import Scan
from . import silicon
from .acquisition import acquisition_noise

SURFACES: dict[str, Callable[..., Scan]] = {"si001h": silicon.surface}
"""Every surface generator, called as (rng, shape, recipe). A new one: a module and a name here."""

__all__ = ["SURFACES", "acquisition_noise", "silicon"]
