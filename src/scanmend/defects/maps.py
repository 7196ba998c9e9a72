"""From a scan to maps of defects: a plane for each class, high where one is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import models
from ..errors import ModelError
from ..restoration import prepare
from ..restoration.posterior import REACH
from ..restoration.tiles import whole
from ..scan import Scan
from .view import view

THRESHOLD = 0.3
"""How high the maps of a network must be, added, for a defect, if its card does not say it."""
RADIUS_NM = 0.3  #: [nm] how far apart two finds of one defect may be

_SIDE = 64  # of what a network learnt from, in pixels, if its card does not say it


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """How much each place of a scan looks like the middle of a defect.

    Attributes:
        scan: Which.
        values: A plane for each class, float32, shape (classes, rows, columns), on a grid that
            covers the scan; 0 where it was not measured.
        classes: What is mapped, in the order of the planes.
        sigma_nm: Standard deviation of the peak that a defect makes, about, nm.
        threshold: What a peak must reach at least to be one.
        unit: What 1 is: "of 1" of networks, at a defect; "standard deviations", of noise.
        made: What made them, plain JSON values.
        exclusive: Whether there is one class at most at a place, as networks learn.
        radius_nm: How far apart two finds of one defect may be, nm.
    """

    scan: Scan
    values: NDArray[np.float32]
    classes: tuple[str, ...]
    sigma_nm: float
    threshold: float
    unit: str = "of 1"
    made: dict[str, Any] = field(default_factory=dict)
    exclusive: bool = True
    radius_nm: float = RADIUS_NM

    def sure(self) -> NDArray[np.float32]:
        """How surely any defect is at a place; shape (rows, columns).

        What is one class or another shows in the maps of both, in each the less: they are added.
        """
        values = self.values.clip(0)
        return values.sum(0) if self.exclusive else values.max(0)

    @property
    def pixel_nm(self) -> tuple[float, float]:
        """Pitch of the maps, which may not be that of the scan, nm."""
        (height, width), (rows, columns) = self.scan.size_nm, self.values.shape[1:]
        return height / rows, width / columns


def maps(scan: Scan, model: models.Model) -> Maps:
    """Runs a model that finds defects.

    The scan is shown to it as to a model that restores: without jumps of the tip's length and
    without its plane, gaps filled in and said to be gaps, at a pitch that it knows.

    Args:
        scan: Measured or restored.
        model: See `finder.model_for`.

    Raises:
        ModelError: The model finds no defects, or does not fit the scan's unit, pixels or size.
        ScanError: The scan holds infinities, or nothing but NaN, or one value, or is too large or
            too small.
    """
    must_find(model)
    prepare.sound(scan, model, *scan.values.shape)
    prepare.must_be_near(scan.pixel_nm, model)
    pitch = prepare.pitch(scan.pixel_nm, model)
    _must_be_large(scan, pitch, model)
    image = view(scan, pitch)
    card = model.card
    call = whole(model.network, card["multiple"], card.get("reach", REACH))
    values = call(image, 0.0) * image[1]
    rows, columns = values.shape[1:]
    height, width = scan.size_nm
    return Maps(
        scan,
        values,
        tuple(card["classes"]),
        card["sigma_nm"],
        card.get("threshold", THRESHOLD),
        made={
            "model": model.name,
            "model_sha256": model.sha256,
            "runtime": model.network.runtime,
            "model_pixel_nm": [height / rows, width / columns],
        },
    )


def must_find(model: models.Model) -> None:
    """Refuses a model that finds no defects."""
    if not model.finds_defects:
        raise ModelError(
            f"{model.name} restores scans and finds no defects: name a material, or another model"
        )


def _must_be_large(scan: Scan, pitch: tuple[float, float], model: models.Model) -> None:
    """Refuses a scan of which a network cannot see as much as it learnt from."""
    card = model.card
    least = min(card.get("reach", REACH), card.get("side", _SIDE))
    sides = [round(size / p) for size, p in zip(scan.size_nm, pitch, strict=True)]
    if min(sides) < least:
        rows, columns = sides
        raise ModelError(
            f"{model.name} looks {least} pixels far, and this scan has {columns}x{rows} of the "
            f"{max(pitch):.3g} nm it is shown: take a scan of {least * max(pitch):.3g} nm or more"
        )
