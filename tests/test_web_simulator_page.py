"""The simulator's page in a browser, by mouse and by keyboard; it may ask no other host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scanmend import io
from scanmend.stm.experiment import load

pytest.importorskip("fastapi", reason="needs the extra `web`")
from test_web_simulator import rendered
from web_server import serving, shown

from scanmend.web.settings import Settings

COMPILING_MS = 900_000

EXPERIMENT = """material = "cu111"
scans_per_session = 1

[frame]
rows = 32
columns = 48
width_nm = 4

[defects_per_nm2]
adsorbate = 0.3

[motion]
drift_nm_per_min = 0.5
"""


SETPOINT = ".field:has([id='tunnelling.setpoint_nA'])"


@pytest.fixture(scope="module")
def client():
    """Of a server whose simulator is compiled."""
    with serving(Settings()) as client:
        body = {"name": "first", "toml": EXPERIMENT}
        client.post("/api/simulator/render", json=body, timeout=COMPILING_MS / 1000)
        yield client


@pytest.fixture
def page(browser, client, tmp_path):
    """The page with the experiment above."""
    with shown(browser, str(client.base_url), "/simulate.html") as page:
        path = tmp_path / "my copper.toml"
        path.write_text(EXPERIMENT, "utf-8")
        page.set_input_files("#file", path)
        page.wait_for_selector("#name:text-is('my copper')")
        drawn(page)
        yield page


def drawn(page) -> None:
    """Waits until the scan that was asked for last is drawn."""
    wanted = page.get_attribute("#panes", "data-wanted")
    page.wait_for_selector(f"#panes[data-state=done][data-turn='{wanted}']")


def says(page, name: str) -> str:
    """What the readout has beside `name`."""
    text = page.locator(f"#readout span:has(i:text-is('{name}'))").inner_text()
    return text.removeprefix(name).replace("−", "-").strip()


def pixels(page, canvas: str) -> str:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    return page.evaluate("id => document.querySelector(id).toDataURL()", canvas)


def saved(page, tmp_path: Path, action) -> Path:
    with page.expect_download() as download:
        action()
    path = tmp_path / "saved" / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_field_that_is_changed_changes_the_scan_and_the_file(page, tmp_path):
    before = {canvas: pixels(page, canvas) for canvas in ("#surface", "#scan")}
    page.click("summary:text-is('noise')")
    page.fill("[id='noise.amplifier_nA']", "0.02")
    drawn(page)
    assert pixels(page, "#scan") != before["#scan"]
    assert pixels(page, "#surface") == before["#surface"], "noise moves no atom"
    path = saved(page, tmp_path, lambda: page.click("#save"))
    assert path.name == "my copper.toml"
    plan = load(path)
    assert plan.tables["noise"] == {"amplifier_nA": 0.02}
    assert replace(plan, tables={**plan.tables, "noise": {}}) == load(tmp_path / "my copper.toml")


def test_sliders_move_by_mouse_and_by_keyboard(page):
    slider = page.locator(".field:has([id='frame.width_nm']) input[type=range]")
    field = page.locator("[id='frame.width_nm']")
    box = slider.bounding_box()
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)
    drawn(page)
    wide = float(field.input_value())
    assert wide > 8
    bar = page.get_attribute("#scan", "data-scale-bar")
    slider.focus()
    page.keyboard.press("Home")
    drawn(page)
    assert float(field.input_value()) == 1
    page.wait_for_selector(f"#scan:not([data-scale-bar='{bar}'])")


def test_a_value_becomes_a_distribution_and_back(page, tmp_path):
    kind = page.locator(f"{SETPOINT} .kind")
    page.locator("details:has([id='tunnelling.setpoint_nA'])").evaluate("d => d.open = true")
    kind.select_option("log_uniform")
    ends = page.locator("[id^='tunnelling.setpoint_nA']")
    ends.nth(0).fill("0.03")
    ends.nth(1).fill("0.04")
    page.wait_for_selector(
        ".field:has([id='tunnelling.setpoint_nA']) span:text-matches('now 0.03')"
    )
    drawn(page)
    page.locator("#scan").focus()  # typed into a field, an s is no command
    path = saved(page, tmp_path, lambda: page.keyboard.press("s"))
    assert load(path).tables["tunnelling"]["setpoint_nA"].values == (0.03, 0.04)
    kind.select_option("")
    assert float(page.input_value("[id='tunnelling.setpoint_nA']")) == pytest.approx(0.03464)
    begins = page.locator(".field:has([id='frame.begins']) .kind")
    begins.select_option("choice")
    page.fill("[id='frame.begins']", "top left, bottom left")
    path = saved(page, tmp_path, lambda: page.click("#save"))
    assert load(path).tables["frame"]["begins"].values == ("top left", "bottom left")


def test_another_material_has_other_defects(page):
    assert page.locator("[id='defects_per_nm2.adsorbate']").count() == 1
    page.select_option("[id='experiment.material']", "graphene")
    page.wait_for_selector("[id='defects_per_nm2.nitrogen']", state="attached")
    assert page.locator("[id='defects_per_nm2.adsorbate']").count() == 0
    drawn(page)
    assert float(page.input_value("[id='frame.columns']")) == 48


def test_by_keyboard_alone(page):
    scan = pixels(page, "#scan")
    page.keyboard.press("n")
    drawn(page)
    assert page.input_value("#number") == "1"
    assert pixels(page, "#scan") != scan
    page.keyboard.press("b")
    drawn(page)
    assert pixels(page, "#scan") == scan, "a number, a seed and an experiment are one scan"
    page.keyboard.press("d")
    assert page.input_value("#direction") == "retrace"
    assert pixels(page, "#scan") != scan
    page.keyboard.press("d")
    rings = int(page.get_attribute("#surface", "data-rings"))
    assert rings > 0
    page.keyboard.press("m")
    page.wait_for_selector("#surface[data-rings='0']")
    surface = pixels(page, "#surface")
    page.keyboard.press("w")
    assert pixels(page, "#surface") != surface
    page.keyboard.press("c")
    assert page.input_value("#colours") == "viridis"
    page.keyboard.press("p")
    assert page.input_value("#level") == "lines"
    page.locator("#topograph").focus()
    page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowRight")
    assert says(page, "surface").endswith("pm") and says(page, "current").endswith("pA")
    page.keyboard.press("0")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()


def test_the_readout_has_what_was_calculated(page, client):
    page.select_option("#level", "none")
    told = client.post("/api/simulator/experiment", json={"name": "x", "toml": EXPERIMENT}).json()
    _, arrays = rendered(client, told["experiment"])
    box = page.locator("#scan").bounding_box()
    scale = min(box["width"] / 48, box["height"] / 32)
    for row, column in ((0, 0), (7, 40), (31, 47)):
        x = box["x"] + box["width"] / 2 + (column + 0.5 - 24) * scale
        y = box["y"] + box["height"] / 2 + (row + 0.5 - 16) * scale
        page.mouse.move(x, y)
        pixels(page, "#scan")  # has the browser come to it
        for name, key, unit in (("scan", "trace", "pm"), ("surface", "surface", "pm")):
            shown, of = says(page, name).split()
            assert of == unit
            assert float(shown) == pytest.approx(1e3 * arrays[key][row, column], abs=0.06)


def test_the_way_and_the_error_are_plotted(page):
    assert int(page.get_attribute("#loop", "data-points")) == 2 * 32 * 48
    drift = pixels(page, "#astray")
    page.fill("[id='motion.drift_nm_per_min']", "5")
    drawn(page)
    assert pixels(page, "#astray") != drift


def test_scan_and_truth_are_saved(page, tmp_path):
    for text, suffix in (("scan .sxm", ".sxm"), ("truth .nc", ".truth.nc"), (".gwy", ".gwy")):
        button = page.locator("#files button", has_text=text).first
        path = saved(page, tmp_path, button.click)
        assert path.name == f"my copper_00000{suffix}"
        assert io.read(path).values.shape == (32, 48)


def test_what_cannot_be_done_is_said_in_one_line_and_mended(page):
    page.locator("details:has([id='tunnelling.setpoint_nA'])").evaluate("d => d.open = true")
    page.fill("[id='tunnelling.setpoint_nA']", "1e9")
    page.wait_for_selector("#panes[data-state=failed]")
    assert page.inner_text("#error").startswith("the setpoint of 1e+09 nA is out of reach")
    page.fill("[id='tunnelling.setpoint_nA']", "0.05")
    drawn(page)
    assert page.locator("#error").is_hidden()
    page.set_input_files(
        "#file", {"name": "bad.toml", "mimeType": "text/plain", "buffer": b"[frame]\nwidth = 3"}
    )
    page.wait_for_selector("#trouble:not([hidden])")
    assert page.inner_text("#trouble").startswith("bad: [frame] has no parameter 'width'; it has")
    assert page.inner_text("#name") == "my copper", "what was open stays"


def test_a_rendering_that_takes_long_is_stopped(page):
    page.locator("details:has([id='electronics.cycles_per_point'])").evaluate("d => d.open = true")
    page.fill("[id='electronics.cycles_per_point']", "10000000")
    page.click("#stop")
    page.wait_for_selector("#error:text-is('stopped')")
    page.fill("[id='electronics.cycles_per_point']", "8")
    page.wait_for_selector("#panes[data-state=done]")


def test_a_file_is_dropped(page):
    page.evaluate(
        """text => { const moved = new DataTransfer();
        moved.items.add(new File([text], "dropped.toml"));
        const drop = new DragEvent("drop", { dataTransfer: moved, bubbles: true });
        document.body.dispatchEvent(drop) }""",
        EXPERIMENT,
    )
    page.wait_for_selector("#name:text-is('dropped')")


def test_everything_has_a_name(page):
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, select, button, canvas")].filter((e) =>
        !(e.ariaLabel || e.labels?.length || e.textContent.trim())).map((e) => e.outerHTML)"""
    )
    assert not nameless
