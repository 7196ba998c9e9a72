"""What a candidate is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

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
    """

    images: Images
    factor: int
    numbers: Sequence[int]
    seed: int
    low: NDArray[np.floating]
    span: NDArray[np.floating]
    pixel_nm: NDArray[np.floating]
    quantity: Quantity

    def scans(self) -> list[Scan]:
        """The images as they were measured, in their unit."""
        values = self.low[:, None, None] + self.span[:, None, None] * (self.images + 1.0) / 2
        return [
            Scan(v.astype(np.float32), (float(p[0]), float(p[1])), self.quantity)
            for v, p in zip(values, self.pixel_nm, strict=True)
        ]


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
        brought there by its own range, as both images of a pair are.

        Raises:
            ScanmendError: It cannot restore them; in one line.
        """
        ...


def one_by_one(batch: Batch, restore: Callable[[Scan, int], NDArray[np.floating]]) -> Images:
    """Each image as the scan it was, given with its number."""
    scans = zip(batch.scans(), batch.numbers, strict=True)
    return by_own_range(np.stack([restore(scan, number) for scan, number in scans]))


def by_own_range(images: NDArray[np.floating]) -> Images:
    """Each image, (n, rows, columns), brought to [-1, 1]; a flat one to 0.

    References:
        Kolev, Rodani et al., Sec. II A, step 9
    """
    low, high = (f(images, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    middle, half = (low + high) / 2, (high - low) / 2
    return ((images - middle) / np.where(half > 0, half, 1)).astype(np.float32)
