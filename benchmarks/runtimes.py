"""What each runtime makes of a model: times, arithmetic, and its share of what the machine can do.

Run: python benchmarks/runtimes.py [NAME|FILE.onnx]        (nothing else should run meanwhile)

The roof is a product of two square matrices in single precision by NumPy, as many threads. More is
possible: Winograd's way to convolve takes fewer products than are counted here, and those of 8 or
16 bits are several at once.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import onnx
from setting import heading, table

from scanmend import models
from scanmend.engine.measure import IMAGE, best, measure

MATRIX = 1024
"""Rows and columns of the matrices that are multiplied."""


def operations(path: Path, side: int) -> float:
    """Floating-point operations of the convolutions, 2 for a product and its sum, of one image."""
    model = onnx.load(path)
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    for size, value in zip((sizes[0], *sizes[2:]), (1, side, side), strict=True):
        size.dim_value = value
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    convolutions = (node for node in graph.node if node.op_type == "Conv")
    return sum(
        2 * float(np.prod(weights[node.input[1]])) * np.prod(shapes[node.output[0]][2:])
        for node in convolutions
    )


def roof(repeats: int = 50) -> float:
    """Floating-point operations a second of a product of two matrices, at best."""
    a, b = np.random.default_rng(0).standard_normal((2, MATRIX, MATRIX), dtype=np.float32)
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - begun)
    return 2 * MATRIX**3 / min(seconds)


def main() -> None:
    path = models.load(*sys.argv[1:]).path
    work, most = operations(path, IMAGE), roof()
    heading(f"Runtimes: {path.name}")
    print(
        f"One {IMAGE}x{IMAGE} call is {work / 1e9:.1f} GFLOP; the roof {most / 1e9:.0f} GFLOP/s.\n"
    )
    measured = measure(path)
    rows = []
    for m in (m for m in measured if not m.why):
        rate = work / m.image_s
        times = f"{1e3 * m.image_s:.0f}", f"{rate / 1e9:.0f}", f"{rate / most:.0%}"
        start = f"{1e3 * m.strip_s:.1f}", f"{m.start_s:.2f}"
        rows.append((m.runtime, *times, *start, f"{m.rms_difference:.1g}"))
    table(
        ("runtime", "512x512, ms", "GFLOP/s", "of the roof", "128x128, ms", "start, s", "rms off"),
        rows,
    )
    for m in (m for m in measured if m.why):
        print(f"{m.name}: {m.why}")
    print("\nstart: importing, opening, first call; off: by how much the image differs from the")
    print(f"first's. Best for one scan a start: {best(measured, 1).runtime}; ", end="")
    print(f"for 1000: {best(measured, 1000).runtime}.")


if __name__ == "__main__":
    main()
