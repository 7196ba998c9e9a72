"""Numbered samples on disk, in shards that any worker can make or remake."""

from __future__ import annotations

from .file import Layout, Sample
from .store import Store

__all__ = ["Layout", "Sample", "Store"]
