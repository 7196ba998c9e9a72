"""The U-Net of the published models, counted to the last parameter.

Residual blocks told the time, two to a resolution on the way down and three on the way up, where
each is given a skip besides; attention in the middle, and between the blocks of chosen resolutions.

The publication says 3.6 M and 14.7 M parameters, three resolutions and their widths. Of all layouts
tried, only that of `UNet2DModel` of diffusers with its defaults comes to both, so its defaults are
kept for what no count tells: attention heads of 8 channels, 32 groups, and its time embedding.

References:
    Kolev, Rodani et al., Sec. II B, Table I
    Ho et al., DDPM, arXiv:2006.11239, appendix B
    https://github.com/huggingface/diffusers, models/unets/unet_2d.py
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import GroupNorm, Time

HEAD = 8
"""Channels of an attention head."""


@dataclass(frozen=True)
class Layout:
    """The size of a `UNet`.

    Attributes:
        widths: Channels at each resolution, finest first.
        attention: Resolutions with attention after each block; 0 is the finest.
        middle_attention: Whether there is attention between the two blocks of the middle.
        blocks: Residual blocks at each resolution on the way down; on the way up one more.
        channels: Planes of the image that goes in.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    attention: tuple[int, ...] = ()
    middle_attention: bool = True
    blocks: int = 2
    channels: int = 2

    @property
    def multiple(self) -> int:
        """Image sides must be divisible by this."""
        return 2 ** (len(self.widths) - 1)


_LARGE = Layout((64, 128, 256), attention=(1,))
LAYOUTS: dict[str, Layout] = {
    "small": Layout(),
    "small-noattn": Layout(middle_attention=False),
    "large": _LARGE,
    "autoencoder": replace(_LARGE, channels=1),
    "autoencoder-small": Layout(channels=1),
}
"""The published ones, and `autoencoder-small`. Table I gives Small no attention, but only with that
of the middle, which diffusers has unless told otherwise, does it come to 3.6 M: `small-noattn` has
3.5 M."""


class UNet(nn.Module):
    """Maps (batch, channels, rows, columns) and times (batch,) in [0, 1] to one plane each.

    Sides of the image are divisible by `multiple`.
    """

    def __init__(self, layout: Layout = Layout()) -> None:
        super().__init__()
        self.layout, self.channels, self.multiple = layout, layout.channels, layout.multiple
        widths = layout.widths
        mixed = 4 * widths[0]
        self.time = Time(widths[0] // 2, mixed, cosines_first=True)
        self.stem = nn.Conv2d(layout.channels, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        width, skips = widths[0], [widths[0]]
        for level, wanted in enumerate(widths):
            for _ in range(layout.blocks):
                self.down.append(_Stage(width, wanted, mixed, level in layout.attention))
                width = wanted
                skips.append(width)
            if level < len(widths) - 1:
                self.down.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                skips.append(width)
        self.middle = nn.ModuleList(
            (_Stage(width, width, mixed, layout.middle_attention), _Stage(width, width, mixed))
        )
        for level, wanted in reversed(list(enumerate(widths))):
            for _ in range(layout.blocks + 1):
                own = width + skips.pop()
                self.up.append(_Stage(own, wanted, mixed, level in layout.attention))
                width = wanted
            if level > 0:
                self.up.append(_Finer(width))
        self.head = nn.Sequential(_norm(width), nn.SiLU(), nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, image: Tensor, t: Tensor) -> Tensor:
        """What the network makes of `image` at times `t`; shape (batch, 1, rows, columns)."""
        time = self.time(t)
        h = self.stem(image)
        skips = [h]
        for part in self.down:
            h = part(h, time) if isinstance(part, _Stage) else part(h)
            skips.append(h)
        for part in self.middle:
            h = part(h, time)
        for part in self.up:
            if isinstance(part, _Stage):
                h = part(torch.cat([h, skips.pop()], dim=1), time)
            else:
                h = part(h)
        return self.head(h)


class _Stage(nn.Module):
    """A residual block to another width, told the time; then attention, if there is any."""

    def __init__(self, width: int, wanted: int, time: int, attends: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(width), _norm(wanted)
        self.conv1 = nn.Conv2d(width, wanted, 3, padding=1)
        self.conv2 = nn.Conv2d(wanted, wanted, 3, padding=1)
        self.time = nn.Linear(time, wanted)
        self.skip = nn.Conv2d(width, wanted, 1) if width != wanted else nn.Identity()
        self.attention = _Attention(wanted) if attends else nn.Identity()

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        new = self.conv1(F.silu(self.norm1(h)))
        new = new + self.time(time)[:, :, None, None]
        new = self.conv2(F.silu(self.norm2(new)))
        return self.attention(self.skip(h) + new)


class _Attention(nn.Module):
    """Each pixel asks all others; what it is told is added to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _norm(width)
        self.heads = max(1, width // HEAD)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, h: Tensor) -> Tensor:
        # (batch, pixels, width): in channels_last this is a view.
        pixels = self.norm(h).flatten(2).transpose(1, 2)
        asked = [part(pixels) for part in (self.query, self.key, self.value)]
        if torch.onnx.is_in_onnx_export():
            # A model file's attention is a table of all pairs of pixels: not for all heads at once.
            heads = zip(*(part.chunk(self.heads, dim=2) for part in asked), strict=True)
            told = torch.cat([F.scaled_dot_product_attention(*head) for head in heads], dim=2)
        else:
            split = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in asked)
            told = F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)
        return h + self.out(told).transpose(1, 2).view_as(h)


class _Finer(nn.Module):
    """Each pixel four times, then a 3x3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        return self.conv(F.interpolate(h, scale_factor=2.0, mode="nearest"))


def _norm(width: int) -> GroupNorm:
    """In 32 groups; of a width that they do not divide, in as many as they can."""
    return GroupNorm(math.gcd(32, width), width, eps=1e-5)
