"""Scores of squares of several scans together, beside the best classical method on the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanmend.evaluate.bootstrap import Estimate

from .estimates import decibels, gain_dB, mean

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """Where one stands on some squares.

    Attributes:
        contender: Its name.
        squares: How many there are, of the scans that it does not refuse.
        ssim, psnr_dB: Its scores.
        best: The classical method with the highest SSIM on the same squares.
        gain, gain_dB: SSIM and PSNR over that one's, square by square; over itself 0.
        over_input: SSIM over that of the input; None where there is none of as many lines.
    """

    contender: str
    squares: int
    ssim: Estimate
    psnr_dB: Estimate
    best: str
    gain: Estimate
    gain_dB: Estimate
    over_input: Estimate | None

    def table(self) -> dict[str, Any]:
        """Plain JSON values."""
        named = {k: v._asdict() for k, v in vars(self).items() if isinstance(v, Estimate)}
        return {**asdict(self), **named}


def standing(records: Sequence[Record], contender: str) -> Standing | None:
    """Of all records of one damage, or of one factor: on the scans that `contender` takes.

    None if it refuses all of them, or has no record.
    """
    own = {r["scan"]: r for r in records if r["contender"] == contender and "ssim" in r}
    if not own:
        return None
    kinds = {r["contender"]: r["kind"] for r in records}
    by = {(r["contender"], r["scan"]): r for r in records if r["scan"] in own}

    def all_of(name: str, score: str) -> NDArray[np.floating]:
        return np.concatenate([np.array(by[name, scan][score], float) for scan in own])

    classical = [name for name, kind in kinds.items() if kind == "classical"]
    best = max(classical, key=lambda name: all_of(name, "ssim").mean())
    ssim, psnr_dB = all_of(contender, "ssim"), all_of(contender, "psnr_dB")
    before = [name for name, kind in kinds.items() if kind == "input"]
    return Standing(
        contender,
        len(ssim),
        mean(ssim),
        decibels(psnr_dB),
        best,
        mean(ssim - all_of(best, "ssim")),
        gain_dB(psnr_dB, all_of(best, "psnr_dB")),
        mean(ssim - all_of(before[0], "ssim")) if before else None,
    )
