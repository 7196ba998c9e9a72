"""How images are drawn: in plain arithmetic, so that numpy arrays and torch tensors both run."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from ..errors import RecipeError
from .contract import Method, Network
from .diffusion import Diffusion
from .flow import FlowMatching, PosteriorFlow
from .regression import Regression

METHODS: dict[str, type] = {
    kind.__name__: kind for kind in (FlowMatching, Diffusion, Regression, PosteriorFlow)
}
"""Every method, as a card or a settings file names it. A new one has a loss in
`scanmend.objective` too."""

__all__ = [
    "METHODS",
    "Diffusion",
    "FlowMatching",
    "Method",
    "Network",
    "PosteriorFlow",
    "Regression",
    "method",
    "table",
]


def method(table: dict[str, Any]) -> Method:
    """Builds a method from `{"kind": …, parameter: …}`; what is not given has its default.

    Raises:
        RecipeError: Something in it is unknown, of the wrong type, or out of range.
    """
    if not isinstance(table, dict):
        raise RecipeError(f"a method is a table with a kind, got {table!r}")
    parameters = dict(table)
    name = parameters.pop("kind", None)
    if not isinstance(name, str) or name not in METHODS:
        raise RecipeError(f"unknown method {name!r}; there are {', '.join(METHODS)}")
    known = {field.name: field.default for field in fields(METHODS[name])}
    for key, value in parameters.items():
        if key not in known:
            raise RecipeError(f"{name} has no parameter {key!r}; it has {', '.join(known)}")
        kinds = (int, float) if isinstance(known[key], float) else type(known[key])
        if not isinstance(value, kinds) or isinstance(value, bool) != (kinds is bool):
            raise RecipeError(f"{name}: {key} must be like {known[key]!r}, got {value!r}")
    return METHODS[name](**parameters)


def table(method: Method) -> dict[str, Any]:
    """The inverse of `method`: plain JSON values only."""
    return {"kind": type(method).__name__, **asdict(method)}  # type: ignore[call-overload]
