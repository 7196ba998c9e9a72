"""The shipped models: what each is, what its training took, and pictures of what it does.

Run: python benchmarks/models.py [NAME ...] [--folder FOLDER]

The pictures are the first surfaces of a seed that no training begins with: not the best ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from setting import heading, table
from superresolution import sparse

import scanmend
from scanmend import engine, models
from scanmend.degrade import recipe
from scanmend.degrade.recipe import isolated, without
from scanmend.figures import beside
from scanmend.pairs import clean
from scanmend.scan import Acquisition, Quantity, Scan
from scanmend.stem import microscope
from scanmend.train.settings import LESSONS

FOLDER = Path(__file__).parents[1] / "docs/figures/models"
SIDE, MARGIN, SEED, EACH = 160, 32, 20261121, 2
MICROGRAPHS = "mos2-haadf", "mos2-nanowire", "wse2-edge-haadf", "graphene-haadf", "srtio3-haadf"


def cases(model: models.Model) -> Iterator[tuple[str, Scan, Scan, Scan]]:
    """Of each picture: its name, what was measured, what the model makes of it, and the truth."""
    source = clean.Surface(model.card["surface"])
    whole = recipe.preset("realistic")
    damages = {"damage": without(whole, "MultiTip", "FewerLines")}
    if "told" in model.card:
        damages["ghosts"] = isolated(whole, "MultiTip")
    for n in range(EACH):
        for name, damage in damages.items():
            measured, truth = _pair(source, damage, n)
            result = scanmend.restore(measured, model=model.path, ghosts=name == "ghosts")
            yield f"{name}-{n + 1}", measured, result.mean, truth
        few, _ = sparse(truth, 4)
        yield f"x4-{n + 1}", few, scanmend.upscale(few, 4, model=model.path).mean, truth


def counted_cases(model: models.Model) -> Iterator[tuple[str, Scan, Scan, Scan]]:
    """The same of a model of scans in counts."""
    for number, name in enumerate(MICROGRAPHS):
        (made,) = microscope.simulate(name, count=1, seed=SEED)
        measured, truth = made.scan(), made.truth()
        for factor in (1, 2) if number == 0 else (1,):
            few = _summed(measured, factor)
            if factor == 1:
                result = scanmend.restore(few, model=model.path)
            else:
                result = scanmend.upscale(few, factor, model=model.path)
            yield name if factor == 1 else f"{name}-x{factor}", few, result.mean, truth


def _summed(scan: Scan, factor: int) -> Scan:
    rows, columns = (n // factor for n in scan.values.shape)
    blocks = scan.values[: factor * rows, : factor * columns]
    values = blocks.reshape(rows, factor, columns, factor).sum((1, 3))
    pixel_nm = factor * scan.pixel_nm[0], factor * scan.pixel_nm[1]
    return Scan(values, pixel_nm, scan.quantity, scan.acquisition)


def scores(model: models.Model) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The figures of the last validation: a head, and rows."""
    known = model.card["validation"]
    found: dict[str, list[str]] = {}
    if model.finds_defects:
        about = ("r2", "mse", "variance", "f1")
        rows = [(name, f"{known[name]:.3g}") for name in about]
        return ("simulated, not trained on", ""), rows + [
            (f"F1 of {name}", f"{known[f'f1_{name}']:.3f}") for name in model.card["classes"]
        ]
    if model.card["quantity"] == Quantity.COUNTS.name:
        for key, value in known.items():
            if key.endswith("_dB") and "_x" in key:
                ssim = known[key.replace("_dB", "_ssim")]
                case = " ".join(key.split("_")[1:3])
                found.setdefault(case, []).append(f"{value:.1f} / {ssim:.3f}")
        head = ("simulated; PSNR, dB / SSIM", "as it comes", "best Gaussian", "mean")
        return (*head, "after the flow"), [(case, *row) for case, row in found.items()]
    for key, value in known.items():
        found.setdefault(key.split("_")[1], []).append(f"{value:.1f}")
    head = ("simulated, not trained on; PSNR, dB", "as it comes", "mean", "after the flow")
    return head, [(case, *row) for case, row in found.items()]


def _pair(source: clean.Surface, damage: Any, number: int) -> tuple[Scan, Scan]:
    rng = np.random.default_rng((SEED, number))
    piece = source.piece("train", SIDE + 2 * MARGIN, rng)
    inside = (slice(MARGIN, MARGIN + SIDE),) * 2
    return damage(piece.scan, rng, piece.within).crop(*inside), piece.scan.crop(*inside)


def facts(model: models.Model) -> list[tuple[str, str]]:
    """What the card says, for a reader."""
    card = model.card
    begun = card.get("started_from")
    smaller = engine.quantised(model.path)
    low, high = card["pixel_nm"]
    rows = [
        ("tasks", ", ".join(card["tasks"])),
        ("pixels", f"{low:g} to {high:g} nm"),
        ("is told", ", ".join(card.get("told", ())) or "nothing"),
        ("parameters", f"{card['parameters']:,}"),
        ("file", f"{model.path.stat().st_size / 2**20:.1f} MiB, SHA-256 `{model.sha256[:16]}…`"),
        ("of 8 bits", f"{smaller.stat().st_size / 2**20:.1f} MiB" if smaller.exists() else "none"),
        ("learnt from", f"{_learnt_from(model)}, recipe `{card['recipe_sha256'][:16]}…`"),
        ("began with", f"{begun['name']} `{begun['sha256'][:16]}…`" if begun else "nothing"),
    ]
    if "samples" in card:
        (lesson,) = (card["recipe"][name] for name in LESSONS if name in card["recipe"])
        side = lesson["mix"]["side"]
        rows.append(("training", f"{card['samples']:,} samples of {side}x{side} pixels"))
        rows.append(("took", f"{card['training_s'] / 60:.0f} minutes, {card['machine']}"))
    return rows


def _learnt_from(model: models.Model) -> str:
    if model.finds_defects:
        return ", ".join(model.card["materials"])
    return str(model.card["surface"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=models.names())
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    heading("The shipped models")
    for name in options.names:
        model = models.load(name)
        print(f"## {model.name}\n")
        table(("", ""), facts(model))
        table(*scores(model))
        if model.finds_defects:
            continue
        drawn = counted_cases if model.card["quantity"] == Quantity.COUNTS.name else cases
        for title, measured, restored, truth in drawn(model):
            taken = Acquisition(source=f"{model.name}, {title}")
            measured = replace(measured, acquisition=taken)
            sheet = beside({"measured": measured, "restored": restored, "truth": truth})
            sheet.savefig(options.folder / f"{model.name}-{title}.jpg", dpi=100)


if __name__ == "__main__":
    main()
