"""Simulated STEM scans on disk: in shards for those who train, as files for those who look.

Always a scan depends on its experiment, the seed and its number only; what is on disk already is
not made again, and nothing is there by half.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__, distribute
from ..io.write import WRITERS
from ..shards import Layout, Sample, Store
from ..stm.record import Files
from .experiment import Experiment, parse
from .microscope import Micrograph, Microscope, SeenDefect
from .scattering import elements
from .specimen import Atoms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND = "simulated STEM scans"
SHARD = 64  #: scans in a shard

_PLACES = {"atoms_nm": 3, "atoms_px": 2, "defects_nm": 2, "defects_px": 2}  # and their axes


def to_shards(
    experiment: Experiment,
    folder: Path | str,
    count: int,
    seed: int = 0,
    workers: int = 1,
    cluster: str | None = None,
    progress: distribute.Progress | None = None,
) -> Store:
    """Makes scans 0 to `count` - 1 of an experiment, or those of them that are missing.

    Each sample holds `counts` and `truth_counts`, the atoms' places (x, y, z), nm, and in pixels
    (row, column), their atomic numbers, those of defects, and, as JSON, everything else;
    `micrograph` makes a `Micrograph` of it again.

    Args:
        experiment: What is done.
        folder: Of the shards, made if it is not there.
        count: How many scans.
        seed: Of all random numbers.
        workers, cluster, progress: See `distribute.run`; progress counts shards.

    Raises:
        RecipeError: The folder holds scans of another experiment or seed.
        WorkError: A scan cannot be made; with its reason.
        WriteError: The folder cannot be written to.
    """
    shape = experiment.fixed("frame", "rows"), experiment.fixed("frame", "columns")
    arrays = {name: Layout("float32", shape) for name in ("counts", "truth_counts")}
    arrays |= {name: Layout("float64", (None, axes)) for name, axes in _PLACES.items()}
    arrays["atomic_numbers"] = Layout("int32", (None,))
    recipe = {"name": experiment.name, **experiment.table()}
    store = Store.create(folder, KIND, recipe, seed, count, arrays, SHARD)
    store.fill(partial(_samples, json.dumps(recipe), seed), workers, cluster, progress)
    return store


def micrograph(store: Store, number: int) -> Micrograph:
    """One scan out of shards.

    Raises:
        IndexError, ReadError, CorruptFile: It is not there, or damaged.
    """
    sample = store[number]
    about: Mapping[str, Any] = sample.about
    places = sample.arrays["defects_nm"].tolist(), sample.arrays["defects_px"].tolist()
    symbols = np.array(["", *elements()])
    return Micrograph(
        *(store.recipe["name"], store.seed, number, about["pixel_nm"]),
        counts=sample.arrays["counts"],
        truth_counts=sample.arrays["truth_counts"],
        atoms=Atoms(sample.arrays["atoms_nm"], symbols[sample.arrays["atomic_numbers"]]),
        atoms_px=sample.arrays["atoms_px"],
        defects=tuple(
            SeenDefect(kind, *place, *pixel)
            for kind, place, pixel in zip(about["defects"], *places, strict=True)
        ),
        parameters=about["parameters"],
    )


def to_files(
    experiment: Experiment,
    folder: Path | str,
    count: int,
    seed: int = 0,
    workers: int = 1,
    cluster: str | None = None,
    progress: distribute.Progress | None = None,
    png: bool = False,
) -> list[Path]:
    """The same as files, `NAME_00000.nc` in counts and so on, each with its truth beside it.

    `NAME_00000.truth.nc` has the counts to be expected without distortion, contamination and noise;
    `NAME_00000.atoms.csv` the element of each atom, its place in nm from the frame's middle and the
    pixel at which it appears; `NAME_00000.json` the defects and every parameter that was drawn.
    That is written first, and says whose the other files are: without it, they are replaced by
    nobody. `png` adds a figure.

    Returns:
        The paths of the scans.

    Raises:
        WriteError: The folder cannot be written to, or holds a file of that name but of another
            experiment or seed, or of nobody knows what.
        WorkError: A scan cannot be made; with its reason.
    """
    recipe = json.dumps({"name": experiment.name, **experiment.table()})
    suffixes = (".json", ".nc", ".truth.nc", ".atoms.csv", *([".png"] if png else []))
    files = Files.into(Path(folder), experiment.name, suffixes, recipe, seed)
    missing = [number for number in range(count) if not files.are_there(number)]
    distribute.run(partial(_write, files), missing, workers, cluster, progress, "scan")
    return [files.path(number, ".nc") for number in range(count)]


def figure(scan: Micrograph) -> Figure:
    """What was expected and what was counted, with a ring around each defect that is seen."""
    from ..figures import beside  # which loads Matplotlib

    marks = {"counted": [(d.kind, d.row, d.column) for d in scan.defects]}
    return beside({"expected": scan.truth(), "counted": scan.scan()}, marks, panel_in=4.6)


def _microscope(recipe: str) -> Microscope:
    table = json.loads(recipe)
    return Microscope(parse(table.pop("name"), table))


def _samples(recipe: str, seed: int, numbers: range) -> list[Sample]:
    """What a shard holds."""
    microscope = _microscope(recipe)
    return [_sample(microscope.scan(seed, number)) for number in numbers]


def _sample(made: Micrograph) -> Sample:
    symbols = {symbol: number for number, symbol in enumerate(elements(), 1)}
    arrays: dict[str, NDArray[Any]] = {
        "counts": made.counts,
        "truth_counts": made.truth_counts,
    }
    arrays["atoms_nm"], arrays["atoms_px"] = made.atoms.positions_nm, made.atoms_px
    arrays["atomic_numbers"] = np.array([symbols[e] for e in made.atoms.elements], np.int32)
    places = [(d.x_nm, d.y_nm, d.row, d.column) for d in made.defects]
    table = np.array(places, np.float64).reshape(-1, 4)
    arrays["defects_nm"], arrays["defects_px"] = table[:, :2], table[:, 2:]
    about = {
        "pixel_nm": made.pixel_nm,
        "defects": [d.kind for d in made.defects],
        "parameters": made.parameters,
    }
    return Sample(arrays, about)


def _write(files: Files, number: int) -> None:
    scan = _microscope(files.recipe).scan(files.seed, number)
    files.write(number, {s: partial(PARTS[s], scan, files.recipe) for s in files.suffixes})


def _write_scan(scan: Micrograph, recipe: str, path: Path) -> None:
    WRITERS[".nc"](scan.scan(), path)


def _write_truth(scan: Micrograph, recipe: str, path: Path) -> None:
    WRITERS[".nc"](scan.truth(), path)


def _write_figure(scan: Micrograph, recipe: str, path: Path) -> None:
    figure(scan).savefig(path, format="png")


def _write_atoms(scan: Micrograph, recipe: str, path: Path) -> None:
    places = np.hstack([scan.atoms.positions_nm, scan.atoms_px]).round(4).tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("element", "x_nm", "y_nm", "z_nm", "row", "column"))
        table.writerows((e, *at) for e, at in zip(scan.atoms.elements, places, strict=True))


def _write_about(scan: Micrograph, recipe: str, path: Path) -> None:
    about = {
        "scanmend": __version__,
        "recipe": json.loads(recipe),
        "seed": scan.seed,
        "scan": scan.number,
        "pixel_nm": scan.pixel_nm,
        "defects": [asdict(d) for d in scan.defects],
        "parameters": scan.parameters,
    }
    path.write_text(json.dumps(about, indent=2, allow_nan=False) + "\n", encoding="utf-8")


PARTS: dict[str, Callable[[Micrograph, str, Path], None]] = {
    ".json": _write_about,
    ".nc": _write_scan,
    ".truth.nc": _write_truth,
    ".atoms.csv": _write_atoms,
    ".png": _write_figure,
}
"""What writes each file of a scan: of the scan, its experiment's recipe in JSON, and a path."""
