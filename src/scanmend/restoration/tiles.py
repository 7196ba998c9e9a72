"""Images of any size through a network: in one pass, or by tiles where memory asks for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.float32]
"""Several images of one size, shape (planes, rows, columns)."""

Call = Callable[[Planes, float], Planes]
"""A network: maps planes and a time to planes of the same rows and columns."""

SIDE = 2048
"""Rows and columns that go through the network at once at most: about 1.5 GB of activations."""


def whole(
    network: Call,
    multiple: int,
    reach: int,
    tell: Callable[[float], None] = lambda share: None,
    side: int = SIDE,
) -> Call:
    """`network`, freed from its demands on the image's sides and size.

    Sides are brought to a multiple of `multiple` by reflection. An image of more than `side` x
    `side` pixels goes by tiles, each with all around it that its pixels depend on, so that nothing
    tells where one ends. Whenever a part of a call is done, `tell` is told its share of that call.

    Args:
        network: What is called.
        multiple: Its sides must be divisible by this; pixels must be the same to it so far apart.
        reach: Pixels farther off than this do not change a pixel.
        tell: See above.
        side: Of the largest image that goes in one pass.
    """

    def call(planes: Planes, t: float) -> Planes:
        _, rows, columns = planes.shape
        pad = [(0, 0), (0, -rows % multiple), (0, -columns % multiple)]
        padded = np.pad(planes, pad, mode="reflect" if min(rows, columns) > multiple else "edge")
        if rows * columns <= side**2:
            out = network(padded, t)
            tell(1.0)
        else:
            out = _tiled(network, padded, t, tell, side, reach, multiple)
        return out[:, :rows, :columns]

    return call


def _tiled(
    network: Call,
    planes: Planes,
    t: float,
    tell: Callable[[float], None],
    side: int,
    reach: int,
    multiple: int,
) -> Planes:
    _, rows, columns = planes.shape
    margin = -(-reach // multiple) * multiple
    # Of whole blocks, and however far it reaches, some of a tile must be its own.
    step = max((side - 2 * margin) // multiple, 1) * multiple
    tops, lefts = range(0, rows, step), range(0, columns, step)
    whole: Planes | None = None
    for top in tops:
        for left in lefts:
            row, column = max(0, top - margin), max(0, left - margin)
            seen = planes[:, row : top + step + margin, column : left + step + margin]
            out = network(np.ascontiguousarray(seen), t)
            if whole is None:
                whole = np.empty((len(out), rows, columns), np.float32)
            own = out[:, top - row :, left - column :][:, :step, :step]
            whole[:, top : top + step, left : left + step] = own
            tell(1 / (len(tops) * len(lefts)))
    assert whole is not None  # there is at least one tile
    return whole
