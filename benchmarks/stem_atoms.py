r"""Makes `src/scanmend/stem/atoms.csv`: the atoms' potentials as sums of screened Coulomb ones.

.. math:: V(r) = \sum_j a_j K_0(b_j r), \qquad
          \hat V(q) = \sum_j \frac{2\pi a_j}{4\pi^2 q^2 + b_j^2}

is the projected potential of an atom. The :math:`b_j` are the same for all elements, and the
:math:`a_j` fitted, in relative error up to 120 / nm, to what abTEM has after Lobato and Van Dyck.
Needs `pip install abtem`, which scanmend does not.

    python benchmarks/stem_atoms.py src/scanmend/stem/atoms.csv

References:
    I. Lobato, D. Van Dyck, Acta Cryst. A 70, 636 (2014)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from abtem.parametrizations import LobatoParametrization
from ase.data import chemical_symbols

SCREENING_PER_NM = np.geomspace(12, 1200, 10).round(1)
Q_PER_NM = np.concatenate([[0.0], np.geomspace(0.3, 120, 150)])
RIDGE = 1e-6  # relative: keeps neighbouring terms from growing against each other


def main(path: Path) -> None:
    lorentzians = 2 * np.pi / (4 * np.pi**2 * Q_PER_NM[:, None] ** 2 + SCREENING_PER_NM**2)
    lines = ["symbol," + ",".join(f"{b:g}" for b in SCREENING_PER_NM)]
    worst = 0.0
    for symbol in chemical_symbols[1:99]:
        # What abTEM calls the projected scattering factor is the transform of V, in Angstroms.
        factor = LobatoParametrization().projected_scattering_factor(symbol)
        values = np.asarray(factor((Q_PER_NM / 10) ** 2), float) * 1e-3  # V nm3
        scaled = lorentzians / values[:, None]
        size = np.linalg.norm(scaled, axis=0)
        matrix = np.concatenate([scaled / size, np.sqrt(RIDGE) * np.eye(len(size))])
        wanted = np.concatenate([np.ones(len(values)), np.zeros(len(size))])
        a = np.linalg.lstsq(matrix, wanted, rcond=None)[0] / size
        a = np.array([float(f"{one:.6g}") for one in a])
        error = abs(scaled @ a - 1).max()
        worst = max(worst, error)
        print(f"{symbol:2} {error:.4f} {abs(a).max():.4g}")
        lines.append(f"{symbol}," + ",".join(f"{one:.6g}" for one in a))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"worst {worst:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
