"""The arithmetic of the page's modules, in a browser, beside NumPy's and ours."""

from __future__ import annotations

import functools
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps

import scanmend
from scanmend import figures, level
from scanmend.scan import Scan

STATIC = Path(scanmend.__file__).parent / "web" / "static"


@pytest.fixture(scope="module")
def call(browser):
    """Calls a JavaScript function with modules of the page, by their names, then other values."""
    handler = functools.partial(_Quiet, directory=STATIC)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    url = f"http://127.0.0.1:{server.server_port}"
    page.goto(f"{url}/icon.svg")

    def call(names: str, function: str, *told: object):
        paths = [f"{url}/{name}.js" for name in names.split()]
        code = f"""async ([paths, told]) => {{
            const modules = await Promise.all(paths.map((path) => import(path)));
            return ({function})(...modules, ...told) }}"""
        return page.evaluate(code, [paths, told])

    yield call
    page.close()
    server.shutdown()
    server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


def told(values: np.ndarray) -> tuple[list[float | None], list[int]]:
    """Values and shape for `SCAN`; JSON knows no NaN."""
    return [None if np.isnan(v) else float(v) for v in values.ravel()], list(values.shape)


SCAN = "const scan = S.scanOf(Float32Array.from(v, (x) => x ?? NaN), ...shape, [0.2, 0.1]);"


@pytest.mark.parametrize("shape", [(64, 64), (45, 100), (96, 31), (1, 30)])
def test_planes_percentiles_and_spectra_are_numpys(call, shape):
    rng = np.random.default_rng(1)
    values = rng.normal(size=shape).astype(np.float32) + np.linspace(0, 3, shape[1], dtype="f4")
    values[: shape[0] // 4, 2:9] = np.nan
    shares = [0, 0.5, 33.3, 50, 99.5, 100]
    flat, ends, power, medians = call(
        "levels fourier scan",
        f"""(L, F, S, v, shape, shares) => {{ {SCAN}
        return [[...L.subtractPlane(scan, L.fitPlane(scan))], L.percentiles(scan.values, shares),
                [...F.power(scan)], [...L.subtractLines(scan)]] }}""",
        *told(values),
        shares,
    )
    scan = Scan(values, (0.2, 0.1))
    same = functools.partial(np.testing.assert_allclose, rtol=0)
    same(np.reshape(flat, shape), level.plane(scan)[0].values, atol=1e-6)
    same(ends, np.nanpercentile(values, shares), atol=1e-6)
    expected = figures.power_spectrum(scan)
    same(np.reshape(power, shape), expected, atol=1e-9 * expected.max())
    lines = values - np.nanmedian(values, axis=1, keepdims=True)
    same(np.reshape(medians, shape), lines, atol=1e-6)


def test_a_tip_crash_does_not_tilt_the_plane(call):
    values = np.random.default_rng(2).normal(0, 0.01, (50, 60))
    values[10:13, 40:60] = 50
    plane = call(
        "levels scan", f"(L, S, v, shape) => {{ {SCAN} return L.fitPlane(scan) }}", *told(values)
    )
    assert np.abs(plane).max() < 0.002


def test_a_profile_is_linear_between_pixels(call):
    rows, columns = np.mgrid[:40, :50]
    values = 2.0 * rows - 0.5 * columns
    values[30, 30] = np.nan
    line = [[1.0, 0.5], [7.0, 4.2]]  # nm, of pixels of 0.2 x 0.1 nm
    distance, found = call(
        "profile scan",
        f"""(P, S, v, shape, line) => {{ {SCAN}
        const p = P.profile(scan, line); return [[...p.distance], [...p.values]] }}""",
        *told(values),
        line,
    )
    share = np.array(distance) / distance[-1]
    y, x = (line[0][i] + share * (line[1][i] - line[0][i]) for i in (0, 1))
    row, column = y / 0.2 - 0.5, x / 0.1 - 0.5
    beside = (np.abs(row - 30) < 1) & (np.abs(column - 30) < 1)
    np.testing.assert_allclose(found, np.where(beside, np.nan, 2 * row - 0.5 * column), atol=1e-4)
    assert distance[-1] == pytest.approx(np.hypot(6.0, 3.7))


def test_colours_are_even_and_those_of_matplotlib(call):
    tables = call(
        "colours",
        "(C) => Object.fromEntries("
        "C.CHOICES.map((name) => [name, [...new Uint8Array(C.table(name).buffer)]]))",
    )
    for name, table in tables.items():
        rgb = np.reshape(table, (257, 4))[:256, :3]
        linear = np.where(rgb <= 10, rgb / 3294.6, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
        lightness = 116 * np.cbrt(linear @ (0.2126, 0.7152, 0.0722)) - 16
        steps = np.diff(lightness[8:]).reshape(-1, 13).sum(axis=1)
        assert steps.min() > 0.5 * steps.mean(), f"{name} is flat somewhere"
        if name in ("inferno", "viridis", "cividis"):
            assert np.abs(rgb - 255 * colormaps[name](np.arange(256))[:, :3]).max() < 6.5


def test_levelling_512_pixels_square_anew_takes_less_than_20_ms(call):
    """The plane, levels and colours of two images; tried for a while, as other programs run too."""
    took = call(
        "levels scan viewer colours",
        """async (L, S, V, C) => {
        const values = Float32Array.from({ length: 512 * 512 }, (_, i) => Math.random() + i / 1e5);
        const scan = S.scanOf(values, 512, 512, [0.1, 0.1]);
        const pictures = [new V.Picture(scan), new V.Picture(scan)];
        let best = Infinity;
        const until = performance.now() + 15000;
        for (let i = 0; best >= 20 && performance.now() < until; i++) {
          const start = performance.now();
          const plane = L.fitPlane(scan);
          const flat = pictures.map(() => L.subtractPlane(scan, plane));
          const levels = L.levelsOf(L.FEW, ...flat);
          pictures.forEach((p, i) => p.paint(flat[i], ...levels, C.table("inferno")));
          best = Math.min(best, performance.now() - start);
          if (i % 10 === 9) await new Promise((done) => setTimeout(done, 50)); // to compile in
        }
        return best }""",
    )
    assert took < 20
