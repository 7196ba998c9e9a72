"""Features of images, by a network from a file: what KID and CMMD compare.

Only `stm-encoder` comes with scanmend. Inception-v3 and CLIP are other people's: who has them as
ONNX files names them, and how images are prepared for them is known here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..errors import ModelError, ScanError
from .distances import Features

DEFAULT = "stm-encoder"
_FOLDER = Path(__file__).parent
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is done to images in [-1, 1] before a network sees them.

    Attributes:
        side: To how many rows and columns they are resized, bilinearly and without aliasing; None
            leaves them as they are.
        channels: How often the grey image is repeated.
        low, high: To where -1 and 1 are brought.
        mean, std: Of each channel: subtracted, and divided by, after that; one, or one a channel.
        output: Name of the network's output that is taken; None for its first.
    """

    side: int | None = None
    channels: int = 3
    low: float = 0.0
    high: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    output: str | None = None

    def __post_init__(self) -> None:
        if (self.side is not None and self.side < 1) or self.channels < 1:
            raise ModelError(f"images of {self.side} pixels and {self.channels} channels are none")
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (1, self.channels):
                raise ModelError(
                    f"{name} is one number or one for each of {self.channels} channels, got "
                    f"{getattr(self, name)}"
                )
        if not self.low < self.high or min(self.std) <= 0:
            raise ModelError(
                f"low {self.low:g} must be below high {self.high:g}, and std {self.std} above 0"
            )

    def __call__(self, images: NDArray[np.floating]) -> NDArray[np.float32]:
        """From (n, rows, columns) to (n, channels, side, side)."""
        x = images.astype(np.float32)
        if self.side is not None and x.shape[1:] != (self.side, self.side):
            x = _to(self.side, x.shape[1]) @ x @ _to(self.side, x.shape[2]).T
        x = self.low + (self.high - self.low) / 2 * (x[:, None] + 1)
        mean, std = (np.reshape(v, (1, -1, 1, 1)) for v in (self.mean, self.std))
        x = np.broadcast_to(x, (len(x), self.channels, *x.shape[2:]))
        return np.ascontiguousarray((x - mean) / std, np.float32)


PREPARATIONS = {
    "inception-v3": Preparation(side=299, low=-1.0, high=1.0),
    "clip-vit-l-14-336": Preparation(
        side=336,
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
    ),
}
"""What networks of these names expect, unless something else is said."""


