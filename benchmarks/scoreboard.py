"""Who restores best, and who quickest, in one run on the same sets: table, plot and JSON.

Run: python benchmarks/scoreboard.py FOLDER [-m si001h] [-m FILE.onnx@2 ...] [--published RUNS]
         [--pairs SETS] [--data SCANS] [--only synthetic real traces speed]

Models as `scanmend evaluate` takes them; by default those that are shipped. The classical methods
and the input always stand beside them. --published names a folder of model files of the papers'
methods. --pairs holds test sets (restore, x2, x4) that `scanmend pairs` made; without it they are
made in FOLDER. --data is the folder of real scans, by default SCANMEND_DATA: nothing is ever
trained on them. What was found is kept in FOLDER/found, timings aside, so that one more model does
not cost all the others; what is in FOLDER belongs to one state of scanmend.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from board import real, speed, synthetic, traces
from board.contenders import contenders
from board.kept import Kept
from board.plot import plot
from board.sheet import sheet
from setting import DATA

import scanmend
from scanmend import models
from scanmend.engine import cores, processor
from scanmend.errors import ScanmendError
from scanmend.io.write import whole

SECTIONS = ("synthetic", "real", "traces", "speed")
STEPS = {"FlowMatching": 2, "Diffusion": 10, "PosteriorFlow": 2}
"""Those that the papers report of each method; autoencoders take one."""

LIBRARIES = ("numpy", "scipy", "onnxruntime", "scikit-image")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """The scoreboard, which is also written."""
    options = _options(arguments)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    texts = list(options.model or (models.names() if not options.published else ()))
    texts += _published(options.published) if options.published else []
    of = contenders(texts)
    kept = Kept(folder / "found")
    board: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "scanmend": scanmend.__version__,
        "libraries": {name: version(name) for name in LIBRARIES},
        "processor": processor(),
        "cores": cores(),
        "contenders": [one.about for one in of],
        "cost": speed.cost(of),
    }
    if "synthetic" in options.only:
        pairs = options.pairs
        if pairs is None:
            pairs = folder / "pairs"
            synthetic.made(pairs, options.count or 200)
        board["synthetic"] = synthetic.synthetic(of, pairs, options.count, kept, _tell)
    if "real" in options.only:
        scans = real.scans(options.data)
        board["absent"] = [name for name in real.PLACES if name not in scans]
        board["finer"] = real.finer(of, scans, kept, _tell)
        board["mended"] = real.mended(of, scans, kept, _tell, options.draws)
        board["unharmed"] = real.unharmed(of, scans, kept, _tell)
    if "traces" in options.only:
        board["traces"] = traces.agreement(of, traces.pairs(options.data), kept, _tell)
    if "speed" in options.only:
        patience = speed.Patience(options.repeats, papers=options.papers_repeats)
        board["speed"] = speed.speed(of, folder, patience, _tell)
    _write(board, folder)
    return board


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-m", "--model", action="append")
    parser.add_argument("--published", type=Path, help="a folder of model files")
    parser.add_argument("--pairs", type=Path, help="test sets")
    parser.add_argument("--data", type=Path, default=DATA, help="real scans")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--count", type=int, help="images of each test set at most")
    parser.add_argument("--draws", type=int, default=1, help="of damage, for each real square")
    parser.add_argument("--repeats", type=int, default=10, help="of each timing at most")
    parser.add_argument("--papers-repeats", type=int, default=2, help="of the papers' way")
    return parser.parse_args(arguments)


def _published(folder: Path) -> list[str]:
    """The model files below a folder, at the steps of the papers."""
    found = []
    for path in sorted(folder.rglob("*.onnx")):
        card = models.load(path).card
        kind = card.get("method", {}).get("kind")
        found.append(f"{path}@{STEPS[kind]}" if kind in STEPS else str(path))
    if not found:
        raise ScanmendError(f"no model file is below {folder}")
    return found


def _write(board: dict[str, Any], folder: Path) -> None:
    text = sheet(board)
    with whole(folder / "scoreboard.json", overwrite=True) as unfinished:
        unfinished.write_text(json.dumps(board, indent=1) + "\n", encoding="utf-8")
    with whole(folder / "scoreboard.md", overwrite=True) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    if figure := plot(board):
        with whole(folder / "scoreboard.png", overwrite=True) as unfinished:
            figure.savefig(unfinished)


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except ScanmendError as error:
        sys.exit(f"scoreboard: {error}")
    print((Path(sys.argv[1]) / "scoreboard.md").read_text(encoding="utf-8"))
