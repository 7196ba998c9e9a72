"""What a watcher tells of its files, as it happens."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from .tip import TipState


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened to a file.

    Attributes:
        name: The file, relative to the watched folder, with "/" between its parts; "." is the
            folder itself.
        at: When, ISO 8601 with zone.
        modified_ns: Time stamp of the file, by which scans are in the order of taking; None of the
            folder.
    """

    name: str
    modified_ns: int | None = None
    at: str = field(default_factory=_now)

    def table(self) -> dict[str, Any]:
        """Plain JSON values, with the kind of the event as `event`."""
        return {"event": type(self).__name__.lower(), **asdict(self)}

    def line(self) -> str:
        """It in words; without a full stop."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Event):
    """A file is new, or is being written anew.

    Attributes:
        size_bytes: Its size at that moment.
    """

    size_bytes: int

    def line(self) -> str:
        """Its name and size."""
        return f"{self.name}: seen, {self.size_bytes / 1024:.0f} KiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written(Event):
    """A result was written.

    Attributes:
        seconds: From the last change of the file to the result in its place, s.
        measured_rows: Lines that were measured so far ...
        rows: ... of so many ...
        columns: ... of so many pixels.
        restored_rows: Lines that went through the network for this result.
        output: The result, relative to the output folder.
        figure: Its figure; None where none was asked for.
        frame: Number of the frame in a series, from 1 ...
        frames: ... and how many there are; None and 0 of an image that stands alone.
    """

    seconds: float
    measured_rows: int
    rows: int
    columns: int
    restored_rows: int
    output: str
    figure: str | None
    frame: int | None = None
    frames: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Growing(_Written):
    """The part of a scan that is there was restored; more is to come."""

    def line(self) -> str:
        """How far it is."""
        return (
            f"{self.name}: line {self.measured_rows} of {self.rows} in {self.seconds:.2f} s "
            f"-> {self.output}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored(_Written):
    """A scan was restored, for good.

    Attributes:
        source_sha256: Of the file.
        tip: What was found of the tip's state; None where the scan does not allow it.
        advice: What to do about the tip; None where there is nothing to do.
    """

    source_sha256: str
    tip: TipState | None = None
    advice: str | None = None

    def line(self) -> str:
        """Where the result is, and what the tip did."""
        part = "" if self.measured_rows == self.rows else f", {self.measured_rows} lines measured"
        which = "" if self.frame is None else f", frame {self.frame} of {self.frames}"
        said = f"{self.name}{which}: restored in {self.seconds:.2f} s{part} -> {self.output}"
        if self.tip is not None:
            said += f"; {self.tip.line()}"
        return f"{said}; {self.advice}" if self.advice else said


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored(Event):
    """A file that is not restored: no scan, without a scale, or done already under another name."""

    why: str

    def line(self) -> str:
        """Why."""
        return f"{self.name}: left out, {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """A scan that could not be read or restored; it is tried again when its file changes."""

    why: str

    def line(self) -> str:
        """Why."""
        return f"{self.name}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone(Event):
    """A file was deleted before it was done."""

    def line(self) -> str:
        """That it is gone."""
        return f"{self.name}: gone before it was done"
