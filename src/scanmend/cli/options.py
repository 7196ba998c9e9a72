"""Options that several commands share, each bundle as one object."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import scanmend

from ..errors import WriteError
from ..watch.folder import stamp
from .batch import why

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..stem.calibration import Calibration


class _Size(click.ParamType):
    name = "W[,H]"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        try:
            sizes = tuple(float(part) for part in value.split(","))
        except ValueError:
            sizes = ()
        if len(sizes) not in (1, 2) or not all(0 < size < float("inf") for size in sizes):
            self.fail(f"{value!r} is not WIDTH or WIDTH,HEIGHT in nm, such as 100 or 100,50")
        return sizes


@dataclass(frozen=True)
class Reading:
    """Which scan of a file."""

    channel: str | None
    direction: str | None
    frame: int | None
    size_nm: tuple[float, ...] | None
    unit: str | None
    lattice: str | None

    def frames(self, path: Path) -> Sequence[int | None]:
        """Which frames to read: the one asked for, else each of a series, else the only one."""
        if self.frame is not None:
            return (self.frame,)
        there = self._shown(path).frames
        return range(1, there + 1) if there else (None,)

    def scan(self, path: Path, frame: int | None = None) -> scanmend.Scan:
        """Reads it; puts its pitch right, where the crystal is named that it shows."""
        if self.lattice is not None:
            return self.calibrated(path, frame)[0]
        return scanmend.read(_opened(path), self.channel, self.direction, **self._how(path, frame))

    def calibrated(
        self, path: Path, frame: int | None = None
    ) -> tuple[scanmend.Scan, Calibration, tuple[float, float] | None]:
        """The scan at the pitch of the lattice, that calibration, and the header's pitch, nm."""
        from ..stem import calibration  # late: `--help` needs no NumPy

        how = self._how(path, frame)
        which = self.lattice or "", self.channel, self.direction
        return calibration.read(_opened(path), *which, **how)

    def ending(self, verb: str, frame: int | None = None) -> str:
        """Of a result's name: what was done, and of which channel where one was asked for."""
        from ..io.write import ending  # late: `--help` needs no NumPy

        return ending(self.channel, self.direction, verb, frame)

    def _how(self, path: Path, frame: int | None) -> dict[str, Any]:
        """The other arguments of `scanmend.read`."""
        size_nm = self._size_nm(path)
        return {"frame": frame or self.frame, "size_nm": size_nm, "unit": self.unit}

    def _size_nm(self, path: Path) -> tuple[float, float] | None:
        """Height and width, where one of them is given; else the height makes pixels square."""
        if not self.size_nm:
            return None
        width = self.size_nm[0]
        if len(self.size_nm) == 2:
            return self.size_nm[1], width
        shown = self._shown(path)
        return width * shown.rows / shown.columns, width

    def _shown(self, path: Path) -> scanmend.io.Channel:
        return _opened(path).shown(self.channel)


def _opened(path: Path) -> scanmend.io.ScanFile:
    """The file, opened once for all that is asked of it, unless it changes."""
    return _as_it_is(path, (Path.cwd(), stamp(path) if path.is_file() else None))


@functools.lru_cache(maxsize=1)
def _as_it_is(path: Path, state: object) -> scanmend.io.ScanFile:
    return scanmend.open(path)


