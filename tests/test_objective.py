"""The losses: their floor, their value for a network that says nothing, and that they teach."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from torch import nn  # noqa: E402

from scanmend.errors import RecipeError  # noqa: E402
from scanmend.generate import (  # noqa: E402
    METHODS,
    Diffusion,
    FlowMatching,
    PosteriorFlow,
    Regression,
)
from scanmend.nets.unet import Layout, UNet  # noqa: E402
from scanmend.objective import losses  # noqa: E402
from scanmend.objective.fourier import spectra_apart  # noqa: E402

EVERY = [
    FlowMatching(),
    Diffusion(),
    Diffusion("linear", times=40, fourier=0.5),
    Regression(),
    Regression("l2", residual=True),
    PosteriorFlow(),
]


class Told(nn.Module):
    """Answers by a function of what it is shown, which it keeps."""

    def __init__(self, answer, channels: int = 2) -> None:
        super().__init__()
        self.answer, self.channels = answer, channels
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, image, t):
        self.seen.append((image, t))
        return self.answer(image, t)


def nothing(image, t):
    return torch.zeros_like(image[:, :1])


def batch(size: int = 4, side: int = 16) -> tuple[torch.Tensor, ...]:
    """Clean, degraded, noise, u."""
    torch.manual_seed(5)
    clean, degraded, noise = torch.randn(3, size, 1, side, side)
    return 0.3 * clean, 0.3 * degraded, noise, torch.rand(size)


def square(image: torch.Tensor) -> torch.Tensor:
    return image.square().mean((1, 2, 3))


def near(got: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_flow_matching_wants_the_way_from_the_noise_to_the_image():
    clean, degraded, noise, u = batch()
    perfect, silent = Told(lambda image, t: clean - noise), Told(nothing)
    near(losses(FlowMatching(), perfect, clean, degraded, noise, u), torch.zeros(4))
    near(losses(FlowMatching(), silent, clean, degraded, noise, u), square(clean - noise))
    [(image, t)] = silent.seen
    tau = u[:, None, None, None]
    near(image, torch.cat([tau * clean + (1 - tau) * noise, degraded], 1))
    near(t, u)


@pytest.mark.parametrize("fourier", [0.0, 0.5])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_diffusion_wants_the_noise(schedule, fourier):
    clean, degraded, noise, _ = batch()
    u = torch.tensor([0.0, 0.3, 0.7, 0.9999])
    method = Diffusion(schedule, fourier=fourier)
    perfect, silent = Told(lambda image, t: noise), Told(nothing)
    # At T the image is 1 part in 20,000 of the mixture: what is left of it is rounded.
    near(losses(method, perfect, clean, degraded, noise, u), torch.zeros(4))
    loss = losses(method, silent, clean, degraded, noise, u)
    [(image, t)] = silent.seen
    k = torch.tensor([1, 301, 701, 1000])
    near(t, k / 1000)
    kept = torch.tensor([method.kept[i] for i in k])[:, None, None, None]
    near(image[:, :1], (kept.sqrt() * clean + (1 - kept).sqrt() * noise).float())
    near(image[:, 1:], degraded)
    if not fourier:
        near(loss, square(noise))


def test_half_of_equation_4_is_real_space_and_a_quarter_each_amplitude_and_phase():
    clean, degraded, noise, u = batch()
    found = 0.1 * torch.randn_like(noise) + noise
    method = Diffusion(fourier=0.5)
    got = losses(method, Told(lambda image, t: found), clean, degraded, noise, u)
    for i in range(4):
        kept = float(method.kept[int(u[i] * 1000) + 1])
        x0, eps, eps_found = (x[i, 0].double().numpy() for x in (clean, noise, found))
        mixture = sqrt(kept) * x0 + sqrt(1 - kept) * eps
        guess = (mixture - sqrt(1 - kept) * eps_found) / sqrt(kept)
        wanted, seen = (np.fft.fft2(x, norm="ortho") for x in (x0, guess))
        amplitude = np.mean(np.abs(np.abs(wanted) - np.abs(seen)))
        turn = np.angle(wanted) - np.angle(seen)
        turn = np.abs((turn + np.pi) % (2 * np.pi) - np.pi)
        phase = np.mean(np.abs(wanted) * turn)
        expected = np.mean((eps - eps_found) ** 2) / 2 + sqrt(kept) * (amplitude + phase) / 4
        assert float(got[i]) == pytest.approx(expected, rel=1e-3)


def test_a_shift_changes_phases_only():
    """By one pixel, the phase of (p, q) by 2 pi q/n; the longest way round is pi."""
    n = 16
    image = torch.randn(3, 1, n, n)
    amplitudes, phases = spectra_apart(image, image.roll(1, dims=3))
    near(amplitudes, torch.zeros(3))
    turn = 2 * torch.pi * torch.fft.fftfreq(n).abs()
    expected = (torch.fft.fft2(image, norm="ortho").abs() * turn).mean((1, 2, 3))
    near(phases, expected)


def test_a_gain_changes_amplitudes_only_and_the_sign_turns_all_phases():
    image = torch.randn(3, 1, 8, 12)
    size = torch.fft.fft2(image, norm="ortho").abs().mean((1, 2, 3))
    for gain, amplitude, turn in ((1, 0, 0), (2.5, 1.5, 0), (-1, 0, torch.pi)):
        amplitudes, phases = spectra_apart(image, gain * image)
        near(amplitudes, amplitude * size)
        torch.testing.assert_close(phases, turn * size, atol=1e-4, rtol=1e-4)


def test_spectra_of_nothing_can_be_learnt_from():
    """The phase of zero has no gradient, which must not become NaN."""
    other = torch.zeros(1, 1, 8, 8, requires_grad=True)
    sum(spectra_apart(torch.randn(1, 1, 8, 8), other)).sum().backward()
    assert other.grad.isfinite().all()


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
def test_regression_wants_the_image(residual, channels):
    clean, degraded, noise, u = batch()
    for loss, size in (("l1", lambda x: x.abs().mean((1, 2, 3))), ("l2", square)):
        method = Regression(loss, residual)
        wanted = clean - degraded if residual else clean
        perfect = Told(lambda image, t, wanted=wanted: wanted, channels)
        silent = Told(nothing, channels)
        near(losses(method, perfect, clean, degraded, noise, u), torch.zeros(4))
        near(losses(method, silent, clean, degraded, noise, u), size(wanted))
        [(image, t)] = silent.seen
        near(image, torch.cat(channels * [degraded], 1))
        assert not t.any()


def test_the_posterior_flow_wants_the_mean_and_the_image_from_it():
    clean, degraded, noise, u = batch()
    mean = 0.5 * degraded
    method = PosteriorFlow(0.2)

    def perfect(image, t):
        return (clean if t.any() else mean) - image[:, 1:]

    net, silent = Told(perfect), Told(nothing)
    near(losses(method, net, clean, degraded, noise, u), square(clean - mean) / 2)
    (first, zero), (second, t) = net.seen
    near(first, torch.cat([degraded, degraded], 1))
    assert not zero.any()
    tau = u[:, None, None, None]
    path = tau * clean + (1 - tau) * (mean + 0.2 * noise)
    near(second, torch.cat([path, mean], 1))
    near(t, u)
    near(losses(method, silent, clean, degraded, noise, u), square(clean - degraded))
    losses(method, silent, clean, degraded, noise, torch.zeros(4))
    near(silent.seen[-1][1], torch.full((4,), 0.01))  # 0 asks for the mean


def test_the_mean_is_not_led_by_the_flow():
    clean, degraded, noise, u = batch()
    offset = torch.zeros((), requires_grad=True)
    net = Told(lambda image, t: offset + clean - degraded if not t.any() else 0 * image[:, :1])
    losses(PosteriorFlow(), net, clean, degraded, noise, u).sum().backward()
    assert float(offset.grad) == pytest.approx(0, abs=1e-6)  # the mean itself is right


@pytest.mark.parametrize("method", EVERY, ids=str)
def test_each_sample_has_a_loss_of_its_own(method):
    torch.manual_seed(0)
    net = UNet(Layout((8, 16), blocks=1))
    arrays = batch()
    together = losses(method, net, *arrays)
    assert together.shape == (4,)
    alone = torch.cat([losses(method, net, *(a[i : i + 1] for a in arrays)) for i in range(4)])
    near(together, alone)


@pytest.mark.parametrize("method", EVERY, ids=str)
def test_every_parameter_learns(method):
    torch.manual_seed(0)
    net = UNet(Layout((8, 16), blocks=1))
    losses(method, net, *batch()).mean().backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert [name for name in still if not name.endswith("key.bias")] == []


def test_every_method_has_a_loss():
    torch.manual_seed(0)
    net = UNet(Layout((8, 16), blocks=1))
    for kind in METHODS.values():
        assert losses(kind(), net, *batch()).isfinite().all()


@pytest.mark.parametrize("method", [FlowMatching(), Diffusion(), PosteriorFlow()])
def test_what_needs_an_image_on_its_way_refuses_a_network_without_place_for_it(method):
    with pytest.raises(RecipeError, match=f"{type(method).__name__} needs a network of 2 chann"):
        losses(method, Told(nothing, channels=1), *batch())


class Pixelwise(nn.Module):
    """Sees one pixel, the time, and if there is any; enough where each pixel is damaged alone."""

    channels = 2

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(4, 48, 1), nn.SiLU(), nn.Conv2d(48, 48, 1), nn.SiLU()), nn.Conv2d(48, 1, 1)
        )

    def forward(self, image, t):
        t = t[:, None, None, None].expand_as(image[:, :1])
        return self.layers(torch.cat([image, t, t.sign()], dim=1))


@pytest.mark.parametrize(
    ("method", "steps"),
    [
        (FlowMatching(), 4),
        (Diffusion(), 5),
        (Diffusion(fourier=0.5), 10),
        (Diffusion("linear", sampler="ancestral"), 50),
        (Regression(), 1),
        (Regression("l2", residual=True), 1),
        (PosteriorFlow(), 3),
    ],
    ids=str,
)
def test_each_method_learns_to_turn_contrast_upside_down(method, steps):
    """From training to restoring: what is learnt is what the sampler asks for."""
    torch.manual_seed(3)
    net, count = Pixelwise(), 250
    optimiser = torch.optim.Adam(net.parameters())
    for i in range(count):
        optimiser.param_groups[0]["lr"] = 0.01 * (1 - i / count)
        clean, noise = 2 * torch.rand(16, 1, 8, 8) - 1, torch.randn(16, 1, 8, 8)
        loss = losses(method, net, clean, -clean / 2, noise, torch.rand(16)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    clean = 2 * torch.rand(16, 1, 8, 8) - 1

    def network(image, known, t):
        return net(torch.cat([image, known], 1), torch.full((16,), t))

    with torch.no_grad():
        end = method.restore(network, -clean / 2, lambda: torch.randn_like(clean), steps)
    # What goes in is off by 1.5 times the contrast.
    assert float((end - clean).square().mean().sqrt() / clean.square().mean().sqrt()) < 0.5
