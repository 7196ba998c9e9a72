"""Files of electron microscopes: how they were taken, series, and what is wrong with them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scanmend import io
from scanmend.errors import NoSuchChannel, ScaleMissing, UnsupportedFeature
from scanmend.io.beam import taken
from scanmend.scan import Acquisition, Quantity

h5py = pytest.importorskip("h5py")
tifffile = pytest.importorskip("tifffile")
hspy = pytest.importorskip("rsciio.hspy", reason="needs the extra em")


def berkeley(path, data, axes, **microscope):
    """An EMD file; `axes` are names and units, of steps of 0.5."""
    with h5py.File(path, "w") as file:
        file.attrs.update(version_major=0, version_minor=2)
        group = file.create_group("data/HAADF")
        group.attrs["emd_group_type"] = 1
        group["data"] = data
        for n, (size, (name, unit)) in enumerate(zip(data.shape, axes, strict=True), 1):
            dim = group.create_dataset(f"dim{n}", data=np.arange(size) * 0.5)
            dim.attrs.update(name=name, units=unit)
        file.create_group("microscope").attrs.update(microscope)
    return path


def hyperspy(path, data, units, **metadata):
    """A HyperSpy file, steps 0.02; the last two axes are the image's."""
    axes = [
        {"name": f"{n}", "size": size, "offset": 0.0, "scale": 0.02, "units": unit}
        | {"navigate": n < data.ndim - 2}
        for n, (size, unit) in enumerate(zip(data.shape, units, strict=True))
    ]
    signal = {
        "data": data,
        "axes": axes,
        "metadata": {"General": {"title": "HAADF"}, "Signal": {"signal_type": ""}} | metadata,
        "attributes": {"_lazy": False},
    }
    parts = ("original_metadata", "tmp_parameters", "learning_results", "models")
    empty: dict = {part: {} for part in parts}
    package = {"package_info": {"package": "none", "package_version": "0"}}
    hspy.file_writer(str(path), signal | empty | package)
    return path


@pytest.fixture
def counts(rng):
    return rng.poisson(5, (3, 6, 8)).astype(np.uint16)


@pytest.mark.parametrize("unit", ["[n_m]", "nm", "nanometers"])
def test_units_of_the_axes_may_differ_and_be_spelled_oddly(tmp_path, counts, unit):
    path = berkeley(tmp_path / "a.emd", counts[0], [("y", unit), ("x", "[Å]")])
    scan = io.read(path)
    assert scan.pixel_nm == pytest.approx((0.5, 0.05))
    assert scan.quantity is Quantity.COUNTS
    assert np.array_equal(scan.values, counts[0])


def test_an_emd_file_may_have_its_axes_in_any_order(tmp_path, counts):
    axes = [("t", "s"), ("y", "nm"), ("x", "Å")]
    for n, order in enumerate([(0, 1, 2), (2, 1, 0), (1, 2, 0)]):
        path = berkeley(tmp_path / f"{n}.emd", counts.transpose(order), [axes[i] for i in order])
        scan = io.read(path, frame=3)
        assert scan.pixel_nm == pytest.approx((0.5, 0.05))
        assert np.array_equal(scan.values, counts[2])


def test_a_hyperspy_file_tells_how_it_was_taken(tmp_path, counts, run):
    told = {"beam_energy": 80.0, "beam_current": 0.02, "dwell_time": 1e-5, "magnification": 1e6}
    metadata = {"Acquisition_instrument": {"TEM": told}}
    path = hyperspy(tmp_path / "a.hspy", counts[0], ("nm", "nm"), **metadata)
    known = io.read(path).acquisition
    assert (known.voltage_kV, known.dwell_us, known.magnification) == (80, pytest.approx(10), 1e6)
    assert known.beam_current_pA == pytest.approx(20)
    # 20 pA for 10 us are 1248.3 electrons, here on 0.2 x 0.2 square Angstroms.
    assert known.dose_at((0.02, 0.02)) == pytest.approx(1248.302 / 0.04, rel=1e-6)
    _, out, _ = run("info", path)
    assert "80 kV · 10 µs a pixel · beam 20 pA · dose 3.121e+04 electrons/Å²" in out
    assert "dose from beam current x dwell time / area of a pixel" in out


