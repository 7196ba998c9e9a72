"""How well the lattice of MoS2 tells the pixel pitch: simulated scans, each with a wrong header.

    python benchmarks/stem_calibration.py [--count 10]

Scans have vacancies, carbon, jitter, a late flyback and a drift of 1 nm/min along each axis (rms),
which makes a scan's own pitch and shear: those are the truth. Printed are the rms errors, how many
of the errors lie within two of the standard deviations that are told, and the scans whose lattice
was not found.
"""

from __future__ import annotations

import argparse
import platform

import numpy as np

from scanmend.errors import ScanError
from scanmend.stem.calibration import calibrate
from scanmend.stem.crystals import MOS2
from scanmend.stem.experiment import Experiment
from scanmend.stem.microscope import Microscope

DOSES = (30, 100, 300, 1000, 3000, 10_000, 30_000)
FRAMES = ((256, 0.02), (512, 0.02), (1024, 0.0134))
OFF = 0.1  # by which a header is wrong, at most


def experiment(
    pixels: int, pixel_nm: float, dose_per_A2: float, rng: np.random.Generator
) -> Experiment:
    """A scan as a microscope takes it."""
    drift_x, drift_y = rng.normal(size=2)
    return Experiment(
        "mos2",
        crystal="mos2",
        tables={
            "frame": {"rows": pixels, "columns": pixels, "pixel_nm": pixel_nm},
            "beam": {"dose_per_A2": dose_per_A2},
            "sample": {"angle_deg": rng.uniform(0, 360), "contamination_nm": 0.3},
            "motion": {
                "drift_x_nm_per_min": drift_x,
                "drift_y_nm_per_min": drift_y,
                "jitter_nm": 0.004,
                "line_nm": 0.004,
                "flyback_nm": 0.05,
            },
        },
        defects_per_nm2={"chalcogen vacancy": 0.4, "metal vacancy": 0.01},
    )


def truth(drawn: dict) -> tuple[float, float, float]:
    """Pitch along columns and rows, nm, and shear, degrees, of the scan as drift made it."""
    frame, motion = drawn["frame"], drawn["motion"]
    pixel_min = frame["dwell_us"] / 6e7
    line_min = frame["columns"] * pixel_min + frame["flyback_us"] / 6e7
    drift = np.array((motion["drift_x_nm_per_min"], motion["drift_y_nm_per_min"]))
    along = np.array((frame["pixel_nm"], 0)) + drift * pixel_min
    down = np.array((0, frame["pixel_nm"])) + drift * line_min
    x = np.hypot(*along)
    y = (along[0] * down[1] - along[1] * down[0]) / x
    return x, y, np.degrees(np.arctan2(down @ along / x, y))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10)
    count = parser.parse_args().count
    print(f"{platform.processor() or platform.machine()}, {count} scans a row")
    print(
        "| frame | electrons / Å² | columns, % | rows, % | shear, ° | within 2 sigma | not found |"
    )
    print("|---|---|---|---|---|---|---|")
    for pixels, pixel_nm in FRAMES:
        for dose in DOSES:
            errors, told, lost = [], [], 0
            for number in range(count):
                rng = np.random.default_rng(number)
                seen = Microscope(experiment(pixels, pixel_nm, dose, rng)).scan(1, number)
                x, y, shear = truth(dict(seen.parameters))
                wrong = pixel_nm * (1 + OFF * rng.uniform(-1, 1))
                try:
                    found = calibrate(seen.counts, MOS2, (wrong, wrong))
                except ScanError:
                    lost += 1
                    continue
                rows, columns = found.pixel_nm
                errors.append(
                    (100 * (columns / x - 1), 100 * (rows / y - 1), found.shear_deg - shear)
                )
                of_rows, of_columns = found.sigma_nm
                told.append((100 * of_columns / x, 100 * of_rows / y, found.sigma_deg))
            cells = [f"{pixels} px, {pixel_nm:g} nm", f"{dose}", *["-"] * 4, f"{lost}"]
            if errors:
                rms = np.sqrt(np.mean(np.square(errors), axis=0))
                within = np.mean(np.abs(errors) < 2 * np.array(told))
                cells[2:6] = [*(f"{one:.3f}" for one in rms), f"{within:.0%}"]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
