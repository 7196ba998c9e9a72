"""How quick, and how exact, each runtime is with a model on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from . import Network
from .runtimes import DEFAULT, RUNTIMES

IMAGE, STRIP = 512, 128
"""Sides of what is measured: a scan, and what of one comes in while it is taken. Pixels."""

LIMIT = 0.01
"""Root mean square by which the image may differ from DEFAULT's. The relief of a normalised scan is
3.3: of a scan that comes back at 38 dB, which is a good one, it costs a tenth of one."""

SCANS = 20
"""How many scans one start of the program is thought to be for, if nobody says so."""

_CHILD = "import time; start = time.perf_counter(); from scanmend.engine import measure; "
_CHILD += "measure.report(start)"


@dataclass(frozen=True, slots=True)
class Measured:
    """One runtime.

    Attributes:
        name: In RUNTIMES.
        runtime: Library, version, precision, device; empty where it did not run.
        why: Why it did not run, else None.
        start_s: From importing scanmend to the end of the first call.
        image_s: A call of IMAGE x IMAGE pixels, median.
        strip_s: A call of STRIP x STRIP.
        difference: The largest from DEFAULT's image, in the model's units.
        rms_difference: Its root mean square.
    """

    name: str
    runtime: str = ""
    why: str | None = None
    start_s: float = np.inf
    image_s: float = np.inf
    strip_s: float = np.inf
    difference: float = np.inf
    rms_difference: float = np.inf

    @property
    def accurate(self) -> bool:
        """Whether its output may stand for DEFAULT's."""
        return self.rms_difference <= LIMIT

    def total_s(self, scans: int) -> float:
        """What one start and so many scans take."""
        return self.start_s + (scans - 1) * self.image_s


def best(measured: list[Measured], scans: int = SCANS) -> Measured:
    """The quickest of the accurate ones, for a program that is started once for `scans`."""
    return min((m for m in measured if m.accurate), key=lambda m: m.total_s(scans))


def measure(
    path: Path, repeats: int = 7, tell: Callable[[float], None] = lambda share: None
) -> list[Measured]:
    """Measures every runtime with the model at `path`, each in a process of its own.

    Args:
        path: The model file.
        repeats: Calls of each size, of which the median counts.
        tell: Is told the share that is done.

    Raises:
        ModelError: The model is none, or not even DEFAULT runs here.
    """
    Network(path, DEFAULT)  # says what is wrong with it, if anything is
    results: list[Measured] = []
    with tempfile.TemporaryDirectory() as place:
        reference: NDArray[np.float32] | None = None
        for done, name in enumerate(RUNTIMES, 1):
            if why := RUNTIMES[name].missing(path):
                results.append(Measured(name, why=why))
            else:
                out = Path(place) / f"{name}.npy"
                results.append(_measured(name, path, repeats, out, reference))
                if name == DEFAULT:
                    if results[-1].why:
                        raise ModelError(f"{path.name} does not run: {results[-1].why}")
                    reference = np.load(out)[:, 0]
            tell(done / len(RUNTIMES))
    return results


def _measured(
    name: str, path: Path, repeats: int, out: Path, reference: NDArray[np.float32] | None
) -> Measured:
    # A process of its own starts cold, and takes nobody with it if a library does not get on with
    # the processor. It finds modules where this one does, and nowhere else.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-c", _CHILD, name, str(path), str(repeats), str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or f"ended by signal {-done.returncode}").splitlines()[-1]
        return Measured(name, why=last)
    told = json.loads(done.stdout.splitlines()[-1])
    output = np.load(out)[:, 0]  # the image; what else there may be has another unit
    off = output - (output if reference is None else reference)
    differences = float(np.abs(off).max()), float(np.sqrt(np.mean(off.astype(float) ** 2)))
    # A runtime that returns no numbers is never accurate, since no comparison with NaN is true.
    return Measured(name, **told, difference=differences[0], rms_difference=differences[1])


def report(start: float) -> None:
    """What a process of `measure` does: runs one model by one runtime, and prints the times."""
    name, path, repeats, out = sys.argv[1:]
    network = Network(Path(path), name)
    image, strip = shown(network, IMAGE), shown(network, STRIP)
    np.save(out, network.batch(**image))
    start_s = time.perf_counter() - start
    times: dict[str, Any] = {"runtime": network.runtime, "start_s": start_s}
    network.batch(**strip)
    for size, given in (("image_s", image), ("strip_s", strip)):
        times[size] = median(_seconds(network, given, int(repeats)))
    print(json.dumps(times))


def shown(network: Network, side: int) -> dict[str, Any]:
    """What the network is shown: a lattice, steps and noise, side x side, the same each time.

    Or a little larger, where the network demands it.

    The keyword arguments of `Network.batch`, for the posterior mean, or half-way of a method.
    """
    side = -(-side // network.card["multiple"]) * network.card["multiple"]
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side] * (2 * np.pi / 8)
    scan = np.cos(0.9 * rows + 0.3 * columns) * (1 + 0.5 * np.cos(0.2 * columns - 0.6 * rows))
    scan += 0.5 * (rows > columns) + 0.2 * rng.standard_normal((side, 1))
    scan += 0.1 * rng.standard_normal((side, side))
    planes = np.repeat(scan[None].astype(np.float32), network.channels, axis=0)
    if not network.has_method:
        planes[-1] = 1
    t = 0.5 if network.has_method else 0.0
    return {"image": planes[None], "t": t, "told": network.silence}


def _seconds(network: Network, given: dict[str, Any], repeats: int) -> Iterator[float]:
    for _ in range(repeats):
        begun = time.perf_counter()
        network.batch(**given)
        yield time.perf_counter() - begun
