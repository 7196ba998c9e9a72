"""The whole microscope: what it writes down, what is the truth of it, and what goes wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import scanmend
from scanmend.errors import NoSuchChannel, RecipeError, SimulationError
from scanmend.scan import Quantity
from scanmend.stm.experiment import Experiment, load, parse, presets
from scanmend.stm.microscope import Microscope, _margin_nm, _piece_nm
from scanmend.stm.raster import CORNERS
from scanmend.stm.session import Conditions, Session
from scanmend.stm.simulation import Simulation
from scanmend.stm.topograph import newton

Image = NDArray[np.floating]

# Adatoms on copper are round and bright; a tip of one atom shows them as they are.
COPPER = {
    "material": "cu111",
    "scans_per_session": 2,
    "frame": {"rows": 48, "columns": 48, "width_nm": 6.0},
    "tunnelling": {"bias_V": -0.1, "setpoint_nA": 0.05, "coupling_eV": 5},
    "tip": {"shape": "atom"},
    "electronics": {"cycles_per_point": 32},
    "defects_per_nm2": {"adatom": 0.15},
}
WSE2 = {
    "material": "wse2",
    "electrons": "single-orbital",
    "scans_per_session": 2,
    "frame": {"rows": 32, "columns": 32, "width_nm": 2.0},
    "tunnelling": {"bias_V": -1.5, "coupling_eV": 0.1},
    "defects_per_nm2": {},
}
IMAGES = ("trace_nm", "retrace_nm", "trace_nA", "retrace_nA", "topograph_nm")
BAD = {  # everything that leads a tip astray
    "creep_nm": 0.05,
    "drift_nm_per_min": 1.0,
    "walk_nm": 0.01,
    "lag": 0.2,
    "lag_length_nm": 1.0,
}


def plan(table: dict[str, Any], **changes: Any) -> Experiment:
    """An experiment of a table; where a change is a table too, of its keys only."""
    both = {
        key: table.get(key, {}) | value if isinstance(value, dict) else value
        for key, value in changes.items()
    }
    return parse("mine", table | both)


def session(table: dict[str, Any], seed: int = 0, **changes: Any) -> list[Simulation]:
    return Microscope(plan(table, **changes)).session(seed, 0)


def same(one: Simulation, other: Simulation) -> bool:
    """To the last bit; NaN, where a defect is not seen, equals itself."""
    places = ([(d.x_nm, d.y_nm, *d.trace, *d.retrace) for d in s.defects] for s in (one, other))
    return (
        all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in IMAGES)
        and np.array_equal(*map(np.array, places), equal_nan=True)
        and [d.kind for d in one.defects] == [d.kind for d in other.defects]
        and (one.seed, one.number, one.pixel_nm) == (other.seed, other.number, other.pixel_nm)
        and (one.parameters, one.fault) == (other.parameters, other.fault)
    )


def rms(image: Image) -> float:
    return float(np.sqrt(np.mean(np.square(image))))


def bump(image: Image, row: float, column: float, radius_px: float = 5) -> tuple[float, float]:
    """The centre of mass of what stands out near a pixel."""
    y, x = np.indices(image.shape)
    near = np.hypot(y - row, x - column) < radius_px
    mass = np.where(near, np.clip(image - np.percentile(image[near], 30), 0, None), 0)
    return float((mass * y).sum() / mass.sum()), float((mass * x).sum() / mass.sum())


def lonely(scans: list[Simulation], clear_px: float = 10) -> Iterator[tuple[Simulation, int]]:
    """Defects that are far from others and from the edge, in every image."""
    for scan in scans:
        middle = (np.array(scan.trace_nm.shape) - 1) / 2
        places = np.array(
            [
                ((d.y_nm, d.x_nm) / np.float64(scan.pixel_nm) + middle, d.trace, d.retrace)
                for d in scan.defects
            ]
        )
        for i, place in enumerate(places):
            apart = np.linalg.norm(places[:, 0] - place[0], axis=-1)
            apart[i] = np.inf
            inside = np.isfinite(place).all() and (np.abs(place - middle) < middle[0] - 5).all()
            if inside and apart.min() > clear_px:
                yield scan, i


def slopes(image: Image, pixel_nm: float) -> tuple[float, float]:
    """Along the columns' axis x and the rows' axis y, of the plane through it."""
    y, x = (axis.ravel() * pixel_nm for axis in np.indices(image.shape))
    (a, b, _), *_ = np.linalg.lstsq(np.stack([x, y, np.ones_like(x)], 1), image.ravel(), rcond=None)
    return float(a), float(b)


def peaks_deg(image: Image, pixel_nm: float, per_nm: float) -> float:
    """In which direction a hexagonal lattice has its peaks, from x to y, modulo 60 degrees.

    From the phase of the sixfold harmonic of the power on the ring where they are.
    """
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape))
    power = np.abs(np.fft.fft2((image - image.mean()) * window, (256, 256))) ** 2
    k = 2 * math.pi * np.fft.fftfreq(256, pixel_nm)
    ky, kx = np.meshgrid(k, k, indexing="ij")
    ring = np.abs(np.hypot(kx, ky) - per_nm) < 0.15 * per_nm
    sixfold = np.sum(power[ring] * np.exp(6j * np.arctan2(ky, kx)[ring]))
    return math.degrees(np.angle(sixfold)) / 6


# What decides a scan


@pytest.mark.parametrize("name", presets())
def test_every_preset_gives_scans_without_a_fault(name):
    table = load(name).table() | {"scans_per_session": 1}
    if name == "si001h-100nm":
        table["frame"] = table["frame"] | {"rows": 64, "columns": 64, "width_nm": 12}
    (scan,) = Microscope(parse(name, table)).session(1, 0)
    assert scan.fault is None
    assert all(np.isfinite(getattr(scan, image)).all() for image in IMAGES)
    setpoint = scan.parameters["tunnelling"]["setpoint_nA"]
    assert np.median(scan.trace_nA) == pytest.approx(setpoint, rel=0.05)
    assert rms(scan.trace_nm - scan.topograph_nm) < 0.1


def test_experiment_seed_and_number_decide_every_bit():
    experiment = plan(WSE2, motion=BAD, noise={"flicker": 0.02, "shot_bandwidth_Hz": 1000})
    first = Microscope(experiment)
    there = [scan for number in (0, 1, 2) for scan in first.session(7, number)]
    assert [scan.number for scan in there] == [0, 1, 2, 3, 4, 5]
    again = Microscope(experiment)
    assert all(same(a, b) for a, b in zip(again.session(7, 2), there[4:], strict=True))
    assert same(again.scan(7, 1), there[1])
    assert same(again.scan(7, 0), there[0])
    others = (there[1], again.scan(8, 0))
    assert not any(np.array_equal(there[0].trace_nm, other.trace_nm) for other in others)


def test_a_session_shares_its_tip_bias_and_frame():
    experiment = replace(load("luzny-wse2-main"), scans_per_session=3)
    microscope = Microscope(experiment)
    one, two = (microscope.session(0, number) for number in (0, 1))
    for table in ("frame", "tunnelling", "tip", "electronics"):
        assert all(scan.parameters[table] == one[0].parameters[table] for scan in one)
    for table in ("frame", "tunnelling", "tip"):
        assert one[0].parameters[table] != two[0].parameters[table]
    for table in ("surface", "defects_per_nm2", "gains", "noise", "motion"):
        drawn = [scan.parameters[table] for scan in (*one, *two)]
        assert all(a != b for i, a in enumerate(drawn) for b in drawn[:i]), table


def test_scans_of_a_session_have_noise_of_their_own():
    scans = session(WSE2, noise={"flicker": 0.05, "shot_bandwidth_Hz": 1000.0})
    one, other = ((scan.trace_nm - scan.topograph_nm).ravel() for scan in scans)
    assert min(rms(one), rms(other)) > 5e-4
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.3


def test_main_and_control_show_the_same_surfaces():
    main, control = (
        Microscope(replace(load(f"luzny-wse2-{name}"), scans_per_session=4)).session(2, 0)
        for name in ("main", "control")
    )
    for a, b in zip(main, control, strict=True):
        height, width = (side * a.pixel_nm / 2 for side in a.topograph_nm.shape)
        shared = [
            {
                (d.kind, d.x_nm, d.y_nm)
                for d in scan.defects
                if abs(d.x_nm) < width and abs(d.y_nm) < height
            }
            for scan in (a, b)
        ]
        assert shared[0] == shared[1]
        assert np.abs(a.topograph_nm - b.topograph_nm).max() < 1e-4
        assert rms(a.trace_nm - a.topograph_nm) > 2 * rms(b.trace_nm - b.topograph_nm)
    assert any(scan.defects for scan in main)


# What a good microscope writes down


def test_an_ideal_loop_gives_the_constant_current_image():
    def error_nm(cycles: int) -> float:
        scans = session(COPPER, electronics={"cycles_per_point": cycles})
        return max(rms(scan.trace_nm - scan.topograph_nm) for scan in scans)

    errors = [error_nm(cycles) for cycles in (2, 8, 128)]
    assert np.ptp(session(COPPER)[0].topograph_nm) > 0.05
    assert errors[1] < 0.3 * errors[0]
    assert errors[2] < 2e-6


def test_currents_are_the_setpoint_but_where_the_loop_is_late():
    (scan, _) = session(COPPER, electronics={"cycles_per_point": 4})
    off = np.abs(scan.trace_nA / 0.05 - 1)
    rising = np.abs(np.gradient(scan.topograph_nm, axis=1))
    assert np.median(off) < 0.002
    assert off[rising > 0.9 * rising.max()].mean() > 10 * off[rising < 0.1 * rising.max()].mean()


@pytest.mark.parametrize("fast_axis", ["x", "y"])
@pytest.mark.parametrize("begins", CORNERS)
def test_an_image_does_not_depend_on_the_way_through_it(fast_axis, begins):
    (_, usual) = session(COPPER)
    (_, scan) = session(COPPER, frame={"fast_axis": fast_axis, "begins": begins})
    assert np.abs(scan.topograph_nm - usual.topograph_nm).max() < 1e-6
    assert rms(scan.trace_nm - usual.topograph_nm) < 5e-4
    assert rms(scan.retrace_nm - usual.topograph_nm) < 5e-4
    # The loop is late along the fast axis, and so in the direction in which it goes.
    shift = np.gradient(usual.topograph_nm, axis=1 if fast_axis == "x" else 0)
    backwards = begins.endswith("right") if fast_axis == "x" else begins.startswith("bottom")
    late, back = (
        float(np.sum((image - usual.topograph_nm) * shift))
        for image in (scan.trace_nm, scan.retrace_nm)
    )
    assert (late > 0) == backwards
    assert back == pytest.approx(-late, rel=0.2)


def test_tilt_is_a_plane_of_its_slope():
    (scan, _) = session(COPPER, motion={"tilt_x_deg": 2.0, "tilt_y_deg": -1.0})
    tilted = slopes(scan.trace_nm - scan.topograph_nm, scan.pixel_nm)
    expected = math.tan(math.radians(2)), -math.tan(math.radians(1))
    assert tilted == pytest.approx(expected, abs=2e-4)


def test_a_turned_frame_meets_the_tilt_of_the_scanner_elsewhere():
    """A frame that is turned clockwise by 90 degrees has its columns' axis along y."""
    motion = {"tilt_x_deg": 2.0, "tilt_y_deg": -1.0}
    (scan, _) = session(COPPER, frame={"angle_deg": 90.0}, motion=motion)
    tilted = slopes(scan.trace_nm - scan.topograph_nm, scan.pixel_nm)
    expected = -math.tan(math.radians(1)), -math.tan(math.radians(2))
    assert tilted == pytest.approx(expected, abs=2e-4)