def test_a_dose_is_not_guessed():
    assert Acquisition(dwell_us=10).dose_at((0.02, 0.02)) is None
    assert Acquisition(beam_current_pA=20).dose_at((0.02, 0.02)) is None
    assert Acquisition(dwell_us=10, beam_current_pA=20).dose_at(None) is None
    assert Acquisition(dose_per_A2=7, dwell_us=10, beam_current_pA=20).dose_at((1, 1)) == 7


def test_what_a_header_says_as_zero_or_unknown_was_not_measured():
    info = {"Voltage": 60000.0, "Probe Current (nA)": 0.0, "Name": "Unknown"}
    scanned = {"Sample Time": 32.4, "Sum Frames": 0}
    tags = {"ImageList": {"TagGroup0": {"ImageTags": {"Microscope Info": info}}}}
    known = taken(tags, {"DigiScan": scanned})
    assert known == Acquisition(voltage_kV=60, dwell_us=32.4)
    assert taken(tags, {"DigiScan": scanned | {"Sum Frames": 1}}).dwell_us is None


@pytest.mark.parametrize(("mode", "dwell_us"), [("STEM nP SA Zoom", 62500), ("TEM uP SA", None)])
def test_the_exposure_of_a_camera_is_no_dwell_time(mode, dwell_us):
    header = {"ExperimentalDescription": {"Mode": mode}, "AcquireInfo": {"DwellTimePath": "0.0625"}}
    assert taken({"ObjectInfo": header}).dwell_us == dwell_us


def test_a_berkeley_voltage_counts_with_its_unit_only(tmp_path, counts):
    axes = [("y", "nm"), ("x", "nm")]
    for voltage, expected in (("300 kV", 300), ("300", None), ("", None)):
        path = berkeley(tmp_path / "a.emd", counts[0], axes, voltage=voltage)
        assert io.open(path).channels[0].acquisition.voltage_kV == expected


def test_fei_tells_pitch_and_beam_in_a_tiff(tmp_path, counts):
    text = (
        "[Beam]\r\nHV=80000\r\n[EBeam]\r\nBeamCurrent=2.5e-11\r\n"
        "[Scan]\r\nDwelltime=2e-6\r\nPixelWidth=2e-11\r\nPixelHeight=3e-11\r\n"
    )
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, counts[0], extratags=[(34682, "s", 0, text, True)])
    scan = io.read(path)
    assert scan.pixel_nm == pytest.approx((0.03, 0.02))
    known = scan.acquisition
    assert (known.voltage_kV, known.dwell_us) == (pytest.approx(80), pytest.approx(2))
    assert known.beam_current_pA == pytest.approx(25)


def stacks(folder, counts):
    """The same series in every kind of file."""
    nm = {"metadata": {"unit": "nm"}, "resolution": (1 / 0.02, 1 / 0.02)}
    np.save(folder / "plain.npy", counts)
    np.save(folder / "fortran.npy", np.asfortranarray(counts))
    tifffile.imwrite(folder / "pages.tif", counts, photometric="minisblack")
    tifffile.imwrite(folder / "imagej.tif", counts, imagej=True, **nm)
    berkeley(folder / "stack.emd", counts, [("", "s"), ("", "nm"), ("", "nm")])
    hyperspy(folder / "stack.hspy", counts, ("s", "nm", "nm"))
    return sorted(folder.iterdir())


