"""The loop: look into the folder, wait until a file stands still, restore it, tell of it."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import io, models, restoration
from ..errors import (
    ModelError,
    NoSuchChannel,
    ReadError,
    ScaleMissing,
    ScanmendError,
    UnknownFormat,
    UnsupportedFeature,
)
from ..scan import Restoration, Scan
from . import growing, tip
from .events import Event, Failed, Gone, Growing, Ignored, Restored, Seen
from .folder import Stamp, ends_in_zeros, listing, stamp
from .journal import Journal, sha256
from .results import Results, Source
from .settings import Settings

FEWEST_LINES = 16
"""With fewer, a growing scan says too little of its range of heights."""

_TELLS = (".sxm", "_mtrx")
"""Endings of files that say how far their scan is: they need not stand still."""

_NO_SCAN = (NoSuchChannel, ScaleMissing, UnsupportedFeature)


@dataclass
class _File:
    """What is known of one file.

    Attributes:
        stamp: As last seen.
        still_since: When it was first seen so, s of the monotonic clock.
        changed: When it became so, as well as can be told.
        due: When it is to be looked at next; infinite once it is decided.
        known: What was restored of it while it grew.
        grown: The content of which that is.
        told: Whether it was said that it cannot be read.
        frame: Of a series, the one that comes next.
    """

    name: str
    stamp: Stamp
    still_since: float
    changed: float
    due: float
    known: Restoration | None = None
    grown: str | None = None
    told: bool = False
    frame: int = 1

    def known_by(self) -> dict[str, Any]:
        """What every event says of it."""
        return {"name": self.name, "modified_ns": self.stamp.modified_ns}


@dataclass
class Watcher:
    """Restores what appears in a folder.

    Raises:
        ReadError: There is no such folder.
        WriteError: The output folder cannot be written to.
        ModelError: There is no such model.
    """

    settings: Settings
    tips: list[tip.Sample] = field(default_factory=list, init=False)
    """Of what was restored, in the order of taking."""

    def __post_init__(self) -> None:
        if not self.settings.folder.is_dir():
            raise ReadError(f"there is no folder {self.settings.folder}: name one to watch")
        model = self.settings.model
        asked = [model] if model else (models.DEFAULT, models.OF_COUNTS)
        self._models = {models.restorer(name).sha256 for name in asked}
        self.journal = Journal(self.settings.output)
        self._results = Results(self.settings, self.journal)
        self._files: dict[str, _File] = {}
        self._looked, self._began = -float("inf"), time.monotonic()
        self._last = ""
        self._lost = False
        home = str(self.settings.folder.resolve())
        for entry in self.journal.entries:
            if entry.final and entry.tip and entry.file.startswith(home):
                state = tip.TipState(**entry.tip)
                self._add(tip.Sample(entry.modified_ns, self._relative(entry.file), state))

    def events(self, stop: threading.Event | None = None, *, once: bool = False) -> Iterator[Event]:
        """Looks, restores and tells, until `stop` is set; with `once`, until all is done."""
        stop, begun = stop or threading.Event(), time.monotonic()
        while not stop.is_set():
            if time.monotonic() - self._looked >= self.settings.interval_s or self._looked < begun:
                yield from self._look()
            if file := self._next():
                self._last = file.name
                yield from self._treat(file, once)
            elif once and all(file.due == float("inf") for file in self._files.values()):
                return
            else:
                stop.wait(min(self.settings.interval_s, self.settings.settle_s / 2))

    def _look(self) -> Iterator[Event]:
        """What has appeared, changed or gone since the last look."""
        s, first = self.settings, self._looked == -float("inf")
        try:
            there = listing(s.folder, s.subfolders, s.output)
        except OSError as error:  # a network share comes back
            self._looked = time.monotonic()
            if not self._lost:
                yield Failed(name=".", why=f"cannot be listed: {error.strerror}")
            self._lost = True
            return
        self._lost = False
        before, self._looked = max(self._looked, self._began), time.monotonic()
        for name in self._files.keys() - there.keys():
            if self._files.pop(name).due < float("inf"):
                yield Gone(name=name)
        for name, seen in there.items():
            file = self._files.get(name)
            if file and file.stamp == seen:
                continue
            changed = self._changed(seen, before)
            if file is None:
                file = self._files[name] = _File(name, seen, self._looked, changed, self._looked)
                if (first and s.only_new) or self._is_done(file):
                    file.due = float("inf")
                    continue
            else:
                was_decided = file.due == float("inf")
                self._renew(file, seen, changed)
                if not was_decided:
                    continue
            yield Seen(**file.known_by(), size_bytes=seen.size_bytes)

    def _changed(self, seen: Stamp, before: float) -> float:
        """When a file changed, s of the monotonic clock.

        By its own time stamp, but not before the last look: clocks of shares differ, and copies
        bring the time of their original along.
        """
        own = time.monotonic() - (time.time() - seen.modified_ns * 1e-9)
        return min(max(own, before), self._looked)

    def _renew(self, file: _File, seen: Stamp, changed: float) -> None:
        now = time.monotonic()
        file.stamp, file.still_since, file.changed, file.told = seen, now, changed, False
        file.due, file.frame = now, 1

    def _is_done(self, file: _File) -> bool:
        """Whether it was, going by what can be seen from outside."""
        entry, seen = self.journal.last(self._absolute(file.name)), file.stamp
        return (
            entry is not None
            and entry.final
            and entry.frame == (entry.frames or None)  # the last
            and entry.model_sha256 in self._models
            and (entry.size_bytes, entry.modified_ns) == (seen.size_bytes, seen.modified_ns)
        )

    def _next(self) -> _File | None:
        """What is due: the newest first, but none twice in a row where another one waits."""
        now = time.monotonic()
        due = [file for file in self._files.values() if file.due <= now]
        others = [file for file in due if file.name != self._last]
        return max(others or due, key=lambda file: file.stamp.modified_ns, default=None)

    def _treat(self, file: _File, once: bool) -> Iterator[Event]:
        """Reads a file if that can be done now, and goes on from there."""
        s, path = self.settings, self.settings.folder / file.name
        now = time.monotonic()
        settled = now - file.still_since >= s.settle_s
        patience_s = s.settle_s if once else s.patience_s
        if not settled and not file.name.endswith(_TELLS):
            file.due = file.still_since + s.settle_s
            return
        try:
            before = stamp(path)
            if now - file.still_since < patience_s and ends_in_zeros(path):
                file.due = file.still_since + patience_s
                return
            there = io.open(path)
            frames = there.shown(s.channel).frames
            frame = file.frame if frames else None
            scan = io.read(there, s.channel, s.direction, frame=frame)
            content = sha256(path)
            after = stamp(path)
        except FileNotFoundError:
            file.due = now + s.interval_s  # until the next look misses it
            return
        except (ReadError, ScanmendError, OSError) as error:
            yield from self._unreadable(file, error, settled, now - file.still_since > patience_s)
            return
        if before != file.stamp or after != before:
            self._renew(file, after, time.monotonic())
            return
        missing = len(scan.values) - int(growing.measured(scan).sum())
        if not settled and not missing:
            file.due = file.still_since + s.settle_s
            return
        final = not missing or frames > 0 or now - file.still_since >= patience_s
        file.due = float("inf") if final else file.still_since + patience_s
        source = Source(file.name, self._absolute(file.name), file.stamp, content, frame, frames)
        yield from self._restored(file, scan, source, final)
        if file.frame < frames:
            file.frame, file.due, file.changed = file.frame + 1, now, time.monotonic()

    def _unreadable(
        self, file: _File, error: Exception, settled: bool, impatient: bool
    ) -> Iterator[Event]:
        """Waits, and only then says so: half of a file is damaged, and so is a locked one."""
        now, s = time.monotonic(), self.settings
        file.due = now + s.settle_s if settled else file.still_since + s.settle_s
        if isinstance(error, UnknownFormat) and settled:
            file.due = float("inf")
            yield Ignored(**file.known_by(), why="it is no scan")
        elif impatient:
            # Another program may hold it for long: it is asked for again, ever more seldom.
            file.due = now + max(s.patience_s, (now - file.still_since) / 2)
            if not isinstance(error, OSError) and not isinstance(error.__cause__, OSError):
                file.due = float("inf")
            if not file.told:
                file.told = True
                kind = Ignored if isinstance(error, _NO_SCAN) else Failed
                yield kind(**file.known_by(), why=_why(error, file.name))

    def _restored(self, file: _File, scan: Scan, source: Source, final: bool) -> Iterator[Event]:
        there, content = growing.measured(scan), source.sha256
        if (entry := self.journal.done(content, self._models, source.frame)) is not None:
            file.due = float("inf")
            if entry.file != self._absolute(file.name) and file.frame == 1:
                same = f"the same as {Path(entry.file).name}, which is done: {entry.output}"
                yield Ignored(**file.known_by(), why=same)
            return
        if scan.is_restored:
            file.due = float("inf")
            yield Ignored(**file.known_by(), why="it is a result of ours")
            return
        if not final and (there.sum() < FEWEST_LINES or file.grown == content):
            return
        try:
            known = None if final or file.known is None else file.known
            if known and not growing.goes_on(
                growing.beginning(known.measured), growing.beginning(scan)
            ):
                known = None
            result, lines = growing.extend(known, scan, self._restore)
            file.known, file.grown = (None, None) if final else (result, content)
            state = tip.measure(scan, result.mean) if final else None
            output, figure = self._results.write(source, result, final, state)
        except Exception as error:  # whatever it is, the next file is still to be restored
            file.due = float("inf")
            if isinstance(error, ModelError):  # which is that of all frames
                file.frame = source.frames
            yield Failed(**file.known_by(), why=_why(error, file.name))
            return
        facts = {
            **file.known_by(),
            "seconds": round(time.monotonic() - file.changed, 3),
            "measured_rows": int(there.sum()),
            "rows": len(there),
            "columns": scan.values.shape[1],
            "restored_rows": lines,
            "output": output,
            "figure": figure,
            "frame": source.frame,
            "frames": source.frames,
        }
        if not final:
            yield Growing(**facts)
            return
        advice = None
        if state is not None:
            sample = tip.Sample(file.stamp.modified_ns, file.name, state)
            self._add(sample)
            if sample is self.tips[-1]:  # and none of a backlog
                advice = tip.advice([sample.state for sample in self.tips])
        yield Restored(**facts, source_sha256=content, tip=state, advice=advice)

    def _add(self, sample: tip.Sample) -> None:
        """Into the order of taking: of a backlog the newest scan is restored first."""
        bisect.insort(self.tips, sample, key=lambda s: s.modified_ns)

    def _restore(self, scan: Scan) -> Restoration:
        return restoration.restore(scan, self.settings.model)

    def _absolute(self, name: str) -> str:
        return str(self.settings.folder.resolve() / name)

    def _relative(self, file: str) -> str:
        return Path(file).relative_to(self.settings.folder.resolve()).as_posix()


def _why(error: Exception, name: str) -> str:
    """One line, without the name of the file, which stands before it."""
    text = " ".join(str(error).split())
    if isinstance(error, ScanmendError):
        bare = Path(name).name
        return text.removeprefix(f"{bare}: ").removeprefix(f"{bare} ")
    if isinstance(error, OSError):
        return error.strerror or text
    return f"{type(error).__name__}: {text}"
