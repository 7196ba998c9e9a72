"""Runs a model file; no torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..errors import ModelError

NEEDED = ("name", "factors", "quantity", "pixel_nm", "multiple", "flow_noise")
"""What the card of a model such as the shipped ones must say for it to be run: a network of three
planes, which returns what to add and the log of the error to expect."""

NEEDED_BY_METHOD = (
    *("name", "task", "factor", "method", "channels", "side"),
    *("multiple", "quantity", "pixel_nm", "steps"),
)
"""The same of a model whose card names a `method`, one of `generate`: a network of one task."""


def cores() -> int:
    """How many cores this process may use, as Linux says and OMP_NUM_THREADS, if that is set."""
    affine = hasattr(os, "sched_getaffinity")
    there = len(os.sched_getaffinity(0)) if affine else os.cpu_count() or 1
    wished = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(wished), there) if wished.isdecimal() and int(wished) else there


class Network:
    """The graph and weights of a model file, ready to be called.

    Raises:
        ModelError: The file is no ONNX model, or its card lacks what is needed to run it.

    Attributes:
        card: What the model was trained on and for, and how well it does.
        channels: How many planes an image has for it.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = cores()
        # Freed after each call: an operator's program should not sit on a gigabyte between scans.
        self._freeing = onnxruntime.RunOptions()
        self._freeing.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own exceptions share no other base
            reason = str(error).splitlines()[0]
            raise ModelError(f"{path.name} is not a model file: {reason}") from None
        text = self._session.get_modelmeta().custom_metadata_map.get("card", "{}")
        self.card: dict[str, Any] = json.loads(text)
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

    def __call__(self, image: NDArray[np.float32], t: float) -> NDArray[np.float32]:
        """One call.

        Args:
            image: Shape (3, rows, columns), sides divisible by the card's `multiple`: the image on
                its way, what is known, and 1 where that was measured.
            t: The time it is told: 0 for the posterior mean.

        Returns:
            What to add to the known image, and the log of the expected error; (2, rows, columns).
        """
        return self.batch(image[None], t)[0]

    def batch(
        self, image: NDArray[np.float32], t: float, *, hold: bool = False
    ) -> NDArray[np.float32]:
        """One call for several images of one size.

        Args:
            image: Shape (batch, channels, rows, columns), sides divisible by the card's `multiple`;
                of a model with a method: the image on its way, unless `channels` is 1, and the
                degraded one, both in [-1, 1].
            t: The time it is told, in [0, 1].
            hold: Whether it keeps the memory that it worked in, which makes the next call quicker.

        Returns:
            Shape (batch, planes, rows, columns); of a model with a method, one plane.

        Raises:
            ModelError: The model takes no image of this shape.
        """
        _, channels, rows, columns = image.shape
        multiple = self.card["multiple"]
        if channels != self.channels or rows % multiple or columns % multiple:
            raise ModelError(
                f"{self.card['name']} takes images of {self.channels} channels and sides divisible "
                f"by {multiple}, got {channels} of {rows}x{columns}: it does another job"
            )
        inputs = {"image": image, "t": np.full(len(image), t, np.float32)}
        return self._session.run(None, inputs, None if hold else self._freeing)[0]  # type: ignore[return-value]

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
