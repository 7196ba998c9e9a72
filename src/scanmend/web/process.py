"""A process of ours that answers questions: it may die, or be ended, and we do not.

Questions are JSON, a line each; so are answers, {"bytes", ...}, with so many bytes behind the line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .. import errors
from ..errors import ScanmendError

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Every thread of a numerical library reserves address space, which is what is limited."""


class Broken(Exception):
    """The process died over a question, or was ended as it took too long: `is_late`."""

    def __init__(self, is_late: bool) -> None:
        super().__init__(f"the process {'took too long' if is_late else 'died'}")
        self.is_late = is_late


class Process:
    """A process, begun before it is needed, and again when it has died.

    Args:
        module: What runs in it.
        error: What its errors are at least.
        arguments: That it is given.
    """

    def __init__(self, module: str, error: type[ScanmendError], *arguments: str) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._error = error
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Has the process load its libraries before the first question."""
        with self._lock:
            self._running()

    def stop(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def _asked(
        self, question: dict[str, Any], limit_s: float, most_bytes: int
    ) -> tuple[dict[str, Any], bytes]:
        """The answer to a question.

        Raises:
            Broken: There is none.
            ScanmendError: What the answer says.
        """
        with self._lock:
            process = self._running()
            late = threading.Event()
            clock = threading.Timer(limit_s, lambda: (late.set(), process.kill()))
            clock.start()
            try:
                assert process.stdin and process.stdout
                process.stdin.write(json.dumps(question).encode() + b"\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())
                if answer["bytes"] > most_bytes:
                    raise ValueError("more than was asked for")
                values = process.stdout.read(answer["bytes"])
                if len(values) != answer["bytes"]:
                    raise EOFError
            except (OSError, EOFError, ValueError) as error:
                self._end()
                raise Broken(late.is_set()) from error
            finally:
                clock.cancel()
        if "error" in answer:
            kind = getattr(errors, answer["kind"], self._error)
            raise (kind if issubclass(kind, ScanmendError) else self._error)(answer["error"])
        return answer, values

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                self._command,
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


def answering(
    bytes_limit: int, answer: Callable[[dict[str, Any]], tuple[dict[str, Any], bytes]]
) -> None:
    """What such a process does: it answers until the other side closes.

    Args:
        bytes_limit: Of its address space.
        answer: To a question; what fails is {"error", "kind"}.
    """
    limit("RLIMIT_AS", bytes_limit)
    limit("RLIMIT_CORE", 0)
    limit("RLIMIT_FSIZE", 1 << 30)
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints is not to be taken for an answer
    for line in questions:
        about, values = answer(json.loads(line))
        answers.write(json.dumps(about | {"bytes": len(values)}).encode() + b"\n")
        answers.write(values)
        answers.flush()


def limit(name: str, value: int) -> None:
    """Sets one of the limits of this process, as `resource` names them, or leaves a lower one."""
    with suppress(ImportError):  # there are no such limits on Windows; the clock still holds
        import resource

        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(kind, (value, hard))
