"""From a piece of surface to its electrode: what each atom has for a tip, at each energy.

The density of states of an atom is that of its kind (see `crystals.specimen`): of electrons that
hop, scattered by every defect within reach, its kind's share, and those that stay on it. Tables are
made once; after that, a specimen takes a fraction of a millisecond.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..crystals.specimen import Material, Specimen
from ..errors import SimulationError
from .current import Electrode
from .green import BROADENING_EV, LatticeGreen


class Electrons:
    """The electrons of a material; made once, they serve any pieces of it.

    Args:
        material: What the pieces are of.
        model: Of its hopping electrons, a name in `Material.electrons`; None for the usual one,
            or for a material that has no such electrons.
        energies_eV: Where densities are calculated, ascending, from the Fermi level, eV.
        reach_nm: No two atoms or scatterers of a piece will be farther apart, nm.
        broadening_eV: Half width of the hopping electrons' levels, eV.
        mesh: Wave vectors along each axis; see `LatticeGreen`.

    Raises:
        SimulationError: An unknown model, fewer than two energies or out of order, kinds of atoms
            that show electrons of no model, or what `LatticeGreen` refuses.
    """

    def __init__(
        self,
        material: Material,
        model: str | None,
        energies_eV: ArrayLike,
        reach_nm: float,
        broadening_eV: float = BROADENING_EV,
        mesh: int | None = None,
    ) -> None:
        self.material = material
        self.energies_eV = np.asarray(energies_eV, np.float64)
        if self.energies_eV.size < 2 or not np.all(np.diff(self.energies_eV) > 0):
            raise SimulationError(f"energies must ascend, 2 or more of them, got {energies_eV}")
        models = material.electrons
        if model is not None and model not in models:
            known = ", ".join(models) or "none: it has no hopping electrons"
            raise SimulationError(f"{material.name} has no electrons {model!r}; there are {known}")
        self._hopping = np.array([kind.hopping for kind in material.kinds])
        self._staying = np.stack([kind.ldos_per_eV(self.energies_eV) for kind in material.kinds])
        self._green: LatticeGreen | None = None
        if models:
            crystal = models[model or next(iter(models))]()
            arguments = self.energies_eV, reach_nm, broadening_eV, mesh
            self._green = LatticeGreen(crystal, *arguments, single=True)
        elif self._hopping.any():
            shows = ", ".join(kind.name for kind in material.kinds if kind.hopping)
            raise SimulationError(
                f"{material.name} has no model of hopping electrons, but shows those of {shows}"
            )

    def electrode(self, specimen: Specimen, low_eV: float, high_eV: float) -> Electrode:
        """A piece of the material, at the energies that it takes to know those in a window.

        A scatterer on atoms that the model has no orbitals of scatters none of its electrons.

        Args:
            specimen: The piece.
            low_eV: Least energy from the Fermi level, eV.
            high_eV: The greatest.

        Returns:
            Its atoms, in the order of `specimen`.

        Raises:
            SimulationError: A window that is not covered, or atoms beyond reach.
        """
        window = self._window(low_eV, high_eV)
        ldos = self._staying[:, window][specimen.kinds]
        share = self._hopping[specimen.kinds]
        shown = np.flatnonzero(share)
        if self._green is not None and shown.size:
            orbitals = np.array(self._green.crystal.orbitals)
            scatter = orbitals[specimen.scatterers[:, 2]] > 0
            defects = specimen.scatterers[scatter], specimen.shifts_eV[scatter]
            hopping = self._green.ldos_per_eV(specimen.sites[shown], *defects, window)
            # Where there are hardly any, single precision may leave -1e-7 /eV.
            hopping = np.maximum(hopping, 0, order="C")
            hopping *= share[shown, None]
            if shown.size < share.size:
                ldos[shown] += hopping
            else:
                ldos += hopping
        return Electrode(specimen.positions_nm, self.energies_eV[window], ldos)

    def _window(self, low_eV: float, high_eV: float) -> slice:
        known = self.energies_eV
        if not known[0] - 1e-9 <= low_eV <= high_eV <= known[-1] + 1e-9:
            raise SimulationError(
                f"states from {low_eV:.4g} to {high_eV:.4g} eV are wanted, but those from "
                f"{known[0]:.4g} to {known[-1]:.4g} eV are known: calculate them further"
            )
        first = np.searchsorted(known, low_eV + 1e-9, "right") - 1
        last = np.searchsorted(known, high_eV - 1e-9, "left")
        first = min(max(first, 0), known.size - 2)
        return slice(int(first), int(max(last, first + 1)) + 1)
