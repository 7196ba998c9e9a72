"""One network for scans with all their lines and for those with few: mean, spread and flow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..crystals import SURFACES
from ..errors import RecipeError
from ..generate.flow import FIRST_TIME, euler
from ..nets.swift import Layout, Swift
from ..objective.posterior_flow import flow_loss, mean_loss
from ..pairs.samples import Mix, sample
from .lesson import VALIDATION_SEED

_VALIDATED = 48


@dataclass(frozen=True)
class Mixed:
    """The lesson of the shipped models: `nets.swift`, posterior mean and flow, samples of a `Mix`.

    Attributes:
        surface: Name of the generator of clean surfaces, in `scanmend.crystals.SURFACES`.
        flow_from: Share of the iterations before the flow is trained at all.
        flow_share: Share of the samples, then, on which it is trained.
        flow_noise: Standard deviation of the noise that is added to the mean, in model units.
        widths, blocks, middle, stem: The network's `Layout`.
        mix: What the samples are.
    """

    surface: str = "si001h"
    flow_from: float = 0.5
    flow_share: float = 0.25
    flow_noise: float = 0.1
    widths: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 1, 2)
    middle: int = 2
    stem: int = 2
    mix: Mix = field(default_factory=Mix)

    def __post_init__(self) -> None:
        if self.surface not in SURFACES:
            raise RecipeError(f"no surface {self.surface!r}; there are {', '.join(SURFACES)}")
        if not len(self.widths) == len(self.blocks) > 0:
            raise RecipeError(f"widths {self.widths} and blocks {self.blocks} must be as many")

    @property
    def score(self) -> str:
        """PSNR of the posterior mean at the hardest factor."""
        return f"mean_x{max(self.mix.factors)}_dB"

    def network(self) -> Swift:
        """The untrained network."""
        return Swift(Layout(self.widths, self.blocks, self.middle, self.stem))

    def sampler(self, seed: int) -> _Samples:
        """What is known, where it was measured, the truth; and the randomness of the flow."""
        return _Samples(self, seed)

    def losses(self, net: nn.Module, batch: tuple[Tensor, ...], progress: float) -> Tensor:
        """Of the mean and its spread, and, of a share of the samples, of the flow."""
        known, mask, target, noise, chance = batch
        losses, mean = mean_loss(net, known, mask, target)
        few = chance[:, 0] < self.flow_share
        if progress < self.flow_from or not few.any():
            return losses
        flow = flow_loss(
            net, mean[few], mask[few], target[few], self.flow_noise * noise[few], chance[few, 1]
        )
        return losses.index_add(0, few.nonzero()[:, 0], 2 * flow)

    @torch.no_grad()
    def validate(self, net: nn.Module) -> dict[str, float]:
        """PSNR, dB: of what goes in, of the mean, and after 3 flow calls.

        One figure for each factor, `input_x4_dB` and so on; the peak is each target's range.
        """
        device = next(net.parameters()).device
        figures: dict[str, float] = {}
        for factor in self.mix.factors:
            mix = replace(self.mix, factors=(factor,), factor_shares=(1.0,))
            batch = [sample(self.surface, mix, VALIDATION_SEED, i) for i in range(_VALIDATED)]
            known, mask, target = (
                torch.from_numpy(np.stack([getattr(s, name)[None] for s in batch])).to(device)
                for name in ("known", "mask", "target")
            )
            start = known.new_zeros(len(known))
            mean = known + net(torch.cat([known, known, mask], 1), start)[:, :1]

            def predict(x: Tensor, t: float, mean: Tensor = mean, mask: Tensor = mask) -> Tensor:
                times = x.new_full((len(x),), max(t, FIRST_TIME))
                return mean + net(torch.cat([x, mean, mask], 1), times)[:, :1]

            noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0)).to(device)
            drawn = euler(predict, mean + self.flow_noise * noise, 3)
            for name, image in {"input": known, "mean": mean, "flow": drawn}.items():
                figures[f"{name}_x{factor}_dB"] = round(_psnr(image, target), 2)
        return figures

    def data(self) -> dict[str, Any]:
        """The surface."""
        return {"source": {"surface": self.surface}}

    def card(self, net: nn.Module) -> dict[str, Any]:
        """What `scanmend.restoration` asks of a model of several factors."""
        return {
            "tasks": ["restore", *(f"upscale {k}" for k in self.mix.factors if k > 1)],
            "factors": list(self.mix.factors),
            "surface": self.surface,
            "pixel_nm": list(SURFACES[self.surface].TRAINING.pixel_nm),
            "channels": 3,
            "multiple": self.network().layout.multiple,
            "flow_noise": self.flow_noise,
        }


@dataclass(frozen=True)
class _Samples:
    lesson: Mixed
    seed: int

    def __call__(self, number: int) -> tuple[NDArray[np.float32], ...]:
        one = sample(self.lesson.surface, self.lesson.mix, self.seed, number)
        # Of another stream than the sample's own numbers.
        rng = np.random.default_rng((self.seed, number, 1))
        noise = rng.standard_normal(one.known.shape, np.float32)
        chance = rng.random(2, np.float32)
        return one.known[None], one.mask[None], one.target[None], noise[None], chance


def _psnr(image: Tensor, target: Tensor) -> float:
    # Errors are averaged before the logarithm: undamaged samples have a PSNR of infinity.
    error = image - target
    error = error - error.flatten(1).median(dim=1).values[:, None, None, None]
    span = target.flatten(1).max(1).values - target.flatten(1).min(1).values
    return float(-10 * torch.log10((error.pow(2).flatten(1).mean(1) / span**2).mean()))
