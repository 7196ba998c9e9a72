"""An image as overlapping patches of one size, and the patches as one image again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Patches:
    """Squares of `side` pixels, evenly spread over an image of `shape`.

    One gives way to the next over a quarter of its side: of 128 pixels 5 x 5, 96 apart, make up
    512 x 512. Where it does not come out even they lie closer, the outermost at the borders, so
    that each holds nothing but image; one smaller than a patch is continued by reflection.

    Attributes:
        shape: Of the image, (rows, columns).
        side: Of a patch, pixels, 4 at least.

    References:
        Kolev, Rodani et al., Sec. II A (a small overlap, a squared-cosine window)
    """

    shape: tuple[int, int]
    side: int

    @property
    def overlap(self) -> int:
        """Over how many pixels one patch gives way to the next; they share as many at least."""
        return self.side // 4

    @cached_property
    def starts(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where patches begin: rows, columns."""
        return self._starts(self.padded[0]), self._starts(self.padded[1])

    @property
    def padded(self) -> tuple[int, int]:
        """The shape, each side at least that of a patch."""
        return max(self.shape[0], self.side), max(self.shape[1], self.side)

    def __len__(self) -> int:
        return len(self.starts[0]) * len(self.starts[1])

    def cut(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """`image`, of `shape` or `padded`, as patches, shape (patches, 1, side, side)."""
        missing = [(0, n - m) for n, m in zip(self.padded, image.shape, strict=True)]
        image = np.pad(image, missing, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(image, (self.side, self.side))
        return windows[np.ix_(*self.starts)].reshape(-1, 1, self.side, self.side)

    def join(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """The inverse of `cut`: patches blended by squared-cosine windows that add up to 1."""
        total = np.zeros(self.padded, np.float32)
        down, across = (self._weights(starts) for starts in self.starts)
        patch = iter(patches[:, 0])
        for top, w_rows in zip(self.starts[0], down, strict=True):
            for left, w_columns in zip(self.starts[1], across, strict=True):
                place = np.s_[top : top + self.side, left : left + self.side]
                total[place] += w_rows[:, None] * w_columns * next(patch)
        return total[: self.shape[0], : self.shape[1]]

    def _starts(self, length: int) -> NDArray[np.intp]:
        count = -(-(length - self.side) // (self.side - self.overlap)) + 1
        return np.rint(np.linspace(0, length - self.side, count)).astype(np.intp)

    def _weights(self, starts: NDArray[np.intp]) -> NDArray[np.float32]:
        """Of the pixels of each patch along one axis; shape (patches, side)."""
        weights = np.ones((len(starts), self.side), np.float32)
        rise = np.sin(np.pi / 2 * (np.arange(self.overlap) + 0.5) / self.overlap) ** 2
        for i, (start, following) in enumerate(pairwise(starts)):
            # In the middle of what both patches hold, the farthest from the borders of either.
            begin = (following - start + self.side - self.overlap) // 2
            weights[i, begin:] = 0
            weights[i, begin : begin + self.overlap] = 1 - rise
            begin -= following - start
            weights[i + 1, :begin] = 0
            weights[i + 1, begin : begin + self.overlap] = rise
        return weights
