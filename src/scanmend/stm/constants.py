r"""How fast a tunnelling current falls, from the height of the barrier.

Under a barrier of height :math:`\phi` an electron's wave falls as :math:`e^{-\kappa z}`, and the
current as its square, with

.. math:: \kappa = \sqrt{2 m_e \phi} / \hbar

which is 5.123 /nm for 1 eV, and 10.87 /nm for the 4.5 eV of tungsten: a decade per 0.106 nm.
"""

from __future__ import annotations

import math

from scipy.constants import e, hbar, m_e

from ..errors import SimulationError

BARRIER_EV = 4.5  #: [eV] work function of tungsten, and near enough that of most samples
PAIR_CURRENT_NA_PER_EV = 2 * math.pi * e**2 / hbar * 1e9  #: [nA/eV] 2π e/ħ of Bardeen's formula


def kappa_per_nm(barrier_eV: float) -> float:
    r"""How fast the wave falls, :math:`\kappa = \sqrt{2 m_e \phi} / \hbar`, 1/nm.

    Raises:
        SimulationError: The barrier is not positive and finite.
    """
    if not 0 < barrier_eV < math.inf:
        raise SimulationError(f"a barrier must be positive, got {barrier_eV} eV")
    return math.sqrt(2 * m_e * barrier_eV * e) / hbar * 1e-9
