"""What is written comes back, whole or not at all; what is damaged is refused in one line."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scanmend import io
from scanmend.errors import (
    CorruptFile,
    NoSuchChannel,
    ReadError,
    ScaleMissing,
    ScanmendError,
    UnknownFormat,
    UnsupportedFeature,
    WriteError,
)
from scanmend.io import units
from scanmend.io.nanonis import Header
from scanmend.scan import Acquisition, Quantity, Restoration, Scan

TAKEN = Acquisition(
    channel="Z",
    direction="backward",
    bias_V=-1.25,
    setpoint_nA=0.05,
    angle_deg=30.0,
    started="2026-11-21T08:00:00",
    instrument="a = b: \N{MICRO SIGN}",
    source="scan.sxm",
    source_sha256="0" * 64,
)
SUFFIXES = tuple(io.WRITERS)


def a_scan(quantity: Quantity = Quantity.HEIGHT, shape: tuple[int, int] = (24, 37)) -> Scan:
    """Neither square nor complete, with pixels that are not square and heights of every size."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=shape) * 10 ** rng.uniform(-6, 3, size=shape)
    values[5:7] = np.nan
    values[10, 3] = np.nan
    return Scan(values.astype(np.float32), (0.21, 0.137), quantity, TAKEN, ("read x", "made = up"))


def a_restoration(measured: Scan, factor: int = 1) -> Restoration:
    finer = measured.after("upscaled", np.repeat(measured.values, factor, axis=0) * np.float32(1.1))
    draws = tuple(finer.after(f"draw {n}", finer.values + n) for n in (1, 2))
    spread = finer.after("spread", np.abs(finer.values) / 7)
    return Restoration(measured, finer, spread, draws, {"calls": 2, "model_sha256": "ab" * 32})


def same(a: Scan, b: Scan) -> bool:
    return (
        np.array_equal(a.values, b.values, equal_nan=True)
        and a.pixel_nm == b.pixel_nm
        and a.quantity is b.quantity
        and a.acquisition == b.acquisition
        and a.history == b.history
    )


# Round trips


@pytest.mark.parametrize(
    ("suffix", "quantity"),
    [
        (suffix, quantity)
        for suffix in SUFFIXES
        for quantity in Quantity
        if suffix != ".npy" and (suffix, quantity) != (".sxm", Quantity.COUNTS)
    ],
)
def test_a_scan_comes_back_bit_for_bit(suffix, quantity, tmp_path):
    scan = a_scan(quantity)
    path = io.write(scan, tmp_path / f"out{suffix}")
    assert same(io.read(path), scan)


@pytest.mark.parametrize(
    ("quantity", "unit"),
    [(Quantity.HEIGHT, None), (Quantity.CURRENT, "nA"), (Quantity.COUNTS, "counts")],
)
def test_an_array_comes_back_when_its_scale_is_given(quantity, unit, tmp_path):
    scan = a_scan(quantity)
    path = io.write(scan, tmp_path / "out.npy")
    again = io.read(path, size_nm=scan.size_nm, unit=unit)
    assert np.array_equal(again.values, scan.values, equal_nan=True)
    assert again.size_nm == pytest.approx(scan.size_nm)
    assert again.quantity is quantity


@pytest.mark.parametrize("factor", [1, 4])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_restored_scan_comes_first(suffix, factor, tmp_path):
    made = a_restoration(a_scan(), factor)
    path = io.write(made, tmp_path / f"out{suffix}")
    given = {"size_nm": made.mean.size_nm} if suffix == ".npy" else {}
    again = io.read(path, **given)
    assert np.array_equal(again.values, made.mean.values, equal_nan=True)
    assert suffix == ".npy" or same(again, made.mean)


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("suffix", [".nc", ".gwy"])
def test_a_restoration_comes_back_whole(suffix, factor, tmp_path):
    made = a_restoration(a_scan(), factor)
    path = io.write(made, tmp_path / f"out{suffix}")
    there = {"restored": made.mean, "measured": made.measured, "spread": made.spread}
    if suffix == ".nc":
        there |= {"draw 1": made.draws[0], "draw 2": made.draws[1]}
    assert {c.name for c in io.open(path).channels} == set(there)
    for name, scan in there.items():
        again = io.read(path, name)
        assert np.array_equal(again.values, scan.values, equal_nan=True), name
        assert again.pixel_nm == scan.pixel_nm


def test_what_another_program_resampled_keeps_its_new_scale(tmp_path):
    from gwyfile import load

    path = io.write(a_scan(), tmp_path / "out.gwy")
    container = load(str(path))
    field = container["/0/data"]
    field.data = np.repeat(field.data, 2, axis=0)
    del container["/0/mask"]
    field.yreal *= 1.5
    container.tofile(str(path))
    again = io.read(path)
    assert again.values.shape == (48, 37)
    assert again.size_nm == pytest.approx((24 * 0.21 * 1.5, 37 * 0.137))