def test_vertical_drift_is_a_slope_in_time():
    """A tip that drifts away by itself is told to go nearer, line after line there and back."""
    (scan, _) = session(COPPER, motion={"drift_z_nm_per_min": 0.3}, frame={"line_s": 0.5})
    _, down = slopes(scan.trace_nm - scan.topograph_nm, scan.pixel_nm)
    assert down * scan.pixel_nm == pytest.approx(-0.3 / 60 * 1.0, rel=0.01)


# How things lie

BRAGG_PER_NM = 22.11  # of WSe2


@pytest.mark.parametrize(("crystal", "frame"), [(20.0, 0.0), (0.0, 20.0), (25.0, 15.0)])
def test_the_lattice_turns_with_the_crystal_and_against_the_frame(crystal, frame):
    def direction(crystal: float, frame: float) -> float:
        size = {"rows": 64, "columns": 64, "width_nm": 3.0, "angle_deg": frame}
        (scan,) = session(
            WSE2 | {"scans_per_session": 1}, frame=size, surface={"angle_deg": crystal}
        )
        return peaks_deg(scan.topograph_nm, scan.pixel_nm, BRAGG_PER_NM)

    turned = (direction(crystal, frame) - direction(0, 0) - (crystal - frame)) % 60
    assert min(turned, 60 - turned) < 0.5


