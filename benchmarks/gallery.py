"""Draws the gallery: each material as an ideal microscope shows it, and as worse ones do.

Run: python benchmarks/gallery.py [--only NAME]... [--real FOLDER] [--folder FOLDER]

A row is made of a preset, changed by tables; its pictures show the same piece of surface, but for
the last, since a double tip meets a larger one.
`--real` draws sheets with real scans of the same kind beside them, into that folder: they are not
ours to pass on, and not part of the gallery.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from setting import DATA, SI001H, si001h

import scanmend
from scanmend.figures import beside
from scanmend.scan import Scan
from scanmend.stm import experiment
from scanmend.stm.microscope import Microscope

FOLDER = Path(__file__).parents[1] / "docs/figures/gallery"
Tables = Mapping[str, Mapping[str, Any]]

FINE = {"rows": 128, "columns": 128}

ROWS: dict[str, tuple[str, int, Tables]] = {
    "graphene": (
        "graphene",
        0,
        {
            "frame": {"width_nm": 3, **FINE},
            "tunnelling": {"bias_V": -0.4},
            "defects_per_nm2": {"vacancy": 0, "divacancy": 0, "nitrogen": 0},
        },
    ),
    "graphene-vacancy": (
        "graphene",
        0,
        {"frame": {"width_nm": 6, **FINE}, "tunnelling": {"bias_V": -0.4}},
    ),
    "mos2": ("mos2", 0, {"frame": {"width_nm": 6, **FINE}}),
    "wse2": ("wse2", 0, {"frame": {"width_nm": 6, **FINE}}),
    "si001h": ("si001h", 0, {"frame": {"width_nm": 25}}),
    "si001h-100nm": ("si001h-100nm", 0, {}),
    "si111-7x7-filled": (
        "si111-7x7",
        0,
        {"frame": {"width_nm": 14}, "tunnelling": {"bias_V": -1.5}},
    ),
    "si111-7x7-empty": (
        "si111-7x7",
        0,
        {"frame": {"width_nm": 14}, "tunnelling": {"bias_V": 1.5}},
    ),
    "au111-22x3": (
        "au111-22x3",
        0,
        {"frame": {"width_nm": 30}, "defects_per_nm2": {"adatom": 0.005, "adsorbate": 0.02}},
    ),
    "cu111": ("cu111", 0, {"frame": {"width_nm": 16}, "tunnelling": {"bias_V": -0.05}}),
    "ag111": ("ag111", 0, {"frame": {"width_nm": 16}, "tunnelling": {"bias_V": 0.05}}),
}
"""Of each picture: the preset, the seed, and what differs from the preset."""

APEX: Tables = {"tip": {"double_nm": 0.6, "double_angle_deg": 30, "double_higher_nm": 1.0}}
"""A second apex, too high to carry a current: all panels need surfaces of one size, to be one."""

SPOILT: dict[str, Tables] = {
    "loop too slow": {"gains": {"proportional_nm": 0.0, "integral_nm": 0.0001}},
    "loop too fast, linear": {
        "electronics": {"amplifier": "linear"},
        "gains": {"proportional_nm": 0.004, "integral_nm": 0.0009},
        "noise": {"shot_bandwidth_Hz": 5000, "amplifier_nA": 0.003, "flicker": 0.03},
    },
    "hysteresis and creep": {"motion": {"lag": 0.3, "lag_length_nm": 2.0, "creep_nm": 0.05}},
    "double tip": {"tip": {"double_higher_nm": 0.02}},
}
"""Of each panel: what is worse than in the preset. Lengths are those for a frame of 6 nm."""

REAL = {
    "graphene": ("graphite", "stm-nanosurf-nid.nid"),
    "wse2": ("unknown lattice", "STM_nanonis_generic_4_5.sxm"),
    "si001h": ("real, a quarter of it", SI001H[0]),
    "si001h-100nm": ("real", SI001H[0]),
    "si111-7x7-filled": ("real", "si111_7x7_defects.dat"),
    "si111-7x7-empty": ("real", "si111_7x7_defects.dat"),
}


def changed(table: Mapping[str, Any], by: Tables) -> dict[str, Any]:
    """The contents of an experiment file with other values in some of its tables."""
    return dict(table) | {name: {**table.get(name, {}), **values} for name, values in by.items()}


def taken(preset: str, seed: int, by: Tables) -> tuple[Scan, Scan]:
    """What an ideal microscope shows, and the first scan of the one that the preset describes."""
    table = changed(experiment.load(preset).table(), by) | {"scans_per_session": 1}
    made = Microscope(experiment.parse(preset, table)).scan(seed, 0)
    if made.fault:
        print(f"{preset}: {made.fault}")
    return made.truth(), made.scan()


def row(name: str) -> dict[str, Scan]:
    """The panels of a picture, by their titles."""
    preset, seed, by = ROWS[name]
    by = changed(by, APEX)
    ideal, good = taken(preset, seed, by)
    panels = {"ideal": ideal, "good": good}
    for title, worse in SPOILT.items():
        panels[title] = taken(preset, seed, scaled(changed(by, worse), good.size_nm[1] / 6))[1]
    return panels


def scaled(by: Tables, factor: float) -> Tables:
    """With the lengths of `SPOILT` as for a frame that is `factor` times as wide."""
    lengths = {"lag_length_nm", "creep_nm"}
    return {
        table: {key: factor * v if key in lengths else v for key, v in values.items()}
        for table, values in by.items()
    }


def real(name: str) -> dict[str, Scan]:
    """A real scan of the same kind, by its title, if there is one."""
    if name not in REAL:
        return {}
    title, file = REAL[name]
    if file not in SI001H:
        # The 7x7 file has no scale; its cells say about 20 nm.
        scale = {"size_nm": (20, 20), "unit": "m"} if file.startswith("si111") else {}
        return {title: scanmend.read(DATA / "stm" / file, **scale)}
    scan = si001h(file)
    return {title: scan if "100nm" in name else scan.crop(slice(0, 128), slice(0, 128))}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--only", action="append", choices=ROWS, metavar="NAME")
    options.add_argument("--folder", type=Path, default=FOLDER)
    options.add_argument("--real", type=Path, metavar="FOLDER")
    given = options.parse_args()
    for folder in filter(None, (given.folder, given.real)):
        folder.mkdir(parents=True, exist_ok=True)
    for name in given.only or ROWS:
        panels = row(name)
        small = {"dpi": 100, "pil_kwargs": {"quality": 75, "optimize": True}}
        beside(panels, panel_in=2.4).savefig(given.folder / f"{name}.jpg", **small)
        for title, scan in panels.items():
            corrugation = np.ptp(np.percentile(scanmend.level.plane(scan)[0].values, (1, 99)))
            print(f"{name}, {title}: {1e3 * corrugation:.0f} pm, mean {scan.values.mean():.3f} nm")
        if given.real and (scans := real(name)):
            beside(scans | panels).savefig(given.real / f"{name}.png")


if __name__ == "__main__":
    main()
