"""The papers' way: from a degraded image to the clean one, one network a task, by one method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..degrade.recipe import Recipe, dump, load_file, preset
from ..errors import ReadError, RecipeError
from ..evaluate.metrics import psnr, ssim
from ..generate import Diffusion, FlowMatching, Method, Regression, table
from ..nets import NETS
from ..nets.unet import LAYOUTS
from ..objective import losses
from ..pairs import clean, sets
from ..shards import Store
from .lesson import VALIDATION_SEED


@dataclass(frozen=True)
class Paired:
    """The lesson of the papers' models.

    Attributes:
        net: Name of one of `scanmend.nets.NETS`.
        method: How the network makes an image, and so what it learns.
        task: One of `scanmend.pairs.sets.TASKS`.
        source: Name of a generator of surfaces, or a folder of clean scans.
        width_nm, unit: Of the scans in that folder, where their files do not say them; 0 and "":
            they do.
        split: Of that folder's images: how many, or which shares, to train, validate, test with.
        recipe: The damage: a preset or a TOML file.
        stored: A folder of pairs that `scanmend pairs` made, to read instead of making them here;
            `source` and `recipe` are theirs then.
        count: After so many samples the same come again.
        jitter: Share of the samples whose range is narrowed, in both images alike: of a whole
            scan, which is brought to [-1, 1] at once, a patch has a part of the range only.
        crop: Side of the part of each sample that is trained on, pixels.
        validation: Samples to validate on.
        steps: Of the sampler, in the validation and by default afterwards.
    """

    net: str = "small"
    method: Method = field(default_factory=FlowMatching)
    task: str = "restore"
    source: str = "si001h"
    width_nm: float = 0.0
    unit: str = ""
    split: tuple[int, int, int] = clean.SHARES
    recipe: str = "paper"
    stored: str = ""
    count: int = 20_000
    jitter: float = 0.25
    crop: int = sets.SIDE
    validation: int = 64
    steps: int = 2

    def __post_init__(self) -> None:
        if self.net not in NETS:
            raise RecipeError(f"no network {self.net!r}; there are {', '.join(NETS)}")
        blind = self.net in LAYOUTS and LAYOUTS[self.net].channels == 1
        if blind and not isinstance(self.method, Regression):
            raise RecipeError(f"{self.net} sees the degraded image only: use Regression")
        if isinstance(self.method, Diffusion):
            self.method.visited(self.steps)  # raises, if there are not so many
        if not 0 <= self.jitter <= 1:
            raise RecipeError(f"jitter is a share from 0 to 1, got {self.jitter}")
        if not 16 <= self.crop <= sets.SIDE or self.crop % 8:
            raise RecipeError(
                f"crop must be from 16 to {sets.SIDE} pixels in steps of 8, got {self.crop}"
            )
        for name in ("count", "validation", "steps"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.stored:
            for split in ("train", "validation"):
                if lost := self._store(split).missing():
                    raise ReadError(
                        f"{self.stored} lacks {len(lost)} shards of {self.task}/{split}: the same "
                        "`scanmend pairs` makes them"
                    )

    @property
    def score(self) -> str:
        """SSIM of what is drawn."""
        return "ssim"

    def network(self) -> nn.Module:
        """The untrained network."""
        return NETS[self.net]()

    def sampler(self, seed: int) -> Callable[[int], tuple[NDArray[np.float32], ...]]:
        """Clean and degraded image, and the randomness of the method."""
        return _Samples(self.pairs("train", seed), self, seed)

    def pairs(self, split: str, seed: int) -> Callable[[int], NDArray[np.float32]]:
        """Pair `number` of a split, (2, rows, columns): from the sets, or made when asked for."""
        if self.stored:
            return _Stored(self._store(split))
        return _Made(sets.Pairs(self._source, self._recipe, self.task, split, seed))

    def losses(self, net: nn.Module, batch: tuple[Tensor, ...], progress: float) -> Tensor:
        """Those of the method."""
        return losses(self.method, net, *batch)

    @torch.no_grad()
    def validate(self, net: nn.Module) -> dict[str, float]:
        """SSIM and PSNR (dB) of what is drawn, and of what goes in; on images in [0, 1]."""
        device = next(net.parameters()).device
        found = self._validation
        pairs = (torch.from_numpy(found) / 1).to(device)
        normal = torch.Generator().manual_seed(VALIDATION_SEED)

        def network(image: Tensor, degraded: Tensor, t: float) -> Tensor:
            planes = torch.cat([image, degraded], 1)[:, -cast(int, net.channels) :]
            return net(planes, planes.new_full((len(planes),), t))

        drawn = []
        for pair in pairs.split(16):
            degraded = pair[:, 1:].contiguous(memory_format=torch.channels_last)

            def noise(like: Tensor = degraded) -> Tensor:
                return torch.randn(like.shape, generator=normal).to(device)

            drawn.append(self.method.restore(network, degraded, noise, self.steps).float().cpu())
        images = torch.cat(drawn)[:, 0].numpy()
        figures: dict[str, float] = {}
        for name, out in (("", images), ("input_", found[:, 1])):
            both = [
                ((o.clip(-1, 1) + 1) / 2, (c + 1) / 2)
                for o, c in zip(out, found[:, 0], strict=True)
            ]
            figures[f"{name}ssim"] = float(np.mean([ssim(o, c, 1.0) for o, c in both]))
            figures[f"{name}psnr_dB"] = float(np.mean([psnr(o, c, 1.0) for o, c in both]))
        return figures

    def data(self) -> dict[str, Any]:
        """Where the clean images are from, by split with their hashes, and their damage."""
        if self.stored:
            known = self._store("train").recipe
            return {key: known[key] for key in ("source", "damage", "quantity", "pixel_nm")}
        pairs = sets.Pairs(self._source, self._recipe, self.task)
        return {
            "source": self._source.table(),
            "damage": dump(pairs.damage),
            "quantity": self._source.quantity.name.lower(),
            "pixel_nm": list(self._source.pixel_nm),
        }

    def card(self, net: nn.Module) -> dict[str, Any]:
        """What `scanmend.restoration` asks of a model of one task."""
        return {
            "task": self.task,
            "factor": sets.TASKS[self.task],
            "method": table(self.method),
            "steps": self.steps,
            "net": self.net,
            "channels": net.channels,
            "multiple": net.multiple,
            "side": sets.SIDE,
            "pixel_nm": self.data()["pixel_nm"],
            "quantity": self.data()["quantity"].upper(),
        }

    def _store(self, split: str) -> Store:
        there = sets.open(self.stored).get(self.task, {})
        if split not in there:
            raise ReadError(
                f"{self.stored} holds no set {self.task}/{split}: make it, or name another"
            )
        return there[split]

    @cached_property
    def _source(self) -> clean.Source:
        return clean.source(self.source, self.split, self.width_nm, self.unit)

    @cached_property
    def _recipe(self) -> Recipe:
        is_file = Path(self.recipe).is_file()
        return load_file(self.recipe) if is_file else preset(self.recipe)

    @cached_property
    def _validation(self) -> NDArray[np.float32]:
        pairs = self.pairs("validation", VALIDATION_SEED)
        return np.stack([pairs(number) for number in range(self.validation)])


@dataclass(frozen=True)
class _Made:
    pairs: sets.Pairs

    def __call__(self, number: int) -> NDArray[np.float32]:
        return self.pairs.images([number])[0]


@dataclass(frozen=True)
class _Stored:
    store: Store

    def __call__(self, number: int) -> NDArray[np.float32]:
        return self.store[number % len(self.store)].arrays["pair"]


@dataclass(frozen=True)
class _Samples:
    pairs: Callable[[int], NDArray[np.float32]]
    lesson: Paired
    seed: int

    def __call__(self, number: int) -> tuple[NDArray[np.float32], ...]:
        pair, crop = self.pairs(number % self.lesson.count), self.lesson.crop
        # Of another stream than the sample's own numbers.
        rng = np.random.default_rng((self.seed, number, 1))
        top, left = rng.integers(0, pair.shape[-1] - crop + 1, 2)
        pair = pair[:, top : top + crop, left : left + crop]
        if rng.random() < self.lesson.jitter:
            gain = np.float32(rng.uniform(0.4, 1))
            pair = gain * pair + (1 - gain) * np.float32(rng.uniform(-1, 1))
        noise = rng.standard_normal((1, crop, crop), np.float32)
        return pair[:1].copy(), pair[1:].copy(), noise, np.array(rng.random(), np.float32)
