"""How fast currents are simulated, against the plain sum over pairs of atoms in NumPy.

Run: OMP_NUM_THREADS=1 python benchmarks/simulate.py [--quick]

Each comparison is made in pairs within one run: theirs, ours, theirs, ours, the least time of each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from setting import heading, table

from scanmend.crystals.lattice import GRAPHENE, hexagonal
from scanmend.stm import topograph
from scanmend.stm.current import Electrode, Junction
from scanmend.stm.log_current import planes_within
from scanmend.stm.spectral import FAST, FINE, Spectral

PIXELS, FRAME_NM = 64, 2.0
SAMPLE_ATOMS, TIP_ATOMS, ENERGIES = 300, 50, 30
HEIGHT_NM, SETPOINT_NA = 0.5, 200.0
SESSION = 16  # samples for which one plan serves
SIZES = ((64, 4.0), (128, 8.0), (256, 32.0), (512, 100.0))  # pixels and nm along a side
NEWTON_STEPS = 4

Array = NDArray[np.floating]


def junctions(rng: np.random.Generator, count: int) -> list[Junction]:
    """A blunt tip over `count` pieces of graphene; smooth densities of states, drawn."""
    tip = np.array([[0, 0, 0.0]])
    for layer in range(1, 9):
        turns = 2 * np.pi * (np.arange(3 * layer) / (3 * layer) + rng.uniform())
        ring = np.stack([np.cos(turns), np.sin(turns)], 1) * 0.09 * layer
        tip = np.concatenate([tip, np.pad(ring, ((0, 0), (0, 1)), constant_values=0.09 * layer)])
    tip = tip[:TIP_ATOMS]
    positions = GRAPHENE.turned(13).positions_nm(GRAPHENE.turned(13).rectangle((3.2, 3.2)))
    order = np.argsort(np.abs(positions).max(1))[:SAMPLE_ATOMS]
    sample = np.pad(positions[order], ((0, 0), (0, 1)))
    energies = np.linspace(0, 1, ENERGIES)
    of_tip = Electrode(tip, energies - 1, densities(rng, len(tip), energies))
    return [
        Junction(Electrode(sample, energies, densities(rng, len(sample), energies)), of_tip, 1.0)
        for _ in range(count)
    ]


def densities(rng: np.random.Generator, atoms: int, energies_eV: Array) -> Array:
    """A constant and five levels as wide as 0.2 eV, of a strength drawn for each atom."""
    levels = (energies_eV - np.linspace(energies_eV[0], energies_eV[-1], 5)[:, None]) / 0.2
    return 0.2 + rng.uniform(0, 1, (atoms, 5)) @ (1 / (1 + levels**2))


def naive(junction: Junction, x_nm: Array, y_nm: Array, z_nm: Array) -> Array:
    """The current where the tip is at `z_nm`, nA; shape (rows, columns). A sum over all pairs."""
    apart, weights = _pairs(junction)
    current = np.empty((len(y_nm), len(x_nm)))
    for row, y in enumerate(y_nm):  # all pixels at once need 0.5 GB for each array
        distance = _distances(apart, x_nm, y, z_nm[row])
        current[row] = np.exp(-junction.decay_per_nm * distance) @ weights
    return current


def naive_heights(junction: Junction, x_nm: Array, y_nm: Array, setpoint_nA: float) -> Array:
    """Constant current: Newton's method on ln I with the same sums, nm."""
    apart, weights = _pairs(junction)
    heights = np.full((len(y_nm), len(x_nm)), HEIGHT_NM)
    for _ in range(NEWTON_STEPS):
        for row, y in enumerate(y_nm):
            distance = _distances(apart, x_nm, y, heights[row])
            pairs = np.exp(-junction.decay_per_nm * distance)
            current = pairs @ weights
            vertical = heights[row][:, None] + apart[:, 2]
            slope = -junction.decay_per_nm * ((pairs * vertical / distance) @ weights)
            heights[row] -= np.log(current / setpoint_nA) * current / slope
    return heights


def _pairs(junction: Junction) -> tuple[Array, Array]:
    """From atom to atom, tip at the origin, nm, (pairs, 3), and what they carry, (pairs,)."""
    of_sample, of_tip = junction.densities()
    apart = junction.tip.positions_nm[:, None] - junction.sample.positions_nm
    return apart.reshape(-1, 3), (of_tip @ of_sample.T).ravel()


def _distances(apart: Array, x_nm: Array, y_nm: float, z_nm: Array) -> Array:
    """Of all pairs for each pixel of a row, nm; shape (columns, pairs)."""
    return np.sqrt(
        (x_nm[:, None] + apart[:, 0]) ** 2
        + (y_nm + apart[:, 1]) ** 2
        + (z_nm[:, None] + apart[:, 2]) ** 2
    )


def milliseconds(function: Callable[[], object]) -> float:
    """Wall time of one call, ms."""
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