# What others make of our files


def test_gwyfile_reads_our_container(tmp_path):
    gwyfile = pytest.importorskip("gwyfile")
    made = a_restoration(a_scan(Quantity.CURRENT))
    container = gwyfile.load(str(io.write(made, tmp_path / "out.gwy")))
    for key, scan in enumerate((made.mean, made.measured, made.spread)):
        field, known = container[f"/{key}/data"], np.isfinite(scan.values)
        assert np.array_equal(container[f"/{key}/mask"].data == 0, known)
        np.testing.assert_allclose(field.data[known], scan.values[known] * 1e-9, rtol=1e-6)
        assert (field.si_unit_xy.unitstr, field.si_unit_z.unitstr) == ("m", "A")
        assert (field.yreal, field.xreal) == pytest.approx([n * 1e-9 for n in scan.size_nm])
    assert [container[f"/{n}/data/title"] for n in range(3)] == ["restored", "measured", "spread"]


def test_gsffile_reads_our_simple_field(tmp_path):
    gsffile = pytest.importorskip("gsffile")
    scan = a_scan()
    values, about = gsffile.read_gsf(io.write(scan, tmp_path / "out.gsf"))
    np.testing.assert_allclose(values, scan.values.astype(np.float64) * 1e-9, rtol=1e-7)
    assert (about["XYUnits"], about["ZUnits"]) == ("m", "m")
    size_m = float(about["YReal"]), float(about["XReal"])
    assert size_m == pytest.approx([n * 1e-9 for n in scan.size_nm])


@pytest.mark.parametrize("suffix", [".sxm", ".gwy", ".gsf"])
def test_gwyddion_reads_ours(suffix, tmp_path):
    gwyddionpy = pytest.importorskip("gwyddionpy")
    made = a_restoration(a_scan())
    channels = gwyddionpy.load(io.write(made, tmp_path / f"out{suffix}")).channels
    title, first = next(iter(channels.items()))
    known = np.isfinite(made.mean.values)
    assert "restored" in title.lower()
    np.testing.assert_allclose(first.data[known], made.mean.values[known] * 1e-9, rtol=1e-6)
    assert (first.si_unit_xy, first.si_unit_z) == ("m", "m")
    assert (first.yreal, first.xreal) == pytest.approx([n * 1e-9 for n in made.mean.size_nm])


def test_a_restored_nanonis_channel_cannot_pass_for_a_measured_one(tmp_path):
    path = io.write(a_restoration(a_scan()), tmp_path / "out.sxm")
    assert [c.name for c in io.open(path).channels] == ["RESTORED_Z", "MEASURED_Z", "SPREAD_Z"]
    assert b"Restored by scanmend, not raw data" in path.read_bytes()
    with pytest.raises(WriteError, match="Nanonis files hold heights and currents, not counts"):
        io.write(a_scan(Quantity.COUNTS), tmp_path / "counts.sxm")


def test_tifffile_reads_our_tiff(tmp_path):
    import tifffile

    scan = a_scan()
    with tifffile.TiffFile(io.write(scan, tmp_path / "out.tif")) as tiff:
        assert np.array_equal(tiff.asarray(), scan.values, equal_nan=True)
        assert tiff.imagej_metadata is not None
        assert tiff.imagej_metadata["unit"] == "nm"
        per_nm = tiff.pages.first.tags["YResolution"].value
    assert per_nm[1] / per_nm[0] == pytest.approx(0.21, rel=1e-6)


def test_xarray_reads_our_netcdf(tmp_path):
    import xarray

    made = a_restoration(a_scan(), 2)
    with xarray.open_dataset(io.write(made, tmp_path / "out.nc"), engine="h5netcdf") as data:
        assert np.array_equal(data.restored.values, made.mean.values, equal_nan=True)
        assert data.draws.shape == (2, 48, 37)
        assert data.restored.attrs["units"] == "nm"
        assert data.restored.y_nm.attrs["units"] == "nm"
        assert float(data.restored.y_nm[1] - data.restored.y_nm[0]) == pytest.approx(0.105)
        assert '"calls": 2' in data.attrs["provenance"]


# Nanonis scans upward and in two directions, from a file of ours with another header


