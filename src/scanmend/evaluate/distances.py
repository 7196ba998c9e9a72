r"""How far the images that a method makes are from clean ones, as sets: KID and CMMD.

Both are squared maximum mean discrepancies of features, each with its own kernel,

.. math:: MMD^2 = E\,k(x, x') + E\,k(y, y') - 2 E\,k(x, y),

and ask for no reference of any single image. They depend on the network that takes the features,
which is why its name is part of theirs, and on how many images there are, which is why that, an
interval, and what clean images have against clean ones stand beside each.

Features are arrays (n, d), a row an image.

References:
    Bińkowski et al., Demystifying MMD GANs, arXiv:1801.01401 (KID)
    Jayasumana et al., Rethinking FID, arXiv:2401.09603 (CMMD)
    Kolev, Rodani et al., arXiv:2510.25921, Eq. 12
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import RecipeError, ScanError
from .bootstrap import LEVEL, Estimate, interval, weights

Features = NDArray[np.floating]
Array = NDArray[np.float64]

SIGMA = 10.0  #: of the Gaussian kernel of CMMD, for features of length 1
SUBSETS, LARGEST = 100, 1000  #: of KID: how many subsets, and of how many images at most
LEAST = 4  #: Images of either kind in a `distance`: halves of them still hold pairs.

Convention = Literal["canonical", "kolev"]


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a set of images is from a clean one.

    Attributes:
        name: "KID[embedder]" or "CMMD[embedder]", "CMMD-kolev[embedder]" in the paper's convention.
        value: The score; lower is better.
        sd: KID's standard deviation over its subsets; None for CMMD.
        low, high: Bootstrap interval of `value`, at `level`.
        n, n_clean: How many images there were of both.
        floor: Mean score of clean images against the other clean images, over random splits; with
            the bias of `value`, which CMMD has the more of the fewer images there are.
        floor_low, floor_high: Between which two the splits' scores lie, at `level`: within them
            the set cannot be told from a clean one.
        floor_n: How many clean images each split compared with all the others.
        level: Of both intervals.
    """

    name: str
    value: float
    sd: float | None
    low: float
    high: float
    n: int
    n_clean: int
    floor: float
    floor_low: float
    floor_high: float
    floor_n: int
    level: float


