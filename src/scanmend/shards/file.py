"""One shard: samples in a safetensors file, which any program can read, and nothing is executed.

An array whose shape is the same for all samples is stacked, `NAME` of shape (samples, ...). The
elements of any other follow each other in `NAME`; those of sample n of the shard begin at
`NAME.offsets[n]`, end before `NAME.offsets[n + 1]`, and have shape `NAME.shapes[n]`. `about` is
such an array, of bytes: what else there is to say of each sample, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..errors import CorruptFile, ReadError, RecipeError, WriteError

_ABOUT = "about"
_LABEL = "scanmend"


class Layout(NamedTuple):
    """What an array of every sample is like: its dtype, and its shape, None where that differs."""

    dtype: str
    shape: tuple[int | None, ...]


_BYTES = Layout("uint8", (None,))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One of many.

    Attributes:
        arrays: By name, which ends with the unit.
        about: What else there is to say; plain JSON values.
    """

    arrays: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any] = field(default_factory=dict)


def canonical(value: Any, indent: int | None = None) -> str:
    """Plain JSON values as text: the same for the same value, in whatever order it was made.

    Raises:
        TypeError, ValueError: There is something else among them, or a number that is not finite.
    """
    return json.dumps(value, sort_keys=True, allow_nan=False, indent=indent)


def must_be_layouts(arrays: Mapping[str, Layout]) -> None:
    """Refuses what a shard cannot hold.

    Raises:
        RecipeError: A name or a dtype that cannot be.
    """
    for name, layout in arrays.items():
        if not name.isidentifier() or name == _ABOUT:
            raise RecipeError(f"{name!r} cannot name an array of samples, as 'height_nm' can")
        if np.dtype(layout.dtype).kind not in "biuf":
            raise RecipeError(f"{name} must hold numbers or truths, got {layout.dtype}")


def packed(
    samples: Sequence[Sample], numbers: range, arrays: Mapping[str, Layout], label: str
) -> bytes:
    """The bytes of a shard.

    Args:
        samples: What it holds.
        numbers: Theirs, for the texts of errors.
        arrays: What each of them has.
        label: What the shard says of itself.

    Raises:
        WriteError: A sample has other arrays.
    """
    for sample, number in zip(samples, numbers, strict=True):
        if sample.arrays.keys() != arrays.keys():
            has = ", ".join(sample.arrays) or "none"
            raise WriteError(f"sample {number} must have the arrays {', '.join(arrays)}; has {has}")
    tensors: dict[str, NDArray[Any]] = {}
    for name, layout in arrays.items():
        parts = [_fitting(s, n, name, layout) for s, n in zip(samples, numbers, strict=True)]
        tensors |= _ragged(name, parts) if None in layout.shape else {name: np.stack(parts)}
    about = [np.frombuffer(canonical(sample.about).encode(), np.uint8) for sample in samples]
    # One entry of metadata: several would be written in an order that changes from run to run.
    return save(tensors | _ragged(_ABOUT, about), {_LABEL: label})


def _fitting(sample: Sample, number: int, name: str, layout: Layout) -> NDArray[Any]:
    values = np.asarray(sample.arrays[name])
    lengths = zip(values.shape, layout.shape, strict=False)
    if (
        values.dtype != layout.dtype
        or values.ndim != len(layout.shape)
        or any(wanted not in (None, length) for length, wanted in lengths)
    ):
        raise WriteError(
            f"sample {number}: {name} must be {layout.dtype} {layout.shape}, got "
            f"{values.dtype} {values.shape}"
        )
    return values


def _ragged(name: str, parts: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays of any shapes as one, and where each is in it."""
    return {
        name: np.concatenate([part.ravel() for part in parts]),
        f"{name}.offsets": np.cumsum([0, *(part.size for part in parts)], dtype=np.int64),
        f"{name}.shapes": np.array([part.shape for part in parts], np.int64),
    }


class Shard:
    """A shard on disk: mapped into memory, and read where a sample lies.

    Raises:
        ReadError: It is not there.
        CorruptFile: It is damaged, or says of itself something else than `label`.
    """

    def __init__(self, path: Path, samples: int, arrays: Mapping[str, Layout], label: str) -> None:
        self._path = path
        self._layouts = {**arrays, _ABOUT: _BYTES}
        self._bounds: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        with self._damage_told():
            file = safe_open(path, "np")
            if (file.metadata() or {}).get(_LABEL) != label:
                raise ValueError("it belongs to another store or another place")
            self._parts = {name: file.get_slice(name) for name in self._layouts}
            for name, part in self._parts.items():
                shape = [samples, *self._layouts[name].shape]
                if None in shape:
                    offsets = file.get_tensor(f"{name}.offsets")
                    shapes = file.get_tensor(f"{name}.shapes")
                    sizes = np.diff(offsets, prepend=0)
                    if (shapes < 0).any() or not np.array_equal(sizes, [0, *shapes.prod(1)]):
                        raise ValueError(f"the parts of {name} have impossible shapes")
                    self._bounds[name] = offsets, shapes
                    shape = [int(offsets[samples])]
                if part.get_shape() != shape:
                    raise ValueError(f"{name} has shape {part.get_shape()}, not {shape}")

    def sample(self, row: int) -> Sample:
        """The one in this row.

        Raises:
            CorruptFile: It is damaged.
        """
        with self._damage_told():
            arrays = {name: self._array(name, row) for name in self._parts}
            about = json.loads(arrays.pop(_ABOUT).tobytes())
        return Sample(arrays, about)

    def _array(self, name: str, row: int) -> NDArray[Any]:
        part, dtype = self._parts[name], self._layouts[name].dtype
        if name in self._bounds:
            offsets, shapes = self._bounds[name]
            start, end = int(offsets[row]), int(offsets[row + 1])
            # Of nothing, safetensors makes an error if it lies at the end.
            flat = part[start:end] if start < end else np.empty(0, dtype)
            values = flat.reshape(shapes[row])
        else:
            values = part[row]
        if values.dtype != dtype:
            raise ValueError(f"{name} is of {values.dtype}, not {dtype}")
        return values

    @contextmanager
    def _damage_told(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise ReadError(f"{self._path} is not there: the store is not complete") from None
        except (SafetensorError, OSError, ValueError, KeyError, IndexError) as error:
            what = " ".join(str(error).split())
            raise CorruptFile(
                f"{self._path} is damaged ({what}): delete it, and it is made again"
            ) from error
