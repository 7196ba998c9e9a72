"""Data sets that others have published, fetched by name: files with checksums, never by half.

Downloads by `pooch`; which files there are, and what their checksums, the archive's records tell.
"""

from __future__ import annotations

import json
import logging
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from ..errors import CorruptFile, ReadError, RecipeError, WriteError


@dataclass(frozen=True, slots=True)
class DataSet:
    """A record of an archive like Zenodo.

    Attributes:
        doi: Of what is fetched.
        about: What it is, in a line.
    """

    doi: str
    about: str

    @property
    def record(self) -> str:
        """Its number in the archive."""
        return self.doi.rpartition(".")[2]


DATA_SETS = {
    "kolev2025": DataSet(
        "10.5281/zenodo.17474268", "Kolev, Rodani et al. (2025): Si(001):H, 54 clean scans"
    )
}
"""By the names they are asked for with."""

HOST = "https://zenodo.org"

_UNFINISHED = ".unfinished"
"""Folder of what is being fetched; it is no input to anything, and is removed at the end."""

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_PATIENCE_S = 30

Progress = Callable[[int, int], None]


def fetch(
    name: str, folder: Path | str, host: str = HOST, progress: Progress | None = None
) -> list[Path]:
    """Downloads a data set, but for the files that are there already, and unpacks its archives.

    Args:
        name: One of `DATA_SETS`.
        folder: Where the files go, made if it is not there; archives are unpacked to folders of
            their names beside them.
        host: The archive, or one that speaks as Zenodo does.
        progress: Called with how many files are done, and of how many.

    Returns:
        The files.

    Raises:
        RecipeError: There is no such data set.
        ReadError: The archive does not answer, or sends something else than it promised.
        CorruptFile: An archive holds what would land elsewhere, or is damaged.
        WriteError: The folder cannot be written to, or holds another file of that name.
    """
    if name not in DATA_SETS:
        raise RecipeError(f"no data set is called {name!r}; there are {', '.join(DATA_SETS)}")
    if not host.startswith(("https://", "http://")):
        raise ReadError(f"the host of an archive is an address like {HOST}, got {host!r}")
    tell = progress or (lambda done, total: None)
    folder = Path(folder)
    files = _files(host.rstrip("/"), DATA_SETS[name])
    with _written(folder):
        folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / _UNFINISHED
    try:
        for done, file in enumerate(files):
            tell(done, len(files))
            _get(file, folder)
            _unpack(folder / file.name, unfinished)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    tell(len(files), len(files))
    return [folder / file.name for file in files]


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    url: str
    checksum: str  #: "md5:..."


def _files(host: str, wanted: DataSet) -> list[_File]:
    url = f"{host}/api/records/{wanted.record}"
    try:
        with urlopen(url, timeout=_PATIENCE_S) as answer:
            raw = answer.read()
    except HTTPError as error:
        raise ReadError(
            f"{host} has no record of {wanted.doi}: it answers {error.code} {error.reason}"
        ) from error
    except OSError as error:
        why = getattr(error, "reason", None) or error
        raise ReadError(
            f"{host} does not answer ({why}): try again later, or name another --host"
        ) from error
    try:
        record: dict[str, Any] = json.loads(raw)
        files = [_File(f["key"], f["links"]["self"], f["checksum"]) for f in record["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ReadError(f"{url} is no record of an archive like Zenodo") from error
    if not files:
        raise ReadError(f"{url} lists no files: are they withheld?")
    for file in files:
        if not _stays_inside(file.name) or not file.url.startswith(("https://", "http://")):
            raise ReadError(f"{url} lists {file.name!r} at {file.url}: not fetched")
    return files


def _get(file: _File, folder: Path) -> None:
    """Puts a file in its place, unless it is there."""
    import pooch  # late: it is needed here only, and takes a third of a second

    target = folder / file.name
    algorithm, _, digest = file.checksum.rpartition(":")
    if target.is_file():
        if pooch.file_hash(str(target), algorithm or "md5") != digest:
            raise WriteError(
                f"{target} is there, but is not the published one: remove it, or choose another -o"
            )
        return
    pooch.get_logger().setLevel(logging.ERROR)
    loader = pooch.HTTPDownloader(timeout=_PATIENCE_S)
    with _written(folder):
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / _UNFINISHED).mkdir(exist_ok=True)
    try:
        fetched = pooch.retrieve(
            file.url,
            file.checksum,
            "file",
            folder / _UNFINISHED,
            downloader=loader,  # pyright: ignore[reportArgumentType]  (of its type, but for names)
        )
    except ValueError as error:  # of the checksum
        raise ReadError(
            f"{file.name} came with another checksum than {file.checksum}: not kept; try again"
        ) from error
    except OSError as error:  # as all of those of requests are
        why = " ".join(str(error).split())[:200]
        raise ReadError(
            f"{file.name} could not be fetched ({why}): what is there stays, and the same command "
            "goes on"
        ) from error
    with _written(folder):
        Path(fetched).replace(target)


def _unpack(archive: Path, unfinished: Path) -> None:
    """Into a folder of its name, whole or not at all."""
    ending = next((end for end in _ARCHIVES if archive.name.lower().endswith(end)), None)
    if ending is None or (target := archive.with_name(archive.name[: -len(ending)])).is_dir():
        return
    part = unfinished / "unpacked"
    with _written(archive.parent):
        part.mkdir(parents=True, exist_ok=True)
    try:
        if ending == ".zip":
            with zipfile.ZipFile(archive) as zipped:
                _must_stay_inside(archive, zipped.namelist())
                zipped.extractall(part)
        else:
            with tarfile.open(archive) as tar:
                _must_stay_inside(archive, tar.getnames())
                if odd := [m.name for m in tar.getmembers() if not (m.isfile() or m.isdir())]:
                    raise CorruptFile(
                        f"{archive.name} holds {odd[0]!r}, neither a file nor a folder: nothing of "
                        "it is unpacked"
                    )
                # The filter came with Python 3.11.4.
                safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                tar.extractall(part, **safe)  # type: ignore[arg-type]
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError) as error:
        what = " ".join(str(error).split())
        raise CorruptFile(f"{archive.name} cannot be unpacked: {what}") from error
    except OSError as error:
        raise WriteError(f"{target} cannot be written: {error.strerror or error}") from error
    with _written(target):
        part.rename(target)


def _must_stay_inside(archive: Path, names: list[str]) -> None:
    for name in names:
        if not _stays_inside(name):
            raise CorruptFile(
                f"{archive.name} holds {name!r}, which would be written outside its folder: "
                "nothing of it is unpacked"
            )


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return bool(name) and not path.is_absolute() and ".." not in path.parts and ":" not in name


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(f"{folder} cannot be written to: {error.strerror or error}") from error
