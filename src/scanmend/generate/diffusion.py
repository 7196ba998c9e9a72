r"""Diffusion: noise is taken out of an image bit by bit, as a network says what noise is in it.

After k of T times an image is :math:`x_k = \sqrt{\bar\alpha_k}\,x_0 + \sqrt{1 - \bar\alpha_k}\,
\varepsilon`; the network, which is told k/T, predicts :math:`\varepsilon`.

References:
    Ho et al., DDPM, arXiv:2006.11239, algorithm 2
    Song et al., DDIM, arXiv:2010.02502, Eq. 12
    Nichol & Dhariwal, Improved DDPM, arXiv:2102.09672, Eq. 17
    Lin et al., arXiv:2305.08891, Sec. 3.3 (which times to take: the last must be among them)
    Kolev, Rodani et al., Eqs. 2, 4, 5, of which alpha_t is what is written alpha-bar_t elsewhere
    Saharia et al., SR3, arXiv:2104.07636 (ancestral sampling, given another image)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RecipeError
from .contract import Array, Network, at_least_one_step, one_of


@dataclass(frozen=True)
class Diffusion:
    """From noise to the image, by what noise the network finds in it.

    Attributes:
        schedule: How the noise rises: "cosine", or "linear" (beta from 1e-4 to 0.02).
        times: How many times there are, T.
        sampler: "ddim", without further noise, or "ancestral", with noise of variance beta.
        clip: Whether what is predicted of the image is cut off at [-1, 1] in each step. With the
            cosine schedule it must be: at T, where 1 part in 20,000 of the image is left, a
            network's smallest error would blow it up.
        fourier: Share of the loss that compares spectra; see `scanmend.objective`.
    """

    schedule: str = "cosine"
    times: int = 1000
    sampler: str = "ddim"
    clip: bool = True
    fourier: float = 0.0

    def __post_init__(self) -> None:
        one_of("schedule", self.schedule, ("cosine", "linear"))
        one_of("sampler", self.sampler, ("ddim", "ancestral"))
        if self.times < 1:
            raise RecipeError(f"times must be at least 1, got {self.times}")
        if not 0 <= self.fourier <= 1:
            raise RecipeError(f"fourier is a share from 0 to 1, got {self.fourier}")

    @cached_property
    def kept(self) -> NDArray[np.float64]:
        """Alpha-bar: what is left of the image's variance after k = 0 (all of it) to T times."""
        if self.schedule == "linear":
            beta = np.linspace(1e-4, 0.02, self.times)
        else:
            angle = (np.arange(self.times + 1) / self.times + 0.008) / 1.008 * np.pi / 2
            # At the end nothing would be left to divide by.
            beta = np.minimum(1 - np.cos(angle[1:]) ** 2 / np.cos(angle[:-1]) ** 2, 0.999)
        return np.concatenate([[1.0], np.cumprod(1 - beta)])

    def visited(self, steps: int) -> list[int]:
        """The k at which the network is called, from T down, evenly spaced; then 0.

        Raises:
            RecipeError: There are not so many.
        """
        at_least_one_step(steps)
        if steps > self.times:
            raise RecipeError(f"a diffusion of {self.times} times takes no {steps} steps")
        return [round(self.times * (1 - i / steps)) for i in range(steps + 1)]

    def calls(self, steps: int) -> int:
        """One a step."""
        return steps

    def restore(
        self, network: Network[Array], degraded: Array, normal: Callable[[], Array], steps: int
    ) -> Array:
        """See `contract.Method`; clipped if `clip`."""
        visited = self.visited(steps)
        x: Any = normal()
        for k, following in pairwise(visited):
            noise: Any = network(x, degraded, k / self.times)
            kept, left = float(self.kept[k]), float(self.kept[following])
            image = (x - sqrt(1 - kept) * noise) / sqrt(kept)
            if self.clip:
                image = image.clip(-1, 1)
            if self.sampler == "ddim":
                x = sqrt(left) * image + sqrt(1 - left) * noise
                continue
            alpha = kept / left
            x = (sqrt(left) * (1 - alpha) * image + sqrt(alpha) * (1 - left) * x) / (1 - kept)
            if following:
                x = x + sqrt(1 - alpha) * normal()  # type: ignore[operator]
        return x
