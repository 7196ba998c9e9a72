"""Experiments' files: presets of a package, TOML of a user's, and back."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import RecipeError
from .distribution import Distribution, Given

UNREADABLE = (OSError, ValueError, RecursionError)
"""Raised on reading a TOML file: for text that is none, numbers too long, tables too deep."""


def presets(package: str) -> list[str]:
    """Names of the experiments that come with a package."""
    folder = resources.files(package) / "presets"
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir())


def table_of(source: str | Path, package: str) -> dict[str, Any]:
    """What a preset of a package, or else a TOML file, holds.

    Raises:
        RecipeError: There is no such file or preset, or it is no TOML.
    """
    file = resources.files(package) / "presets" / f"{source}.toml"
    if not file.is_file():
        file = Path(source)
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        known = ", ".join(presets(package))
        raise RecipeError(
            f"no experiment {str(source)!r}: neither a file nor one of {known}"
        ) from None
    except UNREADABLE as error:
        raise RecipeError(f"cannot read the experiment {source}: {error}") from None


def plain(tables: Mapping[str, Mapping[str, Given]]) -> dict[str, dict[str, Any]]:
    """Tables as a file would have them: dicts, lists, numbers and strings only."""
    return {
        name: {
            key: value.table() if isinstance(value, Distribution) else value
            for key, value in given.items()
        }
        for name, given in tables.items()
    }
