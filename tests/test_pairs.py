"""Samples to train on: the same ones every time, and what is right is right in the target."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from scanmend.pairs.samples import Mix, sample

SMALL = {"side": 48, "margin": 8, "ghosted": 0.0}


def test_a_sample_is_its_number():
    mix = Mix(**SMALL)
    first, again, other = (sample("si001h", mix, seed, 3) for seed in (1, 1, 2))
    for field in fields(first):
        array = getattr(first, field.name)
        assert array.shape == (48, 48)
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(array, getattr(again, field.name))
    assert (first.target != other.target).any()


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_the_mask_says_which_lines_were_measured(factor):
    mix = Mix(
        **SMALL, factors=(factor,), factor_shares=(1.0,), untouched=1, sparse_damaged=0, gap=0
    )
    for number in range(4):
        one = sample("si001h", mix, 0, number)
        measured = one.mask[:, 0] == 1
        assert measured.sum() == 48 / factor
        assert (one.mask == one.mask[:, :1]).all()
        # Nothing was damaged: what was measured is what it should be.
        np.testing.assert_allclose(one.known[measured], one.target[measured], atol=1e-5)
        if factor > 1:
            assert np.abs(one.known - one.target)[~measured].max() > 0.1


def test_gaps_are_a_few_lines_filled_in():
    mix = Mix(**SMALL, factors=(1,), factor_shares=(1.0,), untouched=1, gap=1)
    lost = [int((1 - sample("si001h", mix, 0, i).mask[:, 0]).sum()) for i in range(12)]
    assert 1 <= min(lost) <= max(lost) <= 8


def test_damage_is_in_what_is_known_and_not_in_the_target():
    mix = Mix(**SMALL, factors=(1,), factor_shares=(1.0,), untouched=0, single=1, faint=0, gap=0)
    clean = Mix(**SMALL, factors=(1,), factor_shares=(1.0,), untouched=1, gap=0)
    for number in range(4):
        damaged = sample("si001h", mix, 0, number)
        assert np.abs(damaged.known - damaged.target).max() > 0.05
        assert damaged.target.std() == pytest.approx(
            sample("si001h", clean, 0, number).target.std(), rel=2
        )


def test_what_is_scaled_to_the_model_has_its_contrast():
    mix = Mix(**SMALL, gain=0.0)
    spread = [sample("si001h", mix, 5, i).known.std() for i in range(20)]
    assert 0.6 < np.median(spread) < 1.6
