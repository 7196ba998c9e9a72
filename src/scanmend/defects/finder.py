"""What finds defects: by the name of a material, of a model, or of a method."""

from __future__ import annotations

from pathlib import Path

from .. import models
from ..errors import ModelError
from ..scan import Quantity, Scan
from .classical import METHODS, OF_COUNTS
from .columns import atom_columns
from .maps import maps, must_find
from .peaks import Found, find


def found(
    scan: Scan,
    material: str | None = None,
    source: str | Path | None = None,
    threshold: float | None = None,
    measured: Scan | None = None,
) -> Found:
    """Finds the defects of a scan.

    Args:
        scan: Measured or restored.
        material: See `model_for`; of a scan in counts it does not matter.
        source: A model, as for `model_for`, or one of `classical.METHODS`. Of a scan in counts, by
            default its columns of atoms are judged: networks know heights.
        threshold: The least score; by default as its finder has it.
        measured: What a scan in counts was restored from, if it was; see `columns.atom_columns`.

    Raises:
        ModelError: There is no such model, or it does not fit the scan.
        ScanError: There is nothing to find anything in, or the threshold is none.
    """
    if source is None and scan.quantity is Quantity.COUNTS:
        source = OF_COUNTS
    if source == OF_COUNTS:
        return find(atom_columns(scan, measured), threshold)
    if source in METHODS:
        return find(METHODS[str(source)](scan), threshold)
    return find(maps(scan, model_for(material, source)), threshold)


def model_for(material: str | None = None, source: str | Path | None = None) -> models.Model:
    """The model for a material, or the one that is named.

    Args:
        material: One that a model was trained on, "WSe2", or a family of them, "tmd".
        source: Name or path of a model. With a material, it must have been trained on it.

    Raises:
        ModelError: There is none, with what is known; or it finds no defects.
    """
    if source is None and material is None:
        raise ModelError(f"which material does the scan show? Known are {_materials()}")
    if source is None:
        for name in _finders():
            if _knows(models.load(name), material or ""):
                return models.load(name)
        raise ModelError(
            f"no model was trained on {material!r}: known are {_materials()}; or name the .onnx "
            "file of one (--model)"
        )
    model = models.load(source)
    must_find(model)
    if material and not _knows(model, material):
        trained = ", ".join(model.card["materials"])
        raise ModelError(f"{model.name} was trained on {trained}, not on {material!r}")
    return model


def _finders() -> list[str]:
    return [name for name in models.names() if name.startswith(models.OF_DEFECTS)]


def _knows(model: models.Model, material: str) -> bool:
    known = (model.name.removeprefix(models.OF_DEFECTS), *model.card["materials"])
    return material.casefold() in map(str.casefold, known)


def _materials() -> str:
    """Everything for which a model comes along, by its family."""
    listed = [(name, models.load(name).card["materials"]) for name in _finders()]
    words = [f"{name.removeprefix(models.OF_DEFECTS)} ({', '.join(of)})" for name, of in listed]
    return ", ".join(words) or "none: no model that finds defects comes along"