@pytest.fixture
def nanonis(tmp_path) -> Callable[..., Path]:
    def make(direction: str = "both", upward: bool = False) -> Path:
        made = a_restoration(a_scan())
        path = io.write(
            replace(made, spread=a_restoration(made.mean, 2).spread), tmp_path / "x.sxm"
        )
        raw = path.read_bytes()
        start, end = raw.index(b":SCANMEND:"), raw.index(b":DATA_INFO:")
        row = b"\t1\tMEASURED_Z\tm\tforward\t1.000E+0\t0.000E+0\n"
        raw = (raw[:start] + raw[end:]).replace(row, b"")
        raw = raw.replace(b"\tforward\t", f"\t{direction}\t".encode())
        path.write_bytes(raw.replace(b":SCAN_DIR:\ndown", b":SCAN_DIR:\nup") if upward else raw)
        return path

    return make


@pytest.mark.parametrize("upward", [False, True])
def test_every_nanonis_frame_is_turned_upright(nanonis, upward):
    path = nanonis(upward=upward)
    turned = slice(None, None, -1) if upward else slice(None)
    made = a_restoration(a_scan())
    forward, backward = (io.read(path, direction=d).values for d in ("forward", "backward"))
    np.testing.assert_allclose(forward, made.mean.values[turned], rtol=3e-7)
    np.testing.assert_allclose(backward, made.measured.values[turned, ::-1], rtol=3e-7)
    assert np.isnan(forward).any(axis=1).sum() == 3, "lines never scanned are NaN"
    gwyddionpy = pytest.importorskip("gwyddionpy")
    for channel, mine in zip(
        gwyddionpy.load(path).channels.values(), (forward, backward), strict=True
    ):
        np.testing.assert_allclose(channel.data * 1e9, mine, rtol=3e-7)


# Several images of one scan, as a Nanonis file


BOTH = ("forward", "backward")


def four_images() -> dict[tuple[str, str], Scan]:
    rng = np.random.default_rng(3)
    images = {}
    for channel, quantity in (("SIMULATED_Z", Quantity.HEIGHT), ("Current", Quantity.CURRENT)):
        for direction in BOTH:
            values = rng.normal(size=(24, 37)).astype(np.float32)
            taken = replace(TAKEN, channel=channel, direction=direction)
            images[channel, direction] = Scan(values, (0.21, 0.137), quantity, taken, ("made",))
    return images


HEADER = Header(
    "simulated by scanmend,\nnot measured :SCANIT_END:",
    software="simulated by scanmend",
    offset_nm=(-12.0, 3.5),
    line_s=(0.25, 0.5),
    controller="log Current",
    proportional_nm=0.012,
    integral_nm_per_s=60.0,
)


@pytest.mark.parametrize("upward", [False, True])
def test_the_images_of_a_nanonis_file_come_back(upward, tmp_path):
    images = four_images()
    path = io.write_sxm(images, replace(HEADER, upward=upward), tmp_path / "x.sxm")
    assert [(c.name, c.directions) for c in io.open(path).channels] == [
        ("SIMULATED_Z", ("forward", "backward")),
        ("Current", ("forward", "backward")),
    ]
    for name, scan in images.items():
        assert same(io.read(path, *name), scan)


@pytest.mark.parametrize("upward", [False, True])
def test_a_nanonis_header_says_it_without_our_own_tag(upward, tmp_path):
    """As any other program reads it, and we do where the tag of ours is missing."""
    images = four_images()
    path = io.write_sxm(images, replace(HEADER, upward=upward), tmp_path / "x.sxm")
    raw = path.read_bytes()
    path.write_bytes(raw[: raw.index(b":SCANMEND:")] + raw[raw.index(b":DATA_INFO:") :])
    for name, scan in images.items():
        again = io.read(path, *name)
        np.testing.assert_allclose(again.values, scan.values, rtol=3e-7)
        assert again.size_nm == pytest.approx(scan.size_nm)
        taken = again.acquisition
        assert (taken.bias_V, taken.setpoint_nA, taken.angle_deg) == (-1.25, 0.05, 30.0)
        assert taken.started == "2026-11-21T08:00:00"


@pytest.mark.parametrize("upward", [False, True])
def test_nanonispy_reads_our_images_and_header(upward, tmp_path):
    nanonispy = pytest.importorskip("nanonispy2").read
    images = four_images()
    path = io.write_sxm(images, replace(HEADER, upward=upward), tmp_path / "x.sxm")
    theirs = nanonispy.Scan(path)
    for (channel, direction), scan in images.items():
        in_time = scan.values[:: -1 if upward else 1, :: -1 if direction == "backward" else 1]
        np.testing.assert_allclose(theirs.signals[channel][direction] * 1e9, in_time, rtol=3e-7)
    header = theirs.header
    assert header["scan_dir"] == ("up" if upward else "down")
    assert list(header["scan_pixels"]) == [37, 24]
    assert list(header["scan_range"]) == pytest.approx([37 * 0.137e-9, 24 * 0.21e-9])
    assert list(header["scan_offset"]) == pytest.approx([-12e-9, 3.5e-9])
    assert float(header["scan_angle"]) == 30
    assert header["bias"] == -1.25
    assert list(header["scan_time"]) == [0.25, 0.5]
    assert header["acq_time"] == 18
    assert (header["rec_date"], header["rec_time"]) == ("21.11.2026", "08:00:00")
    assert header["comment"] == "simulated by scanmend, not measured"
    assert header["nanonismain>sw version"] == "simulated by scanmend"
    loop = {key: value[0] for key, value in header["z-controller"].items()}
    assert loop == {
        "Name": "log Current", "on": "1", "Setpoint": "5.000000E-11 A",
        "P-gain": "1.200000E-11 m", "I-gain": "6.000000E-08 m/s", "T-const": "2.000000E-04 s",
    }  # fmt: skip


