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
        model = self._model
        return {"name": model.name, "sha256": model.sha256} if model else {"name": self.named}

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
        model = self._model
        source = model.path if model else self.named
        rates = []
        for *images, (height, width) in zip(restored, clean, pixel_nm.tolist(), strict=True):
            scan, reference = (
                Scan(image.astype(np.float32), (height, width), quantity) for image in images
            )
            rates.append(_rates(scan, reference, source))
        return Faults(*np.array(rates).reshape(-1, 2).T)

    @property
    def _model(self) -> models.Model | None:
        """The model that is named, or that was trained on what is; None if it is a method."""
        if self.named in METHODS:
            return None
        if self.named in models.names() or Path(self.named).is_file():
            return finder.model_for(None, self.named)
        return finder.model_for(self.named)


def _rates(scan: Scan, clean: Scan, source: Path | str) -> list[float]:
    """Hallucinated and omitted per 100 nm2; NaN if nothing can be judged in the clean image."""
    try:
        there = finder.found(clean, source=source)
    except ScanError:
        return [np.nan, np.nan]
    try:
        here = finder.found(scan, source=source).knowing(there.maps.classes)
    except ScanError:  # nothing is left in it, or no lattice
        here = there.without(scan)
    judged = against_truth(here, Marks(there.defects.places_nm, there.defects.kinds))
    return [100 * judged.rate(fate).per_nm2 for fate in (HALLUCINATED, OMITTED)]
