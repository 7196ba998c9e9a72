"""How far the simulated STEM is from multislice calculations, and how much faster.

abTEM takes frozen phonons, at random places of the probe, of small cells with defects; ours takes
the same displaced atoms and, as a small cell makes the reference's aperture coarse, the reference's
probe. `LENS` of `scanmend.stem.scattering` was chosen for the rows marked "fit", to 0.1. Needs
`pip install abtem`, in an environment of its own; some minutes each on one core.

    PYTHONPATH=src python benchmarks/stem_multislice.py [NAME...]
"""

from __future__ import annotations

import sys
import time

import abtem
import numpy as np
from ase import Atoms
from ase.build import graphene, mx2
from numpy.typing import NDArray

from scanmend.stem import haadf
from scanmend.stem.probe import Probe
from scanmend.stem.scattering import Optics, form

PLACES, SNAPSHOTS, VIBRATION_NM, PITCH_A = 100, 6, 0.008, 0.03
INNER_MRAD, OUTER_MRAD = (60, 80), 200


def layer(formula: str, a: float, thickness: float, swap: str, missing: int, seed: int) -> Atoms:
    """A cell of 4 x 2 of a dichalcogenide with chalcogen vacancies and a foreign metal atom."""
    rng = np.random.default_rng(seed)
    atoms = abtem.orthogonalize_cell(mx2(formula, "2H", a, thickness, vacuum=2)) * (4, 2, 1)
    is_metal = atoms.symbols == formula[:2].rstrip("S")  # of "MoS2" and "WSe2" alike
    metals, others = np.flatnonzero(is_metal), np.flatnonzero(~is_metal)
    atoms.symbols[rng.choice(metals)] = swap
    del atoms[rng.choice(others, missing, replace=False).tolist()]
    atoms.center(vacuum=2, axis=2)
    return atoms


def carbon() -> Atoms:
    """A cell of 5 x 3 of graphene with a vacancy and a silicon atom."""
    atoms = abtem.orthogonalize_cell(graphene(a=2.46, vacuum=2)) * (5, 3, 1)
    atoms.symbols[50] = "Si"
    del atoms[20]
    atoms.center(vacuum=2, axis=2)
    return atoms


def titanate(cells: int) -> Atoms:
    """A foil of SrTiO3 of 3 x 3 cells, some cells thick."""
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    atoms = Atoms("SrTiO3", cell=[3.905] * 3, scaled_positions=places, pbc=True) * (3, 3, cells)
    atoms.center(vacuum=1, axis=2)
    return atoms


CASES = {
    "MoS2 (fit)": (lambda: layer("MoS2", 3.16, 3.13, "W", 4, 5), 80, 30),
    "WSe2 (fit)": (lambda: layer("WSe2", 3.282, 3.348, "Mo", 4, 5), 80, 30),
    "MoS2": (lambda: layer("MoS2", 3.16, 3.13, "Nb", 5, 8), 60, 33),
    "MoSe2": (lambda: layer("MoSe2", 3.288, 3.338, "W", 4, 9), 80, 28),
    "graphene": (carbon, 60, 30),
    "SrTiO3, 1 cell": (lambda: titanate(1), 200, 25),
    "SrTiO3, 5 cells": (lambda: titanate(5), 200, 25),
}


def main(names: list[str]) -> None:
    print("| structure | kV, mrad | inner, mrad | NRMSE of the largest | after a factor | r |")
    print("|---|---|---|---|---|---|")
    for name in names:
        make, voltage_kV, semiangle_mrad = CASES[name]
        start = time.process_time()
        atoms, snapshots, places_A, images, transfer = reference(make(), voltage_kV, semiangle_mrad)
        seconds = time.process_time() - start
        for inner, image in zip(INNER_MRAD, images, strict=True):
            optics = Optics(voltage_kV, semiangle_mrad, inner, OUTER_MRAD)
            made = ours(atoms, snapshots, places_A / 10, transfer, optics)
            factor = (made * image).sum() / (made**2).sum()
            errors = [np.sqrt(np.mean((f * made - image) ** 2)) / image.max() for f in (1, factor)]
            print(
                f"| {name} | {voltage_kV}, {semiangle_mrad} | {inner} | {errors[0]:.2%} "
                f"| {errors[1]:.2%} ({factor:.3f}) | {np.corrcoef(made, image)[0, 1]:.5f} |",
                flush=True,
            )
        print(f"{name}: {seconds:.0f} s of abTEM", file=sys.stderr, flush=True)


