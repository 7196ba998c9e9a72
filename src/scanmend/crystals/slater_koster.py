r"""Hoppings between orbitals of two atoms, from the direction of the one seen from the other.

Seen along the line between the atoms, orbitals hop only to those that turn about it alike: with
:math:`V_\sigma` for m = 0, :math:`V_\pi` for both m = 1, and :math:`V_\delta` for both m = 2. All
other directions follow by turning the orbitals. As functions of a direction n, p orbitals are
:math:`t \cdot n` with a vector t, and d orbitals :math:`n \cdot T n` with a symmetric matrix T
without trace; a turn R makes :math:`R t` and :math:`R T R^T` of them.

Reference:
    J. C. Slater and G. F. Koster, Phys. Rev. 94, 1498 (1954), doi:10.1103/PhysRev.94.1498, table I
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .lattice import Array

ORBITALS = {"s": ("s",), "p": ("z", "x", "y"), "d": ("3z2-r2", "xz", "yz", "x2-y2", "xy")}
"""Of each shell, in the order of their m about z: 0, 1, 1, 2, 2."""

_X, _Y, _Z = np.eye(3)
_TENSORS = {
    "s": np.ones((1, 1)),
    "p": np.stack((_Z, _X, _Y)),
    "d": np.stack(
        (
            (3 * np.outer(_Z, _Z) - np.eye(3)) / np.sqrt(6),
            (np.outer(_X, _Z) + np.outer(_Z, _X)) / np.sqrt(2),
            (np.outer(_Y, _Z) + np.outer(_Z, _Y)) / np.sqrt(2),
            (np.outer(_X, _X) - np.outer(_Y, _Y)) / np.sqrt(2),
            (np.outer(_X, _Y) + np.outer(_Y, _X)) / np.sqrt(2),
        )
    ),
}


def slater_koster(
    first: str, second: str, towards: ArrayLike, integrals_eV: Sequence[float]
) -> Array:
    r"""Hoppings between all orbitals of a shell and those of a shell of another atom.

    Args:
        first: The shell of the atom here: "s", "p" or "d".
        second: The shell of the atom there.
        towards: Where that is, seen from here; of any length. Shape (3,).
        integrals_eV: :math:`V_\sigma`, :math:`V_\pi`, :math:`V_\delta` as far as both shells have
            such orbitals, eV, of the atoms in alphabetical turn: :math:`V_{pd\sigma}` is that of
            a p orbital here and a d orbital there, whichever is `first`.

    Returns:
        eV; shape (orbitals of `first`, orbitals of `second`), as in `ORBITALS`.
    """
    n = np.asarray(towards, np.float64)
    n = n / np.linalg.norm(n)
    # Two directions across: which ones is of no matter.
    across = np.linalg.svd(n[None])[2][1:]
    turn = np.stack((*across, n), axis=1)
    here, there = turned(first, turn), turned(second, turn)
    alike = min(here.shape[1], there.shape[1])
    weights = np.asarray(integrals_eV, np.float64)[(np.arange(alike) + 1) // 2]
    hoppings = here[:, :alike] * weights @ there[:, :alike].T
    shells = list(ORBITALS)
    apart = shells.index(first) - shells.index(second)
    # Seen from the other end, orbitals with an odd number of nodes change sign.
    return -hoppings if apart > 0 and apart % 2 else hoppings


def turned(shell: str, turn: Array) -> Array:
    """How turned orbitals (columns) consist of those that are not (rows), for a turn or mirror."""
    tensors = _TENSORS[shell]
    if shell == "s":
        return np.ones((1, 1))
    images = tensors @ turn.T if shell == "p" else turn @ tensors @ turn.T
    return tensors.reshape(len(tensors), -1) @ images.reshape(len(images), -1).T
