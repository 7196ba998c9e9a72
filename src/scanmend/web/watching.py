"""Watched folders over HTTP: what was done in them, what happens now, and the tip's state."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse

from .. import io
from ..errors import ReadError
from ..io.provenance import plain
from ..watch import tip
from ..watch.events import Event, Failed, Gone, Growing, Restored
from ..watch.settings import Settings
from ..watch.watcher import Watcher
from . import answers
from .messages import Side

RESULTS = "restored"
"""Sub-folder of a watched one, where its results go."""

SCANS = ("measured", "restored", "spread")
REMEMBERED = 1000
"""Events that a page which was away can still be told, and files that are listed."""

_BEAT_S, _LOOK_S = 15.0, 0.1


class Watched:
    """One watched folder, and the thread that works on it.

    Attributes:
        folder: The watched one.
        output: Where its results go.
        files: What was last told of each file, by its name, the newest last.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.output = folder.resolve(), folder.resolve() / RESULTS
        self._watcher = Watcher(Settings(self.folder, self.output))
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._events: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self._count = 0
        self.files: dict[str, dict[str, Any]] = {}
        for entry in self._watcher.journal.entries:
            name = Path(entry.file)
            if name.is_relative_to(self.folder):
                known = {"event": "restored" if entry.final else "growing", "output": entry.output}
                short = name.relative_to(self.folder).as_posix()
                self.files[short] = known | {
                    "name": short,
                    "at": entry.at,
                    "modified_ns": entry.modified_ns,
                    "tip": entry.tip,
                }
        self._thread = threading.Thread(target=self._work, name=f"watch {folder}", daemon=True)

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def close(self) -> None:
        """Ends with the file that is being restored."""
        self._stop.set()
        self._thread.join(timeout=10)

    def told_after(self, number: int) -> list[dict[str, Any]]:
        """The events after that of this number, oldest first."""
        with self._lock:
            return [event for event in self._events if event["number"] > number]

    def json(self) -> dict[str, Any]:
        """All that a page shows at first."""
        with self._lock:
            tips = list(self._watcher.tips)[-200:]
            files, number = list(self.files.values())[-REMEMBERED:], self._count
        states = [sample.state for sample in tips]
        return {
            "number": number,
            "folder": str(self.folder),
            "output": str(self.output),
            "files": files[::-1],
            "tips": [
                {
                    "name": sample.name,
                    **sample.state.table(),
                    "excess": tip.excess(states[: i + 1]),
                }
                for i, sample in enumerate(tips)
            ],
            "words": tip.WORDS,
            "limits": tip.LIMITS,
            "advice": tip.advice(states) if states else None,
        }

    def _work(self) -> None:
        try:
            for event in self._watcher.events(self._stop):
                self._tell(event)
        except Exception as error:  # a full disk, say: the page is to know, the server goes on
            self._tell(Failed(name=".", why=f"no longer watched: {error}"))

    def _tell(self, event: Event) -> None:
        table = event.table()
        with self._lock:
            self._count += 1
            self._events.append(table | {"number": self._count})
            known = self.files.pop(event.name, {})
            if isinstance(event, Gone):
                return
            kept = {} if isinstance(event, Growing | Restored) else {"output": known.get("output")}
            self.files[event.name] = kept | table


def watched(folders: Sequence[Path]) -> tuple[Watched, ...]:
    """Those that the command line gives, not begun yet.

    Raises:
        ReadError: One of them is no folder.
        WriteError: The results cannot be written there.
    """
    return tuple(map(Watched, folders))


def _watched(request: Request, folder: int) -> Watched:
    there: tuple[Watched, ...] = request.app.state.watched
    if not 0 <= folder < len(there):
        raise HTTPException(404, f"folder {folder} is not watched: ask for one of /api/watched")
    return there[folder]


Here = Annotated[Watched, Depends(_watched)]
router = APIRouter(prefix="/api/watched")


@router.get("")
def folders(request: Request) -> dict[str, Any]:
    """The watched folders."""
    there: tuple[Watched, ...] = request.app.state.watched
    return {"folders": [{"id": i, "name": w.folder.name} for i, w in enumerate(there)]}


@router.get("/{folder}")
def folder(here: Here) -> dict[str, Any]:
    """Files, the newest first, with what was last told of each; the tip's state, oldest first."""
    return plain(here.json())


@router.get("/{folder}/events", response_class=StreamingResponse)
def events(here: Here, request: Request, after: int = Query(-1, ge=-1)) -> StreamingResponse:
    """What happens, as server-sent events: those after number `after`, then as they come."""
    last = request.headers.get("last-event-id", "")

    async def stream() -> AsyncIterator[str]:
        number, beat = int(last) if last.isdecimal() else after, time.monotonic()
        while True:
            for event in here.told_after(number):
                number, beat = event["number"], time.monotonic()
                yield f"id: {number}\ndata: {answers.text(event)}\n\n"
            if time.monotonic() - beat > _BEAT_S:
                beat = time.monotonic()
                yield ": still there\n\n"
            await asyncio.sleep(_LOOK_S)

    return StreamingResponse(
        stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


@router.get("/{folder}/scan", response_class=Response)
def scan(
    here: Here,
    file: str = Query(max_length=4096),
    name: str = Query("restored", pattern="^(measured|restored|spread)$"),
    side: Side = None,
) -> Response:
    """A scan of a file's result, by the file's name in the list: float32, as of a job."""
    known = here.files.get(file, {}).get("output")
    if not known:
        raise HTTPException(404, f"there is no result of {file!r} yet")
    try:
        return answers.pixels(io.read(here.output / known, name), side)
    except ReadError as error:
        raise HTTPException(404, f"the result of {file!r} is gone: {error}") from None
