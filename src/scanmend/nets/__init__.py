"""Networks, in torch: what is trained here and exported to a model file."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from .sbsr import Sbsr
from .unet import LAYOUTS, UNet

NETS: dict[str, Callable[[], nn.Module]] = {
    **{name: lambda layout=layout: UNet(layout) for name, layout in LAYOUTS.items()},
    "sbsr": Sbsr,
}
"""Networks of the papers, by name: from (batch, channels, rows, columns) and times to one image."""
