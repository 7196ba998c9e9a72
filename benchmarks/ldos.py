"""How much faster Green's functions give densities of states than diagonalisation does.

Graphene with a vacancy per 2 nm2, 32 energies. The Green's functions take a square
piece of an infinite crystal, diagonalisation a periodic supercell of as many atoms.

Run: python benchmarks/ldos.py
"""

from __future__ import annotations

import math
import time

import numpy as np
from setting import heading, table

from scanmend.crystals.dichalcogenide_bands import eleven_band
from scanmend.crystals.tight_binding import VACANCY_EV, broadened, diagonalise, graphene
from scanmend.stm.green import BROADENING_EV, LatticeGreen

ENERGIES_EV = np.linspace(-1, 1, 32)
SIZES_NM = (1, 2, 4)


def fastest(function, seconds: float = 1.0) -> float:
    """Wall time of the fastest of as many calls as fit into `seconds`, s; one is not counted."""
    function()
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def against_diagonalisation() -> None:
    """Prints both for pieces of each size, in turn."""
    rng, crystal = np.random.default_rng(0), graphene()
    green = LatticeGreen(crystal, ENERGIES_EV, math.hypot(4, 4), single=True)
    rows = []
    for size in SIZES_NM:
        sites = crystal.lattice.rectangle((size, size))
        defects = rng.choice(sites, math.ceil(size**2 / 2), replace=False)
        shifts = np.full(len(defects), VACANCY_EV)
        cells = round(math.sqrt(len(sites) / 2))
        supercell = np.indices((cells, cells, 2)).reshape(3, -1).T
        inside = rng.choice(supercell, len(defects), replace=False)

        def exactly(cells=cells, inside=inside, shifts=shifts):
            states_eV, weights, _ = diagonalise(crystal, cells, inside, shifts)
            return broadened(ENERGIES_EV, states_eV, weights, BROADENING_EV)

        fast = fastest(lambda s=sites, d=defects, v=shifts: green.ldos_per_eV(s, d, v))
        slow = fastest(exactly)
        times = f"{slow * 1e3:.1f}", f"{fast * 1e3:.2f}", f"{slow / fast:.0f}"
        rows.append((size, len(sites), len(defects), *times))
    head = "side, nm", "atoms", "vacancies", "diagonalisation, ms", "Green's functions, ms", "times"
    table(head, rows)


def tables() -> None:
    """Prints how long the tables take to make, and what they hold, once for each crystal."""
    rows = []
    for name, crystal in {"graphene": graphene(), "WSe2, 11 orbitals": eleven_band("WSe2")}.items():
        start = time.perf_counter()
        green = LatticeGreen(crystal, ENERGIES_EV, 10, single=True)
        rows.append((name, f"{time.perf_counter() - start:.1f}", f"{green.bytes / 1e6:.0f}"))
    table(("tables, reach 10 nm", "s", "MB"), rows)


def main() -> None:
    heading("Densities of states around vacancies")
    against_diagonalisation()
    tables()


if __name__ == "__main__":
    main()
