"""One file of settings for one training."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..crystals import SURFACES
from ..errors import RecipeError
from ..pairs.samples import Mix


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a training gives, but the machine.

    The learning rate is constant, but for a short warm-up and a last part in which it falls to 0:
    `iterations` may so be changed between two runs without spoiling what was learnt.

    Attributes:
        name: Name of the model.
        surface: Name of the generator of clean surfaces, in `scanmend.crystals.SURFACES`.
        seed: Decides every sample, noise and initial weight.
        iterations: Batches to train on.
        batch: Samples in a batch.
        learning_rate: Of AdamW, after the warm-up.
        warm_up: Iterations in which the rate rises.
        cool_down: Last share of the iterations, in which the rate falls linearly to 0.
        clip: Largest norm of the gradient.
        average: Decay of the running average of weights that is exported.
        flow_from: Share of the iterations before the flow is trained at all.
        flow_share: Share of each batch, then, on which it is trained.
        flow_noise: Standard deviation of the noise that is added to the mean, in model units.
        widths, blocks, middle, stem: The network's `Layout`.
        mix: What the samples are.
    """

    name: str
    surface: str = "si001h"
    seed: int = 0
    iterations: int = 6000
    batch: int = 16
    learning_rate: float = 1e-3
    warm_up: int = 100
    cool_down: float = 0.25
    clip: float = 1.0
    average: float = 0.998
    flow_from: float = 0.5
    flow_share: float = 0.25
    flow_noise: float = 0.1
    widths: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 1, 2)
    middle: int = 2
    stem: int = 2
    mix: Mix = field(default_factory=Mix)

    def __post_init__(self) -> None:
        for name in ("iterations", "batch", "learning_rate", "warm_up", "cool_down", "clip"):
            if not getattr(self, name) > 0:
                raise RecipeError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.seed < 0:
            raise RecipeError(f"seed must be at least 0, got {self.seed}")
        if self.surface not in SURFACES:
            raise RecipeError(f"no surface {self.surface!r}; there are {', '.join(SURFACES)}")
        if not len(self.widths) == len(self.blocks) > 0:
            raise RecipeError(f"widths {self.widths} and blocks {self.blocks} must be as many")

    def rate(self, iteration: int) -> float:
        """The learning rate at `iteration`."""
        rise = (iteration + 1) / self.warm_up
        fall = (self.iterations - iteration) / (self.cool_down * self.iterations)
        return self.learning_rate * min(1.0, rise, fall)


def load(source: str | Path) -> Settings:
    """Reads a TOML file, or one of the presets by its name.

    Raises:
        RecipeError: There is no such file, or it is no TOML, or holds an unknown key or a value
            that means nothing.
    """
    preset = files("scanmend.train") / "presets" / f"{source}.toml"
    path = preset if preset.is_file() else Path(source)
    if not path.is_file():
        raise RecipeError(f"no settings file {source}, nor a preset of that name")
    try:
        table = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{source} is no TOML: {error}") from None
    mix = _build(Mix, table.pop("mix", {}), f"{source}, [mix]")
    return _build(Settings, {"name": Path(source).stem, **table, "mix": mix}, str(source))


def _build(kind: type, table: dict[str, Any], where: str) -> Any:
    defaults = {field.name: field.default for field in fields(kind)}
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    for key, value in values.items():
        if key not in defaults:
            raise RecipeError(f"{where}: unknown key {key!r}; there are {', '.join(defaults)}")
        default = defaults[key]
        kinds = (int, float) if isinstance(default, float) else type(default)
        if default is not MISSING and not isinstance(value, kinds):
            raise RecipeError(f"{where}: {key} must be like {default!r}, got {value!r}")
    return kind(**values)
