"""Clean images: what cannot be trained on is refused, and no image is both learnt and tested."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scanmend import io, level
from scanmend.errors import CorruptFile, ReadError, RecipeError, ScaleMissing, ScanError
from scanmend.pairs.clean import SPLITS, Surface, folder
from scanmend.scan import Quantity, Scan

PIXEL_NM = (0.2, 0.2)


def image(seed: int, shape: tuple[int, int] = (40, 48), **changes: object) -> Scan:
    """Smooth heights on a tilted plane."""
    rng = np.random.default_rng(seed)
    y, x = (np.linspace(0, 1, n) for n in shape)
    waves = sum(
        np.outer(np.cos(rng.uniform(3, 40) * y), np.cos(rng.uniform(3, 40) * x)) for _ in range(4)
    )
    values = (0.05 * waves + rng.normal() * x + 3).astype(np.float32)
    return replace(Scan(values, PIXEL_NM), **changes)


def write(folder: Path, count: int, suffix: str = ".nc") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        io.write(image(n), folder / f"{n}{suffix}")
    return folder


def split(images) -> dict[str, list[str]]:
    return {name: [i.path.name for i in there] for name, there in images.images.items()}


@pytest.mark.parametrize(
    ("total", "shares", "expected"),
    [
        (3, (36, 12, 6), (1, 1, 1)),
        (4, (36, 12, 6), (2, 1, 1)),
        (9, (36, 12, 6), (6, 2, 1)),
        (9, (1, 1, 7), (1, 1, 7)),
        (7, (100, 1, 1), (5, 1, 1)),
        (18, (36, 12, 6), (12, 4, 2)),
    ],
)
def test_images_are_split_in_the_ratio(tmp_path, total, shares, expected):
    found = split(folder(write(tmp_path, total), shares))
    assert list(found) == list(SPLITS)
    assert tuple(map(len, found.values())) == expected
    assert {name for there in found.values() for name in there} == {f"{n}.nc" for n in range(total)}


def test_the_split_is_of_the_images_not_of_their_files(tmp_path):
    first = folder(write(tmp_path / "a", 8), seed=3)
    for n in range(8):
        (tmp_path / "b").mkdir(exist_ok=True)
        io.write(image(n), tmp_path / f"b/{9 - n} other.gsf")
    again = folder(tmp_path / "b", seed=3)
    hashes = [[i.sha256 for i in there.images[s]] for there in (first, again) for s in SPLITS]
    assert hashes[:3] == hashes[3:]
    assert split(first) != split(folder(tmp_path / "a", seed=4))
    assert first.table()["test"] == [[i.path.name, i.sha256] for i in first.images["test"]]


def test_folders_may_be_split_already(tmp_path):
    for n, name in enumerate(SPLITS):
        (tmp_path / name).mkdir()
        io.write(image(n), tmp_path / name / "scan.nc")
        io.write(image(10 + n), tmp_path / name / "other.nc")
    given = {name: tmp_path / name for name in SPLITS}
    assert split(folder(tmp_path)) == {name: ["other.nc", "scan.nc"] for name in SPLITS}
    assert folder(given) == folder(tmp_path)
    with pytest.raises(RecipeError, match="split into train, validation and test, got train, tset"):
        folder({"train": tmp_path, "tset": tmp_path})


def test_what_is_no_clean_scan_is_left_out(tmp_path):
    write(tmp_path, 4)
    for name in ("notes.txt", ".hidden.nc", "0_restored.nc", "0_degraded.nc", "3_x2.nc"):
        (tmp_path / name).write_bytes(b"words")
    found = folder(tmp_path)
    assert [path.name for path in found.left_out] == ["notes.txt"]
    assert sum(map(len, found.images.values())) == 4


def test_images_are_levelled(tmp_path):
    found = folder(write(tmp_path, 3))
    one = found.images["train"][0]
    scan, (low, span) = one.level()
    expected = level.plane(io.read(one.path))[0].values
    np.testing.assert_array_equal(scan.values, expected)
    assert (low, low + span) == pytest.approx((expected.min(), expected.max()))


def test_a_piece_is_a_turned_part_of_its_image(tmp_path):
    tall = (0.2, 0.1)
    for n in range(3):
        io.write(image(n, pixel_nm=tall), tmp_path / f"{n}.nc")
    found = folder(tmp_path)
    turns = set()
    for seed in range(24):
        scan, within, about = found.piece("test", 16, np.random.default_rng(seed))
        whole, expected = found.images["test"][0].level()
        turns.add(about["turned_deg"])
        turned = np.rot90(whole.values, about["turned_deg"] // 90)
        rows, columns = (slice(about[k], about[k] + 16) for k in ("row", "column"))
        np.testing.assert_array_equal(scan.values, turned[rows, columns])
        assert scan.pixel_nm == (tall if about["turned_deg"] % 180 == 0 else tall[::-1])
        assert within == expected
        assert about["sha256"] == found.images["test"][0].sha256
    assert turns == {0, 90, 180, 270}


def test_a_piece_may_be_the_whole_image(tmp_path):
    for n in range(3):
        io.write(image(n, (16, 16)), tmp_path / f"{n}.nc")
    found = folder(tmp_path)
    scan, within, _ = found.piece("train", 16, np.random.default_rng(0))
    assert within == (scan.values.min(), pytest.approx(np.ptp(scan.values)))


def test_a_folder_that_changed_is_read_again(tmp_path):
    before = folder(write(tmp_path, 3))
    io.write(image(9, (16, 16)), tmp_path / "0.nc", overwrite=True)
    after = folder(tmp_path)
    assert (16, 16) in [i.shape for split in after.images.values() for i in split]
    old = next(i for split in before.images.values() for i in split if i.path.name == "0.nc")
    with pytest.raises(RecipeError, match=r"0\.nc has changed since the images were split"):
        old.level()


def test_a_surface_is_drawn_for_each_piece():
    source = Surface("si001h")
    scan, (low, span), about = source.piece("train", 40, np.random.default_rng(1))
    assert scan.values.shape == (40, 40)
    assert (low, low + span) == pytest.approx((scan.values.min(), scan.values.max()))
    assert about == {"image": "si001h"}
    assert source.pixel_nm[0] <= scan.pixel_nm[0] <= source.pixel_nm[1]
    other = source.piece("train", 40, np.random.default_rng(2))
    assert (other.scan.values != scan.values).all()
    assert scan.history[-1].startswith("acquisition noise")
    with pytest.raises(RecipeError, match="'si100' is neither a folder of scans nor a surface: si"):
        Surface("si100")


def test_sources_travel(tmp_path):
    found = folder(write(tmp_path, 4))
    assert pickle.loads(pickle.dumps(found)) == found
    assert pickle.loads(pickle.dumps(Surface("si001h"))) == Surface("si001h")


def test_too_few_images(tmp_path):
    with pytest.raises(ReadError, match="there is no folder .*nowhere"):
        folder(tmp_path / "nowhere")
    with pytest.raises(ReadError, match=r"no scan is in .*; there is nothing"):
        folder(tmp_path)
    for name in ("a.txt", "b.txt", "c.pt", "README"):
        (tmp_path / name).write_bytes(b"words")
    with pytest.raises(ReadError, match=r"no scan is in .*; there is 2 \.txt, 1 README, 1 \.pt"):
        folder(tmp_path)
    write(tmp_path, 2)
    with pytest.raises(RecipeError, match="^2 images cannot be split into train.* it takes 3 or m"):
        folder(tmp_path)
    with pytest.raises(RecipeError, match=r"three numbers above 0, for train.*got \(1, 0, 1\)"):
        folder(write(tmp_path / "more", 3), (1, 0, 1))
    with pytest.raises(RecipeError, match="a seed is 0 or more, got -1"):
        folder(tmp_path / "more", seed=-1)


def test_images_that_cannot_be_read(tmp_path):
    write(tmp_path, 3)
    bad = tmp_path / "bad.nc"
    bad.write_bytes((tmp_path / "0.nc").read_bytes()[:900])
    with pytest.raises(CorruptFile, match=r"^bad\.nc "):
        folder(tmp_path)
    bad.unlink()
    np.save(tmp_path / "bare.npy", image(9).values)
    with pytest.raises(ScaleMissing, match=r"^bare\.npy does not say how large the scan is"):
        folder(tmp_path)
    with pytest.raises(ReadError, match=r"list\.txt is none of the formats"):
        (tmp_path / "list.txt").write_text("x")
        folder([tmp_path / "0.nc", tmp_path / "list.txt"])


def test_bare_arrays_are_given_a_scale(tmp_path):
    for n in range(3):
        np.save(tmp_path / f"{n}.npy", image(n).values)
    assert folder(tmp_path, size_nm=(8, 9.6)).pixel_nm == pytest.approx((0.2, 0.2))
    square = folder(tmp_path, size_nm=(None, 9.6), unit="pm")
    assert square.pixel_nm == pytest.approx((0.2, 0.2))
    assert square.images["train"][0].level()[1][1] < 1e-3


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"quantity": Quantity.CURRENT}, r"odd\.nc holds nA, and most images nm: choose the same"),
        (
            {"pixel_nm": (0.2, 0.21)},
            r"odd\.nc has pixels of 0\.2 x 0\.21 nm, and most images 0\.2 x 0\.2 nm: resample it",
        ),
    ],
)
def test_images_that_do_not_belong_together(tmp_path, changes, text):
    write(tmp_path, 3)
    io.write(image(7, **changes), tmp_path / "odd.nc")
    with pytest.raises(RecipeError, match=text):
        folder(tmp_path)


def test_a_scale_may_be_off_by_a_little(tmp_path):
    write(tmp_path, 3)
    io.write(image(7, pixel_nm=(0.2, 0.204)), tmp_path / "near.nc")
    assert folder(tmp_path).pixel_nm == (0.2, 0.204)


@pytest.mark.parametrize("name", ["copy.nc", "copy.gwy", "copy.tif", "copy.sxm"])
@pytest.mark.parametrize("levelled", [False, True])
def test_a_copy_is_found_whatever_it_is_called(tmp_path, name, levelled):
    """In another folder of splits, in another format, or levelled by another program."""
    for n, split in enumerate(SPLITS):
        (tmp_path / split).mkdir()
        io.write(image(n), tmp_path / split / f"{n}.nc")
    twin = level.plane(image(0))[0] if levelled else image(0)
    io.write(twin, tmp_path / "test" / name)
    with pytest.raises(RecipeError, match=r"is the same image as 0\.nc: one of them must go"):
        folder(tmp_path)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("flipped", [False, True])
def test_a_copy_that_was_turned_is_found(tmp_path, turns, flipped):
    write(tmp_path, 3)
    values = np.rot90(image(0).values[:40, :40], turns)
    io.write(image(0, values=image(0).values[:40, :40]), tmp_path / "square.nc")
    values = values[::-1] if flipped else values
    io.write(image(0, values=np.ascontiguousarray(values)), tmp_path / "turned.nc")
    with pytest.raises(RecipeError, match=r"(turned|square)\.nc is the same image as"):
        folder(tmp_path)


def test_images_of_nothing(tmp_path):
    write(tmp_path, 3)
    plane = np.add.outer(np.arange(40.0), np.arange(48.0)).astype(np.float32)
    io.write(image(0, values=plane), tmp_path / "plane.nc")
    with pytest.raises(ScanError, match=r"^plane\.nc is flat: there is nothing to learn from"):
        folder(tmp_path)
    (tmp_path / "plane.nc").unlink()
    holes = image(8).values.copy()
    holes[-3:] = np.nan
    io.write(image(0, values=holes), tmp_path / "holes.nc")
    with pytest.raises(ScanError, match=r"^holes\.nc was not measured everywhere: crop it"):
        folder(tmp_path)


def test_images_that_are_too_small(tmp_path):
    found = folder(write(tmp_path, 3))
    found.must_hold(40)
    with pytest.raises(RecipeError, match=r"\.nc has 40x48 pixels, .* needs 41x41: leave it out"):
        found.must_hold(41)


def test_real_scans(real):
    files = [real / f"stm/si001h_{name}.npy" for name in ("step", "patch")]
    parts = dict(zip(SPLITS, ([files[0]], [files[1]], [files[1]]), strict=True))
    with pytest.raises(
        RecipeError, match=r"si001h_patch\.npy is the same image as stm/si001h_patch"
    ):
        folder(parts, size_nm=(100, 100))
    sxm = [real / f"stm/{name}.sxm" for name in ("moire_10nm", "STM_nanonis_generic_4_5")]
    with pytest.raises(RecipeError, match=r"\.sxm has pixels of 0\.\d+ x 0\.\d+ nm, and most"):
        folder([*sxm, real / "stm/createc_afm.dat"])
