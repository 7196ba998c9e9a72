r"""How electrons hop in a layer of MoS2 or WSe2: three models, none with spin-orbit coupling.

- `single_orbital`: an orbital on each upper chalcogen atom and one on each metal atom. Next to K
  its bands are those of a massive Dirac particle, with the gap of the three bands below, and with
  velocities of their own (Xiao):
  :math:`E = \pm\sqrt{(\Delta / 2)^2 + (\hbar v k)^2}`. What a tip sees of holes is then the
  chalcogen, of electrons the metal.
- `three_band`: :math:`d_{z^2}, d_{xy}, d_{x^2-y^2}` of the metal (Liu): the right bands next to the
  gap, but the uppermost atoms have none.
- `eleven_band`: all d orbitals of the metal and all p orbitals of both chalcogen atoms
  (Silva-Guillen, after Cappelluti), by Slater and Koster's rules.

References:
    D. Xiao et al., Phys. Rev. Lett. 108, 196802 (2012), doi:10.1103/PhysRevLett.108.196802
    G.-B. Liu et al., Phys. Rev. B 88, 085433 (2013), doi:10.1103/PhysRevB.88.085433
    E. Cappelluti et al., Phys. Rev. B 88, 075409 (2013), doi:10.1103/PhysRevB.88.075409
    J. A. Silva-Guillen et al., Appl. Sci. 6, 284 (2016), doi:10.3390/app6100284
"""

from __future__ import annotations

import math
from itertools import product
from typing import TypeVar

import numpy as np

from ..errors import SimulationError
from .lattice import MOS2, WSE2, Array
from .slater_koster import slater_koster
from .tight_binding import Cell, TightBinding

T = TypeVar("T")

_LAYERS = {"MoS2": MOS2, "WSe2": WSE2}
# fmt: off
_DIRAC = {  # [eV] the gap at K (Liu), and hbar v over the lattice constant (Xiao, table I)
    "MoS2": (1.663, 1.10),
    "WSe2": (1.540, 1.19),
}
_LIU = {  # [eV] fitted to GGA bands, nearest neighbours
    #         e1     e2      t0     t1     t2    t11    t12    t22
    "MoS2": (1.046, 2.104, -0.184, 0.401, 0.507, 0.218, 0.338, 0.057),
    "WSe2": (0.943, 2.179, -0.207, 0.457, 0.486, 0.263, 0.329, 0.034),
}
_SILVA_GUILLEN = {  # half the height of the layer over its lattice constant; [eV]
    #        height          d0      d1      d2      dp      dz
    "MoS2": (1.586 / 3.160, -1.094, -0.050, -1.511, -3.559, -6.886,
             # pd: sigma, pi; dd: sigma, pi, delta; pp: sigma, pi
             3.689, -1.241, -0.895, 0.252, 0.228, 1.225, -0.467),
    "WSe2": (1.657 / 3.260, -0.935, -1.250, -2.321, -5.629, -6.759,
             5.803, -1.081, -1.129, 0.094, 0.317, 1.530, -0.123),
}
# fmt: on


def single_orbital(name: str) -> TightBinding:
    """The layer "MoS2" or "WSe2" with an orbital on each upper chalcogen and each metal atom.

    Raises:
        SimulationError: Another name.
    """
    gap, velocity = _of(_DIRAC, name)
    both, back = np.diag((-gap / 2, gap / 2)), np.zeros((2, 2))
    back[0, 1] = velocity * 2 / math.sqrt(3)
    hoppings = {(0, 0): both + back + back.T}
    for cell in ((-1, 0), (0, -1)):
        hoppings[cell], hoppings[-cell[0], -cell[1]] = back, back.T
    return TightBinding(_LAYERS[name], (1, 1, 0), hoppings)


def three_band(name: str) -> TightBinding:
    r"""The layer "MoS2" or "WSe2" with :math:`d_{z^2}, d_{xy}, d_{x^2-y^2}` on each metal atom.

    The hopping to the neighbour along x is given; a mirror and turns by 120 degrees make the five
    others of it: :math:`H(C_3 R) = D H(R) D^T`, where D turns :math:`(d_{xy}, d_{x^2-y^2})` as cos
    and sin of twice the angle turn.

    Raises:
        SimulationError: Another name.
    """
    e1, e2, t0, t1, t2, t11, t12, t22 = _of(_LIU, name)
    along_x = np.array(((t0, t1, t2), (-t1, t11, t12), (t2, -t12, t22)))
    c, s = math.cos(4 * math.pi / 3), math.sin(4 * math.pi / 3)
    turn = np.array(((1, 0, 0), (0, c, s), (0, -s, c)))
    hoppings: dict[Cell, Array] = {(0, 0): np.diag((e1, e2, e2))}
    for cell in ((1, 0), (-1, 1), (0, -1)):
        hoppings[cell] = along_x
        hoppings[-cell[0], -cell[1]] = along_x.T
        along_x = turn @ along_x @ turn.T
    return _centred(TightBinding(_LAYERS[name], (0, 3, 0), hoppings), filled=1)


def eleven_band(name: str) -> TightBinding:
    """The layer "MoS2" or "WSe2" with all p orbitals of the chalcogen and d of the metal atoms.

    They hop between nearest metal and chalcogen atoms, within each plane, and straight down from
    an upper chalcogen atom to the lower one. Orbitals of an atom are as in `slater_koster`.

    Raises:
        SimulationError: Another name.
    """
    height, d0, d1, d2, dp, dz, *integrals = _of(_SILVA_GUILLEN, name)
    pd, dd, pp = integrals[:2], integrals[2:5], integrals[5:]
    shells, of_shells = "pdp", {"pd": pd, "dp": pd, "dd": dd, "pp": pp}
    slices = slice(0, 3), slice(3, 8), slice(8, 11)
    lattice = _LAYERS[name]
    a_nm = np.linalg.norm(lattice.vectors_nm[0])
    basis = np.column_stack((lattice.basis_nm / a_nm, (height, 0, -height)))

    hoppings: dict[Cell, Array] = {}
    for cell in product((-1, 0, 1), (-1, 0, 1)):
        hoppings[cell] = np.zeros((11, 11))
        apart = np.append(cell @ lattice.vectors_nm / a_nm, 0)
        for i, j in product(range(3), repeat=2):
            towards, (here, there) = apart + basis[j] - basis[i], (shells[i], shells[j])
            if 1e-6 < np.linalg.norm(towards) < 1.1:  # the next are 1.26 lattice constants apart
                block = slater_koster(here, there, towards, of_shells[here + there])
                hoppings[cell][slices[i], slices[j]] = block
    hoppings[0, 0] += np.diag((dz, dp, dp, d0, d1, d1, d2, d2, dz, dp, dp))
    return _centred(TightBinding(lattice, (3, 5, 3), hoppings), filled=7)


def _of(parameters: dict[str, T], name: str) -> T:
    if name not in parameters:
        known = ", ".join(parameters)
        raise SimulationError(f"no bands of {name!r} are known; there are those of {known}")
    return parameters[name]


def _centred(crystal: TightBinding, filled: int) -> TightBinding:
    """The crystal with 0 eV in the middle of its gap at K, above `filled` bands."""
    bands = crystal.bands_eV(crystal.lattice.k_point_per_nm)
    middle = (bands[filled - 1] + bands[filled]) / 2
    hoppings = dict(crystal.hoppings_eV)
    hoppings[0, 0] = hoppings[0, 0] - middle * np.eye(len(bands))
    return TightBinding(crystal.lattice, crystal.orbitals, hoppings)
