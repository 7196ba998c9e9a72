"""How far two images are apart in reciprocal space, where a lattice is a few spots.

References:
    Fuoli et al., Fourier Space Losses, arXiv:2106.00783, Eqs. 5 and 6
    Kolev, Rodani et al., Eq. 4
"""

from __future__ import annotations

import torch
from torch import Tensor


def spectra_apart(image: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Mean absolute difference of the amplitudes, and of the phases; each of shape (batch,).

    The transform keeps the norm. The difference of two phases is the shorter way round, in radians,
    and counts by the amplitude of `image`: where there is none, the phase is that of rounding
    errors. Both are so in the unit of the image.

    Args:
        image: Shape (batch, 1, rows, columns).
        other: As `image`.
    """
    wanted, got = (torch.fft.fft2(x.float(), norm="ortho") for x in (image, other))
    amplitudes = (wanted.abs() - got.abs()).abs()
    phases = wanted.abs() * torch.angle(got * wanted.conj()).abs()
    return amplitudes.flatten(1).mean(1), phases.flatten(1).mean(1)
