"""What an evaluation found, and nothing that follows from it: arrays and facts, kept on disk.

A folder of it is `evaluation.json`, what was evaluated on what, and a safetensors file a `Part` in
`found`: one candidate at one number of steps on one set. Each is whole or not there, and made once,
so that an evaluation that was stopped goes on, and another candidate can join it later.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as pack

from ..errors import CorruptFile, ReadError, RecipeError, WriteError
from ..io.write import whole
from ..shards.file import canonical
from .distances import Distance
from .faults import Faults
from .metrics import Scores

DEGRADED = "degraded"
"""The candidate that does nothing: what the others are a gain over, and the bound of a distance."""

SPEED = "128x128"
"""The set of a part that holds a timing: one image of this many pixels."""

_FORMAT = "scanmend evaluation 1"
_ABOUT = "evaluation.json"
_LABEL = "scanmend"


class Key(NamedTuple):
    """Which part.

    Attributes:
        candidate: What restored: "fm-small", "median", DEGRADED.
        steps: Of its sampler; None for what takes none.
        task: "restore", "x2" or "x4".
        on: Which set: "test", "test-" and a kind of damage, "real", or SPEED.
    """

    candidate: str
    steps: int | None
    task: str
    on: str

    def __str__(self) -> str:
        return f"{self.title} on {self.task}/{self.on}"

    @property
    def title(self) -> str:
        """The candidate and its steps, as they are given on the command line: "fm-small@2"."""
        return self.candidate if self.steps is None else f"{self.candidate}@{self.steps}"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a candidate takes for one image of 128 x 128 pixels, alone.

    Attributes:
        seconds: For the image; the least of `repeats`.
        call_seconds: For one call of its network, likewise; None for what has none.
        calls: Of the network for the image; None likewise.
        repeats: How often it was measured.
        device: "cpu" or the name of an accelerator.
        threads: How many it may use.
        machine: The processor, as it calls itself.
    """

    seconds: float
    call_seconds: float | None
    calls: int | None
    repeats: int
    device: str
    threads: int
    machine: str


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What was found of one candidate at one number of steps on one set.

    Attributes:
        key: Which.
        candidate: What it is, plain JSON values: its `kind`, and of models `model` (its own name),
            `sha256`, `calls`, and what the card says of `parameters`, `method` and `net`.
        scores: Against the clean image of each pair, arrays (n,) in the order of the set; None on
            sets without any.
        distances: As a set, from clean images; empty without an embedder.
        panels: Some of the images, float16, each (k, rows, columns) in [-1, 1]: "degraded",
            "restored", and "clean" where that is known; and "pixel_nm" of each, (k, 2).
        seconds: What restoring all images took, s; 0 for a timing.
        timing: For the set SPEED only.
        faults: Defects made up and wiped out, if they were looked for, arrays as of `scores`.
    """

    key: Key
    candidate: Mapping[str, Any]
    scores: Scores | None = None
    distances: tuple[Distance, ...] = ()
    panels: Mapping[str, NDArray[np.float16]] = field(default_factory=dict)
    seconds: float = 0.0
    timing: Timing | None = None
    faults: Faults | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """What was evaluated on what; two evaluations are the same if all but `started` is.

    Attributes:
        scanmend: Version.
        started: When, ISO 8601, UTC.
        seed: Of all noise and resampling.
        count: How many samples of each set at most; None for all.
        sets: By "task/set", each with its `manifest_sha256` and how many `samples` were taken;
            "task/real" and "task/clean" with `scans`, `views` and `sha256` of all their files.
        embedder: `name`, `sha256` and what else is known of the network that took features; None
            if there are no distances.
        finder: `name` and, of a model, `sha256` of what looked for defects; None if nothing did.
    """

    scanmend: str
    started: str
    seed: int
    count: int | None
    sets: Mapping[str, Mapping[str, Any]]
    embedder: Mapping[str, Any] | None = None
    finder: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """All that an evaluation found.

    Attributes:
        provenance: What of.
        parts: In the order of candidates, tasks and sets in which they were asked for; from a
            folder, in that of their names.
    """

    provenance: Provenance
    parts: tuple[Part, ...]

    def find(
        self, candidate: str, steps: int | None = None, *, task: str = "restore", on: str = "test"
    ) -> Part | None:
        """The part of this key, if it is there."""
        key = Key(candidate, steps, task, on)
        return next((part for part in self.parts if part.key == key), None)

    def runs(self, task: str | None = None) -> list[tuple[str, int | None]]:
        """The candidates with their steps, DEGRADED first, else in the order of the parts."""
        found = dict.fromkeys(p.key[:2] for p in self.parts if task in (None, p.key.task))
        return sorted(found, key=lambda run: run[0] != DEGRADED)


def begin(folder: Path, provenance: Provenance) -> Results:
    """Begins an evaluation in a folder, or goes on with the one that is there.

    Returns:
        What was found already.

    Raises:
        RecipeError: There is another evaluation.
        ReadError: What is there is damaged.
        WriteError: The folder cannot be made or written to.
    """
    path = folder / _ABOUT
    try:
        (folder / "found").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder} cannot be made: {error.strerror or error}") from error
    if not path.exists():
        if any((folder / "found").glob("*.safetensors")):
            raise ReadError(f"{folder} holds parts of an evaluation, but no {_ABOUT}: name another")
        with whole(path) as unfinished:
            text = canonical({"format": _FORMAT, **asdict(provenance)}, indent=2)
            unfinished.write_text(text + "\n", encoding="utf-8")
        return Results(provenance, ())
    there = load(folder)
    if changed := _changed(there.provenance, provenance):
        raise RecipeError(
            f"{folder} holds another evaluation ({', '.join(changed)}): name another folder"
        )
    return there


def keep(folder: Path, part: Part) -> None:
    """Writes a part, whole or not at all.

    Raises:
        WriteError: It is there already, or the folder is missing, read-only or full.
    """
    arrays = {f"panels.{name}": values for name, values in part.panels.items()}
    if part.scores is not None:
        arrays |= {f"scores.{k}": np.asarray(v) for k, v in part.scores._asdict().items()}
    if part.faults is not None:
        arrays |= {f"faults.{k}": np.asarray(v) for k, v in part.faults._asdict().items()}
    about = {
        "key": part.key._asdict(),
        "candidate": part.candidate,
        "distances": [asdict(distance) for distance in part.distances],
        "seconds": part.seconds,
        "timing": part.timing and asdict(part.timing),
    }
    arrays = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    with whole(_path(folder, part.key)) as unfinished:
        unfinished.write_bytes(pack(arrays, {_LABEL: canonical(about)}))


def load(folder: Path) -> Results:
    """What `begin` and `keep` wrote to a folder.

    Raises:
        ReadError: There is no evaluation, or a file of it is damaged.
    """
    path = folder / _ABOUT
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if about.pop("format") != _FORMAT:
            raise ReadError(f"{path} is of another format than {_FORMAT!r}")
        provenance = Provenance(**about)
    except OSError as error:
        raise ReadError(f"{folder} holds no evaluation: no {_ABOUT} in it") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"{path} is damaged: {error}") from error
    files = sorted((folder / "found").glob("[!.]*.safetensors"))
    return Results(provenance, tuple(_part(file) for file in files))


def merged(asked: Iterable[Key], parts: Iterable[Part], provenance: Provenance) -> Results:
    """The parts in the order of `asked`, then those that nobody asked for now."""
    of = {part.key: part for part in parts}
    order = dict.fromkeys([*(key for key in asked if key in of), *of])
    return Results(provenance, tuple(of[key] for key in order))


def _changed(there: Provenance, now: Provenance) -> list[str]:
    """In what two evaluations differ."""
    old, new = (json.loads(canonical(asdict(p))) for p in (there, now))
    sets = sorted(old["sets"].keys() | new["sets"].keys())
    changed = [f"set {name}" for name in sets if old["sets"].get(name) != new["sets"].get(name)]
    for key in ("scanmend", "seed", "count"):
        if old[key] != new[key]:
            changed.append(f"{key} {old[key]}, now {new[key]}")
    return changed + [key for key in ("embedder", "finder") if old[key] != new[key]]


def _path(folder: Path, key: Key) -> Path:
    return folder / "found" / f"{key.task}.{key.on}.{key.title}.safetensors"


def _part(path: Path) -> Part:
    try:
        with safe_open(path, "np") as file:
            about = json.loads((file.metadata() or {})[_LABEL])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        key = Key(**about["key"])
        scores = {k.removeprefix("scores."): v for k, v in arrays.items() if k[:7] == "scores."}
        panels = {k.removeprefix("panels."): v for k, v in arrays.items() if k[:7] == "panels."}
        faults = {k.removeprefix("faults."): v for k, v in arrays.items() if k[:7] == "faults."}
        return Part(
            key,
            about["candidate"],
            Scores(**scores) if scores else None,
            tuple(Distance(**distance) for distance in about["distances"]),
            panels,
            about["seconds"],
            about["timing"] and Timing(**about["timing"]),
            Faults(**faults) if faults else None,
        )
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        what = " ".join(str(error).split())
        raise CorruptFile(f"{path} is damaged ({what}): delete it, and it is made again") from error
