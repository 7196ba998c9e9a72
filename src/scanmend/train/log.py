"""What a training tells while it runs: lines of JSON, and events for TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from ..io.write import whole


class Log:
    """Appends to `log.jsonl` of a folder, from the iteration on at which the training goes on.

    Args:
        folder: Where `log.jsonl` and the events are; what they say of later iterations, which a
            training that was killed had not kept, is dropped.
        iteration: How many were trained on when it was begun.
        writes: Whether this process is the one that writes.
    """

    def __init__(self, folder: Path, iteration: int, writes: bool) -> None:
        self._path, self._board = folder / "log.jsonl", None
        if not writes:
            return
        if self._path.exists():
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if _iteration(line) <= iteration]
            if kept != lines:
                with whole(self._path, overwrite=True) as unfinished:
                    unfinished.write_text("".join(kept), encoding="utf-8")
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:
            return
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=iteration + 1)

    def write(self, entry: dict[str, Any]) -> None:
        """One line; numbers to five figures."""
        entry = {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in entry.items()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        if self._board is not None:
            for name, value in entry.items():
                if name != "iteration":
                    self._board.add_scalar(name, value, entry["iteration"])
            self._board.flush()

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._board is not None:
            self._board.close()


def _iteration(line: str) -> float:
    """Of a line; of one that was cut off, never."""
    try:
        return json.loads(line)["iteration"]
    except (ValueError, KeyError, TypeError):
        return float("inf")
