"""Embedders are files, images are prepared as they expect, and no two have scores of one name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from scipy.ndimage import gaussian_filter

from scanmend.crystals import SURFACES, acquisition_noise
from scanmend.errors import ModelError, ScanError
from scanmend.evaluate import embed
from scanmend.evaluate.distances import distance
from scanmend.evaluate.embed import Embedder, Preparation
from scanmend.train import encoder
from scanmend.train.examples import KINDS, NUMBERS, Lesson, example


def saved(folder, shape=("n", 3, 8, 8), name="tiny.onnx"):
    """A network whose features are the means of the channels, and each of its two outputs."""
    mean = helper.make_node("GlobalAveragePool", ["x"], ["mean"])
    twice = helper.make_node("Add", ["x", "x"], ["twice"])
    graph = helper.make_graph(
        [mean, twice],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("mean", TensorProto.FLOAT, ("n", 3, 1, 1)),
            helper.make_tensor_value_info("twice", TensorProto.FLOAT, ("n", 3, 8, 8)),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    path = folder / name
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def surfaces():
    """Two sets of clean images in [-1, 1]."""
    made = []
    for number in range(96):
        rng = np.random.default_rng((5, number))
        z = acquisition_noise(SURFACES["si001h"].surface(rng, (96, 96)), rng).values
        made.append(2 * (z - z.min()) / np.ptp(z) - 1)
    return np.stack(made[::2]), np.stack(made[1::2])


@pytest.mark.parametrize("side", [299, 100, 37])
def test_images_are_resized_as_torch_does_without_aliasing(side):
    image = np.random.default_rng(0).uniform(-1, 1, (2, 128, 120)).astype(np.float32)
    ours = Preparation(side=side, channels=1, low=-1)(image)
    size = (side, side)
    exact = torch.from_numpy(image.astype(np.float64))[:, None]
    theirs = F.interpolate(exact, size, mode="bilinear", antialias=True)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_clip_gets_grey_images_as_it_wants_them(tmp_path):
    path = saved(tmp_path, ("n", 3, "rows", "columns"))
    clip = Embedder.load(path, name="clip-vit-l-14-336")
    assert clip.name == "clip-vit-l-14-336"
    ready = clip.preparation(np.stack([np.full((20, 30), 1.0), np.full((20, 30), -1.0)]))
    assert ready.shape == (2, 3, 336, 336)
    # What its authors subtract and divide by, channel by channel.
    mean = np.reshape((0.48145466, 0.4578275, 0.40821073), (3, 1, 1))
    std = np.reshape((0.26862954, 0.26130258, 0.27577711), (3, 1, 1))
    np.testing.assert_allclose(ready[0], np.broadcast_to((1 - mean) / std, (3, 336, 336)), 1e-5)
    np.testing.assert_allclose(ready[1], np.broadcast_to(-mean / std, (3, 336, 336)), 1e-5)
    assert clip(np.zeros((2, 20, 30))).shape == (2, 3)


def test_inception_gets_images_of_299_pixels_from_minus_1_to_1(tmp_path):
    inception = Embedder.load(saved(tmp_path, ("n", 3, 299, 299)), name="inception-v3")
    image = np.linspace(-1, 1, 64 * 64).reshape(1, 64, 64)
    assert inception.preparation(image).shape == (1, 3, 299, 299)
    np.testing.assert_allclose(inception(image), np.zeros((1, 3)), atol=1e-5)


def test_what_is_not_said_comes_from_the_shape_and_what_is_said_holds(tmp_path):
    path = saved(tmp_path)
    image = np.ones((1, 16, 16))
    np.testing.assert_allclose(Embedder.load(path)(image), np.ones((1, 3)))
    other = Embedder.load(path, low=-2.0, high=5.0, mean=(1.0, 2.0, 3.0), std=(2.0,))
    np.testing.assert_allclose(other(image), [[2, 1.5, 1]])


def test_no_two_networks_have_scores_of_one_name(tmp_path):
    path = saved(tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert Embedder.load(path).name == f"tiny-{digest[:8]}"
    assert Embedder.load(path).sha256 == digest
    with pytest.raises(ModelError, match=r"tiny\.onnx is not the stm-encoder that is shipped"):
        Embedder.load(path, name="stm-encoder")


def test_a_changed_copy_of_the_shipped_one_has_another_name(tmp_path):
    model = onnx.load(Path(embed.__file__).parent / "stm-encoder.onnx")
    model.doc_string = "changed"
    onnx.save(model, tmp_path / "copy.onnx")
    assert Embedder.load(tmp_path / "copy.onnx").name.startswith("stm-encoder-")


def test_the_shipped_one_is_small_and_says_what_it_is():
    path = Path(embed.__file__).parent / "stm-encoder.onnx"
    assert path.stat().st_size < 1.5e6
    own = Embedder.load()
    assert own.name == "stm-encoder"
    assert own.card["recipe"]["seed"] == 0
    said = {"recipe_sha256", "validation", "training_cpu_s", "licence", "parameters"}
    assert said <= set(own.card)
    assert len(own.card["validation"]) == len(KINDS) + len(NUMBERS) + 1
    # What it was trained on is what the command would train on now.
    assert own.card["recipe"] == json.loads(json.dumps(Lesson().table()))


def test_features_of_an_image_do_not_depend_on_its_company(surfaces):
    own = Embedder.load()
    images = surfaces[0][:5]
    together = own(images)
    assert together.shape == (5, 128)
    assert together.dtype == np.float32
    np.testing.assert_allclose(own(images[3:4])[0], together[3], atol=1e-4)
    assert own(images[:, :64]).shape == (5, 128)  # any size


@pytest.mark.parametrize("kind", ["KID", "CMMD"])
def test_the_shipped_one_notices_blur_and_noise_and_leaves_clean_images_alone(surfaces, kind):
    own = Embedder.load()
    clean, made = surfaces
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(made.shape)

    def score(images):
        images = images - images.min(axis=(1, 2), keepdims=True)
        images = 2 * images / images.max(axis=(1, 2), keepdims=True) - 1
        return distance(kind, own(images), own(clean), own.name, np.random.default_rng(2))

    untouched = score(made)
    assert untouched.name == f"{kind}[stm-encoder]"
    assert untouched.value <= untouched.floor_high
    blurred = [score(gaussian_filter(made, (0, s, s))).value for s in (0.6, 1.0, 1.6)]
    noisy = [score(made + s * noise).value for s in (0.1, 0.2, 0.4)]
    for worse in (blurred, noisy):
        assert untouched.value < worse[0] < worse[1] < worse[2]
        assert untouched.floor_high < worse[1]  # of a slight one, 48 images do not tell


def test_a_training_ends_in_a_file_with_the_same_features(tmp_path, capsys):
    lesson = Lesson(scans=8, iterations=3, batch=4, other_share=0, other_count=1)
    net = encoder.train(lesson, workers=0)
    again = encoder.train(lesson, workers=0)
    scans = np.stack([example(lesson, 1, number).image for number in range(3)])
    digest = encoder.export(net.encoder, tmp_path / "new.onnx", {"recipe": lesson.table()})
    ours = Embedder.load(tmp_path / "new.onnx")
    assert (ours.sha256, ours.name) == (digest, f"stm-encoder-{digest[:8]}")
    with torch.inference_mode():
        theirs = net.encoder(torch.from_numpy(scans))
        assert torch.equal(theirs, again.encoder(torch.from_numpy(scans)))
    np.testing.assert_allclose(ours(scans[:, 0]), theirs, atol=1e-4)


def test_what_a_network_is_told_of_a_scan_is_so():
    lesson = Lesson(other_share=0, kind_chance=0, extra_chance=1, blur_px=(1.5, 1.5))
    made = example(lesson, 0, 1)
    np.testing.assert_array_equal(example(lesson, 0, 1).image, made.image)
    assert (made.image.min(), made.image.max()) == (-1, 1)
    assert not made.kinds.any()
    told = dict(zip(NUMBERS, made.numbers, strict=True))
    assert told["blur"] == pytest.approx(0.5)  # 1.5 px
    assert told["strength"] == pytest.approx(-1)  # none
    quiet = replace(lesson, noise_of_span=(1e-9, 1e-9))
    sharp = example(replace(quiet, blur_px=(1e-3, 1e-3)), 0, 1).image[0]
    without = example(quiet, 0, 1).image[0]
    blurred = gaussian_filter(sharp, 1.5)
    np.testing.assert_allclose(
        without, 2 * (blurred - blurred.min()) / np.ptp(blurred) - 1, 0, 1e-4
    )
    # In units of the sharp scan's range, as which [-1, 1] is 2.
    slope, offset = np.polyfit(blurred.ravel(), made.image.ravel(), 1)
    noise = np.std(made.image[0] - slope * blurred - offset) / slope / 2
    assert told["noise"] == pytest.approx(1.3 + np.log10(noise + 5e-3), abs=0.01)


def test_what_is_no_embedder_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no embedder .*none\.onnx"):
        Embedder.load(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelError, match=r"text\.onnx is no ONNX model: "):
        Embedder.load(tmp_path / "text.onnx")
    flat = saved(tmp_path, ("n", 3, 8), "flat.onnx")
    with pytest.raises(ModelError, match=r"takes x \['n', 3, 8\]; an embedder takes images"):
        Embedder.load(flat)
    path = saved(tmp_path)
    with pytest.raises(ModelError, match="no output 'pool'; it has mean, twice"):
        Embedder.load(path, output="pool")
    with pytest.raises(ModelError, match="no size in a preparation; there are side, channels"):
        Embedder.load(path, size=3)
    with pytest.raises(ModelError, match="one number or one for each of 3 channels"):
        Embedder.load(path, std=(1.0, 2.0))


def test_images_that_it_cannot_take_are_refused(tmp_path):
    path = saved(tmp_path)
    with pytest.raises(ScanError, match=r"takes images \(n, rows, columns\), got \(8, 8\)"):
        Embedder.load(path)(np.ones((8, 8)))
    with pytest.raises(ScanError, match="finite pixels"):
        Embedder.load(path)(np.full((1, 8, 8), np.nan))
    with pytest.raises(ModelError, match=r"cannot take images of shape \(3, 16, 16\)"):
        Embedder.load(path, side=16)(np.ones((1, 8, 8)))
    with pytest.raises(ModelError, match=r"gives \(1, 3, 8, 8\) for 1 images.* another output"):
        Embedder.load(path, output="twice")(np.ones((1, 8, 8)))
