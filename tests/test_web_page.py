"""The restore page in a real browser, by mouse and by keyboard; it may ask no other host."""

from __future__ import annotations

import base64
import io
import json
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import REAL
from PIL import Image
from web_server import shown

import scanmend
from scanmend import figures, level
from scanmend.crystals import silicon
from scanmend.degrade import recipe
from scanmend.scan import Acquisition, Scan

pytest.importorskip("fastapi", reason="needs the extra `web`")
MATRIX = REAL / "stm/matrix"


@pytest.fixture(scope="module")
def measured() -> Scan:
    """Longer than wide, tilted, and damaged, so that nothing can be exchanged unseen."""
    rng = np.random.default_rng(5)
    scan = recipe.preset("realistic")(silicon.surface(rng, (96, 128)), rng)
    tilt = np.linspace(0, 0.8, 96)[:, None] + np.linspace(0, 0.3, 128)
    taken = Acquisition(channel="Z", bias_V=-2.0, setpoint_nA=0.05, started="2026-03-14T15:09:26")
    return replace(scan, values=(scan.values + tilt).astype(np.float32), acquisition=taken)


@pytest.fixture(scope="module")
def folder(measured, tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("scans")
    for suffix in (".sxm", ".gwy", ".nc"):
        scanmend.write(measured, where / f"simulated{suffix}")
    pitch = measured.pixel_nm
    fewer = replace(measured, values=measured.values[::2].copy(), pixel_nm=(2 * pitch[0], pitch[1]))
    scanmend.write(fewer, where / "fewer.nc")
    np.save(where / "bare.npy", measured.values)
    (where / "broken.sxm").write_bytes((where / "simulated.sxm").read_bytes()[:3000])
    return where


@pytest.fixture(scope="module")
def address(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [sys.executable, "-m", "scanmend", "serve", str(folder), "--no-browser"]
    server = subprocess.Popen([*arguments, "--port", str(port)])
    url = f"http://127.0.0.1:{port}/"
    for _ in range(600):
        assert server.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(f"{url}api/about", timeout=5).close()
            break
        except OSError:
            time.sleep(0.1)
    yield url
    server.terminate()
    server.wait(30)


@pytest.fixture
def page(browser, address):
    with shown(browser, address) as page:
        yield page


def restored(page, before: str = "") -> None:
    """Waits for the end of another job than `before`."""
    page.wait_for_selector(f"#task[data-state=done]:not([data-job='{before}'])")
    page.wait_for_selector("#rightTitle:text-is('restored')")


def opened(page, path: Path, *, at_once: bool = True) -> None:
    """Opens a file; its restoration is waited for."""
    page.evaluate(f"document.forms.task.elements.atOnce.checked = {json.dumps(at_once)}")
    page.set_input_files("#file", path)
    page.wait_for_selector("#facts dd")
    if at_once:
        restored(page)


def place(page, canvas: str, row: float, column: float, shape=(96, 128)) -> tuple[float, float]:
    """Where the middle of a pixel is on the screen, of an image that is shown whole."""
    box = page.locator(canvas).bounding_box()
    scale = min(box["width"] / shape[1], box["height"] / shape[0])
    x = box["x"] + box["width"] / 2 + (column + 0.5 - shape[1] / 2) * scale
    y = box["y"] + box["height"] / 2 + (row + 0.5 - shape[0] / 2) * scale
    return round(x), round(y)


def drag(page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def says(page, name: str) -> str:
    """What the readout has beside `name`."""
    page.wait_for_selector(f"#readout span:has(i:text-is('{name}'))")
    text = page.locator(f"#readout span:has(i:text-is('{name}'))").inner_text()
    return text.removeprefix(name).replace("−", "-").strip()


def pixels(page, canvas: str) -> np.ndarray:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    url = page.evaluate("id => document.querySelector(id).toDataURL()", canvas)
    return np.array(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def of_job(page, address: str, name: str) -> np.ndarray:
    """A scan of the newest job, as the server has it."""
    job = page.request.get(f"{address}api/jobs").json()
    job = (job["jobs"] if isinstance(job, dict) else job)[0]
    answer = page.request.get(f"{address}api/jobs/{job['id']}/scan?name={name}")
    about = json.loads(answer.headers["x-scan"])
    return np.frombuffer(answer.body(), "<f4").reshape(about["rows"], about["columns"])


@pytest.mark.parametrize("suffix", [".sxm", ".gwy", ".nc"])
def test_a_file_is_opened_restored_and_described(page, folder, suffix):
    opened(page, folder / f"simulated{suffix}")
    facts = page.locator("#facts").inner_text()
    assert "128 × 96" in facts
    assert "−2.00 V" in facts and "50.0 pA" in facts and "2026-03-14 15:09:26" in facts
    assert page.locator("#state").inner_text().startswith("done in")
    assert page.locator("#progress").is_hidden()
    assert page.locator("#channels label").count() >= 1
    assert page.locator("#error").is_hidden()


def test_a_file_is_dropped(page, folder):
    data = list((folder / "simulated.gwy").read_bytes())
    page.evaluate(
        """bytes => { const moved = new DataTransfer();
        moved.items.add(new File([new Uint8Array(bytes)], "dropped.gwy"));
        const drop = new DragEvent("drop", { dataTransfer: moved, bubbles: true });
        document.body.dispatchEvent(drop) }""",
        data,
    )
    restored(page)
    assert page.locator("#name").inner_text() == "dropped.gwy"


def test_from_a_folder_to_a_saved_file_by_keyboard_alone(page, folder, tmp_path):
    page.locator("#folders summary").focus()
    page.keyboard.press("Enter")
    page.locator("#entries button", has_text="simulated.sxm").focus()
    page.keyboard.press("Enter")
    restored(page)
    before = page.locator("#task").get_attribute("data-job")
    page.keyboard.press("r")
    restored(page, before)
    page.locator("#save a", has_text=".gwy").focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name.startswith("simulated") and saved.name.endswith("_restored.gwy")
    assert any("restored by" in step for step in scanmend.read(saved).history)
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#help").is_hidden()


def test_every_way_to_save_gives_a_file(page, folder):
    opened(page, folder / "simulated.nc")
    for link in page.locator("#save a").all():
        with page.expect_download() as download:
            link.click()
        assert download.value.failure() is None
        assert Path(download.value.path()).stat().st_size > 1000


def test_the_readout_has_the_heights_of_the_pixel(page, folder, measured):
    opened(page, folder / "simulated.nc", at_once=False)
    flat = level.plane(measured)[0].values
    for row, column in ((0, 0), (17, 101), (95, 127)):
        page.mouse.move(*place(page, "#left", row, column))
        assert float(says(page, "measured").split()[0]) == pytest.approx(
            1e3 * flat[row, column], abs=0.06
        )
        pitch = measured.pixel_nm
        assert float(says(page, "x").split()[0]) == pytest.approx(
            (column + 0.5) * pitch[1], abs=0.1
        )
        assert float(says(page, "y").split()[0]) == pytest.approx((row + 0.5) * pitch[0], abs=0.1)
    page.locator("#left").focus()
    page.mouse.move(*place(page, "#left", 40, 60))
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowRight")
    assert float(says(page, "measured").split()[0]) == pytest.approx(1e3 * flat[41, 61], abs=0.06)


def test_heights_agree_where_nothing_was_mended(page, folder, address):
    opened(page, folder / "simulated.nc")
    change = of_job(page, address, "measured") - of_job(page, address, "restored")
    for row, column in ((30, 40), (60, 90)):
        page.mouse.move(*place(page, "#left", row, column))
        shown = [float(says(page, name).split()[0]) for name in ("measured", "restored")]
        assert shown[0] - shown[1] == pytest.approx(1e3 * change[row, column], abs=0.11)


def test_zoom_and_pan_are_linked(page, folder):
    opened(page, folder / "simulated.nc")
    x, y = place(page, "#left", 20, 30)
    page.mouse.move(x, y)
    before = says(page, "x"), says(page, "y")
    bar = page.locator("#left").get_attribute("data-scale-bar")
    page.mouse.wheel(0, -800)
    page.mouse.move(x, y)
    assert (says(page, "x"), says(page, "y")) == before, "zoom is about the pointer"
    page.wait_for_selector(f"#left:not([data-scale-bar='{bar}'])")
    nearer = page.locator("#left").get_attribute("data-scale-bar")
    page.wait_for_selector(f"#rightCanvas[data-scale-bar='{nearer}']")
    drag(page, (x, y), (x + 50, y + 30))
    page.mouse.move(x + 50, y + 30)
    assert (says(page, "x"), says(page, "y")) == before, "what was held stays under the pointer"
    page.locator("#rightCanvas").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    page.mouse.move(x + 90, y + 70)
    assert (says(page, "x"), says(page, "y")) == before, "arrows pan by 40"
    page.keyboard.press("0")
    page.mouse.move(x, y)
    assert (says(page, "x"), says(page, "y")) == before, "shown whole again"


def test_a_line_gives_both_profiles(page, folder, measured):
    opened(page, folder / "simulated.nc")
    page.keyboard.press("l")
    drag(page, place(page, "#left", 20, 20), place(page, "#left", 60, 50))
    curves = page.locator("#curves")
    length = np.hypot(40 * measured.pixel_nm[0], 30 * measured.pixel_nm[1])
    assert float(curves.get_attribute("data-length")) == pytest.approx(length, abs=0.1)
    page.locator("#left").focus()
    page.keyboard.press("Escape")
    assert page.locator("#profile").is_hidden()
    page.keyboard.press("Alt+ArrowRight")
    first = float(curves.get_attribute("data-length"))
    page.keyboard.press("Alt+ArrowRight")
    longer = float(curves.get_attribute("data-length")) - first
    assert longer == pytest.approx(measured.pixel_nm[1], abs=0.002)


def test_the_spectrum_is_that_of_the_figures(page, folder, measured):
    opened(page, folder / "simulated.nc")
    page.keyboard.press("f")
    page.wait_for_selector("#leftTitle:has-text('power')")
    power = np.log10(figures.power_spectrum(measured))
    box = page.locator("#left").bounding_box()
    height, width = measured.size_nm
    whole = 96 / height, 128 / width  # 1/nm
    scale = max(whole[0] / box["height"], whole[1] / box["width"])
    row, column = 40, 80
    x = box["x"] + box["width"] / 2 + (column - 64) / width / scale
    y = box["y"] + box["height"] / 2 + (row - 48) / height / scale
    page.mouse.move(x, y)
    assert float(says(page, "measured").split()[0]) == pytest.approx(power[row, column], abs=0.002)
    period = 1 / np.hypot((row - 48) / height, (column - 64) / width)
    assert float(says(page, "period").split()[0]) == pytest.approx(period, rel=0.02)


def test_the_slider_divides_measured_and_restored(page, folder):
    opened(page, folder / "simulated.nc")
    page.keyboard.press("v")
    handle = page.locator("#divider")
    handle.focus()
    page.keyboard.press("End")
    only_measured = pixels(page, "#left")
    page.keyboard.press("Home")
    only_restored = pixels(page, "#left")
    assert (only_measured != only_restored).any()
    box = page.locator("#panes").bounding_box()
    drag(page, (box["x"], box["y"] + 60), (box["x"] + box["width"] / 2, box["y"] + 60))
    assert handle.get_attribute("aria-valuenow") == "50"
    page.mouse.move(5, 5)  # off the image: no cross on it
    both, middle = pixels(page, "#left"), only_measured.shape[1] // 2
    assert np.array_equal(both[:, : middle - 2], only_measured[:, : middle - 2])
    assert np.array_equal(both[:, middle + 2 :], only_restored[:, middle + 2 :])
    handle.focus()
    page.keyboard.press("ArrowRight")
    assert handle.get_attribute("aria-valuenow") == "51"


def test_doubtful_regions_are_marked_and_counted(page, folder, address):
    opened(page, folder / "simulated.nc")
    before = [pixels(page, canvas) for canvas in ("#left", "#rightCanvas")]
    page.keyboard.press("m")
    after = [pixels(page, canvas) for canvas in ("#left", "#rightCanvas")]
    assert (
        np.array_equal(before[0][100:-60], after[0][100:-60]) or before[0].shape != after[0].shape
    )
    spread = of_job(page, address, "spread")
    page.fill("#threshold", "3")
    page.keyboard.press("Enter")
    share = float(page.locator("#share").inner_text().split(",")[1].split()[0])
    assert share == pytest.approx(100 * np.mean(spread > 0.003), abs=0.06)
    marked = pixels(page, "#rightCanvas")
    page.fill("#threshold", "1e6")
    page.keyboard.press("Enter")
    assert page.locator("#share").inner_text().endswith("0.0 % of the pixels")
    assert (pixels(page, "#rightCanvas") != marked).any()


def test_levels_colours_and_what_is_on_the_right(page, folder):
    opened(page, folder / "simulated.nc")
    shown = pixels(page, "#left")
    page.keyboard.press("c")
    assert page.locator("#colours").input_value() == "viridis"
    assert (pixels(page, "#left") != shown).any()
    low = page.locator("#low").input_value()
    box = page.locator("#bar").bounding_box()
    drag(page, (box["x"] + 0.12 * box["width"], box["y"] + 20), (box["x"] + 200, box["y"] + 20))
    assert float(page.locator("#low").input_value()) > float(low)
    page.keyboard.press("a")
    assert page.locator("#low").input_value() == low
    page.keyboard.press("p")
    assert page.locator("#level").input_value() == "lines"
    options = page.locator("#right option").all_inner_texts()
    assert options == ["restored", "removed", "spread"]
    for name in ("removed", "spread", "restored"):
        page.keyboard.press("n")
        assert page.locator("#rightTitle").inner_text() == name


def test_draws_are_shown(page, folder):
    opened(page, folder / "simulated.nc", at_once=False)
    page.fill("[name=draws]", "2")
    page.click("#go")
    restored(page)
    assert "draw 2" in page.locator("#right option").all_inner_texts()
    page.select_option("#right", "draw 2")
    assert page.locator("#rightTitle").inner_text() == "draw 2"


def test_lines_are_put_between_those_that_were_scanned(page, folder, address):
    opened(page, folder / "fewer.nc", at_once=False)
    page.select_option("#job", "2")
    assert page.locator("#go").inner_text() == "Upscale"
    page.click("#go")
    restored(page)
    assert page.locator("#right option").all_inner_texts() == ["restored", "spread"]
    finer = of_job(page, address, "restored")
    assert finer.shape == (96, 128)
    for row in (60, 61):  # both halves of one measured line
        page.mouse.move(*place(page, "#rightCanvas", row, 70))
        shown = [float(says(page, name).split()[0]) for name in ("restored", "measured")]
        measured_pm = 1e3 * of_job(page, address, "measured")[30, 70]
        change = 1e3 * finer[row, 70] - measured_pm
        tilt = 1e3 * 0.8 / 96  # that a plane has across half a line, at most
        assert shown[0] - shown[1] == pytest.approx(change, abs=tilt)


def test_a_model_that_listens_is_told(page, folder, address):
    opened(page, folder / "simulated.nc")
    before = page.locator("#task").get_attribute("data-job")
    page.check("[name=ghosts]")
    page.click("#go")
    restored(page, before)
    job = page.request.get(f"{address}api/jobs").json()["jobs"][0]
    assert job["provenance"]["ghosts"] is True
    assert "ghosts were looked for" in page.locator("#notes").inner_text()


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_job_is_stopped(page, folder, by):
    opened(page, folder / "simulated.nc", at_once=False)
    page.fill("[name=calls]", "100")
    page.fill("[name=draws]", "64")
    page.click("#go")
    page.wait_for_selector("#task[data-state=running]")
    page.wait_for_selector("#state:text-matches('[1-9]')")
    if by == "mouse":
        page.click("#stop")
    else:
        page.locator("#go").focus()
        page.keyboard.press("s")
    page.wait_for_selector("#task[data-state=stopped]")
    assert page.locator("#state").inner_text() == "stopped"
    assert page.locator("#result").is_hidden() and page.locator("#stop").is_hidden()


def test_light_and_dark(page, folder):
    def ground():
        text = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in text[4:-1].split(","))

    assert ground() > 600
    page.emulate_media(color_scheme="dark")
    assert ground() < 150
    page.select_option("#theme", "light")
    assert ground() > 600
    page.select_option("#theme", "dark")
    page.emulate_media(color_scheme="light")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert ground() < 150, "the choice is remembered"


def test_a_file_without_a_scale_asks_for_it(page, folder, measured):
    page.set_input_files("#file", folder / "bare.npy")
    page.wait_for_selector("#scale:not([hidden])")
    height, width = measured.size_nm
    page.fill("[name=width_nm]", f"{width}")
    page.fill("[name=height_nm]", f"{height}")
    if page.locator("[name=unit]").is_visible():
        page.select_option("[name=unit]", "nm")
    page.click("#reread")
    restored(page)
    assert f"{float(f'{width:.3g}')}" in page.locator("#facts").inner_text()


def test_several_files_queue_and_a_broken_one_says_why_in_one_line(page, folder):
    names = ("broken.sxm", "simulated.nc", "simulated.gwy")
    page.set_input_files("#file", [folder / name for name in names])
    page.wait_for_selector("#queue .done >> nth=1")
    page.locator("#queue button", has_text="broken.sxm").click()
    line = page.locator("#trouble").inner_text()
    assert "broken.sxm" in line and "\n" not in line and "Traceback" not in line
    page.keyboard.press("]")
    restored(page)
    assert page.locator("#name").inner_text() == "simulated.nc"


@pytest.mark.skipif(not MATRIX.is_dir(), reason=f"no real scans in {MATRIX}")
def test_a_matrix_image_is_opened_with_its_experiment(page):
    page.set_input_files("#file", sorted(MATRIX.iterdir()))
    page.wait_for_selector("#channels label >> nth=3")
    assert page.locator("#queue button").count() == 1 and page.locator("#scale").is_hidden()
    page.wait_for_selector("#facts dd:has-text('Omicron MATRIX')")


def test_everything_has_a_name_and_can_be_reached_by_tab(page, folder):
    opened(page, folder / "simulated.nc")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, canvas, a, [role]")]
        .filter((e) => e.checkVisibility() && e.ariaHidden !== "true")
        .filter((e) => !(e.ariaLabel || e.title || e.innerText || e.labels?.[0]?.innerText))
        .map((e) => e.outerHTML)"""
    )
    assert nameless == []
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.name"))
    wanted = {
        "file",
        "job",
        "model",
        "calls",
        "draws",
        "go",
        "level",
        "colours",
        "layout",
        "domain",
    }
    assert wanted | {"right", "overlay", "left", "rightCanvas", "low", "high", "auto"} <= reached
