"""Fourier ring correlation against what is known of it, and what it must not be taken in by."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from scanmend.errors import ScanError
from scanmend.evaluate.agreement import (
    Rings,
    half_bit,
    independent,
    moved,
    offset,
    rings,
)

SIDE = 128
FINE = slice(9, 59)  #: rings that hold enough coefficients to be told apart


def traces(rng, noise):
    """A rough surface, and two traces of it."""
    surface = gaussian_filter(rng.standard_normal((SIDE, SIDE)), 0.6, mode="wrap")
    return surface, *(surface + noise * rng.standard_normal((SIDE, SIDE)) for _ in range(2))


def added(pairs):
    """The rings of several pairs, added up."""
    return Rings(*np.sum([rings(a, b) for a, b in pairs], axis=0))


def test_noise_alone_correlates_as_little_as_there_are_independent_numbers(rng):
    found = [rings(*rng.standard_normal((2, SIDE, SIDE))).correlation for _ in range(300)]
    error = np.std(found, axis=0) * np.sqrt(independent(SIDE))
    assert abs(np.mean(found)) < 0.005
    assert np.mean(error[FINE]) == pytest.approx(1, abs=0.03)
    assert abs(error[FINE] - 1).max() < 0.2


def test_it_is_the_share_of_the_signal(rng):
    noise = 0.5
    many = [traces(rng, noise) for _ in range(12)]
    signal = added((s, s) for s, _, _ in many).first[FINE]
    both = added((a, b) for _, a, b in many)
    share = signal / np.sqrt(both.first * both.second)[FINE]
    assert share.min() < 0.3 and share.max() > 0.7
    error = 4 / np.sqrt(len(many) * independent(SIDE)[FINE])  # four standard deviations, at most
    assert (abs(both.correlation[FINE] - share) < error).all()
    perfect = added((s, b) for s, _, b in many).correlation
    assert (abs(perfect[FINE] - np.sqrt(share)) < error).all()


def test_a_blur_gains_nothing_and_what_is_invented_is_found_out(rng):
    many = [traces(rng, 1.0) for _ in range(8)]
    pattern = 1.2 * np.random.default_rng(5).standard_normal((SIDE, SIDE))

    def found(change):
        both = added((change(a, s), change(b, s)) for s, a, b in many).correlation[FINE]
        raw = added((change(a, s), b) for s, a, b in many).correlation[FINE]
        return both.mean(), raw.mean()

    both, raw = found(lambda trace, _: trace)
    assert both == raw
    blurred = found(lambda trace, _: gaussian_filter(trace, 0.8))
    assert blurred == pytest.approx((both, raw), abs=0.01)
    invented = found(lambda trace, _: trace + pattern)
    assert invented[0] > both + 0.1
    assert invented[1] < raw - 0.05
    restored = found(lambda trace, surface: (trace + surface) / 2)
    assert min(restored[0] - both, restored[1] - raw) > 0.05


def test_what_changes_from_line_to_line_is_no_agreement(rng):
    lines = 5 * rng.standard_normal((SIDE, 1))
    first, second = rng.standard_normal((2, SIDE, SIDE))
    found = rings(first + lines, second + lines).correlation
    np.testing.assert_allclose(found[FINE], rings(first, second).correlation[FINE], atol=1e-9)


def test_half_a_bit_takes_a_higher_correlation_where_there_are_few_numbers():
    # With many, log2(1 + 2 * .2071) = .5 bit: a correlation of .2071 / 1.2071.
    assert half_bit(np.array([1e12]))[0] == pytest.approx(0.2071 / 1.2071, rel=1e-5)
    assert (np.diff(half_bit(independent(SIDE))[FINE]) < 0.01).all()
    assert half_bit(np.array([1.0]))[0] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("by", [(0.0, 0.0), (0.34, -2.62), (-5.1, 7.4)])
def test_traces_are_laid_upon_each_other(rng, by):
    whole = gaussian_filter(rng.standard_normal((160, 160)), 2)
    second = moved(whole, (-by[0], -by[1]))[16:-16, 16:-16]
    second = second + 0.02 * rng.standard_normal(second.shape)
    assert offset(whole[16:-16, 16:-16], second) == pytest.approx(by, abs=0.06)


def test_a_lattice_is_not_moved_by_a_period():
    y, x = np.mgrid[:SIDE, :SIDE]
    lattice = np.cos(2 * np.pi * x / 6) + np.cos(2 * np.pi * y / 6)
    assert offset(lattice, np.roll(lattice, 1, axis=1), (2.5, 2.5)) == pytest.approx(
        (0, -1), abs=0.02
    )


def test_other_images_are_refused():
    image = np.zeros((SIDE, SIDE))
    with pytest.raises(ScanError, match=r"two square images of one size, got \(128, 128\) and"):
        rings(image, image[:64])
    with pytest.raises(ScanError, match="not measured: cut both to what was"):
        rings(image, image + np.nan)
