"""Runs a model file; no torch."""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..errors import ModelError


class Network:
    """The graph and weights of a model file, ready to be called.

    Raises:
        ModelError: The file is no ONNX model, or has no card.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # The cores this process may use, which in a container are fewer than the machine has.
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        # Freed after each call: an operator's program should not sit on a gigabyte between scans.
        options.enable_cpu_mem_arena = False
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own exceptions share no other base
            reason = str(error).splitlines()[0]
            raise ModelError(f"{path.name} is not a model file: {reason}") from None
        if "card" not in self._session.get_modelmeta().custom_metadata_map:
            raise ModelError(f"{path.name} has no card: it is not a model made by scanmend")

    @cached_property
    def card(self) -> dict[str, Any]:
        """What the model was trained on and for, and how well it does."""
        return json.loads(self._session.get_modelmeta().custom_metadata_map["card"])

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
