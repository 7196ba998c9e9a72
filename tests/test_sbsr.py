"""SBSR's network: its size, what it depends on, and that it leaves torch unchanged."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from scanmend.nets.layers import waves  # noqa: E402
from scanmend.nets.sbsr import Sbsr  # noqa: E402
from scanmend.train.export import IMAGE_AXES, write  # noqa: E402


@pytest.fixture
def net() -> Sbsr:
    torch.manual_seed(0)
    return Sbsr().eval()


def test_it_has_the_size_of_the_public_one(net):
    assert sum(p.numel() for p in net.parameters()) == 1_041_281


@torch.no_grad()
def test_every_channel_and_the_time_matter(net):
    image, t = torch.randn(2, 2, 16, 24), torch.tensor([0.1, 0.9])
    out = net(image, t)
    assert out.shape == (2, 1, 16, 24)
    for channel in range(2):
        other = image.clone()
        other[:, channel] += torch.randn(16, 24)
        assert (net(other, t) - out).abs().max() > 1e-3
    assert (net(image, t.flip(0)) - out).abs().max() > 1e-3


def test_times_are_told_in_steps_of_a_thousand():
    sines, cosines = waves(torch.tensor([0.006, 0.007]), 32, 31)
    steps = np.array([6.0, 7.0])
    for column, period in ((0, 1.0), (31, 1e4)):
        np.testing.assert_allclose(sines[:, column], np.sin(steps / period), atol=1e-5)
        np.testing.assert_allclose(cosines[:, column], np.cos(steps / period), atol=1e-5)


@torch.no_grad()
def test_samples_of_a_batch_do_not_mix(net):
    image, t = torch.randn(3, 2, 16, 16), torch.rand(3)
    apart = torch.cat([net(image[i : i + 1], t[i : i + 1]) for i in range(3)])
    assert net(image, t) == pytest.approx(apart.numpy(), abs=1e-5)


@torch.no_grad()
def test_its_file_gives_the_same_numbers_at_any_size(net, tmp_path):
    axes = {"image": IMAGE_AXES, "t": {0: "batch"}, "out": IMAGE_AXES}
    write(net, (torch.zeros(1, 2, 32, 32), torch.zeros(1)), axes, {}, tmp_path / "sbsr.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "sbsr.onnx")
    for shape in ((1, 2, 32, 32), (3, 2, 16, 40)):
        image, t = torch.randn(*shape), torch.rand(shape[0])
        (out,) = session.run(None, {"image": image.numpy(), "t": t.numpy()})
        assert np.asarray(out) == pytest.approx(net(image, t).numpy(), abs=2e-5)
