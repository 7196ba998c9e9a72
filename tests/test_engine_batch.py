"""Model files whose card names a method: what they are called with, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from scanmend import engine, models
from scanmend.engine import Network
from scanmend.errors import ModelError

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from model_files import CARD, UNet, exported  # noqa: E402


@pytest.mark.parametrize("channels", [1, 2])
def test_a_batch_is_what_torch_computes(channels, tmp_path, rng):
    torch.manual_seed(1)
    net = UNet(channels)
    network = Network(exported(net, tmp_path / "tiny.onnx", channels=channels))
    image = rng.standard_normal((3, channels, 24, 40)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(image), torch.full((3,), 0.75)).numpy()
    np.testing.assert_allclose(network.batch(image, 0.75), expected, atol=1e-5)
    x, degraded = image[:, :1], image[:, -1:]
    np.testing.assert_array_equal(
        network.conditioned(x, degraded, 0.75), network.batch(image, 0.75)
    )
    assert (network.batch(image, 0.25) != network.batch(image, 0.75)).any()


def test_the_shipped_model_knows_batches_too(rng):
    network = models.load().network
    images = rng.standard_normal((2, 3, 16, 24)).astype(np.float32)
    both = network.batch(images, 0.0, told=network.silence)
    assert both.shape == (2, 2, 16, 24)
    for image, out in zip(images, both, strict=True):
        alone = network(image, 0.0, told=network.silence)
        np.testing.assert_allclose(alone, out, atol=1e-5)


@pytest.mark.parametrize("key", [key for key in CARD if key != "method"])
def test_a_card_that_lacks_a_key_is_refused(key, tmp_path):
    path = exported(UNet(), tmp_path / "tiny.onnx", **{key: None})
    with pytest.raises(ModelError, match=f"tiny.onnx is no model .* its card lacks {key}$"):
        models.load(path)


@pytest.mark.parametrize(
    ("shape", "got"), [((1, 3, 16, 16), "3 of 16x16"), ((1, 2, 16, 18), "2 of 16x18")]
)
def test_an_image_of_another_shape_is_refused(shape, got, tmp_path):
    network = Network(exported(UNet(), tmp_path / "tiny.onnx"))
    with pytest.raises(
        ModelError, match="tiny takes images of 2 channels and sides divisible by 4"
    ) as caught:
        network.batch(np.zeros(shape, np.float32), 0.0)
    assert f"got {got}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_method_that_is_none_of_ours_is_refused(tmp_path):
    model = models.load(exported(UNet(), tmp_path / "tiny.onnx", method={"kind": "Alchemy"}))
    with pytest.raises(ModelError, match="tiny cannot be run here: .*Alchemy"):
        model.method  # noqa: B018 (a property that raises)


def test_the_factors_are_those_of_the_card(tmp_path):
    assert models.load().factors == (1, 2, 4)
    assert models.load(exported(UNet(), tmp_path / "x4.onnx", task="x4", factor=4)).factors == (4,)


def test_no_more_threads_than_are_wished_for(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    there = engine.cores()
    for wished, expected in (("1", 1), ("0", there), ("9999", there), ("4,2", there)):
        monkeypatch.setenv("OMP_NUM_THREADS", wished)
        assert engine.cores() == expected
