"""`python -m scanmend.train.encoder`: trains the embedder that is shipped, `stm-encoder`.

It learns to tell from a simulated scan which damage it has and how strong that is, of what
material it is, and the pitch, the angle and the defect densities of its lattice: what a distance
between sets of scans should be sensitive to. It is no Inception network, and its scores carry
its name.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from .. import __version__
from ..nets.encoder import FEATURES, Encoder
from .examples import KINDS, NUMBERS, OTHERS, SIDE, Example, Lesson, example, others
from .export import IMAGE_AXES, write
from .learner import placed
from .lesson import VALIDATION_SEED

NAME = "stm-encoder"


class _Examples(Dataset[Example]):
    def __init__(self, lesson: Lesson) -> None:
        self.lesson = lesson

    def __len__(self) -> int:
        return self.lesson.scans

    def __getitem__(self, number: int) -> Example:
        return example(self.lesson, self.lesson.seed, number)


class Taught(nn.Module):
    """The encoder, and what is told from its features, linearly; that part is not shipped."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.told = nn.Linear(FEATURES, len(KINDS) + len(NUMBERS) + 1 + len(OTHERS))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits of the kinds, the numbers, and logits of the materials."""
        sizes = [len(KINDS), len(NUMBERS), 1 + len(OTHERS)]
        return self.told(self.encoder(image)).split(sizes, dim=1)


def loss(net: Taught, batch: Sequence[Tensor]) -> Tensor:
    """Cross-entropies of kinds and materials, and squared errors of the numbers."""
    image, kinds, numbers, material = batch
    said, guessed, name = net(image)
    known = numbers.isfinite()
    wrong = F.mse_loss(guessed[known], numbers[known])
    return (
        F.binary_cross_entropy_with_logits(said, kinds)
        + wrong
        + 0.3 * F.cross_entropy(name, material)
    )


def train(lesson: Lesson, workers: int = 1) -> Taught:
    """The trained network, in evaluation mode; tells of its losses on the way."""
    torch.manual_seed(lesson.seed)
    net = Taught()
    placed(net, "cpu")  # which works in place
    with torch.no_grad():
        # Begins with what is right on average.
        net.told.weight *= 0.3
        net.told.bias.zero_()[: len(KINDS)] = math.log(
            lesson.kind_chance / (1 - lesson.kind_chance)
        )
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, lesson.learning_rate, total_steps=lesson.iterations, pct_start=0.15
    )
    scans = _made(lesson, workers)
    crops = torch.Generator().manual_seed(lesson.seed)
    began = time.monotonic()
    for k in range(1, lesson.iterations + 1):
        error = loss(net, _batch(scans, lesson, crops))
        optimiser.zero_grad(set_to_none=True)
        error.backward()
        optimiser.step()
        schedule.step()
        if k % 20 == 0:
            print(f"{k:5d}  {error.item():.3f}  {time.monotonic() - began:4.0f} s", flush=True)
    return net.eval()


def _made(lesson: Lesson, workers: int) -> list[Tensor]:
    if lesson.other_share > 0:
        for material in range(len(OTHERS)):  # before the workers are forked
            others(material, lesson.seed, lesson.other_count)
    parts = list(DataLoader(_Examples(lesson), batch_size=64, num_workers=workers))
    return [torch.cat(column) for column in zip(*parts, strict=True)]


def _batch(scans: list[Tensor], lesson: Lesson, rng: torch.Generator) -> list[Tensor]:
    """Random scans, all of them cropped at one random place, and half of the batches mirrored."""
    chosen = torch.randint(lesson.scans, (lesson.batch,), generator=rng)
    row, column, mirrored = torch.randint(2**31, (3,), generator=rng).tolist()
    row, column = (at % (SIDE - lesson.crop + 1) for at in (row, column))
    image, kinds, numbers, material = (column_of[chosen] for column_of in scans)
    image = image[..., row : row + lesson.crop, column : column + lesson.crop]
    if mirrored % 2:
        image = image.flip(-1)
        numbers[:, NUMBERS.index("sin")] *= -1
    return [image, kinds, numbers, material]


def validate(net: Taught, lesson: Lesson, count: int = 256) -> dict[str, float]:
    """On scans never trained on: how well each thing is told.

    Of a kind of damage, the area under the ROC curve; of a number, the share of its variance that
    is explained; of the material, the share that is right.
    """
    examples = [example(lesson, VALIDATION_SEED, number) for number in range(count)]
    image, kinds, numbers, material = (np.stack(column) for column in zip(*examples, strict=True))
    with torch.inference_mode():
        parts = [net(torch.from_numpy(image[k : k + 64])) for k in range(0, count, 64)]
    said, guessed, name = (torch.cat(p).numpy() for p in zip(*parts, strict=True))
    figures = {f"auc_{kind}": _auc(said[:, k], kinds[:, k] > 0) for k, kind in enumerate(KINDS)}
    for k, what in enumerate(NUMBERS):
        known = np.isfinite(numbers[:, k])
        left = np.var(guessed[known, k] - numbers[known, k]) / np.var(numbers[known, k])
        figures[f"explained_{what}"] = float(1 - left)
    figures["right_material"] = float(np.mean(name.argmax(axis=1) == material))
    return {what: round(value, 3) for what, value in figures.items()}


def _auc(score: NDArray[np.floating], true: NDArray[np.bool_]) -> float:
    return float(np.mean(score[true][:, None] > score[~true]))


def export(net: Encoder, path: Path, facts: dict[str, Any]) -> str:
    """Writes the embedder with its card, in place of what is there; the SHA-256 of the file."""
    card = {
        "name": NAME,
        "kind": "embedder",
        "channels": 1,
        "range": [-1, 1],
        "features": FEATURES,
        "trained_side": SIDE,
        "parameters": sum(p.numel() for p in net.parameters()),
        "scanmend": __version__,
        "licence": "BSD-3-Clause",
        **facts,
    }
    axes = {"image": IMAGE_AXES, "features": {0: "batch"}}
    write(net, (torch.zeros(2, 1, SIDE, SIDE),), axes, card, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Trains, validates, writes the file and prints the line of SHA256SUMS."""
    parser = argparse.ArgumentParser(prog="python -m scanmend.train.encoder", description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path(f"{NAME}.onnx"))
    parser.add_argument("--scans", type=int, default=Lesson.scans)
    parser.add_argument("--iterations", type=int, default=Lesson.iterations)
    parser.add_argument("--workers", type=int, default=1, help="processes that make scans")
    options = parser.parse_args()
    lesson = Lesson(scans=options.scans, iterations=options.iterations)
    began = time.process_time()
    net = train(lesson, options.workers)
    children = os.times()
    cpu_s = time.process_time() - began + children.children_user + children.children_system
    figures = validate(net, lesson)
    recipe = lesson.table()
    facts = {
        "recipe": recipe,
        "recipe_sha256": hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest(),
        "training_cpu_s": round(cpu_s),
        "validation": figures,
    }
    print(json.dumps(figures, indent=1))
    print(f"{export(net.encoder, options.out, facts)}  {options.out.name}")


if __name__ == "__main__":
    main()
