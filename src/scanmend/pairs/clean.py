"""Where clean images come from: real scans, or surfaces that are drawn one by one.

Images are split into those to train on, to validate with, and to test with, before anything is cut
from them: two crops of one image are no independent samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..crystals import SURFACES, acquisition_noise
from ..degrade.base import height_range
from ..errors import RecipeError
from ..scan import Quantity
from .images import SHARES, SPLITS, Folder, Piece, content, folder

__all__ = [
    "SHARES",
    "SPLITS",
    "Folder",
    "Piece",
    "Source",
    "Surface",
    "content",
    "folder",
    "source",
]


class Source(Protocol):
    """What clean images come from; can be pickled."""

    @property
    def quantity(self) -> Quantity:
        """What they measure."""
        ...

    @property
    def pixel_nm(self) -> tuple[float, float]:
        """Smallest and largest pixel pitch, nm."""
        ...

    def must_hold(self, side: int) -> None:
        """Refuses pieces that are larger than an image.

        Raises:
            RecipeError: They are.
        """
        ...

    def table(self) -> dict[str, Any]:
        """What it is, but not where; plain JSON values."""
        ...

    def piece(self, split: str, side: int, rng: np.random.Generator) -> Piece:
        """A random square part of a random image of one of `SPLITS`."""
        ...


@dataclass(frozen=True, slots=True)
class Surface:
    """Surfaces of one kind, each sample a surface of its own, with its acquisition noise.

    They lie at any angle and need no turning; the range of heights is that of the piece.

    Attributes:
        name: Of one of `crystals.SURFACES`.

    Raises:
        RecipeError: There is no such kind.
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in SURFACES:
            there = ", ".join(SURFACES)
            raise RecipeError(f"{self.name!r} is neither a folder of scans nor a surface: {there}")

    @property
    def quantity(self) -> Quantity:
        """Heights."""
        return Quantity.HEIGHT

    @property
    def pixel_nm(self) -> tuple[float, float]:
        """Smallest and largest pixel pitch, nm."""
        return SURFACES[self.name].TRAINING.pixel_nm

    def must_hold(self, side: int) -> None:
        """Surfaces are as large as they need to be."""

    def table(self) -> dict[str, Any]:
        """Its name."""
        return {"surface": self.name}

    def piece(self, split: str, side: int, rng: np.random.Generator) -> Piece:
        """A surface that is drawn for this piece: splits differ by their `rng`."""
        surface = SURFACES[self.name].surface(rng, (side, side))
        scan = acquisition_noise(surface, rng)
        return Piece(scan, height_range(scan), {"image": self.name})


def source(
    name: str, split: tuple[int, int, int] = SHARES, width_nm: float = 0.0, unit: str = ""
) -> Source:
    """Surfaces of that name, or what `folder` finds in the folder of that name.

    Args:
        name: One of `crystals.SURFACES`, or a folder of clean scans.
        split: See `folder`, as for its errors.
        width_nm, unit: Of the scans in that folder, where their files do not say them.
    """
    if name in SURFACES:
        return Surface(name)
    return folder(name, split, size_nm=(None, width_nm) if width_nm else None, unit=unit or None)
