"""What a candidate is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..degrade.low_dose import Kernel, interpolation
from ..scan import Quantity, Scan

Images = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Degraded images, with what is known of them.

    Attributes:
        images: In [-1, 1], shape (n, rows, columns).
        factor: Each measured line stands on this many rows.
        numbers: Theirs in the set: with the seed, they decide the noise.
        seed: Of all noise.
        low, span: Lowest value of each image, and its range, in the unit of `quantity`; (n,).
        pixel_nm: Pixel pitch of each, (n, 2): rows, columns.
        quantity: What a pixel measures.
        kernel: By what the images were interpolated from `factor` times fewer pixels on both axes;
            None where lines repeat.
        clean_low, clean_span: Of the clean images, where they are known; (n,).
    """

    images: Images
    factor: int
    numbers: Sequence[int]
    seed: int
    low: NDArray[np.floating]
    span: NDArray[np.floating]
    pixel_nm: NDArray[np.floating]
    quantity: Quantity
    kernel: Kernel | None = None
    clean_low: NDArray[np.floating] | None = None
    clean_span: NDArray[np.floating] | None = None

    def first(self) -> Batch:
        """The first image alone."""
        each = ("images", "numbers", "low", "span", "pixel_nm", "clean_low", "clean_span")
        known = {name: getattr(self, name) for name in each}
        return replace(self, **{k: None if v is None else v[:1] for k, v in known.items()})

    def scans(self) -> list[Scan]:
        """The images as they were measured, in their unit."""
        values = self.low[:, None, None] + self.span[:, None, None] * (self.images + 1.0) / 2
        return [
            Scan(v.astype(np.float32), (float(p[0]), float(p[1])), self.quantity)
            for v, p in zip(values, self.pixel_nm, strict=True)
        ]

    def fewer(self, scan: Scan) -> Scan:
        """What was measured, before `kernel` made it one of `scans`."""
        if self.kernel is None:
            raise ValueError("lines of this batch repeat")
        down, across = (_undone(n, self.factor, self.kernel) for n in scan.values.shape)
        return scan.after("interpolation undone", down @ scan.values.astype(np.float64) @ across.T)

    def bounded(self, values: NDArray[np.floating]) -> Images:
        """Restored images in the unit of `quantity`, (n, rows, columns), as a candidate gives them.

        Heights have no origin: each image is brought to [-1, 1] by its own range. Counts have one:
        where the clean image is known, they are brought there by its range, and so compared.
        """
        if self.quantity is not Quantity.COUNTS or self.clean_low is None:
            return by_own_range(values)
        assert self.clean_span is not None
        low, span = self.clean_low[:, None, None], self.clean_span[:, None, None]
        return (2 * (values - low) / np.where(span > 0, span, 1) - 1).astype(np.float32)


class Candidate(Protocol):
    """Something that restores; can be pickled."""

    @property
    def name(self) -> str:
        """As the tables call it."""
        ...

    @property
    def steps(self) -> int | None:
        """Of its sampler; None for what takes none."""
        ...

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it is for, of `pairs.sets.TASKS`."""
        ...

    @property
    def calls(self) -> int | None:
        """Of its network for an image; None for what has none."""
        ...

    def about(self) -> dict[str, Any]:
        """What it is, but not where: plain JSON values, the same for the same candidate."""
        ...

    def call(self, image: Images) -> None:
        """Calls the network, if any, for one image (rows, columns): to see how long that takes."""
        ...

    def restore(self, batch: Batch) -> Images:
        """Clean images in [-1, 1], shape (n, rows, columns); each the same in whatever batch it is.

        What was trained on pairs knows how a clean image lies in that range. What was not is
        brought there by `Batch.bounded`.

        Raises:
            ScanmendError: It cannot restore them; in one line.
        """
        ...


def one_by_one(batch: Batch, restore: Callable[[Scan, int], NDArray[np.floating]]) -> Images:
    """Each image as the scan it was, given with its number."""
    scans = zip(batch.scans(), batch.numbers, strict=True)
    return batch.bounded(np.stack([restore(scan, number) for scan, number in scans]))


@lru_cache(maxsize=8)
def _undone(pixels: int, factor: int, kernel: Kernel) -> NDArray[np.float64]:
    """The matrix, (pixels // factor, pixels), that undoes an interpolation of `LowDose`."""
    up = interpolation(pixels // factor, pixels, kernel)
    return np.asarray(np.linalg.pinv(up), np.float64)


def by_own_range(images: NDArray[np.floating]) -> Images:
    """Each image, (n, rows, columns), brought to [-1, 1]; a flat one to 0.

    References:
        Kolev, Rodani et al., Sec. II A, step 9
    """
    low, high = (f(images, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    middle, half = (low + high) / 2, (high - low) / 2
    return ((images - middle) / np.where(half > 0, half, 1)).astype(np.float32)