class Embedder:
    """A network that maps images to features.

    Attributes:
        name: What scores with it are called by.
        sha256: Hash of the file's bytes.
        card: What the file says of itself; empty for other people's.
        preparation: What is done to images first.
    """

    def __init__(
        self,
        name: str,
        sha256: str,
        card: dict[str, Any],
        preparation: Preparation,
        session: onnxruntime.InferenceSession,
    ) -> None:
        self.name, self.sha256, self.card = name, sha256, card
        self.preparation = preparation
        self._session = session

    @classmethod
    def load(
        cls, path: Path | str | None = None, name: str | None = None, **preparation: Any
    ) -> Embedder:
        """The embedder that is shipped, or one from an ONNX file.

        A file goes by the name it is given, for which the user answers. Without one, it is called
        by its own name (that of its card, or of the file) and its hash: two networks never have
        scores of one name.

        Args:
            path: The file; None for `stm-encoder`.
            name: What it is called; those in `PREPARATIONS` say how images are prepared.
            preparation: What of a `Preparation` is otherwise than its name, its card and the shape
                of its input say.

        Raises:
            ModelError: It is no ONNX file, takes no images, has no such output, a setting means
                nothing, or it is called `stm-encoder` and is another one.
        """
        path = _FOLDER / f"{DEFAULT}.onnx" if path is None else Path(path)
        if not path.is_file():
            raise ModelError(f"no embedder {str(path)!r}: pass the path of an .onnx file")
        session, sha256, card = _opened(path, path.stat().st_mtime_ns)
        shipped = sha256 in _shipped()
        if name == DEFAULT and not shipped:
            raise ModelError(f"{path.name} is not the {DEFAULT} that is shipped: name it otherwise")
        if name is None:
            own = str(card.get("name", path.stem))
            name = own if shipped else f"{own}-{sha256[:8]}"
        base = _base(session, PREPARATIONS.get(name), card, path.name)
        try:
            ready = replace(base, **preparation)
        except TypeError:
            known = ", ".join(Preparation.__slots__)
            raise ModelError(
                f"there is no {' or '.join(preparation)} in a preparation; there are {known}"
            ) from None
        outputs = [output.name for output in session.get_outputs()]
        if ready.output is not None and ready.output not in outputs:
            raise ModelError(
                f"{path.name} has no output {ready.output!r}; it has {', '.join(outputs)}"
            )
        return cls(name, sha256, card, ready, session)

    def __call__(self, images: NDArray[np.floating]) -> Features:
        """Features of images.

        Args:
            images: Shape (n, rows, columns), each brought to [-1, 1].

        Returns:
            Shape (n, d), float32.

        Raises:
            ScanError: They are no such stack, or not measured everywhere.
            ModelError: The network fails on them, or gives no one row of features an image.
        """
        if images.ndim != 3 or not images.size:
            raise ScanError(f"an embedder takes images (n, rows, columns), got {images.shape}")
        if not np.isfinite(images).all():
            raise ScanError("an embedder takes finite pixels: fill what was not measured")
        feed = self._session.get_inputs()[0].name
        outputs = None if self.preparation.output is None else [self.preparation.output]
        rows = []
        for start in range(0, len(images), _BATCH):
            batch = self.preparation(images[start : start + _BATCH])
            try:
                rows.append(np.asarray(self._session.run(outputs, {feed: batch})[0]))
            except Exception as error:  # onnxruntime's own exceptions share no other base
                reason = str(error).splitlines()[0]
                raise ModelError(
                    f"{self.name} cannot take images of shape {batch.shape[1:]}: {reason}"
                ) from None
            found, counted = rows[-1].shape, len(batch)
            if found[:1] != (counted,) or rows[-1].size != counted * max(found[1:2], default=0):
                raise ModelError(
                    f"{self.name} gives {found} for {counted} images, not (images, features): "
                    "choose another output"
                )
        return np.concatenate([row.reshape(len(row), -1) for row in rows]).astype(np.float32)


def _base(
    session: onnxruntime.InferenceSession,
    known: Preparation | None,
    card: dict[str, Any],
    file: str,
) -> Preparation:
    """How images are prepared, if nobody says otherwise."""
    inputs = session.get_inputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 4:
        raise ModelError(
            f"{file} takes {', '.join(f'{i.name} {i.shape}' for i in inputs)}; an embedder takes "
            "images (batch, channels, rows, columns) and nothing else"
        )
    if known is not None:
        return known
    channels, side = shape[1], shape[2]
    low, high = card.get("range", (0.0, 1.0))
    return Preparation(
        side=side if isinstance(side, int) else card.get("side"),
        channels=channels if isinstance(channels, int) else card.get("channels", 3),
        low=low,
        high=high,
        mean=tuple(card.get("mean", (0.0,))),
        std=tuple(card.get("std", (1.0,))),
        output=card.get("output"),
    )


def _shipped() -> list[str]:
    return (_FOLDER / "SHA256SUMS").read_text(encoding="utf-8").split()[::2]


@lru_cache(maxsize=4)
def _opened(
    path: Path, modified_ns: int
) -> tuple[onnxruntime.InferenceSession, str, dict[str, Any]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no other base
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path.name} is no ONNX model: {reason}") from None
    card = json.loads(session.get_modelmeta().custom_metadata_map.get("card", "{}"))
    with path.open("rb") as file:
        return session, hashlib.file_digest(file, "sha256").hexdigest(), card


@lru_cache(maxsize=8)
def _to(new: int, old: int) -> NDArray[np.float32]:
    """Weights (new, old) of a triangle around each new pixel, as wide as a pixel of the coarser."""
    scale = old / new
    centre = (np.arange(new)[:, None] + 0.5) * scale
    weights = np.maximum(0, 1 - abs(np.arange(old) + 0.5 - centre) / max(scale, 1.0))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