def test_a_series_is_read_frame_by_frame(tmp_path, counts):
    for path in stacks(tmp_path, counts):
        (channel,) = io.open(path).channels
        assert (channel.frames, channel.rows, channel.columns) == (3, 6, 8), path
        given = {"size_nm": (6, 8), "unit": "nm"} if path.suffix == ".npy" else {"size_nm": (6, 8)}
        for number in (1, 2, 3):
            scan = io.read(path, frame=number, **given)
            assert np.array_equal(scan.values, counts[number - 1]), path
            assert scan.acquisition.frame == number
            assert scan.history[0].endswith(f"frame {number}")
        with pytest.raises(UnsupportedFeature, match="stack of 3 frames of 6 x 8 .*--frame N"):
            io.read(path, **given)
        with pytest.raises(NoSuchChannel, match="has frames 1 to 3, and not 4"):
            io.read(path, frame=4, **given)


def test_a_single_image_has_one_frame(tmp_path, counts):
    path = hyperspy(tmp_path / "a.hspy", counts[0], ("nm", "nm"))
    assert io.read(path, frame=1).acquisition.frame is None
    with pytest.raises(NoSuchChannel, match="has one frame only, and not 2"):
        io.read(path, frame=2)


def test_every_frame_of_a_series_is_treated_or_the_one_asked_for(tmp_path, rng, run):
    frames = rng.poisson(50, (2, 64, 64)).astype(np.uint16)
    hyperspy(tmp_path / "s.hspy", frames, ("s", "nm", "nm"))
    status, out, _ = run("info", "s.hspy")
    assert "64 × 64 pixels, 2 frames" in out
    status, out, err = run("degrade", "s.hspy", "--recipe", "sbsr-paper")
    assert (status, err) == (0, "")
    assert out.split() == ["s_frame001_degraded.nc", "s_frame002_degraded.nc"]
    status, out, _ = run("degrade", "s.hspy", "--recipe", "sbsr-paper", "--frame", 2, "-o", "x")
    assert (status, out) == (0, "x/s_frame002_degraded.nc\n")
    status, _, err = run("degrade", "s.hspy", "--recipe", "sbsr-paper", "--frame", 3)
    assert (status, err) == (1, "scanmend: s.hspy has frames 1 to 2, and not 3\n")
    # What ails the whole file is said once.
    hyperspy(tmp_path / "t.hspy", frames, ("s", "", ""))
    status, _, err = run("degrade", "t.hspy", "--recipe", "sbsr-paper")
    assert (status, len(err.splitlines())) == (1, 1)
    assert "t.hspy does not say how large the scan is: give its size" in err
    assert "name the crystal that it shows (--lattice mos2)" in err


def test_a_4d_data_set_is_no_image(tmp_path, counts):
    data = np.stack([counts] * 4)
    text = r"a data set of 4 axes \(4 x 3 x 6 x 8\), as of 4-D STEM, and no image: make one .*first"
    with pytest.raises(UnsupportedFeature, match=text):
        io.open(hyperspy(tmp_path / "a.hspy", data, ("nm", "nm", "1/nm", "1/nm")))
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True)
    with pytest.raises(UnsupportedFeature, match=r"an array of 4 axes \(4 x 3 x 6 x 8\)"):
        io.open(tmp_path / "a.tif")


