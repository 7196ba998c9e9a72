"""Values of an experiment: as they stand, or drawn from a distribution.

Where a value may stand in a file, so may a distribution:

    width_nm = { uniform = [1, 4] }          # evenly between
    setpoint_nA = { log_uniform = [0.02, 0.2] }
    barrier_eV = { normal = [4.2, 0.3] }     # mean and standard deviation, within three of these
    dulled = { integer = [0, 3] }            # both included
    fast_axis = { choice = ["x", "y"] }
    double_nm = { uniform = [0.3, 2], probability = 0.2 }   # else 0

"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import RecipeError

Value = float | int | str

KINDS = ("uniform", "log_uniform", "normal", "integer", "choice")
_WHOLE = ("integer", "choice")
_WHOLEST = 1 << 53  # draws go by way of floats
_SPREAD = 3.0  # standard deviations at which a normal distribution ends


@dataclass(frozen=True, slots=True)
class Distribution:
    """Where a value is drawn from.

    Attributes:
        kind: "uniform", "log_uniform", "normal", "integer" or "choice".
        values: The two numbers of a kind, or all those to choose from.
        probability: Of being drawn at all; else the value is 0.
    """

    kind: str
    values: tuple[Value, ...]
    probability: float = 1.0

    @classmethod
    def of(cls, table: Mapping[str, Any], what: str) -> Distribution:
        """From a table as above; `what` it stands for begins the text of an error.

        Raises:
            RecipeError: It is none.
        """
        rest = dict(table)
        probability = rest.pop("probability", 1.0)
        (kind, values), *more = rest.items() or [(None, None)]
        known = ", ".join(KINDS)
        if more or kind not in KINDS or not isinstance(values, list | tuple) or not values:
            raise RecipeError(
                f"{what} must be a value or one distribution of {known}, as in "
                f"{{ uniform = [1, 4] }}, got {dict(table)!r}"
            )
        numeric = kind != "choice"
        if numeric and not (len(values) == 2 and all(_is_number(v) for v in values)):
            raise RecipeError(f"{what}: {kind} takes two finite numbers, got {values!r}")
        if numeric and kind != "normal" and not values[0] <= values[1]:
            raise RecipeError(f"{what}: {kind} goes from low to high, got {values!r}")
        if kind == "normal" and values[1] < 0:
            raise RecipeError(f"{what}: a standard deviation is 0 or more, got {values[1]}")
        if kind == "log_uniform" and values[0] <= 0:
            raise RecipeError(f"{what}: log_uniform begins above 0, got {values!r}")
        if kind == "integer" and not all(isinstance(v, int) for v in values):
            raise RecipeError(f"{what}: integer takes whole numbers, got {values!r}")
        if not (_is_number(probability) and 0 <= probability <= 1):
            raise RecipeError(f"{what}: a probability is 0 to 1, got {probability!r}")
        return cls(kind, tuple(values), float(probability))

    def draw(self, rng: np.random.Generator) -> Value:
        """A value; it takes as many random numbers whatever comes out."""
        chance = rng.random() if self.probability < 1 else 0.0
        if self.kind == "choice":
            value = self.values[rng.integers(len(self.values))]
            return value if chance < self.probability else 0
        a, b = map(float, self.values)
        if self.kind == "integer":
            value = int(rng.integers(int(a), int(b) + 1))
        elif self.kind == "normal":
            value = a + b * min(max(rng.standard_normal(), -_SPREAD), _SPREAD)
        elif self.kind == "uniform":
            value = a + (b - a) * rng.random()
        else:
            value = a * (b / a) ** rng.random()
        return value if chance < self.probability else 0

    def table(self) -> dict[str, Any]:
        """The inverse of `of`."""
        chance = {"probability": self.probability} if self.probability < 1 else {}
        return {self.kind: list(self.values)} | chance

    @property
    def extremes(self) -> tuple[Value, ...]:
        """All values of a choice; the least and the greatest of another; 0 where it may be 0."""
        values = self.values
        if self.kind == "normal":
            mean, sd = map(float, values)
            values = mean - _SPREAD * sd, mean + _SPREAD * sd
        return (*values, 0) if self.probability < 1 else values


Given = Value | Distribution


def read(value: Any, what: str, like: Value) -> Given:
    """A value or a distribution of values of the type of `like`.

    Raises:
        RecipeError: It is neither.
    """
    result = Distribution.of(value, what) if isinstance(value, Mapping) else value
    whole = not isinstance(result, Distribution) or result.kind in _WHOLE
    for one in extremes(result):
        if isinstance(like, str):
            good, expected = isinstance(one, str), f"text, as {like!r}"
        elif isinstance(like, int):
            good = whole and isinstance(one, int) and _is_number(one) and abs(one) <= _WHOLEST
            expected = f"a whole number, as {like}"
        else:
            good, expected = _is_number(one), f"a finite number, as {like:g}"
        if not good:
            raise RecipeError(f"{what} must be {expected}, or drawn from such, got {value!r}")
    return result


def drawn(given: Given, rng: np.random.Generator) -> Value:
    """The value itself, or one from the distribution."""
    return given.draw(rng) if isinstance(given, Distribution) else given


def extremes(given: Given) -> tuple[Value, ...]:
    """The value itself, or those between which a distribution lies."""
    return given.extremes if isinstance(given, Distribution) else (given,)


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max  # whole numbers may be beyond that
