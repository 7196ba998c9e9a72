from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from scanmend.evaluate.metrics import psnr, ssim


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :53]
    truth = np.sin(x / 3) + np.cos(y / 5)
    return truth + 0.3 * rng.standard_normal(truth.shape), truth


def test_ssim_is_that_of_scikit_image(pair):
    image, truth = pair
    zero = truth.min()
    reference = structural_similarity(
        truth - zero,
        image - zero,
        data_range=np.ptp(truth),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(image, truth) == pytest.approx(reference, abs=1e-12)


def test_ssim_does_not_ask_where_heights_begin(pair):
    image, truth = pair
    assert ssim(image - 7, truth - 7) == pytest.approx(ssim(image, truth), abs=1e-12)


def test_psnr_is_that_of_scikit_image(pair):
    image, truth = pair
    assert psnr(image, truth, 2.5) == pytest.approx(
        peak_signal_noise_ratio(truth, image, data_range=2.5)
    )


def test_an_image_is_like_itself(pair):
    _, truth = pair
    assert ssim(truth, truth) == pytest.approx(1)
    assert psnr(truth, truth) == float("inf")
