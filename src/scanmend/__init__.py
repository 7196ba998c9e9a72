"""Mends and sharpens atomic-resolution STM and STEM scans.

Everything public is named here and loaded when it is first used: `import scanmend` itself brings
in no NumPy, no onnxruntime, no matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import crystals, degrade, evaluate, io, models
    from .errors import ScanmendError
    from .figures import plot
    from .io import open, read, write
    from .restoration import restore, upscale
    from .scan import Acquisition, Quantity, Restoration, Scan
    from .stm.record import simulate

__version__ = "0.1.0"

_HOMES = {
    "Acquisition": "scan",
    "Quantity": "scan",
    "Restoration": "scan",
    "Scan": "scan",
    "ScanmendError": "errors",
    "open": "io",
    "plot": "figures",
    "read": "io",
    "restore": "restoration",
    "simulate": "stm.record",
    "upscale": "restoration",
    "write": "io",
}
"""The module of each public name. No module may carry one of these names: Python binds a submodule
to its package when it is imported, and would hide the function of that name."""

_PACKAGES = ("crystals", "degrade", "evaluate", "io", "models")

__all__ = [
    "Acquisition",
    "Quantity",
    "Restoration",
    "Scan",
    "ScanmendError",
    "__version__",
    "crystals",
    "degrade",
    "evaluate",
    "io",
    "models",
    "open",
    "plot",
    "read",
    "restore",
    "simulate",
    "upscale",
    "write",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f".{name}", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
