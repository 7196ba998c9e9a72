r"""Si(111)-7x7: dimers, adatoms and a stacking fault.

A cell is a rhombus of two triangular halves, one of them stacked wrongly onto the layer below, with
a hole at each corner and dimers along all sides. On top stand 12 adatoms, 6 in each half; of the
atoms below them, 6 are bonded to no adatom: the rest atoms.

What the atoms show a tip is an effective model, whose widths and shares are chosen so that the
known contrast of either bias comes out. The rest atoms have taken electrons from the adatoms, more
from the centre ones than from those at the corners, each of which has one rest atom for a neighbour
and not two; what is left in the adatoms' dangling bonds lies about 0.35 eV below the Fermi level,
the empty states 0.5 eV above it, the rest atoms' filled ones 0.8 eV below, and the adatoms' back
bonds 1.7 eV.

References:
    K. Takayanagi et al., J. Vac. Sci. Technol. A 3, 1502 (1985): the structure.
    R. J. Hamers, R. M. Tromp and J. E. Demuth, Phys. Rev. Lett. 56, 1972 (1986): filled states.
    F. J. Himpsel and T. Fauster, J. Vac. Sci. Technol. A 2, 815 (1984): empty states.
    Ph. Avouris and R. Wolkow, Phys. Rev. B 39, 5091 (1989): which atom has how much of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .lattice import Array, Lattice, hexagonal
from .silicon001 import LATTICE_NM
from .specimen import Defect, Kind, Material, Specimen, inside, some

SURFACE_NM = LATTICE_NM / math.sqrt(2)  #: [nm] 0.3840, of the surface that is not reconstructed
CELL_NM = 7 * SURFACE_NM  #: [nm] 2.688
BILAYER_NM = LATTICE_NM / math.sqrt(3)  #: [nm] 0.3136, a step
REST_NM, BACK_NM, DIMER_NM, HOLE_NM = 0.08, 0.13, 0.21, 0.45  #: [nm] depths below the adatoms
PAIRED_NM = 0.245  #: [nm] length of a dimer
ABOVE_NM = 0.04  #: [nm] of an adsorbate over the adatoms

_FILLED = {"faulted corner": 0.68, "faulted centre": 0.40, "corner": 0.40, "centre": 0.20}
_EMPTY, _BACK_BOND = (0.5, 0.2, 1.5), (-1.7, 0.3, 0.5)


def _adatom(name: str, filled: float) -> Kind:
    return Kind(name, 0, 0.02, ((-0.35, 0.15, filled), _EMPTY, _BACK_BOND))


KINDS = (
    *(_adatom(f"{place} adatom", filled) for place, filled in _FILLED.items()),
    Kind("rest atom", 0, 0.02, ((-0.8, 0.2, 2.0), _BACK_BOND)),
    Kind("back-bond atom", 0, 0.05, (_BACK_BOND,)),
    Kind("dimer atom", 0, 0.1, ((-1.0, 0.3, 0.5),)),
    Kind("corner hole atom", 0, 0.1, ((-0.5, 0.2, 1.0),)),
    Kind("reacted adatom", 0, 0.02, ((-3.0, 0.4, 1.0),)),
    Kind("adsorbate", 0, 1.2),
)
ADATOMS = 4  #: how many of them, the first ones, are adatoms that nothing has happened to
REST, BACK, DIMER, HOLE, REACTED, ADSORBED = range(4, 10)

STEP, WALL = LINES = "step", "domain wall"
DEFECTS = {
    "missing adatom": "an adatom is gone: a hole",
    "dark adatom": "an adatom whose dangling bond has reacted, as with hydrogen or oxygen",
    "bright adsorbate": "an atom more, on an adatom",
    STEP: "a step down by two layers, along sides of cells: listed thrice a cell",
    WALL: "where cells are shifted along their side: listed thrice a cell",
}


def _half() -> list[tuple[float, float, float, int]]:
    """The atoms of the faulted half: u and v in parts of the surface's a1 and a2, z, kind."""
    atoms = []
    for p, q in itertools.product(range(6), repeat=2):
        u, v = p + 2 / 3, q + 2 / 3
        if p + q <= 2:
            kind = 1 if {p, q, 2 - p - q} == {0, 1} else 0
            atoms.append((2 * p + 1, 2 * q + 1, 0, kind))
        if p + q <= 5:
            rest = p % 2 and q % 2
            atoms.append((u, v, -REST_NM if rest else -BACK_NM, REST if rest else BACK))
    return atoms


