"""Samples to train on: the same ones every time, and what is right is right in the target."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from scanmend.normalise import told
from scanmend.pairs.clean import Surface
from scanmend.pairs.samples import Mix, sample

SI = Surface("si001h")
SMALL = {"side": 48, "margin": 8, "ghosts": 0.0, "ghosted": 0.0}


def test_a_sample_is_its_number():
    mix = Mix(**SMALL)
    first, again, other = (sample(SI, mix, seed, 3) for seed in (1, 1, 2))
    assert first.raw is None, "which only counts have"
    for field in fields(first):
        if field.name == "raw":
            continue
        array = getattr(first, field.name)
        assert array.shape == ((4,) if field.name == "told" else (48, 48))
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(array, getattr(again, field.name))
    assert (first.target != other.target).any()


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_the_mask_says_which_lines_were_measured(factor):
    mix = Mix(**SMALL, factors=(factor,), factor_shares=(1.0,), untouched=1, sparse_mended=0, gap=0)
    for number in range(4):
        one = sample(SI, mix, 0, number)
        measured = one.mask[:, 0] == 1
        assert measured.sum() == 48 / factor
        assert (one.mask == one.mask[:, :1]).all()
        # Nothing was damaged: what was measured is what it should be.
        np.testing.assert_allclose(one.known[measured], one.target[measured], atol=1e-5)
        if factor > 1:
            assert np.abs(one.known - one.target)[~measured].max() > 0.1


def test_gaps_are_a_few_lines_filled_in():
    mix = Mix(**SMALL, factors=(1,), factor_shares=(1.0,), untouched=1, gap=1)
    lost = [int((1 - sample(SI, mix, 0, i).mask[:, 0]).sum()) for i in range(12)]
    assert 1 <= min(lost) <= max(lost) <= 8


def test_damage_is_in_what_is_known_and_not_in_the_target():
    mix = Mix(**SMALL, factors=(1,), factor_shares=(1.0,), untouched=0, single=1, faint=0, gap=0)
    clean = Mix(**SMALL, factors=(1,), factor_shares=(1.0,), untouched=1, gap=0)
    for number in range(4):
        damaged = sample(SI, mix, 0, number)
        # The faintest, 0.3 pixels of blur, is a hundredth of the relief; undamaged it is 1e-5.
        assert np.abs(damaged.known - damaged.target).max() > 1e-3
        assert damaged.target.std() == pytest.approx(
            sample(SI, clean, 0, number).target.std(), rel=2
        )


def test_what_is_scaled_to_the_model_has_its_contrast():
    mix = Mix(**SMALL, gain=0.0)
    spread = [sample(SI, mix, 5, i).known.std() for i in range(20)]
    assert 0.6 < np.median(spread) < 1.6


@pytest.mark.parametrize("factor", [1, 4])
def test_ghosts_are_damage_where_that_is_said(factor):
    few = {"factors": (factor,), "factor_shares": (1.0,), "untouched": 1, "gap": 0, "gain": 0.0}
    mix = Mix(48, 8, **few, sparse_mended=1.0)
    with_ghosts, seen_too, without = (
        replace(mix, ghosts=ghosts, ghosted=ghosted)
        for ghosts, ghosted in ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0))
    )
    for number in range(3):
        removed, left, clean = (
            sample(SI, one, 0, number) for one in (with_ghosts, seen_too, without)
        )
        assert [one.told[2:].tolist() for one in (removed, left, clean)] == [[1, 1], [1, 0], [1, 0]]
        assert np.abs(removed.known - removed.target)[removed.mask == 1].max() > 0.5
        for one in (left, clean):
            off = np.abs(one.known - one.target)[one.mask == 1]
            assert off.max() < 1e-5


def test_lines_to_be_filled_in_only_are_undamaged():
    mix = Mix(**SMALL, factors=(2,), factor_shares=(1.0,), untouched=0.0, sparse_mended=0.5)
    for number in range(8):
        one = sample(SI, mix, 0, number)
        damage = np.abs(one.known - one.target)[one.mask == 1].max()
        assert (damage > 1e-4) == bool(one.told[2])


def test_what_is_told():
    np.testing.assert_allclose(told((0.4, 0.1), mend=True, ghosts=False), [1, -1, 1, 0])
    pitch = sample(SI, Mix(**SMALL), 0, 5).told[:2]
    assert np.log2(0.16 / 0.2) <= pitch[0] == pitch[1] <= np.log2(0.22 / 0.2)
