"""How many defects there are, and whether they keep to each other or apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.spatial import KDTree
from scipy.stats import chi2

from ..errors import ScanError
from ..scan import Scan

Array = NDArray[np.float64]

LEVEL = 0.95
_STEP_NM, _MOST_STEPS = 0.25, 40
_SCATTERINGS = 39  # at random, of which the band is all but the outermost 2.5 % on either side


def poisson_interval(count: int, level: float = LEVEL) -> tuple[float, float]:
    """Between which expectations a count lies: the exact central interval of a Poisson process.

    References:
        F. Garwood, Biometrika 28, 437 (1936), doi:10.1093/biomet/28.3-4.437
    """
    rest = (1 - level) / 2
    low = float(chi2.ppf(rest, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(1 - rest, 2 * count + 2)) / 2


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of things on an area.

    Attributes:
        count: How many.
        per_nm2: That by the area, 1/nm2.
        low_per_nm2, high_per_nm2: The Poisson interval of it, 95 %.
    """

    count: int
    per_nm2: float
    low_per_nm2: float
    high_per_nm2: float

    @classmethod
    def of(cls, count: int, area_nm2: float) -> Rate:
        """`count` on `area_nm2`."""
        low, high = poisson_interval(count)
        return cls(count, count / area_nm2, low / area_nm2, high / area_nm2)

    def per_100_nm2(self) -> dict[str, float | int]:
        """The same on 100 nm2, as plain JSON values."""
        names = ("per_100_nm2", "low_per_100_nm2", "high_per_100_nm2")
        values = (self.per_nm2, self.low_per_nm2, self.high_per_nm2)
        rates = {n: float(f"{100 * v:.4g}") for n, v in zip(names, values, strict=True)}
        return {"count": self.count} | rates


def area_nm2(scan: Scan) -> float:
    """How much was measured."""
    return float(np.isfinite(scan.values).sum()) * math.prod(scan.pixel_nm)


@dataclass(frozen=True, slots=True, eq=False)
class PairCorrelation:
    """How many neighbours a defect has at a distance, beside as many scattered at random.

    Attributes:
        r_nm: Middle of each ring, nm; shape (rings,).
        g: 1 for random, below where they keep apart, above where they gather.
        low, high: The band in which 95 % of random scatterings of as many lie, at each distance.
        count: How many defects.
    """

    r_nm: Array
    g: Array
    low: Array
    high: Array
    count: int


def pair_correlation(
    places_nm: Array, scan: Scan, rng: np.random.Generator, step_nm: float = _STEP_NM
) -> PairCorrelation:
    """The pair correlation function of places in a scan, up to a quarter of its shorter side.

    Each pair counts with the inverse of the area on which a pair so far apart, in that direction,
    can be seen at all (the translation correction), so that neither the frame's edges nor gaps
    bend it.

    Args:
        places_nm: (x, y) from the frame's middle, nm; shape (n, 2), at least 2.
        scan: In which they are; NaN where nothing could be found.
        rng: Scatters as many at random, for the band.
        step_nm: Width of a ring, nm; wider where there would be more than 40.

    Raises:
        ScanError: There are fewer than 2.

    References:
        J. Ohser and D. Stoyan, Biom. J. 23, 523 (1981), doi:10.1002/bimj.4710230602
    """
    if len(places_nm) < 2:
        raise ScanError(f"pairs need 2 defects, got {len(places_nm)}")
    farthest = min(scan.size_nm) / 4
    rings = min(max(1, int(farthest / step_nm)), _MOST_STEPS)
    edges = np.linspace(0, farthest, rings + 1)
    seen = _Seen(scan)
    g = _correlated(places_nm, edges, seen)
    random = [
        _correlated(seen.scattered(len(places_nm), rng), edges, seen) for _ in range(_SCATTERINGS)
    ]
    low, high = np.quantile(random, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return PairCorrelation((edges[1:] + edges[:-1]) / 2, g, low, high, len(places_nm))


class _Seen:
    """Where in a scan places can be found, and how much of it a pair of them can be seen on."""

    def __init__(self, scan: Scan) -> None:
        self.pixel_nm, self.size_nm = np.array(scan.pixel_nm), np.array(scan.size_nm)
        self.area_nm2 = area_nm2(scan)
        known = np.isfinite(scan.values)
        self.at = None if known.all() else np.argwhere(known)
        self.shape = np.array(known.shape)
        if self.at is not None:
            mask = known.astype(np.float64)
            self.overlap_px = fftconvolve(mask, mask[::-1, ::-1]).clip(0)

    def pair_nm2(self, apart_nm: Array) -> Array:
        """The area of what is seen both there and `apart_nm` (x, y) from there; shape (pairs,)."""
        yx = abs(apart_nm[:, ::-1])
        if self.at is None:
            return np.prod(self.size_nm - yx, axis=1)
        row, column = (np.rint(apart_nm[:, ::-1] / self.pixel_nm).astype(int) + self.shape - 1).T
        return self.overlap_px[row, column] * self.pixel_nm.prod()

    def scattered(self, count: int, rng: np.random.Generator) -> Array:
        """So many random places, (x, y) from the middle."""
        if self.at is None:
            return (rng.random((count, 2)) - 0.5) * self.size_nm[::-1]
        pixel = self.at[rng.integers(0, len(self.at), count)] + rng.uniform(-0.5, 0.5, (count, 2))
        return ((pixel - (self.shape - 1) / 2) * self.pixel_nm)[:, ::-1]


def _correlated(places: Array, edges: Array, seen: _Seen) -> Array:
    """g in each ring."""
    one, other = KDTree(places).query_pairs(edges[-1], output_type="ndarray").T
    apart = places[other] - places[one]
    # Each pair is seen twice, from either end.
    weights = 2 / np.maximum(seen.pair_nm2(apart), seen.pixel_nm.prod())
    total = np.histogram(np.hypot(*apart.T), edges, weights=weights)[0]
    density2 = len(places) * (len(places) - 1) / seen.area_nm2**2
    return total / (np.pi * np.diff(edges**2) * density2)
