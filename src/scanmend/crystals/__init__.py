"""Surfaces: clean scans to learn from, one module a material."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..scan import Scan
from . import dichalcogenides, general, graphene, metals, silicon, silicon001, silicon111
from .acquisition import acquisition_noise
from .specimen import Material


class Generator(Protocol):
    """What a module of surfaces to learn from offers."""

    @property
    def TRAINING(self) -> Any:
        """The recipe that models are trained on; its `pixel_nm` is the range of pitches, nm."""
        ...

    def surface(
        self, rng: np.random.Generator, shape: tuple[int, int] = ..., recipe: Any = ...
    ) -> Scan:
        """A clean surface of `shape` = (rows, columns) pixels, drawn from `recipe`."""
        ...


SURFACES: dict[str, Generator] = {"si001h": silicon, "surface": general}
"""Every generator of surfaces to learn from. A new one is a module and a name here."""

MATERIALS: dict[str, Material] = {
    "graphene": graphene.MATERIAL,
    "mos2": dichalcogenides.MOS2,
    "wse2": dichalcogenides.WSE2,
    "si001h": silicon001.SI001H,
    "si111-7x7": silicon111.SI111,
    "au111": metals.AU111,
    "au111-22x3": metals.AU111_RECONSTRUCTED,
    "cu111": metals.CU111,
    "ag111": metals.AG111,
}
"""Every material that can be scanned. A new one is a module and a name here."""

__all__ = ["MATERIALS", "SURFACES", "Generator", "Material", "acquisition_noise", "silicon"]
