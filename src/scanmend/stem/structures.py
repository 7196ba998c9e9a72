"""Crystals out of files of atoms, whichever ASE reads: the extra `structures`.

The beam goes along z. The cell's first two vectors lie across it and its third along it, or there
is no cell, as of a nanoparticle, and the atoms are all there is.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from ..crystals.lattice import Lattice
from ..errors import SimulationError
from .crystals import Crystal

_UPRIGHT_NM = 1e-4


def crystal_of(path: str) -> Crystal:
    """The crystal in a file.

    Raises:
        SimulationError: ASE is not there, cannot read the file, or its cell is not upright.
    """
    file = Path(path)
    return _read(path, file.stat().st_mtime_ns if file.exists() else 0)


@lru_cache(maxsize=8)
def _read(path: str, changed: int) -> Crystal:
    try:
        from ase.io import read  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise SimulationError(
            f"{Path(path).name}: files of atoms are read by ASE, which is not there: "
            'pip install "scanmend[structures]"'
        ) from None
    try:
        atoms = read(path)
    except Exception as error:  # each of ASE's many readers has errors of its own
        raise SimulationError(f"ASE cannot read the atoms of {Path(path).name}: {error}") from None
    assert not isinstance(atoms, list)  # as only slices of a trajectory are
    cell, positions = np.asarray(atoms.cell) / 10, atoms.get_positions() / 10
    elements = tuple(atoms.get_chemical_symbols())
    name, periodic = Path(path).stem, bool(atoms.pbc[:2].all())
    if not len(elements) or not np.isfinite(positions).all():
        raise SimulationError(f"{Path(path).name} has no atoms, or some without a place")
    changes: dict = {}
    if not periodic:
        positions = positions - (positions.min(0) + positions.max(0)) / 2
        wide = np.ptp(positions[:, :2], axis=0).max() + 1
        lattice = Lattice(np.diag((wide, wide)), positions[:, :2])
        return Crystal(name, lattice, elements, positions[:, 2], 0.0, changes, {}, repeats=False)
    if abs(cell[:2, 2]).max() > _UPRIGHT_NM or abs(cell[2, :2]).max() > _UPRIGHT_NM:
        raise SimulationError(
            f"{Path(path).name}: the beam goes along z, and so must the third vector of the cell "
            f"alone, got {np.round(cell, 4).tolist()} nm: turn the crystal or the cell"
        )
    period = float(cell[2, 2]) if atoms.pbc[2] else 0.0
    return Crystal(
        name,
        Lattice(cell[:2, :2], positions[:, :2]),
        elements,
        positions[:, 2],
        period,
        changes,
        {},
    )
