"""Images of any size through a network: in one pass, or by tiles where memory asks for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.float32]
"""Several images of one size, shape (planes, rows, columns)."""

Call = Callable[[Planes, float], Planes]
"""A network: maps planes and a time to planes of the same rows and columns."""

ONE_PASS = 2048 * 2048
"""Pixels that go through the network at once: about 1.5 GB of activations at most."""


def whole(
    network: Call,
    multiple: int,
    tell: Callable[[float], None] = lambda share: None,
    side: int = 1024,
    overlap: int = 128,
) -> Call:
    """`network`, freed from its demands on the image's sides and size.

    Sides are brought to a multiple of `multiple` by reflection. An image of more than `ONE_PASS`
    pixels goes by tiles, whose outputs are blended by squared-cosine windows that add up to 1.
    Whenever a part of a call is done, `tell` is told its share of that call.
    """

    def call(planes: Planes, t: float) -> Planes:
        _, rows, columns = planes.shape
        pad = [(0, 0), (0, -rows % multiple), (0, -columns % multiple)]
        padded = np.pad(planes, pad, mode="reflect" if min(rows, columns) > multiple else "edge")
        if rows * columns <= ONE_PASS:
            out = network(padded, t)
            tell(1.0)
        else:
            out = _blended(network, padded, t, tell, side, overlap)
        return out[:, :rows, :columns]

    return call


def _blended(
    network: Call,
    planes: Planes,
    t: float,
    tell: Callable[[float], None],
    side: int,
    overlap: int,
) -> Planes:
    _, rows, columns = planes.shape
    down, across = _spans(rows, side, overlap), _spans(columns, side, overlap)
    total: Planes | None = None
    for top, bottom, w_rows in down:
        for left, right, w_columns in across:
            out = network(np.ascontiguousarray(planes[:, top:bottom, left:right]), t)
            if total is None:
                total = np.zeros((len(out), rows, columns), np.float32)
            total[:, top:bottom, left:right] += w_rows[:, None] * w_columns * out
            tell(1 / (len(down) * len(across)))
    assert total is not None  # there is at least one tile
    return total


def _spans(length: int, side: int, overlap: int) -> list[tuple[int, int, NDArray[np.float32]]]:
    """Where tiles begin and end along one axis, and their weights, which add up to 1 everywhere.

    A quarter of the overlap at each border, where a tile knows too little, has weight 0.
    """
    count = max(1, -(-(length - overlap) // (side - overlap)))
    stride = side - overlap
    rise = np.clip(2 * (np.arange(overlap) + 0.5) / overlap - 0.5, 0, 1)
    ramp = (np.sin(np.pi / 2 * rise) ** 2).astype(np.float32)
    spans = []
    for i in range(count):
        start, stop = i * stride, min(i * stride + side, length)
        weight = np.ones(stop - start, np.float32)
        if i > 0:
            weight[:overlap] = ramp
        if i < count - 1:
            weight[-overlap:] = ramp[::-1]
        spans.append((start, stop, weight))
    return spans
