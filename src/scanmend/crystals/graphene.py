"""Graphene: one layer of carbon, all of it at one height.

A tip meets the pi electrons, one orbital on each atom. What has no orbital among them any more, as
an atom that is missing or one that binds hydrogen, leaves a resonance at the Dirac point on the
other sublattice around it (Wehling), and all defects mix the two valleys: so come the threefold
stars, and the sqrt 3 x sqrt 3 pattern between them.

A dopant shifts the energy of its site alone, where Lambin et al. fitted a potential that reaches
over the atoms next to it. The shift is chosen: -10 eV for nitrogen, with which the three carbon
atoms around it appear bright at positive bias, as in experiment (Joucken), and the opposite for
boron. Chosen, too, are what hydrogen shows, and how frequent defects are.

References:
    A. H. Castro Neto et al., Rev. Mod. Phys. 81, 109 (2009), doi:10.1103/RevModPhys.81.109
    T. O. Wehling et al., Phys. Rev. Lett. 105, 056802 (2010), doi:10.1103/PhysRevLett.105.056802
    Ph. Lambin et al., Phys. Rev. B 86, 045448 (2012), arXiv:1205.6630
    F. Joucken et al., Phys. Rev. B 85, 161408 (2012), arXiv:1204.3560
    H. Gonzalez-Herrero et al., Science 352, 437 (2016), doi:10.1126/science.aad8038
"""

from __future__ import annotations

from functools import partial

import numpy as np

from . import lattice, tight_binding
from .piece import GONE, Change, flat
from .specimen import Kind, Material
from .tight_binding import VACANCY_EV

NITROGEN_EV, BORON_EV = -10.0, 10.0  #: [eV] on-site shifts of dopants, chosen
RISE_NM = 0.036  #: [nm] of a carbon atom that binds hydrogen, out of the plane
BOND_NM = 0.113  #: [nm] carbon to hydrogen

_CARBON, _NITROGEN, _BORON, _HOST, _HYDROGEN = range(5)
_KINDS = (
    Kind("carbon", hopping=1),
    Kind("nitrogen", hopping=1),
    Kind("boron", hopping=1),
    Kind("carbon with hydrogen", hopping=1),
    # A tenth, chosen, of the state at the Dirac point that it makes: 0.25 nm of apparent height.
    Kind("hydrogen", peaks=((0.0, 0.05, 0.1),)),
)
_EITHER = (((0, 0, 0),), ((0, 0, 1),))
_PAIRS = tuple(((0, 0, 0), (*cell, 1)) for cell in ((0, 0), (-1, 0), (0, -1)))
_CHANGES = {
    "vacancy": Change("a carbon atom is missing", _EITHER, VACANCY_EV, GONE),
    "divacancy": Change("two neighbouring carbon atoms are missing", _PAIRS, VACANCY_EV, GONE),
    "nitrogen": Change("nitrogen in place of carbon", _EITHER, NITROGEN_EV, _NITROGEN),
    "boron": Change("boron in place of carbon", _EITHER, BORON_EV, _BORON),
    "hydrogen": Change(
        "hydrogen on top of a carbon atom, whose pi orbital it binds",
        _EITHER,
        VACANCY_EV,
        _HOST,
        RISE_NM,
        (_HYDROGEN, RISE_NM + BOND_NM),
    ),
}

MATERIAL = Material(
    name="graphene",
    kinds=_KINDS,
    defects={name: change.what for name, change in _CHANGES.items()},
    densities_per_nm2={"vacancy": 0.02, "divacancy": 0.01, "nitrogen": 0.03, "hydrogen": 0.02},
    draw=partial(flat, lattice.GRAPHENE, np.zeros(2), np.full(2, _CARBON), _CHANGES),
    electrons={"pi": tight_binding.graphene},
)
