"""From a measured scan to a restored, or a finer, one."""

from __future__ import annotations

from .restorer import restore, upscale

__all__ = ["restore", "upscale"]
