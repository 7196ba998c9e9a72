"""How far raters agree, beyond what chance would do: Krippendorff's alpha of ordered values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def coincidences(values: NDArray[np.integer], levels: int) -> NDArray[np.float64]:
    """How often which values were given to the same unit by two raters.

    A unit that m raters valued counts m: each of its m (m - 1) ordered pairs 1 / (m - 1). What
    only one rater valued counts nothing.

    Args:
        values: Shape (raters, units), 1 ... `levels`; 0 where there is none.
        levels: The largest value.

    Returns:
        Shape (units, levels, levels).
    """
    given = (values[..., None] == np.arange(1, levels + 1)).sum(axis=0).astype(float)
    raters = given.sum(axis=1)
    pairs = given[:, :, None] * given[:, None, :] - given[:, :, None] * np.eye(levels)
    return pairs / np.maximum(raters - 1, 1)[:, None, None]


def alpha(coincidence: NDArray[np.floating]) -> NDArray[np.float64]:
    """Krippendorff's alpha of ordered values: 1 is agreement, 0 what chance would do.

        1 - (n - 1) sum_ck o_ck d_ck / sum_ck n_c n_k d_ck
        d_ck = (n_c / 2 + n_c+1 + ... + n_k-1 + n_k / 2)^2

    Args:
        coincidence: o, shape (..., levels, levels), from `coincidences`, summed over units; its
            rows' sums are n_c, and all of it is n.

    Returns:
        Shape (...); NaN where there is nothing to compare, or only one value.

    References:
        Krippendorff, Computing Krippendorff's Alpha-Reliability (University of Pennsylvania, 2011)
    """
    counts = coincidence.sum(axis=-1)
    middle = counts.cumsum(axis=-1) - counts / 2
    distance = (middle[..., :, None] - middle[..., None, :]) ** 2
    observed = (coincidence * distance).sum(axis=(-2, -1))
    expected = np.einsum("...c,...ck,...k", counts, distance, counts)
    with np.errstate(invalid="ignore"):
        return 1 - (counts.sum(axis=-1) - 1) * observed / expected
