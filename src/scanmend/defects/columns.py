"""Defects of crystals seen column by column: sites where one is missing, too weak, too strong."""

from __future__ import annotations

import numpy as np

from ..errors import ScanError
from ..scan import Scan
from .maps import Maps
from .targets import maps


def atom_columns(scan: Scan) -> Maps:
    """Maps of the odd sites that `atoms` finds in a dark-field image, by how surely they are odd.

    A class is what a site is and its sublattice, of which A is the brightest: "missing B",
    "weak A", "strong B". There is none of a sublattice of which the image can judge no site. The
    scores are those of `atoms.vacancies`, in standard deviations of noise and of the sublattice's
    heights.

    Args:
        scan: Measured or restored. Of a restored one the noise is that which is left in it.

    Raises:
        ScanError: Its pixels are too coarse to tell columns, or there is no lattice of them.
    """
    from ..atoms import record, vacancies  # which load Numba

    atoms = record.atoms(scan)
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
    width_nm = float(np.median(atoms.found.columns.widths_nm))
    places = np.array([(site.row, site.column) for site in odd]).reshape(-1, 2)
    scores = np.array([site.score for site in odd])
    shape = scan.values.shape
    planes = maps(kinds, places, classes, shape, scan.pixel_nm, width_nm, scores)  # type: ignore
    return Maps(
        scan,
        planes,
        classes,
        width_nm,
        vacancies.SCORE,
        "standard deviations",
        {"method": "columns of atoms", "judged": atoms.sites.judged},
    )
