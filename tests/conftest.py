"""What several test files share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scanmend.scan import Scan

REAL = Path(__file__).parents[2] / "shared/data"


@pytest.fixture
def real() -> Path:
    """The folder of real scans, which are not ours to ship."""
    if not REAL.is_dir():
        pytest.skip(f"no real scans in {REAL}")
    return REAL


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
