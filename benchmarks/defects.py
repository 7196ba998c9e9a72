"""How well defects are found, and which ones restorations make up and wipe out.

    PYTHONPATH=src python benchmarks/defects.py [--scans 40] [--only finders audit real speed]

Finders: the network of each family, and two classical methods, on simulated scans that nobody
learnt from; with all distortions, and with noise only. A hit lies within 0.3 nm. The templates are
the mean of what 20 other scans show. Audit: the same network looks at scans before and after they
are restored, or after they are made of every 2nd or 4th line; beside the truth, what it finds and
should not is hallucinated, and what it does not find is omitted. The same of dark-field images of
MoS2, site by site. Real: missing dimers of a part of a real scan, marked by eye before any finder
saw it, and missing adatoms of another, marked when an earlier network had been tried on it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import resources

import numpy as np
from setting import DATA, heading, si001h, table
from stem import best
from stem_methods import CLASSICAL as FILTERS_OF_COUNTS
from stem_methods import Ours
from superresolution import sparse

import scanmend
from scanmend import models
from scanmend.defects import audit, classical
from scanmend.defects.finder import found
from scanmend.defects.maps import maps
from scanmend.defects.marks import Marks, shown
from scanmend.defects.peaks import Found, find
from scanmend.errors import ScanError
from scanmend.evaluate.classical import CLASSICAL
from scanmend.places import best_pairs
from scanmend.scan import Scan
from scanmend.stem.experiment import parse
from scanmend.stem.microscope import Microscope
from scanmend.stm import experiment, record
from scanmend.stm.experiment import Experiment
from scanmend.stm.simulation import Simulation

FAMILIES = {
    "tmd": ("wse2", "mos2"),
    "graphene": ("graphene",),
    "si001h": ("si001h",),
    "si111-7x7": ("si111-7x7",),
}
SEED, EXAMPLES = 2_000_017, 20
AUDITED = {"si001h": ("si001h", 0.19), "tmd": ("wse2", 0.06), "si111-7x7": ("si111-7x7", 0.12)}
SIDE = 160
DOSES = 1_000, 10_000, 100_000  # electrons / A2
SHEET = {
    "microscope": "stem",
    "crystal": "mos2",
    "frame": {"rows": 400, "columns": 400, "pixel_nm": 0.015},
    "sample": {"angle_deg": 11.0},
    "defects_per_nm2": {"chalcogen vacancy": 0.4, "metal vacancy": 0.1, "antisite": 0.1},
}
SITES = {"chalcogen vacancy": "weak B", "metal vacancy": "missing A", "antisite": "strong B"}

TOP, LEFT, PART = 60, 340, 128
MISSING = (
    *((66, 395), (75, 374.5), (85, 445.5), (107, 370.5), (117.5, 408), (125, 346.5)),
    *((126.5, 353), (129.5, 402), (134.5, 376), (142, 439), (146.5, 452), (150, 344.5)),
    *((150.5, 427.5), (156.5, 376), (155.5, 390), (166, 358.5), (170, 417.5), (177.5, 422.5)),
    *((179.5, 406.5), (183, 411)),
)
"""(row, column) of the missing dimers of `si001h_step` that one sees from row TOP, column LEFT."""
ADATOMS = (
    *((19.5, 78.7), (25.5, 232.7), (63.9, 98.9), (69.7, 86.5), (73.5, 104.1), (82.7, 20.1)),
    *((94.1, 72.7), (93.1, 126.2), (146.1, 127.9), (156.7, 79.5), (160.5, 97.0), (185.8, 106.8)),
    *((177.5, 214.4), (194.2, 242.8), (233.1, 120.8)),
)
"""(row, column) of the adatoms that one misses in `si111_7x7_defects`, islands and edges left out:
sites of a lattice fitted to 27 of its corner holes, which also tells the scale."""
CELLS_NM = 15.06  #: [nm] side of that scan, whose file does not say it


def plan(name: str, distorted: bool = True, **frame: float) -> Experiment:
    """What the network of a family learnt from; or the same with noise only, and another frame."""
    path = resources.files("scanmend.defects") / "experiments" / f"{name}.toml"
    given = experiment.load(str(path)).table()
    if not distorted:
        given = {key: of for key, of in given.items() if key not in ("motion", "gains")}
        given["tip"] = {k: v for k, v in given["tip"].items() if not k.startswith("double")}
    return experiment.parse(name, {**given, "frame": given["frame"] | frame})


def scans(of: Experiment, count: int, seed: int = SEED) -> Iterator[Simulation]:
    """So many that did not go wrong."""
    made = (one for one in record.simulate(of, 3 * count, seed) if one.fault is None)
    return (one for one, _ in zip(made, range(count), strict=False))


def marks(made: Simulation) -> Marks:
    """Its defects in the trace."""
    seen = [(d.kind, d.trace) for d in made.defects if d.trace is not None]
    return shown(seen, made.trace_nm.shape, made.pixel_nm)


class Tally:
    """What audits beside the truth come to, summed."""

    def __init__(self) -> None:
        self.fates: Counter[str] = Counter()
        self.kinds: dict[str, Counter[str]] = {}
        self.square, self.pairs, self.area_nm2 = 0.0, 0, 0.0

    def add(self, one: audit.Audit) -> None:
        """One more scan."""
        self.area_nm2 += one.area_nm2
        for feature in (f for f in one.features if f.counted):
            self.fates[feature.fate] += 1
            kind = feature.kind_before or feature.kind
            self.kinds.setdefault(kind, Counter())[feature.fate] += 1
            if feature.distance_nm is not None:
                self.square, self.pairs = self.square + feature.distance_nm**2, self.pairs + 1

    def scores(self, fates: Counter[str] | None = None) -> tuple[float, float, float]:
        """Precision, recall, F1; a wrong class is both made up and missed."""
        of = self.fates if fates is None else fates
        hit, seen = of[audit.KEPT] + of[audit.MOVED], self._seen(of)
        found, there = seen + of[audit.HALLUCINATED], seen + of[audit.OMITTED]
        return hit / max(found, 1), hit / max(there, 1), 2 * hit / max(found + there, 1)

    @property
    def place_f1(self) -> float:
        """F1 of places alone, whatever class they are said to be of."""
        hit, of = self._seen(self.fates), self.fates
        return 2 * hit / max(2 * hit + of[audit.HALLUCINATED] + of[audit.OMITTED], 1)

    @staticmethod
    def _seen(of: Counter[str]) -> int:
        return of[audit.KEPT] + of[audit.MOVED] + of[audit.CHANGED]

    @property
    def rms_pm(self) -> float:
        """Distance of those that were paired."""
        return 1e3 * float(np.sqrt(self.square / max(self.pairs, 1)))

    def per_100_nm2(self, fate: str) -> str:
        """How many of a fate, and the standard deviation of so many."""
        number, unit = self.fates[fate], 100 / self.area_nm2
        return f"{number * unit:.2f} ± {max(number, 1) ** 0.5 * unit:.2f}"

    def audited(self) -> tuple[str, ...]:
        """What was hallucinated and omitted, and F1."""
        rates = (self.per_100_nm2(fate) for fate in (audit.HALLUCINATED, audit.OMITTED))
        return *rates, f"{self.scores()[2]:.3f}"


def finders(family: str, names: Sequence[str]) -> dict[str, Callable[[Scan], Found]]:
    """The network of a family, and the classical ones."""
    model = models.load(f"defects-{family}")
    known = model.card["classes"]
    seen = [one for name in names for one in scans(plan(name), EXAMPLES, SEED + 1)]
    examples = [(one.scan(), marks(one)) for one in seen]
    pitch = float(np.median([one.pixel_nm for one in seen]))
    learnt = classical.learn(examples, pitch)
    kept = [learnt.classes.index(kind) for kind in learnt.classes if kind in known]
    templates = classical.Templates(
        tuple(learnt.classes[k] for k in kept), learnt.images[kept], learnt.pixel_nm
    )
    return {
        "network": lambda scan: find(maps(scan, model)),
        "difference of Gaussians": lambda scan: found(scan, source="difference-of-gaussians"),
        "templates": lambda scan: find(classical.match(scan, templates)),
    }


def compare_finders(count: int) -> None:
    print("## Finders\n")
    rows, by_class = [], []
    for family, names in FAMILIES.items():
        methods = finders(family, names)
        for level, distorted in (("all distortions", True), ("noise only", False)):
            taken = [one for name in names for one in scans(plan(name, distorted), count)]
            for title, method in methods.items():
                tally = Tally()
                for one in taken:
                    tally.add(audit.against_truth(method(one.scan()), marks(one)))
                scores = (f"{score:.3f}" for score in (*tally.scores(), tally.place_f1))
                rows.append((family, level, title, *scores, f"{tally.rms_pm:.0f}"))
                if title == "network":
                    by_class += [
                        (family, level, kind, *(f"{s:.3f}" for s in tally.scores(fates)))
                        for kind, fates in sorted(tally.kinds.items())
                    ]
    head = ("precision", "recall", "F1")
    table(("family", "scans", "finder", *head, "F1 of places", "rms, pm"), rows)
    print("The networks by class:\n")
    table(("family", "scans", "class", *head), by_class)


def restorations(family: str) -> dict[str, Callable[[Scan, int], Scan]]:
    """What is audited: from a scan, and how many lines to make of one, to a scan."""

    def model(name: str) -> Callable[[Scan, int], Scan]:
        def restored(scan: Scan, factor: int) -> Scan:
            if factor == 1:
                return scanmend.restore(scan, model=name).mean
            return scanmend.upscale(scan, factor, model=name, mend=True).mean

        return restored

    def filtered(name: str) -> Callable[[Scan, int], Scan]:
        def restored(scan: Scan, factor: int) -> Scan:
            values = CLASSICAL[name](np.repeat(scan.values, factor, axis=0), factor)
            return Scan(values, (scan.pixel_nm[0] / factor, scan.pixel_nm[1]), scan.quantity)

        return restored

    named = ["surface", *(["si001h"] if family == "si001h" else [])]
    classical_ones = ("cubic spline", "median", "total variation", "non-local means")
    return {name: model(name) for name in named} | {n: filtered(n) for n in classical_ones}


def audit_restorations(count: int) -> None:
    print("## Restorations, audited\n")
    rows = []
    for family, (name, pixel_nm) in AUDITED.items():
        frame = {"rows": SIDE, "columns": SIDE, "width_nm": SIDE * pixel_nm}
        taken = list(scans(plan(name, **frame), count))
        tallies: dict[tuple[int, str], Tally] = {}
        for one in taken:
            scan, there = one.scan(), marks(one)
            seen = {(1, "the scan itself"): scan, (1, "the clean surface"): one.truth()}
            for factor in (1, 2, 4):
                few = scan if factor == 1 else sparse(scan, factor)[0]
                for title, restored in restorations(family).items():
                    if factor > 1 or title != "cubic spline":
                        seen[factor, title] = restored(few, factor)
            for key, image in seen.items():
                of = found(image, source=f"defects-{family}")
                tallies.setdefault(key, Tally()).add(audit.against_truth(of, there))
        for (factor, title), tally in sorted(tallies.items(), key=lambda item: item[0][0]):
            task = "restore" if factor == 1 else f"x{factor}"
            rows.append((family, task, title, *tally.audited()))
    for dose in DOSES:
        for title, tally in audited_counts(dose, count).items():
            rows.append((f"MoS2, {dose:,} e/Å²", "restore", title, *tally.audited()))
    head = ("family", "task", "made by", "hallucinated / 100 nm²", "omitted / 100 nm²", "F1")
    table(head, rows)


def audited_counts(dose: int, count: int) -> dict[str, Tally]:
    """Of dark-field images of MoS2, by who restored them; filters as strong as suits it best."""
    tallies: dict[str, Tally] = {}
    for seed in range(count):
        made = Microscope(parse("MoS2", SHEET | {"beam": {"dose_per_A2": dose}})).scan(seed, 0)
        scan = made.scan()
        seen = [(SITES[d.kind], (d.row, d.column)) for d in made.defects]
        there = shown(seen, scan.values.shape, made.pixel_nm)
        clean = made.truth_counts.astype(np.float64)
        methods = {"stem": Ours("stem")} | FILTERS_OF_COUNTS
        images = {title: best(method(scan, 1), clean) for title, method in methods.items()}
        whole = found(replace(scan, values=clean.astype(np.float32)))
        tallies.setdefault("the clean image", Tally()).add(audit.against_truth(whole, there))
        for title, values in images.items():
            image = replace(scan, values=values.astype(np.float32))
            try:
                of = found(image).knowing(whole.maps.classes)
            except ScanError:  # there is no lattice
                of = whole.without(image)
            tallies.setdefault(title, Tally()).add(audit.against_truth(of, there))
    return tallies


def real() -> None:
    print("## Missing dimers and adatoms of real scans, marked by eye\n")
    rows = []
    dimers = si001h("si001h_step")
    whole = scanmend.read(
        DATA / "stm/si111_7x7_defects.dat", size_nm=(CELLS_NM, CELLS_NM), unit="m"
    )
    part = slice(TOP, TOP + PART), slice(LEFT, LEFT + PART)
    everywhere = slice(0, 256), slice(0, 256)
    for scan, family, marked, (down, across) in (
        (dimers, "si001h", MISSING, part),
        (whole, "si111-7x7", ADATOMS, everywhere),
    ):
        true = np.array(marked) * scan.pixel_nm
        low, high = np.array([(s.start - 0.5, s.stop - 0.5) for s in (down, across)]).T
        for title in (f"defects-{family}", "difference-of-gaussians", "template-matching"):
            defects = found(scan, source=title).defects
            within = np.all((defects.places_px > low) & (defects.places_px < high), axis=1)
            # An adatom whose bond has reacted is as dark as one that is gone, where tips are blunt.
            gone = np.array([kind.startswith(("missing", "dark")) for kind in defects.kinds], bool)
            mine = defects.places_px[within & gone & ~defects.edge] * scan.pixel_nm
            for radius_nm in (0.3, 0.8):
                hits = len(best_pairs(mine, true, radius_nm)[0])
                rows.append(
                    (family, title, radius_nm, len(true), len(mine), hits, len(mine) - hits)
                )
    table(("scan", "finder", "within, nm", "marked", "found", "of these marked", "others"), rows)
    print("Columns of atoms of MoS2, as measured and restored:\n")
    measured = scanmend.read(DATA / "stem/mos2_haadf.dm3")
    restored = scanmend.restore(measured).mean
    before, after = found(measured), found(restored, measured=measured)
    odd = [
        (name, str(of.maps.made["judged"]), kind, str(number))
        for name, of in (("measured", before), ("restored", after))
        for kind, number in of.counts().items()
    ]
    table(("scan", "sites judged", "class", "odd sites"), odd)
    print("Kept, moved ...:", audit.against(after, before).summary()["features"])


def speed() -> None:
    print("## Time of 512 x 512 pixels\n")
    scan, rows = si001h("si001h_step"), []
    for title in ("defects-si001h", "difference-of-gaussians", "template-matching"):
        found(scan, source=title)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            found(scan, source=title)
            times.append(time.perf_counter() - start)
        rows.append((title, f"{min(times):.3f}", f"{np.median(times):.3f}"))
    table(("finder", "least, s", "median, s"), rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scans", type=int, default=40)
    parser.add_argument("--only", nargs="+", default=["finders", "audit", "real", "speed"])
    asked = parser.parse_args()
    heading("Defects found, and made up")
    if "finders" in asked.only:
        compare_finders(asked.scans)
    if "audit" in asked.only:
        audit_restorations(asked.scans)
    if "real" in asked.only:
        real()
    if "speed" in asked.only:
        speed()


if __name__ == "__main__":
    main()
