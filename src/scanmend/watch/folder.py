"""What lies in a watched folder: asked for again and again, which works on network shares too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OURS = re.compile(r"_(restored|degraded|atoms|defects|audit|x\d)$")
"""Stems of what we write: in a folder, these are no input."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """By what a change of a file is seen without reading it.

    `changed_ns` also moves where a copying program puts the old `modified_ns` back; where it is the
    time of creation, as on Windows, it does no harm.
    """

    size_bytes: int
    modified_ns: int
    changed_ns: int


def stamp(path: Path) -> Stamp:
    """Of a file as it is now; FileNotFoundError where there is none."""
    return _stamp(path.stat())


def ends_in_zeros(path: Path) -> bool:
    """Whether the last 8 bytes of a file are 0.

    Some programs ask for the whole length of a file before they copy into it: until they have come
    to its end, that is zeros, and what has been copied may well be readable.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8))
        end = file.read(8)
    return bool(end) and not any(end)


def listing(folder: Path, subfolders: bool, leave_out: Path) -> dict[str, Stamp]:
    """Every file that could be a scan, by its name relative to `folder`, with "/".

    Names that begin with a dot, and those of our own results, are none. A sub-folder that cannot
    be listed is taken as empty; `folder` itself raises its OSError.

    Args:
        folder: What is listed.
        subfolders: Whether those below it are as well.
        leave_out: A sub-folder that is not: that of the results.
    """
    found = {}
    for path, entry in _files(folder, "", subfolders, leave_out.resolve()):
        try:
            found[path] = _stamp(entry.stat())
        except OSError:  # deleted meanwhile, or a dangling link
            continue
    return found


def _files(
    folder: Path, prefix: str, subfolders: bool, leave_out: Path
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        there = list(entries)
    for entry in there:
        if entry.name.startswith(".") or OURS.search(Path(entry.name).stem):
            continue
        if entry.is_dir(follow_symlinks=False):
            if subfolders and Path(entry.path).resolve() != leave_out:
                try:
                    yield from _files(Path(entry.path), f"{prefix}{entry.name}/", True, leave_out)
                except OSError:
                    continue
        elif entry.is_file():
            yield prefix + entry.name, entry


def _stamp(stat: os.stat_result) -> Stamp:
    return Stamp(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
