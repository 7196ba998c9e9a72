"""Defects that a restoration made up, or wiped out: what no PSNR and no SSIM tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import models
from ..defects import finder
from ..defects.audit import HALLUCINATED, OMITTED, against_truth
from ..defects.classical import METHODS
from ..defects.marks import Marks
from ..errors import ScanError
from ..scan import Quantity, Scan


class Faults(NamedTuple):
    """How often defects of a restored image are not those of its clean one; arrays of shape (n,).

    Attributes:
        hallucinated_per_100nm2: In the restored image, and not in the clean one.
        omitted_per_100nm2: The other way.
    """

    hallucinated_per_100nm2: NDArray[np.float64]
    omitted_per_100nm2: NDArray[np.float64]


@dataclass(frozen=True)
class Finder:
    """What finds defects, in restored and in clean images alike; can be pickled.

    Attributes:
        named: A material or a family that a model was trained on, a model file, or one of
            `defects.classical.METHODS`.
    """

    named: str

    def about(self) -> dict[str, Any]:
        """Its name and, of a model, its hash.

        Raises:
            ModelError: There is no such model, or it finds no defects.
        """
        if self.named in METHODS:
            return {"name": self.named}
        model = finder.model_for(*self._which)
        return {"name": model.name, "sha256": model.sha256}

    def __call__(
        self,
        restored: NDArray[np.floating],
        clean: NDArray[np.floating],
        pixel_nm: NDArray[np.floating],
        quantity: Quantity,
    ) -> Faults:
        """Of images (n, rows, columns) and their clean ones; `pixel_nm` has shape (n, 2).

        Raises:
            ModelError: The model does not fit the images.
        """
        pairs = zip(restored, clean, pixel_nm, strict=True)
        return Faults(*np.array([self._rates(*pair, quantity) for pair in pairs]).reshape(-1, 2).T)

    def _rates(
        self,
        restored: NDArray[np.floating],
        clean: NDArray[np.floating],
        pixel_nm: NDArray[np.floating],
        quantity: Quantity,
    ) -> list[float]:
        pitch = float(pixel_nm[0]), float(pixel_nm[1])
        there = finder.found(Scan(clean.astype(np.float32), pitch, quantity), *self._which)
        scan = Scan(restored.astype(np.float32), pitch, quantity)
        try:
            here = finder.found(scan, *self._which)
        except ScanError:  # nothing is left in it
            here = there.without(scan)
        truth = Marks(there.defects.places_nm, there.defects.kinds)
        judged = against_truth(here, truth)
        return [100 * judged.rate(fate).per_nm2 for fate in (HALLUCINATED, OMITTED)]

    @property
    def _which(self) -> tuple[str | None, str | None]:
        """A material, and what is named otherwise."""
        other = self.named in METHODS or self.named in models.names() or Path(self.named).is_file()
        return (None, self.named) if other else (self.named, None)