@pytest.mark.parametrize("upward", [False, True])
def test_gwyddion_reads_our_images(upward, tmp_path):
    gwyddionpy = pytest.importorskip("gwyddionpy")
    images = four_images()
    path = io.write_sxm(images, replace(HEADER, upward=upward), tmp_path / "x.sxm")
    theirs = gwyddionpy.load(path).channels
    assert len(theirs) == 4
    for (channel, direction), scan in images.items():
        found = theirs[f"{channel} ({direction.title()})"]
        np.testing.assert_allclose(found.data * 1e9, scan.values, rtol=3e-7)
        assert found.si_unit_z == ("A" if channel == "Current" else "m")
        assert (found.yreal, found.xreal) == pytest.approx([n * 1e-9 for n in scan.size_nm])
        assert found.meta["Comment"] == "simulated by scanmend, not measured"


@pytest.mark.parametrize("name", ["STM_nanonis_generic_4_5.sxm", "moire_10nm.sxm"])
def test_a_real_nanonis_file_written_again_holds_the_same(name, real, tmp_path):
    nanonispy = pytest.importorskip("nanonispy2").read
    source = real / "stm" / name
    images = {
        (channel.name, direction): io.read(source, channel.name, direction)
        for channel in io.open(source).channels
        for direction in channel.directions
    }
    assert len(images) == 4
    path = io.write_sxm(images, Header("written again"), tmp_path / name)
    for key, scan in images.items():
        assert same(io.read(path, *key), scan)
    theirs, before = nanonispy.Scan(path), nanonispy.Scan(source)
    for channel, direction in images:
        np.testing.assert_allclose(
            theirs.signals[channel][direction], before.signals[channel][direction], rtol=2e-7
        )
    for key in ("bias", "scan_range", "scan_pixels", "rec_date", "rec_time", "scan_dir"):
        assert np.array_equal(theirs.header[key], before.header[key]), key


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (dict, "holds an image or more, got none"),
        (lambda s: {("Z", "up"): s}, "Z: a direction is forward or backward, got 'up'"),
        (lambda s: {("Z:", "forward"): s}, "'Z:' cannot be the name of a Nanonis channel"),
        (lambda s: {("Z\tm", "forward"): s}, "cannot be the name of a Nanonis channel"),
        (lambda s: {("Z", "forward"): replace(s, quantity=Quantity.COUNTS)}, "not counts"),
        (
            lambda s: {("Z", BOTH[0]): s, ("Z", BOTH[1]): replace(s, quantity=Quantity.CURRENT)},
            "Z is a height in one direction and a current in the other",
        ),
        (
            lambda s: {("Z", "forward"): s, ("I", "forward"): replace(s, pixel_nm=(1.0, 1.0))},
            "share one grid: I forward has .* pixels of .1.0, 1.0. nm, the first one .*0.21",
        ),
    ],
)  # fmt: skip
def test_images_that_no_nanonis_file_holds(change, text, tmp_path):
    images = change() if change is dict else change(a_scan())
    with pytest.raises(WriteError, match=text):
        io.write_sxm(images, HEADER, tmp_path / "x.sxm")
    assert list(tmp_path.iterdir()) == []


def test_a_nanonis_file_is_not_written_over(tmp_path):
    path = io.write_sxm(four_images(), HEADER, tmp_path / "x.sxm")
    before = path.read_bytes()
    with pytest.raises(WriteError, match="exists already"):
        io.write_sxm(four_images(), HEADER, path)
    assert io.write_sxm(four_images(), HEADER, path, overwrite=True).read_bytes() == before


# Igor waves


