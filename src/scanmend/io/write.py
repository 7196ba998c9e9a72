"""Whole or not at all: a result is written beside its place, then put there in one step."""

from __future__ import annotations

import csv
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import WriteError
from ..scan import Restoration, Scan
from . import arrays, gwyddion, images, nanonis, netcdf

WRITERS: dict[str, Callable[[Scan | Restoration, Path], None]] = {
    ".nc": netcdf.write,
    ".gwy": gwyddion.write_gwy,
    ".gsf": gwyddion.write_gsf,
    ".tif": images.write,
    ".tiff": images.write,
    ".npy": arrays.write,
    ".sxm": nanonis.write,
}
"""What writes a file of each suffix."""


def write(thing: Scan | Restoration, path: Path | str, *, overwrite: bool = False) -> Path:
    """Writes a scan or a restoration; the suffix of `path` chooses the format.

    The file appears whole or not at all, whatever happens meanwhile.

    Raises:
        WriteError: The suffix is none of WRITERS, the file exists and `overwrite` is off, or the
            folder is missing, read-only or full.
    """
    path = Path(path)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise WriteError(f"{path.name}: the suffix must be one of {', '.join(WRITERS)}")
    with whole(path, overwrite=overwrite) as unfinished:
        writer(thing, unfinished)
    return path


def write_sxm(
    images: Mapping[tuple[str, str], Scan],
    header: nanonis.Header,
    path: Path | str,
    *,
    overwrite: bool = False,
) -> Path:
    """Writes several images of one frame as a Nanonis file, as whole as `write` does.

    Args:
        images: By channel and direction, "forward" or "backward", as displayed: as every Scan is.
            Bias, setpoint, angle and start are those of the first.
        header: What they do not say of themselves.
        path: The file.
        overwrite: Whether it may replace another.

    Raises:
        WriteError: The images are none that such a file can hold together, or cannot be written.
    """
    path = Path(path)
    with whole(path, overwrite=overwrite) as unfinished:
        nanonis.write_images(images, header, unfinished)
    return path


def table(
    path: Path, head: Sequence[str], rows: Iterable[Sequence[object]], *, overwrite: bool = False
) -> None:
    """Writes a table as CSV, whole or not at all.

    Raises:
        WriteError: The file exists and `overwrite` is off, or cannot be written.
    """
    with (
        whole(path, overwrite=overwrite) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        lines = csv.writer(file)
        lines.writerow(head)
        lines.writerows(rows)


def ending(channel: str | None, direction: str | None, verb: str, frame: int | None = None) -> str:
    """Of a result's name: what was done, and of which channel where one was asked for."""
    which = None if frame is None else f"frame{frame:03}"
    chosen = [re.sub(r"[^\w.]+", "-", part) for part in (channel, direction, which) if part]
    return "_".join(["", *chosen, verb])


@contextmanager
def whole(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A file beside `path` to be written to; it gets its place in one step, if nothing failed.

    Raises:
        WriteError: `path` exists and `overwrite` is off, or its folder is missing, read-only or
            full.
    """
    if path.is_dir():
        raise WriteError(f"{path} is a folder: name a file in it")
    if path.exists() and not overwrite:
        raise WriteError(f"{path} exists already: choose another name, or allow overwriting")
    if not path.parent.is_dir():
        raise WriteError(f"{path.name} cannot be written: there is no folder {path.parent}")
    # In the same folder, for only within one file system is a rename a single step.
    unfinished = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix.lower()}")
    try:
        yield unfinished
        _sync(unfinished)
        unfinished.replace(path)
        _sync(path.parent)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise WriteError(f"{path} cannot be written: {why.lower()}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Has the disk itself, not only the operating system, hold what was written."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
