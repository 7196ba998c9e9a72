"""`python -m scanmend.train SETTINGS`: trains, or goes on training, and writes a model file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from ..errors import ScanmendError
from .export import export
from .loop import train, validate
from .settings import load


def main() -> int:
    """Parses the command line; exit status 1 and one line where the settings are wrong."""
    parser = argparse.ArgumentParser(prog="python -m scanmend.train", description=__doc__)
    parser.add_argument("settings", help="a TOML file, or the name of a preset")
    parser.add_argument("-o", "--folder", type=Path, help="checkpoint, log and model (runs/NAME)")
    parser.add_argument("--workers", type=int, default=1, help="processes that make samples")
    parser.add_argument("--threads", type=int, help="of torch; all cores if not given")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        settings = load(options.settings)
        folder = options.folder or Path("runs") / settings.name
        device = "cuda" if torch.cuda.is_available() else "cpu"
        net = train(settings, folder, workers=options.workers, device=device)
        net = net.cpu()
        facts = {"validation": validate(net, settings, "cpu")}
        print(export(net, settings, folder / f"{settings.name}.onnx", facts))
    except ScanmendError as error:
        print(f"scanmend: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
