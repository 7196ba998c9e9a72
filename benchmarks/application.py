"""What an operator waits for in the application, in a real browser: Chromium without a window.

Run: python benchmarks/application.py [drop] [level] [simulator] [memory]        (all by default)

The server runs as `scanmend serve` runs it. drop: a 512x512 .sxm, damaged, dropped onto the page,
until its restored picture is painted. level: another levelling of it, until all images are ready
in their new colours, and painted. simulator: 64x64 pixels, from a key on a slider to the picture.
memory: 500 restorations of 512x512. Nothing else should run meanwhile; no graphics card draws.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from playwright.sync_api import Page, sync_playwright
from setting import heading, table

import scanmend
from scanmend.crystals import silicon
from scanmend.degrade import recipe
from scanmend.web.settings import Settings

SIDE, DROPS, STEPS, RESTORATIONS = 512, 8, 16, 500
MATERIALS = ("wse2", "cu111", "si001h", "graphene", "si111-7x7")
SLIDERS = ("gains.proportional_nm", "frame.width_nm", "tunnelling.bias_V")
EXPERIMENT = """material = "{}"
[frame]
rows = 64
columns = 64
width_nm = 3
"""
COMPILING_MS = 600_000

DROP = """async ([bytes, name]) => {
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const task = document.getElementById("task");
  const before = task.dataset.job;
  const moved = new DataTransfer();
  moved.items.add(new File([new Uint8Array(bytes)], name));
  const start = performance.now();
  const drop = new DragEvent("drop", { dataTransfer: moved, bubbles: true });
  document.body.dispatchEvent(drop);
  const title = document.getElementById("rightTitle");
  let measured;
  while (task.dataset.job === before || task.dataset.state !== "done"
         || title.textContent !== "restored") {
    await painted();
    measured ??= document.querySelector("#facts dd") && performance.now() - start;
    if (performance.now() - start > 60000) throw new Error("not restored after a minute");
  }
  await painted();
  return [measured, performance.now() - start];
}"""

LEVEL = """async (steps) => {
  const select = document.getElementById("level");
  const found = [];
  for (let i = 0; i < steps; i++) {
    await new Promise((done) => setTimeout(done, 100));
    select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
    const start = performance.now();
    select.dispatchEvent(new Event("change", { bubbles: true }));
    const calculated = performance.now() - start;
    // The first function asked for last in a frame is called when all others have drawn.
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    found.push([select.value, calculated, performance.now() - start]);
  }
  return found;
}"""


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[str, int]]:
    """The application's address, and the number of its process."""
    command = (sys.executable, "-m", "scanmend", "serve", "--port", "0", "--no-browser")
    server = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
    assert server.stdout
    try:
        address = server.stdout.readline().split()[0]
        httpx.get(f"{address}api/about", timeout=120, trust_env=False)
        yield address, server.pid
    finally:
        server.terminate()
        server.wait()


@contextmanager
def browsing(address: str) -> Iterator[Page]:
    """A page of an ordinary laptop's size."""
    with sync_playwright() as started:
        path = shutil.which("chromium")
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.set_default_timeout(COMPILING_MS)
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        yield page
        browser.close()


def scan_file(folder: Path, side: int) -> Path:
    """A damaged scan as an instrument writes it."""
    rng = np.random.default_rng(side)
    scan = recipe.preset("realistic")(silicon.surface(rng, (side, side)), rng)
    path = folder / f"damaged_{side}.sxm"
    scanmend.write(scan, path)
    return path


def figures(milliseconds: list[float]) -> tuple[str, str, str]:
    """Least, median and longest."""
    return tuple(f"{np.quantile(milliseconds, q):.0f}" for q in (0, 0.5, 1))  # type: ignore