def in_pairs(
    theirs: Callable[[], object], ours: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """Least times of both, ms; ours, being short, is called 20 times for each of theirs."""
    ours()  # compiled code
    their, our = [], []
    for _ in range(rounds):
        their.append(milliseconds(theirs))
        our.extend(milliseconds(ours) for _ in range(20))
    return min(their), min(our)


def against_numpy(rng: np.random.Generator, rounds: int) -> None:
    """Constant height and constant current, and what they differ by."""
    junction, other = junctions(rng, 2)
    axis = (np.arange(PIXELS) + 0.5) * FRAME_NM / PIXELS - FRAME_NM / 2
    planes = topograph.planes_between(*topograph.HEIGHTS_NM)
    rows = []
    level_nm = np.full((PIXELS, PIXELS), HEIGHT_NM)
    image = naive(other, axis, axis, level_nm)
    heights = naive_heights(other, axis, axis, SETPOINT_NA)
    for name, accuracy in (("FAST", FAST), ("FINE", FINE)):
        level = Spectral(junction, axis, axis, np.array([HEIGHT_NM]), accuracy=accuracy)
        stack = Spectral(junction, axis, axis, planes, accuracy=accuracy)

        def constant_height(plan: Spectral = level) -> Array:
            return plan.current_nA(other.sample)[0]

        def constant_current(plan: Spectral = stack) -> Array:
            return topograph.heights_of(plan.current_nA(other.sample), planes, SETPOINT_NA)

        their, our = in_pairs(lambda: naive(other, axis, axis, level_nm), constant_height, rounds)
        off = np.abs(constant_height() - image).max() / np.ptp(image)
        rows.append(("constant height", name, *times(their, our), f"{off:.1e} of the corrugation"))
        their, our = in_pairs(
            lambda: naive_heights(other, axis, axis, SETPOINT_NA), constant_current, rounds
        )
        off = np.abs(constant_current() - heights).max()
        rows.append(("constant current", name, *times(their, our), f"{off * 1e3:.1e} pm"))
    print(
        f"{PIXELS}x{PIXELS} pixels, {FRAME_NM:g} nm; {SAMPLE_ATOMS} and {TIP_ATOMS} atoms, "
        f"{ENERGIES} energies. Ours with a plan made before; naive: float64 NumPy, at constant "
        f"current {NEWTON_STEPS} steps of Newton's method, of a sum and its slope each.\n"
    )
    table(("image", "accuracy", "naive, ms", "ours, ms", "faster", "largest deviation"), rows)


def times(their_ms: float, our_ms: float) -> tuple[str, str, str]:
    """Both times and their ratio, as text."""
    return f"{their_ms:.0f}", f"{our_ms:.3f}", f"{their_ms / our_ms:.0f}x"


def a_session(rng: np.random.Generator, rounds: int) -> None:
    """What a plan, and with it the current above each of many samples, takes."""
    pieces = junctions(rng, SESSION)
    rows = []
    for frame_nm in (2.0, 4.0):
        axis = (np.arange(PIXELS) + 0.5) * frame_nm / PIXELS - frame_nm / 2
        scale = np.array([frame_nm / FRAME_NM, frame_nm / FRAME_NM, 1])
        samples = [
            Electrode(p.sample.positions_nm * scale, p.sample.energies_eV, p.sample.ldos_per_eV)
            for p in pieces
        ]
        first = replace(pieces[0], sample=samples[0])
        for count in (5, 8):
            z_nm = planes_within((0.4, 0.75), count)
            make = lambda: Spectral(first, axis, axis, z_nm, accuracy=FAST)  # noqa: E731, B023
            plan = make()
            plan.current_nA()
            each = min(
                milliseconds(lambda: [plan.current_nA(s) for s in samples])  # noqa: B023
                for _ in range(5 * rounds)
            )
            made = min(milliseconds(make) for _ in range(10 * rounds))
            rows.append(
                (f"{frame_nm:g}", count, "x".join(map(str, plan.waves)), f"{made:.2f}",
                 f"{each / SESSION:.3f}")
            )  # fmt: skip
    print(f"A session of {SESSION} samples in FAST accuracy, {PIXELS}x{PIXELS} pixels.\n")
    table(("frame, nm", "planes", "waves", "plan, ms", "currents of a sample, ms"), rows)


def against_size(sizes: tuple[tuple[int, float], ...]) -> None:
    """Constant current above a close-packed layer, as that of Au(111), of growing frames."""
    layer = hexagonal(0.2884)
    energies = np.linspace(-0.1, 1.1, 2)
    tip = np.array([[0, 0, 0], [0.16, 0, 0.24], [-0.08, 0.14, 0.24], [-0.08, -0.14, 0.24]])
    apex = Electrode(tip, energies - 0.5, np.ones((len(tip), 2)))
    rows = []
    for pixels, frame_nm in sizes:
        sites = layer.rectangle((frame_nm + 3, frame_nm + 3))
        atoms = np.pad(layer.positions_nm(sites), ((0, 0), (0, 1)))
        gold = Electrode(atoms, energies, np.ones((len(atoms), 2)))
        junction = Junction(gold, apex, 0.5)
        axis = (np.arange(pixels) + 0.5) * frame_nm / pixels - frame_nm / 2
        took = min(
            milliseconds(
                lambda: topograph.constant_current(junction, axis, axis, SETPOINT_NA, accuracy=FAST)  # noqa: B023
            )
            for _ in range(1 if pixels > 256 else 3)
        )
        rows.append(
            (pixels, f"{frame_nm:g}", len(atoms), f"{took:.1f}", f"{took / pixels**2 * 1e3:.2f}")
        )
    print(
        "Constant current above a close-packed layer of atoms, in FAST accuracy, plans included.\n"
    )
    table(("pixels a side", "frame, nm", "atoms", "ms", "µs a pixel"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once each, and no large frames")
    quick = parser.parse_args().quick
    heading("Simulated currents")
    rounds = 1 if quick else 5
    against_numpy(np.random.default_rng(0), rounds)
    a_session(np.random.default_rng(1), rounds)
    against_size(SIZES[:2] if quick else SIZES)


if __name__ == "__main__":
    main()
