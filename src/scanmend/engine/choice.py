"""Which runtime a model is run by here: the one that is asked for, or was measured to be best."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

import platformdirs

from ..errors import ModelError, WriteError
from ..io.write import whole
from .machine import abilities, cores, processor
from .runtimes import DEFAULT, RUNTIMES, OnnxRuntime, quantised

VARIABLE = "SCANMEND_RUNTIME"
"""Environment variable that names a runtime, whatever was measured."""


def chosen(path: Path) -> OnnxRuntime:
    """The model at `path`, opened by the runtime that VARIABLE names, or is remembered, or DEFAULT.

    Raises:
        ModelError: The model is none, or VARIABLE names no runtime that could run it here.
    """
    if wished := os.environ.get(VARIABLE):
        if wished not in RUNTIMES:
            raise ModelError(f"{VARIABLE} is {wished!r}: it must be one of {', '.join(RUNTIMES)}")
        return RUNTIMES[wished](path)
    best = remembered(path)
    if best != DEFAULT:
        # What was measured once may have been taken away since; the model can be run all the same.
        with suppress(ModelError):
            return RUNTIMES[best](path)
    return RUNTIMES[DEFAULT](path)


def remembered(path: Path) -> str:
    """The runtime that was the best for this model on this machine, DEFAULT if that is not known.

    Known is only what was measured with the same model file, processor, number of cores and
    versions of what is installed.
    """
    try:
        if not folder().is_dir():
            return DEFAULT
        name = json.loads(_file(path).read_bytes())["runtime"]
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        # Whatever is wrong with a cache, or with who has none, the model can be run all the same.
        return DEFAULT
    return name if isinstance(name, str) and name in RUNTIMES else DEFAULT


def remember(path: Path, runtime: str) -> Path:
    """Keeps `runtime` as the best for the model at `path`; returns the file that says so.

    Raises:
        WriteError: The user's cache folder cannot be written to.
    """
    try:
        file = _file(path)
    except RuntimeError as error:  # nobody's home
        raise WriteError(f"there is no cache folder to remember it in: {error}") from None
    with suppress(OSError):  # what is wrong with the folder is said by `whole`
        file.parent.mkdir(parents=True, exist_ok=True)
    with whole(file, overwrite=True) as unfinished:
        known = {"model": path.name, "runtime": runtime} | _circumstances(path)
        unfinished.write_text(json.dumps(known, indent=2))
    return file


def folder() -> Path:
    """Where it is kept: the user's cache folder for scanmend."""
    return platformdirs.user_cache_path("scanmend") / "runtimes"


def _file(path: Path) -> Path:
    circumstances = json.dumps(_circumstances(path)).encode()
    return folder() / f"{hashlib.sha256(circumstances).hexdigest()[:32]}.json"


def _circumstances(path: Path) -> dict[str, object]:
    """All on which the answer depends."""
    files = [file for file in (path, quantised(path)) if file.is_file()]
    return {
        "sha256": [hashlib.sha256(file.read_bytes()).hexdigest() for file in files],
        "processor": f"{processor()}, {abilities()}",
        "cores": cores(),
        "versions": sorted({version for r in RUNTIMES.values() if (version := r.version())}),
    }