def _cell() -> tuple[Lattice, Array, NDArray[np.intp]]:
    """The lattice of cells, with z and kind of each of the atoms of a cell."""
    faulted = _half()
    other = [(7 - u, 7 - v, z, kind + 2 * (kind < 2)) for u, v, z, kind in faulted]
    atoms = [*faulted, *other, (0, 0, -HOLE_NM, HOLE)]
    apart = (1 - PAIRED_NM / SURFACE_NM) / 2
    for i, j in itertools.product(range(7), repeat=2):
        # Along the sides of the halves neighbours pair up: 1 with 2, 3 with 4, 5 with 6.
        side = (1, 0) if not j else (0, 1) if not i else (1, -1) if i + j == 7 else (0, 0)
        shift = apart if (i or j) % 2 else -apart
        if i or j:
            atoms.append((i + shift * side[0], j + shift * side[1], -DIMER_NM, DIMER))
    u, v, z, kinds = zip(*atoms, strict=True)
    basis = np.stack([u, v], 1) / 7
    return hexagonal(CELL_NM, *map(tuple, basis.tolist())), np.array(z), np.array(kinds)


LATTICE, _HEIGHTS_NM, _KINDS = _cell()
"""Its sublattices are the atoms of a cell, the corner hole being at the origin."""


def _draw(
    densities_per_nm2: Mapping[str, float],
    size_nm: tuple[float, float],
    angle_deg: float,
    rng: np.random.Generator,
) -> Specimen:
    """See `specimen.Draw`; a side of the cells runs along the crystal's x axis."""
    per_nm2 = dict.fromkeys(DEFECTS, 0.0) | dict(densities_per_nm2)
    size, area_nm2 = np.array(size_nm), math.prod(size_nm)
    crystal = LATTICE.turned(angle_deg)
    vectors = crystal.vectors_nm
    lines = [kind for kind in LINES if rng.poisson(per_nm2[kind] * area_nm2)]
    # A line goes through a point of the piece, along a1.
    offset = rng.random(2) * (1, not lines)
    origin = rng.uniform(-0.5, 0.5, 2) * size[::-1] + offset @ vectors
    middle = origin + vectors.sum(0) / 2
    # What a cell's middle may be away from the piece, and cells may be shifted by.
    margin = CELL_NM * (math.sqrt(3) + 2 * bool(lines))
    cells = Lattice(vectors, np.zeros((1, 2))).rectangle(size + margin, -middle)[:, :2]
    corners = np.zeros((len(cells), 3))
    corners[:, :2] = cells @ vectors + origin
    found = []
    beyond = cells[:, 1] >= 0
    if lines:
        corners[beyond, :2] += rng.integers(1, 7) / 7 * vectors[0]
        thirds = np.arange(3 * cells[:, 0].min(), 3 * cells[:, 0].max()) / 3
        points = thirds[:, None] * vectors[0] + origin
        found = [
            (kind, p)
            for kind in lines
            for p in points[inside(points[..., 0], points[..., 1], size)]
        ]
    if STEP in lines:
        # The next layers are stacked a third of a1 + a2 farther: here, under the upper terrace.
        corners[beyond, :2] += (1 / 21, -2 / 21) @ vectors
        corners[beyond, 2] -= BILAYER_NM

    atoms = np.column_stack([crystal.basis_nm, _HEIGHTS_NM])
    everywhere = corners[:, None] + atoms
    here = inside(everywhere[..., 0], everywhere[..., 1], size)
    positions = everywhere[here]
    cell, atom = np.nonzero(here)
    sites = np.column_stack([cells[cell], atom])
    kinds = _KINDS[atom]

    free = kinds < ADATOMS
    chosen = {}
    for kind in ("missing adatom", "dark adatom", "bright adsorbate"):
        chosen[kind] = some(kind, per_nm2[kind], area_nm2, np.flatnonzero(free), rng)
        free[chosen[kind]] = False
        found += [(kind, positions[i, :2]) for i in chosen[kind]]
    missing, dark, below = chosen.values()
    kinds[dark] = REACTED
    kept = np.delete(np.arange(len(kinds)), missing)
    return Specimen(
        np.concatenate([positions[kept], positions[below] + (0, 0, ABOVE_NM)]),
        np.concatenate([kinds[kept], np.full(below.size, ADSORBED)]),
        np.concatenate([sites[kept], sites[below]]),
        defects=tuple(Defect(kind, float(x), float(y)) for kind, (x, y) in found),
    )


SI111 = Material(
    "Si(111)-7x7",
    KINDS,
    DEFECTS,
    {
        "missing adatom": 0.01,
        "dark adatom": 0.04,
        "bright adsorbate": 0.005,
        STEP: 0.0,
        WALL: 1e-5,
    },
    _draw,
)
