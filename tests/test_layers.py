"""Imports point down the list: a module may know those before it, and none of those after it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import scanmend

ROOT = Path(scanmend.__file__).parent
LAYERS = [
    *(
        "errors",
        "scan",
        "level",
        "normalise",
        "resample",
        "counts",
        "figures",
        "charts",
        "curves",
        "places",
        "io",
        "distribute",
        "shards",
    ),
    *("crystals", "stm", "stem", "degrade", "pairs", "generate", "engine", "models"),
    *(
        "restoration",
        "atoms",
        "defects",
        "evaluate",
        "nets",
        "objective",
        "train",
        "demo",
        "watch",
        "study",
    ),
    *("web", "cli"),
]
MODULES = sorted(p for p in ROOT.rglob("*.py") if p.parent != ROOT or not p.stem.startswith("__"))
TORCH = ("nets", "objective", "train")


def imported(file: Path) -> set[str]:
    """Dotted names, from `scanmend` on, that `file` imports; those of other packages bare."""
    package = ("scanmend", *file.relative_to(ROOT).parent.parts)
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join((*base, *([node.module] if node.module else [])))
            names |= {f"{source}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_down(file):
    here = file.relative_to(ROOT).with_suffix("").parts[0]
    for name in imported(file):
        package, *rest = name.split(".")
        if package != "scanmend" or rest == ["__version__"]:
            continue
        if not rest:
            assert here == "cli", f"{here} imports scanmend itself, and so everything"
            continue
        assert LAYERS.index(rest[0]) <= LAYERS.index(here), f"{here} imports {name}"


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_only_training_knows_torch(file):
    here = file.relative_to(ROOT).with_suffix("").parts[0]
    roots = {name.split(".")[0] for name in imported(file)}
    assert here in TORCH or not roots & {"torch", "onnx"}


def test_the_list_names_what_is_there():
    there = {p.relative_to(ROOT).with_suffix("").parts[0] for p in MODULES}
    assert there == set(LAYERS)
