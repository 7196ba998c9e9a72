"""Large images through a network: what a tile's border would spoil must not be seen."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import scanmend
from scanmend.restoration import tiles
from scanmend.restoration.posterior import REACH


def smooth(planes, t):
    """Stands where a network does: local, demands sides divisible by 8, and knows the time.

    It reaches 12 pixels far, and sees at which of 8 places a pixel is.
    """
    assert planes.shape[1] % 8 == planes.shape[2] % 8 == 0
    assert planes.dtype == np.float32
    place = np.float32(np.arange(planes.shape[2]) % 8)
    return np.stack([gaussian_filter(planes[0], 3.0) + place, planes[1] + np.float32(t)])


@pytest.mark.parametrize("shape", [(64, 64), (61, 70), (9, 200), (5, 6)])
def test_sides_need_not_be_divisible(shape, rng):
    image = rng.standard_normal((2, *shape)).astype(np.float32)
    out = tiles.whole(smooth, 8, 12)(image, 0.5)
    assert out.shape == (2, *shape)
    np.testing.assert_array_equal(out[1], image[1] + np.float32(0.5))


@pytest.mark.parametrize("shape", [(300, 210), (128, 260), (96, 97), (500, 64)])
def test_nothing_tells_where_a_tile_ends(shape, rng):
    image = rng.standard_normal((2, *shape)).astype(np.float32)
    one_pass = tiles.whole(smooth, 8, 12)(image, 0.25)
    shares: list[float] = []
    tiled = tiles.whole(smooth, 8, 12, shares.append, side=80)(image, 0.25)
    np.testing.assert_array_equal(tiled, one_pass)
    assert sum(shares) == pytest.approx(1)
    assert len(shares) > 1


def test_the_shipped_model_leaves_no_seams(rng):
    """It reaches as far as is said, and not farther."""
    model = scanmend.models.load()
    image = rng.standard_normal((3, 200, 456)).astype(np.float32)
    call = partial(model.network, told=model.network.silence)
    one_pass, tiled = (
        tiles.whole(call, 8, model.card.get("reach", REACH), side=side)(image, 0.0)
        for side in (2048, 272)
    )
    # Sums of other lengths are rounded otherwise.
    np.testing.assert_allclose(tiled, one_pass, atol=1e-4)
