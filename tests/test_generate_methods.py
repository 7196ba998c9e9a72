"""The methods, where the answer is known: linear flows, constant fields, and a Gaussian."""

from __future__ import annotations

import json
from itertools import pairwise
from math import sqrt

import numpy as np
import pytest

from scanmend import generate
from scanmend.errors import RecipeError
from scanmend.generate import METHODS, Diffusion, FlowMatching, PosteriorFlow, Regression
from scanmend.generate.flow import integrate

MEAN, DEVIATION = 0.3, 0.2
"""Of the images of the test: every pixel is a Gaussian of its own."""

EVERY = [
    FlowMatching(),
    FlowMatching("euler"),
    Diffusion(),
    Diffusion("linear", times=40, sampler="ancestral"),
    Diffusion(clip=False, fourier=0.5),
    Regression(),
    Regression("l2", residual=True),
    PosteriorFlow(),
    PosteriorFlow(0.5),
]
names = [json.dumps(generate.table(method)) for method in EVERY]


def once(noise):
    """Normal noise that is known, and may be asked for once."""
    left = [noise]
    return left.pop


def gaussian(method: Diffusion):
    """The noise to expect, E[noise | x_k], in a mixture with images of MEAN and DEVIATION."""

    def network(x, degraded, t):
        kept = float(method.kept[round(t * method.times)])
        variance = kept * DEVIATION**2 + 1 - kept
        return sqrt(1 - kept) / variance * (x - sqrt(kept) * MEAN)

    return network


def slopes(errors: list[float]) -> list[float]:
    """Orders of convergence: errors of steps, twice and four times as many."""
    return [np.log2(a / b) for a, b in pairwise(errors)]


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2)])
def test_solvers_converge_at_their_order(solver, order):
    """dx/dt = 2 t x, of which the end is e."""
    exact = np.e
    ends = [integrate(lambda x, t: 2 * t * x, 1.0, n, solver) for n in (32, 64, 128)]
    assert slopes([abs(end - exact) for end in ends]) == pytest.approx([order] * 2, abs=0.1)


@pytest.mark.parametrize("solver", ["euler", "midpoint"])
def test_a_constant_velocity_is_followed_exactly(solver, rng):
    start, velocity = rng.standard_normal((2, 3, 1, 4, 4))
    for steps in (1, 2, 5):
        method = FlowMatching(solver)
        end = method.restore(lambda x, y, t: velocity, start, once(start), steps)
        np.testing.assert_allclose(end, start + velocity, atol=1e-14)


def test_flow_matching_carries_noise_to_the_images(rng):
    """Its velocity for Gaussian images is known; time runs from the noise, 0, to the image, 1."""

    def velocity(x, degraded, t):
        variance = t**2 * DEVIATION**2 + (1 - t) ** 2
        return MEAN + (t * DEVIATION**2 - (1 - t)) / variance * (x - t * MEAN)

    noise = rng.standard_normal(2000)
    errors = []
    for steps in (40, 80, 160):
        end = FlowMatching().restore(velocity, noise, once(noise), steps)
        errors.append(np.abs(end - (MEAN + DEVIATION * noise)).max())
    assert errors[-1] < 1e-3
    assert min(slopes(errors)) > 1.9  # of this flow the error of order 2 happens to be zero


def test_the_cosine_schedule_is_that_of_nichol_and_dhariwal():
    kept = Diffusion().kept
    f = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    assert kept.shape == (1001,)
    np.testing.assert_allclose(kept[:-1], f[:-1] / f[0], rtol=1e-9)
    assert sqrt(kept[-1]) == pytest.approx(4.928e-5, rel=1e-3)


def test_the_linear_schedule_is_that_of_ho():
    kept = Diffusion("linear").kept
    assert kept[0] == 1
    assert kept[1] == pytest.approx(1 - 1e-4)
    assert kept[1000] / kept[999] == pytest.approx(1 - 0.02)
    assert kept[1000] == pytest.approx(4.036e-5, rel=1e-3)  # their Sec. 4: SNR at T is nearly zero
    assert Diffusion("linear", times=400).kept[400] == pytest.approx(0.0176, rel=0.01)


@pytest.mark.parametrize("steps", [1, 3, 5, 10, 999, 1000])
def test_the_times_visited_begin_at_the_last_and_are_even(steps):
    visited = Diffusion().visited(steps)
    assert (visited[0], visited[-1], len(visited)) == (1000, 0, steps + 1)
    gaps = -np.diff(visited)
    assert gaps.min() >= 1
    assert np.ptp(gaps) <= 1


