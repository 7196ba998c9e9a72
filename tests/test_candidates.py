"""Every kind of candidate restores what it is given, each image by itself, or says why not."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

import scanmend
from scanmend.crystals import silicon
from scanmend.degrade.fewer_lines import FewerLines
from scanmend.errors import ModelError, RecipeError
from scanmend.evaluate.candidates import parse
from scanmend.evaluate.classical import CLASSICAL
from scanmend.evaluate.contract import Batch
from scanmend.scan import Quantity, Scan

PIXEL_NM = 100 / 512


def unit(images: np.ndarray) -> np.ndarray:
    """Each image in [-1, 1]."""
    low, high = (f(images, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    return (2 * (images - low) / (high - low) - 1).astype(np.float32)


def batch_of(images: np.ndarray, factor: int = 1, numbers=None, seed: int = 3) -> Batch:
    """In [-1, 1], from images in nm."""
    n = len(images)
    return Batch(
        unit(images),
        factor,
        range(n) if numbers is None else numbers,
        seed,
        images.min(axis=(1, 2)),
        np.ptp(images, axis=(1, 2)),
        np.full((n, 2), PIXEL_NM),
        Quantity.HEIGHT,
    )


@pytest.fixture(scope="module")
def surfaces() -> np.ndarray:
    """Three clean images of 128x128 pixels, nm."""
    rngs = [np.random.default_rng(n) for n in range(3)]
    return np.stack([silicon.surface(rng, (128, 128)).values for rng in rngs])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    pytest.importorskip("torch")
    from model_files import UNet, exported

    return exported(UNet(), tmp_path_factory.mktemp("model") / "tiny.onnx")


def test_a_text_is_a_candidate_for_each_number_of_steps(tiny):
    two, five = parse(f"{tiny}@2,5")
    assert (two.name, two.steps, two.calls, two.tasks) == ("tiny", 2, 4, ("restore",))
    assert (five.steps, five.calls) == (5, 10)
    (default,) = parse(f"mine={tiny}")
    assert (default.name, default.steps) == ("mine", 2)
    (median,) = parse("median")
    assert (median.name, median.steps, median.tasks) == ("median", None, ("restore", "x2", "x4"))
    assert parse("cubic-spline")[0].tasks == ("x2", "x4")
    (shipped,) = parse("si001h@1")
    assert (shipped.calls, shipped.tasks) == (1, ("restore", "x2", "x4"))
    (command,) = parse("cmd:mine=program --a=1 {input} {output}")
    assert (command.name, command.text) == ("mine", "program --a=1 {input} {output}")


@pytest.mark.parametrize(
    "text", [*CLASSICAL, "degraded", "si001h@1", "cmd:c=prog {input} {output}"]
)
def test_a_candidate_can_be_pickled_and_says_what_it_is(text):
    (candidate,) = parse(text)
    assert pickle.loads(pickle.dumps(candidate)) == candidate
    assert candidate.about()["kind"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "nothing.onnx@2",
            "no candidate 'nothing.onnx': a model file, cmd:NAME=COMMAND, or si001h",
        ),
        ("si001h@two", "steps are numbers such as @2,5,10, got @two"),
        ("si001h@0", "steps are numbers"),
        ("median@2", "median takes no steps"),
        ("cmd:x=prog {input}", "command x must name {input} and {output} once"),
        ("cmd:x=prog {input.doc} {output}", "{input.doc} must be one of .nc"),
        ("cmd:x=prog '{input} {output}", "No closing quotation"),
        ("cmd:a/b=prog {input} {output}", "name is letters, digits"),
    ],
)
def test_what_is_no_candidate_is_told_in_one_line(text, message):
    with pytest.raises(RecipeError, match=r"^[^\n]*$") as caught:
        parse(text)
    assert message in str(caught.value)


def test_a_model_restores_by_its_method_however_images_are_batched(tiny, surfaces):
    (candidate,) = parse(f"{tiny}@2")
    together = candidate.restore(batch_of(surfaces))
    assert together.dtype == np.float32
    for n in range(3):
        alone = candidate.restore(batch_of(surfaces[n : n + 1], numbers=[n]))
        np.testing.assert_allclose(alone[0], together[n], atol=1e-5)
    other = candidate.restore(batch_of(surfaces, seed=4))
    assert np.abs(other - together).max() > 0.01


def test_a_perfect_model_gives_the_image_it_knows(tmp_path, surfaces):
    pytest.importorskip("torch")
    from model_files import Towards, exported

    path = exported(Towards(gain=0.5, offset=0.1), tmp_path / "towards.onnx")
    (candidate,) = parse(f"{path}@3")
    batch = batch_of(surfaces)
    np.testing.assert_allclose(candidate.restore(batch), 0.5 * batch.images + 0.1, atol=1e-4)


@pytest.mark.parametrize("kind", ["median", "wavelet", "Lanczos"])
def test_classical_methods_leave_what_is_clean_nearly_as_it_is(kind):
    pytest.importorskip("skimage")
    y, x = np.mgrid[:128, :128] / 128
    images = np.stack([np.sin(4 * np.pi * y) + x, np.cos(4 * np.pi * (x + y))])
    batch = batch_of(_fewer(images, 4), 4)
    (candidate,) = parse(kind)
    restored = candidate.restore(batch)
    assert restored.dtype == np.float32
    # Where a filter cuts peaks, the range that it is brought to [-1, 1] by is smaller.
    assert np.abs(restored - unit(images)).mean() < 0.03
    assert (restored.min(), restored.max()) == pytest.approx((-1, 1))
    assert np.abs(batch.images - unit(images)).mean() > 0.05


def _fewer(images: np.ndarray, factor: int) -> np.ndarray:
    thin = FewerLines(factor)
    rngs = [np.random.default_rng(n) for n in range(len(images))]
    scans = [Scan(image.astype(np.float32), (PIXEL_NM, PIXEL_NM)) for image in images]
    return np.stack([thin(scan, rng).values for scan, rng in zip(scans, rngs, strict=True)])


@pytest.mark.parametrize("factor", [2, 4])
def test_the_shipped_model_puts_lines_where_they_belong(factor, surfaces):
    """At whichever rows they were measured: nothing is moved up or down."""
    batch = batch_of(_fewer(surfaces, factor), factor)
    (candidate,) = parse("si001h@1")
    restored = candidate.restore(batch)
    clean = 2 * (surfaces - batch.low[:, None, None]) / batch.span[:, None, None] - 1
    error = [np.abs(np.roll(restored, s, axis=1) - clean).mean(axis=(1, 2)) for s in (0, -1, 1)]
    assert (error[0] < np.min(error[1:], axis=0)).all()
    assert error[0].mean() < 0.7 * np.abs(batch.images - clean).mean()


def test_the_shipped_model_restores_as_it_does_whole_scans(surfaces):
    (candidate,) = parse("si001h@1")
    batch = batch_of(surfaces[:1])
    scan = Scan(surfaces[0], (PIXEL_NM, PIXEL_NM))
    whole = scanmend.restore(scan, "si001h").mean.values
    np.testing.assert_allclose(candidate.restore(batch)[0], unit(whole[None])[0], atol=1e-3)


PROGRAM = """
import sys, numpy as np
np.save(sys.argv[2], np.load(sys.argv[1])[::-1])
"""


@pytest.fixture
def program(tmp_path) -> str:
    """Turns an image upside down."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return f"{sys.executable} {path}"


