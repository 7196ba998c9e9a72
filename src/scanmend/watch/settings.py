"""What is watched, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import RecipeError
from ..io.write import WRITERS


@dataclass(frozen=True)
class Settings:
    """What is watched, and how.

    Attributes:
        folder: Where the microscope writes.
        output: Where results go; may be the same.
        model: Name or path; the default one for what a scan measures if None.
        format: Suffix of the results, without its dot.
        png: Whether a figure is drawn besides.
        channel, direction: Of the files; by default as `scanmend.read`.
        interval_s: Between two looks into the folder, s.
        settle_s: How long a file must stand still before it is read, s. Where time stamps are
            coarse (2 s on FAT), no less than they are.
        patience_s: How long a file may stand still unreadable, or a scan unfinished, before that is
            taken for final, s.
        subfolders: Whether those below are watched as well.
        only_new: Whether files that are there at the beginning are left alone.

    Raises:
        RecipeError: A time is not positive, or nothing writes that format.
    """

    folder: Path
    output: Path
    model: str | None = None
    format: str = "nc"
    png: bool = False
    channel: str | None = None
    direction: str | None = None
    interval_s: float = 1.0
    settle_s: float = 2.0
    patience_s: float = 30.0
    subfolders: bool = False
    only_new: bool = False

    def __post_init__(self) -> None:
        for name in ("interval_s", "settle_s", "patience_s"):
            if not getattr(self, name) > 0:
                raise RecipeError(f"{name} must be above 0, got {getattr(self, name)}")
        if f".{self.format}" not in WRITERS:
            known = ", ".join(suffix[1:] for suffix in WRITERS)
            raise RecipeError(f"nothing writes {self.format!r}: choose one of {known}")