def test_a_lattice_has_its_six_peaks_alike():
    """Of a tip of one atom above a perfect crystal, whatever the grid it is shown on."""
    (scan,) = session(
        WSE2 | {"scans_per_session": 1, "tip": {"shape": "atom"}},
        frame={"rows": 128, "columns": 128, "width_nm": 5.0},
    )
    window = np.outer(*[np.hanning(130)[1:-1]] * 2)
    y, x = (axis * scan.pixel_nm for axis in np.indices(scan.topograph_nm.shape))
    heights = (scan.topograph_nm - scan.topograph_nm.mean()) * window
    first = math.radians(peaks_deg(scan.topograph_nm, scan.pixel_nm, BRAGG_PER_NM))
    amplitudes = []
    for direction in first + np.radians([0, 60, 120]):
        k = BRAGG_PER_NM * np.array([math.cos(direction), math.sin(direction)])
        amplitudes.append(abs(np.sum(heights * np.exp(-1j * (k[0] * x + k[1] * y)))))
    assert np.ptp(amplitudes) < 0.01 * np.mean(amplitudes)
    assert np.mean(amplitudes) / window.sum() > 1e-4


def test_a_second_apex_shows_everything_twice():
    """A tip whose second apex is on the right shows it first there: on the left of the first."""
    near = {"double_nm": 1.0, "double_angle_deg": 0.0}
    alone = near | {"double_higher_nm": 1.0}  # so high that it is left out, above the same surface
    single, double = (
        session(COPPER | {"scans_per_session": 6}, seed=2, tip=tip) for tip in (alone, near)
    )
    scan, number = next(lonely(single, clear_px=20))
    two = double[scan.number]
    row, column = scan.defects[number].trace
    ghost = column - 1.0 / scan.pixel_nm
    plain = two.topograph_nm - np.median(two.topograph_nm)
    assert bump(plain, row, column, 3) == pytest.approx((row, column), abs=0.6)
    assert bump(plain, row, ghost, 3) == pytest.approx((row, ghost), abs=0.6)
    there, here = (plain[round(row), round(c)] for c in (ghost, column))
    assert there == pytest.approx(here, rel=0.1)


