"""How well columns of atoms are found: in counts as they come, and where there is no noise.

    PYTHONPATH=src python benchmarks/atoms.py

MoS2 of 0.0134 nm/pixel with 0.3 sulphur vacancies per nm2, at doses in e/Å2; one sheet of 512 x 512
pixels and one ribbon in vacuum for each. What a restoration must beat.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
from scipy.spatial import KDTree
from setting import heading, table

from scanmend.atoms import record, truth
from scanmend.scan import Scan
from scanmend.stem.experiment import parse
from scanmend.stem.microscope import Micrograph, Microscope

DOSES = 100, 300, 1000, 3000, 10_000, 30_000, 100_000
PIXEL_NM = 0.0134
SEEN_NM = 0.06  # how far off a vacancy may be told


def one(dose: float, shape: str, side: int = 512) -> Micrograph:
    plan = {
        "microscope": "stem",
        "crystal": "mos2",
        "frame": {"rows": side, "columns": side, "pixel_nm": PIXEL_NM},
        "beam": {"dose_per_A2": dose, "source_nm": 0.07},
        "sample": {"shape": shape, "width_nm": 2.5, "angle_deg": 11.0},
        "defects_per_nm2": {"chalcogen vacancy": 0.3},
    }
    return Microscope(parse("atoms", plan)).scan(3, 0)


def row(label: str, scan: Scan, made: Micrograph, places_nm: np.ndarray) -> tuple[str, ...]:
    start = time.perf_counter()
    found = record.atoms(scan)
    seconds = time.perf_counter() - start
    known = truth.merged(places_nm, made.atoms.elements)
    agree = truth.compare(found.found.columns, known, scan.size_nm)
    defects = KDTree([(d.row, d.column) for d in made.defects])
    odd = [(o.row, o.column) for o in found.sites.odd if o.kind in ("weak", "missing")]
    near = defects.query(odd)[0] * PIXEL_NM < SEEN_NM if odd else np.zeros(0, bool)
    rms, median = (
        f"{v:.2g}" if v is not None and v < 1 else f"{v:.1f}" if v is not None else ""
        for v in (agree.rms_pm, agree.median_pm)
    )
    grains = Counter(len(grain.heights) for grain in found.grains)
    return (
        *(label, str(agree.true), str(agree.missed), str(agree.invented)),
        *(f"{agree.in_vacuum} in {agree.vacuum_nm2:.0f}", rms, median),
        *(f"{near.sum()} of {len(made.defects)}", str((~near).sum())),
        *(" + ".join(f"{n} × {kinds}" for kinds, n in grains.items()) or "none", f"{seconds:.1f}"),
    )


def rows() -> Iterator[tuple[str, ...]]:
    for shape in ("sheet", "wire"):
        made = one(DOSES[-1], shape)
        for dose in DOSES:
            made = one(dose, shape)
            middle = (np.array(made.counts.shape) - 1) / 2
            places = (made.atoms_px - middle)[:, ::-1] * PIXEL_NM
            yield row(f"{shape}, {dose}", made.scan(), made, places)
        yield row(f"{shape}, no noise", made.truth(), made, made.atoms.positions_nm[:, :2])


if __name__ == "__main__":
    record.atoms(one(10_000, "sheet", 128).scan())  # compiles
    heading("Atoms found in simulated MoS2, unrestored")
    head = ("dose", "true", "missed", "invented", "in vacuum, nm2", "rms pm", "median pm")
    head = (*head, "vacancies", "false ones", "lattices × sublattices", "s")
    table(head, rows())
    made = one(10_000, "sheet", 1024)
    start = time.process_time()
    found = record.atoms(made.scan())
    print(f"1024 x 1024, {len(found.found.columns)} columns: {time.process_time() - start:.1f} s")
