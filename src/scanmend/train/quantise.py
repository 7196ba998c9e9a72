"""From a model file to a smaller one beside it, whose convolutions take whole numbers of 8 bits.

Weights get a scale for each channel, activations one for each layer, from what they are on
calibration samples. The finest resolution stays in single precision: what is added to a clean
scan is next to nothing there, and steps of 1/256 of the largest addition would be seen. So do the
ways from one resolution to another.

References:
    Jacob et al., arXiv:1712.05877 (integer arithmetic, static scales)
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from ..engine import DEFAULT, Network
from ..errors import ModelError
from ..evaluate.metrics import fitted, psnr, ssim
from ..generate.flow import between
from ..io.write import whole
from ..pairs.samples import Sample

PERCENTILE = 99.998
"""Share of the activations, %, that the scales reach; the rest is cut off."""

MOST = (0.1, 0.002)
"""PSNR, dB, and SSIM that 8 bits may cost: more, and the plain model is the better one to have."""

_QUANTISED = ("Conv", "Relu", "DepthToSpace")
"""Operators that get a form for whole numbers. Sums do not: what is carried past a layer is not to
be rounded by it."""


def quantise(path: Path, out: Path, samples: Sequence[Sample], *, finest: int = 1) -> Path:
    """Writes the model file at `path` to `out` with weights and activations of 8 bits.

    Args:
        path: A model file of the kind of the shipped ones.
        out: Where to, in place of what is there; it is looked for at `engine.quantised(path)`.
        samples: Some 160 as it was trained on, all of one size, on which the scales are found.
        finest: How many resolutions, finest first, stay in single precision.

    Raises:
        ModelError: The model is none, is of another kind, or there are no samples.
        WriteError: It cannot be written there.
    """
    network = Network(path, DEFAULT)
    if network.has_method:
        raise ModelError(f"{path.name} is run by a method of its own: that is not quantised here")
    if not samples:
        raise ModelError("no samples to find the scales on: pass some that it was trained on")
    card = network.card | {
        "precision": "int8",
        "quantised_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    with tempfile.TemporaryDirectory() as folder, whole(out, overwrite=True) as unfinished:
        plain = Path(folder) / "plain.onnx"
        onnx.save(_simplified(path, Path(folder) / "simple.onnx"), plain)
        with _quiet():
            quantize_static(
                plain,
                unfinished,
                _Reader(samples, network.card),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(_QUANTISED),
                nodes_to_exclude=_floating(onnx.load(plain), network.card["multiple"], finest),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.Percentile,
                extra_options={"CalibPercentile": PERCENTILE},
            )
        model = onnx.load(unfinished)
        del model.metadata_props[:]
        model.metadata_props.add(key="card", value=json.dumps(card))
        onnx.save(model, unfinished)
    return out


def cost(path: Path, samples: Sequence[Sample]) -> tuple[float, float]:
    """What 8 bits cost the posterior mean of a model file: mean PSNR, dB, and SSIM.

    Args:
        path: The model file, with its sibling of 8 bits beside it.
        samples: Which it was not trained on.
    """
    found = []
    for runtime in (DEFAULT, "onnxruntime-int8"):
        network = Network(path, runtime)
        pairs = [
            (fitted(one.known + _mean(network, one), one.target), one.target) for one in samples
        ]
        found.append([np.mean([score(*pair) for pair in pairs]) for score in (psnr, ssim)])
    plain, small = np.array(found)
    return float(plain[0] - small[0]), float(plain[1] - small[1])


def leave_out(small: Path, words: Sequence[str]) -> None:
    """Has what is told these words be done in single precision, by the card of the file `small`.

    Args:
        small: A model file of 8 bits.
        words: Of its card's "told".

    Raises:
        WriteError: It cannot be written there.
    """
    model = onnx.load(small)
    entry = next(entry for entry in model.metadata_props if entry.key == "card")
    entry.value = json.dumps(json.loads(entry.value) | {"single_precision": list(words)})
    with whole(small, overwrite=True) as unfinished:
        onnx.save(model, unfinished)


def _mean(network: Network, one: Sample) -> NDArray[np.float32]:
    told = one.told if "told" in network.card else None
    return network(one.shown, 0.0, told=told)[0]


def _simplified(path: Path, folded: Path) -> onnx.ModelProto:
    """The graph with constants folded, each gain taken into the convolution before it."""
    model = onnx.load(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        # A product is taken into the convolution before it only if that is its first factor.
        if node.op_type == "Mul" and node.input[0] in constants:
            node.input[:] = node.input[::-1]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return onnx.load(folded)


def _floating(model: onnx.ModelProto, multiple: int, finest: int) -> list[str]:
    """Names of the nodes at the `finest` resolutions after the stem's, and of what is no image."""
    side = 8 * multiple
    for given in model.graph.input:
        sizes = given.type.tensor_type.shape.dim
        for size, value in zip(sizes, (1, None, side, side), strict=False):
            if value:
                size.dim_value = value
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    rows = {
        value.name: value.type.tensor_type.shape.dim[2].dim_value
        for value in (*inferred.value_info, *inferred.output, *inferred.input)
        if len(value.type.tensor_type.shape.dim) == 4
    }
    stem = next(rows[node.output[0]] for node in inferred.node if node.op_type == "Conv")
    # What goes from one resolution to another is little work, and all that the coarser one knows.
    shuffled = {node.input[0] for node in inferred.node if node.op_type == "DepthToSpace"}
    return [
        node.name
        for node in inferred.node
        if rows.get(node.output[0], 1) == 1
        or max(rows.get(name, 0) for name in (*node.input, *node.output)) > stem >> finest
        or rows.get(node.input[0]) != rows[node.output[0]]
        or node.output[0] in shuffled
    ]


class _Reader(CalibrationDataReader):
    """Each sample as the network is shown it: for the mean, and somewhere on the flow's path."""

    def __init__(self, samples: Sequence[Sample], card: dict[str, Any]) -> None:
        self._feeds = self._made(samples, card)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:  # type: ignore[override]
        """The next inputs, or None."""
        return next(self._feeds, None)

    @staticmethod
    def _made(
        samples: Sequence[Sample], card: dict[str, Any]
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        rng = np.random.default_rng(0)
        for sample in samples:
            t = float(rng.uniform(0.01, 1))
            noise = card["flow_noise"] * rng.standard_normal(sample.target.shape)
            path = between(sample.target + noise, sample.target, t)
            told = {"told": sample.told[None]} if "told" in card else {}
            on_the_way = np.stack([path, sample.target, sample.mask])
            for planes, time in ((sample.shown, 0.0), (on_the_way, t)):
                image = planes.astype(np.float32)[None]
                yield {"image": image, "t": np.full(1, time, np.float32), **told}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without onnxruntime's advice, which is followed already, and what it prints on stdout."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
