"""Simulated scans from a process of their own: one at a time; what takes too long is ended."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import Any

from ..errors import ScanmendError, SimulationError
from .jobs import Full
from .process import Broken, Process
from .settings import Settings

WAITING = 8
"""Renderings that may wait: each page has one, and takes what it came to before it asks again."""

COMPILE_S = 1800.0
"""Longest that compiling may take, once on a machine."""

_MOST_BYTES = 256 << 20
_LOOK_S = 0.02


class Stopped(SimulationError):
    """Who asked does not want it any more."""


class Renderer(Process):
    """The process that simulates; it is begun, and compiles, when somebody first looks.

    Attributes:
        settings: With its limits.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__("scanmend.web.render", SimulationError, str(settings.simulate_bytes))
        self.settings = settings
        self._turn, self._asking = threading.Lock(), threading.Lock()
        self._wanted: threading.Event | None = None  # of whom it works for
        self._warm: subprocess.Popen[bytes] | None = None
        self._since: float | None = None  # when it began to get ready
        self._why: str | None = None  # it does not get ready
        self._waiting = 0
        self._closed = False

    @property
    def is_ready(self) -> bool:
        """Whether everything is compiled, and the process there."""
        return self._warm is not None and self._warm.poll() is None

    def state(self) -> dict[str, Any]:
        """Whether it is "asleep", "starting" or "ready", and for how many seconds it starts."""
        since = self._since
        if self.is_ready:
            return {"state": "ready", "seconds": 0.0}
        seconds = 0.0 if since is None else round(time.monotonic() - since, 1)
        return {"state": "asleep" if since is None else "starting", "seconds": seconds}

    def wake(self) -> None:
        """Has it get ready, if it is not, without waiting for that."""
        with self._asking:
            if self.is_ready or self._since is not None or self._closed:
                return
            self._since, self._why = time.monotonic(), None
        threading.Thread(target=self._warm_up, name="simulator", daemon=True).start()

    def close(self) -> None:
        """Ends the process, and what it does."""
        with self._asking:
            self._closed = True
            if self._process is not None:
                self._process.kill()
        self.stop()

    def ask(self, question: dict[str, Any], stop: threading.Event) -> tuple[dict[str, Any], bytes]:
        """An answer of `render`, when its turn has come.

        Raises:
            Full: As many wait as may.
            Stopped: `stop` was set.
            SimulationError: It cannot be carried out, or takes longer than it may.
        """
        with self._asking:
            if self._waiting >= WAITING:
                raise Full(f"{WAITING} simulations wait already, no more may: try again in a while")
            self._waiting += 1
        try:
            self._until_ready(stop)
            while not self._turn.acquire(timeout=_LOOK_S):
                if stop.is_set():
                    raise Stopped("stopped")
        finally:
            with self._asking:
                self._waiting -= 1
        try:
            with self._asking:
                self._wanted = stop
            return self._asked(question, self.settings.simulate_s, _MOST_BYTES)
        except Broken as error:
            if stop.is_set():
                raise Stopped("stopped") from None
            limit_s = self.settings.simulate_s
            why = f"takes more than {limit_s:g} s" if error.is_late else "broke the simulator"
            raise SimulationError(
                f"this scan {why}: take a smaller frame, fewer pixels or fewer defects here, "
                "or scanmend simulate"
            ) from error
        finally:
            with self._asking:
                self._wanted = None
            self._turn.release()
            if not self.is_ready:
                self.wake()

    def give_up(self, stop: threading.Event) -> None:
        """Ends the work for whoever waits with `stop`, and no other."""
        stop.set()
        with self._asking:
            if self._wanted is stop and self._process is not None:
                self._process.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        process = super()._running()
        if self._closed:  # by somebody who saw no process yet
            process.kill()
        return process

    def _until_ready(self, stop: threading.Event) -> None:
        self.wake()
        while not self.is_ready:
            if stop.wait(_LOOK_S):
                raise Stopped("stopped")
            if self._since is None and not self.is_ready:
                raise SimulationError(self._why or "the simulator has ended: try again")

    def _warm_up(self) -> None:
        try:
            self._asked({"task": "warm"}, COMPILE_S, 0)
            self._warm = self._process
        except (Broken, ScanmendError) as error:
            self._why = f"the simulator cannot begin: {error}"
        finally:
            self._since = None