def _wave(path: Path, values: np.ndarray, name: str, note: bytes) -> Path:
    """A version 5 wave of float32, in m: the layout of the vendor's Technical Note 003."""
    count = (*values.shape, 0, 0)[:4]
    data = values.astype("<f4").tobytes(order="F")
    body = bytearray(320)
    struct.pack_into("<i", body, 12, values.size)
    struct.pack_into("<h", body, 16, 2)
    body[28 : 28 + len(name)] = name.encode()
    struct.pack_into("<4i", body, 68, *count)
    struct.pack_into("<4d", body, 84, 1e-10, 1e-10, 1, 1)
    body[148:149] = b"m"
    body[152:153] = body[156:157] = b"m"
    sizes = (320 + len(data), 0, len(note), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    lead = struct.pack("<hH15i", 5, 0, *sizes)
    total = np.frombuffer(lead + bytes(body), "<u2").sum(dtype=np.uint32)
    lead = struct.pack("<hH15i", 5, (-int(total)) & 0xFFFF, *sizes)
    path.write_bytes(lead + bytes(body) + data + note)
    return path


@pytest.mark.parametrize("vertical", ["Up", "Down"])
def test_an_igor_wave_is_turned_upright_and_filled_up(vertical, tmp_path, rng):
    image = rng.normal(size=(5, 3)).astype(np.float32)  # x, y: 5 columns, 3 lines
    note = b"lines per image = 8"
    scan = io.read(_wave(tmp_path / "w.ibw", image, f"Z Forward {vertical}", note))
    assert scan.values.shape == (8, 5)
    assert scan.size_nm == pytest.approx((0.8, 0.5))
    assert scan.acquisition.direction == "forward"
    measured = scan.values[-3:] if vertical == "Up" else scan.values[:3]
    np.testing.assert_allclose(measured, image.T[::-1] * 1e9, rtol=1e-6)
    assert np.isnan(scan.values).sum() == 5 * 5


def test_an_igor_wave_of_three_axes_is_a_stack_of_channels(tmp_path, rng):
    image = rng.normal(size=(5, 3, 2)).astype(np.float32)
    path = _wave(tmp_path / "w.ibw", image, "scan", b"")
    assert [c.name for c in io.open(path).channels] == ["layer 1", "layer 2"]
    np.testing.assert_allclose(
        io.read(path, "layer 2").values, image[..., 1].T[::-1] * 1e9, rtol=1e-6
    )


def test_an_igor_wave_cannot_ask_for_more_lines_than_memory_has(tmp_path, rng):
    path = _wave(tmp_path / "w.ibw", rng.normal(size=(5, 3)), "Z", b"lines per image = 999999999")
    with pytest.raises(
        CorruptFile, match="holds 3 lines of 5 pixels, and says that it was to have 9"
    ):
        io.read(path)


# WSxM, whose only real file here holds int16


@pytest.mark.parametrize(("kind", "dtype"), [("short", "<i2"), ("float", "<f4"), ("double", "<f8")])
def test_a_wsxm_image_is_turned_upright(kind, dtype, tmp_path):
    steps = np.arange(12).reshape(3, 4)
    fields = (
        f"Image Data Type: {kind}", "Number of columns: 4", "Number of rows: 3",
        "X Amplitude: 8 nm", "Y Amplitude: 60 \xc5", "Z Amplitude: 22 \xc5",
        "Minimum: 0", "Maximum: 11", "Set Point: 1 nA",
    )  # fmt: skip
    body = "".join(f"    {field}\r\n" for field in fields) + "[Header end]\r\n"
    head = "WSxM file copyright x\r\nSxM Image file\r\nImage header size: "
    size = len(head) + 5 + len(body)
    path = tmp_path / "x.stp"
    path.write_bytes(
        f"{head}{size:03d}\r\n{body}".encode("latin-1") + steps.astype(dtype).tobytes()
    )
    scan = io.read(path)
    assert np.allclose(scan.values, steps[::-1, ::-1] * 0.2)
    assert scan.size_nm == pytest.approx((6, 8))
    assert scan.acquisition.setpoint_nA == pytest.approx(1)


# Units


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("nm", (Quantity.HEIGHT, 1.0)),
        ("n_m", (Quantity.HEIGHT, 1.0)),
        ("m", (Quantity.HEIGHT, 1e9)),
        ("pm", (Quantity.HEIGHT, 1e-3)),
        ("\N{MICRO SIGN}m", (Quantity.HEIGHT, 1e3)),
        ("angstrom", (Quantity.HEIGHT, 0.1)),
        ("\N{LATIN CAPITAL LETTER A WITH RING ABOVE}", (Quantity.HEIGHT, 0.1)),
        ("\N{ANGSTROM SIGN}", (Quantity.HEIGHT, 0.1)),
        ("2.5e-6nm", (Quantity.HEIGHT, 2.5e-6)),
        ("A", (Quantity.CURRENT, 1e9)),
        ("pA", (Quantity.CURRENT, 1e-3)),
        ("counts", (Quantity.COUNTS, 1.0)),
        ("V", None),
        ("Hz", None),
        ("", None),
        ("0nm", None),
        ("nm/V", None),
    ],
)
def test_a_unit_means_what_it_says(unit, expected):
    found = units.quantity(unit)
    assert found == (expected and (expected[0], pytest.approx(expected[1])))


