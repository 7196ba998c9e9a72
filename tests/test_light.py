"""What is imported costs only what it needs; measured in fresh interpreters."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

import scanmend


def loaded(code: str) -> set[str]:
    """The packages that `code` loads."""
    script = f"{code}\nimport sys; print(*(name.split('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_scanmend_itself_loads_nothing_heavy():
    heavy = {"numpy", "scipy", "numba", "matplotlib", "onnxruntime", "xarray", "torch", "click"}
    assert not loaded("import scanmend") & heavy


@pytest.mark.parametrize("module", ["io", "figures", "degrade.recipe", "crystals", "restoration"])
def test_who_restores_needs_no_torch(module):
    assert not loaded(f"import scanmend.{module}") & {"torch", "onnx"}


def test_who_simulates_loads_neither_torch_nor_dask_nor_matplotlib():
    modules = loaded("import scanmend; scanmend.simulate; import scanmend.stm.experiment")
    assert "numba" in modules
    assert not modules & {"torch", "onnx", "onnxruntime", "dask", "distributed", "matplotlib"}


def test_readers_load_their_libraries_only_when_used():
    vendors = {"access2thematrix", "gwyfile", "gsffile", "igor2", "tifffile", "h5py", "xarray"}
    assert not loaded("import scanmend.io") & vendors


def test_help_needs_no_science():
    heavy = {"numpy", "scipy", "numba", "matplotlib", "onnxruntime", "rich", "torch", "distributed"}
    for arguments in (["--help"], ["simulate", "--help"]):
        assert not loaded(f"from scanmend.cli import main; main({arguments})") & heavy


@pytest.mark.parametrize(
    ("arguments", "limit_s"), [(["-c", "import scanmend"], 0.15), (["-m", "scanmend", "-h"], 0.4)]
)
def test_it_starts_at_once(arguments, limit_s):
    def seconds() -> float:
        """Of the processor, not of the clock: other programs are not to decide."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < limit_s, "the best of five is late"


def test_public_names_are_there():
    for name in scanmend.__all__:
        assert getattr(scanmend, name) is not None
    assert set(scanmend.__all__) <= set(dir(scanmend))
    with pytest.raises(AttributeError, match="no attribute 'mend'"):
        scanmend.mend  # noqa: B018
