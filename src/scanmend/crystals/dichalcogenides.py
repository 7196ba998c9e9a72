"""MoS2 and WSe2: a plane of metal atoms between two planes of chalcogen atoms.

A tip meets the upper chalcogen atoms, at z = 0, and the metal atoms below them; the lower chalcogen
atoms are too deep, but electrons hop over them where the model has orbitals there.

A chalcogen atom may be missing, or be oxygen, the most frequent defect of samples that were in air
(Barja): smaller, so that it lies lower, and with p orbitals deeper by about as much as those of the
free atoms (Harrison). A "dopant" is a shift of the on-site energy and nothing else. Densities are
chosen in the range of many crystals, of the order of 1e12 to 1e13 defects on 1 cm2: on 1 nm2, 0.01
to 0.1. Better ones have far fewer (Edelberg).

References:
    G.-B. Liu et al., Phys. Rev. B 88, 085433 (2013), doi:10.1103/PhysRevB.88.085433
    S. Barja et al., Nat. Commun. 10, 3382 (2019), doi:10.1038/s41467-019-11342-2
    D. Edelberg et al., Nano Lett. 19, 4371 (2019), doi:10.1021/acs.nanolett.9b00985
    W. A. Harrison, Electronic Structure and the Properties of Solids (1980), solid state table
"""

from __future__ import annotations

from functools import partial

import numpy as np

from . import lattice
from .dichalcogenide_bands import eleven_band, single_orbital
from .lattice import Lattice
from .piece import GONE, Change, flat
from .specimen import Kind, Material
from .tight_binding import VACANCY_EV

DOPANT_EV = 0.5  #: [eV] chosen on-site shift of a dopant, an acceptor: positive draws electrons off
OXYGEN_NM = -0.06  #: [nm] height of oxygen in place of an upper chalcogen atom, about

_TOP, _METAL, _OXYGEN, _DOPANT, _METAL_DOPANT = range(5)
_UPPER, _MIDDLE = (((0, 0, 0),),), (((0, 0, 1),),)


def _layer(
    name: str,
    chalcogen: str,
    metal: str,
    crystal: Lattice,
    half_nm: float,
    oxygen_eV: float,
    densities_per_nm2: dict[str, float],
) -> Material:
    """The material of a layer whose metal atoms lie `half_nm` below the upper chalcogen atoms."""
    changes = {
        "chalcogen vacancy": Change(
            f"an upper {chalcogen} atom is missing", _UPPER, VACANCY_EV, GONE
        ),
        "oxygen": Change(
            f"oxygen in place of an upper {chalcogen} atom", _UPPER, oxygen_eV, _OXYGEN, OXYGEN_NM
        ),
        "dopant": Change(
            f"an upper {chalcogen} atom with a higher on-site energy", _UPPER, DOPANT_EV, _DOPANT
        ),
        "metal vacancy": Change(f"a {metal} atom is missing", _MIDDLE, VACANCY_EV, GONE),
        "metal dopant": Change(
            f"a {metal} atom with a higher on-site energy, as niobium has",
            _MIDDLE,
            DOPANT_EV,
            _METAL_DOPANT,
        ),
    }
    names = (f"top {chalcogen}", metal, "oxygen", f"doped {chalcogen}", f"doped {metal}")
    heights, kinds = np.array((0, -half_nm, -2 * half_nm)), np.array((_TOP, _METAL, GONE))
    return Material(
        name=name,
        kinds=tuple(Kind(kind, hopping=1) for kind in names),
        defects={kind: change.what for kind, change in changes.items()},
        densities_per_nm2=densities_per_nm2,
        draw=partial(flat, crystal, heights, kinds, changes),
        electrons={
            "single-orbital": partial(single_orbital, name),
            "eleven-band": partial(eleven_band, name),
        },
    )


MOS2 = _layer(
    "MoS2",
    "sulphur",
    "molybdenum",
    lattice.MOS2,
    half_nm=0.1565,
    oxygen_eV=-3.9,
    densities_per_nm2={"chalcogen vacancy": 0.05, "oxygen": 0.05, "metal vacancy": 0.005},
)

WSE2 = _layer(
    "WSe2",
    "selenium",
    "tungsten",
    lattice.WSE2,
    half_nm=0.1674,
    oxygen_eV=-4.6,
    densities_per_nm2={"chalcogen vacancy": 0.02, "oxygen": 0.04, "metal vacancy": 0.01},
)
