"""A network that finds defects: from a scan to a map of each class, with a peak at each defect."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..defects.maps import THRESHOLD
from ..defects.own import own
from ..defects.samples import Scenes, Seen, of_shards, part, sample
from ..defects.scores import figures
from ..defects.targets import ONE
from ..errors import RecipeError, TrainingError
from ..nets.swift import Layout, Swift
from ..scan import Quantity
from ..shards import Store
from .lesson import VALIDATION_SEED, Sampler

TASK = "defects"
_AT_ONCE = 32  # samples that are validated on


@dataclass(frozen=True, kw_only=True)
class Marked:
    """The lesson of the models `defects-...`: `nets.swift`, scans of the simulated microscope.

    The loss is the mean square over all pixels and maps, as in the source. What it is least for is
    the mean of all maps that are possible: a peak is as high as it is certain that a defect is
    there. Weights for the few pixels with defects would raise the peaks, and spoil that; instead,
    scans have more defects of every class than real ones.

    Attributes:
        task: "defects".
        stored: A folder of scans that `scanmend simulate --format shards` made of the first of the
            experiments, to learn from instead of taking new ones.
        marked: A folder of scans of one's own to learn from besides, with tables of their defects,
            or one such table; see `defects.own`.
        own: The share of samples that are from there.
        new: Classes that only these scans have, after those of `mix`.
        width_nm, unit: Of these scans, where their files do not say them; 0 and "": they do.
        validation: Simulated scans to validate on.
        mix: Which scans, and how they are shown.
        widths, blocks, middle, stem: The network's `Layout`.

    References:
        M. Lužný, defect localisation by a U-Net in simulated scans of WSe2 (slides)
    """

    task: str = TASK
    stored: str = ""
    marked: str = ""
    own: float = 0.5
    new: tuple[str, ...] = ()
    width_nm: float = 0.0
    unit: str = ""
    validation: int = 256
    mix: Scenes = field(default_factory=Scenes)
    widths: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 1, 2)
    middle: int = 2
    stem: int = 2

    def __post_init__(self) -> None:
        if self.task != TASK:
            raise RecipeError(f"these settings are for the task {TASK}, got {self.task!r}")
        if not len(self.widths) == len(self.blocks) > 0:
            raise RecipeError(f"widths {self.widths} and blocks {self.blocks} must be as many")
        if self.mix.side % self._layout.multiple:
            raise RecipeError(
                f"side must be a multiple of {self._layout.multiple}, got {self.mix.side}"
            )
        if not 0 <= self.own <= 1:
            raise RecipeError(f"own is a share from 0 to 1, got {self.own}")
        if ONE in self.new or len(set(self.classes)) < len(self.classes):
            raise RecipeError(f"no class is new twice, or known: {', '.join(self.new)}")
        if self.new and (not self.marked or ONE in self.mix.classes):
            raise RecipeError(
                f"nothing shows the new class {self.new[0]!r}: name marked scans, and a model "
                "that tells classes apart"
            )
        if self.validation < 1:
            raise RecipeError(f"validation must be at least 1, got {self.validation}")

    @property
    def score(self) -> str:
        """R2 over all pixels and maps."""
        return "r2"

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of the maps, in their order."""
        return (*self.mix.classes, *self.new)

    def network(self) -> Swift:
        """The untrained network."""
        return Swift(self._layout)

    def sampler(self, seed: int) -> Sampler:
        """The image with its mask, and the maps.

        Raises:
            RecipeError: The shards are of other scans; or as `defects.own`.
            ReadError, ScanError: As `defects.own`; or there are no shards, or not all.
        """
        return _Samples(self, tuple(seen for seen, _ in self._own), self._store, seed)

    def losses(self, net: nn.Module, batch: tuple[Tensor, ...], progress: float) -> Tensor:
        """Mean square of each sample."""
        image, target = batch
        found = net(image, image.new_zeros(len(image)))
        return (found.float() - target).square().mean((1, 2, 3))

    @torch.no_grad()
    def validate(self, net: nn.Module) -> dict[str, float]:
        """What `defects.scores.figures` tells of simulated scans that are not learnt from."""
        device = next(net.parameters()).device
        shown = torch.from_numpy(np.stack([seen.image for seen in self.held_out]))
        found = [
            net(images.to(device), images.new_zeros(len(images)).to(device)).float().cpu().numpy()
            for images in shown.split(_AT_ONCE)
        ]
        return figures(np.concatenate(found), self.held_out, self.classes, self.mix.sigma_nm)

    def data(self) -> dict[str, Any]:
        """The experiments, whole; hashes of scans of one's own, and how many defects they have."""
        marked = [{"sha256": sha256, "defects": len(seen.kinds)} for seen, sha256 in self._own]
        source = {"source": {"experiments": self.mix.table()}}
        return source | ({"marked": marked} if marked else {})

    def card(self, net: nn.Module) -> dict[str, Any]:
        """What is needed to find defects with it."""
        return {
            "tasks": [TASK],
            "factors": [1],
            "quantity": Quantity.HEIGHT.name,
            "pixel_nm": list(self.mix.pixel_nm),
            "channels": net.channels,
            "multiple": net.multiple,
            "reach": self._layout.reach,
            "flow_noise": 0,
            "materials": self.mix.materials,
            "classes": list(self.classes),
            "sigma_nm": self.mix.sigma_nm,
            "threshold": THRESHOLD,
            "side": self.mix.side,
        }

    def adapted(
        self, weights: dict[str, NDArray[Any]], card: dict[str, Any]
    ) -> dict[str, NDArray[Any]]:
        """The weights of a model, which knew other classes, or was one for restoration.

        Restoration has the scan twice, on its way and as it was measured; here both are one. What
        is new in the head begins with nothing.
        """
        stem, head, bias = (weights.get(key) for key in ("stem.weight", "head.weight", "head.bias"))
        if stem is None or head is None or bias is None:
            raise TrainingError(f"{card['name']} is of another network: it is no `nets.swift`")
        fold = self.stem**2
        if stem.shape[1] == 3 * fold:
            stem = np.concatenate(
                [stem[:, :fold] + stem[:, fold : 2 * fold], stem[:, 2 * fold :]], 1
            )
        known, classes = card.get("classes", []), self.classes
        old_and_new = [(known.index(name), n) for n, name in enumerate(classes) if name in known]
        new_head = np.zeros((len(classes) * fold, *head.shape[1:]), head.dtype)
        new_bias = np.zeros(len(classes) * fold, bias.dtype)
        for old, new in old_and_new:
            there, here = (slice(n * fold, (n + 1) * fold) for n in (old, new))
            new_head[here], new_bias[here] = head[there], bias[there]
        return {**weights, "stem.weight": stem, "head.weight": new_head, "head.bias": new_bias}

    @cached_property
    def held_out(self) -> list[Seen]:
        """Scans to validate with, shown as those to learn from; each of another surface."""
        mix = replace(self.mix, uses=1)
        return [sample(mix, VALIDATION_SEED, number) for number in range(self.validation)]

    @property
    def _layout(self) -> Layout:
        planes = len(self.classes)
        return Layout(self.widths, self.blocks, self.middle, self.stem, channels=2, planes=planes)

    @cached_property
    def _own(self) -> list[tuple[Seen, str]]:
        if not self.marked or not self.own:
            return []
        return own(self.marked, self.mix, self.classes, self.width_nm, self.unit)

    @property
    def _store(self) -> Store | None:
        return of_shards(Path(self.stored), self.mix) if self.stored else None


@dataclass(frozen=True)
class _Samples:
    lesson: Marked
    own: tuple[Seen, ...]
    store: Store | None
    seed: int

    def __call__(self, number: int) -> tuple[NDArray[np.float32], ...]:
        lesson = self.lesson
        # Of another stream than the sample's own numbers.
        rng = np.random.default_rng((self.seed, number, 4))
        if self.own and rng.random() < lesson.own:
            seen = part(self.own[rng.integers(len(self.own))], lesson.mix, rng)
        else:
            seen = sample(lesson.mix, self.seed, number, self.store)
        return seen.image, seen.target(lesson.classes, lesson.mix.sigma_nm)
