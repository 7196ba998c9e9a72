"""Experiment files: which surface is scanned, how, and what goes wrong.

A file names a material, and in tables what `stm.parameters` knows: `[frame]`, `[tunnelling]`,
`[tip]` and `[electronics]`, drawn once for each session, the scans that are taken with one tip; and
`[surface]`, `[defects_per_nm2]`, `[gains]`, `[noise]` and `[motion]`, drawn for each scan. What is
left out has its usual value.

    material = "graphene"

    [frame]
    width_nm = { uniform = [2, 4] }

    [defects_per_nm2]
    vacancy = { uniform = [0, 0.1] }

Every table has random numbers of its own: two experiments that differ in `[motion]` only have the
same surfaces, tips and noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..crystals import MATERIALS, Material
from ..errors import RecipeError
from . import files
from .distribution import Given, Value, drawn, extremes, read
from .parameters import (
    Apex,
    Electronics,
    Frame,
    Gains,
    Motion,
    Noise,
    Surface,
    Tunnelling,
    parsed,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TABLES: dict[str, type] = {
    "frame": Frame,
    "tunnelling": Tunnelling,
    "tip": Apex,
    "electronics": Electronics,
    "surface": Surface,
    "gains": Gains,
    "noise": Noise,
    "motion": Motion,
}
"""The tables of a file. Their order decides which random numbers each has: append new ones."""

DEFECTS = "defects_per_nm2"
_STREAMS = (*TABLES, DEFECTS, "atoms", "way", "current")

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True)
class Experiment:
    """What a file says.

    Attributes:
        name: Of the file or preset.
        material: A name in `crystals.MATERIALS`.
        electrons: Of the models of its hopping electrons; the usual one if not given.
        scans_per_session: How many scans are taken with one tip, at one bias, in one frame.
        tables: What is given in each table of `TABLES`.
        defects_per_nm2: Densities of classes of defects, 0 for those left out; what is usual for
            the material if there is no such table.

    Raises:
        RecipeError: An unknown material, model or class of defect, or no scans in a session.
    """

    name: str
    material: str
    electrons: str | None = None
    scans_per_session: int = 16
    tables: Mapping[str, Mapping[str, Given]] = field(default_factory=dict)
    defects_per_nm2: Mapping[str, Given] | None = None

    def __post_init__(self) -> None:
        if self.material not in MATERIALS:
            known = ", ".join(MATERIALS)
            raise RecipeError(f"no material is called {self.material!r}; there are {known}")
        models = self.surface.electrons
        if self.electrons is not None and self.electrons not in models:
            known = ", ".join(models) or "none: it has no hopping electrons"
            raise RecipeError(
                f"{self.material} has no electrons called {self.electrons!r}; there are {known}"
            )
        if self.scans_per_session < 1:
            raise RecipeError(
                f"a session has 1 scan or more, got scans_per_session = {self.scans_per_session}"
            )
        for kind, density in (self.defects_per_nm2 or {}).items():
            if kind not in self.surface.defects:
                known = ", ".join(self.surface.defects)
                raise RecipeError(f"{self.material} has no defect {kind!r}; there are {known}")
            least = min(map(float, extremes(density)))
            if least < 0:
                raise RecipeError(f"[{DEFECTS}] {kind} is a density, 0 or more, got {least:g}")

    @property
    def surface(self) -> Material:
        """The material itself."""
        return MATERIALS[self.material]

    def stream(self, what: str, seed: int, number: int) -> np.random.Generator:
        """The random numbers of a table, of a scan or session; of nothing else."""
        return np.random.default_rng((seed, _STREAMS.index(what), number))

    def draw(self, table: str, kind: type[T], seed: int, number: int) -> T:
        """The values of a table, for a scan or session."""
        given, rng = self.tables.get(table, {}), self.stream(table, seed, number)
        keys = [field.name for field in fields(kind) if field.name in given]  # not the file's order
        return kind(**{key: drawn(given[key], rng) for key in keys})

    def densities(self, seed: int, number: int) -> dict[str, float]:
        """The densities of all classes of defects for a scan, 1/nm2."""
        if self.defects_per_nm2 is None:
            return dict(self.surface.densities_per_nm2)
        rng, given = self.stream(DEFECTS, seed, number), self.defects_per_nm2
        kinds = [kind for kind in self.surface.defects if kind in given]
        return {kind: float(drawn(given[kind], rng)) for kind in kinds}

    def extremes(self, table: str, key: str) -> tuple[Value, ...]:
        """The value of a parameter, or those between which a distribution lies."""
        default = getattr(TABLES[table](), key)
        return extremes(self.tables.get(table, {}).get(key, default))

    def fixed(self, table: str, key: str) -> Any:
        """The value that a parameter always has, or None if that differs."""
        values = set(self.extremes(table, key))
        return values.pop() if len(values) == 1 else None

    def table(self) -> dict[str, Any]:
        """What `load` would make this of: dicts, lists, numbers and strings only."""
        plain: dict[str, Any] = {"material": self.material}
        if self.electrons is not None:
            plain["electrons"] = self.electrons
        plain["scans_per_session"] = self.scans_per_session
        tables = dict(self.tables)
        if self.defects_per_nm2 is not None:
            tables[DEFECTS] = self.defects_per_nm2
        return plain | files.plain(tables)


def load(source: str | Path) -> Experiment:
    """Reads an experiment: a preset by its name, or a TOML file.

    Raises:
        RecipeError: There is no such file or preset, or it holds something that means nothing.
    """
    table = files.table_of(source, "scanmend.stm")
    try:
        return parse(Path(source).stem, table)
    except RecipeError as error:
        raise RecipeError(f"{source}: {error}") from None


def presets() -> list[str]:
    """Names of the experiments that come with the package."""
    return files.presets("scanmend.stm")


def parse(name: str, table: Mapping[str, Any]) -> Experiment:
    """An experiment of what a TOML file holds.

    Raises:
        RecipeError: It holds something that means nothing.
    """
    rest = dict(table)
    tables = {}
    for key, kind in TABLES.items():
        tables[key] = parsed(kind, _is_table(key, rest.pop(key, {})), key)
    material = rest.pop("material", None)
    if not isinstance(material, str):
        known = ", ".join(MATERIALS)
        raise RecipeError(f'an experiment needs a material = "...", one of {known}')
    session = rest.pop("scans_per_session", 16)
    if not isinstance(session, int) or isinstance(session, bool):
        raise RecipeError(f"scans_per_session is a whole number, got {session!r}")
    electrons = rest.pop("electrons", None)
    if not isinstance(electrons, str | None):
        raise RecipeError(f"electrons have a name, got {electrons!r}")
    densities = rest.pop(DEFECTS, None)
    if rest:
        known = ", ".join(("material", "electrons", "scans_per_session", *TABLES, DEFECTS))
        raise RecipeError(f"unknown key {next(iter(rest))!r}; there are {known}")
    defects = None
    if densities is not None:
        table = _is_table(DEFECTS, densities)
        defects = {k: read(v, f"[{DEFECTS}] {k}", 0.0) for k, v in table.items()}
    return Experiment(name, material, electrons, session, tables, defects)


def _is_table(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise RecipeError(f"{key} is a table, [{key}], got {value!r}")
    return value