def restore_page(address: str, file: Path, wanted: set[str]) -> None:
    """Drops and levels."""
    with browsing(address) as page:
        dropped = [list(file.read_bytes()), file.name]
        page.evaluate(DROP, dropped)  # what is compiled and opened once
        took = [page.evaluate(DROP, dropped) for _ in range(DROPS if "drop" in wanted else 0)]
        rows = [
            (what, *figures([one[k] for one in took]))
            for k, what in enumerate(("drop to measured", "drop to restored"))
            if took
        ]
        if "level" in wanted:
            found: dict[str, list[float]] = {}
            for how, *both in page.evaluate(LEVEL, 3 * STEPS):
                for what, ms in zip(("in colours", "painted"), both, strict=True):
                    found.setdefault(f"{how}, {what}", []).append(ms)
            rows += [(f"levelled: {how}", *figures(ms)) for how, ms in found.items()]
    print(f"{SIDE}x{SIDE} pixels, .sxm, {scanmend.models.load().name}\n")
    table(("", "least, ms", "median, ms", "longest, ms"), rows)


def simulator_page(address: str) -> None:
    """Keys on sliders."""
    rows = []
    with browsing(f"{address}simulate.html") as page:
        for material in MATERIALS:
            toml = EXPERIMENT.format(material).encode()
            file = {"name": f"my {material}.toml", "mimeType": "text/plain", "buffer": toml}
            _drawn(page, lambda file=file: page.set_input_files("#file", file))  # type: ignore
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            rows += [(material, slider, *_keys(page, slider)) for slider in SLIDERS]
    print("64x64 pixels; calculated, and from a key to the picture\n")
    head = ("material", "slider", "calculated, median", "least, ms", "median, ms", "longest, ms")
    table(head, rows)


def _keys(page: Page, slider: str) -> tuple[str, ...]:
    field = page.locator(f".field:has([id='{slider}']) input[type=range]")
    field.focus()
    shown, calculated = [], []
    for step in range(STEPS + 2):
        key = "ArrowRight" if step % 4 < 2 else "ArrowLeft"
        told = _drawn(page, lambda key=key: page.keyboard.press(key))  # type: ignore
        shown.append(float(told["milliseconds"]))
        calculated.append(float(told["calculated"]))
    return (f"{np.median(calculated[2:]):.0f}", *figures(shown[2:]))


def _drawn(page: Page, act: Callable[[], None]) -> dict[str, str]:
    """What the page says of the scan that comes of an action."""
    act()
    wanted = page.get_attribute("#panes", "data-wanted")
    page.wait_for_selector(f"#panes[data-state=done][data-turn='{wanted}']")
    return page.evaluate("({...document.getElementById('panes').dataset})")


def memory(address: str, process: int, file: Path) -> None:
    """Restorations one after the other; what the server and its readers hold."""
    rows = []
    with httpx.Client(base_url=address, timeout=120, trust_env=False) as client:
        for number in range(RESTORATIONS + 1):
            if number % (RESTORATIONS // 5) == 0:
                rows.append((number, f"{held_MB(process):.0f}"))
            sent = client.post("/api/files", files={"file": (file.name, file.read_bytes())})
            job = client.post(f"/api/files/{sent.json()['id']}/jobs", json={}).json()["id"]
            with client.stream("GET", f"/api/jobs/{job}/events") as events:
                told = [line[6:] for line in events.iter_lines() if line.startswith("data")]
            if json.loads(told[-1])["state"] != "done":
                sys.exit(f"not restored: {told[-1]}")
            client.get(f"/api/jobs/{job}/scan").raise_for_status()
    table((f"restorations of {SIDE}x{SIDE}", "held by the server, MB"), rows)
    print(
        f"Scans and results of up to {Settings().memory_bytes >> 20} MB each are kept to look at."
    )


def held_MB(process: int) -> float:
    """Resident memory of a process and of those that it started."""
    of = subprocess.run(("pgrep", "-P", str(process)), capture_output=True, text=True).stdout
    lines = [
        line
        for number in (str(process), *of.split())
        for line in Path(f"/proc/{number}/status").read_text().splitlines()
    ]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


def main(*wanted: str) -> None:
    """Measures what is wanted, by default everything."""
    heading("The application")
    chosen = set(wanted) or {"drop", "level", "simulator", "memory"}
    with tempfile.TemporaryDirectory() as name, serving() as (address, process):
        large = scan_file(Path(name), SIDE)
        if chosen & {"drop", "level"}:
            restore_page(address, large, chosen)
        if "simulator" in chosen:
            simulator_page(address)
        if "memory" in chosen:
            memory(address, process, large)


if __name__ == "__main__":
    main(*sys.argv[1:])
