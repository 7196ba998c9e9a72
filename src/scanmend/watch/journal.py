"""What was done, on disk: nothing is done twice, and a watcher that was killed goes on.

One JSON object a line. A line is on the disk before the step that it announces: a result gets its
place only after the line with its hash. A last line that was cut off by a crash is left out.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import WriteError

NAME = ".scanmend-watch.jsonl"
"""Of the file, in the output folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One result.

    Attributes:
        file: The scan's file, absolute.
        size_bytes, modified_ns: Of that file when it was read.
        sha256: Of its content.
        model_sha256: Of the model that restored it.
        scan: What tells the scan from another one of the same name, see `growing.beginning`.
        final: Whether nothing more was to come of the scan.
        complete: Whether all of its lines were measured.
        output: The result, relative to the output folder.
        hashes: Of the result, and of its figure if there is one: by them they are known as ours.
        tip: The tip's state, as a table; None where there is none.
        at: When, ISO 8601 with zone.
        frame: Number of the frame in a series, from 1; None of an image that stands alone ...
        frames: ... and how many there are; they are done in their order.
    """

    file: str
    size_bytes: int
    modified_ns: int
    sha256: str
    model_sha256: str
    scan: tuple[str, ...]
    final: bool
    complete: bool
    output: str
    hashes: tuple[str, ...]
    tip: dict[str, Any] | None
    at: str
    frame: int | None = None
    frames: int = 0


class Journal:
    """The entries of an output folder, oldest first; a later one of an output replaces it.

    Raises:
        WriteError: The folder cannot be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / NAME
        self._of: dict[str, Entry] = {}
        self._hashes: dict[str, set[str]] = {}
        self._by_content: dict[tuple[str, str, int | None], Entry] = {}
        self._by_file: dict[str, Entry] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self._load():
                with self._path.open("ab") as file:
                    file.write(b"\n")
        except OSError as error:
            raise WriteError(f"{self._path} cannot be written: {error.strerror}") from error

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The last one of each output, oldest first."""
        return tuple(self._of.values())

    def add(self, entry: Entry) -> None:
        """Writes an entry, and returns when the disk has it."""
        line = json.dumps(asdict(entry), allow_nan=False).encode() + b"\n"
        try:
            with self._path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise WriteError(f"{self._path} cannot be written: {error.strerror}") from error
        self._take(entry)

    def done(self, sha256: str, models: Iterable[str], frame: int | None = None) -> Entry | None:
        """The entry of a final result from that content, or frame of it, by one of these models."""
        entries = (self._by_content.get((sha256, model, frame)) for model in models)
        return next((entry for entry in entries if entry and entry.final), None)

    def last(self, file: str) -> Entry | None:
        """The last entry of that file."""
        return self._by_file.get(file)

    def of(self, output: str) -> Entry | None:
        """The last entry of a result."""
        return self._of.get(output)

    def may_replace(self, path: Path, output: str) -> bool:
        """Whether `path` is free, or to the last bit what we wrote for the result `output`."""
        return not path.exists() or (
            path.is_file() and sha256(path) in self._hashes.get(output, ())
        )

    def _load(self) -> bool:
        """Reads what is there; whether its last line was cut off."""
        if not self._path.exists():
            return False
        content = self._path.read_bytes()
        found: list[Entry] = []
        for line in content.splitlines():
            try:
                table = json.loads(line)
                lists = {name: tuple(table[name]) for name in ("scan", "hashes")}
                found.append(Entry(**table | lists))
            except (ValueError, TypeError, KeyError):
                continue  # a line that was cut off
        for entry in found[:-1]:
            self._take(entry)
        for entry in found[-1:]:
            self._hashes.setdefault(entry.output, set()).update(entry.hashes)
            # After this line we may have been killed, before its result was in its place.
            result = self.folder / entry.output
            if result.is_file() and sha256(result) == entry.hashes[0]:
                self._take(entry)
        return bool(content) and not content.endswith(b"\n")

    def _take(self, entry: Entry) -> None:
        self._of.pop(entry.output, None)  # so that it becomes the last
        self._of[entry.output] = entry
        self._hashes.setdefault(entry.output, set()).update(entry.hashes)
        self._by_content[entry.sha256, entry.model_sha256, entry.frame] = entry
        self._by_file[entry.file] = entry


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