def test_a_is_the_angstrom_of_lengths_and_the_ampere_of_values():
    assert units.length_nm(20, "A") == pytest.approx(2)
    assert units.quantity("A") == (Quantity.CURRENT, 1e9)
    assert units.length_nm(1, "V") is None
    assert units.volts("600mV") == pytest.approx(0.6)
    assert units.volts("600 mA") is None
    assert units.nanoamperes("5.0E-10 A") == pytest.approx(0.5)


def test_metres_are_not_taken_for_nanometres(tmp_path):
    heights_m = np.random.default_rng(1).normal(scale=1e-10, size=(8, 8))
    np.save(tmp_path / "m.npy", heights_m)
    with pytest.raises(ScaleMissing, match=r"looks like metres; give the unit \(--unit m"):
        io.read(tmp_path / "m.npy", size_nm=(5, 5))
    scan = io.read(tmp_path / "m.npy", size_nm=(5, 5), unit="m")
    np.testing.assert_allclose(scan.values, heights_m * 1e9, rtol=1e-6)


# Questions that a file cannot answer


@pytest.fixture
def npy(tmp_path) -> Path:
    np.save(tmp_path / "plain.npy", np.arange(12.0).reshape(3, 4))
    return tmp_path / "plain.npy"


def test_a_scale_that_makes_no_sense_is_refused(npy):
    with pytest.raises(ScaleMissing, match=r"plain\.npy does not say how large the scan is"):
        io.read(npy)
    with pytest.raises(
        ReadError, match=r"the size given for plain\.npy is 0 x 5 nm: it must be pos"
    ):
        io.read(npy, size_nm=(0, 5))
    with pytest.raises(ReadError, match="must be positive"):
        io.read(npy, size_nm=(float("nan"), 5))
    with pytest.raises(
        UnsupportedFeature, match="in 'furlong', which is no height, current or counts"
    ):
        io.read(npy, size_nm=(5, 5), unit="furlong")


def test_a_unit_that_the_file_knows_better_is_refused(tmp_path):
    path = io.write(a_scan(), tmp_path / "x.nc")
    with pytest.raises(ReadError, match="says that 'scan' is in 'nm': leave the unit out"):
        io.read(path, unit="m")


def test_a_size_given_puts_right_what_the_file_says(tmp_path):
    scan = io.read(io.write(a_scan(), tmp_path / "x.gwy"), size_nm=(24, 37))
    assert scan.pixel_nm == (1, 1)
    assert scan.history[-1] == "size given as 24 x 37 nm"


def test_a_channel_or_direction_that_is_not_there(tmp_path):
    path = io.write(a_restoration(a_scan()), tmp_path / "x.gwy")
    with pytest.raises(
        NoSuchChannel, match=r"x\.gwy has no channel 'Z'; it has restored, measured"
    ):
        io.read(path, "Z")
    with pytest.raises(
        NoSuchChannel, match="no 'forward' direction of 'restored'; it has backward"
    ):
        io.read(path, "restored", "forward")


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_a_stack_is_no_scan(suffix, tmp_path):
    import tifffile

    path, stack = tmp_path / f"stack{suffix}", np.zeros((7, 8, 9), np.float32)
    if suffix == ".npy":
        np.save(path, stack)
    else:
        tifffile.imwrite(path, stack, photometric="minisblack")
    with pytest.raises(UnsupportedFeature, match="is a stack of 7 frames of 8 x 9 pixels"):
        io.read(path, size_nm=(1, 1))


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((3, 3), complex), "holds complex128, not real numbers"),
        (np.array([["a"]]), "holds <U1, not real numbers"),
        (np.zeros(5), "holds an array of 1 axes"),
        (np.float64(1), "holds an array of 0 axes"),
        (np.zeros((0, 4)), "declares an image of 0 x 4 pixels"),
    ],
)
def test_an_array_that_is_no_image(array, text, tmp_path):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(ReadError, match=text):
        io.read(tmp_path / "x.npy", size_nm=(1, 1))


def test_a_pickled_array_is_never_opened(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[{"a": 1}]]), allow_pickle=True)
    with pytest.raises(UnsupportedFeature, match="holds object, not real numbers"):
        io.read(tmp_path / "x.npy", size_nm=(1, 1))


def test_a_picture_in_colour_is_no_scan(tmp_path):
    from PIL import Image

    picture = np.zeros((4, 5, 3), np.uint8)
    picture[..., 0] = 255
    Image.fromarray(picture).save(tmp_path / "x.png")
    with pytest.raises(UnsupportedFeature, match="a picture in colour, from which no height"):
        io.read(tmp_path / "x.png", size_nm=(1, 1))


