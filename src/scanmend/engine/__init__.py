"""Runs a model file, with what was measured to run it best on this machine; no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .choice import chosen
from .machine import cores, processor
from .runtimes import DEFAULT, RUNTIMES, OnnxRuntime, quantised

__all__ = ["DEFAULT", "RUNTIMES", "Network", "cores", "processor", "quantised"]

NEEDED = ("name", "factors", "quantity", "pixel_nm", "multiple", "flow_noise")
"""What the card of a model such as the shipped ones must say for it to be run: a network of three
planes, which returns what to add and the log of the error to expect."""

NEEDED_BY_METHOD = (
    *("name", "task", "factor", "method", "channels", "side"),
    *("multiple", "quantity", "pixel_nm", "steps"),
)
"""The same of a model whose card names a `method`, one of `generate`: a network of one task."""


class Network:
    """The graph and weights of a model file, ready to be called.

    Args:
        path: The file.
        runtime: What runs it, by its name in `RUNTIMES`; by default what SCANMEND_RUNTIME names, or
            else what `scanmend bench` found to be the quickest here, or else `DEFAULT`.

    Raises:
        ModelError: The file is no ONNX model, its card lacks what is needed to run it, or `runtime`
            or SCANMEND_RUNTIME names none that could.

    Attributes:
        card: What the model was trained on and for, and how well it does.
        channels: How many planes an image has for it.
        runtime: What runs it: library, version, precision, device.
    """

    def __init__(self, path: Path, runtime: str | None = None) -> None:
        self._path = path
        self._plain: OnnxRuntime | None = None
        self._runtime = RUNTIMES[runtime](path) if runtime else chosen(path)
        self.card = self._runtime.card
        exactly = self.card.get("single_precision", [])
        self.runtime = str(self._runtime) + "".join(f", fp32 for {word}" for word in exactly)
        needed = NEEDED_BY_METHOD if self.has_method else NEEDED
        if missing := [key for key in needed if key not in self.card]:
            raise ModelError(
                f"{path.name} is no model made by scanmend: its card lacks {', '.join(missing)}"
            )
        self.channels: int = self.card.get("channels", 3)

    @property
    def has_method(self) -> bool:
        """Whether it is run as a method of `generate` says, not as the shipped models are."""
        return "method" in self.card

    @property
    def silence(self) -> NDArray[np.float32] | None:
        """Zero for all that it can be told besides the time; None if it listens to nothing."""
        names = self.card.get("told")
        return np.zeros(len(names), np.float32) if names else None

    def __call__(
        self, image: NDArray[np.float32], t: float, *, told: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """One call.

        Args:
            image: Shape (3, rows, columns), sides divisible by the card's `multiple`: the image on
                its way, what is known, and 1 where that was measured.
            t: The time it is told: 0 for the posterior mean.
            told: What else, as in `batch`.

        Returns:
            What to add to the known image, and the log of the expected error; (2, rows, columns).
        """
        return self.batch(image[None], t, told=told)[0]

    def batch(
        self,
        image: NDArray[np.float32],
        t: float,
        *,
        told: NDArray[np.float32] | None = None,
        hold: bool = False,
    ) -> NDArray[np.float32]:
        """One call for several images of one size.

        Args:
            image: Shape (batch, channels, rows, columns), sides divisible by the card's `multiple`;
                of a model with a method: the image on its way, unless `channels` is 1, and the
                degraded one, both in [-1, 1].
            t: The time it is told, in [0, 1].
            told: What it is told besides, the same of all images: a number for each name that the
                card has under "told"; None if it has none.
            hold: Whether it keeps the memory that it worked in, which makes the next call quicker.

        Returns:
            Shape (batch, planes, rows, columns); of a model with a method, one plane.

        Raises:
            ModelError: The model takes no image of this shape, or is to be told something else.
        """
        count, channels, rows, columns = image.shape
        multiple = self.card["multiple"]
        if channels != self.channels or rows % multiple or columns % multiple:
            raise ModelError(
                f"{self.card['name']} takes images of {self.channels} channels and sides divisible "
                f"by {multiple}, got {channels} of {rows}x{columns}: it does another job"
            )
        inputs = {"image": image, "t": np.full(count, t, np.float32)}
        names = self.card.get("told", [])
        if (() if told is None else told.shape) != ((len(names),) if names else ()):
            raise ModelError(
                f"{self.card['name']} is to be told {', '.join(names) or 'nothing'} besides the "
                f"time, got {'nothing' if told is None else f'{told.size} numbers'}"
            )
        if told is not None:
            inputs["told"] = np.tile(told.astype(np.float32), (count, 1))
        return self._for(told).run(inputs, hold=hold)

    def _for(self, told: NDArray[np.float32] | None) -> OnnxRuntime:
        """What runs it: what 8 bits cannot do as well, as the card has it, DEFAULT does."""
        words = self.card.get("single_precision", [])
        if told is None or not any(told[self.card["told"].index(word)] for word in words):
            return self._runtime
        self._plain = self._plain or RUNTIMES[DEFAULT](self._path)
        return self._plain

    def conditioned(
        self,
        x: NDArray[np.float32],
        degraded: NDArray[np.float32],
        t: float,
        *,
        hold: bool = False,
    ) -> NDArray[np.float32]:
        """`batch` as the methods of `generate` call it: all images (batch, 1, rows, columns)."""
        planes = (degraded,) if self.channels == 1 else (x, degraded)
        return self.batch(np.concatenate(planes, axis=1, dtype=np.float32), t, hold=hold)
