"""Chains of degradations to and from plain tables, so that a TOML file or a card can hold them."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from ..errors import RecipeError
from ..scan import Scan
from .acquisition_noise import AcquisitionNoise
from .base import Degradation, Fraction, height_range
from .blunt_tip import BluntTip
from .drift import ThermalDrift
from .electron_dose import ElectronDose
from .feedback_lag import FeedbackLag
from .feedback_loop import FeedbackLoop
from .fewer_lines import FewerLines
from .line_noise import LineNoise
from .line_offset import LineOffset
from .line_shift import LineShift
from .low_dose import LowDose
from .multi_tip import MultiTip
from .percentile_clip import PercentileClip
from .point_spread import PointSpread
from .tip_change import TipChange

KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        ThermalDrift,
        MultiTip,
        LineShift,
        BluntTip,
        TipChange,
        FeedbackLag,
        FeedbackLoop,
        LineOffset,
        LineNoise,
        AcquisitionNoise,
        FewerLines,
        PointSpread,
        LowDose,
        ElectronDose,
        PercentileClip,
    )
}
"""Every degradation. A new one is a file and a name here; the contract test finds it."""


@dataclass(frozen=True)
class Step:
    """A degradation, and how often it happens."""

    effect: Degradation
    probability: Fraction = 1.0


@dataclass(frozen=True)
class Recipe:
    """Steps in the order in which the instrument takes them; itself a degradation.

    All of them measure their `_of_range` parameters in the height range of the scan that comes in,
    not of what earlier steps made of it, unless a step has a `span` of its own.
    """

    name: str
    steps: tuple[Step, ...]

    def __call__(
        self, scan: Scan, rng: np.random.Generator, within: tuple[float, float] | None = None
    ) -> Scan:
        """Takes each step with its probability; a line of history for each one taken.

        `within` is the height range, lowest and span, of the whole image that `scan` is a part of.
        """
        low, span = within or height_range(scan)
        for step in self.steps:
            if rng.random() < step.probability:
                effect: Any = step.effect
                known = {"low": low, "span": span}
                known = {k: v for k, v in known.items() if getattr(effect, k, 0) is None}
                scan = (replace(effect, **known) if known else effect)(scan, rng)
        return scan


def isolated(recipe: Recipe, *kinds: str) -> Recipe:
    """Only the steps of these kinds, always taken: for test sets of a single artefact."""
    there = [type(step.effect).__name__ for step in recipe.steps]
    for kind in kinds:
        if kind not in there:
            raise RecipeError(
                f"recipe {recipe.name} has no step {kind!r}; it has {', '.join(there)}"
            )
    chosen = zip(recipe.steps, there, strict=True)
    steps = tuple(Step(step.effect) for step, kind in chosen if kind in kinds)
    return Recipe(f"{recipe.name}, {' and '.join(kinds)} alone", steps)


def without(recipe: Recipe, *kinds: str) -> Recipe:
    """The recipe without its steps of these kinds, if it has any."""
    return replace(
        recipe, steps=tuple(s for s in recipe.steps if type(s.effect).__name__ not in kinds)
    )


def around_crop(recipe: Recipe) -> tuple[Recipe, Recipe]:
    """What is done to a whole image, and what to a crop of it.

    The first part ends with the last step that brings in what lies beside the crop: its effect
    has a `margin_px`.
    """
    beyond = [n for n, step in enumerate(recipe.steps, 1) if hasattr(step.effect, "margin_px")]
    end = max(beyond, default=0)
    return Recipe(recipe.name, recipe.steps[:end]), Recipe(recipe.name, recipe.steps[end:])


def margin_px(recipe: Recipe, pixel_nm: tuple[float, float]) -> int:
    """How far into the frame what lies beyond it can reach, pixels; see `around_crop`."""
    effects: list[Any] = [step.effect for step in recipe.steps if step.probability > 0]
    return sum(e.margin_px(pixel_nm) for e in effects if hasattr(e, "margin_px"))


COARSER = {"FewerLines": "keep_every", "LowDose": "factor", "ElectronDose": "factor"}
"""Kinds that take fewer lines, or by a `factor` fewer pixels both ways, and what says how many."""


def for_upscaling(recipe: Recipe, factor: int) -> Recipe:
    """The recipe for super-resolution: `factor` times fewer lines, or pixels both ways, always."""
    if not any(type(step.effect).__name__ in COARSER for step in recipe.steps):
        kinds = " or ".join(COARSER)
        raise RecipeError(f"recipe {recipe.name} has no step {kinds} to say where it belongs")
    steps = tuple(_coarser(step, factor) for step in recipe.steps)
    return Recipe(f"{recipe.name}, every {factor}. line", steps)


def _coarser(step: Step, factor: int) -> Step:
    effect: Any = step.effect
    name = COARSER.get(type(effect).__name__)
    return Step(replace(effect, **{name: factor})) if name else step


def load(table: dict[str, Any]) -> Recipe:
    """Builds a recipe from `{"name": …, "step": [{"kind": …, "probability": …, parameter: …}]}`.

    Raises:
        RecipeError: Something in it is unknown, of the wrong type, or out of range.
    """
    for key in table:
        if key not in ("name", "step"):
            raise RecipeError(f"a recipe holds name and [[step]]s, got {key!r}")
    name, steps = table.get("name", "unnamed"), table.get("step")
    if not isinstance(name, str):
        raise RecipeError(f"a recipe's name is text, got {name!r}")
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise RecipeError(f"recipe {name} has no [[step]]s; it needs a list of tables named step")
    return Recipe(name, tuple(_load_step(step) for step in steps))


def dump(recipe: Recipe) -> dict[str, Any]:
    """The inverse of `load`: dicts, lists, numbers and strings only; what is None is left out."""
    return {
        "name": recipe.name,
        "step": [
            {"kind": type(step.effect).__name__, "probability": step.probability}
            | {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in asdict(step.effect).items()  # type: ignore[call-overload]
                if value is not None
            }
            for step in recipe.steps
        ],
    }


def load_file(path: Path | str) -> Recipe:
    """Reads a recipe from a TOML file; it is called what the file is called."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe {path}: {error}") from error
    return _parse(text, path.name, path.stem)