def test_a_program_reads_a_scan_and_writes_one(program, surfaces):
    (candidate,) = parse(f"cmd:turned={program} {{input}} {{output}}")
    batch = batch_of(surfaces[:2])
    np.testing.assert_allclose(candidate.restore(batch), batch.images[:, ::-1], atol=1e-5)


def test_a_program_is_given_heights_and_pitch(tmp_path, surfaces):
    path = tmp_path / "look.py"
    path.write_text(
        "import sys, scanmend\n"
        "scan = scanmend.read(sys.argv[1])\n"
        f"scanmend.write(scan, {str(tmp_path / 'seen.gsf')!r})\n"
        "scanmend.write(scan, sys.argv[2])\n"
        "assert sys.argv[3] == '4'\n"
    )
    text = f"cmd:look={sys.executable} {path} {{input.gsf}} {{output.gsf}} {{factor}}"
    (candidate,) = parse(text)
    batch = batch_of(surfaces[:1], factor=4)
    np.testing.assert_allclose(candidate.restore(batch), batch.images, atol=1e-5)
    seen = scanmend.read(tmp_path / "seen.gsf")
    np.testing.assert_allclose(seen.values, surfaces[0], atol=1e-5)
    assert seen.pixel_nm == pytest.approx((PIXEL_NM, PIXEL_NM))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-such-program {input} {output}", "image 0, is not run: No such file"),
        (
            "PYTHON -c 'import sys; sys.exit(\"it\\nbroke\")' {input} {output}",
            "ended with 1: broke",
        ),
        ("PYTHON -c pass {input} {output}", "image 0, wrote no output.npy"),
        (
            "PYTHON -c 'import sys,numpy as n; n.save(sys.argv[2],n.eye(9))' {input} {output}",
            "wrote 9x9 pixels: it must be 128x128, all of them finite",
        ),
        ("PYTHON -c 'import sys; open(sys.argv[2],\"w\")' {input} {output}", "wrote no scan: "),
    ],
)
def test_a_program_that_fails_is_told_in_one_line(command, message, surfaces):
    (candidate,) = parse(f"cmd:c={command.replace('PYTHON', sys.executable)}")
    with pytest.raises(ModelError, match=r"^command c, [^\n]*$") as caught:
        candidate.restore(batch_of(surfaces[:1]))
    assert message in str(caught.value)