def test_what_is_no_file_at_all(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gwyddionpy", None)
    (tmp_path / "empty.sxm").touch()
    (tmp_path / "notes.txt").write_text("nothing of interest")
    with pytest.raises(CorruptFile, match=r"empty\.sxm is empty"):
        io.read(tmp_path / "empty.sxm")
    with pytest.raises(ReadError, match="is a folder: name a file in it"):
        io.read(tmp_path)
    with pytest.raises(ReadError, match="there is no file .*nowhere"):
        io.read(tmp_path / "nowhere.sxm")
    with pytest.raises(
        UnknownFormat, match=r"notes\.txt is none of the formats.*scanmend\[gwyddion\]"
    ):
        io.read(tmp_path / "notes.txt")


def test_what_gwyddion_cannot_read_either(tmp_path):
    pytest.importorskip("gwyddionpy")
    (tmp_path / "notes.txt").write_text("nothing of interest")
    with pytest.raises(UnknownFormat, match="none of the formats read here, and Gwyddion cannot"):
        io.read(tmp_path / "notes.txt")


def test_a_missing_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rsciio", None)
    monkeypatch.setitem(sys.modules, "rsciio.digitalmicrograph", None)
    (tmp_path / "x.dm3").write_bytes(b"\0\0\0\3" + bytes(100))
    with pytest.raises(UnsupportedFeature, match=r"x\.dm3 .*: pip install scanmend\[em\]"):
        io.read(tmp_path / "x.dm3")


def test_a_missing_converter_is_not_fetched(tmp_path, monkeypatch):
    gwyddionpy = pytest.importorskip("gwyddionpy")
    monkeypatch.setattr(
        gwyddionpy, "ensure_converter", lambda *_: pytest.fail("went to the network")
    )
    monkeypatch.setenv("GWYDDIONPY_CONVERT", str(tmp_path / "none"))
    (tmp_path / "x.spm").write_bytes(b"\\*File list\r\n")
    with pytest.raises(UnsupportedFeature, match=r"Gwyddion's converter: .*scanmend\[gwyddion\]"):
        io.read(tmp_path / "x.spm")


# Whole or not at all


def test_nothing_is_overwritten_unless_asked(tmp_path):
    path = io.write(a_scan(), tmp_path / "x.npy")
    before = path.read_bytes()
    with pytest.raises(WriteError, match=r"x\.npy exists already: choose another name"):
        io.write(a_scan(Quantity.CURRENT), path)
    assert path.read_bytes() == before
    io.write(a_restoration(a_scan()), path, overwrite=True)
    assert path.read_bytes() != before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.doc", r"the suffix must be one of \.nc, \.gwy"),
        ("x", "the suffix must be one of"),
        ("none/x.npy", "cannot be written: there is no folder .*none"),
        ("folder.npy", "is a folder: name a file in it"),
        ("file/x.npy", "there is no folder .*file"),
    ],
)
def test_a_place_that_cannot_be_written_to(name, text, tmp_path):
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=text):
        io.write(a_scan(), tmp_path / name)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no file, not even from root")
