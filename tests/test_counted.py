"""The way of counts: what a network for STEM is shown and learns, and what comes back from it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

from model_files import SMALL, TINY, of_counts  # noqa: E402

import scanmend  # noqa: E402
from scanmend import counts, models  # noqa: E402
from scanmend.errors import ModelError, RecipeError, ScanError  # noqa: E402
from scanmend.objective.posterior_flow import laplace, mean_loss  # noqa: E402
from scanmend.pairs import counted as pairs  # noqa: E402
from scanmend.pairs.counted import Doses, sample  # noqa: E402
from scanmend.restoration.verdict import verdict  # noqa: E402
from scanmend.scan import Quantity, Scan  # noqa: E402
from scanmend.stem.microscope import simulate  # noqa: E402
from scanmend.train import counted as lesson  # noqa: E402
from scanmend.train.counted import Counted  # noqa: E402
from scanmend.train.export import export  # noqa: E402
from scanmend.train.loop import train  # noqa: E402
from scanmend.train.settings import load  # noqa: E402


@pytest.fixture(scope="module")
def micrograph():
    (made,) = simulate("mos2-haadf", count=1, seed=3)
    return made


@pytest.fixture(scope="module")
def scan(micrograph) -> Scan:
    return micrograph.scan().crop(slice(0, 96), slice(0, 80))


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    return of_counts(tmp_path_factory.mktemp("identity") / "stem.onnx")


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """A model with random weights, which listens to all that it is told."""
    torch.manual_seed(0)
    net = SMALL.network().eval()
    for layer in (net.head, net.told[-1]):
        torch.nn.init.normal_(layer.weight, std=0.1)
    return of_counts(tmp_path_factory.mktemp("made_up") / "stem.onnx", net)


def counted(expected: np.ndarray, seed: int = 0, pitch: float = 0.02) -> Scan:
    values = np.random.default_rng(seed).poisson(expected).astype(np.float32)
    return Scan(values, (pitch, pitch), Quantity.COUNTS)


def test_the_noise_is_seen_in_the_scan_at_any_dose():
    y, x = np.indices((256, 256)) * 0.02
    bright = 1 + np.cos(2 * np.pi * x / 0.3) * np.cos(2 * np.pi * y / 0.3)
    for electrons in (0.01, 1, 100):
        scan = counted(electrons * bright)
        assert counts.noise(scan) == pytest.approx(np.sqrt(electrons), rel=0.05)
    holes = scan.values.copy()
    holes[40:50], holes[:, 7] = np.nan, np.nan
    assert counts.noise(scan.after("holes", holes)) == pytest.approx(10, rel=0.05)
    smooth = scan.after("clean", (100 * bright).astype(np.float32))
    assert counts.noise(smooth) < 0.1 * counts.noise(scan)


def test_neither_gain_nor_offset_of_a_detector_matters(scan, made_up):
    other = scan.after("other", 250 * scan.values + 3000)
    first, second = (
        (counts.shown(s, 2, a, n), counts.told((0.02, 0.02), 2, a, n))
        for s in (scan, other)
        for a, n in [(counts.affine(s), counts.noise(s))]
    )
    np.testing.assert_allclose(first[0], second[0], atol=2e-3)
    np.testing.assert_allclose(first[1], second[1], atol=1e-3)
    one, two = (scanmend.upscale(s, 2, made_up) for s in (scan, other))
    span = float(np.ptp(one.mean.values))
    np.testing.assert_allclose(250 * one.mean.values + 3000, two.mean.values, atol=2.5 * span)
    np.testing.assert_allclose(250 * one.spread.values, two.spread.values, rtol=0.02)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_electrons_are_counted_that_are_to_be_expected(factor):
    """Over many samples, what was measured is the target but for noise, neither more nor less."""
    doses = Doses(side=32, factors=(factor,), factor_shares=(1.0,), dose_per_A2=(1e4, 3e4))
    off = []
    for number in range(48):
        one = sample(doses, 0, number)
        assert one.shown.shape == (3, 32, 32) and one.told.shape == (4,)
        assert 2 ** one.told[2] == factor
        # Of one sample, by how many standard errors its mean is off.
        noise = 2.0 ** one.told[3]
        raw = one.raw * np.hypot(1, noise)
        off.append((raw - one.target).mean() / (noise * factor / 32))
    assert abs(np.mean(off)) < 0.6 and np.std(off) < 3


def test_a_sample_depends_on_its_number_alone():
    doses = Doses(side=32)
    before = sample(doses, 0, 5)
    pairs._image.cache_clear()
    sample(doses, 0, 37)
    after = sample(doses, 0, 5)
    np.testing.assert_array_equal(before.shown, after.shown)
    np.testing.assert_array_equal(before.target, after.target)
    assert (sample(doses, 1, 5).target != after.target).any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"side": 30}, "30 pixels is not measured 4 times coarser: take a multiple of 4"),
        ({"factor_shares": (0.5, 0.5)}, "need as many factor_shares"),
        ({"factor_shares": (0.5, 0.3, 0.1)}, "must add up to 1"),
        ({"dose_per_A2": (100.0, 10.0)}, "dose_per_A2 goes from a number above 0 up, got 100, 10"),
        ({"coarsest_nm": 0.03}, "4 times the least pixel_nm at least, 0.04 nm, got 0.03 nm"),
        ({"side": 160}, "160 pixels of 0.05 nm are more than the 5.94 nm"),
    ],
)
def test_doses_that_mean_nothing_are_refused(changes, words):
    with pytest.raises(RecipeError, match=words):
        Doses(**changes)


def test_it_learns_and_is_exported(tmp_path, monkeypatch, scan):
    monkeypatch.setattr(lesson, "_VALIDATED", 2)
    net, progress = train(TINY, tmp_path, workers=0, device="cpu")
    assert progress.iteration == 4
    figures = SMALL.validate(net)
    assert figures["smooth_x1_low_dB"] > figures["input_x1_low_dB"]
    cases = [
        f"mean_x{k}_{dose}_{of}"
        for k in (1, 2, 4)
        for dose in ("low", "high")
        for of in ("dB", "ssim")
    ]
    assert set(cases) < figures.keys()
    card = models.load(export(net, TINY, tmp_path / "tiny.onnx")).card
    assert (card["quantity"], card["axes"]) == ("COUNTS", ["rows", "columns"])
    assert card["told"] == ["row pitch", "column pitch", "factor", "noise"]
    assert (card["pixel_nm"], card["coarsest_nm"]) == ([0.01, 0.05], 0.08)
    result = scanmend.restore(scan, tmp_path / "tiny.onnx", calls=3, draws=2)
    assert len(result.draws) == 2 and np.isfinite(result.mean.values).all()


def test_the_preset_is_one():
    plan = load("stem", {"batch": 2})
    assert isinstance(plan.lesson, Counted) and plan.batch == 2


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_counts_come_back_as_counts(scan, micrograph, identity, factor):
    few = Scan(scan.values, (0.04, 0.04), scan.quantity, scan.acquisition)
    result = (
        scanmend.restore(few, identity) if factor == 1 else scanmend.upscale(few, factor, identity)
    )
    mean = result.mean
    assert mean.quantity is Quantity.COUNTS and result.spread.quantity is Quantity.COUNTS
    assert mean.values.shape == (96 * factor, 80 * factor)
    assert mean.pixel_nm == pytest.approx((0.04 / factor, 0.04 / factor))
    assert mean.size_nm == pytest.approx(few.size_nm)
    assert mean.values.mean() == pytest.approx(few.values.mean(), rel=0.01)
    assert (result.spread.values > 0).all()
    said = result.provenance
    assert (said["task"], said["model"]) == ("restore" if factor == 1 else "upscale", "tiny")
    assert said["model_pixel_nm"] == pytest.approx([0.04 / factor] * 2)
    assert said["noise_counts"] == pytest.approx(counts.noise(few), rel=1e-3)


@pytest.mark.parametrize(
    ("pitch", "factor", "note"),
    [
        (0.02, 1, None),
        (0.005, 1, "the model saw 2 x 2 pixels as one: no aperture passes anything finer"),
        (0.02, 4, "the model made pixels of 0.01 nm, and splines those of 0.005 nm: no aperture"),
        (0.07, 1, "pixels of 0.07 x 0.07 nm are not the 0.01-0.05 nm that tiny learned from: it"),
    ],
)
def test_the_verdict_says_which_pixels_the_network_made(scan, identity, pitch, factor, note):
    one = Scan(scan.values, (pitch, pitch), scan.quantity)
    result = (
        scanmend.restore(one, identity) if factor == 1 else scanmend.upscale(one, factor, identity)
    )
    said = verdict(result, models.load(identity))
    known = result.mean.values.astype(np.float64)
    assert said.relief == pytest.approx(np.ptp(np.percentile(known, (5, 95))))
    assert said.notes[0].endswith(f"of the contrast, {float(f'{said.relief:.3g}'):g} counts")
    about = [n for n in said.notes if n.startswith(("the model saw", "the model made", "pixels"))]
    assert len(about) == (note is not None)
    assert note is None or about[0].startswith(note)


def test_what_is_bright_stays_where_it_is(identity):
    """A spot, off the middle of everything, on a finer grid, and after pixels were summed."""
    for pitch, factor in ((0.04, 2), (0.04, 4), (0.004, 2), (0.006, 1), (0.02, 4)):
        y, x = (np.indices((90, 110)) + 0.5) * pitch
        away = (y - 28.1 * pitch) ** 2 + (x - 68.3 * pitch) ** 2
        spot = 50 * np.exp(-away / (2 * (5 * pitch) ** 2))
        scan = Scan(spot.astype(np.float32), (pitch, pitch), Quantity.COUNTS)
        result = (
            scanmend.restore(scan, identity)
            if factor == 1
            else scanmend.upscale(scan, factor, identity)
        ).mean
        at = (np.indices(result.values.shape) + 0.5) * pitch / factor
        found = [(result.values * one).sum() / result.values.sum() for one in at]
        np.testing.assert_allclose(found, (28.1 * pitch, 68.3 * pitch), atol=0.05 * pitch)


@pytest.mark.parametrize(
    ("pitch", "factor", "summed", "seen"),
    [
        ((0.02, 0.02), 1, [1, 1], 0.02),
        ((0.0093, 0.0093), 1, [1, 1], 0.0093),
        ((0.005, 0.005), 1, [2, 2], 0.01),
        ((0.005, 0.005), 4, [2, 2], 0.01),
        ((0.02, 0.02), 4, [1, 1], 0.01),
        ((0.02, 0.01), 1, [1, 2], 0.02),
        ((0.07, 0.07), 1, [1, 1], 0.035),
        ((0.07, 0.07), 4, [1, 1], 0.0175),
    ],
)
def test_a_network_sees_pitches_that_it_knows(scan, identity, pitch, factor, summed, seen):
    one = Scan(scan.values, pitch, scan.quantity)
    result = (
        scanmend.restore(one, identity) if factor == 1 else scanmend.upscale(one, factor, identity)
    )
    assert result.mean.values.shape == (96 * factor, 80 * factor)
    assert result.provenance["pixels_summed"] == summed
    assert result.provenance["model_pixel_nm"] == pytest.approx([seen] * 2)


def test_what_was_not_measured_stays_so(scan, made_up):
    values = scan.values.copy()
    values[:5], values[40:44, 10:20] = np.nan, np.nan
    holes = scan.after("holes", values)
    for result, k in (
        (scanmend.restore(holes, made_up), 1),
        (scanmend.upscale(holes, 2, made_up), 2),
    ):
        expected = np.isnan(values).repeat(k, 0).repeat(k, 1)
        for out in (result.mean, result.spread):
            np.testing.assert_array_equal(np.isnan(out.values), expected)


def test_a_network_is_told(scan, made_up):
    """Of the pitch, and of the noise: the same pixels are another image then."""
    other = Scan(scan.values, (0.03, 0.03), scan.quantity)
    first, second = (scanmend.restore(s, made_up).mean.values for s in (scan, other))
    assert np.abs(first - second).max() > 0.01 * np.ptp(first)


def test_the_model_for_counts_is_chosen_for_counts(scan, identity, lattice, monkeypatch):
    monkeypatch.setattr(models, "_FOLDER", identity.parent)
    assert scanmend.restore(scan).provenance["model"] == "tiny"
    assert scanmend.upscale(scan, 2).mean.pixel_nm[1] == pytest.approx(scan.pixel_nm[1] / 2)


def test_what_cannot_be_is_refused(scan, identity, lattice):
    constant = scan.after("nothing", np.full_like(scan.values, 7))
    nothing = scan.after("nothing", np.full_like(scan.values, np.nan))
    far = Scan(scan.values, (0.3, 0.3), scan.quantity)
    for call, kind, words in (
        (lambda: scanmend.restore(constant, identity), ScanError, "every pixel is 7 counts"),
        (lambda: scanmend.restore(nothing, identity), ScanError, "every pixel is NaN"),
        (lambda: scanmend.restore(far, identity), ModelError, "0.3 nm are far outside the 0.01-"),
        (lambda: scanmend.upscale(scan, 3, identity), ModelError, "by 2, 4, not by 3"),
        (lambda: scanmend.restore(lattice, identity), ModelError, "in nm, and tiny was trained on"),
        (lambda: scanmend.restore(scan, "surface"), ModelError, "in counts, and surface was"),
        (lambda: scanmend.restore(scan, identity, ghosts=True), ModelError, "nothing of ghosts"),
        (
            lambda: scanmend.upscale(scan, 2, identity, keep_measured=True),
            ModelError,
            "leave out keep_measured",
        ),
    ):
        with pytest.raises(kind, match=words):
            call()


def test_what_minds_counts_seeks_their_mean():
    """One scan of ten has 3 electrons, the others none: to be expected are 0.3, not the median."""

    class Always(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = torch.nn.Parameter(torch.tensor(0.3))

        def forward(self, image, t, told=None):
            return torch.cat([self.value.expand_as(image[:, :1]), 0 * image[:, :1]], 1)

    target = torch.zeros(10, 1, 8, 8)
    target[0] = 3
    known, mask = torch.zeros(10, 2, 8, 8), torch.ones(10, 1, 8, 8)
    slopes = {}
    for value in (0.2, 0.3, 0.4):
        net = Always()
        torch.nn.init.constant_(net.value, value)
        mean_loss(net, known, mask, target, free=False)[0].mean().backward()
        slopes[value] = net.value.grad.item()
    assert slopes[0.2] < 0 < slopes[0.4] and abs(slopes[0.3]) < 1e-6


def test_images_count_alike_however_little_is_known_of_them():
    """Ten times the error counts alike where ten times as much is expected."""
    expected = torch.tensor([1.0, 10.0, 1.0])[:, None, None, None] * torch.ones(3, 1, 16, 16)

    def net(image, t, told=None):
        return torch.cat([torch.zeros_like(expected), expected.log()], 1)

    target = torch.tensor([1.0, 10.0, 10.0])[:, None, None, None] * torch.randn(1, 1, 16, 16)
    known, mask = torch.zeros(3, 2, 16, 16), torch.ones(3, 1, 16, 16)

    def losses(**how):
        found = mean_loss(net, known, mask, target, free=False, **how)[0]
        return (found - 0.3 * laplace(target, expected.log())).tolist()

    usual, (little, much, surprising) = losses(), losses(alike=True)
    assert usual[1] == usual[2] > 5 * usual[0]
    assert 0.5 * little < much < little < 5 * little < surprising
