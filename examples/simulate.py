"""Takes two scans of graphene with a simulated microscope, and finds its defects again."""

from __future__ import annotations

import scanmend

for scan in scanmend.simulate("graphene", count=2, seed=1):
    for defect in scan.defects:
        row, column = defect.trace
        print(f"scan {scan.number}: {defect.kind} at row {row:.1f}, column {column:.1f}")
    scanmend.write(scan.scan("forward"), f"graphene_{scan.number}.gwy")
