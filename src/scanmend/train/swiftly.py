"""What the lessons of `nets.swift` share: the network, its loss, and what becomes of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..errors import RecipeError
from ..generate.flow import FIRST_TIME, euler
from ..nets.swift import Layout, Swift
from ..objective.posterior_flow import flow_loss, mean_loss


@dataclass(frozen=True, kw_only=True)
class Swiftly:
    """Posterior mean and flow of one network; a part of a lesson.

    Attributes:
        flow_from: Share of the iterations before the flow is trained at all.
        flow_share: Share of the samples, then, on which it is trained.
        flow_noise: Standard deviation of the noise that is added to the mean, in model units.
        widths, blocks, middle, stem: The network's `Layout`.
    """

    TOLD: ClassVar[tuple[str, ...]]
    """What the network is told."""
    FREE: ClassVar[bool]
    """Whether images have no origin, as heights have none, and counts do."""

    flow_from: float = 0.5
    flow_share: float = 0.25
    flow_noise: float = 0.1
    widths: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 1, 2)
    middle: int = 2
    stem: int = 2

    def __post_init__(self) -> None:
        if not len(self.widths) == len(self.blocks) > 0:
            raise RecipeError(f"widths {self.widths} and blocks {self.blocks} must be as many")

    def network(self) -> Swift:
        """The untrained network."""
        return Swift(Layout(self.widths, self.blocks, self.middle, self.stem, len(self.TOLD)))

    def losses(self, net: nn.Module, batch: tuple[Tensor, ...], progress: float) -> Tensor:
        """Of the mean and its spread, and, of a share of the samples, of the flow."""
        known, mask, target, told, noise, chance = batch
        how = {"free": self.FREE, "alike": not self.FREE}
        losses, mean, scale = mean_loss(net, known, mask, target, told, **how)
        few = chance[:, 0] < self.flow_share
        if progress < self.flow_from or not few.any():
            return losses
        seen = (mean[few], mask[few], target[few], self.flow_noise * noise[few])
        flow = flow_loss(net, *seen, chance[few, 1], told[few], free=self.FREE)
        flow = 2 * flow / scale.expand(len(few))[few] ** 2
        return losses.index_add(0, few.nonzero()[:, 0], flow)

    def restored(
        self, net: nn.Module, known: Tensor, mask: Tensor, told: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The mean, and what 3 flow calls make of it; each (batch, 1, rows, columns)."""
        base, start = known[:, :1], known.new_zeros(len(known))
        mean = base + net(torch.cat([base, known[:, -1:], mask], 1), start, told)[:, :1]

        def predict(x: Tensor, t: float) -> Tensor:
            times = x.new_full((len(x),), max(t, FIRST_TIME))
            return mean + net(torch.cat([x, mean, mask], 1), times, told)[:, :1]

        noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0)).to(mean.device)
        return mean, euler(predict, mean + self.flow_noise * noise, 3)

    def described(self, net: nn.Module, factors: tuple[int, ...]) -> dict[str, Any]:
        """What every model of such a network says of itself."""
        return {
            "tasks": ["restore"] * (1 in factors) + [f"upscale {k}" for k in factors if k > 1],
            "factors": list(factors),
            "told": list(self.TOLD),
            "channels": net.channels,
            "multiple": net.multiple,
            "reach": self.network().layout.reach,
            "flow_noise": self.flow_noise,
        }
