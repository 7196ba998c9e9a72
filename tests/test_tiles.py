"""Large images through a network: what a tile's border would spoil must not be seen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from scanmend.restoration import tiles


def smooth(planes, t):
    """Stands where a network does: local, demands sides divisible by 8, and knows the time."""
    assert planes.shape[1] % 8 == planes.shape[2] % 8 == 0
    assert planes.dtype == np.float32
    return np.stack([gaussian_filter(planes[0], 2.0), planes[1] + np.float32(t)])


@pytest.mark.parametrize("shape", [(64, 64), (61, 70), (9, 200), (5, 6)])
def test_sides_need_not_be_divisible(shape, rng):
    image = rng.standard_normal((2, *shape)).astype(np.float32)
    out = tiles.whole(smooth, 8)(image, 0.5)
    assert out.shape == (2, *shape)
    np.testing.assert_array_equal(out[1], image[1] + np.float32(0.5))


@pytest.mark.parametrize("shape", [(300, 210), (128, 260), (96, 97), (500, 64)])
def test_tiles_join_without_a_trace(monkeypatch, shape, rng):
    image = rng.standard_normal((2, *shape)).astype(np.float32)
    one_pass = tiles.whole(smooth, 8)(image, 0.25)
    monkeypatch.setattr(tiles, "ONE_PASS", 0)
    shares: list[float] = []
    tiled = tiles.whole(smooth, 8, shares.append, side=96, overlap=32)(image, 0.25)
    np.testing.assert_allclose(tiled, one_pass, atol=2e-3)
    assert sum(shares) == pytest.approx(1)
    assert len(shares) > 1 or max(shape) <= 97
