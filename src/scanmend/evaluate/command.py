"""A program of the user's as a candidate: it reads a scan and writes one."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import io
from ..errors import ModelError, RecipeError, ScanmendError
from ..pairs.sets import TASKS
from ..scan import Scan
from .contract import Batch, Images, one_by_one

_PLACE = re.compile(r"\{(input|output)(\.\w+)?\}")


@dataclass(frozen=True)
class Command:
    """A program that reads a scan and writes one, run once for each image.

    In its text, {input} and {output} stand for files, .npy or of the format that is named as in
    {input.gsf}, and {factor} for that of the lines. Its scans are in the unit they were measured
    in, and so must be what comes back.

    Raises:
        RecipeError: The text is no command that reads and writes a file.
    """

    name: str
    text: str
    steps: None = None
    calls: None = None
    tasks: tuple[str, ...] = tuple(TASKS)

    def __post_init__(self) -> None:
        found = [match[1] for match in _PLACE.finditer(self.text)]
        if sorted(found) != ["input", "output"]:
            raise RecipeError(
                f"command {self.name} must name {{input}} and {{output}} once, got {self.text!r}"
            )
        for match in _PLACE.finditer(self.text):
            if match[2] and match[2] not in io.WRITERS:
                known = ", ".join(io.WRITERS)
                raise RecipeError(f"command {self.name}: {match[0]} must be one of {known}")
        try:
            shlex.split(self.text)
        except ValueError as error:
            raise RecipeError(f"command {self.name}: {self.text!r}: {error}") from None

    def about(self) -> dict[str, Any]:
        """The command."""
        return {"kind": "command", "command": self.text}

    def call(self, image: Images) -> None:
        """There is none that we know of."""

    def restore(self, batch: Batch) -> Images:
        """One by one; the files are gone afterwards."""
        return one_by_one(batch, partial(self._scan, str(batch.factor)))

    def _scan(self, factor: str, scan: Scan, number: int) -> NDArray[np.float32]:
        with tempfile.TemporaryDirectory(prefix="scanmend-") as folder:
            files = {
                m[1]: Path(folder) / f"{m[1]}{m[2] or '.npy'}" for m in _PLACE.finditer(self.text)
            }
            io.write(scan, files["input"])
            words = [
                _PLACE.sub(lambda m: str(files[m[1]]), word).replace("{factor}", factor)
                for word in shlex.split(self.text)
            ]
            try:
                done = subprocess.run(words, capture_output=True, text=True, errors="replace")
            except OSError as error:
                raise ModelError(f"{self._did(number)} is not run: {error.strerror}") from error
            if done.returncode:
                said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").split("\n")
                raise ModelError(f"{self._did(number)} ended with {done.returncode}: {said[-1]}")
            if not files["output"].is_file():
                raise ModelError(f"{self._did(number)} wrote no {files['output'].name}")
            try:
                made = io.read(files["output"], size_nm=scan.size_nm, unit=self._unit(files, scan))
            except ScanmendError as error:
                raise ModelError(f"{self._did(number)} wrote no scan: {error}") from error
        if made.values.shape != scan.values.shape or not np.isfinite(made.values).all():
            rows, columns = made.values.shape
            raise ModelError(
                f"{self._did(number)} wrote {rows}x{columns} pixels: it must be "
                f"{scan.values.shape[0]}x{scan.values.shape[1]}, all of them finite"
            )
        return made.values

    def _unit(self, files: dict[str, Path], scan: Scan) -> str | None:
        """For a format that knows none."""
        return scan.quantity.value if files["output"].suffix in (".npy", ".tif", ".tiff") else None

    def _did(self, number: int) -> str:
        return f"command {self.name}, image {number},"
