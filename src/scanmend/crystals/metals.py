r"""Au(111), Cu(111) and Ag(111): close-packed terraces, their steps, and the surface state.

Electrons of the surface state move freely along the terraces, with a mass m* from an energy E0 up,
and everything that is in their way reflects them: standing waves of the period
:math:`\pi / k_F` around adatoms and along steps (Crommie). Here they hop between neighbours of the
triangular lattice, with :math:`t = \hbar^2 / 3 m^* a^2`, which bends the band's bottom alike. All
other states of the metal are a floor under them, chosen as high as the surface state's own density:
half of what a tip meets. Chosen, too, are what adatoms show and how frequent defects are.

On a terrace the atoms continue those two layers below as in the crystal (ABC); each step down leads
to the next layer, displaced by a third of both lattice vectors. A row of atoms with a shift U along
the edge of a step reflects a part :math:`U^2 / (U^2 + (\hbar v / d)^2)` of electrons that meet it
head on with velocity v; d is the distance of rows.

The uppermost layer of gold that is clean holds 23 atoms where the crystal has 22, along one of
three directions: atoms then change twice in 6.3 nm from the usual hollows (fcc) to the others (hcp)
and back, and where they change they stand on ridges 0.02 nm high (Barth). They are drawn straight,
without the elbows at which the ridges turn by 120 degrees every 25 nm or so.

References:
    M. F. Crommie, C. P. Lutz and D. M. Eigler, Nature 363, 524 (1993), doi:10.1038/363524a0
    F. Reinert et al., Phys. Rev. B 63, 115415 (2001), doi:10.1103/PhysRevB.63.115415
    L. Limot et al., Phys. Rev. Lett. 94, 036805 (2005), arXiv:cond-mat/0405397
    J. V. Barth et al., Phys. Rev. B 42, 9307 (1990), doi:10.1103/PhysRevB.42.9307
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import constants

from .lattice import Array, Lattice, hexagonal
from .piece import GONE, Change, Piece, cut, with_defects
from .specimen import Defect, Kind, Material, Specimen, crowded, inside, many
from .tight_binding import VACANCY_EV, TightBinding, nearest_neighbours

STEP_EV = 2.0  #: [eV] U above, chosen: half of gold's electrons at the Fermi level come back
ADATOM_EV = -1.0  #: [eV] on the 3 atoms below, chosen: a state splits off the band's bottom (Limot)
KINKS = 0.05  #: of the atoms along a step, those at which it moves by a row
ATOMS_IN, CELLS = 23, 22  #: of the uppermost layer of gold, along the ridges' normal
RIDGE_NM, RIDGE_WIDTH_NM = 0.02, 0.35  #: [nm] their height, and their standard deviation
HCP = 0.38  #: of the period of 6.3 nm, what lies between the ridges of a pair: 2.4 nm

_TERRACE, _ADATOM, _HOST = range(3)
# Of each descent: what counts the rows downwards, and what counts the atoms of a row; in n1, n2.
_ROWS = np.array(((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1)))
_ALONG = np.array(((1, 0), (1, 0), (0, 1), (0, 1), (1, 0), (1, 0)))
_HOLLOWS = np.array(((1, 1), (-2, 1), (1, -2))) / 3  # around an atom, those of the next layer
_SITE = (((0, 0, 0),),)
_FCC = (((0, 0, 0), (1, 0, 0), (1, -1, 0)),)  # over an atom of the third layer
_HBAR2_PER_M = constants.hbar**2 / constants.m_e / constants.e * 1e18  # [eV nm2]


@dataclass(frozen=True, slots=True, eq=False)
class _Surface:
    """What does not change from piece to piece.

    Attributes:
        lattice: Of the uppermost layer.
        step_nm: From layer to layer.
        ridged: Whether the layer has ridges, across a1.
        changes: What point defects do.
    """

    lattice: Lattice
    step_nm: float
    ridged: bool
    changes: Mapping[str, Change]

    def draw(
        self,
        densities_per_nm2: Mapping[str, float],
        size_nm: tuple[float, float],
        angle_deg: float,
        rng: np.random.Generator,
    ) -> Specimen:
        """A piece of surface; see `specimen.Draw`."""
        offset = rng.random(2)
        if self.ridged:  # along one of three directions
            angle_deg += 60 * int(rng.integers(3))
        area_nm2 = math.prod(size_nm)
        piece = self._cut(size_nm, angle_deg, offset)
        steps = many(densities_per_nm2.get("step", 0.0), area_nm2, rng)
        edges, found = np.zeros(len(piece.sites), bool), ()
        if steps:
            piece, edges, found = self._stepped(steps, piece, size_nm, angle_deg, offset, rng)
        if self.ridged:
            across = math.radians(angle_deg)
            along_nm = piece.positions_nm[:, :2] @ (math.cos(across), math.sin(across))
            raised = np.outer(self._ridges(along_nm, rng.random()), (0, 0, 1))
            piece = replace(piece, positions_nm=piece.positions_nm + raised)
        specimen = with_defects(piece, self.changes, densities_per_nm2, area_nm2, rng, edges)
        if not steps:
            return specimen
        sites = piece.sites[edges]
        return replace(
            specimen,
            scatterers=np.concatenate((sites, specimen.scatterers)),
            shifts_eV=np.append(np.full(len(sites), STEP_EV), specimen.shifts_eV),
            defects=(*found, *specimen.defects),
        )

    def _cut(self, size_nm: tuple[float, float], angle_deg: float, offset: Array) -> Piece:
        nothing = np.zeros(1)
        return cut(self.lattice, nothing, nothing.astype(np.intp), size_nm, angle_deg, offset)

    def _stepped(
        self,
        steps: int,
        piece: Piece,
        size_nm: tuple[float, float],
        angle_deg: float,
        offset: Array,
        rng: np.random.Generator,
    ) -> tuple[Piece, NDArray[np.bool_], tuple[Defect, ...]]:
        """Terraces instead of one: the piece, which atoms are on an upper edge, and each step.

        All steps go down the same way; each passes through a random atom of the piece.
        """
        direction = int(rng.integers(len(_ROWS)))
        rows, along = _ROWS[direction], _ALONG[direction]
        order = rng.permutation(len(piece.sites))
        first = np.unique(piece.sites[order, :2] @ rows, return_index=True)[1]
        if steps > first.size:
            raise crowded("step", steps, first.size, math.prod(size_nm))
        on_edges = order[np.sort(first)[:steps]]

        # The hollows are one and the same layer: that which shows the row next under the edge.
        hollow = _HOLLOWS[np.argmin(_HOLLOWS @ rows)]
        down = hollow @ self.lattice.turned(angle_deg).vectors_nm
        margin = 2 * steps * float(np.hypot(*down))
        height, width = size_nm
        wide = self._cut((height + margin, width + margin), angle_deg, offset)
        row, place = wide.sites[:, :2] @ rows, wide.sites[:, :2] @ along
        least, level, edges = place.min(), np.zeros(len(row), np.int64), []
        for atom in on_edges:
            n1_n2 = piece.sites[atom, :2]
            chance = rng.random(np.ptp(place) + 1)
            bends = np.cumsum((chance < KINKS / 2) * 1 - (chance > 1 - KINKS / 2))
            edge = n1_n2 @ rows + bends[place - least] - bends[n1_n2 @ along - least]
            level += row > edge
            edges.append(row == edge)
        positions = wide.positions_nm + level[:, None] * (*down, -self.step_nm)
        x, y, _ = positions.T
        kept = np.flatnonzero(inside(x, y, size_nm))
        stepped = Piece(positions[kept], wide.kinds[kept], wide.sites[kept], 1)

        found, seen = [], np.zeros(len(kept), bool)
        for atom, edge in zip(on_edges, edges, strict=True):
            its = np.flatnonzero(edge[kept] & ~seen)
            if its.size:  # or the layer's displacement has moved it off the piece
                apart = stepped.positions_nm[its, :2] - piece.positions_nm[atom, :2]
                nearest = its[np.argmin((apart**2).sum(axis=1))]
                seen[nearest] = True
                found.append(Defect("step", *stepped.positions_nm[nearest, :2].tolist()))
        return stepped, np.any(edges, axis=0)[kept], tuple(found)

    def _ridges(self, along_nm: Array, phase: float) -> Array:
        """How much atoms are raised, nm; `phase`, 0 to 1, says where a pair of ridges begins."""
        period_nm = ATOMS_IN * float(self.lattice.vectors_nm[0, 0])
        raised = np.zeros(len(along_nm))
        for ridge in (phase, phase + HCP):
            part = along_nm / period_nm - ridge
            apart_nm = (part - np.rint(part)) * period_nm
            raised += RIDGE_NM * np.exp(-((apart_nm / RIDGE_WIDTH_NM) ** 2) / 2)
        return raised


def surface_state(lattice: Lattice, mass: float, bottom_eV: float) -> TightBinding:
    """Electrons of a `mass`, in those of free ones, from `bottom_eV` up."""
    a1 = lattice.vectors_nm[0]
    hopping_eV = _HBAR2_PER_M / (3 * mass * float(a1 @ a1))
    return nearest_neighbours(lattice, -hopping_eV, bottom_eV + 6 * hopping_eV)


def _moved(lattice: Lattice, upper: Lattice, mass: float, bottom_eV: float) -> TightBinding:
    """The surface state of a layer whose atoms have moved a little, to the sites of `upper`."""
    return replace(surface_state(lattice, mass, bottom_eV), lattice=upper)


def _material(
    name: str, cubic_nm: float, mass: float, bottom_eV: float, ridged: bool = False
) -> Material:
    """A metal with the lattice constant `cubic_nm` and with a surface state as above."""
    lattice, step_nm = hexagonal(cubic_nm / math.sqrt(2)), cubic_nm / math.sqrt(3)
    floor = lattice.cell_nm2 * mass / (2 * math.pi * _HBAR2_PER_M)
    changes = {
        "vacancy": Change("an atom of a terrace is missing", _SITE, VACANCY_EV, GONE),
        "adatom": Change(
            "an atom of the metal in a hollow on a terrace",
            _FCC,
            ADATOM_EV,
            adds=(_ADATOM, step_nm),
        ),
        "adsorbate": Change(
            "a molecule as CO on an atom, which metal tips show as a dip", _SITE, VACANCY_EV, _HOST
        ),
    }
    what = {"step": "down by one layer, along a close-packed row, with kinks"}
    upper = lattice
    if ridged:
        upper = replace(lattice, vectors_nm=lattice.vectors_nm * (CELLS / ATOMS_IN, 1))
    return Material(
        name=name,
        kinds=(
            Kind("terrace", hopping=1, floor_per_eV=floor),
            # With all of the floor, adatoms would look as high as they stand; half of it is seen.
            Kind("adatom", floor_per_eV=0.3 * floor, peaks=((bottom_eV - 0.03, 0.06, 0.005),)),
            Kind("below an adsorbate"),
        ),
        defects=what | {kind: change.what for kind, change in changes.items()},
        densities_per_nm2={"step": 5e-4, "vacancy": 0.002, "adatom": 0.01, "adsorbate": 0.02},
        draw=_Surface(upper, step_nm, ridged, changes).draw,
        electrons={"surface state": partial(_moved, lattice, upper, mass, bottom_eV)},
    )


AU111 = _material("Au(111)", 0.4078, mass=0.255, bottom_eV=-0.49)
"""Not reconstructed, as under molecules that lift the ridges."""

AU111_RECONSTRUCTED = _material("Au(111)-22x3", 0.4078, mass=0.255, bottom_eV=-0.49, ridged=True)
"""Clean gold: 22 x sqrt 3."""

CU111 = _material("Cu(111)", 0.3615, mass=0.38, bottom_eV=-0.44)
AG111 = _material("Ag(111)", 0.4085, mass=0.40, bottom_eV=-0.065)