def test_complex_numbers_and_colours_are_no_scan(tmp_path, counts, run):
    path = hyperspy(tmp_path / "a.hspy", counts[0] * 1j, ("nm", "nm"))
    with pytest.raises(UnsupportedFeature, match="complex numbers, .* modulus or phase"):
        io.read(path)
    assert "a.hspy holds complex numbers" in run("info", path)[1]
    rgb = np.zeros((6, 8), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(UnsupportedFeature, match="a picture in colour"):
        io.read(hyperspy(tmp_path / "b.hspy", rgb, ("nm", "nm")))
    planes = tmp_path / "c.tif"
    tifffile.imwrite(planes, counts.astype(np.uint8), photometric="rgb", planarconfig="separate")
    with pytest.raises(UnsupportedFeature, match="a picture in colour"):
        io.read(planes, size_nm=(1, 1))


def test_a_diffraction_pattern_is_told(tmp_path, counts):
    path = berkeley(tmp_path / "a.emd", counts[0], [("y", "1/nm"), ("x", "1/nm")])
    with pytest.raises(ScaleMissing, match=r"axes are in 1 / nm: a diffraction pattern or Fourier"):
        io.read(path)
    path = hyperspy(tmp_path / "a.hspy", counts[0], ("nm", "furlong"))
    with pytest.raises(ScaleMissing, match=r"large the scan is \(its axes are in nm and furlong\)"):
        io.read(path)


def full(rng, dtype, top):
    """Counts of which 30 are at `top`."""
    values = rng.poisson(100, (40, 50)).astype(dtype)
    values[:5, :6] = top
    return values


@pytest.mark.parametrize(
    ("dtype", "top"), [("u1", 255), ("u2", 65535), ("u2", 4095), ("i2", 32767), ("u4", 2**32 - 1)]
)
def test_a_saturated_detector_is_told(tmp_path, rng, run, dtype, top):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, full(rng, dtype, top))
    text = f"30 pixels (0.015 of all) are at {top}, the top of their range ({np.dtype(dtype)})"
    (step,) = [s for s in io.read(path, size_nm=(1, 1)).history if s.startswith(io.WARNING)]
    assert text in step
    assert text in run("info", path)[1]
    (told,) = json.loads(run("info", path, "--json")[1])
    assert text in told["channels"][0]["warnings"][0]


def test_what_is_not_saturated_is_not_told(tmp_path, rng):
    values = rng.poisson(3, (40, 50)).astype(np.uint16)
    values[0, 0] = 65535  # one hot pixel
    for n, there in enumerate((values, rng.poisson(1, (40, 50)).astype(np.uint8), values * 1.5)):
        path = hyperspy(tmp_path / f"{n}.hspy", there, ("nm", "nm"))
        assert io.remarks_on(path) == ()


def test_numbers_that_overflowed_and_counts_below_0_are_told_and_kept(tmp_path, rng):
    summed = rng.normal(32000, 500, (40, 50)).astype(np.int64).astype(np.int16)
    path = hyperspy(tmp_path / "a.hspy", summed, ("nm", "nm"))
    wrapped = int((summed < 0).sum())
    told = f"{wrapped} pixels are below -16384 beside others above 16383"
    assert told in " ".join(io.remarks_on(path))
    values = rng.normal(2, 1, (40, 50)).astype(np.float32)
    path = hyperspy(tmp_path / "b.hspy", values, ("nm", "nm"))
    scan = io.read(path)
    assert np.array_equal(scan.values, values)
    below = f"{(values < 0).sum()} counts are below 0, down to {values.min():g}: kept as they are"
    assert scan.history[-1] == io.WARNING + below


def test_real_files_tell_what_they_know(real):
    known = io.read(real / "formats/EMDReader_Image_FEI.emd")
    assert known.acquisition.detector == "HAADF"
    assert known.acquisition.dwell_us == pytest.approx(20)
    # 252.35 pA for 20 us are 31502 electrons on (53.024 A)^2.
    assert known.acquisition.dose_at(known.pixel_nm) == pytest.approx(31501.8 / 53.024**2, rel=1e-4)
    known = io.read(real / "stem/mos2_haadf.dm3").acquisition
    assert (known.voltage_kV, known.dwell_us) == (60, pytest.approx(32.4))
    assert (known.beam_current_pA, known.detector, known.instrument) == (None, "HAADF", None)
    beside = io.read(real / "formats/64x64_TEM_images_acquire_1.ser").acquisition  # its .emi
    assert (beside.voltage_kV, beside.magnification, beside.dwell_us) == (200, 19500, None)
    (channel,) = io.open(real / "formats/fei_example_tem_stack.emd").channels
    assert (channel.frames, channel.rows, channel.columns) == (2, 3, 3)
    first, second = (
        io.read(real / "formats/fei_example_tem_stack.emd", frame=n).values for n in (1, 2)
    )
    assert not np.array_equal(first, second)
