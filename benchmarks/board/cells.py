"""Numbers as text, and rows of text as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .pooled import Standing

WORSE = "▼"


def cell(e: Mapping[str, float], digits: int, sign: str = "", alone: bool = False) -> str:
    """An estimate with its interval, unless it stands alone."""
    value, low, high = (f"{e[k]:{sign}.{digits}f}" for k in ("value", "low", "high"))
    return value if alone else f"{value} ({low} to {high})"


def worse(it_is: bool) -> str:
    """The mark, where it is."""
    return f" {WORSE}" if it_is else ""


def both(found: Standing) -> str:
    """SSIM and PSNR."""
    return f"{found.ssim.value:.3f} / {found.psnr_dB.value:.1f}"


def times(ratio: float | None) -> str:
    """How many times as quick."""
    return "" if ratio is None else f"{ratio:.1f}x"


def said(value: Any, how: str = "") -> str:
    """What a card says, or that it says nothing."""
    return "?" if value is None else f"{value:{how}}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"