def test_ddim_carries_noise_to_the_images_it_was_told_of(rng):
    """With the exact noise of a Gaussian its flow is linear: each pixel keeps its quantile."""
    method = Diffusion(clip=False)
    noise = rng.standard_normal(2000)
    errors = []
    for steps in (125, 250, 500):
        end = method.restore(gaussian(method), noise, once(noise), steps)
        errors.append(np.abs(end - (MEAN + DEVIATION * noise)).max())
    assert errors[-1] < 0.01
    assert slopes(errors) == pytest.approx([1, 1], abs=0.25)


def test_ddim_is_equation_5(rng):
    """One step by hand, from T to half of it, and the last one, whose answer is the image."""
    method = Diffusion("linear", times=10)
    x, first, second = rng.standard_normal((3, 1, 1, 4, 4))
    answers = [second, first]
    end = method.restore(lambda x, y, t: answers.pop(), x, once(x), 2)
    a10, a5 = method.kept[[10, 5]]
    image = np.clip((x - np.sqrt(1 - a10) * first) / np.sqrt(a10), -1, 1)
    x5 = np.sqrt(a5) * image + np.sqrt(1 - a5) * first
    image = (x5 - np.sqrt(1 - a5) * second) / np.sqrt(a5)
    assert (np.abs(image) > 1).any()
    np.testing.assert_allclose(end, np.clip(image, -1, 1), atol=1e-12)


@pytest.mark.parametrize(("schedule", "steps"), [("cosine", 500), ("linear", 1000)])
def test_ancestral_sampling_draws_the_images_it_was_told_of(schedule, steps, rng):
    method = Diffusion(schedule, sampler="ancestral", clip=False)
    like = np.zeros(10_000)
    end = method.restore(gaussian(method), like, lambda: rng.standard_normal(like.shape), steps)
    assert end.mean() == pytest.approx(MEAN, abs=4 * DEVIATION / sqrt(10_000))
    # Variance beta is a little too much, by as much as the steps are long.
    assert end.std() == pytest.approx(DEVIATION, rel=0.02 * 1000 / steps)


def test_an_ancestral_step_is_that_of_ho(rng):
    """x - beta/sqrt(1 - alpha-bar) noise, over sqrt(alpha), plus noise of variance beta."""
    method = Diffusion("linear", times=50, sampler="ancestral", clip=False)
    x, found, fresh = rng.standard_normal((3, 1, 1, 4, 4))
    noises = [fresh, x]
    seen = []

    def network(x, degraded, t):
        seen.append((t, x))
        return found

    method.restore(network, x, lambda: noises.pop() if noises else 0 * x, 50)
    beta = 0.02
    expected = (x - beta / np.sqrt(1 - method.kept[50]) * found) / np.sqrt(1 - beta)
    assert seen[1][0] == 49 / 50
    np.testing.assert_allclose(seen[1][1], expected + np.sqrt(beta) * fresh, atol=1e-12)


def test_clipping_keeps_a_bad_network_within_the_range(rng):
    noise = rng.standard_normal((1, 1, 8, 8))
    wrong = [
        Diffusion(clip=clip).restore(lambda x, y, t: 0.9 * x, noise, once(noise), 5)
        for clip in (True, False)
    ]
    assert np.abs(wrong[0]).max() <= 1
    assert np.abs(wrong[1]).max() > 10


def test_the_posterior_flow_begins_with_the_mean(rng):
    degraded, noise, image = rng.standard_normal((3, 1, 1, 4, 4))
    told = []

    def network(x, known, t):
        told.append((t, x, known))
        return (degraded / 2 if t == 0 else image) - known

    method = PosteriorFlow(0.2)
    np.testing.assert_allclose(method.restore(network, degraded, once(noise), 1), degraded / 2)
    told.clear()
    end = method.restore(network, degraded, once(noise), 3)
    np.testing.assert_allclose(end, image, atol=1e-12)
    assert [t for t, _, _ in told] == [0, 0.01, 0.5]
    np.testing.assert_allclose(told[1][1], degraded / 2 + 0.2 * noise)
    np.testing.assert_allclose(told[2][1], (told[1][1] + image) / 2)
    for _, _, known in told[1:]:
        np.testing.assert_allclose(known, degraded / 2)


