"""One restoration after the other: it uses every core by itself, so two at once gain nothing."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .. import models
from ..errors import ScanmendError, WorkError
from ..restoration import restore, upscale
from ..restoration.verdict import verdict
from ..scan import Quantity, Restoration, Scan
from .settings import Settings
from .shelf import Gone, Shelf

REMEMBERED = 500
"""Jobs whose state is told; the oldest that are done are forgotten."""


class _Stopped(Exception):
    """Raised where progress is told, to leave the work."""


class Full(WorkError):
    """As many jobs wait as may."""


class NotDone(WorkError):
    """A result was asked for before there is one, or of what failed."""


@dataclass
class Job:
    """A restoration that was asked for. Only the thread that works changes it, but for `stopping`.

    Attributes:
        id: By which it is asked for.
        name: Of its file.
        asked: The arguments of `restore` or `upscale`, with "task" and "factor".
        load: Reads the scan, when its turn has come: what waits holds no pixels.
        ending: Of the names of its results.
        state: "waiting", "running", "done", "failed" or "stopped".
        progress: Share of the work that is done.
        error: Why it failed.
        seconds: That it took, or takes so far.
        stopping: Whether it is to stop.
        told: What is known of the result, JSON: scans, provenance, verdict.
    """

    id: str
    name: str
    asked: dict[str, Any]
    load: Callable[[], Scan]
    ending: str
    state: str = "waiting"
    progress: float = 0.0
    error: str | None = None
    started: float | None = None
    ended: float | None = None
    stopping: bool = False
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state not in ("waiting", "running")

    def json(self) -> dict[str, Any]:
        """What is told of it."""
        seconds = None
        if self.started is not None:
            seconds = round((self.ended or time.monotonic()) - self.started, 3)
        return {
            "id": self.id,
            "name": self.name,
            "asked": self.asked,
            "state": self.state,
            "progress": round(self.progress, 4),
            "error": self.error,
            "seconds": seconds,
            "scans": [],
            "provenance": None,
            "verdict": None,
        } | self.told


class Jobs:
    """A queue, a thread that works on it, and the results that are kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._models = settings, settings.known_models()
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._results: Shelf[Restoration] = Shelf(settings.memory_bytes)
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="restorations", daemon=True)

    def start(self) -> None:
        """Begins to work."""
        self._thread.start()

    def close(self) -> None:
        """Stops what runs; what waits is forgotten."""
        with self._changed:
            self._closing = True
            for job in self._jobs.values():
                job.stopping = True
            self._changed.notify_all()
        self._thread.join(timeout=10)

    def add(self, name: str, asked: dict[str, Any], load: Callable[[], Scan], ending: str) -> Job:
        """Puts a restoration at the end of the queue.

        Raises:
            Full: As many wait as may.
        """
        job = Job(secrets.token_urlsafe(9), name, asked, load, ending)
        with self._changed:
            if len(self._waiting) >= self._settings.waiting:
                raise Full(
                    f"{len(self._waiting)} jobs wait already, no more may: wait until one is done"
                )
            self._waiting.append(job)
            self._jobs[job.id] = job
            over = [j.id for j in self._jobs.values() if j.is_over]
            for id in over[: max(0, len(self._jobs) - REMEMBERED)]:
                del self._jobs[id]
                self._results.remove(id)
            self._changed.notify_all()
        return job

    def all(self) -> list[Job]:
        """The newest first."""
        with self._changed:
            return list(reversed(self._jobs.values()))

    def get(self, id: str) -> Job:
        """The job of that id.

        Raises:
            Gone: There is none any more, or never was.
        """
        with self._changed:
            if id not in self._jobs:
                raise Gone(f"there is no job {id!r} here, or not any more: start it again")
            return self._jobs[id]

    def stop(self, job: Job) -> None:
        """Has it stop: at once if it waits, else when its progress is next told."""
        with self._changed:
            job.stopping = True
            if job in self._waiting:
                self._waiting.remove(job)
                job.state = "stopped"
            self._changed.notify_all()

    def result(self, job: Job) -> Restoration:
        """What it came to.

        Raises:
            NotDone: There is no result.
            Gone: The result gave way to newer ones.
        """
        if job.state != "done":
            raise NotDone(f"job {job.id!r} is {job.state} and has no result")
        result = self._results.get(job.id)
        if result is None:
            raise Gone(f"the result of {job.name} gave way to newer ones: run it again")
        return result

    def _work(self) -> None:
        self._warm_up()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if self._closing:
                    return
                job = self._waiting.popleft()
                job.state, job.started = "running", time.monotonic()
            try:
                self._run(job)
                state = "done"
            except _Stopped:
                state = "stopped"
            except ScanmendError as error:
                state, job.error = "failed", " ".join(str(error).split())
            except MemoryError:
                state, job.error = "failed", "it does not fit into memory"
            except Exception as error:
                state, job.error = "failed", f"{type(error).__name__}: {error} (this is a bug)"
            with self._changed:
                job.state, job.ended = state, time.monotonic()
                self._changed.notify_all()

    def _warm_up(self) -> None:
        """Has everything loaded that a restoration needs, before somebody waits for one."""
        default = next(iter(self._models.values()))
        card = models.load(default).card
        ripples = np.sin(np.arange(64 * 64)).reshape(64, 64).astype(np.float32)
        pitch = float(np.mean(card["pixel_nm"]))
        restore(Scan(ripples, (pitch, pitch), Quantity[card["quantity"]]), default)

    def _run(self, job: Job) -> None:
        def progress(done: float) -> None:
            job.progress = done
            if job.stopping:
                raise _Stopped

        how = dict(job.asked)
        how["model"] = path = self._models[how["model"]]
        task, factor, mend = how.pop("task"), how.pop("factor"), how.pop("mend")
        scan = job.load()
        progress(0.0)
        if task == "upscale":
            result = upscale(scan, factor, mend=mend, progress=progress, **how)
        else:
            result = restore(scan, progress=progress, **how)
        scans = scans_of(result)
        self._results.put(job.id, result, sum(s.values.nbytes for s in scans.values()))
        job.progress = 1.0
        job.told = {
            "scans": list(scans),
            "provenance": result.provenance,
            "verdict": asdict(verdict(result, models.load(path))),
        }


def scans_of(result: Restoration) -> dict[str, Scan]:
    """Its scans by the names that they have in the interface."""
    named = {"measured": result.measured, "restored": result.mean, "spread": result.spread}
    return named | {f"draw {i}": draw for i, draw in enumerate(result.draws, 1)}
