"""A network that is told more than the time: of the pitch, and of what is wished for."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from model_files import UNet, deaf, exported  # noqa: E402

import scanmend  # noqa: E402
from scanmend.errors import ModelError, RecipeError  # noqa: E402
from scanmend.evaluate.candidates import parse  # noqa: E402
from scanmend.pairs.clean import Surface  # noqa: E402
from scanmend.pairs.samples import Mix  # noqa: E402
from scanmend.train.export import export  # noqa: E402
from scanmend.train.mixed import Mixed  # noqa: E402
from scanmend.train.settings import Settings  # noqa: E402

MIXED = Settings("told", Mixed(widths=(8, 8), blocks=(1, 1), middle=1, mix=Mix(side=32, margin=4)))


@pytest.fixture(scope="module")
def listening(tmp_path_factory):
    """A model with random weights, which listens to all that it is told."""
    torch.manual_seed(0)
    net = MIXED.lesson.network().eval()
    for layer in (net.head, net.told[-1]):
        torch.nn.init.normal_(layer.weight, std=0.3)
    return export(net, MIXED, tmp_path_factory.mktemp("told") / "told.onnx")


@pytest.fixture(scope="module")
def scan():
    return Surface("si001h").piece("test", 64, np.random.default_rng(0)).scan


def apart(a: scanmend.Restoration, b: scanmend.Restoration) -> float:
    return float(np.abs(a.mean.values - b.mean.values).max() / np.ptp(b.mean.values))


def test_of_ghosts_and_of_mending(listening, scan):
    plain = scanmend.restore(scan, listening)
    assert apart(scanmend.restore(scan, listening), plain) == 0
    told = scanmend.restore(scan, listening, ghosts=True)
    assert apart(told, plain) > 1e-3
    assert (plain.provenance["ghosts"], told.provenance["ghosts"]) == (False, True)
    few = scanmend.Scan(scan.values[::2], (2 * scan.pixel_nm[0], scan.pixel_nm[1]))
    finer, mended, both = (
        scanmend.upscale(few, 2, listening, **how) for how in ({}, {"mend": True}, {"ghosts": True})
    )
    assert min(apart(mended, finer), apart(both, mended)) > 1e-3
    assert both.provenance["mend"]
    # What was measured comes back as it was, unless it is to be mended.
    kept = [np.abs(r.mean.values[::2] - few.values).max() for r in (finer, mended)]
    assert kept[0] == 0 < kept[1]


def test_of_the_pitch(listening, scan):
    """Half as large a scan of the same pixels is another surface."""
    smaller = scanmend.Scan(scan.values, (0.9 * scan.pixel_nm[0],) * 2)
    two = [scanmend.restore(s, listening) for s in (scan, smaller)]
    assert two[0].provenance["model_pixel_nm"] != two[1].provenance["model_pixel_nm"]
    assert apart(*two) > 1e-3


def test_a_candidate_is_told_of_ghosts(listening, tmp_path):
    plain, told = parse(f"{listening}@1")[0], parse(f"{listening}+ghosts@1")[0]
    assert (plain.name, told.name) == ("told", "told+ghosts")
    assert told.ghosts
    assert told.about()["ghosts"]
    with pytest.raises(RecipeError, match="median cannot be told of ghosts"):
        parse("median+ghosts")
    path = exported(UNet(), tmp_path / "tiny.onnx")
    with pytest.raises(RecipeError, match="tiny cannot be told of ghosts"):
        parse(f"{path}+ghosts@1")
    with pytest.raises(RecipeError, match="deaf cannot be told of ghosts"):
        parse(f"{deaf(tmp_path / 'deaf.onnx')}+ghosts@1")


def test_a_model_that_does_not_listen_says_so(scan, tmp_path):
    with pytest.raises(ModelError, match="deaf cannot be told of ghosts: use a model whose card"):
        scanmend.restore(scan, deaf(tmp_path / "deaf.onnx"), ghosts=True)


@pytest.mark.parametrize(
    ("pixel_nm", "seen_nm"),
    [
        ((0.19, 0.19), (0.19, 0.19)),
        ((0.15, 0.23), (0.23 / 1.4, 0.23)),  # nearly known, but too oblong
        ((0.1, 0.1), (0.16, 0.16)),
        ((0.5, 0.5), (0.22, 0.22)),
        ((0.05, 0.2), (0.16, 0.2)),
    ],
)
def test_a_scan_is_shown_at_the_nearest_pitch_that_is_known(listening, scan, pixel_nm, seen_nm):
    result = scanmend.restore(scanmend.Scan(scan.values, pixel_nm), listening)
    assert result.provenance["model_pixel_nm"] == pytest.approx(seen_nm, rel=0.02)


def test_a_model_that_does_not_listen_is_not_asked_to_mend(scan, tmp_path):
    few = scanmend.Scan(scan.values[::2], (2 * scan.pixel_nm[0], scan.pixel_nm[1]))
    with pytest.raises(ModelError, match="deaf cannot be told to mend: use a model whose card"):
        scanmend.upscale(few, 2, deaf(tmp_path / "deaf.onnx"), mend=True)
