"""Few electrons: what ours and others make of simulated MoS2, its atoms, and the vacuum beside it.

    PYTHONPATH=src python benchmarks/stem.py [--model FILE] [--sbsr FILE] [--r-em PYTHON]

A sheet with sulphur vacancies and a ribbon in vacuum, of 256 x 256 pixels of 0.02 nm, at each dose;
for x2 and x4, pixels of 0.04 and 0.08 nm with as many electrons on an area. Images are compared
with the expected counts after gain and offset are undone; columns are sought as by `scanmend
atoms`. Filters have the strength that suits the truth best. --sbsr is a model of the preset `sbsr`
for x2, --r-em a Python that has tk_r_em, and BM3D takes part where the package bm3d is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree
from setting import heading, table
from stem_methods import CLASSICAL, Image, Method, Ours, Published, REm

from scanmend.atoms import record, truth
from scanmend.evaluate.metrics import fitted, psnr, ssim
from scanmend.scan import Quantity, Scan
from scanmend.stem.experiment import parse
from scanmend.stem.microscope import Micrograph, Microscope

DOSES = 30, 100, 300, 1000, 3000, 10_000, 30_000
FACTORS = 1, 2, 4
SIDE, PIXEL_NM = 256, 0.02
SEEDS = 3, 4
WIRE_NM = 2.0
SEEN_NM = 0.06  # how far off a vacancy may be told
VACANCIES = ("vacancies", "told", "false")


@dataclass(frozen=True)
class Seen:
    """What one method made of the scans of one dose, summed up.

    Attributes:
        psnr_dB, ssim: Means over the scans.
        true, missed, invented: Columns, in all scans.
        rms_pm: Root mean square of the distances of those found, pm.
        in_vacuum: Columns found in vacuum ...
        vacuum_nm2: ... and how much of that there is, nm2.
        vacancies: Of the defects there are ...
        told: ... how many `scanmend atoms` tells ...
        false: ... and how many sites it calls weak or missing without one.
    """

    psnr_dB: float
    ssim: float
    true: int
    missed: int
    invented: int
    rms_pm: float
    in_vacuum: int
    vacuum_nm2: float
    vacancies: int
    told: int
    false: int

    @property
    def wrong(self) -> float:
        """Columns that are missed or invented, as a share of the true ones."""
        return (self.missed + self.invented) / self.true

    def cells(self) -> tuple[str, ...]:
        """As the table has it."""
        return (
            *(f"{self.psnr_dB:.1f}", f"{self.ssim:.3f}"),
            *(f"{100 * self.missed / self.true:.1f}", f"{100 * self.invented / self.true:.1f}"),
            f"{self.rms_pm:.1f}" if math.isfinite(self.rms_pm) else "",
            f"{100 * self.in_vacuum / self.vacuum_nm2:.1f}",
            *(f"{self.told} of {self.vacancies}", str(self.false)),
        )


def scene(dose: float, shape: str, seed: int, factor: int) -> Micrograph:
    """MoS2 at 80 kV; of one seed, the specimen is the same at any dose and factor."""
    side, pitch = SIDE // factor, factor * PIXEL_NM
    plan = {
        "microscope": "stem",
        "crystal": "mos2",
        "frame": {"rows": side, "columns": side, "pixel_nm": pitch},
        "beam": {"dose_per_A2": dose, "source_nm": 0.07},
        "sample": {
            **{"shape": shape, "width_nm": WIRE_NM, "angle_deg": 11.0 + 7 * seed},
            **{"direction_deg": 33.0 * seed},
        },
        "defects_per_nm2": {"chalcogen vacancy": 0.3},
    }
    return Microscope(parse("stem", plan)).scan(seed, 0)


def best(images: list[Image], clean: Image) -> Image:
    """The one that is nearest to the truth, gain and offset undone."""
    return max((fitted(image, clean) for image in images), key=lambda one: psnr(one, clean))


def seen(method: Method, dose: float, factor: int) -> Seen | None:
    """What a method makes of all scenes; None if it is for another factor."""
    quality, agreements, defects = [], [], []
    for shape in ("sheet", "wire"):
        for seed in SEEDS:
            made = scene(dose, shape, seed, factor)
            clean = scene(dose, shape, seed, 1).truth_counts.astype(np.float64)
            images = method(made.scan(), factor)
            if not images:
                return None
            image = best(images, clean)
            quality.append((psnr(image, clean), ssim(image, clean)))
            middle = (np.array(made.counts.shape) - 1) / 2
            places = (made.atoms_px - middle)[:, ::-1] * made.pixel_nm
            known = truth.merged(places, made.atoms.elements)
            scan = Scan(image.astype(np.float32), (PIXEL_NM, PIXEL_NM), Quantity.COUNTS)
            found = record.atoms(scan)
            agreements.append(truth.compare(found.found.columns, known, scan.size_nm))
            defects.append(told(found, made))
    placed = [(a.true - a.missed, a.rms_pm) for a in agreements if a.rms_pm is not None]
    weight = sum(n for n, _ in placed)
    square = sum(n * rms**2 for n, rms in placed)
    return Seen(
        *np.mean(quality, axis=0),
        *(sum(getattr(a, name) for a in agreements) for name in ("true", "missed", "invented")),
        rms_pm=math.sqrt(square / weight) if weight else math.nan,
        in_vacuum=sum(a.in_vacuum for a in agreements),
        vacuum_nm2=sum(a.vacuum_nm2 for a in agreements),
        **{name: int(n) for name, n in zip(VACANCIES, np.sum(defects, axis=0), strict=True)},
    )


def told(found: record.Atoms, made: Micrograph) -> tuple[int, int, int]:
    """How many vacancies there are, and of the sites that are called odd, how many are right."""
    true = np.array([(d.row, d.column) for d in made.defects]).reshape(-1, 2)
    factor = made.pixel_nm / PIXEL_NM
    true = (true + 0.5) * factor - 0.5
    odd = [(o.row, o.column) for o in found.sites.odd if o.kind in ("weak", "missing")]
    if not odd or not len(true):
        return len(true), 0, len(odd)
    near = KDTree(true).query(odd)[0] * PIXEL_NM < SEEN_NM
    return len(true), int(near.sum()), int((~near).sum())


def gain(ours: dict[int, Seen], others: dict[str, dict[int, Seen]]) -> Iterator[tuple[str, ...]]:
    """Ours at a dose beside the best of the others at ten times that dose."""
    for dose in DOSES:
        rivals = {name: by[10 * dose] for name, by in others.items() if 10 * dose in by}
        if not rivals:
            continue
        name = min(rivals, key=lambda one: rivals[one].wrong)
        mine, rival = ours[dose], rivals[name]
        yield (
            *(f"{dose:,}", f"{100 * mine.wrong:.1f}", f"{mine.rms_pm:.1f}"),
            *(f"{10 * dose:,}", name, f"{100 * rival.wrong:.1f}", f"{rival.rms_pm:.1f}"),
        )


def speed(model: str, sbsr: str | None) -> None:
    """Time of a restoration, and of SBSR's 1000 steps, from 20 of them, for as many pixels."""
    print("## Time\n")
    counts = np.tile(scene(1000, "sheet", SEEDS[0], 1).counts, (4, 4))
    scan = Scan(counts, (PIXEL_NM, PIXEL_NM), Quantity.COUNTS)
    few = Scan(counts[:128, :128], (2 * PIXEL_NM, 2 * PIXEL_NM), Quantity.COUNTS)
    rows = [("ours, 1024 x 1024 restored", f"{fastest(Ours(model), scan, 1):.3f}")]
    ours = fastest(Ours(model), few, 2)
    rows.append(("ours, 128 x 128 to 256 x 256", f"{ours:.4f}"))
    if sbsr:
        thousand = 50 * fastest(Published(sbsr, 20), few, 2)
        name = f"SBSR, 1000 steps, the same: {thousand / ours:,.0f} times as long"
        rows.append((name, f"{thousand:.0f}"))
    table(("", "s"), rows)


