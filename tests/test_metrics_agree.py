"""Our numbers are those of scikit-image and torchmetrics; intervals hold as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import (
    peak_signal_noise_ratio as torch_psnr,
)
from torchmetrics.functional.image import (
    structural_similarity_index_measure as torch_ssim,
)

from scanmend.errors import ScanError
from scanmend.evaluate import bootstrap
from scanmend.evaluate.metrics import detail, psnr, scores, ssim, ssim_global


def brought(image):
    """Each image to [-1, 1] by its own minimum and maximum, as pairs are."""
    low, high = image.min(axis=(1, 2), keepdims=True), image.max(axis=(1, 2), keepdims=True)
    return (2 * (image - low) / (high - low) - 1).astype(np.float32)


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :72]
    clean = np.sin(x / rng.uniform(2, 6, (5, 1, 1))) + np.cos(y / rng.uniform(3, 9, (5, 1, 1)))
    return brought(clean + 0.4 * rng.standard_normal(clean.shape)), brought(clean)


def test_scores_are_those_of_scikit_image_on_images_from_0_to_1(pairs):
    ours = scores(*pairs)
    for n, (x, y) in enumerate((a / 2 + 0.5, b / 2 + 0.5) for a, b in zip(*pairs, strict=True)):
        theirs = structural_similarity(
            y, x, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert ours.ssim[n] == pytest.approx(theirs, abs=1e-4)
        assert ours.psnr_dB[n] == pytest.approx(peak_signal_noise_ratio(y, x, data_range=1), 1e-4)


def test_scores_are_those_of_torchmetrics_on_images_from_0_to_1(pairs):
    x, y = (torch.from_numpy(images / 2 + 0.5)[:, None].double() for images in pairs)
    ours = scores(*pairs)
    _, full = torch_ssim(x, y, data_range=1.0, return_full_image=True)
    # Their mean includes the outer 5 pixels, where the window sees the image's reflection.
    theirs = full[:, 0, 5:-5, 5:-5].mean(dim=(1, 2))
    np.testing.assert_allclose(ours.ssim, theirs, atol=1e-4)
    theirs = torch_psnr(x, y, data_range=1.0, reduction="none", dim=(1, 2, 3))
    np.testing.assert_allclose(ours.psnr_dB, theirs, atol=1e-4)


def test_the_span_alone_does_not_change_the_index(pairs):
    x, y = pairs[0][0], pairs[1][0]
    assert ssim(x, y, 2) == pytest.approx(ssim(x / 2 + 0.5, y / 2 + 0.5, 1), abs=1e-6)
    assert psnr(x, y, 2) == pytest.approx(psnr(x / 2 + 0.5, y / 2 + 0.5, 1), abs=1e-5)


def test_one_window_over_the_whole_image_is_equation_11(pairs):
    a, b = (images[0].astype(float) / 2 + 0.5 for images in pairs)
    c1, c2 = 0.01**2, 0.03**2
    covariance = np.mean((a - a.mean()) * (b - b.mean()))
    by_hand = (2 * a.mean() * b.mean() + c1) * (2 * covariance + c2)
    by_hand /= (a.mean() ** 2 + b.mean() ** 2 + c1) * (a.var() + b.var() + c2)
    assert ssim_global(a, b, 1) == pytest.approx(by_hand, abs=1e-12)
    assert ssim_global(b, b) == pytest.approx(1)


def test_fine_detail_is_halved_by_halving_it():
    rng = np.random.default_rng(1)
    image = rng.standard_normal((64, 72))
    assert detail(image, image) == 0
    assert detail(image / 2 + 3, image) == pytest.approx(20 * np.log10(0.5), abs=1e-9)


def test_fine_detail_falls_as_the_gaussian_does():
    rng = np.random.default_rng(2)
    image = rng.standard_normal((256, 256))
    losses = [detail(gaussian_filter(image, sigma), image) for sigma in (0.5, 0.8, 1.2)]
    assert losses[0] > losses[1] > losses[2]
    # White noise keeps the mean of |H|^2, H = exp(-2 (pi sigma f)^2), over the fine frequencies.
    f = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    kept = np.mean(np.exp(-4 * (np.pi * 0.8 * f[f > 0.25]) ** 2))
    assert losses[1] == pytest.approx(10 * np.log10(kept), abs=0.3)


def test_what_is_no_stack_of_pairs_is_refused(pairs):
    with pytest.raises(ScanError, match=r"two stacks of one shape .* got \(5, 64, 72\) and \(4,"):
        scores(pairs[0], pairs[1][:4])


def test_a_gain_and_an_offset_cost_fidelity_but_not_once_they_are_fitted(pairs):
    clean = pairs[1]
    changed = scores(0.4 * clean + 0.3, clean)
    assert (changed.psnr_dB < 20).all()
    assert (changed.psnr_fitted_dB > 120).all()
    own = scores(*pairs)
    assert (own.psnr_fitted_dB >= own.psnr_dB).all()
    for n, (x, y) in enumerate(zip(*pairs, strict=True)):
        gain, offset = np.polynomial.Polynomial.fit(x.ravel(), y.ravel(), 1).convert().coef[::-1]
        theirs = peak_signal_noise_ratio(y, (gain * x + offset).astype(np.float32), data_range=2)
        assert own.psnr_fitted_dB[n] == pytest.approx(theirs, abs=1e-3)
    flat = scores(np.zeros_like(clean), clean)
    variance = (clean.astype(float) / 2).var(axis=(1, 2))
    np.testing.assert_allclose(flat.psnr_fitted_dB, -10 * np.log10(variance), atol=1e-9)


def test_beyond_its_range_an_image_is_scored_as_its_ends(pairs):
    wide = 1.5 * pairs[0]
    assert np.abs(wide).max() > 1
    for ours, clipped in zip(
        scores(wide, pairs[1]), scores(wide.clip(-1, 1), pairs[1]), strict=True
    ):
        np.testing.assert_array_equal(ours, clipped)


def mean(values, rng, resamples=bootstrap.RESAMPLES):
    drawn = bootstrap.weights(len(values), rng, resamples) @ values
    return bootstrap.interval(values.mean(), drawn, bootstrap.LEVEL)


def test_the_interval_of_a_mean_is_that_of_a_normal_one_for_many_images():
    rng = np.random.default_rng(3)
    values = rng.normal(5, 2, 1000)
    value, low, high = mean(values, rng)
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert value == pytest.approx(values.mean())
    assert (value - low, high - value) == (
        pytest.approx(error, rel=0.1),
        pytest.approx(error, rel=0.1),
    )


def test_an_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(4)
    intervals = [mean(rng.exponential(1, 60), rng, resamples=200) for _ in range(300)]
    held = np.mean([low <= 1 <= high for _, low, high in intervals])
    assert 0.89 < held < 0.98  # 95 %, less what percentiles lose for 60 skewed values


def test_the_same_seed_gives_the_same_interval():
    values = np.arange(20.0)
    first, again = (mean(values, np.random.default_rng(6)) for _ in range(2))
    assert first == again
