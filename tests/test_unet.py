"""The published network: what it holds, what it computes, and that a file computes the same."""

from __future__ import annotations

import math
import warnings

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

import torch.nn.functional as F  # noqa: E402

from scanmend.nets.unet import LAYOUTS, Layout, UNet  # noqa: E402

TINY = Layout((8, 16, 24), attention=(1,), blocks=1)


def images(layout: Layout, *shape: int, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(batch, layout.channels, *shape), torch.rand(batch)


@pytest.fixture
def tiny() -> UNet:
    """It, with weights of its own."""
    torch.manual_seed(0)
    return UNet(TINY).eval()


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("small", 3_608_161),
        ("small-noattn", 3_541_857),
        ("large", 14_736_321),
        ("autoencoder", 14_735_745),
    ],
)
def test_the_parameters_are_as_many_as_were_published(name, count):
    with torch.device("meta"):
        net = UNet(LAYOUTS[name])
    assert sum(p.numel() for p in net.parameters()) == count
    assert net.channels == (1 if name == "autoencoder" else 2)
    assert net.multiple == 4


@pytest.mark.parametrize("name", LAYOUTS)
def test_one_plane_comes_out_of_the_size_that_went_in(name):
    torch.manual_seed(0)
    image, t = images(LAYOUTS[name], 16, 24)
    with torch.no_grad():
        assert UNet(LAYOUTS[name])(image, t).shape == (2, 1, 16, 24)


def test_time_is_told_as_cosines_and_sines_of_thousandths(tiny):
    """Periods from 2 pi thousandths up, each the same factor longer; cosines first."""
    seen = []
    tiny.time.mix[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    image, _ = images(TINY, 16, 16)
    tiny(image, torch.tensor([0.0, 0.25]))
    angle = 250 * np.array([1, 0.1, 0.01, 0.001])
    expected = [[1] * 4 + [0] * 4, [*np.cos(angle), *np.sin(angle)]]
    np.testing.assert_allclose(seen[0].numpy(), expected, atol=1e-4)


def test_every_parameter_and_both_images_and_the_time_count(tiny):
    image, t = images(TINY, 16, 16)
    image.requires_grad_()
    t.requires_grad_()
    tiny(image, t).square().sum().backward()
    still = [name for name, p in tiny.named_parameters() if p.grad is None or not p.grad.any()]
    # A constant added to all keys changes no attention.
    assert [name for name in still if not name.endswith("key.bias")] == []
    assert (image.grad.abs().amax((2, 3)) > 0).all()
    assert (t.grad != 0).all()


def test_samples_do_not_see_each_other(tiny):
    image, t = images(TINY, 16, 16, batch=3)
    with torch.no_grad():
        together, alone = tiny(image, t), tiny(image[1:2], t[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=0)


def test_attention_asks_every_pixel_by_heads_of_8_channels(tiny):
    attention = tiny.middle[0].attention
    h = torch.randn(2, 24, 3, 5)
    normal = F.group_norm(h, 8, eps=1e-5).flatten(2).transpose(1, 2)
    q, k, v = (part(normal) for part in (attention.query, attention.key, attention.value))
    told = torch.zeros_like(v)
    for head in (slice(0, 8), slice(8, 16), slice(16, 24)):
        score = torch.einsum("bic,bjc->bij", q[..., head], k[..., head]) / math.sqrt(8)
        told[..., head] = torch.einsum("bij,bjc->bic", score.softmax(-1), v[..., head])
    expected = h + attention.out(told).transpose(1, 2).reshape(h.shape)
    torch.testing.assert_close(attention(h), expected, atol=1e-5, rtol=0)


def test_the_order_in_memory_changes_nothing(tiny):
    image, t = images(TINY, 16, 24)
    with torch.no_grad():
        expected = tiny(image, t)
        tiny.to(memory_format=torch.channels_last)
        got = tiny(image.contiguous(memory_format=torch.channels_last), t)
    assert tiny.stem(image).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_a_file_of_it_computes_the_same_at_any_size(tiny, tmp_path):
    """Also where attention has more pixels than when it was traced; tracing warns of nothing."""
    net = tiny.to(memory_format=torch.channels_last)
    axes = {0: "batch", 2: "rows", 3: "columns"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            net,
            images(TINY, 32, 32, batch=1),
            str(tmp_path / "net.onnx"),
            dynamo=False,
            opset_version=17,
            input_names=["image", "t"],
            output_names=["out"],
            dynamic_axes={"image": axes, "t": {0: "batch"}, "out": axes},
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", options)
    for rows, columns, batch in ((64, 64, 1), (48, 80, 3)):
        image, t = images(TINY, rows, columns, batch=batch)
        got = session.run(None, {"image": image.numpy(), "t": t.numpy()})[0]
        with torch.no_grad():
            np.testing.assert_allclose(got, net(image, t).numpy(), atol=1e-4)