# Where defects appear


@pytest.mark.parametrize("frame", [{}, {"fast_axis": "y", "begins": "bottom right"}])
@pytest.mark.parametrize("angle_deg", [0.0, 35.0])
def test_defects_are_where_it_is_said_after_all_distortion(frame, angle_deg):
    scans = session(
        COPPER | {"scans_per_session": 12}, frame=frame | {"angle_deg": angle_deg}, motion=BAD
    )
    found = list(lonely(scans))
    assert len(found) >= 5
    moved = []
    for scan, number in found:
        defect = scan.defects[number]
        middle = (np.array(scan.trace_nm.shape) - 1) / 2
        true = np.array([defect.y_nm, defect.x_nm]) / scan.pixel_nm + middle
        assert bump(scan.topograph_nm, *true) == pytest.approx(true, abs=0.1)
        assert bump(scan.trace_nm, *defect.trace) == pytest.approx(defect.trace, abs=0.3)
        assert bump(scan.retrace_nm, *defect.retrace) == pytest.approx(defect.retrace, abs=0.3)
        moved.append(math.dist(true, defect.trace))
    assert max(moved) > 2, "there was nothing to find"


def test_without_distortion_defects_are_where_they_are():
    for scan in session(COPPER, seed=1):
        inside = [defect for defect in scan.defects if not math.isnan(defect.trace[0])]
        assert inside
        for defect in inside:
            place = 23.5 + defect.y_nm / scan.pixel_nm, 23.5 + defect.x_nm / scan.pixel_nm
            assert defect.trace == pytest.approx(place, abs=1e-6)
            assert defect.retrace == pytest.approx(place, abs=1e-6)