@dataclass(frozen=True)
class Writing:
    """Where results go, and as what."""

    folder: Path
    format: str
    png: bool
    overwrite: bool

    def targets(
        self, source: Path, ending: str, inputs: Sequence[Path | str] = ()
    ) -> tuple[Path, Path | None]:
        """The names of the result and of its figure, checked before any work is done for them.

        Raises:
            WriteError: One of them is among `inputs`, or is there and may not be replaced, or an
                earlier one of the `inputs` has a result of that name.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{self.folder} cannot be made: {why(error)}") from error
        for other in map(Path, inputs):
            if other == source:
                break
            if other.stem == source.stem:
                raise WriteError(f"its result would replace that of {other}: choose another -o")
        result = self.folder / f"{source.stem}{ending}.{self.format}"
        figure = result.with_suffix(".png") if self.png else None
        for target in filter(None, (result, figure)):
            if not target.exists():
                continue
            if any(Path(i).exists() and target.samefile(i) for i in inputs):
                raise WriteError(f"{target} is an input, which is never overwritten")
            if not self.overwrite:
                raise WriteError(f"{target} exists already: choose another -o, or --overwrite")
        return result, figure

    def figure(self, figure: Figure, path: Path) -> None:
        """Writes a figure."""
        from ..figures import png  # late: a command without a figure needs no Matplotlib

        drawn = png(figure)
        try:
            path.write_bytes(drawn)
        except OSError as error:
            raise WriteError(f"{path} cannot be written: {why(error)}") from error


@dataclass(frozen=True)
class Running:
    """What a model is asked for."""

    model: str | None
    ghosts: bool
    calls: int | None
    draws: int
    seed: int


def _bundle(name: str, kind: type, *options: Callable) -> Callable:
    """A decorator that gives a command `options`, which it receives as one `kind` called `name`."""

    def decorate(command: Callable) -> Callable:
        @functools.wraps(command)
        def bundled(**given: Any) -> Any:
            values = {field.name: given.pop(field.name) for field in fields(kind)}
            return command(**given, **{name: kind(**values)})

        for option in reversed(options):
            bundled = option(bundled)
        return bundled

    return decorate


files_argument = click.argument("files", nargs=-1, required=True, metavar="FILE...")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Decides what is random.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes; what they make does not depend on it.",
)
cluster_option = click.option(
    "--cluster", metavar="local|slurm|tcp://HOST:PORT", help="A Dask cluster instead."
)
model_option = click.option("--model", metavar="NAME|FILE", help="See `scanmend models list`.")
folder_option = click.option(
    "-o",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where results go; by default here.",
)
reading_options = _bundle(
    "reading",
    Reading,
    click.option("--channel", metavar="NAME", help="By default the first height; see `info`."),
    click.option(
        "--direction",
        type=click.Choice(["forward", "backward"]),
        help="By default forward, or the only one there is.",
    ),
    click.option(
        "--frame",
        type=click.IntRange(min=1),
        metavar="N",
        help="Of a series, from 1; by default all of them, one by one.",
    ),
    click.option(
        "--size-nm",
        type=_Size(),
        help="Width and height of the scan in nm, for files that do not say it, or to put right "
        "what they say. The width alone means square pixels.",
    ),
    click.option(
        "--unit",
        metavar="UNIT",
        help="Unit of the values, for files that do not say it: nm, m, pA, 2.5e-6nm ...",
    ),
    click.option(
        "--lattice",
        metavar="NAME",
        help="A crystal that the scan shows, by which its pitch is put right: mos2, mose2, wse2, "
        "graphene, srtio3.",
    ),
)
writing_options = _bundle(
    "writing",
    Writing,
    folder_option,
    click.option(
        "--format",
        type=click.Choice(["nc", "gwy", "gsf", "tif", "npy", "sxm"]),
        default="nc",
        show_default=True,
        help="nc and gwy hold what was measured and the spread too.",
    ),
    click.option("--png", is_flag=True, help="A figure besides: images and Fourier transforms."),
    click.option("--overwrite", is_flag=True, help="Replace earlier results; never the input."),
)
running_options = _bundle(
    "running",
    Running,
    model_option,
    click.option("--ghosts", is_flag=True, help="Remove those of a multiple tip as well."),
    click.option(
        "--calls",
        type=click.IntRange(min=1),
        help="Calls of the network, by default 1 or what the model's card says; of the models that "
        "come with scanmend 1 gives the mean, 3 or more add texture.",
    ),
    click.option(
        "--draws",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Textures that would fit as well, beside the mean.",
    ),
    seed_option,
)


def measured_beside(path: Path) -> scanmend.Scan | None:
    """What a file of ours says that its restored scan was made of."""
    there = [channel.name for channel in scanmend.open(path).channels]
    return scanmend.read(path, "measured") if "measured" in there else None
