"""Names that are asked for, to files inside the folders that were given on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ReadError
from .settings import is_scan

_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.I)
"""Names that are devices in every folder of Windows."""

MOST = 5000
"""Entries listed of one folder, the newest."""


class NotListed(ReadError):
    """No file or folder of that name may be read."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders that may be read, by their number.

    Raises:
        ReadError: One of them is no folder.
    """

    roots: tuple[Path, ...]

    @classmethod
    def of(cls, given: Sequence[Path]) -> Folders:
        """Folders as the command line has them."""
        for folder in given:
            if not folder.is_dir():
                raise ReadError(f"{folder} is no folder: name one that is there")
        return cls(tuple(folder.resolve() for folder in given))

    def listed(self) -> list[dict[str, str]]:
        """Their ids and names."""
        return [{"id": str(i), "name": root.name or str(root)} for i, root in enumerate(self.roots)]

    def resolve(self, folder: str, path: str) -> Path:
        """The file or folder called `path` in the folder of that id, followed to where it is.

        Raises:
            NotListed: There is none, or it is not inside; which of these, is not said.
        """
        parts = [part for part in path.split("/") if part]
        known = folder.isdecimal() and folder.isascii() and int(folder) < len(self.roots)
        if not known or path.startswith("/") or not all(map(_is_plain, parts)):
            raise _missing(folder, path)
        root = self.roots[int(folder)]
        try:
            found = root.joinpath(*parts).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            raise _missing(folder, path) from None
        inside = found.is_relative_to(root) and not any(
            part.startswith(".") for part in found.relative_to(root).parts
        )
        if not inside or not (found.is_file() or found.is_dir()):
            raise _missing(folder, path)
        return found

    def entries(self, folder: str, path: str) -> list[dict[str, Any]]:
        """What a folder holds: folders first, then scans, the newest first.

        Raises:
            NotListed: There is no such folder.
        """
        here = self.resolve(folder, path)
        if not here.is_dir():
            raise _missing(folder, path)
        prefix = "".join(f"{part}/" for part in path.split("/") if part)
        found = []
        for entry in here.iterdir():
            try:
                inside = self.resolve(folder, prefix + entry.name)
                about = inside.stat()
            except (ReadError, OSError):
                continue
            if inside.is_dir() or is_scan(entry.name):
                found.append(
                    {
                        "name": entry.name,
                        "path": prefix + entry.name,
                        "kind": "folder" if inside.is_dir() else "file",
                        "size_bytes": about.st_size,
                        "modified": about.st_mtime,
                    }
                )
        found.sort(key=lambda e: (e["kind"] == "file", -e["modified"], e["name"]))
        return found[:MOST]


def _is_plain(part: str) -> bool:
    """Whether it is the name of one visible thing in a folder, on every system."""
    return not (
        part.startswith(".")
        or part[-1:] in ". "
        or re.search(r'[\\:*?"<>|\x00-\x1f\x7f]', part)
        or _DEVICE.fullmatch(part)
        or len(part.encode(errors="surrogatepass")) > 255
    )


def _missing(folder: str, path: str) -> NotListed:
    return NotListed(f"there is no {path!r} in folder {folder!r}: choose one that is listed")
