"""What other programs that draw STM images do with the same task: their time, and agreement.

Run: OMP_NUM_THREADS=1 python benchmarks/peers.py [--into FOLDER]

Every peer is installed by pip, from wheels only, into FOLDER, or into one that is removed again,
and comes behind all that is installed already: scanmend neither needs nor ships any of them. What
does not install, or has nothing to compare, is listed with the reason.

Peers that image densities of states get them on a grid, as from a DFT code: the sum of s waves that
NumPy takes atom by atom. We get the atoms, or, at the "same step", that grid. Times are taken in
pairs, the least of each, and ours from the atoms include the plan of the plane waves.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import cached_property
from importlib.metadata import Distribution, distributions
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray
from setting import heading, table
from simulate import in_pairs, milliseconds, naive

from scanmend.crystals.lattice import GRAPHENE
from scanmend.stm import topograph
from scanmend.stm.current import Electrode, Junction
from scanmend.stm.tip import Tip

PIXELS, FRAME_NM = 64, 2.0
HEIGHT_NM = 0.5  # of constant height; its mean current is the setpoint
TOP_NM, PLANES = 0.8, 160  # of the finest grid; coarser ones are each 2nd and 4th plane of it
BIAS_V = 0.5
ROUNDS = 15
ANGSTROM, BOHR = 10.0, 1 / 0.052917721067  # in a nanometre

Array = NDArray[np.floating]
Image = Callable[[], Array]
Row = tuple[str, ...]


class Unlike(Exception):
    """Nothing of this peer can be compared."""


class Scene:
    """Graphene, whole or without its atom nearest to the middle, under the tip of Tersoff and
    Hamann; rows and columns begin at 0 and leave the last point out, as periodic grids do."""

    def __init__(self, missing: int) -> None:
        size, middle = (FRAME_NM + 2.4,) * 2, (FRAME_NM / 2,) * 2
        xy = GRAPHENE.positions_nm(GRAPHENE.rectangle(size, middle))
        xy = xy[np.argsort(np.hypot(*(xy - middle).T), kind="stable")[missing:]]
        energies = np.linspace(0, BIAS_V, 2)
        sample = Electrode(np.pad(xy, ((0, 0), (0, 1))), energies, np.ones((len(xy), 2)))
        tip = Tip("atom").electrode(energies - BIAS_V)
        self.axis_nm = np.arange(PIXELS) * FRAME_NM / PIXELS
        self.of_junction = Junction(sample, tip, BIAS_V, energies=2), self.axis_nm, self.axis_nm
        self.setpoint_nA = float(self.constant_height().mean())

    def constant_height(self, z_nm: float = HEIGHT_NM) -> Array:
        """Ours, nA; shape (rows, columns)."""
        return topograph.constant_height(*self.of_junction, z_nm)

    def constant_current(self) -> Array:
        """Ours, nm; shape (rows, columns)."""
        return topograph.constant_current(*self.of_junction, self.setpoint_nA)

    @cached_property
    def volume_nA(self) -> Array:
        """The current on the finest grid; shape (x, y, z)."""
        heights = np.linspace(0, TOP_NM, PLANES, endpoint=False)
        level = np.ones((PIXELS, PIXELS))
        return np.stack([naive(*self.of_junction, z * level).T for z in heights], axis=-1)

    def grid(self, step: int) -> Array:
        """Each `step`-th plane; shape (x, y, z)."""
        return np.ascontiguousarray(self.volume_nA[:, :, ::step])

    def at_constant_current(self, grid: Array, theirs: Image) -> Row:
        """Their heights, Å, shape (x, y), from a grid; ours from the grid, and from the atoms."""
        z_nm = np.linspace(0, TOP_NM, grid.shape[2], endpoint=False)
        low, high = np.searchsorted(z_nm, topograph.HEIGHTS_NM)
        planes, z_nm = np.ascontiguousarray(grid.T[low:high]), z_nm[low:high]
        same = lambda: topograph.heights_of(planes, z_nm, self.setpoint_nA)  # noqa: E731
        off_pm = np.abs(theirs().T / ANGSTROM - self.constant_current()).max() * 1e3
        image = f"constant current, planes {TOP_NM / grid.shape[2] * 1e3:g} pm apart"
        return image, *times(theirs, same, self.constant_current), f"{off_pm:.3f} pm"

    def at_constant_height(self, theirs: Image, z_nm: float = HEIGHT_NM) -> Row:
        """Their currents, shape (x, y), and ours at the height `z_nm` that they show."""
        image = f"constant height, {HEIGHT_NM} nm"
        image += "" if z_nm == HEIGHT_NM else f" (it shows {z_nm:g} nm)"
        off = np.abs(theirs().T / self.constant_height(z_nm) - 1).max()
        return image, *times(theirs, None, self.constant_height), f"{off:.0e} of the current"


def times(theirs: Image, same: Image | None, ours: Image) -> Row:
    """Least times, ms, as text: theirs, ours at the same step, and ours from the atoms."""
    their_ms, our_ms = in_pairs(theirs, ours, ROUNDS)
    same_ms = f"{in_pairs(theirs, same, 1)[1]:.2f}" if same else ""
    return f"{their_ms:.2f}", same_ms, f"{our_ms:.2f}"


def ase(vacancy: Scene, folder: Path) -> Iterator[Row]:
    from ase.dft.stm import STM  # a peer, installed only now
    from ase.io.jsonio import write_json

    cell = np.diag((FRAME_NM, FRAME_NM, TOP_NM)) * ANGSTROM

    def microscope(grid: Array) -> STM:
        write_json(folder / "ldos.json", (grid, BIAS_V, cell))
        return STM(str(folder / "ldos.json"))

    for step in (4, 2, 1):
        stm, grid = microscope(vacancy.grid(step)), vacancy.grid(step)
        scan = lambda: stm.scan(BIAS_V, vacancy.setpoint_nA)[2]  # noqa: E731, B023
        yield vacancy.at_constant_current(grid, scan)
    image = lambda: density(stm.scan2(BIAS_V, HEIGHT_NM * ANGSTROM)[2])  # noqa: E731
    shown = np.abs(grid / image()[:, :, None] - 1).max((0, 1)).argmin()
    yield vacancy.at_constant_height(image, round(float(shown) * TOP_NM / PLANES, 6))


def stm_sim(vacancy: Scene, folder: Path) -> Iterator[Row]:
    from ase import Atoms
    from ase.calculators.vasp import VaspChargeDensity
    from stm_sim.stm import STM

    grid, written = vacancy.grid(2), VaspChargeDensity(None)
    cell = np.array((FRAME_NM, FRAME_NM, TOP_NM)) * ANGSTROM
    written.atoms, written.chg = [Atoms("C", cell=cell, positions=[(0, 0, 0)])], [grid]
    written.write(str(folder / "PARCHG"), format="chgcar")
    stm = STM(bias=BIAS_V)
    stm.read_parchg(str(folder / "PARCHG"))
    squared = 5000 * vacancy.setpoint_nA**2
    scan = lambda: stm.scan("constant_current", current=squared, plot=False)[2]  # noqa: E731
    yield vacancy.at_constant_current(grid, scan)
    image = lambda: stm.scan("constant_height", HEIGHT_NM * ANGSTROM, plot=False)[2]  # noqa: E731
    yield vacancy.at_constant_height(lambda: density(image()))


def density(current: Array) -> Array:
    """Densities n from currents of ASE and stm-sim, which make them 5000 n^2."""
    return np.sqrt(current / 5000)


def cp2k(vacancy: Scene, folder: Path) -> Iterator[Row]:
    from cp2k_spm_tools.cp2k_stm_sts import STM

    grid, sharp_eV = vacancy.grid(2), 1e-3  # one orbital, in the middle of the window
    dv = np.array((FRAME_NM / PIXELS, FRAME_NM / PIXELS, TOP_NM / grid.shape[2])) * BOHR
    orbitals = SimpleNamespace(
        nspin=1, mpi_rank=0, mpi_size=1, dtype=float, dv=dv, origin=np.zeros(3),
        eval_cell_n=np.array(grid.shape), global_morb_energies=[np.array([BIAS_V / 2])],
        ase_atoms=SimpleNamespace(positions=np.zeros((1, 3))),
    )  # fmt: skip
    stm = STM(None, orbitals, [0.0])
    stm.local_cell_n, stm.local_cell = orbitals.eval_cell_n, grid.shape * dv
    stm.local_origin = orbitals.origin
    stm.local_orbitals = [np.sqrt(grid)[None]]

    def images(heights: list[float], values: list[float]) -> list[Array]:
        return stm.build_stm_series(np.array([BIAS_V]), [sharp_eV], heights, values)

    scan = lambda: images([], [vacancy.setpoint_nA])[1][0, 0, :, :, 0]  # noqa: E731
    yield vacancy.at_constant_current(grid, scan)
    image = lambda: images([HEIGHT_NM * ANGSTROM], [])[3][0, 0, :, :, 0]  # noqa: E731
    yield vacancy.at_constant_height(image)


def pyatoms(vacancy: Scene, folder: Path) -> Iterator[Row]:
    from pyatoms.hexatoms import evaluateHexLatticeAtCoords
    from scipy.optimize import minimize_scalar

    whole = Scene(0)
    x, y = np.meshgrid(whole.axis_nm, whole.axis_nm)

    def image(a_nm: float = 0.246) -> Array:
        """Three plane waves with atoms of both sublattices on ours, from 0 to 1."""
        return evaluateHexLatticeAtCoords(x, y, a_nm, 0, 0, 0, 0, 1, 1, "A-site", (0, 0))

    ours = whole.constant_height()
    unlike = lambda a_nm: -np.corrcoef(image(a_nm).ravel(), ours.ravel())[0, 1]  # noqa: E731
    best = minimize_scalar(unlike, bounds=(0.24, 0.252), method="bounded", options={"xatol": 1e-7})
    told = f"{-unlike(0.246):.5f} correlated, most so for a = {best.x * 1e3:.2f} pm (246)"
    yield "whole graphene, constant height", *times(image, None, whole.constant_height), told


PEERS = {
    "ase": (["ase"], ase),
    "stm-sim": (["stm-sim"], stm_sim),  # brings surface_construct, which is under the GPL
    "cp2k-spm-tools": (["--no-deps", "cp2k-spm-tools"], cp2k),  # reads with MPI, images without
    "pyatoms-spm": (["--no-deps", "pyatoms-spm"], pyatoms),  # its window, not its images, needs Qt
    "ppafm": (["--no-deps", "ppafm"], "forces of an AFM, no currents; its STM is PPSTM"),
    "PPSTM": (["PPSTM"], "takes orbitals from a DFT code with a local basis, no atoms or grids"),
}
"""What pip is asked for, and the rows it yields, or why none."""


def installed(name: str, wanted: list[str], folder: Path) -> Distribution:
    """Installs a peer into the folder if it is not there.

    Raises:
        Unlike: It could not be installed.
    """
    if not list(distributions(name=name, path=[str(folder)])):
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:")
        run = subprocess.run(
            [*pip, "--target", str(folder), *wanted], capture_output=True, text=True
        )
        if run.returncode:
            errors = [line for line in run.stderr.splitlines() if line.startswith("ERROR")]
            raise Unlike(f"not installed: {errors[-1] if errors else run.stderr.strip()}")
    return next(iter(distributions(name=name, path=[str(folder)])))


def licence(peer: Distribution) -> str:
    """As the package states it, which may be the whole text."""
    told = peer.metadata
    of_class = [c.rpartition(":: ")[2] for c in told.get_all("Classifier", []) if "Licen" in c]
    fields = (told.get("License-Expression"), told.get("License"), *of_class)
    return next((field.splitlines()[0] for field in fields if field), "no licence stated")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="keep what is installed in this folder")
    into = parser.parse_args().into
    heading("Peers")
    compared, left_out, vacancy = [], [], Scene(1)
    grid_s = milliseconds(lambda: vacancy.volume_nA) / 1e3
    exact_nm = topograph.newton(
        *vacancy.of_junction, vacancy.setpoint_nA, vacancy.constant_current()
    )
    off_pm = np.abs(vacancy.constant_current() - exact_nm).max() * 1e3
    with tempfile.TemporaryDirectory() as scratch:
        folder = into or Path(scratch) / "peers"
        sys.path.append(str(folder))
        for name, (wanted, images) in PEERS.items():
            title = name
            try:
                peer = installed(name, wanted, folder)
                title = f"{name} {peer.version} ({licence(peer)})"
                if isinstance(images, str):
                    raise Unlike(images)
                with redirect_stdout(StringIO()):
                    compared += [(title, *row) for row in images(vacancy, Path(scratch))]
            except Exception as error:  # whatever ails a peer, the others are run
                kind = "" if isinstance(error, Unlike) else f"{type(error).__name__}: "
                left_out.append((title, f"{kind}{error}"))
    print(
        f"{PIXELS}x{PIXELS} pixels, {FRAME_NM:g} nm, graphene without one atom, "
        f"{len(vacancy.of_junction[0].sample.positions_nm)} atoms; NumPy {np.__version__}. The "
        f"finest grid took NumPy {grid_s:.1f} s, which is in none of the times. Our heights are "
        f"{off_pm:.0e} pm from those of the sum of all pairs. The others interpolate linearly "
        "between planes.\n"
    )
    head = "peer (licence)", "image", "theirs, ms", "ours, same step, ms", "ours, from atoms, ms"
    table((*head, "largest deviation"), compared)
    table(("not compared", "reason"), left_out)


if __name__ == "__main__":
    main()
