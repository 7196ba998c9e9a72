"""Small networks as model files: of a method that their card names, or for scans in counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from scanmend.nets.swift import Layout, Swift
from scanmend.pairs.counted import Doses
from scanmend.train.counted import Counted
from scanmend.train.export import IMAGE_AXES, export, write
from scanmend.train.settings import Settings

SMALL = Counted(widths=(8, 8), blocks=(1, 1), middle=1, flow_from=0.0, mix=Doses(side=32))
TINY = Settings("tiny", SMALL, iterations=4, batch=2, warm_up=2, validate_every=2)
"""A lesson for scans in counts, and a training of it."""

CARD = {
    "name": "tiny",
    "task": "restore",
    "factor": 1,
    "method": {"kind": "FlowMatching", "solver": "midpoint"},
    "channels": 2,
    "side": 128,
    "multiple": 4,
    "quantity": "HEIGHT",
    "pixel_nm": [0.16, 0.22],
    "steps": 2,
}


class UNet(torch.nn.Module):
    """The smallest one: two resolutions, told the time."""

    def __init__(self, channels: int = 2) -> None:
        super().__init__()
        self.fine = torch.nn.Conv2d(channels, 8, 3, padding=1)
        self.coarse = torch.nn.Conv2d(8, 8, 4, stride=4)
        self.time = torch.nn.Linear(1, 8)
        self.out = torch.nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, image, t):
        h = torch.relu(self.fine(image))
        low = torch.tanh(self.coarse(h) + self.time(t[:, None])[:, :, None, None])
        return self.out(h + torch.nn.functional.interpolate(low, scale_factor=4.0))


def exported(net: torch.nn.Module, path: Path, **card: Any) -> Path:
    """`net` as a model file at `path`, with CARD but for what is given; None leaves a key out."""
    card = {key: value for key, value in (CARD | card).items() if value is not None}
    inputs = torch.zeros(1, card.get("channels", 2), 16, 16), torch.full((1,), 0.5)
    write(
        net.eval(), inputs, {"image": IMAGE_AXES, "t": {0: "batch"}, "out": IMAGE_AXES}, card, path
    )
    return path


def deaf(path: Path) -> Path:
    """A model for whole scans at `path` that is told nothing but the time."""
    net = Swift(Layout((8, 8), (1, 1), 1)).eval()
    card = {"name": "deaf", "factors": [1, 2], "quantity": "HEIGHT", "pixel_nm": [0.16, 0.22]}
    card |= {"multiple": net.multiple, "flow_noise": 0.1}
    inputs = torch.zeros(1, 3, 32, 32), torch.zeros(1)
    write(net, inputs, {"image": IMAGE_AXES, "t": {0: "batch"}, "out": IMAGE_AXES}, card, path)
    return path


def of_counts(path: Path, net: torch.nn.Module | None = None) -> Path:
    """A model for scans in counts: the smoothed scan, unless `net` is another of `SMALL`."""
    return export(net or SMALL.network().eval(), TINY, path)


class Towards(torch.nn.Module):
    """The velocity of a straight path to gain times the degraded image, plus an offset."""

    def __init__(self, gain: float = 1.0, offset: float = 0.0) -> None:
        super().__init__()
        self.gain, self.offset = gain, offset

    def forward(self, image, t):
        x, degraded = image[:, :1], image[:, 1:]
        return (self.gain * degraded + self.offset - x) / (1 - t[:, None, None, None])


class Untrained(torch.nn.Module):
    """The velocity towards the degraded image and what a `UNet` makes up besides."""

    def __init__(self) -> None:
        super().__init__()
        self.towards, self.unet = Towards(0.8, 0.1), UNet()

    def forward(self, image, t):
        return self.towards(image, t) + self.unet(image, t) / (1 - t[:, None, None, None])


class Still(torch.nn.Module):
    """No velocity: what comes out is the noise that went in."""

    def forward(self, image, t):
        return 0 * t[:, None, None, None] * image[:, :1]
