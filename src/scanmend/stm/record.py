"""Simulated scans: one by one, in shards for those who train, as files for those who look.

Always a scan depends on its experiment, the seed and its number only; what is on disk already is
not made again, and nothing is there by half.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from glob import escape
from itertools import count as counted
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__, distribute
from ..errors import WriteError
from ..io import nanonis
from ..io.nanonis import Header
from ..io.write import WRITERS, whole
from ..shards import Layout, Sample, Store
from .experiment import Experiment, load, parse
from .microscope import Microscope
from .simulation import INSTRUMENT, SeenDefect, Simulation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND = "simulated STM scans"
SHARD = 256  #: scans in a shard, about, in whole sessions

_IMAGES = ("trace_nm", "retrace_nm", "trace_nA", "retrace_nA", "topograph_nm")
_PLACES = ("defects_nm", "defects_trace_px", "defects_retrace_px")


def simulate(
    experiment: Experiment | Path | str, count: int = 1, seed: int = 0
) -> Iterator[Simulation]:
    """Takes scans 0 to `count` - 1 of an experiment, a session at a time, as they are asked for.

    Args:
        experiment: What is done, the file that says it, or the name of a preset.
        count: How many scans.
        seed: Of all random numbers.

    Raises:
        RecipeError: The file is not there, or means nothing.
        SimulationError: Something in it cannot be carried out.
    """
    plan = experiment if isinstance(experiment, Experiment) else load(experiment)
    microscope = Microscope(plan)
    sessions = (microscope.session(seed, number) for number in counted())
    return islice((scan for session in sessions for scan in session), count)


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

    Each sample holds the images of a `Simulation`, the places of its defects on the surface (x, y),
    in the trace and in the retrace (row, column), shape (defects, 2), and, as JSON, everything
    else; `simulation` makes a `Simulation` of it again.

    Args:
        experiment: What is done.
        folder: Of the shards, made if it is not there.
        count: How many scans.
        seed: Of all random numbers.
        workers, cluster, progress: See `distribute.run`; progress counts shards.

    Raises:
        RecipeError: The folder holds scans of another experiment or seed.
        WorkError: A session cannot be carried out; with its reason.
        WriteError: The folder cannot be written to.
    """
    session = experiment.scans_per_session
    shape = experiment.fixed("frame", "rows"), experiment.fixed("frame", "columns")
    arrays = {name: Layout("float32", shape) for name in _IMAGES}
    arrays |= {name: Layout("float64", (None, 2)) for name in _PLACES}
    recipe = {"name": experiment.name, **experiment.table()}
    store = Store.create(
        folder, KIND, recipe, seed, count, arrays, session * max(1, SHARD // session)
    )
    store.fill(partial(_samples, json.dumps(recipe), seed), workers, cluster, progress)
    return store


def simulation(store: Store, number: int) -> Simulation:
    """One scan out of shards.

    Raises:
        IndexError, ReadError, CorruptFile: It is not there, or damaged.
    """
    sample = store[number]
    about: Mapping[str, Any] = sample.about
    places = (sample.arrays[name].tolist() for name in _PLACES)
    defects = tuple(
        SeenDefect(kind, x, y, (row, column), (row_back, column_back))
        for kind, (x, y), (row, column), (row_back, column_back) in zip(
            about["defects"], *places, strict=True
        )
    )
    return Simulation(
        *(store.recipe["name"], store.seed, number, about["pixel_nm"]),
        **{name: sample.arrays[name] for name in _IMAGES},
        defects=defects,
        parameters=about["parameters"],
        fault=about["fault"],
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
    """The same as Nanonis files, `NAME_00000.sxm` and so on, each with its truth beside it.

    `NAME_00000.truth.nc` is the undistorted topograph; `NAME_00000.json` has the defects, the tip,
    every parameter that was drawn, and what went wrong. It is written first, and says whose the
    other files are: without it, they are replaced by nobody. `png` adds a figure.

    Args:
        progress: Counts sessions; for the others, see `to_shards`.

    Returns:
        The paths of the scans.

    Raises:
        WriteError: The folder cannot be written to, or holds a file of that name but of another
            experiment or seed, or of nobody knows what.
        WorkError: A session cannot be carried out; with its reason.
    """
    folder, session = Path(folder), experiment.scans_per_session
    recipe = json.dumps({"name": experiment.name, **experiment.table()})
    suffixes = (".json", ".sxm", ".truth.nc", *([".png"] if png else []))
    files = Files.into(folder, experiment.name, suffixes, recipe, seed)
    sessions = sorted({number // session for number in range(count) if not files.are_there(number)})
    make = partial(_write, files, count)
    distribute.run(make, sessions, workers, cluster, progress, "session")
    return [files.path(number, ".sxm") for number in range(count)]


@dataclass(frozen=True, slots=True)
class Files:
    """Where the scans of an experiment are: beginning of their paths, their suffixes, and whose.

    The first suffix is that of the JSON that says whose they are.
    """

    start: Path
    suffixes: Sequence[str]
    recipe: str
    seed: int

    @classmethod
    def into(
        cls, folder: Path, name: str, suffixes: Sequence[str], recipe: str, seed: int
    ) -> Files:
        """Those of a folder, which is made if it is not there.

        Raises:
            WriteError: It cannot be made.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{folder} cannot be made: {error.strerror or error}") from error
        return cls(folder / name, suffixes, recipe, seed)

    def path(self, number: int, suffix: str) -> Path:
        """Of one of the files of a scan."""
        return self.start.with_name(f"{self.start.name}_{number:05d}{suffix}")

    def are_there(self, number: int) -> bool:
        """Whether all those of a scan are; any of another scan must not be replaced."""
        paths = [self.path(number, suffix) for suffix in self.suffixes]
        there = [path for path in paths if path.exists()]
        if not there:
            return False
        try:
            known = json.loads(paths[0].read_text(encoding="utf-8"))
            whose = known["recipe"], known["seed"], known["scan"]
        except (OSError, ValueError, KeyError, TypeError):
            whose = None
        if whose != (json.loads(self.recipe), self.seed, number):
            raise WriteError(
                f"{there[0]} is of another experiment or seed: choose another folder, or remove it"
            )
        return len(there) == len(paths)

    def write(self, number: int, parts: Mapping[str, Callable[[Path], None]]) -> None:
        """Puts the files of a scan there, each by what `parts` has for its suffix."""
        for suffix in self.suffixes:
            with whole(self.path(number, suffix), overwrite=True) as unfinished:
                parts[suffix](unfinished)
        stem = self.path(number, "").name
        for left in self.start.parent.glob(escape(f".{stem}.") + "*"):
            left.unlink(missing_ok=True)  # by a run that was killed


def figure(scan: Simulation) -> Figure:
    """The surface and what was measured of it, with a ring around each defect that is seen."""
    from ..figures import beside  # which loads Matplotlib

    marks = {
        "trace": [(d.kind, *d.trace) for d in scan.defects],
        "retrace": [(d.kind, *d.retrace) for d in scan.defects],
    }
    scans = {
        "ideal": scan.truth(),
        "trace": scan.scan("forward"),
        "retrace": scan.scan("backward"),
        "current": scan.scan("forward", "Current"),
    }
    return beside(scans, marks)


@lru_cache(maxsize=2)
def _microscope(recipe: str) -> Microscope:
    """Of a process that makes one shard after another."""
    table = json.loads(recipe)
    return Microscope(parse(table.pop("name"), table))


def _samples(recipe: str, seed: int, numbers: range) -> list[Sample]:
    """What a shard holds."""
    return [_sample(made) for made in _simulations(recipe, seed, numbers)]


def _simulations(recipe: str, seed: int, numbers: range) -> list[Simulation]:
    """Scans of these numbers, which begin with a session."""
    microscope = _microscope(recipe)
    each = microscope.experiment.scans_per_session
    first, last = numbers[0] // each, numbers[-1] // each
    made = [
        scan for session in range(first, last + 1) for scan in microscope.session(seed, session)
    ]
    return made[: len(numbers)]


def _write(files: Files, count: int, session: int) -> None:
    """Those scans of a session, of the first `count`, that are not there."""
    each = _microscope(files.recipe).experiment.scans_per_session
    numbers = range(session * each, min((session + 1) * each, count))
    for scan in _simulations(files.recipe, files.seed, numbers):
        if files.are_there(scan.number):
            continue
        files.write(scan.number, {s: partial(PARTS[s], scan, files.recipe) for s in files.suffixes})


def _write_scan(scan: Simulation, recipe: str, path: Path) -> None:
    directions = ("forward", "backward")
    images = {(c, d): scan.scan(d, c) for c in ("Z", "Current") for d in directions}
    nanonis.write_images(images, _header(scan), path)


def _write_truth(scan: Simulation, recipe: str, path: Path) -> None:
    WRITERS[".nc"](scan.truth(), path)


def _write_figure(scan: Simulation, recipe: str, path: Path) -> None:
    figure(scan).savefig(path, format="png")


def _write_about(scan: Simulation, recipe: str, path: Path) -> None:
    def place(pixel: tuple[float, float]) -> list[float] | None:
        return None if math.isnan(pixel[0]) else list(pixel)

    about = {
        "scanmend": __version__,
        "recipe": json.loads(recipe),
        "seed": scan.seed,
        "scan": scan.number,
        "fault": scan.fault,
        "pixel_nm": scan.pixel_nm,
        "defects": [
            asdict(d) | {"trace": place(d.trace), "retrace": place(d.retrace)} for d in scan.defects
        ],
        "parameters": scan.parameters,
    }
    path.write_text(json.dumps(about, indent=2, allow_nan=False) + "\n", encoding="utf-8")


PARTS: dict[str, Callable[[Simulation, str, Path], None]] = {
    ".sxm": _write_scan,
    ".truth.nc": _write_truth,
    ".png": _write_figure,
    ".json": _write_about,
}
"""What writes each file of a scan: of the scan, its experiment's recipe in JSON, and a path."""


def _header(scan: Simulation) -> Header:
    frame, gains, electronics = (
        scan.parameters[table] for table in ("frame", "gains", "electronics")
    )
    pixels = frame["columns"] if frame["fast_axis"] == "x" else frame["rows"]
    cycles_per_s = electronics["cycles_per_point"] * pixels / frame["line_s"]
    return Header(
        f"{INSTRUMENT.capitalize()} {__version__}, not measured: {scan.experiment}, seed "
        f"{scan.seed}, scan {scan.number}; fast axis {frame['fast_axis']}, begins at the "
        f"{frame['begins']}" + (f"; {scan.fault}" if scan.fault else ""),
        upward=str(frame["begins"]).startswith("bottom"),
        line_s=(frame["line_s"], frame["line_s"]),
        controller=f"{electronics['amplifier']} Current",
        proportional_nm=gains["proportional_nm"],
        integral_nm_per_s=gains["integral_nm"] * cycles_per_s,
    )


def _sample(made: Simulation) -> Sample:
    places = [((d.x_nm, d.y_nm), d.trace, d.retrace) for d in made.defects]
    arrays = {name: getattr(made, name) for name in _IMAGES}
    arrays |= zip(
        _PLACES, np.array(places, np.float64).reshape(-1, 3, 2).swapaxes(0, 1), strict=True
    )
    about = {
        "pixel_nm": made.pixel_nm,
        "defects": [d.kind for d in made.defects],
        "parameters": made.parameters,
        "fault": made.fault,
    }
    return Sample(arrays, about)