def reference(atoms: Atoms, voltage_kV: float, semiangle_mrad: float) -> tuple:
    """Atoms, their displaced positions, A, the probe's places, A, what is detected, and its probe.

    The last is the transform of the probe's intensity with the spatial frequencies, 1/A.
    """
    rng, sides = np.random.default_rng(11), atoms.cell.lengths()[:2]
    places = rng.random((PLACES, 2)) * sides
    gpts = [int(np.ceil(side / PITCH_A / 8) * 8) for side in sides]
    total, snapshots = 0.0, []
    for _ in range(SNAPSHOTS):
        moved = atoms.copy()
        moved.positions += 10 * VIBRATION_NM * rng.standard_normal(moved.positions.shape)
        snapshots.append(moved.positions.copy())
        moved.wrap()
        potential = abtem.Potential(moved, gpts=gpts, slice_thickness=1.0, projection="infinite")
        probe = abtem.Probe(energy=voltage_kV * 1e3, semiangle_cutoff=semiangle_mrad)
        probe.grid.match(potential)
        detectors = [abtem.AnnularDetector(inner, OUTER_MRAD) for inner in INNER_MRAD]
        found = probe.scan(potential, scan=abtem.CustomScan(places), detectors=detectors)
        total = total + np.stack([np.asarray(one.compute().array) for one in found])
    shape = np.abs(np.asarray(probe.build(lazy=False).array)) ** 2
    series = np.abs(np.fft.fft2(shape / shape.sum()))
    frequencies = [np.fft.fftfreq(n, side / n) for n, side in zip(gpts, sides, strict=True)]
    return atoms, snapshots, places, total / SNAPSHOTS, (*frequencies, series)


def ours(
    atoms: Atoms, snapshots: list, places_nm: NDArray, transfer: tuple, optics: Optics
) -> NDArray:
    """What `haadf.image` would show at the places, with the transfer function of the reference."""
    kx, ky, series = transfer[0] * 10, transfer[1] * 10, transfer[2]
    K = np.hypot(kx[:, None], ky)
    symbols = np.array(atoms.get_chemical_symbols())
    weights = haadf.strengths(atoms.positions / 10, symbols, Probe(optics), VIBRATION_NM)
    total = np.zeros(K.shape, complex)
    for positions in snapshots:
        for symbol in np.unique(symbols):
            x, y, _ = positions[symbols == symbol].T / 10
            waves = np.exp(-2j * np.pi * np.outer(kx, x)) * weights[symbols == symbol]
            shape = form(str(symbol), optics)(np.minimum(K, optics.cutoff_per_nm))
            total += waves @ np.exp(-2j * np.pi * np.outer(y, ky)) * shape
    total *= np.where(optics.cutoff_per_nm > K, series, 0)
    x, y = places_nm.T
    across = np.exp(2j * np.pi * np.outer(x, kx)) @ total
    area = np.prod(atoms.cell.lengths()[:2]) / 100
    values = np.einsum("pk,pk->p", across, np.exp(2j * np.pi * np.outer(y, ky)))
    return values.real / area / len(snapshots)


if __name__ == "__main__":
    abtem.config.set(
        {"num_workers": 1, "dask.lazy": False, "local_diagnostics.progress_bar": False}
    )
    main(sys.argv[1:] or list(CASES))
