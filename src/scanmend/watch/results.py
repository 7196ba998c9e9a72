"""Results in their places: under names of their own, and never over anything of the user's."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .. import figures
from ..io.write import WRITERS, ending, whole
from ..scan import Restoration
from . import growing, tip
from .folder import Stamp
from .journal import Entry, Journal, sha256
from .settings import Settings


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was read.

    Attributes:
        name: Relative to the watched folder.
        file: Absolute.
        stamp: At that moment.
        sha256: Of its content.
        frame, frames: Of a series, see `journal.Entry`.
    """

    name: str
    file: str
    stamp: Stamp
    sha256: str
    frame: int | None = None
    frames: int = 0


@dataclass(frozen=True, slots=True)
class Results:
    """What writes them, and what they are noted in."""

    settings: Settings
    journal: Journal

    def write(
        self,
        source: Source,
        result: Restoration,
        final: bool,
        state: tip.TipState | None,
    ) -> tuple[str, str | None]:
        """Result and figure, each in its place in one step, the journal's line before them.

        Returns:
            Their names, relative to the output folder; None for a figure that was not asked for.

        Raises:
            WriteError: The folder is read-only or full.
        """
        beginning = growing.beginning(result.measured)
        output, figure = self._names(source, beginning)
        drawn = figures.png(figures.plot(result.measured, result)) if figure else b""
        folder = self.settings.output
        (folder / output).parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as places:
            place = places.enter_context(whole(folder / output, overwrite=True))
            WRITERS[place.suffix](result, place)
            written = [place]
            if figure:
                written.append(places.enter_context(whole(folder / figure, overwrite=True)))
                written[-1].write_bytes(drawn)
            entry = Entry(
                file=source.file,
                size_bytes=source.stamp.size_bytes,
                modified_ns=source.stamp.modified_ns,
                sha256=source.sha256,
                model_sha256=result.provenance["model_sha256"],
                scan=beginning,
                final=final,
                complete=bool(growing.measured(result.measured).all()),
                output=output,
                hashes=tuple(map(sha256, written)),
                tip=state.table() if state else None,
                at=datetime.now().astimezone().isoformat(timespec="milliseconds"),
                frame=source.frame,
                frames=source.frames,
            )
            self.journal.add(entry)
        return output, figure

    def _names(self, source: Source, beginning: tuple[str, ...]) -> tuple[str, str | None]:
        """Of result and figure: those of the same scan's earlier ones, else free ones.

        STEM_restored, of a series STEM_frame001_restored, and if that is taken STEM-2_restored and
        so on: by the user, by another file of that stem, or by another scan that had the file's
        name before.
        """
        verb = ending(None, None, "restored", source.frame)
        s, own = self.settings, Path(source.name)
        for number in itertools.count(1):
            stem = f"{own.stem}{'' if number == 1 else f'-{number}'}{verb}"
            output = own.with_name(f"{stem}.{s.format}").as_posix()
            figure = own.with_name(f"{stem}.png").as_posix() if s.png else None
            entry = self.journal.of(output)
            if entry and not (
                entry.file == source.file
                and (
                    entry.sha256 == source.sha256
                    or (entry.frame is not None and entry.scan == beginning)  # of more frames now
                    or (not entry.complete and growing.goes_on(entry.scan, beginning))
                )
            ):
                continue
            paths = [s.output / name for name in (output, figure) if name]
            if all(self.journal.may_replace(path, output) for path in paths):
                return output, figure
        raise AssertionError("counting has no end")
