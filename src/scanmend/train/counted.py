"""One network for scans in counts, at any dose, as they are or on a finer grid."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import nn

from .. import counts
from ..evaluate.metrics import psnr, ssim
from ..pairs.counted import Doses, sample
from ..pairs.samples import Sample
from ..scan import Quantity
from ..stem.crystals import CRYSTALS
from .lesson import VALIDATION_SEED, Sampler
from .swiftly import Swiftly

Image = NDArray[np.floating]

_VALIDATED = 24
_WIDTHS_PX = np.geomspace(0.5, 12, 10)


@dataclass(frozen=True, kw_only=True)
class Counted(Swiftly):
    """The lesson of the model `stem`: `nets.swift`, simulated STEM scans of `Doses`.

    Attributes, besides those of `Swiftly`:
        mix: What the samples are.
    """

    TOLD = counts.TOLD
    FREE = False

    mix: Doses = field(default_factory=Doses)

    @property
    def score(self) -> str:
        """PSNR of the posterior mean over all that is held out."""
        return "mean_dB"

    def sampler(self, seed: int) -> Sampler:
        """What is known, in two planes, its mask, the truth; and the randomness of the flow."""
        return _Samples(self.mix, seed)

    @torch.no_grad()
    def validate(self, net: nn.Module) -> dict[str, float]:
        """PSNR, dB, and SSIM of what goes in, of a Gaussian and of the mean, on held-out scans.

        By `counts` at each factor and dose, as `input_x2_low_dB`, and of the mean over all,
        `mean_dB`. The Gaussian, `smooth`, has for each scan the width that is best for it, which
        nobody knows who has no truth. The peak is each target's range.
        """
        device = next(net.parameters()).device
        figures: dict[str, float] = {}
        for case, samples in self.held_out.items():
            shown = torch.from_numpy(np.stack([s.shown for s in samples])).to(device)
            told = torch.from_numpy(np.stack([s.told for s in samples])).to(device)
            mean, drawn = self.restored(net, shown[:, :2], shown[:, 2:], told)
            targets = [s.target for s in samples]
            images = {
                **self._classical[case],
                "mean": list(mean[:, 0].float().cpu().numpy()),
                "flow": list(drawn[:, 0].float().cpu().numpy()),
            }
            for name, made in images.items():
                figures |= _scores(f"{name}_{case}", made, targets)
        over = [value for key, value in figures.items() if key.startswith("mean_x") and "dB" in key]
        return figures | {"mean_dB": round(float(np.mean(over)), 3)}

    def data(self) -> dict[str, Any]:
        """The crystals."""
        return {"source": {"crystals": list(CRYSTALS)}}

    def card(self, net: nn.Module) -> dict[str, Any]:
        """What `scanmend.restoration` asks of a model of scans in counts."""
        return {
            **self.described(net, self.mix.factors),
            "quantity": Quantity.COUNTS.name,
            "detectors": ["HAADF"],
            "axes": ["rows", "columns"],
            "surface": "simulated HAADF of " + ", ".join(c.name for c in CRYSTALS.values()),
            "pixel_nm": list(self.mix.pixel_nm),
            "coarsest_nm": self.mix.coarsest_nm,
            "dose_per_A2": list(self.mix.dose_per_A2),
        }

    @cached_property
    def held_out(self) -> dict[str, list[Sample]]:
        """Scans to validate with, by factor and dose, as `validate` names them."""
        low, high = self.mix.dose_per_A2
        ratio = (high / low) ** (1 / 3)
        cases = {
            f"x{factor}_{name}": replace(
                self.mix, factors=(factor,), factor_shares=(1.0,), dose_per_A2=dose
            )
            for factor in self.mix.factors
            for name, dose in {"low": (low, low * ratio), "high": (high / ratio, high)}.items()
        }
        return {
            case: list(islice(_with_something(doses), _VALIDATED)) for case, doses in cases.items()
        }

    @cached_property
    def _classical(self) -> dict[str, dict[str, list[Image]]]:
        """What goes in, and the best that a Gaussian makes of it."""
        return {
            case: {
                "input": [_counts(s) for s in samples],
                "smooth": [_smoothed(_counts(s), s.target) for s in samples],
            }
            for case, samples in self.held_out.items()
        }


def _with_something(doses: Doses):
    """Samples that are not all vacuum, whose range is that of nothing."""
    for number in count():
        one = sample(doses, VALIDATION_SEED, number)
        if np.ptp(one.target) > 0.05:
            yield one


def _counts(one: Sample) -> Image:
    """What was measured, in the units of the target."""
    assert one.raw is not None
    return one.raw * np.hypot(1, 2.0 ** one.told[3])


def _smoothed(image: Image, target: Image) -> Image:
    tried = [gaussian_filter(image, width, mode="nearest") for width in _WIDTHS_PX]
    return min([image, *tried], key=lambda one: float(np.mean((one - target) ** 2)))


def _scores(name: str, images: list[Image], targets: list[Image]) -> dict[str, float]:
    pairs = list(zip(images, targets, strict=True))
    return {
        f"{name}_dB": round(float(np.mean([psnr(*pair) for pair in pairs])), 2),
        f"{name}_ssim": round(float(np.mean([ssim(*pair) for pair in pairs])), 4),
    }


@dataclass(frozen=True)
class _Samples:
    mix: Doses
    seed: int

    def __call__(self, number: int) -> tuple[NDArray[np.float32], ...]:
        # Of another stream than the sample's own numbers.
        rng = np.random.default_rng((self.seed, number, 2))
        noise = rng.standard_normal((self.mix.side,) * 2, np.float32)
        one = sample(self.mix, self.seed, number)
        shown = one.shown
        told, chance = one.told, rng.random(3, np.float32)
        return shown[:2], shown[2:], one.target[None], told, noise[None], chance