def test_a_folder_that_cannot_be_written_to():
    with pytest.raises(WriteError, match=r"/proc/x\.npy cannot be written"):
        io.write(a_scan(), "/proc/x.npy")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_what_was_there(suffix, tmp_path):
    resource = pytest.importorskip("resource")
    path = io.write(a_scan(), tmp_path / f"x{suffix}")
    before = path.read_bytes()
    larger = a_restoration(a_scan(shape=(200, 300)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(WriteError, match=rf"x\{suffix} cannot be written: "):
            io.write(larger, path, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path], "something unfinished was left"


def test_a_writer_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    def fail(thing, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setitem(io.WRITERS, ".npy", fail)
    with pytest.raises(KeyboardInterrupt):
        io.write(a_scan(), tmp_path / "x.npy")
    assert list(tmp_path.iterdir()) == []


# Damage


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damage_never_escapes(suffix, tmp_path, rng, caplog):
    """Cut at many places, and bytes changed anywhere: a scan or one of our errors, no third."""
    path = io.write(a_restoration(a_scan()), tmp_path / f"x{suffix}")
    raw = path.read_bytes()
    given = {"size_nm": (1.0, 1.0)} if suffix == ".npy" else {}
    tracemalloc.start()
    try:
        for trial in range(60):
            damaged = bytearray(raw[: rng.integers(8, len(raw))] if trial % 2 else raw)
            for at in rng.integers(8, max(len(damaged), 9), size=rng.integers(0, 12)):
                damaged[min(at, len(damaged) - 1)] = rng.integers(256)
            path.write_bytes(damaged)
            try:
                for channel in io.open(path).channels:
                    io.read(path, channel.name, **given)
            except ScanmendError as error:
                assert "\n" not in str(error)
        assert tracemalloc.get_traced_memory()[1] < 64e6, "a damaged header asked for memory"
        assert not caplog.records, "a library talked to the user"
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_cut_short_is_no_scan(suffix, tmp_path):
    path = io.write(a_scan(), tmp_path / f"x{suffix}")
    raw = path.read_bytes()
    for part in (0.3, 0.9, 0.99):
        path.write_bytes(raw[: int(part * len(raw))])
        with pytest.raises(ReadError):
            io.read(path, size_nm=(5, 5))


def _lie_npy(path: Path) -> None:
    np.save(path, np.zeros((20, 20)))
    path.write_bytes(path.read_bytes().replace(b"(20, 20), }      ", b"(20000, 20000), }"))


def _lie_sxm(path: Path) -> None:
    io.write(a_scan(), path)
    path.write_bytes(path.read_bytes().replace(b"       37       24", b"    20000    20000"))


def _lie_gsf(path: Path) -> None:
    head = b"Gwyddion Simple Field 1.0\nXRes = 20000\nYRes = 20000\nXReal = 1e-8\nYReal = 1e-8\n"
    path.write_bytes(head + b"XYUnits = m\nZUnits = m\n\0\0\0\0" + bytes(400))


def _lie_tif(path: Path) -> None:
    import tifffile

    tifffile.imwrite(path, np.zeros((20, 30), np.float32))
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tiff.pages.first.tags[tag].overwrite(20000)


def _lie_png(path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = struct.pack(">IIBBBBB", 9000, 9000, 16, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + pixels + chunk(b"IEND", b""))


def _lie_gwy(path: Path) -> None:
    io.write(a_scan(), path)
    raw = path.read_bytes()
    for name, true in ((b"xres\0i", 37), (b"yres\0i", 24)):
        raw = raw.replace(name + struct.pack("<i", true), name + struct.pack("<i", 20000))
    path.write_bytes(raw)


def _lie_nc(path: Path) -> None:
    import h5py

    io.write(a_scan(), path)
    with h5py.File(path, "r+") as file:
        about = dict(file["scan"].attrs)
        del file["scan"]
        file.create_dataset("scan", (20000, 20000), "f4", chunks=(100, 100))
        file["scan"].attrs["scanmend"] = about["scanmend"]


def _lie_createc(path: Path) -> None:
    about = (
        "Num.X=20000\nNum.Y=20000\nChannels=2\nChannelselectval=1\nLength x[A]=9\nLength y[A]=9\n"
    )
    about += "BiasVolt.[mV]=1\nGainZ=10\nZPiezoconst=19.2\nDAC-Type=20bit\n"
    path.write_bytes(b"[Paramco32]\n" + about.encode() + b"DATA" + zlib.compress(bytes(4000)))


LIES = {
    "x.npy": _lie_npy,
    "x.sxm": _lie_sxm,
    "x.gsf": _lie_gsf,
    "x.tif": _lie_tif,
    "x.png": _lie_png,
    "x.gwy": _lie_gwy,
    "x.nc": _lie_nc,
    "x.dat": _lie_createc,
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies_about_its_size_gets_no_memory(name, tmp_path):
    LIES[name](tmp_path / name)
    tracemalloc.start()
    try:
        with pytest.raises(CorruptFile, match=r"20000|declares \d+ bytes"):
            io.read(tmp_path / name, size_nm=(5, 5))
        assert tracemalloc.get_traced_memory()[1] < 32e6
    finally:
        tracemalloc.stop()


# Light


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_list_of_channels_loads_no_pixels(suffix, tmp_path):
    noise = np.random.default_rng(1).normal(size=(1500, 1400)).astype(np.float32)
    path = io.write(Scan(noise, (0.1, 0.1)), tmp_path / f"x{suffix}")
    io.open(path)
    tracemalloc.start()
    try:
        (channel,) = io.open(path).channels
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (channel.rows, channel.columns) == (1500, 1400)
    assert peak < noise.nbytes / 4


VENDORS = (
    "access2thematrix", "dask", "gsffile", "gwyddionpy", "gwyfile", "h5netcdf", "h5py", "igor2",
    "PIL", "rsciio", "tifffile", "torch", "xarray",
)  # fmt: skip


def test_importing_io_loads_nobodys_library():
    code = f"import sys, scanmend.io; print([m for m in {VENDORS!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_format_and_writer_has_its_place():
    names = [each.NAME for each in io.FORMATS]
    assert len(set(names)) == len(names)
    assert set(SUFFIXES) == {".nc", ".gwy", ".gsf", ".tif", ".tiff", ".npy", ".sxm"}
