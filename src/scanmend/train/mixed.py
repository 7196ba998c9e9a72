"""One network for scans with all their lines and for those with few: mean, spread and flow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .. import normalise
from ..crystals import SURFACES
from ..errors import RecipeError
from ..pairs import clean
from ..pairs.samples import Mix, Sample, sample
from .lesson import VALIDATION_SEED
from .swiftly import Swiftly

_VALIDATED = 48


@dataclass(frozen=True, kw_only=True)
class Mixed(Swiftly):
    """The lesson of the shipped models for heights: `nets.swift`, samples of a `Mix`.

    Attributes, besides those of `Swiftly`:
        surface: Name of the generator of clean surfaces, in `scanmend.crystals.SURFACES`.
        source: A folder of clean scans of one's own to learn from besides, if any.
        own: The share of samples that are from there.
        width_nm, unit: Of these scans, where their files do not say them; 0 and "": they do.
        split: Of them: how many, or which shares, to train, validate and test with.
        mix: What the samples are.
    """

    TOLD = normalise.TOLD
    FREE = True

    surface: str = "si001h"
    source: str = ""
    own: float = 0.5
    width_nm: float = 0.0
    unit: str = ""
    split: tuple[int, int, int] = (1, 0, 0)
    mix: Mix = field(default_factory=Mix)

    def __post_init__(self) -> None:
        if self.surface not in SURFACES:
            raise RecipeError(f"no surface {self.surface!r}; there are {', '.join(SURFACES)}")
        if not 0 <= self.own <= 1:
            raise RecipeError(f"own is a share from 0 to 1, got {self.own}")
        super().__post_init__()

    @property
    def score(self) -> str:
        """PSNR of the posterior mean at the hardest factor."""
        return f"mean_x{max(self.mix.factors)}_dB"

    def sampler(self, seed: int) -> _Samples:
        """What is known, where it was measured, the truth; and the randomness of the flow.

        Raises:
            RecipeError: Scans of one's own are too small, or of another quantity than surfaces.
            ReadError: There are none.
        """
        if own := self._own:
            own.must_hold(self.mix.side + 2 * self.mix.margin)
            if self.own < 1 and own.quantity is not clean.Surface(self.surface).quantity:
                raise RecipeError(
                    f"the scans in {self.source} hold {own.quantity.name.lower()}, and simulated "
                    "surfaces height: set own = 1, to learn from them alone"
                )
        return _Samples(self, seed)

    @torch.no_grad()
    def validate(self, net: nn.Module) -> dict[str, float]:
        """PSNR, dB: of what goes in, of the mean, and after 3 flow calls; on simulated surfaces.

        Of damage without ghosts, `mean_x1_dB`, with them, `mean_ghosts_dB`, and of every k-th line
        without damage, `mean_xk_dB`; the peak is each target's range.
        """
        device = next(net.parameters()).device
        figures: dict[str, float] = {}
        for case, samples in self.held_out.items():
            known, mask, target = (
                torch.from_numpy(np.stack([getattr(s, name)[None] for s in samples])).to(device)
                for name in ("known", "mask", "target")
            )
            told = torch.from_numpy(np.stack([s.told for s in samples])).to(device)
            mean, drawn = self.restored(net, known, mask, told)
            for name, image in {"input": known, "mean": mean, "flow": drawn}.items():
                figures[f"{name}_{case}_dB"] = round(_psnr(image, target), 2)
        return figures

    def data(self) -> dict[str, Any]:
        """The surface, and names and hashes of scans of one's own."""
        surface = {"source": {"surface": self.surface}} if self._surface else {}
        return surface | ({"own": self._own.table()} if self._own else {})

    def card(self, net: nn.Module) -> dict[str, Any]:
        """What `scanmend.restoration` asks of a model of several factors."""
        sources = [source for source in (self._surface, self._own) if source]
        pitches = [pitch for source in sources for pitch in source.pixel_nm]
        return {
            **self.described(net, self.mix.factors),
            "quantity": sources[-1].quantity.name,
            "surface": self.surface,
            "pixel_nm": [min(pitches), max(pitches)],
        }

    @property
    def _surface(self) -> clean.Source | None:
        return None if self._own and self.own == 1 else clean.Surface(self.surface)

    @cached_property
    def _own(self) -> clean.Source | None:
        if not self.source or not self.own:
            return None
        return clean.source(self.source, self.split, self.width_nm, self.unit)

    @cached_property
    def held_out(self) -> dict[str, list[Sample]]:
        """Samples to validate with, by what is wrong with them, as `validate` names it."""
        plain = {"sparse_mended": 0.0, "ghosts": 0.0}
        cases = {f"x{k}": {**plain, "factors": (k,)} for k in self.mix.factors}
        if 1 in self.mix.factors and self.mix.ghosts:
            cases["ghosts"] = {"factors": (1,), "ghosts": 1.0}
        surface = clean.Surface(self.surface)
        return {
            case: [
                sample(
                    surface,
                    replace(self.mix, factor_shares=(1.0,), **changes),
                    VALIDATION_SEED,
                    number,
                )
                for number in range(_VALIDATED)
            ]
            for case, changes in cases.items()
        }


@dataclass(frozen=True)
class _Samples:
    lesson: Mixed
    seed: int

    def __call__(self, number: int) -> tuple[NDArray[np.float32], ...]:
        # Of another stream than the sample's own numbers.
        rng = np.random.default_rng((self.seed, number, 1))
        noise = rng.standard_normal((self.lesson.mix.side,) * 2, np.float32)
        chance = rng.random(3, np.float32)
        own = self.lesson._own if chance[2] < self.lesson.own else None
        source = own or clean.Surface(self.lesson.surface)
        one = sample(source, self.lesson.mix, self.seed, number)
        return one.known[None], one.mask[None], one.target[None], one.told, noise[None], chance


def _psnr(image: Tensor, target: Tensor) -> float:
    # Errors are averaged before the logarithm: undamaged samples have a PSNR of infinity.
    error = image - target
    error = error - error.flatten(1).median(dim=1).values[:, None, None, None]
    span = target.flatten(1).max(1).values - target.flatten(1).min(1).values
    return float(-10 * torch.log10((error.pow(2).flatten(1).mean(1) / span**2).mean()))
