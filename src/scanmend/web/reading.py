"""Files, read in a process of its own, with limits on memory and time: it may die, we do not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from .. import errors
from ..errors import CorruptFile, ReadError, ScanmendError
from ..scan import Acquisition, Quantity, Scan
from .settings import Settings

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Every thread of a numerical library reserves address space, which is what is limited."""


class Reader:
    """A process that reads files, begun before it is needed, and again when it has died."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Has the process load its libraries before the first file is there."""
        with self._lock:
            self._running()

    def stop(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def channels(self, path: Path, name: str) -> dict[str, Any]:
        """What the file holds: {"format", "channels"}, each of these as an `io.Channel`.

        Args:
            path: The file.
            name: What the user calls it.

        Raises:
            ScanmendError: What `io.open` raises, or the file is beyond a limit.
        """
        return self._ask(path, name, None)[0]

    def scan(self, path: Path, name: str, which: dict[str, Any]) -> Scan:
        """One image of it; `which` has the arguments of `io.read`, all of them.

        Raises:
            ScanmendError: What `io.read` raises, or the file is beyond a limit.
        """
        about, values = self._ask(path, name, which)
        return Scan(
            np.frombuffer(values, "<f4").reshape(about["shape"]).astype(np.float32, copy=False),
            tuple(about["pixel_nm"]),
            Quantity[about["quantity"]],
            Acquisition(**about["acquisition"]),
            tuple(about["history"]),
        )

    def _ask(
        self, path: Path, name: str, which: dict[str, Any] | None
    ) -> tuple[dict[str, Any], bytes]:
        limits = self._settings
        question = {"path": str(path), "name": name, "read": which}
        question |= {"pixels": limits.pixels, "cpu_s": limits.parse_s}
        with self._lock:
            process = self._running()
            late = threading.Event()
            clock = threading.Timer(2 * limits.parse_s, lambda: (late.set(), process.kill()))
            clock.start()
            try:
                assert process.stdin and process.stdout
                process.stdin.write(json.dumps(question).encode() + b"\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())
                if answer["bytes"] > 4 * limits.pixels:
                    raise ValueError("more than was asked for")
                values = process.stdout.read(answer["bytes"])
                if len(values) != answer["bytes"]:
                    raise EOFError
            except (OSError, EOFError, ValueError) as error:
                self._end()
                why = f"took over {2 * limits.parse_s:g} s" if late.is_set() else "broke its reader"
                raise CorruptFile(
                    f"{name} {why}: it is damaged, or too large to be read here"
                ) from error
            finally:
                clock.cancel()
        if "error" in answer:
            kind = getattr(errors, answer["kind"], ReadError)
            raise (kind if issubclass(kind, ScanmendError) else ReadError)(answer["error"])
        return answer, values

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scanmend.web.parse", str(self._settings.parse_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _ONE_THREAD,
            )
        return self._process

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe:
                    pipe.close()
            except OSError:  # what could not be written to a process that is gone
                pass
        self._process.wait()
        self._process = None
