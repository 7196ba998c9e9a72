"""Networks, in torch: what is trained here and exported to a model file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from . import swift
from .sbsr import Sbsr
from .unet import LAYOUTS, UNet

_SWIFT = {name: replace(one, channels=2, planes=1) for name, one in swift.LAYOUTS.items()}

NETS: dict[str, Callable[[], nn.Module]] = {
    **{name: lambda layout=layout: UNet(layout) for name, layout in LAYOUTS.items()},
    **{name: lambda layout=layout: swift.Swift(layout) for name, layout in _SWIFT.items()},
    "sbsr": Sbsr,
}
"""Those of the papers, and ours as theirs are: (batch, channels, rows, columns) and times to one
image."""
