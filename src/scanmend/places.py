"""Places in a plane: which are too near to each other, and which of two sets are the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import KDTree

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def first_of_pairs(places: Array, apart_nm: float) -> NDArray[np.bool_]:
    """Which to keep, so that none is nearer to an earlier one that is kept."""
    kept = np.ones(len(places), bool)
    if len(places):
        pairs = KDTree(places).query_pairs(apart_nm, output_type="ndarray")
        for one, other in pairs[np.lexsort(pairs.T[::-1])]:
            kept[other] &= not kept[one]
    return kept


def best_pairs(
    one: Array,
    other: Array,
    radius_nm: float,
    kinds: tuple[Sequence[str], Sequence[str]] | None = None,
) -> tuple[Indices, Indices]:
    """Pairs places one to one, as many as can be, as near as can be; none beyond `radius_nm`.

    The optimum over all pairings, by Jonker and Volgenant's method, as SciPy has it.

    Args:
        one, other: (x, y), nm; shapes (n, 2) and (m, 2).
        radius_nm: How far apart a pair may be, nm.
        kinds: What is at each of the places. Places of one kind are paired rather than nearer ones
            of two, wherever as many pairs come about.

    Returns:
        Indices into `one` and `other`, a pair at each position.
    """
    if not len(one) or not len(other):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    near = KDTree(one).sparse_distance_matrix(KDTree(other), radius_nm, output_type="ndarray")
    n, m = len(one), len(other)
    price = 1 + (near["v"] / radius_nm) ** 2
    if kinds is not None:
        price += np.asarray(kinds[0])[near["i"]] != np.asarray(kinds[1])[near["j"]]
    # Each may stay alone, at a price that no pair can save: as many pairs as can be, then the best.
    rows = np.concatenate([near["i"], np.arange(n)])
    columns = np.concatenate([near["j"], m + np.arange(n)])
    alone = 1 + 1e3 * n * np.ones(n)
    graph = coo_matrix((np.concatenate([price, alone]), (rows, columns)), (n, m + n)).tocsr()
    mine, theirs = min_weight_full_bipartite_matching(graph)
    paired = theirs < m
    return mine[paired], theirs[paired]
