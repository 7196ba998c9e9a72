"""KID and CMMD are what their authors define, and the intervals and floors mean something."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import KernelInceptionDistance

from scanmend.errors import RecipeError, ScanError
from scanmend.evaluate.distances import cmmd, distance, kid


@pytest.fixture(scope="module")
def sets():
    rng = np.random.default_rng(0)
    return rng.normal(0.2, 1.1, (40, 16)), rng.standard_normal((33, 16))


def mmd(x, y, kernel, biased):
    """Pair by pair."""

    def mean(a, b):
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b))]
        if a is b and not biased:
            pairs = [(i, j) for i, j in pairs if i != j]
        return np.mean([kernel(a[i], b[j]) for i, j in pairs])

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


def cubic(a, b):
    return (a @ b / len(a) + 1) ** 3


def test_kid_is_the_sum_over_all_pairs(sets):
    x, y = sets[0][:33], sets[1]
    value, sd = kid(x, y, np.random.default_rng(1), subsets=3, size=33)
    assert value == pytest.approx(mmd(x, y, cubic, biased=False), abs=1e-9)
    assert sd == pytest.approx(0, abs=1e-12)  # a subset of all is all


def test_kid_of_subsets_has_the_mean_of_the_whole(sets):
    value, sd = kid(*sets, np.random.default_rng(2), subsets=4000, size=20)
    assert sd > 0
    assert value == pytest.approx(mmd(*sets, cubic, biased=False), abs=4 * sd / np.sqrt(4000))


class Given(torch.nn.Module):
    """Takes features for images: torchmetrics wants a network."""

    num_features = 16

    def forward(self, x):
        return x[:, :, 0, 0].float()


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save all")
def test_kid_is_that_of_torchmetrics(sets):
    x, y = sets[0][:33], sets[1]
    metric = KernelInceptionDistance(feature=Given(), subsets=2, subset_size=33, normalize=True)
    metric.update(torch.from_numpy(y)[:, :, None, None], real=True)
    metric.update(torch.from_numpy(x)[:, :, None, None], real=False)
    theirs, _ = metric.compute()
    assert kid(x, y, np.random.default_rng(3), size=33)[0] == pytest.approx(float(theirs), abs=1e-4)


@pytest.mark.parametrize(
    ("convention", "gamma", "scale"), [("canonical", 1 / 200, 1000), ("kolev", 1 / 100, 1)]
)
def test_cmmd_is_the_sum_over_all_pairs(sets, convention, gamma, scale):
    x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in sets)
    by_hand = mmd(x, y, lambda a, b: np.exp(-gamma * np.sum((a - b) ** 2)), biased=True)
    assert cmmd(*sets, convention) == pytest.approx(scale * by_hand, abs=1e-10 * scale)


def test_cmmd_as_printed_cannot_reach_the_printed_values():
    east = np.tile([1.0, 0.0], (5, 1))
    assert cmmd(east, -east, "kolev") == pytest.approx(2 * (1 - np.exp(-0.04)))
    assert cmmd(east, -east, "kolev") < 0.228  # their clean images against clean ones


def test_cmmd_of_a_set_with_itself_is_0_and_kid_below(sets):
    x = sets[0]
    assert cmmd(x, x) == pytest.approx(0, abs=1e-9)
    assert kid(x, x, np.random.default_rng(4), size=len(x))[0] < 0


@pytest.mark.parametrize("kind", ["KID", "CMMD", "CMMD-kolev"])
def test_a_score_comes_with_all_that_belongs_to_it(sets, kind):
    found = distance(kind, *sets, "own", np.random.default_rng(5))
    assert found.name == f"{kind}[own]"
    assert (found.n, found.n_clean, found.floor_n) == (40, 33, 16)
    assert found.low < found.value < found.high
    assert found.floor_low < found.floor < found.floor_high
    assert (found.sd is not None) == (kind == "KID")
    assert found == distance(kind, *sets, "own", np.random.default_rng(5))
    if kind != "KID":
        convention = "kolev" if kind == "CMMD-kolev" else "canonical"
        assert found.value == cmmd(*sets, convention)


@pytest.mark.parametrize("kind", ["KID", "CMMD"])
def test_the_floor_is_where_clean_images_lie_and_others_do_not(kind):
    rng = np.random.default_rng(6)
    clean = rng.standard_normal((120, 8))
    inside = distance(kind, rng.standard_normal((60, 8)), clean, "own", rng)
    outside = distance(kind, rng.normal(0.8, 1, (60, 8)), clean, "own", rng)
    assert inside.floor_low <= inside.value <= inside.floor_high
    assert outside.low > outside.floor_high


@pytest.mark.parametrize("kind", ["KID", "CMMD"])
def test_the_floor_is_what_equal_sets_have_however_few_images_it_is_taken_on(kind):
    rng = np.random.default_rng(9)
    found = [
        distance(kind, *rng.standard_normal((2, 60, 8)), "own", rng, resamples=2, splits=20)
        for _ in range(40)
    ]
    apart = np.array([of.value - of.floor for of in found])
    assert abs(apart.mean()) < 3 * apart.std(ddof=1) / np.sqrt(len(apart))
    assert {of.floor_n for of in found} == {30}


@pytest.mark.parametrize("kind", ["KID", "CMMD"])
def test_the_fewest_images_have_an_interval(kind):
    rng = np.random.default_rng(10)
    found = distance(kind, *rng.standard_normal((2, 4, 8)), "own", rng)
    assert np.isfinite([found.low, found.high, found.floor_low, found.floor_high]).all()


def test_the_interval_of_kid_holds_the_truth():
    # Features are normal with variance 1; those made have mean c in each of d dimensions. With the
    # product s of two of them over d: E (s + 1)^3 = 1 + 3 E s + 3 E s^2 + E s^3.
    rng = np.random.default_rng(7)
    d, c = 8, 0.4
    q = c**2 * d
    second, third = d + 2 * q + q**2, q**3 + 3 * q * (d + 2 * q) + 6 * q
    made = 1 + 3 * q / d + 3 * second / d**2 + third / d**3
    truth = made + (1 + 3 / d) - 2 * (1 + 3 * (d + q) / d**2)
    held = []
    for _ in range(100):
        x, y = rng.normal(c, 1, (60, d)), rng.standard_normal((60, d))
        found = distance("KID", x, y, "own", rng, resamples=200, splits=10)
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) >= 0.9


def test_what_cannot_be_compared_is_refused(sets):
    rng = np.random.default_rng(8)
    x, y = sets
    with pytest.raises(ScanError, match=r"of one d, got \(40, 16\) and \(33, 15\)"):
        cmmd(x, y[:, :15])
    with pytest.raises(ScanError, match="1 images against 33 clean ones: .* needs 2 of each"):
        kid(x[:1], y, rng)
    with pytest.raises(ScanError, match="not finite"):
        cmmd(np.where(x > 2, np.nan, x), y)
    for made, of in ((x, y[:3]), (x[:3], y)):
        text = f"{len(made)} images against {len(of)} clean ones: .* needs 4 of each"
        with pytest.raises(ScanError, match=text):
            distance("KID", made, of, "own", rng)
    with pytest.raises(RecipeError, match="subsets of 34 images: .* 2 to 33"):
        kid(x, y, rng, size=34)
    with pytest.raises(RecipeError, match="no score 'FID'; there are KID, CMMD, CMMD-kolev"):
        distance("FID", x, y, "own", rng)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="CMMD is canonical or kolev, got 'other'"):
        cmmd(x, y, "other")  # type: ignore[arg-type]
