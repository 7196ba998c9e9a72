"""What an experiment is made of: parameters, each a value or a distribution to draw it from.

An experiment file is TOML: tables, one for each class here, whose keys are its attributes. Where a
value may stand, so may a distribution:

    width_nm = { uniform = [1, 4] }          # evenly between
    setpoint_nA = { log_uniform = [0.02, 0.2] }
    barrier_eV = { normal = [4.2, 0.3] }     # mean and standard deviation, within three of these
    dulled = { integer = [0, 3] }            # both included
    fast_axis = { choice = ["x", "y"] }
    double_nm = { uniform = [0.3, 2], probability = 0.2 }   # else 0

"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np

from ..errors import RecipeError
from .raster import CORNERS

Value = float | int | str


@dataclass(frozen=True, slots=True)
class Frame:
    """What is scanned, and in which order.

    Attributes:
        rows, columns: Of the image.
        width_nm: Of the frame, nm; pixels are square.
        angle_deg: By which the frame is turned, clockwise as displayed, degrees.
        line_s: Time for a line in one direction, s.
        fast_axis, begins: As in `stm.piezo.Raster`.
    """

    rows: int = 64
    columns: int = 64
    width_nm: float = 3.0
    angle_deg: float = 0.0
    line_s: float = 0.2
    fast_axis: str = "x"
    begins: str = "top left"

    @property
    def size_nm(self) -> tuple[float, float]:
        """Height and width, nm."""
        return self.width_nm * self.rows / self.columns, self.width_nm


@dataclass(frozen=True, slots=True)
class Tunnelling:
    """The junction.

    Attributes:
        bias_V: Of the sample, V.
        setpoint_nA: Magnitude of the current, nA.
        barrier_eV: Height of the barrier, eV.
        coupling_eV: Matrix element of two atoms at no distance, eV; it sets the heights.
    """

    bias_V: float = -1.0
    setpoint_nA: float = 0.05
    barrier_eV: float = 4.5
    coupling_eV: float = 1.0


@dataclass(frozen=True, slots=True)
class Apex:
    """The tip.

    Attributes:
        shape: "W(111)", "W(001)" or "atom", as in `stm.tip`.
        dulled: How many layers its end has lost.
        end_atoms: How many atoms are left of the lowest layer; all if 0.
        rotation_deg: About its axis, degrees.
        tilt_deg: By which the axis leans, degrees.
        double_nm: Distance of a second apex beside the first, nm; 0: none.
        double_angle_deg: In which direction, from x to y, degrees.
        double_higher_nm: How much higher it ends, nm.
    """

    shape: str = "W(111)"
    dulled: int = 0
    end_atoms: int = 0
    rotation_deg: float = 0.0
    tilt_deg: float = 0.0
    double_nm: float = 0.0
    double_angle_deg: float = 0.0
    double_higher_nm: float = 0.0


@dataclass(frozen=True, slots=True)
class Electronics:
    """How the loop is built; its gains are a matter of each scan.

    Attributes:
        amplifier: "log" or "linear".
        cycles_per_point: How often it acts at each point.
        window_cycles: How many cycles its integral remembers.
    """

    amplifier: str = "log"
    cycles_per_point: int = 8
    window_cycles: int = 20


@dataclass(frozen=True, slots=True)
class Surface:
    """How the crystal lies; its defects stand in a table of their own, `[defects_per_nm2]`.

    Attributes:
        angle_deg: By which the crystal is turned against the scanner, from x to y, degrees.
    """

    angle_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Gains:
    """Of the loop, as in `stm.feedback.Loop`."""

    proportional_nm: float = 0.012
    integral_nm: float = 0.0006
    derivative_nm: float = 0.0
    longest_step_nm: float = 0.1


@dataclass(frozen=True, slots=True)
class Noise:
    """Of the current, as in `stm.noise.CurrentNoise`."""

    shot_bandwidth_Hz: float = 0.0
    amplifier_nA: float = 0.0
    flicker: float = 0.0


@dataclass(frozen=True, slots=True)
class Motion:
    """What leads the tip astray, as in `stm.piezo`; lateral creep and drift go anywhere.

    Attributes:
        creep_nm: Lateral way while the time grows e-fold, nm.
        creep_z_nm: The same, vertical.
        drift_nm_per_min: Lateral, steady, nm/min.
        drift_z_nm_per_min: Vertical, steady, nm/min.
        walk_nm: Standard deviation of a lateral random walk on each axis after a second, nm.
        walk_z_nm: The same, vertical.
        jitter_nm: White noise of the position on each lateral axis, nm.
        jitter_z_nm: The same, vertical.
        lag: By how much the lateral piezos lag, -beta of `BoucWen`: 0 to below (1 + lag_skew) / 2.
        lag_z: The same, vertical.
        lag_length_nm: Way after which a lateral lag is as good as complete, 1 / B, nm.
        lag_length_z_nm: The same, vertical.
        lag_skew: C / B of all piezos: how much sooner the lag is complete on the way out.
        tilt_x_deg, tilt_y_deg: Of the sample, degrees.
    """

    creep_nm: float = 0.0
    creep_z_nm: float = 0.0
    drift_nm_per_min: float = 0.0
    drift_z_nm_per_min: float = 0.0
    walk_nm: float = 0.0
    walk_z_nm: float = 0.0
    jitter_nm: float = 0.0
    jitter_z_nm: float = 0.0
    lag: float = 0.0
    lag_z: float = 0.0
    lag_length_nm: float = 2.0
    lag_length_z_nm: float = 0.2
    lag_skew: float = 0.0
    tilt_x_deg: float = 0.0
    tilt_y_deg: float = 0.0


POSITIVE = {
    *("rows", "columns", "width_nm", "line_s", "setpoint_nA", "barrier_eV", "coupling_eV"),
    *("cycles_per_point", "window_cycles", "longest_step_nm", "lag_length_nm", "lag_length_z_nm"),
}
"""Parameters that mean nothing at 0 or below."""

WORDS = {"fast_axis": ("x", "y"), "begins": CORNERS, "amplifier": ("log", "linear")}
"""Parameters that are one of a few words."""

_KINDS = ("uniform", "log_uniform", "normal", "integer", "choice")
_WHOLE = ("integer", "choice")
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
        known = ", ".join(_KINDS)
        if more or kind not in _KINDS or not isinstance(values, list | tuple) or not values:
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

    @property
    def extremes(self) -> tuple[Value, ...]:
        """All values of a choice; the least and the greatest of another; 0 where it may be 0."""
        values = self.values
        if self.kind == "normal":
            mean, sd = map(float, values)
            values = mean - _SPREAD * sd, mean + _SPREAD * sd
        return (*values, 0) if self.probability < 1 else values


Given = Value | Distribution


def parsed(kind: type, table: Mapping[str, Any], where: str) -> dict[str, Given]:
    """The values and distributions of a table, after a look at each.

    Args:
        kind: The class whose attributes they are.
        table: As read from TOML.
        where: The table's name, for the texts of errors.

    Raises:
        RecipeError: An unknown key, or a value that it cannot have.
    """
    defaults = {f.name: f.default for f in fields(kind) if f.default is not MISSING}
    given: dict[str, Given] = {}
    for key, value in table.items():
        if key not in defaults:
            known = ", ".join(defaults)
            raise RecipeError(f"[{where}] has no parameter {key!r}; it has {known}")
        given[key] = one = read(value, f"[{where}] {key}", defaults[key])
        for end in extremes(one):
            if key in POSITIVE and not float(end) > 0:
                raise RecipeError(f"[{where}] {key} must be positive, got {end:g}")
            if end not in WORDS.get(key, (end,)):
                known = ", ".join(WORDS[key])
                raise RecipeError(f"[{where}] {key} is one of {known}; got {end!r}")
    return given


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
            good = whole and isinstance(one, int) and not isinstance(one, bool)
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
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
