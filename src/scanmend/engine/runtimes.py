"""What can run a model file: a class for each library and precision; none of them is torch."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ..errors import ModelError
from .machine import cores

Inputs = dict[str, NDArray[np.float32]]
"""What a graph is given, by name."""


def quantised(path: Path) -> Path:
    """Where the model file of 8 bits is looked for that was made of the one at `path`."""
    return path.with_name(f"{path.stem}.int8{path.suffix}")


class OnnxRuntime:
    """onnxruntime on the processor, in single precision: always there, the measure of the others.

    Raises:
        ModelError: The file is no ONNX model, or this runtime cannot run it here.

    Attributes:
        precision: Of weights and sums.
        device: What reckons.
        card: That of the model file.
    """

    precision: ClassVar[str] = "fp32"
    device: ClassVar[str] = "CPU"
    _provider: ClassVar[str] = "CPUExecutionProvider"

    @staticmethod
    def version() -> str | None:
        """Name and version of the library; None if it is not installed. It is not loaded."""
        return f"onnxruntime {onnxruntime.__version__}"

    @classmethod
    def missing(cls, path: Path) -> str | None:
        """Why the model at `path` cannot be run this way here; None if it can."""
        if cls.version() is None:
            return "openvino is not installed: pip install 'scanmend[openvino]'"
        if cls._provider not in onnxruntime.get_available_providers():
            return f"this onnxruntime has no {cls._provider}: pip install onnxruntime-gpu"
        if cls.precision == "int8" and not quantised(path).is_file():
            return f"there is no {quantised(path).name} beside {path.name}"
        return None

    def __init__(self, path: Path) -> None:
        if reason := self.missing(path):
            raise ModelError(f"{path.name} cannot be run as wished: {reason}")
        file = quantised(path) if self.precision == "int8" else path
        try:
            card = self._open(file)
        except Exception as error:  # neither library's exceptions share another base
            reason = str(error).strip().partition("\n")[0]
            raise ModelError(f"{file.name} is not a model file: {reason}") from None
        self.card: dict[str, Any] = json.loads(card)
        if file != path and self.card.get("quantised_sha256") != _sha256(path):
            raise ModelError(f"{file.name} was not made of this {path.name}: quantise it anew")

    def __str__(self) -> str:
        return f"{self.version()} {self.precision}, {self.device}"

    def run(self, inputs: Inputs, *, hold: bool = False) -> NDArray[np.float32]:
        """The graph's output; `hold` keeps the memory that was worked in for the next call."""
        return self._session.run(None, inputs, None if hold else self._freeing)[0]  # type: ignore[return-value]

    def _open(self, file: Path) -> str:
        """Makes the file ready to run; returns its card."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = cores()
        # Freed after each call: an operator's program should not sit on a gigabyte between scans.
        self._freeing = onnxruntime.RunOptions()
        self._freeing.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        providers = dict.fromkeys((self._provider, "CPUExecutionProvider"))
        self._session = onnxruntime.InferenceSession(file, options, providers=list(providers))
        if self._provider not in self._session.get_providers():
            raise RuntimeError(f"{self._provider} does not start here")
        return self._session.get_modelmeta().custom_metadata_map.get("card", "{}")


class OnnxRuntimeInt8(OnnxRuntime):
    """onnxruntime on the processor, the model of 8 bits."""

    precision = "int8"


class OnnxRuntimeCuda(OnnxRuntime):
    """onnxruntime on an NVIDIA graphics card."""

    device = "CUDA"
    _provider = "CUDAExecutionProvider"


class OpenVino(OnnxRuntime):
    """OpenVINO on the processor, in single precision."""

    _hint: ClassVar[str] = "f32"

    @staticmethod
    def version() -> str | None:
        """As of every runtime."""
        try:
            return f"openvino {importlib.metadata.version('openvino')}"
        except importlib.metadata.PackageNotFoundError:
            return None

    def run(self, inputs: Inputs, *, hold: bool = False) -> NDArray[np.float32]:
        """As of every runtime; a request is for one thread, so that each call has its own."""
        request = self._compiled.create_infer_request()
        return next(iter(request.infer(inputs, share_inputs=True).values()))

    def _open(self, file: Path) -> str:
        import openvino

        core = openvino.Core()
        model = core.read_model(file)
        settings = {
            "INFERENCE_PRECISION_HINT": self._hint,
            "INFERENCE_NUM_THREADS": cores(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compiled = core.compile_model(model, "CPU", settings)
        place = ["framework", "card"]
        return model.get_rt_info(place).astype(str) if model.has_rt_info(place) else "{}"


class OpenVinoBf16(OpenVino):
    """OpenVINO on the processor, products of 16 bits: quick only where the processor has them."""

    precision, _hint = "bf16", "bf16"


class OpenVinoInt8(OpenVino):
    """OpenVINO on the processor, the model of 8 bits."""

    precision = "int8"


RUNTIMES: dict[str, type[OnnxRuntime]] = {
    "onnxruntime": OnnxRuntime,
    "onnxruntime-int8": OnnxRuntimeInt8,
    "onnxruntime-cuda": OnnxRuntimeCuda,
    "openvino": OpenVino,
    "openvino-bf16": OpenVinoBf16,
    "openvino-int8": OpenVinoInt8,
}
"""By the names that `scanmend bench` and SCANMEND_RUNTIME know."""

DEFAULT = "onnxruntime"
"""The one that runs wherever scanmend does."""


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
