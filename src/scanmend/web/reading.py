"""Files, read in a process of its own, with limits on memory and time: it may die, we do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CorruptFile, ReadError
from ..scan import Acquisition, Quantity, Scan
from .process import Broken, Process
from .settings import Settings


class Reader(Process):
    """A process that reads files, begun before it is needed, and again when it has died."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("scanmend.web.parse", ReadError, str(settings.parse_bytes))
        self._settings = settings

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
        """One image of it; `which` is that of `messages.Which.reading`.

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
        try:
            return self._asked(question, 2 * limits.parse_s, 4 * limits.pixels)
        except Broken as error:
            why = f"took over {2 * limits.parse_s:g} s" if error.is_late else "broke its reader"
            raise CorruptFile(
                f"{name} {why}: it is damaged, or too large to be read here"
            ) from error
