"""What an experiment is made of: a class for each table of its file, and a key for each attribute.

Where a value may stand, so may a distribution: see `stm.distribution`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from ..errors import RecipeError
from .distribution import Given, extremes, read
from .raster import CORNERS
from .tip import SHAPES


@dataclass(frozen=True, slots=True)
class Frame:
    """What is scanned, and in which order.

    Attributes:
        rows, columns: Of the image.
        width_nm: Of the frame, nm; pixels are square.
        angle_deg: By which the frame is turned, clockwise as displayed, degrees.
        line_s: Time for a line in one direction, s.
        fast_axis: "x", lines along rows, or "y", lines along columns.
        begins: The corner of the first point.
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
    """Of the loop, as in `stm.feedback.Loop`: lengths a cycle, for an error of 1.

    Attributes:
        proportional_nm: For the error of this cycle, nm.
        integral_nm: For the sum of the errors that the integral remembers, nm.
        derivative_nm: For the change of the error since the last cycle, nm.
        longest_step_nm: How far the piezo can go in a cycle, nm.
    """

    proportional_nm: float = 0.012
    integral_nm: float = 0.0006
    derivative_nm: float = 0.0
    longest_step_nm: float = 0.1


@dataclass(frozen=True, slots=True)
class Noise:
    """Of the current, as in `stm.noise.CurrentNoise`.

    Attributes:
        shot_bandwidth_Hz: Of the shot noise, Hz; 0: none.
        amplifier_nA: White noise of the preamplifier, nA.
        flicker: 1/f noise over a scan, as a part of the current.
    """

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

WORDS = {
    "fast_axis": ("x", "y"),
    "begins": CORNERS,
    "amplifier": ("log", "linear"),
    "shape": tuple(SHAPES),
}
"""Parameters that are one of a few words."""


def parsed(
    kind: type,
    table: Mapping[str, Any],
    where: str,
    positive: Collection[str] = POSITIVE,
    words: Mapping[str, Sequence[str]] = WORDS,
) -> dict[str, Given]:
    """The values and distributions of a table, after a look at each.

    Args:
        kind: The class whose attributes they are.
        table: As read from TOML.
        where: The table's name, for the texts of errors.
        positive: Keys that mean nothing at 0 or below.
        words: Keys that are one of a few words.

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
            if key in positive and not float(end) > 0:
                raise RecipeError(f"[{where}] {key} must be positive, got {end:g}")
            if end not in words.get(key, (end,)):
                known = ", ".join(words[key])
                raise RecipeError(f"[{where}] {key} is one of {known}; got {end!r}")
    return given
