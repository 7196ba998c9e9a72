# ruff: noqa: E501  the table is read in columns
"""Every real file: read right, by the word of another program, or refused with the right error.

The expected values come from Gwyddion, and where it does not read a file from the vendor's layout
(`np.load`, `h5py`, `igor2`). The corners of an image tell its orientation.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from conftest import REAL

from scanmend import io
from scanmend.errors import (
    CorruptFile,
    NoSuchChannel,
    ReadError,
    ScaleMissing,
    UnsupportedFeature,
)
from scanmend.scan import Quantity

H, C, N = Quantity.HEIGHT, Quantity.CURRENT, Quantity.COUNTS
EM = "electron microscopy (.dm3, .dm4, .ser, .emi, .emd, .hdf5)"
GWY, ARRAY, IMAGE = "Gwyddion (.gwy, .gsf)", "array (.npy, .dat)", "image (.tif, .png)"
MATRIX = "stm/matrix/default_2011May27-164015_STM-STM_Spectroscopy"


@dataclass(frozen=True)
class Reads:
    """What a file holds by default: `corners` are (0, 0), (0, -1), (-1, 0), `inside` one more.

    `given` is what a user must add; without it the file must fail with ScaleMissing.
    """

    format: str
    channel: str
    direction: str | None
    size_nm: tuple[float, float]
    quantity: Quantity
    shape: tuple[int, int]
    corners: tuple[float, float, float]
    inside: tuple[int, int, float] | None = None
    given: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Fails:
    error: type[ReadError]
    text: str


# fmt: off
FILES: dict[str, Reads | Fails] = {
    "stm/STM_nanonis_generic_4_5.sxm": Reads("Nanonis SXM", "Z", "forward", (4, 4), H, (256, 256), (9.322601, 9.267162, 9.149953), (85, 64, 9.282447)),
    "stm/moire_10nm.sxm": Reads("Nanonis SXM", "Z", "forward", (10, 10), H, (160, 160), (105.6866, 105.3964, 105.6672), (53, 40, 105.7349)),
    "stm/createc_afm.dat": Reads("Createc DAT", "Topography", "forward", (15.00046, 15.00046), H, (256, 256), (-124.9935, -124.9801, -124.388), (85, 64, -124.7535)),
    "stm/createc_scan_island_60nm.dat": Reads("Createc DAT", "Topography", "forward", (60.00183, 60.00183), H, (512, 512), (-109.9139, -109.9213, -110.0193), (170, 128, -109.942)),
    "stm/abc_graphite.sm4": Reads("RHK SM4", "Topography", "forward", (75, 75), H, (128, 128), (-93.37328, -96.52335, -87.30326), (42, 32, -91.07726)),
    "stm/stm-nanosurf-nid.nid": Reads("NanoSurf NID", "Z-Axis", "forward", (20, 20), H, (256, 256), (-11.04431, -10.93445, -9.588623), (85, 64, -10.42786)),
    "stm/interrupted_scan.ibw": Reads("Igor wave", "I 3 37-1 Down", "backward", (5, 5), C, (256, 256), (0.4952041, 0.5077934, np.nan), (19, 64, 0.5003602)),
    "stm/si001h_patch.npy": Reads(ARRAY, "values", None, (100, 100), H, (512, 512), (-0.1281485, -0.01097134, 0.08112217), (170, 128, -0.09117597), {"size_nm": (100, 100)}),
    "stm/si001h_step.npy": Reads(ARRAY, "values", None, (100, 100), H, (512, 512), (-0.05075275, 0.05957515, -0.05211082), (170, 128, 0.03298103), {"size_nm": (100, 100)}),
    "stm/si111_7x7_defects.dat": Reads(ARRAY, "values", None, (30, 30), H, (256, 256), (0.3684619, 0.1295348, 0.7926898), (85, 64, 0.3265893), {"size_nm": (30, 30), "unit": "m"}),
    f"{MATRIX}--22_4.Z_mtrx": Reads("Omicron MATRIX", "Z up", "forward", (20, 20), H, (500, 500), (-207.4731, -206.9079, -204.8691), (166, 125, -206.4775)),
    f"{MATRIX}_0001.mtrx": Fails(UnsupportedFeature, "holds no image, but the parameters of a MATRIX experiment"),
    "stem/mos2_haadf.dm3": Reads(EM, "SI Survey Image (active)", None, (13, 13), N, (1024, 1024), (3058051, 3021898, 2992782), (341, 256, 2998019)),
    "stem/oxide_interface.dm3": Reads(EM, "06-SI Survey Image", None, (5, 5), N, (512, 512), (2884032, 2864678, 3039874), (170, 128, 2894335), {"size_nm": (5, 5)}),
    "stem/srtio3_haadf.ser": Reads(EM, "image", None, (10.253009, 10.253009), N, (1024, 1024), (19351, 18416, 18024), (341, 256, 18159)),
    "stem/perovskite_adf.hdf5": Reads(EM, "image", None, (3.72, 3.53), N, (400, 380), (2538, 2204, 1305), (133, 95, 1283), {"size_nm": (3.72, 3.53)}),
    "stem/03_afterimage_8nm_crp.png": Reads(IMAGE, "image", None, (8, 8), N, (730, 730), (103, 107, 51), (243, 182, 168), {"size_nm": (8, 8)}),
    "formats/64x64_TEM_images_acquire.emi": Reads(EM, "image", None, (402.0374, 402.0374), N, (64, 64), (48408.4, 47856.7, 49154.61), (21, 16, 49094.18)),
    "formats/64x64_TEM_images_acquire_1.ser": Reads(EM, "image", None, (402.0374, 402.0374), N, (64, 64), (48408.4, 47856.7, 49154.61), (21, 16, 49094.18)),
    "formats/EMDReader_Image_FEI.emd": Reads(EM, "HAADF", None, (2714.836, 2714.836), N, (512, 512), (9240, 9458, 9214)),
    "formats/GwiddionReader_chip.gsf": Reads(GWY, "Topography", None, (80000, 80000), H, (300, 300), (18345.12, 14177.74, 16641.5), (100, 75, 16126.92)),
    "formats/GwiddionReader_chip.gwy": Reads(GWY, "channel 0", None, (80000, 80000), H, (300, 300), (18345.12, 14177.74, 16641.5), (100, 75, 16126.92)),
    "formats/createc_header_mismatch.dat": Fails(CorruptFile, r"contradicts itself: 2 channels of 64 x 64 pixels .* 40 planes"),
    "formats/dmTest_float32_nonSquare_diffPixelSize.dm3": Reads(EM, "dmTest_float32_nonSquare_diffPixelSize", None, (12.8, 128), N, (64, 128), (0, 127, 0), (21, 32, 32)),
    "formats/dmTest_float32_nonSquare_diffPixelSize.dm4": Reads(EM, "dmTest_float32_nonSquare_diffPixelSize", None, (12.8, 128), N, (64, 128), (0, 127, 0), (21, 32, 32)),
    "formats/example_image.emd": Reads(EM, "__unnamed__", None, (1, 1), N, (3, 3), (0, 6, 2), None, {"size_nm": (1, 1)}),
    "formats/fei_example_tem_stack.emd": Fails(UnsupportedFeature, "is a stack of 2 frames of 3 x 3 pixels"),
    "formats/gwyfile_test.gwy": Reads(GWY, "Test", None, (1, 1), H, (128, 128), (8.249385e-4, 6.139620e-4, 5.477758e-4), None, {"size_nm": (1, 1), "unit": "nm"}),
    "formats/mac-version5.ibw": Fails(UnsupportedFeature, "holds the wave 'version5' of 1 axes"),
    "formats/sample_0.top": Reads("WSxM", "Topography", "forward", (500, 500), H, (512, 512), (-80.3848, -80.65873, -21.43263), (170, 128, -66.85452)),
    "formats/test-2_2D.dm4": Reads(EM, "test", None, (1, 1), N, (2, 2), (1, 2, 3), None, {"size_nm": (1, 1)}),
    "formats/test_STEM_image.dm3": Reads(EM, "test_STEM_image", None, (16.900585, 16.900585), N, (68, 68), (33121, 34255, 32259), (22, 17, 32444)),
    "formats/test_loading_image_saved_with_DM.tif": Reads(IMAGE, "image", None, (11469.879, 11469.879), N, (68, 68), (3465, 3239, 3117)),
}
# fmt: on
READABLE = {name: case for name, case in FILES.items() if isinstance(case, Reads)}


def test_the_table_knows_every_file(real):
    there = {str(p.relative_to(real)) for p in real.rglob("*") if p.is_file() and p.parent != real}
    assert there == set(FILES)


@pytest.mark.parametrize("name", READABLE)
def test_a_file_reads_right(real, name):
    case = READABLE[name]
    _needs(case)
    scan = io.read(real / name, **case.given)
    corners = [float(scan.values[at]) for at in ((0, 0), (0, -1), (-1, 0))]

    assert io.open(real / name).format == case.format
    assert (scan.acquisition.channel, scan.acquisition.direction) == (case.channel, case.direction)
    assert scan.values.shape == case.shape
    assert scan.size_nm == pytest.approx(case.size_nm, rel=1e-5)
    assert scan.quantity is case.quantity
    assert corners == pytest.approx(case.corners, rel=2e-6, abs=1e-7, nan_ok=True)
    if case.inside:
        row, column, value = case.inside
        assert float(scan.values[row, column]) == pytest.approx(value, rel=2e-6, abs=1e-7)


@pytest.mark.parametrize("name", [name for name, case in READABLE.items() if case.given])
def test_a_file_without_a_scale_says_so(real, name):
    _needs(READABLE[name])
    with pytest.raises(ScaleMissing, match=r"does not say how large the scan is.*--size-nm"):
        io.read(real / name)
    assert io.open(real / name).channels[0].size_nm is None


@pytest.mark.parametrize("name", [name for name, case in FILES.items() if isinstance(case, Fails)])
def test_a_file_fails_with_the_right_error(real, name):
    case = FILES[name]
    assert isinstance(case, Fails)
    if name.endswith(".emd"):
        pytest.importorskip("rsciio")
    with pytest.raises(case.error, match=case.text):
        io.read(real / name)


def _needs(case: Reads) -> None:
    if case.format == EM:
        pytest.importorskip("rsciio")


# Whole images against other readers: what they call a channel, and what it is called here.
BOTH = ("forward", "backward")
GWYDDION = {
    "stm/STM_nanonis_generic_4_5.sxm": {
        f"{c} ({d.title()})": (c, d) for c in ("Z", "Current") for d in BOTH
    },
    "stm/moire_10nm.sxm": {f"{c} ({d.title()})": (c, d) for c in ("Z", "Current") for d in BOTH},
    "stm/createc_afm.dat": {
        "Topography": ("Topography", BOTH[0]),
        "Topography (2)": ("Topography", BOTH[1]),
    },
    "stm/createc_scan_island_60nm.dat": {
        "Topography": ("Topography", BOTH[0]),
        "Topography (2)": ("Topography", BOTH[1]),
    },
    "stm/abc_graphite.sm4": {
        f"{c} [{side}]": (c, d)
        for c in ("Topography", "Current", "LIA Current")
        for side, d in (("Right", "forward"), ("Left", "backward"))
    },
    "stm/stm-nanosurf-nid.nid": {
        f"{c} {d}": (c, d) for c in ("Z-Axis", "Tip Current") for d in BOTH
    },
    f"{MATRIX}--22_4.Z_mtrx": {
        "22-4 Z TraceUp ": ("Z up", "forward"),
        "22-4 Z RetraceUp ": ("Z up", "backward"),
        "22-4 Z TraceDown ": ("Z down", "forward"),
        "22-4 Z RetraceDown ": ("Z down", "backward"),
    },
    "formats/GwiddionReader_chip.gsf": {"Topography": ("Topography", None)},
    "formats/sample_0.top": {"Topography": ("Topography", None)},
    "formats/64x64_TEM_images_acquire_1.ser": {"TEM": ("image", None)},
    "formats/test_STEM_image.dm3": {"test_STEM_image": ("test_STEM_image", None)},
    "stem/mos2_haadf.dm3": {"SI Survey Image (active)": ("SI Survey Image (active)", None)},
}


@pytest.mark.parametrize("name", GWYDDION)
def test_gwyddion_reads_the_same(real, name, tmp_path):
    gwyddionpy = pytest.importorskip("gwyddionpy")
    _needs(READABLE[name])
    theirs = gwyddionpy.load(_as_gwyddion_wants_it(real / name, tmp_path)).channels
    for title, (channel, direction) in GWYDDION[name].items():
        scan = io.read(real / name, channel, direction)
        si = 1.0 if scan.quantity is N else 1e9
        expected = (theirs[title].data * si).astype(np.float32)
        np.testing.assert_allclose(scan.values, expected, rtol=3e-7, err_msg=title)


def _as_gwyddion_wants_it(path: Path, folder: Path) -> Path:
    """Gwyddion wants the pixels of a Createc file at byte 16384, and no zeros after them."""
    if "createc" not in path.name:
        return path
    raw = path.read_bytes()
    start = raw.index(b"DATA") + 4
    channels = 10 if "afm" in path.name else 4
    rows, columns = READABLE[f"stm/{path.name}"].shape
    pixels = zlib.decompress(raw[start:])[: 4 * (1 + channels * rows * columns)]
    copy = folder / path.name
    copy.write_bytes(raw[: start - 4].ljust(16380) + b"DATA" + zlib.compress(pixels))
    return copy


@pytest.mark.parametrize("name", ["STM_nanonis_generic_4_5.sxm", "moire_10nm.sxm"])
def test_nanonispy_reads_the_same(real, name):
    nanonis = pytest.importorskip("nanonispy2").read
    theirs = nanonis.Scan(real / "stm" / name).signals
    for channel in ("Z", "Current"):
        forward, backward = (io.read(real / "stm" / name, channel, d).values for d in BOTH)
        np.testing.assert_allclose(forward, theirs[channel]["forward"] * 1e9, rtol=3e-7)
        # As written there: in the order of time, to be mirrored.
        np.testing.assert_allclose(backward[:, ::-1], theirs[channel]["backward"] * 1e9, rtol=3e-7)


def test_rosettasciio_reads_the_same_tiff(real):
    path = real / "formats/test_loading_image_saved_with_DM.tif"
    (theirs,) = pytest.importorskip("rsciio.tiff").file_reader(str(path))
    scan = io.read(path)
    assert np.array_equal(scan.values, theirs["data"].astype(np.float32))
    assert scan.pixel_nm == pytest.approx([axis["scale"] * 1e3 for axis in theirs["axes"]])


@pytest.mark.parametrize("name", ["GwiddionReader_chip.gwy", "GwiddionReader_chip.gsf"])
def test_the_old_container_holds_what_the_simple_field_does(real, name):
    other = io.read(real / "formats/GwiddionReader_chip.gsf").values
    np.testing.assert_allclose(io.read(real / "formats" / name).values, other, rtol=1e-6)


def test_gwyfile_and_gsffile_read_the_same(real):
    gwyfile, gsffile = pytest.importorskip("gwyfile"), pytest.importorskip("gsffile")
    theirs = gwyfile.load(str(real / "formats/gwyfile_test.gwy"))["/0/data"].data
    ours = io.read(real / "formats/gwyfile_test.gwy", size_nm=(1, 1), unit="nm").values
    assert np.array_equal(ours, theirs.astype(np.float32))
    theirs, _ = gsffile.read_gsf(real / "formats/GwiddionReader_chip.gsf")
    ours = io.read(real / "formats/GwiddionReader_chip.gsf").values
    np.testing.assert_allclose(ours, theirs * 1e9, rtol=3e-7)


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("stem/perovskite_adf.hdf5", "Experiments/__unnamed__/data"),
        ("formats/example_image.emd", "signals/__unnamed__/data"),
        ("formats/EMDReader_Image_FEI.emd", "Data/Image/23088cf7c7844be397c5c465915044ac/Data"),
    ],
)
def test_hdf5_holds_the_same(real, name, dataset):
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("rsciio")
    with h5py.File(real / name) as file:
        expected = np.squeeze(file[dataset][()]).astype(np.float32)
    if name == "formats/example_image.emd":
        expected = expected.T  # HyperSpy, which wrote it, stores x before y
    assert np.array_equal(io.read(real / name, size_nm=(1, 1)).values, expected)


def test_a_createc_current_comes_out_at_its_setpoint(real, tmp_path):
    # The first of a series at ten voltages, which is refused as a whole, made a file of its own.
    raw = (real / "formats/createc_header_mismatch.dat").read_bytes()
    path = tmp_path / "first.dat"
    path.write_bytes(raw.replace(b"Channels=40", b"Channels=4 "))
    scan = io.read(path, "Current")
    assert scan.acquisition.setpoint_nA == pytest.approx(0.101)
    assert scan.acquisition.bias_V == pytest.approx(-0.55)
    assert scan.values.mean() == pytest.approx(-0.101, rel=0.07)


def test_igor2_reads_the_same(real):
    igor2 = pytest.importorskip("igor2.binarywave")
    theirs = igor2.load(str(real / "stm/interrupted_scan.ibw"))["wave"]["wData"]
    ours = io.read(real / "stm/interrupted_scan.ibw").values
    np.testing.assert_allclose(ours[:58], theirs.T[::-1] * 1e9, rtol=3e-7)  # y runs upward there


def test_an_interrupted_scan_keeps_its_place(real):
    scan = io.read(real / "stm/interrupted_scan.ibw")
    measured = np.isfinite(scan.values).all(axis=1)
    assert measured.sum() == 58
    assert measured[:58].all(), "it was scanned downward"
    assert np.isnan(scan.values[58:]).all()


def test_an_interrupted_createc_scan_is_nan_where_it_never_went(real, tmp_path):
    raw = (real / "stm/createc_afm.dat").read_bytes()
    start = raw.index(b"DATA") + 4
    pixels = np.frombuffer(zlib.decompress(raw[start:]), np.float32).copy()
    planes = pixels[1 : 1 + 10 * 65536].reshape(10, 256, 256)
    planes[:, 200:] = 0
    planes[:, 50] = 0  # a line of zeros amid the others is no line unscanned
    path = tmp_path / "interrupted.dat"
    path.write_bytes(raw[:start] + zlib.compress(pixels.tobytes()))
    whole, part = io.read(real / "stm/createc_afm.dat"), io.read(path)
    assert np.isnan(part.values[200:]).all()
    assert (part.values[50] == 0).all()
    assert np.array_equal(part.values[:50], whole.values[:50])
    assert part.size_nm == whole.size_nm


def test_an_interrupted_rhk_page_is_nan_where_it_never_went(real, tmp_path):
    raw = (real / "stm/abc_graphite.sm4").read_bytes()
    path = tmp_path / "interrupted.sm4"
    done = "0128".encode("utf-16-le")
    assert raw.count(done) == 6
    path.write_bytes(raw.replace(done, "0100".encode("utf-16-le")))
    whole, part = io.read(real / "stm/abc_graphite.sm4"), io.read(path)
    assert np.isnan(part.values).all(axis=1).sum() == 28
    assert np.array_equal(part.values[:100], whole.values[:100])


@pytest.fixture
def orphan(real, tmp_path) -> Path:
    return Path(shutil.copy(real / f"{MATRIX}--22_4.Z_mtrx", tmp_path))


def test_an_orphaned_matrix_image_wants_a_scale(orphan):
    with pytest.raises(ScaleMissing, match=r"does not say how large.*--size-nm"):
        io.read(orphan)
    with pytest.raises(ScaleMissing, match=r"does not say the unit of its values.*--unit"):
        io.read(orphan, size_nm=(20, 20))


@pytest.mark.parametrize("direction", BOTH)
@pytest.mark.parametrize("channel", ["Z up", "Z down"])
def test_an_orphaned_matrix_image_with_a_scale_is_the_same_image(real, orphan, channel, direction):
    whole = io.read(real / f"{MATRIX}--22_4.Z_mtrx", channel, direction)
    step_nm = 1e9 / 2967780000000000.0  # the factor in the experiment's file
    alone = io.read(orphan, channel, direction, size_nm=(20, 20), unit=f"{step_nm!r}nm")
    np.testing.assert_allclose(alone.values, whole.values, rtol=3e-7)


def test_an_orphan_that_is_not_square_cannot_be_read(orphan):
    raw = orphan.read_bytes()
    start = raw.index(b"ATAD")
    orphan.write_bytes(raw[: start + 4] + (4 * 999_999).to_bytes(4, "little") + raw[start + 8 :])
    with pytest.raises(UnsupportedFeature, match=r"999999 values are no square image.*\.mtrx"):
        io.read(orphan, size_nm=(20, 20), unit="nm")


def test_an_interrupted_matrix_scan_is_nan_where_it_never_went(real, tmp_path):
    for path in (real / "stm/matrix").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    path = tmp_path / f"{Path(MATRIX).name}--22_4.Z_mtrx"
    raw = bytearray(path.read_bytes())
    scanned = 300  # lines, forward and backward: all of them upward
    at = raw.index(b"CSED") + 8 + 24
    assert int.from_bytes(raw[at - 4 : at], "little") == 1_000_000
    raw[at : at + 4] = (scanned * 1000).to_bytes(4, "little")
    start = raw.index(b"ATAD")
    raw[start + 4 : start + 8] = (4 * scanned * 1000).to_bytes(4, "little")
    path.write_bytes(raw[: start + 8 + 4 * scanned * 1000])
    whole, part = io.read(real / f"{MATRIX}--22_4.Z_mtrx"), io.read(path)
    assert [c.name for c in io.open(path).channels] == ["Z up"]
    assert np.isnan(part.values[:200]).all()
    assert np.array_equal(part.values[200:], whole.values[200:])
    assert part.size_nm == whole.size_nm


def test_the_channels_of_a_file_are_listed_with_their_units(real):
    listed = {
        c.name: (c.quantity, c.directions) for c in io.open(real / "stm/createc_afm.dat").channels
    }
    assert listed["Topography"] == (H, BOTH)
    assert listed["Current"] == (C, BOTH)
    assert listed["df"] == (None, BOTH)
    with pytest.raises(UnsupportedFeature, match="'df' is in 'DAC', which is no height, current"):
        io.read(real / "stm/createc_afm.dat", "df")


def test_what_was_known_about_the_scan_is_kept(real):
    known = io.read(real / "stm/STM_nanonis_generic_4_5.sxm", "Current", "backward").acquisition
    assert (known.bias_V, known.setpoint_nA) == (pytest.approx(0.05), pytest.approx(0.5))
    assert known.started == "2023-03-31T14:38:44"
    known = io.read(real / "stm/stm-nanosurf-nid.nid").acquisition
    assert (known.bias_V, known.setpoint_nA) == (pytest.approx(0.6), pytest.approx(1))
    known = io.read(real / f"{MATRIX}--22_4.Z_mtrx").acquisition
    assert (known.bias_V, known.setpoint_nA, known.angle_deg) == (-2, pytest.approx(0.05), 45)
    known = io.read(real / "stm/abc_graphite.sm4").acquisition
    assert (known.bias_V, known.setpoint_nA) == (pytest.approx(0.5), pytest.approx(0.1))


@pytest.mark.parametrize("name", ["stm/moire_10nm.sxm", "stm/abc_graphite.sm4"])
def test_a_channel_or_direction_that_is_not_there(real, name):
    with pytest.raises(NoSuchChannel, match="has no channel 'Foo'; it has .*Current"):
        io.read(real / name, "Foo")
    with pytest.raises(NoSuchChannel, match="no 'sideways' direction of 'Current'; it has .*ward"):
        io.read(real / name, "Current", "sideways")


# Damage to real files, which for vendors' formats are the only ones there are.
@pytest.mark.parametrize(
    ("at", "number", "text"),
    [
        (18, 1 << 20, r"declares 1048576 images of 64 x 64 pixels, which is more than the file"),
        (None, 0, r"declares an image of (64 x 0|0 x 64) pixels"),
    ],
)
def test_a_series_that_lies_about_its_length_gets_no_memory(real, tmp_path, at, number, text):
    pytest.importorskip("rsciio")
    raw = bytearray((real / "formats/64x64_TEM_images_acquire_1.ser").read_bytes())
    if at is None:
        at = raw.index((64).to_bytes(4, "little") * 2)
    raw[at : at + 4] = number.to_bytes(4, "little")
    path = tmp_path / "x.ser"
    path.write_bytes(raw)
    with pytest.raises(CorruptFile, match=text):
        io.read(path)


def test_a_damaged_matrix_experiment_never_escapes(real, tmp_path, rng):
    for path in (real / "stm/matrix").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    image = tmp_path / f"{Path(MATRIX).name}--22_4.Z_mtrx"
    experiment = tmp_path / f"{Path(MATRIX).name}_0001.mtrx"
    for damaged in _damage(experiment.read_bytes(), 6, rng):
        experiment.write_bytes(damaged)
        try:
            io.read(image)
        except ReadError as error:
            assert "\n" not in str(error)


FRAGILE = [
    name for name in READABLE if (REAL / name).exists() and (REAL / name).stat().st_size < 3e6
]


@pytest.mark.parametrize("name", FRAGILE or ["none"])
def test_damage_never_escapes(real, name, tmp_path, rng, caplog):
    case = READABLE[name]
    _needs(case)
    raw = (real / name).read_bytes()
    path = tmp_path / Path(name).name
    for damaged in _damage(raw, 6 if case.format == EM else 16, rng):
        path.write_bytes(damaged)
        try:
            for channel in io.open(path).channels[:1]:
                io.read(path, channel.name, **case.given)
        except ReadError as error:
            assert "\n" not in str(error)
    assert not caplog.records, "a library talked to the user"


def _damage(raw: bytes, trials: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Cut anywhere, and bytes changed anywhere but in the signature, mostly in the header."""
    for _ in range(trials // 2):
        yield raw[: int(rng.integers(64, len(raw)))]
    for _ in range(trials - trials // 2):
        changed = bytearray(raw)
        reach = len(raw) if rng.random() < 0.3 else min(len(raw), 20_000)
        for at in rng.integers(64, reach, size=8):
            changed[at] = rng.integers(256)
        yield bytes(changed)
