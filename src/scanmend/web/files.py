"""Files that were sent or chosen, by an id that tells nothing; and their scans, once read."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from ..errors import ReadError, UnknownFormat
from ..scan import Scan
from .folders import Folders, NotListed
from .reading import Reader
from .settings import SUFFIXES, Settings, is_scan
from .shelf import Gone, Shelf

_MATRIX = re.compile(r"\w[\w .+()-]{0,150}(--\d+_\d+\.\w[\w()]*_mtrx|_\d{4}\.mtrx)", re.ASCII)
"""Names of an Omicron MATRIX experiment: its files find one another by name, and so these, which
cannot lead anywhere, are kept."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that can be asked for.

    Attributes:
        id: By which.
        name: What the user calls it; never a path here.
        path: Where it is; a copy has a folder of its own.
        is_ours: Whether it is a copy, to be removed with its id.
        origin: Folder and path there, if it was chosen.
        about: Format and channels.
    """

    id: str
    name: str
    path: Path
    is_ours: bool
    origin: tuple[str, str] | None = None
    about: dict[str, Any] = field(default_factory=dict)


class Files:
    """Copies of what was sent, what was chosen in folders, and the scans in them."""

    def __init__(self, settings: Settings, folders: Folders, reader: Reader) -> None:
        self._settings, self._folders, self._reader = settings, folders, reader
        self._place = Path(tempfile.mkdtemp(prefix="scanmend-"))
        self._files: Shelf[File] = Shelf(settings.disk_bytes, _remove)
        self._scans: Shelf[Scan] = Shelf(settings.memory_bytes // 4)

    def close(self) -> None:
        """Removes the copies."""
        shutil.rmtree(self._place, ignore_errors=True)

    def send(
        self, source: BinaryIO, name: str, beside: Iterable[tuple[BinaryIO, str]] = ()
    ) -> File:
        """Keeps a copy of what was sent under `name`.

        Args:
            source: The file.
            name: What the user calls it.
            beside: The `.mtrx` files of its experiment, if it is an image of Omicron MATRIX.

        Raises:
            ReadError: Its suffix is none of ours, a file came twice, or it cannot be read.
        """
        name = shown_name(name)
        suffix = next((s for s in SUFFIXES if name.lower().endswith(s)), None)
        if suffix is None:
            raise UnknownFormat(f"{name}: the name of a scan ends in one of {', '.join(SUFFIXES)}")
        place = self._place / secrets.token_hex(16)
        path = place / (name if _MATRIX.fullmatch(name) else f"scan{suffix}")
        try:
            place.mkdir()
            _copy(source, path)
            for more, called in beside:
                if not (_MATRIX.fullmatch(called) and called.endswith(".mtrx")):
                    raise UnknownFormat(
                        f"{shown_name(called)}: beside a scan go only the .mtrx files of an "
                        "Omicron MATRIX experiment, under the names that the instrument gave them"
                    )
                if (place / called).exists():
                    raise ReadError(f"{called} came twice: send it once")
                _copy(more, place / called)
            return self._known(name, path, None)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise

    def choose(self, folder: str, path: str) -> File:
        """A file in one of the folders.

        Raises:
            NotListed: There is none.
            ReadError: It is too large, or cannot be read.
        """
        found = self._folders.resolve(folder, path)
        if not found.is_file() or not is_scan(found.name):
            raise NotListed(f"{path!r} in folder {folder!r} is no scan: choose one that is listed")
        size, most = found.stat().st_size, self._settings.upload_bytes
        if size > most:
            raise ReadError(f"{found.name} has {size} bytes, and {most} are allowed here")
        return self._known(found.name, found, (folder, path))

    def get(self, id: str) -> File:
        """The file of that id.

        Raises:
            Gone: There is none any more, or never was.
        """
        file = self._files.get(id)
        if file is None:
            raise Gone(
                f"there is no file {id!r} here: it was never sent, or gave way to newer ones; "
                "open it again"
            )
        return file

    def scan(self, file: File, which: dict[str, Any]) -> Scan:
        """One image of it; `which` is that of `messages.Which.reading`.

        Raises:
            ReadError: It cannot be read, or not any more.
        """
        path = self._folders.resolve(*file.origin) if file.origin else file.path
        try:
            state = path.stat()
        except OSError:
            raise ReadError(f"{file.name} is not there any more: open it again") from None
        key = (path, state.st_mtime_ns, state.st_size, *sorted(which.items()))
        scan = self._scans.get(key)
        if scan is None:
            scan = self._reader.scan(path, file.name, dict(which))
            self._scans.put(key, scan, scan.values.nbytes)
        return scan

    def _known(self, name: str, path: Path, origin: tuple[str, str] | None) -> File:
        mine = origin is None
        about = self._reader.channels(path, name)
        file = File(secrets.token_urlsafe(12), name, path, mine, origin, about)
        # A file in a folder costs nothing but its entry here, which is counted as a page.
        size = sum(f.stat().st_size for f in path.parent.iterdir()) if mine else 4096
        self._files.put(file.id, file, size)
        return file


def shown_name(name: str) -> str:
    """What a user calls a file, without folders and what no name should hold."""
    last = PurePosixPath(name.replace("\\", "/")).name
    kept = "".join(c for c in last if c.isprintable()).strip(" .")
    return kept[-120:] or "scan"


def _copy(source: BinaryIO, path: Path) -> None:
    with path.open("xb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)


def _remove(file: File) -> None:
    if file.is_ours:
        shutil.rmtree(file.path.parent, ignore_errors=True)