def kid(
    made: Features,
    clean: Features,
    rng: np.random.Generator,
    subsets: int = SUBSETS,
    size: int | None = None,
) -> tuple[float, float]:
    """Kernel Inception distance: mean and standard deviation over random subsets.

    The kernel is (x·y/d + 1)³, the estimate of each subset is unbiased: it may be below 0.

    Args:
        made: Features of the images to be judged, (n, d).
        clean: Of clean ones, (m, d).
        rng: Which subsets.
        subsets: How many.
        size: Images of either kind in a subset; by default half of the smaller set, at most 1000.

    Raises:
        RecipeError: A subset would be larger than a set, or smaller than 2.
        ScanError: The features fit no other, or are no numbers.
    """
    products = _Products.of(made, clean, _cubic)
    n, m = products.counts
    size = min(LARGEST, max(2, min(n, m) // 2)) if size is None else size
    if not 2 <= size <= min(n, m) or subsets < 1:
        raise RecipeError(
            f"{subsets} subsets of {size} images: there must be at least one, of 2 to "
            f"{min(n, m)}, the size of the smaller set"
        )
    parts = (_subsets(count, size, subsets, rng) / size for count in (n, m))
    found = products.unbiased(*parts)
    return float(found.mean()), float(found.std())


def cmmd(made: Features, clean: Features, convention: Convention = "canonical") -> float:
    """Squared maximum mean discrepancy of features brought to length 1, with a Gaussian kernel.

    "canonical" is the kernel exp(-d²/2σ²) and 1000 times the score, as its authors publish it;
    "kolev" is exp(-d²/σ²) and not 1000 times, as Kolev, Rodani et al. print it. The latter is at
    most 2 (1 - exp(-4/σ²)) = 0.078, so their numbers were not taken that way. Pairs of an image
    with itself count (a V-statistic): it is 0 or more, the more the fewer images there are.

    Args:
        made: Features of the images to be judged, (n, d).
        clean: Of clean ones, (m, d).
        convention: Whose.

    Raises:
        RecipeError: There is no such convention.
        ScanError: The features fit no other, or are no numbers.
    """
    kernel, scale = _gaussian(convention)
    products = _Products.of(made, clean, kernel)
    return scale * float(products.biased(*products.equal())[0])


def distance(
    kind: Literal["KID", "CMMD", "CMMD-kolev"],
    made: Features,
    clean: Features,
    embedder: str,
    rng: np.random.Generator,
    level: float = LEVEL,
    resamples: int = 1000,
    splits: int = 200,
) -> Distance:
    """A score with all that belongs to it.

    An image drawn twice in a resampling is not compared with itself, which would make sets look
    more alike than they are. The interval of CMMD is moved by what its bias is, and so is its
    floor: of fewer images than the score, it would have a larger one of its own.

    Args:
        kind: Which score.
        made: Features of the images to be judged, (n, d).
        clean: Of clean ones, (m, d).
        embedder: Name of the network that took the features.
        rng: Of subsets, resamplings and splits.
        level: Of the intervals.
        resamples: How many sets are drawn for the bootstrap.
        splits: How often the clean set is split for its floor.

    Raises:
        RecipeError: There is no such score.
        ScanError: The features fit no other, are no numbers, or there are fewer than 4 of either.
    """
    if kind not in KINDS:
        raise RecipeError(f"there is no score {kind!r}; there are {', '.join(KINDS)}")
    if min(len(made), len(clean)) < LEAST:
        raise ScanError(
            f"{len(made)} images against {len(clean)} clean ones: a distance with its interval and "
            f"floor needs {LEAST} of each"
        )
    if kind == "KID":
        kernel, scale = _cubic, 1.0
        products = _Products.of(made, clean, kernel)
        (value, sd), bias = kid(made, clean, rng), 0.0
    else:
        kernel, scale = _gaussian("kolev" if kind == "CMMD-kolev" else "canonical")
        products = _Products.of(made, clean, kernel)
        value, sd = scale * float(products.biased(*products.equal())[0]), None
        bias = value - scale * float(products.unbiased(*products.equal())[0])
    n, m = products.counts
    a, b = weights(n, rng, resamples), weights(m, rng, resamples)
    varied = (a.max(axis=1) < 1) & (b.max(axis=1) < 1)  # one image alone makes no pair
    drawn = products.unbiased(a[varied], b[varied])
    _, low, high = interval(value, scale * drawn + bias, level)

    part = min(n, m // 2)
    chosen = _subsets(m, part, splits, rng)
    within = _Products(products.yy, products.yy, products.yy)
    halves = (chosen / part, (1 - chosen) / (m - part))
    floors = scale * within.unbiased(*halves) + bias
    floor = interval(float(floors.mean()), floors, level)
    return Distance(
        name=f"{kind}[{embedder}]",
        value=value,
        sd=sd,
        low=low,
        high=high,
        n=n,
        n_clean=m,
        floor=floor.value,
        floor_low=floor.low,
        floor_high=floor.high,
        floor_n=part,
        level=level,
    )


def kid_difference(
    first: Features,
    second: Features,
    clean: Features,
    rng: np.random.Generator,
    level: float = LEVEL,
    resamples: int = 1000,
) -> Estimate:
    """By how much the KID of one set exceeds that of another, both made of the same images.

    The same images are drawn of both, so that what is hard for either falls out of the interval.

    Args:
        first: Features of what one method made, (n, d).
        second: Of what another made of the same images, in their order, (n, d).
        clean: Of clean images, (m, d).
        rng: Of the resamplings.
        level: Of the interval.
        resamples: How many sets are drawn.

    Raises:
        ScanError: The two sets have not as many images; else as `kid` does.
    """
    if len(first) != len(second):
        raise ScanError(
            f"{len(first)} images against {len(second)}: a difference is taken of what two "
            "methods made of the same ones"
        )
    both = [_Products.of(made, clean, _cubic) for made in (first, second)]
    n, m = both[0].counts
    a, b = weights(n, rng, resamples), weights(m, rng, resamples)
    varied = (a.max(axis=1) < 1) & (b.max(axis=1) < 1)
    one, other = (products.unbiased(a[varied], b[varied]) for products in both)
    value, of = (float(products.unbiased(*products.equal())[0]) for products in both)
    return interval(value - of, one - other, level)


KINDS = ("KID", "CMMD", "CMMD-kolev")


class _Products(NamedTuple):
    """The kernel of all pairs: of the made ones, (n, n), the clean, (m, m), and both, (n, m)."""

    xx: Array
    yy: Array
    xy: Array

    @classmethod
    def of(cls, made: Features, clean: Features, kernel: Callable[[Array, Array], Array]):
        if made.ndim != 2 or clean.ndim != 2 or made.shape[1] != clean.shape[1]:
            raise ScanError(
                f"features are arrays (images, d) of one d, got {made.shape} and {clean.shape}"
            )
        if min(len(made), len(clean)) < 2:
            raise ScanError(
                f"{len(made)} images against {len(clean)} clean ones: a distance needs 2 of each"
            )
        x, y = made.astype(np.float64), clean.astype(np.float64)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise ScanError("features are not finite: is an image constant, or not measured?")
        return cls(kernel(x, x), kernel(y, y), kernel(x, y))

    @property
    def counts(self) -> tuple[int, int]:
        return self.xy.shape  # type: ignore[return-value]

    def equal(self) -> tuple[Array, Array]:
        """Weights in which each image counts as much as another, (1, n) and (1, m)."""
        n, m = self.counts
        return np.full((1, n), 1 / n), np.full((1, m), 1 / m)

    def biased(self, a: Array, b: Array) -> Array:
        """MMD² of the images with weights `a` (k, n) and `b` (k, m), each row's sum 1; (k,)."""
        return _form(a, self.xx, a) + _form(b, self.yy, b) - 2 * _form(a, self.xy, b)

    def unbiased(self, a: Array, b: Array) -> Array:
        """The same without the pairs of an image with itself."""
        within = 0.0
        for w, k in ((a, self.xx), (b, self.yy)):
            square = w**2
            within = within + (_form(w, k, w) - square @ np.diag(k)) / (1 - square.sum(axis=1))
        return within - 2 * _form(a, self.xy, b)


def _form(a: Array, kernel: Array, b: Array) -> Array:
    return np.einsum("ij,ij->i", a @ kernel, b)


def _subsets(count: int, size: int, subsets: int, rng: np.random.Generator) -> Array:
    """Random sets of `size` among `count` things, (subsets, count): 1 for those in it, else 0."""
    return (rng.random((subsets, count)).argsort(axis=1) < size).astype(np.float64)


def _cubic(x: Array, y: Array) -> Array:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _gaussian(convention: str) -> tuple[Callable[[Array, Array], Array], float]:
    """The kernel of CMMD, and what its score is multiplied by."""
    if convention not in ("canonical", "kolev"):
        raise RecipeError(f"CMMD is canonical or kolev, got {convention!r}")
    gamma, scale = {"canonical": (1 / (2 * SIGMA**2), 1000.0), "kolev": (1 / SIGMA**2, 1.0)}[
        convention
    ]

    def kernel(x: Array, y: Array) -> Array:
        x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y))
        return np.exp(gamma * (2 * x @ y.T - 2))

    return kernel, scale
