"""Experiments as a page has them: every parameter with its unit and its meaning; and as TOML.

Nothing here knows a parameter by name but `SPANS`, how far sliders go: another parameter of
`stm.parameters` appears by itself.
"""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields as fields_of
from typing import Any

from ..crystals import MATERIALS
from ..errors import RecipeError
from ..stm.distribution import KINDS
from ..stm.experiment import DEFECTS, TABLES, Experiment, parse
from ..stm.parameters import POSITIVE, WORDS

UNITS = {
    **{"_nm_per_min": "nm/min", "_nm": "nm", "_deg": "°", "_eV": "eV", "_V": "V", "_nA": "nA"},
    **{"_Hz": "Hz", "_s": "s"},
}
"""What the end of a name says, the longest first."""

SPANS: dict[str, tuple[float, float]] = {
    **{"rows": (16, 256), "columns": (16, 256), "width_nm": (1, 20), "angle_deg": (0, 360)},
    **{"line_s": (0.01, 2), "bias_V": (-2, 2), "setpoint_nA": (0.005, 1), "barrier_eV": (2, 6)},
    **{"coupling_eV": (0.01, 2), "dulled": (0, 6), "end_atoms": (0, 6), "tilt_deg": (0, 10)},
    **{"rotation_deg": (0, 360), "double_nm": (0, 3), "double_angle_deg": (0, 360)},
    **{"double_higher_nm": (-0.1, 0.2), "cycles_per_point": (1, 32), "window_cycles": (1, 64)},
    **{"proportional_nm": (0, 0.06), "integral_nm": (0, 0.003), "derivative_nm": (0, 0.03)},
    **{"longest_step_nm": (0.005, 0.3), "shot_bandwidth_Hz": (0, 5000)},
    **{"amplifier_nA": (0, 0.01), "flicker": (0, 0.1), "creep_nm": (0, 0.1)},
    **{"creep_z_nm": (-0.05, 0.05), "drift_nm_per_min": (0, 2), "drift_z_nm_per_min": (-1, 1)},
    **{"walk_nm": (0, 0.03), "walk_z_nm": (0, 0.01), "jitter_nm": (0, 0.03)},
    **{"jitter_z_nm": (0, 0.01), "lag": (0, 0.4), "lag_z": (0, 0.4), "lag_length_nm": (0.1, 4)},
    **{"lag_length_z_nm": (0.05, 1), "lag_skew": (-0.4, 0.4), "tilt_x_deg": (-3, 3)},
    **{"tilt_y_deg": (-3, 3), DEFECTS: (0, 0.5)},
}
"""How far the sliders of numbers go; what is typed may go farther."""

WIDE = 20.0
"""Ratio of the ends of a slider from which on its steps are ratios."""


def fields(experiment: Experiment) -> Iterator[dict[str, Any]]:
    """Every parameter of an experiment, in the order of its file.

    Each is {"table" (null for those before all tables), "key", "name", "unit", "doc", "type"
    ("number", "whole", "word"), "choices" (of words), "value" (as in a file), "usual", "span" (of a
    slider, or null), "ratio" (whether its steps are ratios)}.
    """
    table = experiment.table()
    models = list(experiment.surface.electrons)
    docs = _documented(Experiment)
    yield _field(None, "material", docs, experiment.material, experiment.material, list(MATERIALS))
    if models:
        yield _field(None, "electrons", docs, experiment.electrons or models[0], models[0], models)
    yield _field(None, "scans_per_session", docs, experiment.scans_per_session, 16)
    for name, kind in TABLES.items():
        docs, given = _documented(kind), table.get(name, {})
        for field in fields_of(kind):
            key, usual = field.name, field.default
            yield _field(name, key, docs, given.get(key, usual), usual, WORDS.get(key))
    material, given = experiment.surface, table.get(DEFECTS)
    for kind, doc in material.defects.items():
        usual = float(material.densities_per_nm2.get(kind, 0.0))
        value = usual if given is None else given.get(kind, 0.0)
        yield _field(DEFECTS, kind, {kind: f"{doc}, on 1 nm²"}, value, usual) | {"unit": "nm⁻²"}


def toml(experiment: Experiment) -> str:
    """The file of an experiment; `experiment.load` makes the same of it."""
    table = experiment.table()
    lines = [f"{key} = {_toml(v)}" for key, v in table.items() if not isinstance(v, Mapping)]
    for name, given in table.items():
        # No defects at all are others than the usual ones: that table may be empty.
        if isinstance(given, Mapping) and (given or name == DEFECTS):
            lines += ["", f"[{name}]", *(f"{_key(k)} = {_toml(v)}" for k, v in given.items())]
    return "\n".join(lines) + "\n"


def of_toml(name: str, text: str) -> Experiment:
    """An experiment of what a file holds.

    Raises:
        RecipeError: It is no TOML, or holds something that means nothing.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{name} is no TOML: {error}") from None
    try:
        return parse(name, table)
    except RecipeError as error:
        raise RecipeError(f"{name}: {error}") from None


def _field(
    table: str | None,
    key: str,
    docs: Mapping[str, str],
    value: Any,
    usual: Any,
    choices: Any = None,
) -> dict[str, Any]:
    ending = next((ending for ending in UNITS if key.endswith(ending)), "")
    kind = "word" if isinstance(usual, str) else "whole" if isinstance(usual, int) else "number"
    span = None
    if table and not isinstance(usual, str):
        near = usual / 4 if key in POSITIVE else 0, 4 * abs(usual) or 1
        span = SPANS.get(table if table == DEFECTS else key, near)
    return {
        "table": table,
        "key": key,
        "name": key.removesuffix(ending).replace("_", " "),
        "unit": UNITS.get(ending, ""),
        "doc": docs.get(key, ""),
        "type": kind,
        "choices": list(choices) if choices else None,
        "kinds": _kinds(kind) if table else [],
        "value": value,
        "usual": usual,
        "span": span,
        "ratio": bool(span and span[0] > 0 and span[1] / span[0] >= WIDE),
    }


def _kinds(kind: str) -> list[str]:
    """The distributions that a parameter may have."""
    fits = {"number": KINDS, "whole": ("integer", "choice"), "word": ("choice",)}
    return list(fits[kind])


def _documented(kind: type) -> dict[str, str]:
    """What the docstring of a class says of each attribute."""
    found: dict[str, str] = {}
    text = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    for entry in re.split(r"\n(?=    \S)", text.partition("\n\n")[0]):
        names, _, said = " ".join(entry.split()).partition(": ")
        found |= {name: said.replace("`", "") for name in names.split(", ")}
    return found


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def _toml(value: Any) -> str:
    match value:
        case str():  # JSON escapes as TOML does, but for one character
            return json.dumps(value).replace("\x7f", "\\u007f")
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case Mapping():
            return f"{{ {', '.join(f'{k} = {_toml(v)}' for k, v in value.items())} }}"
    return repr(value)
