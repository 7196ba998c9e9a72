"""How long each takes for a scan, beside the papers' way, measured in turns in one process.

The papers' way is their small flow-matching network, two midpoint steps, on overlapping patches:
of 512x512 pixels 25 times 4 calls. What that costs does not depend on the weights, which are random
where no trained file is given. Each is run as `scanmend bench` has found best, or by onnxruntime in
single precision: a model file without its sibling of 8 bits beside it always is.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from speed import call, process

import scanmend
from scanmend.crystals import silicon
from scanmend.engine import cores
from scanmend.errors import ScanmendError
from scanmend.scan import Scan

from .contenders import Contender, contenders

SIDE, LIVE, FILES = 512, 128, 6
PAPERS = "fm-small@2"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Patience:
    """How often things are timed, of which the least counts: at least twice, then until it is over.

    Attributes:
        repeats: At most.
        seconds: Of each task, but for the papers' way.
        papers: Repeats of the papers' way, which takes ten seconds.
    """

    repeats: int = 10
    seconds: float = 6.0
    papers: int = 2


def papers_way(folder: Path) -> Contender:
    """The small network of the papers with random weights, exported once into `folder`."""
    path = folder / "fm-small-random.onnx"
    if not path.exists():
        import torch

        from scanmend.train import run
        from scanmend.train.export import export

        torch.manual_seed(0)
        settings = run.load("fm-small", {"name": "fm-small-random"})
        folder.mkdir(parents=True, exist_ok=True)
        export(settings.lesson.network().eval(), settings, path)
    return next(one for one in contenders([f"{path}@2"]) if one.kind == "published")


def speed(of: Sequence[Contender], folder: Path, patience: Patience, tell: Tell) -> dict[str, Any]:
    """Seconds of each contender, and of the papers' way, for images of 128 and 512 pixels.

    Returns:
        `papers`, and by contender `scan_s`, `strip_s`; of models also `call_s`, `strip_call_s`,
        and of ours `process_s` (from file to file, Python's start included), `batch_per_s` (scans
        of 512x512 a second, a process for all files), `ratio` and `ratio_process` to the papers'.
    """
    rng = np.random.default_rng(0)
    scan = silicon.surface(rng, (SIDE, SIDE))
    strip = scan.crop(slice(LIVE), slice(LIVE))
    published = [one for one in of if one.title == PAPERS and one.does(1)]
    reference = published[0] if published else papers_way(folder)
    tell(f"speed: {reference.title}, the papers' way")
    papers = [call(reference.restored, scan) for _ in range((patience.papers + 1) // 2)]
    found: dict[str, Any] = {}
    for one in of:
        if one.kind == "input" or not one.does(1) or (one is reference):
            continue
        tell(f"speed: {one.title}")
        slow = one.kind == "published"
        own = Patience(2, 0.0) if slow else patience
        found[one.title] = {"kind": one.kind} | _seconds(one, scan, strip, own)
        if one.kind == "ours":
            found[one.title] |= _processes(one, scan, own)
            found[one.title]["runtime"] = scanmend.models.load(one.path).network.runtime
    papers += [call(reference.restored, scan) for _ in range(patience.papers // 2)]
    runtime = scanmend.models.load(reference.path).network.runtime
    theirs = {
        "kind": "published",
        "runtime": runtime,
        "scan_s": min(papers),
        "repeats": len(papers),
    }
    theirs |= {"calls": 25 * 4, **_calls(reference, scan, strip, Patience(2, 0.0))}
    theirs["strip_s"] = least(lambda: reference.restored(strip), Patience(2, 0.0))
    found[reference.title] = theirs
    for facts in found.values():
        facts["ratio"] = min(papers) / facts["scan_s"]
        if "process_s" in facts:
            facts["ratio_process"] = min(papers) / facts["process_s"]
    return {"papers": reference.title, "threads": cores(), "each": found}


def least(do: Callable[[], object], patience: Patience) -> float:
    """The least time it took, s; what only the first one does is not timed."""
    if patience.seconds:
        do()
    taken: list[float] = []
    while len(taken) < patience.repeats and (len(taken) < 2 or sum(taken) < patience.seconds):
        taken.append(call(do))
    return min(taken)


def _seconds(one: Contender, scan: Scan, strip: Scan, patience: Patience) -> dict[str, Any]:
    try:
        # Of a classical method the one strength that a user has.
        found = {
            "scan_s": least(lambda: one.once(scan), patience),
            "strip_s": least(lambda: one.once(strip), patience),
        }
    except ScanmendError as error:
        return {"refused": " ".join(str(error).split())}
    return found | _calls(one, scan, strip, patience)


def _calls(one: Contender, scan: Scan, strip: Scan, patience: Patience) -> dict[str, Any]:
    if not one.candidate.calls:
        return {}
    side = (
        {"strip_call_s": strip}
        if one.kind == "published"
        else {
            "call_s": scan,
            "strip_call_s": strip,
        }
    )
    return {
        name: least(lambda: one.candidate.call(image.values), patience)  # noqa: B023
        for name, image in side.items()
    }


def _processes(one: Contender, scan: Scan, patience: Patience) -> dict[str, Any]:
    """From file to file, and of several files by one process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"scan{i}.nc" for i in range(FILES)]
        for file in files:
            scanmend.write(scan, file)
        (folder / "out").mkdir()
        restore = (sys.executable, "-m", "scanmend", "restore", "--model", str(one.path))
        how = ("-o", str(folder / "out"), "--overwrite")
        process(*restore, str(files[0]), *how)
        alone = [process(*restore, str(files[0]), *how)[0] for _ in range(min(5, patience.repeats))]
        many = [process(*restore, *map(str, files), *how)[0] for _ in range(2)]
    # What only the start costs falls out of the difference.
    each = (min(many) - min(alone)) / (FILES - 1)
    return {"process_s": min(alone), "batch_per_s": FILES / min(many), "more_s": each}


def cost(of: Sequence[Contender]) -> list[dict[str, Any]]:
    """What the cards say of the training: patches, minutes and machine; None where they do not."""
    found = []
    for one in of:
        if one.kind not in ("ours", "published"):
            continue
        model = scanmend.models.load(one.path)
        card, recipe = model.card, model.card.get("recipe", {})
        taken = card.get("training_s")
        mix = recipe.get("mixed", {}).get("mix", {})
        found.append(
            {
                "contender": one.title,
                "parameters": card.get("parameters"),
                "samples": card.get("samples"),
                "crop_px": recipe.get("paired", mix).get("crop", mix.get("side")),
                "minutes": None if taken is None else taken / 60,
                "machine": card.get("machine"),
                "history": card.get("history"),
                "sha256": model.sha256,
            }
        )
    return found
