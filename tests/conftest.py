"""What several test files share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scanmend
from scanmend.cli import main
from scanmend.crystals import silicon
from scanmend.scan import Acquisition, Quantity, Scan

REAL = Path(__file__).parents[2] / "shared/data"


@pytest.fixture
def real() -> Path:
    """The folder of real scans, which are not ours to ship."""
    if not REAL.is_dir():
        pytest.skip(f"no real scans in {REAL}")
    return REAL


@pytest.fixture(scope="session", autouse=True)
def _no_choice_of_the_users(tmp_path_factory) -> Iterator[None]:
    """What was measured on this machine must not decide by what the tests restore."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        patch.delenv("SCANMEND_RUNTIME", raising=False)
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window; not for the whole session: its loop would be in others' way."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs chromium")
    quiet = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync")
    quiet += ("disable-background-networking", "disable-component-update")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=[f"--{q}" for q in quiet])
        yield browser
        browser.close()


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers in every run."""
    return np.random.default_rng(20261121)


@pytest.fixture
def lattice() -> Scan:
    """A square lattice of atoms, 0.05 nm high and 0.77 nm apart, on a tilted terrace."""
    pitch = 0.19
    y, x = np.mgrid[:128, :128] * pitch
    atoms = np.cos(2 * np.pi * x / 0.77) + np.cos(2 * np.pi * y / 0.77)
    values = 0.0125 * atoms + 0.004 * y - 0.002 * x
    return Scan(values.astype(np.float32), (pitch, pitch))


@pytest.fixture
def run(tmp_path, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line in an empty folder: exit status, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main([str(a) for a in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def terrace(rng) -> Scan:
    """48 x 64 pixels of Si(001):H, of which the two uppermost lines were not measured."""
    values = silicon.surface(rng, (48, 64)).values.copy()
    values[:2] = np.nan
    taken = Acquisition("Z", "forward", bias_V=-2.0, setpoint_nA=0.05)
    return Scan(values, (0.19, 0.19), Quantity.HEIGHT, taken)


@pytest.fixture
def file(terrace, run) -> Path:
    """It, in the folder where commands are run."""
    return scanmend.write(terrace, "scan.nc")
