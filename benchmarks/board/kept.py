"""What was found is kept beside the tables, so that one more model does not cost all the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

import scanmend
from scanmend.io.write import whole
from scanmend.shards.file import canonical


class Found(NamedTuple):
    """One thing that was measured.

    Attributes:
        facts: Plain JSON values.
        arrays: By name.
    """

    facts: dict[str, Any]
    arrays: dict[str, NDArray[np.floating]]


@dataclass(frozen=True)
class Kept:
    """A folder of what was found; by what it was found of, the version of scanmend included."""

    folder: Path

    def __call__(self, of: dict[str, Any], find: Callable[[], Found]) -> Found:
        """What was found of it before, or else what `find` finds now."""
        text = canonical({"scanmend": scanmend.__version__, **of})
        path = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.safetensors"
        if path.exists():
            with safe_open(path, "np") as file:
                facts = json.loads((file.metadata() or {})["facts"])
                return Found(facts, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        found = find()
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = {name: np.ascontiguousarray(values) for name, values in found.arrays.items()}
        with whole(path, overwrite=True) as unfinished:
            unfinished.write_bytes(save(arrays, {"of": text, "facts": json.dumps(found.facts)}))
        return found