def preset(name: str) -> Recipe:
    """One of the recipes that come with the package: "paper", "realistic", "sbsr-paper" ..."""
    folder = resources.files("scanmend.degrade") / "presets"
    names = sorted(file.name.removesuffix(".toml") for file in folder.iterdir())
    if name not in names:
        raise RecipeError(f"no recipe is called {name!r}; there are {', '.join(names)}")
    return _parse((folder / f"{name}.toml").read_text(encoding="utf-8"), f"{name}.toml", name)


def _parse(text: str, file: str, name: str) -> Recipe:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{file} is not valid TOML: {error}") from error
    try:
        return load({"name": name} | table)
    except RecipeError as error:
        raise RecipeError(f"{file}: {error}") from error


def _load_step(table: dict[str, Any]) -> Step:
    parameters = dict(table)
    name = parameters.pop("kind", None)
    if not isinstance(name, str) or name not in KINDS:
        raise RecipeError(f"unknown degradation {name!r}; there are {', '.join(KINDS)}")
    probability = _checked(f"{name}: probability", parameters.pop("probability", 1.0), Fraction)
    kind = KINDS[name]
    hints = get_type_hints(kind, include_extras=True)
    known = [field.name for field in fields(kind)]
    for key in parameters:
        if key not in known:
            raise RecipeError(f"{name} has no parameter {key!r}; it has {', '.join(known)}")
    values = {key: _checked(f"{name}: {key}", v, hints[key]) for key, v in parameters.items()}
    return Step(kind(**values), probability)


def _checked(what: str, value: Any, hint: Any) -> Any:
    """`value`, lists turned into tuples, if it is what the type `hint` of a parameter allows."""
    if not _fits(value, hint):
        raise RecipeError(f"{what} must be {_words(hint)}, got {value!r}")
    return tuple(value) if isinstance(value, list) else value


def _fits(value: Any, hint: Any) -> bool:
    options = get_args(hint)
    if hint == Fraction:
        return _fits(value, float) and value <= 1
    if get_origin(hint) is Literal:
        return value in options
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or not value:
            return False
        if options[-1] is Ellipsis:
            return all(_fits(v, options[0]) for v in value)
        fit = len(value) == len(options) and all(map(_fits, value, options))
        return fit and (len(value) != 2 or value[0] <= value[1])
    if options:
        return any(_fits(value, option) for option in options)
    if hint is float:
        hint = int | float
    elif hint is NoneType:
        return value is None
    if not isinstance(value, hint) or isinstance(value, bool) is not (hint is bool):
        return False
    return 0 <= value <= sys.float_info.max


def _words(hint: Any) -> str:
    """What the type `hint` of a parameter allows, in words."""
    options = get_args(hint)
    if hint == Fraction:
        return hint.__metadata__[0]
    if get_origin(hint) is Literal:
        return " or ".join(repr(option) for option in options)
    if get_origin(hint) is tuple:
        one = {int: "whole number", float: "number"}[options[0]]
        if options[-1] is Ellipsis:
            return f"a list of {one}s of at least 0"
        return f"{len(options)} {one}s of at least 0" + ", low to high" * (len(options) == 2)
    if options:
        return _words(options[0])
    words = {int: "a whole number of at least 0", float: "a number of at least 0"}
    return words.get(hint, "true or false")
