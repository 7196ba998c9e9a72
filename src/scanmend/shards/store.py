"""Numbered samples in a folder of shards, each whole or not there, whoever made it and when.

Sample *i* depends on (recipe, seed, *i*) only, so that any worker can make or remake any shard, and
its bytes are the same whoever did: they hold neither times nor names of machines. `manifest.json`
says what the samples are made of, and which arrays each has.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .. import __version__, distribute
from ..errors import CorruptFile, ReadError, RecipeError, WriteError
from ..io.write import whole
from .file import Layout, Sample, Shard, canonical, must_be_layouts, packed

_FORMAT = "scanmend shards 1"
_MANIFEST = "manifest.json"
_OPEN_FILES = 64


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """A folder of samples, from `create` or `open`; `store[number]` is one, without the others.

    Attributes:
        folder: Where it is.
        kind: What the samples are, in a few words.
        recipe: What they are made by; plain JSON values.
        seed: Of their random numbers.
        count: How many there are when all are made.
        shard_size: How many there are in a shard, but for the last one.
        arrays: What each of them holds.
        version: Of the scanmend that makes them.
    """

    folder: Path
    kind: str
    recipe: Mapping[str, Any]
    seed: int
    count: int
    shard_size: int
    arrays: Mapping[str, Layout]
    version: str
    _open: OrderedDict[int, Shard] = field(default_factory=OrderedDict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.count < 1 or self.shard_size < 1:
            raise RecipeError(
                f"a store has a sample or more, in shards of one or more; got {self.count} in "
                f"shards of {self.shard_size}"
            )
        must_be_layouts(self.arrays)
        try:
            canonical(self.recipe)
        except (TypeError, ValueError) as error:
            raise RecipeError(f"a recipe is made of plain JSON values: {error}") from None

    @classmethod
    def create(
        cls,
        folder: Path | str,
        kind: str,
        recipe: Mapping[str, Any],
        seed: int,
        count: int,
        arrays: Mapping[str, Layout],
        shard_size: int = 256,
    ) -> Store:
        """Begins a store, or goes on with the one that is there.

        Raises:
            RecipeError: That one is of other samples, or was begun by another version.
            ReadError: Its manifest is missing or damaged.
            WriteError: The folder cannot be made or written to.
        """
        store = cls(Path(folder), kind, recipe, seed, count, shard_size, arrays, __version__)
        path = store.folder / _MANIFEST
        try:
            store.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{folder} cannot be made: {error.strerror or error}") from error
        if not path.exists():
            if any(store.folder.glob("shard-*")):
                raise ReadError(f"{folder} holds shards, but no {_MANIFEST}: choose another folder")
            with whole(path, overwrite=True) as unfinished:
                unfinished.write_text(canonical(store._about, indent=2) + "\n", encoding="utf-8")
        _must_be_same(cls.open(folder), store)  # another process may have been quicker
        return store

    @classmethod
    def open(cls, folder: Path | str) -> Store:
        """The store that is there; not all of its shards need be.

        Raises:
            ReadError: There is none, or its manifest is damaged.
        """
        path = Path(folder) / _MANIFEST
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            if known["format"] != _FORMAT:
                raise ReadError(f"{path} is of format {known['format']!r}, not {_FORMAT!r}")
            arrays = {k: Layout(d, tuple(shape)) for k, (d, shape) in known["arrays"].items()}
            return cls(
                Path(folder),
                str(known["kind"]),
                known["recipe"],
                known["seed"],
                known["count"],
                known["shard_size"],
                arrays,
                known["scanmend"],
            )
        except OSError as error:
            raise ReadError(f"{folder} is no store of samples: no {_MANIFEST} in it") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecipeError) as error:
            raise CorruptFile(f"{path} is damaged: {type(error).__name__}: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return Store.open, (self.folder,)

    def __len__(self) -> int:
        return self.count

    @property
    def shards(self) -> int:
        """How many shards there are when all are made."""
        return math.ceil(self.count / self.shard_size)

    def numbers(self, shard: int) -> range:
        """Of the samples in a shard."""
        start = shard * self.shard_size
        return range(start, min(start + self.shard_size, self.count))

    def path(self, shard: int) -> Path:
        """Of its file."""
        return self.folder / f"shard-{shard:05d}.safetensors"

    def missing(self) -> list[int]:
        """Shards that are still to be made; what was left unfinished of the others is removed."""
        there = {path.name for path in self.folder.iterdir()}
        for name in there:
            # Of no use to anybody, for the shard is there: not even if somebody is writing it.
            if name.startswith(".shard-") and name.split(".")[1] + ".safetensors" in there:
                _remove(self.folder / name)
        return [shard for shard in range(self.shards) if self.path(shard).name not in there]

    def write(self, shard: int, samples: Sequence[Sample]) -> None:
        """Puts a shard in its place, whole or not at all.

        Args:
            shard: Which.
            samples: Those with `numbers(shard)`, in their order.

        Raises:
            WriteError: They do not fit the store, or the folder is read-only or full.
        """
        path, numbers = self.path(shard), self.numbers(shard)
        if len(samples) != len(numbers):
            raise WriteError(f"{path.name} has {len(numbers)} samples, got {len(samples)}")
        raw = packed(samples, numbers, self.arrays, self._label(shard))
        try:
            with whole(path, overwrite=True) as unfinished:
                unfinished.write_bytes(raw)
        except WriteError:
            if not path.is_file():  # Else another was quicker: with the same bytes.
                raise
        for left in self.folder.glob(f".{path.stem}.*"):
            _remove(left)

    def fill(
        self,
        make: Callable[[range], Sequence[Sample]],
        workers: int = 1,
        cluster: str | None = None,
        progress: distribute.Progress | None = None,
    ) -> None:
        """Makes what is missing.

        Args:
            make: Makes the samples of these numbers; can be pickled.
            workers, cluster: Who works; see `distribute.run`.
            progress: Called with how many shards are there, and of how many.

        Raises:
            WorkError: A shard failed, with its number and the reason in one line.
        """
        todo = self.missing()
        there = self.shards - len(todo)

        def tell(done: int, total: int) -> None:
            if progress is not None:
                progress(there + done, self.shards)

        distribute.run(partial(_fill, self, make), todo, workers, cluster, tell, "shard")
        self.missing()

    def __getitem__(self, number: int) -> Sample:
        """Sample `number`.

        Raises:
            IndexError: There is no such number.
            ReadError: Its shard is not there.
            CorruptFile: Its shard is damaged.
        """
        if not 0 <= number < self.count:
            raise IndexError(f"{self.folder} has samples 0 to {self.count - 1}, not {number}")
        shard, row = divmod(operator.index(number), self.shard_size)
        if shard not in self._open:
            samples = len(self.numbers(shard))
            self._open[shard] = Shard(self.path(shard), samples, self.arrays, self._label(shard))
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
        self._open.move_to_end(shard)
        return self._open[shard].sample(row)

    def __iter__(self) -> Iterator[Sample]:
        return (self[number] for number in range(self.count))

    @property
    def _about(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "scanmend": self.version,
            "kind": self.kind,
            "recipe": self.recipe,
            "recipe_sha256": hashlib.sha256(canonical(self.recipe).encode()).hexdigest(),
            "seed": self.seed,
            "count": self.count,
            "shard_size": self.shard_size,
            "arrays": self.arrays,
        }

    def _label(self, shard: int) -> str:
        """What a shard says of itself, so that it cannot pass for one of another store."""
        store = hashlib.sha256(canonical(self._about).encode()).hexdigest()
        return canonical({"shard": shard, "store_sha256": store})


def _fill(store: Store, make: Callable[[range], Sequence[Sample]], shard: int) -> None:
    store.write(shard, make(store.numbers(shard)))


def _must_be_same(there: Store, wanted: Store) -> None:
    """Samples that were made in two ways are never to lie in one folder."""
    old, new = (json.loads(canonical(store._about)) for store in (there, wanted))
    if old == new:
        return
    changed = [key for key in new if old[key] != new[key] and key != "recipe_sha256"]
    where = ""
    if changed == ["recipe"]:
        # Down to where they part: of a whole recipe, the beginning would be shown twice.
        while len(changed) == 1 and all(isinstance(of.get(changed[0]), dict) for of in (old, new)):
            where += f"{changed[0]}." * (changed != ["recipe"])
            old, new = old[changed[0]], new[changed[0]]
            changed = [k for k in sorted(old.keys() | new.keys()) if old.get(k) != new.get(k)]
    what = "; ".join(
        f"{where}{key}: {_short(old.get(key))}, now {_short(new.get(key))}" for key in changed
    )
    raise RecipeError(f"{there.folder} holds other samples ({what}): choose another folder")


def _short(value: Any) -> str:
    text = canonical(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _remove(left: Path) -> None:
    """What was left unfinished; on Windows only if nobody is writing it."""
    with suppress(OSError):
        left.unlink()