@pytest.mark.parametrize("residual", [False, True])
def test_a_regression_is_what_the_network_says(residual, rng):
    degraded = rng.standard_normal((1, 1, 4, 4))
    told = []

    def network(x, known, t):
        told.append((x is known, t))
        return 2 * known

    end = Regression(residual=residual).restore(network, degraded, None, 7)
    np.testing.assert_allclose(end, (3 if residual else 2) * degraded)
    assert told == [(True, 0)]


@pytest.mark.parametrize("method", EVERY, ids=names)
def test_the_network_is_called_as_often_as_is_said(method, rng):
    noise = rng.standard_normal((1, 1, 4, 4))
    for steps in (1, 2, 5):
        told = []

        def network(x, y, t, told=told):
            told.append(t)
            return 0.1 * x

        method.restore(network, noise, lambda: noise, steps)
        assert len(told) == method.calls(steps)
        assert all(0 <= t <= 1 for t in told)


@pytest.mark.parametrize("method", EVERY, ids=names)
def test_arrays_and_tensors_come_to_the_same(method, rng):
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
    degraded, noise = rng.standard_normal((2, 2, 1, 8, 8)).astype(np.float32)

    def network(x, y, t):
        return 0.5 * x - 0.2 * y + 0.1 * t

    array = method.restore(network, degraded, lambda: noise, 6)
    tensor = method.restore(network, torch.from_numpy(degraded), lambda: torch.from_numpy(noise), 6)
    assert array.dtype == np.float32
    assert tensor.dtype == torch.float32
    scale = max(1.0, float(np.abs(array).max()))
    np.testing.assert_allclose(array, tensor.numpy(), atol=1e-5 * scale)


@pytest.mark.parametrize("method", EVERY, ids=names)
def test_a_method_is_its_table(method):
    table = json.loads(json.dumps(generate.table(method)))
    assert generate.method(table) == method
    assert table["kind"] in METHODS


def test_what_a_table_leaves_out_has_its_default():
    assert {name: generate.method({"kind": name}) for name in METHODS} == {
        name: kind() for name, kind in METHODS.items()
    }


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (5, "a method is a table with a kind, got 5"),
        ({}, "unknown method None; there are FlowMatching, Diffusion, Regression, PosteriorFlow"),
        ({"kind": "DDIM"}, "unknown method 'DDIM'; there are FlowMatching"),
        (
            {"kind": "FlowMatching", "steps": 2},
            "FlowMatching has no parameter 'steps'; it has solv",
        ),
        ({"kind": "FlowMatching", "solver": "rk4"}, "solver must be midpoint or euler, got 'rk4'"),
        ({"kind": "Diffusion", "times": 10.5}, "Diffusion: times must be like 1000, got 10.5"),
        ({"kind": "Diffusion", "clip": 1}, "Diffusion: clip must be like True, got 1"),
        ({"kind": "Diffusion", "fourier": True}, "fourier must be like 0.0, got True"),
        ({"kind": "Diffusion", "fourier": 1.5}, "fourier is a share from 0 to 1, got 1.5"),
        ({"kind": "Diffusion", "times": 0}, "times must be at least 1, got 0"),
        (
            {"kind": "Diffusion", "schedule": "sine"},
            "schedule must be cosine or linear, got 'sine'",
        ),
        ({"kind": "Diffusion", "sampler": "sr3"}, "sampler must be ddim or ancestral, got 'sr3'"),
        ({"kind": "Regression", "loss": "mae"}, "loss must be l1 or l2, got 'mae'"),
        ({"kind": "PosteriorFlow", "noise": 0}, "noise must be above 0, got 0"),
        ({"kind": "PosteriorFlow", "noise": float("nan")}, "noise must be above 0, got nan"),
    ],
)
def test_tables_that_mean_nothing_are_refused(table, message):
    with pytest.raises(RecipeError, match=message):
        generate.method(table)


@pytest.mark.parametrize("method", [FlowMatching(), Diffusion(), PosteriorFlow()])
def test_no_steps_are_refused(method):
    with pytest.raises(RecipeError, match="steps must be at least 1, got 0"):
        method.restore(lambda x, y, t: x, np.zeros((1, 1, 4, 4)), lambda: 0.0, 0)


def test_more_steps_than_there_are_times_are_refused():
    with pytest.raises(RecipeError, match="a diffusion of 40 times takes no 41 steps"):
        Diffusion(times=40).restore(lambda x, y, t: x, 0.0, lambda: 0.0, 41)
