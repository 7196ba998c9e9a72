"""One file of settings for one training."""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from .. import generate, models
from ..errors import RecipeError
from .counted import Counted
from .lesson import Lesson
from .marked import Marked
from .mixed import Mixed
from .paired import Paired

LESSONS: dict[str, type[Lesson]] = {
    "mixed": Mixed,
    "counted": Counted,
    "paired": Paired,
    "marked": Marked,
}
"""What can be taught: a settings file has one table of these names."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a training gives, but the machine.

    The learning rate is constant, but for a short warm-up and a last part in which it falls to 0:
    `iterations` may so be changed between two runs without spoiling what was learnt.

    Attributes:
        name: Name of the model.
        lesson: What is learnt: the network, its samples, its loss, how it is judged.
        seed: Decides every sample, noise and initial weight.
        iterations: Batches to train on.
        batch: Samples in a batch.
        learning_rate: Of AdamW, after the warm-up.
        warm_up: Iterations in which the rate rises.
        cool_down: Last share of the iterations, in which the rate falls linearly to 0.
        clip: Largest norm of the gradient.
        average: Decay of the running average of weights that is exported.
        validate_every: Iterations from one validation, and checkpoint, to the next.
        start: Model file, or name of a model that comes along, whose weights it begins with.
        patience: After how many validations without a better score it stops; 0: never. With it,
            the best weights are exported, without it the last ones.
    """

    name: str
    lesson: Lesson
    seed: int = 0
    iterations: int = 6000
    batch: int = 16
    learning_rate: float = 1e-3
    warm_up: int = 100
    cool_down: float = 0.25
    clip: float = 1.0
    average: float = 0.998
    validate_every: int = 500
    patience: int = 0
    start: str = ""

    def __post_init__(self) -> None:
        positive = ("iterations", "batch", "learning_rate", "warm_up", "cool_down", "clip")
        for name in (*positive, "validate_every"):
            if not getattr(self, name) > 0:
                raise RecipeError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("seed", "patience"):
            if getattr(self, name) < 0:
                raise RecipeError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.average < 1:
            raise RecipeError(f"average must be at least 0 and below 1, got {self.average}")

    def rate(self, iteration: int) -> float:
        """The learning rate at `iteration`."""
        rise = (iteration + 1) / self.warm_up
        fall = (self.iterations - iteration) / (self.cool_down * self.iterations)
        return self.learning_rate * min(1.0, rise, fall)

    def table(self) -> dict[str, Any]:
        """The settings as plain JSON values, as the file has them."""
        table = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "lesson"}
        kind = next(name for name, cls in LESSONS.items() if type(self.lesson) is cls)
        return {**table, kind: _plain(self.lesson)}


def load(source: str | Path, changes: dict[str, Any] | None = None) -> Settings:
    """Reads a TOML file, or one of the presets by its name.

    Args:
        source: The file, or the name.
        changes: What is to be otherwise than it says, with the same keys; a key of the lesson's
            table is found there.

    Raises:
        RecipeError: There is no such file, or it is no TOML, or holds an unknown key or a value
            that means nothing.
    """
    folder = files("scanmend.train") / "presets"
    preset = folder / f"{source}.toml"
    path = preset if preset.is_file() else Path(source)
    if not path.is_file():
        names = sorted(file.name.removesuffix(".toml") for file in folder.iterdir())
        raise RecipeError(f"no settings file {source}, nor a preset: {', '.join(names)}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{source} is no TOML: {error}") from None
    return _settings({"name": Path(source).stem, **table}, changes or {}, str(source))


def of_model(source: str | Path, changes: dict[str, Any] | None = None) -> Settings:
    """Those with which a model was trained, to go on from it: at a lower rate, and not as long.

    Args:
        source: The model file, or the name of one that comes along.
        changes: As for `load`.

    Raises:
        ModelError: There is no such model.
        RecipeError: Its card does not say what it was trained with, or not as this version does.
    """
    model = models.load(source)
    table = model.card.get("recipe")
    if not isinstance(table, dict):
        raise RecipeError(f"the card of {model.name} has no recipe: name the settings as well")
    if not any(name in table for name in LESSONS):
        raise RecipeError(
            f"the card of {model.name} has a recipe of an older version: name the settings as well"
        )
    changes = changes or {}
    if "new" in changes:  # to what it has learnt already
        known = table.get("marked", {}).get("new", ())
        changes = {**changes, "new": (*known, *changes["new"])}
    # What belonged to other scans does not hold for these.
    other = {key for of, keys in _OF.items() if of in changes for key in keys} - changes.keys()
    table = {**table, "name": f"{model.name}-tuned", **_TUNING, "start": str(source)}
    for name in LESSONS:
        if name in table:
            table[name] = {k: v for k, v in table[name].items() if k not in other}
    return _settings(table, changes, f"the card of {model.name}")


_OF = {
    "source": ("stored", "width_nm", "unit", "split"),
    "marked": ("width_nm", "unit"),
    "recipe": ("stored",),
    "stored": ("source", "recipe"),
}
"""What of a recipe says more of which choice."""

_TUNING = {"iterations": 1500, "learning_rate": 3e-4, "warm_up": 100, "cool_down": 0.5}


def _settings(table: dict[str, Any], changes: dict[str, Any], where: str) -> Settings:
    taught = [name for name in LESSONS if name in table]
    if len(taught) != 1:
        raise RecipeError(f"{where} needs one table [{'] or ['.join(LESSONS)}], got {len(taught)}")
    lesson = table.pop(taught[0])
    if not isinstance(lesson, dict):
        raise RecipeError(f"{where}: [{taught[0]}] is a table, got {lesson!r}")
    for key, value in changes.items():
        own = key in {field.name for field in fields(Settings)}
        (table if own else lesson)[key] = value
    built = _build(LESSONS[taught[0]], lesson, f"{where}, [{taught[0]}]")
    return _build(Settings, {**table, "lesson": built}, where)


def _build(kind: type, table: Any, where: str) -> Any:
    known = {field.name: field for field in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            there = ", ".join(name for name in known if name != "lesson")
            raise RecipeError(f"{where}: unknown key {key!r}; there are {there}")
        if key == "method":
            value = generate.method(value)
        elif key == "mix" and isinstance(value, dict):
            mix: Any = known[key].default_factory
            value = _build(mix, value, f"{where[:-1]}.mix]")
        elif isinstance(value, list):
            value = tuple(value)
        default = known[key].default
        kinds = (int, float) if isinstance(default, float) else type(default)
        plain = default is not MISSING and not is_dataclass(default)
        if plain and (not isinstance(value, kinds) or isinstance(value, bool) != (kinds is bool)):
            raise RecipeError(f"{where}: {key} must be like {default!r}, got {value!r}")
        values[key] = value
    return kind(**values)


def _plain(value: Any) -> Any:
    if type(value) in generate.METHODS.values():
        return generate.table(value)
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value
