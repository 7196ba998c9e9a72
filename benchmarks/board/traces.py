"""Two traces of one place, each restored alone: do they agree better, and is it surface?

Of each ring rho, the correlation of the raw traces, is the share of the signal in their power.
Three numbers follow, means over the rings in which the raw traces agree (above half a bit):

- restored with restored: rises if noise is taken away, and if the same is drawn on both. A blur
  leaves it, for a ring's correlation has no scale;
- restored with the other trace, raw: rises to sqrt(rho) at most, if noise is taken away; stays
  under a blur; falls if anything is drawn. This is the number to go by;
- the power that is kept, over that of the signal (rho): 0 dB if the signal is what is left, below
  if it is blurred, above if noise stays, or something was added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanmend.evaluate.agreement import (
    frequencies,
    half_bit,
    independent,
    moved,
    offset,
    rings,
)
from scanmend.scan import Scan

from .contenders import Contender
from .estimates import drawings, interval_of
from .kept import Kept
from .real import PLACES, asked, identity, read, squares

SIDE = 96
"""Of a square, pixels: hysteresis leaves less than two of 128 in a common scan of 256."""


@dataclass(frozen=True)
class Pair:
    """Two traces of a place.

    Attributes:
        first, second: What `scanmend.read` is told of each.
        most_px: How far they may lie apart, rows and columns, pixels.
        local_px: And a square farther, or less far, than all.
    """

    first: Mapping[str, str]
    second: Mapping[str, str]
    most_px: tuple[float, float] = (2.0, 32.0)
    local_px: float = 1.5


_BOTH_WAYS = Pair({"direction": "forward"}, {"direction": "backward"})
PAIRS = {
    # Its backward traces were taken at another bias and show other states: upward and downward
    # scans of one direction show the same ones, minutes and some drift apart.
    "matrix": Pair({"channel": "Z up"}, {"channel": "Z down"}, (24.0, 24.0), 4.0),
    "sxm, lattice": _BOTH_WAYS,
    "sxm, moire": _BOTH_WAYS,
    "createc, afm": _BOTH_WAYS,
    "createc, island": _BOTH_WAYS,
}

LEAST_RING = 3
"""Nearer to the middle, the window has smeared all rings into what is left out."""

Values = NDArray[np.floating]
Tell = Callable[[str], None]


def pairs(folder: Path) -> dict[str, tuple[Scan, Scan]]:
    """The traces of PAIRS that are in a folder, levelled."""
    there = {name: pair for name, pair in PAIRS.items() if (folder / PLACES[name].file).is_file()}
    return {
        name: (read(folder, PLACES[name], **pair.first), read(folder, PLACES[name], **pair.second))
        for name, pair in there.items()
    }


def agreement(
    of: Sequence[Contender], real: Mapping[str, tuple[Scan, Scan]], kept: Kept, tell: Tell
) -> list[dict[str, Any]]:
    """A record for each contender on each pair of traces, by names of PAIRS."""
    records = []
    for name, pair in real.items():
        for one in of:
            if not one.does(1):
                continue
            tell(f"{name}, both traces: {one.title}")
            what = {"traces": [identity(scan) for scan in pair], "of": one.about}
            found = kept(what, lambda: asked(lambda: _restored(one, pair, PAIRS[name])))  # noqa: B023
            record = {"scan": name, "contender": one.title, "kind": one.kind, **found.facts}
            if found.arrays:
                record |= summary(found.arrays, pair[0].pixel_nm[1])
            records.append(record)
    return records


def correlated(
    raw: tuple[Values, Values], restored: tuple[Values, Values], how: Pair = _BOTH_WAYS
) -> dict[str, Values]:
    """Rings of raw and restored traces, each (squares, rings); aligned by the raw ones alone."""
    a, b = raw
    by = offset(a, b, how.most_px)
    near = moved(b, by)
    out: dict[str, list[Values]] = {}
    for square in _held(a.shape, by, how.local_px):
        # Hysteresis is not the same all over a line: each square is laid upon the other anew.
        local = offset(a[square], near[square], (how.local_px, how.local_px))
        whole = by[0] + local[0], by[1] + local[1]
        one, other = a[square], moved(b, whole)[square]
        ours, others = restored[0][square], moved(restored[1], whole)[square]
        raws, both = rings(one, other), rings(ours, others)
        crossed = [rings(ours, other), rings(one, others)]
        found = {"raw": raws.cross, "first": raws.first, "second": raws.second}
        found |= {"both": both.cross, "our_first": both.first, "our_second": both.second}
        found |= {"with_raw": crossed[0].cross, "raw_with": crossed[1].cross}
        # Each square has as much to say: one with a step or a crash in it would drown the others.
        scale = np.sqrt(raws.first.sum() * raws.second.sum()) or 1.0
        for key, values in found.items():
            out.setdefault(key, []).append(values / scale)
    arrays = {key: np.stack(values) for key, values in out.items()}
    return arrays | {"moved_px": np.array(by)}


def summary(found: Mapping[str, Values], pixel_nm: float) -> dict[str, Any]:
    """What the rings say, each number with its interval over the squares.

    `raw`, `both` and `with_raw` are mean correlations of the rings where the raw traces agree, the
    latter two less `raw`; `possible` is by how much `with_raw` may rise at most; `kept_dB` the
    power over the signal's. Without such rings there is nothing but `nothing`.
    """
    sums = {key: values for key, values in found.items() if key != "moved_px"}
    count = len(sums["raw"])
    whole = {key: values.mean(axis=0) for key, values in sums.items()}
    bound = half_bit(count * independent(SIDE))
    agreeing = _above(_raw(whole), bound)
    facts: dict[str, Any] = {
        "squares": count,
        "moved_px": np.asarray(found["moved_px"]).round(2).tolist(),
        "rings": len(agreeing),
        "curves": {
            "frequency_per_nm": (frequencies(SIDE) / pixel_nm).round(4).tolist(),
            "half_bit": bound.round(4).tolist(),
            **{n: f(whole).round(4).tolist() for n, f in _CURVES.items()},
        },
    }
    if not len(agreeing):
        return facts | {"nothing": "the raw traces agree in no ring: there is no signal to keep"}
    facts["raw_nm"] = _resolution(whole, _raw, bound, pixel_nm)
    facts["both_nm"] = _resolution(whole, _both, bound, pixel_nm)
    drawn = {key: drawings(count) @ values for key, values in sums.items()}
    for name, score in _SCORES.items():
        value = float(score(whole, agreeing))
        facts[name] = interval_of(value, np.asarray(score(drawn, agreeing)))._asdict()
    return facts


def _restored(one: Contender, pair: tuple[Scan, Scan], how: Pair) -> dict[str, Values]:
    first, second = pair
    return correlated((first.values, second.values), (one.once(first), one.once(second)), how)


def _raw(s: Mapping[str, Values]) -> Values:
    return _ratio(s["raw"], s["first"], s["second"])


def _both(s: Mapping[str, Values]) -> Values:
    return _ratio(s["both"], s["our_first"], s["our_second"])


def _with_raw(s: Mapping[str, Values]) -> Values:
    one = _ratio(s["with_raw"], s["our_first"], s["second"])
    return (one + _ratio(s["raw_with"], s["first"], s["our_second"])) / 2


def _power(s: Mapping[str, Values]) -> Values:
    return np.sqrt(_ratio(s["our_first"] * s["our_second"], s["first"] ** 2, s["second"] ** 2))


def _ratio(cross: Values, first: Values, second: Values) -> Values:
    power = np.sqrt(first * second)
    return np.divide(cross, power, out=np.zeros_like(cross), where=power > 0)


_CURVES = {"raw": _raw, "both": _both, "with_raw": _with_raw}


def _gain(of: Callable[[Mapping[str, Values]], Values]) -> Callable[..., Values]:
    return lambda s, at: (of(s) - _raw(s))[..., at].mean(axis=-1)


def _kept_dB(s: Mapping[str, Values], at: Values) -> Values:
    """Mean over rings of the power that is kept, over the share of the signal, dB."""
    share = np.maximum(_raw(s)[..., at], 1e-3)
    return 10 * np.log10(_power(s)[..., at] / share).mean(axis=-1)


_SCORES: dict[str, Callable[..., Values]] = {
    "raw": lambda s, at: _raw(s)[..., at].mean(axis=-1),
    "both": _gain(_both),
    "with_raw": _gain(_with_raw),
    "possible": _gain(lambda s: np.sqrt(np.maximum(_raw(s), 0))),
    "kept_dB": _kept_dB,
}


def _above(curve: Values, bound: Values) -> NDArray[np.intp]:
    """The rings up to the first two in a row that are not above the bound."""
    low = curve[LEAST_RING - 1 :] <= bound[LEAST_RING - 1 :]
    ends = np.flatnonzero(low[:-1] & low[1:])
    end = ends[0] if len(ends) else len(low)
    return LEAST_RING - 1 + np.arange(end)


def _resolution(
    s: Mapping[str, Values], of: Callable[..., Values], bound: Values, pixel_nm: float
) -> float | None:
    """Period of the last ring that is above the bound, nm; None if the first is not."""
    above = _above(of(s), bound)
    return float(pixel_nm / frequencies(SIDE)[above[-1]]) if len(above) else None


def _held(
    shape: tuple[int, ...], by: tuple[float, float], local_px: float
) -> list[tuple[slice, slice]]:
    """The squares in what both traces have seen."""
    ends = [[int(np.ceil(max(0, move) + local_px)) for move in (m, -m)] for m in by]
    (top, bottom), (left, right) = ends
    inner = squares((shape[0] - top - bottom, shape[1] - left - right), SIDE)
    return [
        (slice(r.start + top, r.stop + top), slice(c.start + left, c.stop + left)) for r, c in inner
    ]
