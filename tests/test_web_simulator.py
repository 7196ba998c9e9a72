"""The simulator over HTTP: experiments, what they give, files as the command line makes them."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import fields, make_dataclass, replace

import numpy as np
import pytest

from scanmend import io
from scanmend.stm import experiment as experiments
from scanmend.stm import record
from scanmend.stm.experiment import TABLES, load, parse
from scanmend.stm.microscope import Microscope
from scanmend.stm.viewfinder import Viewfinder

pytest.importorskip("fastapi", reason="needs the extra `web`")
from web_server import serving

from scanmend.errors import SimulationError
from scanmend.web import experiments as fields_and_files
from scanmend.web.rendering import Renderer, Stopped
from scanmend.web.settings import Settings

COPPER = load("cu111").table() | {
    "scans_per_session": 2,
    "frame": {"rows": 16, "columns": 24, "width_nm": 3, "fast_axis": "y"},
    "motion": {"drift_nm_per_min": 1.0, "tilt_x_deg": 0.5, "creep_z_nm": 0.01},
    "defects_per_nm2": {"adsorbate": 0.2},
}
COMPILING_S = 900


@pytest.fixture(scope="module")
def client():
    with serving(Settings(simulated_pixels=5000)) as client:
        client.timeout = COMPILING_S
        yield client


def rendered(client, experiment, **asked):
    """What is told of a scan, and its arrays by name."""
    plan = {"name": "mine", "experiment": experiment} | asked
    answer = client.post("/api/simulator/render", json=plan)
    assert answer.status_code == 200, answer.text
    line, _, rest = answer.content.partition(b"\n")
    assert (len(line) + 1) % 4 == 0, "a browser reads floats at multiples of 4 only"
    about = json.loads(line)
    values, arrays = np.frombuffer(rest, "<f4"), {}
    for told in about["arrays"]:
        arrays[told["name"]], values = np.split(values, [told["length"]])
    assert not values.size
    shape = about["rows"], about["columns"]
    return about, arrays | {name: arrays[name].reshape(shape) for name in about["images"]}


def test_every_parameter_of_every_preset_is_a_field(client):
    names = client.get("/api/simulator/presets").json()["presets"]
    assert names == experiments.presets()
    for name in names:
        told = client.get(f"/api/simulator/presets/{name}").json()
        assert parse(name, told["experiment"]) == load(name)
        known = {(f["table"], f["key"]): f for f in told["fields"]}
        wanted = {(t, f.name) for t, kind in TABLES.items() for f in fields(kind)}
        wanted |= {("defects_per_nm2", kind) for kind in load(name).surface.defects}
        assert wanted <= known.keys()
        for table, key in wanted:
            field = known[table, key]
            assert field["doc"], f"[{table}] {key} is not explained"
            assert field["choices"] or field["span"][0] <= float(field["usual"]) <= field["span"][1]
            given = told["experiment"].get(table, {})
            assert field["value"] == given.get(key, field["value"])
    width = known["frame", "width_nm"]
    assert (width["name"], width["unit"], width["type"]) == ("width", "nm", "number")
    assert known["motion", "drift_nm_per_min"]["unit"] == "nm/min"
    assert known["tip", "dulled"]["type"] == "whole"
    assert "a thermal" not in width["doc"] and "pixels are square" in width["doc"]


def test_a_parameter_that_is_new_appears_by_itself(monkeypatch):
    plan = load("cu111")
    wider = make_dataclass("Frame", [("shake_pm", float, 3.0), ("angle2_deg", float, 0.0)])
    monkeypatch.setitem(fields_and_files.TABLES, "frame", wider)
    found = {f["key"]: f for f in fields_and_files.fields(plan) if f["table"] == "frame"}
    assert found["shake_pm"]["span"] == (0, 12.0)
    assert (found["angle2_deg"]["unit"], found["angle2_deg"]["value"]) == ("°", 0.0)


@pytest.mark.parametrize("name", experiments.presets())
def test_an_experiment_survives_its_file(name, tmp_path):
    path = tmp_path / f"{name}.toml"
    path.write_text(fields_and_files.toml(load(name)), "utf-8")
    assert load(path) == load(name)


def test_odd_names_and_an_empty_table_survive_too(tmp_path):
    table = {"material": "wse2", "defects_per_nm2": {}}
    told = {"tip": {"double_nm": {"uniform": [0.3, 2], "probability": 0.2}, "dulled": 1}}
    told["defects_per_nm2"] = {"metal vacancy": {"normal": [1e-5, 1e-7]}}
    told["tunnelling"] = {"bias_V": {"choice": [-1.5, 1]}}
    for wanted in (table, table | told):
        plan = parse("odd", wanted)
        path = tmp_path / "odd.toml"
        path.write_text(fields_and_files.toml(plan), "utf-8")
        assert load(path) == plan


def test_what_is_drawn_is_the_scan_of_the_command_line(client):
    about, arrays = rendered(client, COPPER, seed=5, number=3)
    scan = Microscope(parse("mine", COPPER)).scan(5, 3)
    images = {"trace": scan.trace_nm, "retrace": scan.retrace_nm, "topograph": scan.topograph_nm}
    for name, values in images.items():
        np.testing.assert_allclose(arrays[name], values, atol=3e-4)
    drawn = json.loads(json.dumps(scan.parameters))
    assert about["parameters"] == drawn
    assert about["fault"] is scan.fault is None
    assert [d["kind"] for d in about["defects"]] == [d.kind for d in scan.defects] != []


def test_images_and_curves_belong_together(client):
    about, arrays = rendered(client, COPPER)
    points = 2 * 16 * 24
    assert {arrays[name].size for name in ("time", "x", "y", "error", "nearer")} == {points}
    setpoint = about["parameters"]["tunnelling"]["setpoint_nA"]
    # The scan begins at the top left and goes down: the first point is the first pixel.
    first = about["pixel_nm"] / 2
    assert arrays["x"][0] - arrays["astray x"][0] == pytest.approx(first, abs=1e-6)
    assert arrays["y"][0] - arrays["astray y"][0] == pytest.approx(first, abs=1e-6)
    assert arrays["y"][15] - arrays["astray y"][15] == pytest.approx(31 * first, abs=1e-6)
    slope = np.polyfit(arrays["time"], np.hypot(arrays["astray x"], arrays["astray y"]), 1)[0]
    assert slope == pytest.approx(1 / 60, rel=0.01), "1 nm/min"
    assert np.abs(arrays["error"]).max() < 0.5
    # Where the ideal tip runs at the mean height, the setpoint flows there.
    high = arrays["topograph"] - about["height_nm"]
    near = np.unravel_index(np.abs(high).argmin(), high.shape)
    assert arrays["current"][near] == pytest.approx(setpoint, rel=0.05)
    assert np.corrcoef(high.ravel(), np.log(arrays["current"]).ravel())[0, 1] > 0.98


def test_only_what_changed_is_calculated_anew(monkeypatch):
    made = []
    monkeypatch.setattr(
        "scanmend.stm.viewfinder.Microscope",
        lambda experiment: made.append(experiment) or Microscope(experiment),
    )
    laid = Microscope._laid
    counted = []
    monkeypatch.setattr(Microscope, "_laid", lambda *a: counted.append(1) or laid(*a))
    viewfinder = Viewfinder()

    def change(table, **values):
        plan = parse("mine", COPPER | {table: COPPER.get(table, {}) | values})
        alone = Microscope(plan).exposure(1, 0).simulation.trace_nm
        counted.clear()
        seen = viewfinder.exposure(plan, 1, 0).simulation.trace_nm
        np.testing.assert_allclose(seen, alone, atol=3e-4)
        return len(made), len(counted)

    assert change("frame") == (1, 1)
    assert change("gains", proportional_nm=0.02) == (1, 0)
    assert change("noise", flicker=0.1) == (1, 0)
    assert change("motion", lag=0.1) == (1, 1)
    assert change("frame", width_nm=2.5) == (1, 1)
    assert change("tunnelling", bias_V=0.2) == (1, 1)
    assert change("tunnelling", bias_V=-1.2) == (2, 1)
    assert change("frame", width_nm=5) == (3, 1)


def test_files_are_those_of_the_command_line(client, tmp_path, run):
    plan = {"name": "mine", "experiment": COPPER}
    answer = client.post("/api/simulator/toml", json=plan)
    assert answer.headers["content-disposition"] == 'attachment; filename="mine.toml"'
    path = tmp_path / "mine.toml"
    path.write_bytes(answer.content)
    status, _, said = run("simulate", path, "-n", 2, "--seed", 4, "-o", tmp_path / "made")
    assert status == 0, said
    for suffix in record.PARTS.keys() - {".png"}:
        answer = client.post(
            "/api/simulator/file", params={"suffix": suffix}, json=plan | {"seed": 4, "number": 1}
        )
        assert f'filename="mine_00001{suffix}"' in answer.headers["content-disposition"]
        own = (tmp_path / "made" / f"mine_00001{suffix}").read_bytes()
        if suffix != ".truth.nc":  # which says when it was written
            assert answer.content == own
        (tmp_path / f"got{suffix}").write_bytes(answer.content)
    made = tmp_path / "made"
    for got, own in (("got.sxm", "mine_00001.sxm"), ("got.truth.nc", "mine_00001.truth.nc")):
        assert np.array_equal(io.read(tmp_path / got).values, io.read(made / own).values)
    for suffix in (".nc", ".gwy"):
        answer = client.post(
            "/api/simulator/file", params={"suffix": suffix}, json=plan | {"seed": 4, "number": 1}
        )
        (tmp_path / f"other{suffix}").write_bytes(answer.content)
        scan, own = io.read(tmp_path / f"other{suffix}"), io.read(made / "mine_00001.sxm")
        np.testing.assert_allclose(scan.values, own.values, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"frame": {"rows": 16, "widht_nm": 3}},
            "[frame] has no parameter 'widht_nm'; it has",
        ),
        ({"material": "gold"}, "no material is called 'gold'; there are graphene, mos2"),
        ({"noise": {"flicker": {"uniform": [3, 1]}}}, "[noise] flicker: uniform goes from low to"),
        ({"frame": {"rows": 100, "columns": 51}}, "5100 pixels, and 5000 are allowed here"),
        ({"frame": {"rows": {"integer": [8, 501]}, "columns": 10}}, "a scan has up to 5010 pixels"),
        ({"tunnelling": {"setpoint_nA": 1e9}}, "the setpoint of 1e+09 nA is out of reach"),
        ({"defects_per_nm2": {"adsorbate": 1e6}}, "adsorbate do not fit on"),
        ({"gains": {"proportional_nm": -1}}, "gains cannot be negative"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(client, changes, said):
    plan = {"name": "mine", "experiment": COPPER | changes}
    answer = client.post("/api/simulator/render", json=plan)
    assert answer.status_code == 422
    assert said in answer.json()["error"] and "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("material = ", "mine is no TOML: Invalid value (at end of document)"),
        (
            "material = 'cu111'\n[frame]\nwidth_nm = 'wide'",
            "mine: [frame] width_nm must be a",
        ),
        ("[frame]\n", "mine: an experiment needs a material"),
        ("a = " + "[" * 5000, "mine is no TOML"),
        ("a = " + "1" * 5000, "mine is no TOML"),
    ],
)
def test_a_file_that_means_nothing_is_told_in_one_line(client, text, said):
    answer = client.post("/api/simulator/experiment", json={"name": "mine", "toml": text})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(said) and "\n" not in answer.json()["error"]


@pytest.mark.parametrize("name", ["../mine", "a/b", "", ".hidden", 'a"b', "a\nb", "x" * 81])
def test_a_name_is_no_path(client, name):
    for route in ("render", "toml", "experiment", "file?suffix=.sxm"):
        answer = client.post(f"/api/simulator/{route}", json={"name": name, "experiment": COPPER})
        assert answer.status_code == 422


def test_a_session_that_is_too_large_is_not_saved_here(client):
    plan = {"name": "mine", "experiment": COPPER | {"scans_per_session": 50}}
    answer = client.post("/api/simulator/file", params={"suffix": ".sxm"}, json=plan)
    assert answer.status_code == 422
    assert "a session of 50 scans has up to 19200 pixels, and 5000 are" in answer.json()["error"]


def test_a_loop_that_diverges_is_drawn_and_marked(client):
    loud = {"proportional_nm": 0.2, "longest_step_nm": 0.1}
    about, arrays = rendered(client, COPPER | {"gains": loud})
    assert about["fault"].startswith("the loop diverges")
    assert np.isfinite(arrays["trace"]).all()


def test_another_site_may_ask_for_nothing(client):
    headers = {"Origin": "http://elsewhere.example"}
    for route in ("render", "toml", "experiment", "file?suffix=.sxm"):
        body = {"name": "mine", "experiment": COPPER}
        answer = client.post(f"/api/simulator/{route}", json=body, headers=headers)
        assert answer.status_code == 403
    assert client.get("/api/simulator", headers={"Host": "elsewhere"}).status_code == 421


@pytest.fixture
def slow():
    """A renderer that is ready, and a question that takes far longer than anybody waits."""
    renderer = Renderer(replace(Settings(), simulate_s=2.0))
    plan = COPPER | {
        "frame": {"rows": 64, "columns": 64},
        "electronics": {"cycles_per_point": 10**6},
    }
    question = {"task": "scan", "name": "slow", "experiment": plan, "seed": 0, "number": 0}
    renderer.ask(question | {"experiment": COPPER}, threading.Event())
    yield renderer, question
    renderer.close()


def test_what_takes_too_long_is_ended_and_the_next_one_works(slow):
    renderer, question = slow
    begun = time.monotonic()
    with pytest.raises(SimulationError, match="this scan takes more than 2 s: take"):
        renderer.ask(question, threading.Event())
    assert time.monotonic() - begun < 10
    answer, values = renderer.ask(question | {"experiment": COPPER}, threading.Event())
    assert len(values) == answer["bytes"] > 0


def test_what_nobody_waits_for_is_ended_and_nothing_else(slow):
    renderer, question = slow
    renderer.settings = replace(renderer.settings, simulate_s=300.0)
    stop, another, ended = threading.Event(), threading.Event(), []

    def ask():
        try:
            renderer.ask(question, stop)
        except Stopped:
            ended.append(time.monotonic())

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.5)
    renderer.give_up(another)
    time.sleep(0.3)
    assert thread.is_alive(), "somebody else's was ended"
    asked = time.monotonic()
    renderer.give_up(stop)
    thread.join(10)
    assert ended[0] - asked < 5