def fastest(method: Method, scan: Scan, factor: int) -> float:
    """The least time of five, s."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        method(scan, factor)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="stem")
    parser.add_argument("--sbsr")
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--r-em")
    parser.add_argument("--factors", type=int, nargs="*", default=FACTORS)
    asked = parser.parse_args()

    methods: dict[str, Method] = {"ours": Ours(asked.model)}
    methods |= {
        k: m for k, m in CLASSICAL.items() if k != "BM3D" or importlib.util.find_spec("bm3d")
    }
    if asked.sbsr:
        methods |= {f"SBSR, {n} steps": Published(asked.sbsr, n) for n in asked.steps}
    if asked.r_em:
        methods["r_em"] = REm(asked.r_em)

    heading("Simulated MoS2 of few electrons", asked.model)
    head = ("e/Å²", "method", "PSNR, dB", "SSIM", "missed, %", "invented, %", "rms, pm")
    speed(asked.model, asked.sbsr)
    for factor in asked.factors:
        print(f"## {f'x{factor}' if factor > 1 else 'restored'}\n")
        results: dict[str, dict[int, Seen]] = {name: {} for name in methods}
        rows = []
        for dose in DOSES:
            for name, method in methods.items():
                if (one := seen(method, dose, factor)) is not None:
                    results[name][dose] = one
                    rows.append((f"{dose:,}", name, *one.cells()))
        table((*head, "in vacuum, / 100 nm²", "vacancies told", "false ones"), rows)
        print("Missed and invented, %, and rms of the others, pm, at a tenth of the dose:\n")
        head_of_gain = ("e/Å²", "ours, %", "pm", "e/Å²", "the best other", "%", "pm")
        table(head_of_gain, gain(results.pop("ours"), results))


if __name__ == "__main__":
    main()
