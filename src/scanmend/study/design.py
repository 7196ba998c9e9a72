"""Who sees what where: order and places are shuffled, but balanced to the last one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def williams(count: int) -> NDArray[np.intp]:
    """Latin squares in which everything also follows everything else equally often.

    Each row is an order of 0 ... count - 1. In each square, `count` rows from the first on, each
    stands once at each place; each follows each other once over one square where `count` is even,
    twice over both where it is odd.

    Returns:
        One square (count, count) of an even count, else two: (2 count, count).

    References:
        Williams, Aust. J. Chem. 2, 149 (1949)
    """
    # 0, 1, n-1, 2, n-2 ...: the steps between neighbours are all different.
    first = np.zeros(count, np.intp)
    first[1::2] = np.arange(1, count // 2 + 1)
    first[2::2] = count - np.arange(1, (count + 1) // 2)
    square = (first + np.arange(count)[:, None]) % count
    return square if count % 2 == 0 else np.concatenate([square, square[:, ::-1]])


@dataclass(frozen=True, slots=True)
class Design:
    """Orders and places for any number of raters, who may join one after the other.

    Of each rater's items, each method stands at each place equally often, or once more or less; of
    each item's raters too, counted from the first. The same seed gives the same design.

    Attributes:
        items: How many.
        methods: How many are compared.
        seed: Decides what is random.
    """

    items: int
    methods: int
    seed: int

    def order(self, rater: int) -> list[int]:
        """The items as rater 0, 1 ... sees them.

        None comes twice at the same position before every item was there.
        """
        rng = np.random.default_rng([self.seed, 1])
        names, rows = rng.permutation(self.items), williams(self.items)
        block, within = divmod(rater, self.items)
        turn = block * self.items + int(rng.permutation(self.items)[within])
        return names[rows[turn % len(rows)]].tolist()

    def places(self, rater: int) -> list[list[int]]:
        """By item: the methods as rater 0, 1 ... sees them, from the first place to the last."""
        rng = np.random.default_rng([self.seed, 2])
        names, rows = rng.permutation(self.methods), williams(self.methods)
        # Items in blocks, of which each goes once through a square; a step further for each rater,
        # and, where there are two squares, to the other one after a round of them.
        slots = rng.permutation(self.items)
        shuffled = [rng.permutation(self.methods) for _ in range(0, self.items, self.methods)]
        turns = (np.concatenate(shuffled)[slots] + rater) % self.methods
        squares = slots // self.methods + rater // self.methods
        return names[rows[(squares * self.methods + turns) % len(rows)]].tolist()
