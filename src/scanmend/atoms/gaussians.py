r"""A sum of Gaussians, fitted to all columns of an image at once.

In a disc about each column the image is

.. math:: b_i + \sum_j h_j \exp\left(-\frac{(r - r_j)^2}{2 w_j^2}\right)

with the Gaussians of all others in it, so that what overlaps is told apart, as StatSTEM does (De
Backer et al.); b_i is its own. Pixels are weighted by their variance, read + gain times what the
model expects there, which for counts is the method of scoring, and leads to the greatest likelihood
(Nelder and Wedderburn). It goes in sweeps: a step of a column, with the others as they have become
by then. A column's width is held near the common one, which is fitted first, by a prior: few
electrons do not tell a wide column from a background.

References:
    A. De Backer et al., Ultramicroscopy 171, 104 (2016), doi:10.1016/j.ultramic.2016.08.018
    J. A. Nelder, R. W. M. Wedderburn, J. R. Stat. Soc. A 135, 370 (1972), doi:10.2307/2344614
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .sweeps import AGAIN, BACKGROUND, FIRST, HEIGHT, WIDTH, add, equations, judge, settle

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Noise:
    """The variance of a pixel: `read` and `gain` times what is expected there.

    Attributes:
        read: In the image's unit squared.
        gain: In the image's unit; 1 for counted electrons.
    """

    read: float
    gain: float


@dataclass(frozen=True, slots=True, eq=False)
class Gaussians:
    """What was fitted.

    Attributes:
        places_nm: (y, x) from the middle of pixel [0, 0], nm; shape (n, 2).
        heights, backgrounds: In the image's unit; shape (n,).
        widths_nm: Standard deviations of the Gaussians, nm; shape (n,).
        errors: One standard deviation of y, x, height, width and background, in their units, with
            the other columns as they are; shape (n, 5).
        evidence: Heights in standard deviations, as far as noise is concerned; shape (n,).
        seen: Share of the pixels of a whole disc that were there; shape (n,).
        left: The image without the Gaussians, but with its backgrounds; shape (rows, columns).
        width_nm: The common width, nm.
    """

    places_nm: Array
    heights: Array
    backgrounds: Array
    widths_nm: Array
    errors: Array
    evidence: Array
    seen: Array
    left: Array
    width_nm: float

    def start(self, kept: NDArray[np.bool_]) -> Array:
        """Some of them, to be fitted again."""
        logs = np.log(self.widths_nm)
        columns = (*self.places_nm.T, self.heights, logs, self.backgrounds)
        return np.stack(columns, axis=1)[kept]


def start(places_nm: Array, width_nm: float) -> Array:
    """Columns of which only the places (y, x) are known, nm; shape (n, 5)."""
    state = np.zeros((len(places_nm), 5))
    state[:, :2], state[:, WIDTH] = places_nm, math.log(width_nm)
    return state


def fit(
    values: Array,
    noise: Noise,
    pixel_nm: tuple[float, float],
    first: Array,
    width_nm: float,
    again: bool = False,
) -> Gaussians:
    """Fits columns.

    Args:
        values: The image; what is NaN is left out; shape (rows, columns).
        noise: Of its pixels; read above 0.
        pixel_nm: Pixel pitch (rows, columns), nm.
        first: To begin with, from `start` or `Gaussians.start`; shape (n, 5).
        width_nm: About the standard deviation of a column.
        again: Whether that is the common width; each then gets one of its own. Else it is fitted,
            and all have it.
    """
    state = first.copy()
    image = values, noise.read, noise.gain, *pixel_nm
    model = np.zeros_like(values)
    for one in state:
        add(model, *pixel_nm, one, 1.0)
    common = settle(*image, model, state, math.log(width_nm), AGAIN if again else FIRST)
    errors, seen, evidence = judge(*image, model, state, common)
    widths = np.exp(state[:, WIDTH])
    errors[:, WIDTH] *= widths
    return Gaussians(
        *(state[:, :2], state[:, HEIGHT], state[:, BACKGROUND], widths),
        *(errors, evidence, seen, values - model, math.exp(common)),
    )


def with_noise(
    values: Array, noise: Noise, pixel_nm: tuple[float, float], found: Gaussians
) -> Gaussians:
    """`found`, which `fit` made of this image, with the errors that another noise would leave."""
    state = found.start(np.ones(len(found.heights), bool))
    image = values, noise.read, noise.gain, *pixel_nm
    errors, _, _ = judge(*image, values - found.left, state, math.log(found.width_nm))
    errors[:, WIDTH] *= found.widths_nm
    return replace(found, errors=errors)


def at(
    values: Array, noise: Noise, pixel_nm: tuple[float, float], found: Gaussians, place_nm: Array
) -> tuple[float, float]:
    """Height of a column just there beside those found, and its standard deviation.

    It has the common width; a background is fitted besides.

    Args:
        values, noise, pixel_nm: What was given to `fit`, which made `found` of it.
        found: All others.
        place_nm: (y, x), nm.
    """
    state = np.array((*place_nm, 0.0, math.log(found.width_nm), 0.0))
    cut = np.ix_((HEIGHT, BACKGROUND), (HEIGHT, BACKGROUND))
    model = values - found.left
    inverse = np.zeros((2, 2))
    for _ in range(4):
        normal, right, _, _ = equations(
            *(values, noise.read, noise.gain, *pixel_nm), model, state, found.width_nm
        )
        inverse = np.linalg.pinv(normal[cut])
        step = inverse @ right[[HEIGHT, BACKGROUND]]
        add(model, *pixel_nm, np.array((*state[:2], step[0], *state[3:])), 1.0)
        state[[HEIGHT, BACKGROUND]] += step
    return float(state[HEIGHT]), math.sqrt(max(float(inverse[0, 0]), 0.0))