# What comes out


def test_a_simulation_is_scans_with_their_acquisition():
    (scan, _) = session(COPPER, frame={"angle_deg": 30.0})
    for direction, heights, currents in (
        ("forward", scan.trace_nm, scan.trace_nA),
        ("backward", scan.retrace_nm, scan.retrace_nA),
    ):
        z, current = scan.scan(direction), scan.scan(direction, "Current")
        assert np.array_equal(z.values, heights) and z.quantity is Quantity.HEIGHT
        assert np.array_equal(current.values, currents) and current.quantity is Quantity.CURRENT
        assert z.acquisition.direction == direction
    taken = scan.scan().acquisition
    assert (taken.bias_V, taken.setpoint_nA, taken.angle_deg) == (-0.1, 0.05, 30)
    assert taken.instrument == "simulated by scanmend"
    assert scan.scan().size_nm == pytest.approx((6, 6))
    assert scan.scan().history == ("simulate mine, seed 0, scan 0",)
    assert np.array_equal(scan.truth().values, scan.topograph_nm)
    with pytest.raises(NoSuchChannel, match="Z and Current, forward and backward; got 'Z', 'up'"):
        scan.scan("up")


def test_simulate_takes_what_a_microscope_would(tmp_path):
    experiment = plan(WSE2)
    scans = list(scanmend.simulate(experiment, 3, seed=4))
    microscope = Microscope(experiment)
    assert all(same(scan, microscope.scan(4, number)) for number, scan in enumerate(scans))
    assert len(scans) == 3
    path = tmp_path / "mine.toml"
    path.write_text('material = "si001h"\nscans_per_session = 1\n[frame]\nrows = 8\ncolumns = 16')
    (scan,) = scanmend.simulate(path)
    assert scan.experiment == "mine" and scan.trace_nm.shape == (8, 16)
    assert next(scanmend.simulate("si001h")).experiment == "si001h"
    with pytest.raises(RecipeError, match="no experiment 'silicon'"):
        scanmend.simulate("silicon")


