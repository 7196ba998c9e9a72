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
"""What a card must say for its model to be run."""


def cores() -> int:
    """How many cores this process may use: on Linux they can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Network:
    """The graph and weights of a model file, ready to be called.

    Raises:
        ModelError: The file is no ONNX model, or its card lacks what is needed to run it.

    Attributes:
        card: What the model was trained on and for, and how well it does.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = cores()
        # Freed after each call: an operator's program should not sit on a gigabyte between scans.
        options.enable_cpu_mem_arena = False
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own exceptions share no other base
            reason = str(error).splitlines()[0]
            raise ModelError(f"{path.name} is not a model file: {reason}") from None
        text = self._session.get_modelmeta().custom_metadata_map.get("card", "{}")
        self.card: dict[str, Any] = json.loads(text)
        if missing := [key for key in NEEDED if key not in self.card]:
            raise ModelError(
                f"{path.name} is no model made by scanmend: its card lacks {', '.join(missing)}"
            )

    def __call__(self, image: NDArray[np.float32], t: float) -> NDArray[np.float32]:
        """One call.

        Args:
            image: Shape (3, rows, columns), sides divisible by the card's `multiple`: the image on
                its way, what is known, and 1 where that was measured.
            t: The time it is told: 0 for the posterior mean.

        Returns:
            What to add to the known image, and the log of the expected error; (2, rows, columns).
        """
        inputs = {"image": image[None], "t": np.array([t], np.float32)}
        return self._session.run(None, inputs)[0][0]  # type: ignore[index]
