"""The scoreboard as Markdown: numbers with their intervals and counts, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .cells import WORSE, both, cell, said, table, times, worse
from .estimates import mean
from .pooled import standing
from .real import SI001H, SIDE, WITHIN
from .traces import SIDE as TRACE_SIDE

_SCORES = {"ssim": 3, "psnr_dB": 2, "psnr_fitted_dB": 2, "kid": 4}
"""Of the synthetic sets, with their digits."""

LEAST = 0.0005
"""What is worse by less would be rounded away."""

Board = Mapping[str, Any]


def sheet(board: Board) -> str:
    """All sections for which there is something."""
    head = f"# Scoreboard\n\n{board['date']}, scanmend {board['scanmend']}, {board['processor']}, "
    head += f"{board['cores']} core(s)\n\nIn brackets 95 % intervals, of a bootstrap over images "
    head += f"or squares; {WORSE}: worse than what went in, and the interval says so.\n"
    parts = [head, _synthetic(board), _finer(board), _mended(board), _unharmed(board)]
    parts += [_traces(board), _speed(board), _cost(board), _refused(board)]
    return "\n".join(part for part in parts if part)


def _synthetic(board: Board) -> str:
    text = ""
    for task in dict.fromkeys(r["task"] for r in board.get("synthetic", [])):
        records = [r for r in board["synthetic"] if r["task"] == task]
        rows = []
        for r in records:
            over, before = r["over_published"], r["over_input"]
            cells, apart = [], []
            for score, digits in _SCORES.items():
                bad = before[score]["low"] > 0 if score == "kid" else before[score]["high"] < 0
                bad &= r["kind"] != "input"
                cells.append(cell(r[score], digits) + worse(bad))
                best = score in over and over[score]["than"] == r["contender"]
                apart.append(cell(over[score], digits, "+") if score in over and not best else "")
            rows.append([r["contender"], r["kind"], *cells, cell(r["detail_dB"], 1, "+"), *apart])
        head = ["", "kind", "SSIM", "PSNR dB", "PSNR fitted dB", records[0]["kid_name"], "power dB"]
        head += ["Δ SSIM", "Δ PSNR dB", "Δ PSNR fitted dB", "Δ KID"]
        text += f"\n## Synthetic, {task}\n\n{table(head, rows)}\n"
        best = {s: v["than"] for r in records for s, v in r["over_published"].items()}
        text += (
            f"{records[0]['images']} images, for KID {records[0]['kid_images']} of them against "
        )
        text += f"the clean ones of the others (among themselves {records[0]['kid_floor']:.4f}). "
        text += (
            "Each image of a pair was brought to [-1, 1] by itself, and damage moves its range: "
        )
        text += "who keeps the scale of the scan, as all but the published methods do, cannot know "
        text += "that of the clean one; fitted PSNR is taken after the best gain and offset. "
        text += "Power: of fine detail over the truth's; blurred is below 0. "
        text += (
            f"Δ: over the published method that is best in it ({_best(best)}), image by image.\n"
            if best
            else "No model of a published method was given to compare with.\n"
        )
    return text


def _finer(board: Board) -> str:
    records = board.get("finer", [])
    rows, models = [], _models(records)
    groups = {"Si(001):H, both": SI001H, **{r["scan"]: (r["scan"],) for r in records}}
    for factor in sorted({r["factor"] for r in records}):
        for group, names in groups.items():
            there = [r for r in records if r["scan"] in names and r["factor"] == factor]
            if len({r["scan"] for r in there}) == len(names):
                rows.append([group, f"{factor}x", *_standings(there, models)])
    if not rows:
        return ""
    text = table(["scan", "lines", "squares", "best classical", *models], rows)
    return (
        f"\n## Real scans: lines in between\n\n{text}\nEvery second or fourth line went in. SSIM / "
        f"PSNR dB over squares of {SIDE}x{SIDE} pixels, and SSIM over the best classical method.\n"
    )


def _mended(board: Board) -> str:
    records, text = board.get("mended", []), ""
    models = _models(records)
    every = tuple(dict.fromkeys(r["scan"] for r in records))
    others = tuple(name for name in every if name not in SI001H)
    for title, names in (("Si(001):H", SI001H), ("the other scans", others)):
        rows = []
        for damage in dict.fromkeys(r["damage"] for r in records if r["scan"] in names):
            there = [r for r in records if r["scan"] in names and r["damage"] == damage]
            rows.append([damage, *_standings(there, models, before=True)])
        if rows:
            head = ["damage", "squares", "damaged", "best classical", *models]
            text += f"\n### {title[0].upper()}{title[1:]}\n\n{table(head, rows)}"
    if not text:
        return ""
    return (
        f"\n## Real scans: damage undone\n{text}\nSSIM / PSNR dB over squares of {SIDE}x{SIDE} "
        "pixels, and SSIM over the best classical method, which is chosen, with its strength, by "
        "the truth. *: not in the papers' list. Models that listen are told of a multiple tip "
        "where there is one. Of the other scans each model counts on those that it takes, and the "
        "classical methods beside it on the same; theirs in the table are of all.\n"
    )


def _standings(there: Sequence[Any], models: Sequence[str], before: bool = False) -> list[str]:
    """Squares, the input, the best classical method, and each model beside it."""
    classical = next(r["contender"] for r in there if r["kind"] == "classical")
    any_ = standing(there, classical)
    assert any_, "classical methods refuse nothing"
    best = standing(there, any_.best)
    assert best
    cells = [str(best.squares)]
    if before:
        one = standing(there, next(r["contender"] for r in there if r["kind"] == "input"))
        cells.append(both(one))
    cells.append(f"{both(best)} {best.best}")
    for model in models:
        found = standing(there, model)
        refused = any(r["contender"] == model and "refused" in r for r in there)
        if found is None:
            cells.append("refused" if refused else "")
            continue
        bad = found.over_input is not None and found.over_input.high < -LEAST
        fewer = f" of {found.squares}" if found.squares != best.squares else ""
        gain = cell(found.gain._asdict(), 3, "+")
        cells.append(f"{both(found)}{fewer}, {gain}{worse(bad)}")
    return cells


def _unharmed(board: Board) -> str:
    records = board.get("unharmed", [])
    if not records:
        return ""
    rows = []
    for r in records:
        if "refused" in r:
            rows.append([r["scan"], r["contender"], "refused", "", "", "", ""])
            continue
        cells = [cell(mean(np.array(r["ssim"]))._asdict(), 4), f"{min(r['ssim']):.4f}"]
        for kind in ("bright", "dark"):
            ratio = np.array(r[kind], float)
            if not ratio.size:
                cells += ["none"]
                continue
            low, middle, high = np.percentile(ratio, (5, 50, 95))
            share = np.mean(abs(ratio - 1) <= WITHIN)
            cells += [f"{ratio.size}: {middle:.3f} ({low:.2f} to {high:.2f}), {share:.0%}"]
        scan = r["scan"] if r["clean"] else f"{r['scan']} (not clean)"
        rows.append([scan, r["contender"], str(len(r["ssim"])), *cells])
    head = ["scan", "", "squares", "SSIM", "worst square", "bright features", "dark features"]
    return (
        f"\n## Real scans: clean in, clean out\n\n{table(head, rows)}\nFeatures: how many, their "
        f"height after over before (median, 5 to 95 %), and the share within {WITHIN:.0%}. Of "
        "scans that are not clean, a change may be a gain.\n"
    )


def _traces(board: Board) -> str:
    records = board.get("traces", [])
    if not records:
        return ""
    rows = []
    for r in records:
        if "refused" in r or "nothing" in r:
            what = "refused" if "refused" in r else "the raw traces do not agree"
            rows.append([r["scan"], r["contender"], what, "", "", "", "", ""])
            continue
        few = r["squares"] < 2
        cells = [cell(r[s], 3, "+", few) for s in ("both", "with_raw", "possible")]
        cells[1] += worse(r["with_raw"]["high"] < -LEAST and not few)
        counted = f"{r['squares']}, {r['rings']}"
        cells = [counted, cell(r["raw"], 3, "", few), *cells, cell(r["kept_dB"], 1, "+", few)]
        who = "as measured" if r["kind"] == "input" else r["contender"]
        rows.append([r["scan"], who, *cells])
    head = ["scan", "", "squares, rings", "raw, raw", "Δ restored, restored"]
    head += ["Δ restored, raw", "possible", "power dB"]
    return (
        f"\n## Real scans: agreement of two traces, each restored alone\n\n{table(head, rows)}\n"
        f"Fourier ring correlation over squares of {TRACE_SIDE}x{TRACE_SIDE} pixels, mean over the "
        "rings in which the raw traces agree (half a bit; van Heel & Schatz 2005), without the "
        "coefficients along the slow axis. Δ: less that of the raw traces. Restored, raw: the one "
        "to go by: noise that is taken away raises it, up to what is possible; a blur does not, "
        "and what is invented lowers it. Power: what is left over that of the signal, dB.\n"
    )


def _speed(board: Board) -> str:
    found = board.get("speed")
    if not found:
        return ""
    names = {"scan_s": "512x512", "call_s": "one call", "strip_s": "128x128"}
    names |= {"strip_call_s": "one call", "process_s": "file to file", "batch_per_s": "scans/s"}
    rows = []
    for title, r in sorted(found["each"].items(), key=lambda pair: pair[1].get("scan_s", np.inf)):
        cells = [f"{r[name]:.3g}" if name in r else "" for name in names]
        ratio = f"{r['ratio']:.1f}x" if "ratio" in r else "refused"
        run = r.get("runtime", "")
        rows.append([title, r["kind"], run, *cells, ratio, times(r.get("ratio_process"))])
    head = [
        "",
        "kind",
        "run by",
        *(f"{name}, s" if "/" not in name else name for name in names.values()),
    ]
    return (
        f"\n## Speed\n\n{table([*head, 'ratio', 'file ratio'], rows)}\nLeast of several, "
        f"{found['threads']} thread(s). Ratio: {found['papers']} the papers' way (25 patches, 4 "
        "calls each), in this run, over it; file ratio: over it from file to file, Python's start "
        "included. Scans/s: of 512x512, by one process.\n"
    )


def _cost(board: Board) -> str:
    if not board.get("cost"):
        return ""
    rows = [
        [
            r["contender"],
            *(said(r[k]) for k in ("parameters", "samples", "crop_px")),
            said(r["minutes"], ".0f"),
            r["machine"] or r["history"] or "not on its card",
        ]
        for r in board["cost"]
    ]
    head = ["", "parameters", "patches seen", "side px", "minutes", "machine, history"]
    return f"\n## Cost of training, by the cards\n\n{table(head, rows)}"


def _refused(board: Board) -> str:
    sections = ("finer", "mended", "unharmed", "traces")
    found = {
        f"- {r['contender']}, {r['scan']}: {r['refused']}"
        for section in sections
        for r in board.get(section, [])
        if "refused" in r
    }
    text = "\n## Refused\n\n" + "\n".join(sorted(found)) + "\n" if found else ""
    absent = ", ".join(board.get("absent", []))
    return text + (f"\nReal scans that were not there: {absent}.\n" if absent else "")


def _models(records: Sequence[Any]) -> list[str]:
    kinds = ("ours", "published")
    return list(dict.fromkeys(r["contender"] for r in records if r["kind"] in kinds))


def _best(best: Mapping[str, str]) -> str:
    names = {"ssim": "SSIM", "psnr_dB": "PSNR", "psnr_fitted_dB": "fitted PSNR", "kid": "KID"}
    return ", ".join(f"{names[s]}: {title}" for s, title in best.items())