# What goes wrong


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"tunnelling": {"setpoint_nA": 1e9}},
            r"the setpoint of 1e\+09 nA is out of reach: [\d.e+]+ nA flow on average 0\.1 nm above "
            "the surface: change the setpoint",
        ),
        (
            {"tunnelling": {"coupling_eV": 5e-3}},
            r"at 0\.05 nA the tip runs 0\.175 nm above the surface, and touches it; 0\.22 nm are",
        ),
        ({"tunnelling": {"bias_V": 0.1}}, "the tip runs 0.2.* touches it"),  # in the gap
        ({"tunnelling": {"bias_V": 0.0}}, "raise the bias to where there are states"),
        (
            {"defects_per_nm2": {"dopant": 50}},
            r"\d+ x dopant do not fit on \d+ free sites of [\d.]+ nm2: ask for fewer than",
        ),
        ({"motion": {"lag": 0.6}}, "a piezo must go where it is told"),
        ({"gains": {"integral_nm": -1.0}}, "gains cannot be negative"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_carried_out_is_told(changes, text):
    with pytest.raises(SimulationError, match=text):
        session(WSE2, **changes)


def test_a_loop_that_diverges_is_marked_and_its_neighbours_are_not():
    gains = {"proportional_nm": {"choice": [0.012, 0.5]}}
    scans = session(WSE2 | {"scans_per_session": 8}, gains=gains)
    stable = session(WSE2 | {"scans_per_session": 8})
    wild = [scan.parameters["gains"]["proportional_nm"] == 0.5 for scan in scans]
    assert 0 < sum(wild) < 8
    for scan, bad, calm in zip(scans, wild, stable, strict=True):
        if bad:
            assert scan.fault is not None and scan.fault.startswith("the loop diverges: an error")
            assert rms(scan.trace_nm - scan.topograph_nm) > 0.01
        else:
            assert scan.fault is None
            assert np.array_equal(scan.trace_nm, calm.trace_nm)


def test_pixels_that_are_out_of_reach_are_told():
    """So many vacancies that there is no selenium left to stop the tip."""
    (scan, _) = session(
        WSE2, tunnelling={"coupling_eV": 0.03}, defects_per_nm2={"chalcogen vacancy": 3}
    )
    said = re.fullmatch(
        r"the setpoint of 0\.05 nA is not reached at (\d+) pixels with the tip from (0\.\d+) to "
        r"(0\.\d+) nm, at row (\d+), column (\d+) for one: the surface is too deep or too high "
        "there, and heights are extrapolated",
        scan.fault or "",
    )
    assert said is not None
    low, high = map(float, said.group(2, 3))
    beyond = np.maximum(low - scan.topograph_nm, scan.topograph_nm - high).ravel()
    named = int(said[4]) * 32 + int(said[5])
    assert beyond[named] > -1e-3
    assert beyond[:named].max() < 1e-3, "the first one is named"
    assert np.count_nonzero(beyond > 0) == pytest.approx(int(said[1]), abs=2)


def test_a_way_that_leads_off_the_surface_is_marked():
    (scan, other) = session(WSE2, motion={"drift_nm_per_min": 100.0})
    for marked in (scan, other):
        assert marked.fault is not None and "the tip strays" in marked.fault


def test_a_second_apex_has_a_surface_beneath_it_up_to_the_edge():
    (scan,) = session(
        COPPER | {"scans_per_session": 1, "defects_per_nm2": {}},
        tip={"shape": "atom", "double_nm": 2.0, "double_angle_deg": 0.0},
    )
    left, right = scan.topograph_nm[:, :4].mean(), scan.topograph_nm[:, -4:].mean()
    assert right == pytest.approx(left, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "error_nm"),
    [("luzny-wse2-main", 2e-5), ("cu111", 2e-5), ("si001h", 4e-5), ("graphene", 1.5e-4)],
)
def test_all_that_makes_it_fast_leaves_the_heights_of_the_sum_of_pairs(name, error_nm):
    experiment = load(name)
    microscope = Microscope(experiment)
    scan = microscope.scan(0, 1)
    shared, conditions = Session.drawn(experiment, 0, 0), Conditions.drawn(experiment, 0, 1)
    specimen = experiment.surface.specimen(
        conditions.defects_per_nm2,
        _piece_nm(shared.raster.size_nm, _margin_nm(shared)),
        conditions.surface.angle_deg - shared.frame.angle_deg,
        experiment.stream("atoms", 0, 1),
    )
    sample = microscope._electrons.electrode(specimen, *shared.window_eV)
    some = slice(None, None, scan.topograph_nm.shape[0] // 8)
    x_nm, y_nm = (
        ((np.arange(count) + 0.5) * shared.pixel_nm - size / 2)[some]
        for count, size in zip(shared.raster.shape[::-1], shared.frame.size_nm[::-1], strict=True)
    )
    found = scan.topograph_nm[some, some].astype(np.float64)
    exact = newton(shared.junction(sample), x_nm, y_nm, shared.tunnelling.setpoint_nA, found)
    assert np.ptp(exact) > 100 * error_nm
    assert np.abs(found - exact).max() < error_nm


def test_a_negative_seed_is_refused():
    with pytest.raises(SimulationError, match="seeds and numbers are 0 or more, got -1 and 0"):
        Microscope(plan(WSE2)).scan(-1, 0)
