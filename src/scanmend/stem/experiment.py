"""Files of STEM experiments: which crystal is seen, with which beam, and what goes wrong.

A file says that it is of this microscope, names a crystal or a file of atoms, and has in tables
what `stem.parameters` knows: `[frame]`, `[beam]`, `[detector]`, `[sample]`, `[motion]`; besides,
`[defects_per_nm2]`. All of them are drawn for each scan. What is left out has its usual value.

    microscope = "stem"
    crystal = "mos2"              # or structure = "cell.cif", read by ASE, seen along z

    [beam]
    dose_per_A2 = { log_uniform = [100, 10000] }

    [defects_per_nm2]
    "chalcogen vacancy" = { uniform = [0, 0.5] }

Every table has random numbers of its own: two experiments that differ in `[motion]` only have the
same specimens and noise.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..errors import RecipeError
from ..stm import files
from ..stm.distribution import Given, drawn, extremes, read
from ..stm.parameters import parsed
from .crystals import CRYSTALS, Crystal
from .parameters import (
    NOT_NEGATIVE,
    POSITIVE,
    WORDS,
    Beam,
    Detector,
    Frame,
    Motion,
    Sample,
)
from .structures import crystal_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TABLES: dict[str, type] = {
    "frame": Frame,
    "beam": Beam,
    "detector": Detector,
    "sample": Sample,
    "motion": Motion,
}
"""The tables of a file. Their order decides which random numbers each has: append new ones."""

DEFECTS = "defects_per_nm2"
STEM = "stem"
_STREAMS = (*TABLES, DEFECTS, "atoms", "contamination", "way", "electrons")
_KEYS = ("microscope", "crystal", "structure", *TABLES, DEFECTS)

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True)
class Experiment:
    """What a file says.

    Attributes:
        name: Of the file or preset.
        crystal: A name in `CRYSTALS`, or None for the atoms of a file.
        structure: The path of that file, or None.
        tables: What is given in each table of `TABLES`.
        defects_per_nm2: Densities of classes of defects, 0 for those left out; what is usual for
            the crystal if there is no such table.

    Raises:
        RecipeError: An unknown crystal or class of defect, or both a crystal and a file.
        SimulationError: The file of atoms cannot be read, or is no crystal along z.
    """

    name: str
    crystal: str | None = None
    structure: str | None = None
    tables: Mapping[str, Mapping[str, Given]] = field(default_factory=dict)
    defects_per_nm2: Mapping[str, Given] | None = None

    def __post_init__(self) -> None:
        known = ", ".join(CRYSTALS)
        if (self.crystal is None) == (self.structure is None):
            raise RecipeError(
                f'a STEM experiment needs one of crystal = "...", one of {known}, and '
                'structure = "FILE"'
            )
        if self.crystal is not None and self.crystal not in CRYSTALS:
            raise RecipeError(f"no crystal is called {self.crystal!r}; there are {known}")
        changes = self.specimen.changes if self.defects_per_nm2 else {}
        for kind, density in (self.defects_per_nm2 or {}).items():
            if kind not in changes:
                there = ", ".join(changes) or "none"
                raise RecipeError(f"{self.specimen.name} has no defect {kind!r}; there are {there}")
            least = min(map(float, extremes(density)))
            if least < 0:
                raise RecipeError(f"[{DEFECTS}] {kind} is a density, 0 or more, got {least:g}")

    @property
    def specimen(self) -> Crystal:
        """The crystal itself."""
        return CRYSTALS[self.crystal] if self.crystal else crystal_of(str(self.structure))

    def stream(self, what: str, seed: int, number: int) -> np.random.Generator:
        """The random numbers of a table, of a scan; of nothing else."""
        return np.random.default_rng((seed, _STREAMS.index(what), number))

    def draw(self, table: str, kind: type[T], seed: int, number: int) -> T:
        """The values of a table, for a scan."""
        given, rng = self.tables.get(table, {}), self.stream(table, seed, number)
        keys = [one.name for one in fields(kind) if one.name in given]  # not the file's order
        return kind(**{key: drawn(given[key], rng) for key in keys})

    def densities(self, seed: int, number: int) -> dict[str, float]:
        """The densities of classes of defects for a scan, 1/nm2."""
        if self.defects_per_nm2 is None:
            return dict(self.specimen.densities_per_nm2)
        rng, given = self.stream(DEFECTS, seed, number), self.defects_per_nm2
        kinds = [kind for kind in self.specimen.changes if kind in given]
        return {kind: float(drawn(given[kind], rng)) for kind in kinds}

    def fixed(self, table: str, key: str) -> Any:
        """The value that a parameter always has, or None if that differs."""
        given = self.tables.get(table, {}).get(key, getattr(TABLES[table](), key))
        values = set(extremes(given))
        return values.pop() if len(values) == 1 else None

    def table(self) -> dict[str, Any]:
        """What `parse` would make this of: dicts, lists, numbers and strings only."""
        plain: dict[str, Any] = {"microscope": STEM}
        plain |= {"crystal": self.crystal} if self.crystal else {"structure": self.structure}
        tables = dict(self.tables)
        if self.defects_per_nm2 is not None:
            tables[DEFECTS] = self.defects_per_nm2
        return plain | files.plain(tables)


def load(source: str | Path) -> Experiment:
    """Reads an experiment: a preset by its name, or a TOML file.

    A structure is looked for beside the file.

    Raises:
        RecipeError: There is no such file or preset, or it holds something that means nothing.
        SimulationError: The file of atoms cannot be read, or is no crystal along z.
    """
    table = files.table_of(source, "scanmend.stem")
    if isinstance(table.get("structure"), str):
        table["structure"] = str((Path(source).parent / table["structure"]).resolve())
    try:
        return parse(Path(source).stem, table)
    except RecipeError as error:
        raise RecipeError(f"{source}: {error}") from None


def presets() -> list[str]:
    """Names of the experiments that come with the package."""
    return files.presets("scanmend.stem")


def is_stem(source: str | Path) -> bool:
    """Whether a preset or a file is of this microscope; not that it is a good one."""
    if str(source) in presets():
        return True
    try:
        return tomllib.loads(Path(source).read_text("utf-8")).get("microscope") == STEM
    except files.UNREADABLE:
        return False


def parse(name: str, table: Mapping[str, Any]) -> Experiment:
    """An experiment of what a TOML file holds.

    Raises:
        RecipeError: It holds something that means nothing.
        SimulationError: The file of atoms cannot be read, or is no crystal along z.
    """
    rest = dict(table)
    if rest.pop("microscope", None) != STEM:
        raise RecipeError(f'a STEM experiment says microscope = "{STEM}"')
    for key in rest:
        if key not in _KEYS:
            raise RecipeError(f"unknown key {key!r}; there are {', '.join(_KEYS)}")
    for key in (*TABLES, DEFECTS):
        if not isinstance(rest.get(key, {}), Mapping):
            raise RecipeError(f"{key} is a table, [{key}], got {rest[key]!r}")
    for key in ("crystal", "structure"):
        if not isinstance(rest.get(key, ""), str):
            raise RecipeError(f"{key} is text, got {rest[key]!r}")
    tables = {
        key: parsed(kind, rest[key], key, POSITIVE, WORDS)
        for key, kind in TABLES.items()
        if key in rest
    }
    for key, given in tables.items():
        for name_of, value in given.items():
            if name_of in NOT_NEGATIVE and min(map(float, extremes(value))) < 0:
                raise RecipeError(f"[{key}] {name_of} must be 0 or more, got {value!r}")
    defects = None
    if DEFECTS in rest:
        defects = {k: read(v, f"[{DEFECTS}] {k}", 0.0) for k, v in rest[DEFECTS].items()}
    return Experiment(name, rest.get("crystal"), rest.get("structure"), tables, defects)
