"""Defects of crystals seen column by column: sites where one is missing, too weak, too strong."""

from __future__ import annotations

import numpy as np

from ..errors import ScanError
from ..scan import Scan
from .maps import Maps
from .targets import maps


def atom_columns(scan: Scan, measured: Scan | None = None) -> Maps:
    """Maps of the odd sites that `atoms` finds in a dark-field image, by how surely they are odd.

    A class is what a site is and its sublattice, of which A is the brightest: "missing B",
    "weak A", "strong B". There is none of a sublattice of which the image can judge no site. The
    scores are those of `atoms.vacancies`, in standard deviations of noise and of the sublattice's
    heights.

    Args:
        scan: Measured or restored.
        measured: What it was restored from, whose noise decides how sure a site is; by default that
            is the noise left in the scan itself, which makes all surer.

    Raises:
        ScanError: Its pixels are too coarse to tell columns, or there is no lattice of them.
    """
    from ..atoms import record, vacancies  # which load Numba

    atoms = record.atoms(scan, measured=measured)
    if not atoms.sites.sublattices:
        raise ScanError(
            f"{len(atoms.found.columns)} columns of atoms make no lattice of which a site can be "
            "judged: restore the scan first, or choose a model or another method"
        )
    odd = atoms.sites.odd
    kinds = [f"{site.kind} {record.letter(site.sublattice)}" for site in odd]
    classes = tuple(
        f"{kind} {record.letter(sublattice)}"
        for sublattice in atoms.sites.sublattices
        for kind in ("missing", "weak", "strong")
    )
    # Narrower than a column: else a peak would hide a lower one at the next site.
    sigma_nm = float(np.median(atoms.found.columns.widths_nm)) / 2
    places = np.array([(site.row, site.column) for site in odd]).reshape(-1, 2)
    off = (places - np.rint(places)) * scan.pixel_nm / sigma_nm
    # So that the nearest pixel is as high as the score, and rounding takes nothing of that.
    heights = (1 + 1e-6) * np.array([site.score for site in odd]) * np.exp((off**2).sum(1) / 2)
    rows, columns = scan.values.shape
    planes = maps(kinds, places, classes, (rows, columns), scan.pixel_nm, sigma_nm, heights)
    return Maps(
        scan,
        planes,
        classes,
        sigma_nm,
        vacancies.SCORE,
        "standard deviations",
        {"method": "columns of atoms", "judged": atoms.sites.judged},
        radius_nm=min(grain.apart_nm for grain in atoms.grains) / 2,
    )
