"""Crystals seen along an axis: a lattice across the beam, and what repeats along it.

Of a layer the metal is at z = 0, and electrons come from above, where z is negative. Lattice
constants are measured ones, those of layers after Kormanyos et al., of SrTiO3 at room temperature.
Adatoms sit over hollow places of a layer, at heights that are chosen.

References:
    A. Kormanyos et al., 2D Mater. 2, 022001 (2015), doi:10.1088/2053-1583/2/2/022001
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..crystals import lattice
from ..crystals.lattice import Array, Lattice, hexagonal

NOTHING = ""  #: the element of a site without an atom


@dataclass(frozen=True, slots=True)
class Change:
    """What a class of defects does to a site.

    Attributes:
        what: That, in a few words.
        sublattices: On which sites it can be, by their place in the cell.
        becomes: The element there, `NOTHING` for none.
        column: Whether all atoms of its element in the column change with it.
    """

    what: str
    sublattices: tuple[int, ...]
    becomes: str
    column: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Crystal:
    """Atoms that repeat.

    Attributes:
        name: As people write it, "MoS2".
        lattice: Across the beam.
        elements: Of each sublattice, `NOTHING` where only an adatom would be.
        heights_nm: z of each, along the beam, nm.
        period_nm: After which everything repeats along the beam, nm; 0 for a single layer.
        changes: Its classes of defects.
        densities_per_nm2: Of the defects that a usual specimen has.
        repeats: Whether it fills the plane; else its one cell is all there is.
    """

    name: str
    lattice: Lattice
    elements: tuple[str, ...]
    heights_nm: Array
    period_nm: float
    changes: Mapping[str, Change]
    densities_per_nm2: Mapping[str, float]
    repeats: bool = True


_HOLLOW_NM = 0.25  #: [nm] height of an adatom over the middle of a hexagon
_UPPER, _METAL, _LOWER, _HOLLOW = range(4)


def _with_hollow(crystal: Lattice) -> Lattice:
    """A hexagonal lattice with the middles of its hexagons as one more sublattice."""
    middle = crystal.vectors_nm.sum(0) * 2 / 3
    return Lattice(crystal.vectors_nm, np.vstack([crystal.basis_nm, middle]))


def _layer(metal: str, chalcogen: str, crystal: Lattice, half_nm: float) -> Crystal:
    """A layer of chalcogen, metal, chalcogen, `half_nm` apart."""
    other, alike = {"Mo": "W", "W": "Mo"}[metal], {"S": "Se", "Se": "S"}[chalcogen]
    either, middle = (_UPPER, _LOWER), (_METAL,)
    one = f"one {chalcogen} of a column"
    changes = {
        "chalcogen vacancy": Change(f"{one} is missing", either, NOTHING),
        "chalcogen divacancy": Change(f"both {chalcogen} are missing", either, NOTHING, True),
        "metal vacancy": Change(f"a {metal} is missing", middle, NOTHING),
        "metal substitution": Change(f"{other} in place of {metal}", middle, other),
        "chalcogen substitution": Change(f"{alike} in place of {one}", either, alike),
        "oxygen": Change(f"oxygen in place of {one}", either, "O"),
        "antisite": Change(f"{metal} in place of {one}", either, metal),
        "adatom": Change(f"{metal} over the middle of a hexagon", (_HOLLOW,), metal),
    }
    return Crystal(
        name=f"{metal}{chalcogen}2",
        lattice=_with_hollow(crystal),
        elements=(chalcogen, metal, chalcogen, NOTHING),
        heights_nm=np.array((-half_nm, 0, half_nm, -half_nm - _HOLLOW_NM)),
        period_nm=0.0,
        changes=changes,
        densities_per_nm2={"chalcogen vacancy": 0.1, "metal vacancy": 0.005, "antisite": 0.005},
    )


MOS2 = _layer("Mo", "S", lattice.MOS2, 0.1565)
MOSE2 = _layer("Mo", "Se", hexagonal(0.3288, (0, 0), (1 / 3, 1 / 3), (0, 0)), 0.1669)
WSE2 = _layer("W", "Se", lattice.WSE2, 0.1674)

GRAPHENE = Crystal(
    name="graphene",
    lattice=_with_hollow(lattice.GRAPHENE),
    elements=("C", "C", NOTHING),
    heights_nm=np.array((0, 0, -_HOLLOW_NM)),
    period_nm=0.0,
    changes={
        "vacancy": Change("a carbon atom is missing", (0, 1), NOTHING),
        "nitrogen": Change("nitrogen in place of carbon", (0, 1), "N"),
        "silicon": Change("silicon in place of carbon", (0, 1), "Si"),
        "adatom": Change("gold over the middle of a hexagon", (2,), "Au"),
    },
    densities_per_nm2={"vacancy": 0.02, "nitrogen": 0.02, "silicon": 0.01},
)

_A = 0.3905  # [nm] of SrTiO3

SRTIO3 = Crystal(
    name="SrTiO3",
    lattice=Lattice(
        np.diag((_A, _A)), _A * np.array(((0, 0), (0.5, 0.5), (0.5, 0.5), (0.5, 0), (0, 0.5)))
    ),
    elements=("Sr", "Ti", "O", "O", "O"),
    heights_nm=_A * np.array((0, 0.5, 0, 0.5, 0.5)),
    period_nm=_A,
    changes={
        "oxygen vacancy": Change("an oxygen atom is missing", (2, 3, 4), NOTHING),
        "strontium vacancy": Change("a strontium atom is missing", (0,), NOTHING),
        "lanthanum": Change("lanthanum in place of strontium", (0,), "La"),
        "niobium": Change("niobium in place of titanium", (1,), "Nb"),
    },
    densities_per_nm2={"oxygen vacancy": 0.1},
)
"""Along [001]: columns of Sr, of Ti with O, and of O."""

CRYSTALS: dict[str, Crystal] = {
    "mos2": MOS2,
    "mose2": MOSE2,
    "wse2": WSE2,
    "graphene": GRAPHENE,
    "srtio3": SRTIO3,
}
"""Every crystal that comes along. A new one is a constant and a name here."""
