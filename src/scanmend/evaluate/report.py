"""An evaluation as one page that stands alone, with its tables and figures as files beside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ..charts import FRAME, SURFACE, Interval, compared, intervals, violins
from ..errors import ReadError, WriteError
from ..io.write import whole
from . import published
from .columns import FINER, RESTORE, TASKS, score_name
from .estimates import INPUT, Estimates, Run
from .results import DEGRADED, Results
from .summary import DOING, summary
from .tables import tables, title
from .typeset import Column, Table, as_csv, as_html, as_latex, as_markdown

SHOWN = 2
"""Images of each set in the figures."""

_LEVELS = "All of a row have the levels of its {}; below each, magnified, is where the degraded "
_LEVELS += "image differs most from the {}."


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: Of its file, without the suffix.
        caption: What it shows.
        alt: What one would read instead of it.
        figure: The figure.
    """

    name: str
    caption: str
    alt: str
    figure: Figure


def write(results: Results, folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Writes `report.html`, `tables.csv`, `.tex` and `.md`, and each figure as PNG.

    Every file is there whole or not at all; if one of them exists, none is written.

    Returns:
        The paths, report.html first.

    Raises:
        ReadError: The evaluation holds nothing to report.
        WriteError: A file exists and `overwrite` is off, or cannot be written.
    """
    of = Estimates(results)
    found = tables(of)
    if not found:
        raise ReadError("the evaluation holds no scores, distances or timings to report yet")
    shown = pictures(of)
    names = ["report.html", "tables.csv", "tables.tex", "tables.md"]
    names += [f"{picture.name}.png" for picture in shown]
    there = [name for name in names if (folder / name).exists()]
    if there and not overwrite:
        raise WriteError(
            f"{folder} holds {', '.join(there)} already: name another folder, or allow overwriting"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder} cannot be made: {error.strerror or error}") from error
    drawn = {picture: _png(picture.figure) for picture in shown}
    latex = "% \\usepackage{booktabs,graphicx}\n" + "\n".join(map(as_latex, found))
    markdown = "\n".join(map(as_markdown, found))
    texts = [page(of, found, drawn), as_csv(found), latex, markdown]
    contents = [*(text.encode() for text in texts), *drawn.values()]
    paths = {folder / name: content for name, content in zip(names, contents, strict=True)}
    for path, content in paths.items():
        with whole(path, overwrite=overwrite) as unfinished:
            unfinished.write_bytes(content)
    return list(paths)


def page(of: Estimates, found: list[Table], drawn: Mapping[Picture, bytes]) -> str:
    """The HTML; nothing in it is fetched from anywhere."""
    sentences = "".join(
        f"<h3>{escape(head)}</h3>\n<ul>\n{''.join(f'<li>{escape(s)}</li>' for s in of_head)}</ul>\n"
        for head, of_head in summary(of).items()
    )
    figures = "".join(_figure(picture, png) for picture, png in drawn.items())
    sections = {
        "summary": (
            "Summary",
            f"<p>In brackets: 95 % intervals, of a bootstrap over images.</p>\n{sentences}",
        ),
        "figures": ("Figures", figures),
        "tables": ("Tables", "".join(map(as_html, found))),
        "what": ("What was evaluated", _evaluated(of)),
        "published": ("The published numbers", _PUBLISHED),
    }
    sections = {name: section for name, section in sections.items() if section[1]}
    template = resources.files("scanmend.evaluate") / "report.html"
    return Template(template.read_text(encoding="utf-8")).substitute(
        title="Evaluation",
        facts=escape(_facts(of.results)),
        contents="".join(f'<li><a href="#{n}">{t}</a></li>' for n, (t, _) in sections.items()),
        body="".join(
            f'<section aria-labelledby="{n}">\n<h2 id="{n}">{t}</h2>\n{text}</section>\n'
            for n, (t, text) in sections.items()
        ),
    )


def pictures(of: Estimates) -> list[Picture]:
    """Violins (the paper's Figures 4 and 6), images (2, 3 and 5), and kinds of damage."""
    found: list[Picture] = []
    for scores, name in ((RESTORE, "restoration"), (FINER, "super-resolution")):
        panels: dict[str, dict[str, np.ndarray]] = {}
        means: dict[str, dict[str, dict[str, Interval]]] = {}
        for task, score in scores:
            label = score_name(task, score)
            for model, run in chosen(of, task).items():
                values = of.values(run, score, task, "test")
                if values is not None:
                    panels.setdefault(label, {})[model] = values
                for kind in of.kinds(task):
                    cell = of.mean([run], score, task, f"test-{kind}")
                    if cell.value is not None and cell.low is not None and cell.high is not None:
                        of_kind = means.setdefault(label, {}).setdefault(
                            published.KINDS.get(kind, kind), {}
                        )
                        of_kind[model] = cell.value, cell.low, cell.high
        if panels:
            found.append(_violins(f"violins-{name}", panels))
        if means:
            found.append(_kinds(f"damage-{name}", means))
    for task in TASKS:
        found += [p for on in ("test", "real") if (p := _images(of, task, on))]
    return found


def chosen(of: Estimates, task: str) -> dict[str, Run]:
    """What the figures show, by title: the input, and the best of each family.

    Families are what is no model, the paper's autoencoder, its small generative models, its large
    ones, and other models.
    """
    best = of.best(task)

    def family(run: Run) -> str:
        name = of.paper(run[0])
        if name:
            return name if name == "Autoencoder" else name.split()[1]
        return "model" if str(of.about(run).get("kind", "")).startswith("model") else "other"

    found: dict[str, Run] = {}
    for wanted in ("other", "Autoencoder", "Small", "Large", "model"):
        runs = [run for run in best.values() if family(run) == wanted]
        if runs:
            run = max(runs, key=lambda r: of.mean([r], "ssim", task, "test").value or -np.inf)
            found[title(run)] = run
    return {DEGRADED: INPUT} | found


def _violins(name: str, panels: Mapping[str, Mapping[str, np.ndarray]]) -> Picture:
    caption = (
        "Scores of all images of the synthetic test set. Dot: mean; bar: quartiles; line: median. "
        "Shown are the input and, as far as they were evaluated, the best classical method, "
        "the autoencoder, the best small and large generative model, and the best other model."
    )
    middles = "; ".join(
        f"{label}: "
        + ", ".join(f"{model} {np.median(v[np.isfinite(v)]):.3g}" for model, v in of.items())
        for label, of in panels.items()
    )
    return Picture(name, caption, f"Violin plots. Medians: {middles}.", violins(panels, [DEGRADED]))


def _kinds(name: str, panels: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> Picture:
    caption = "Mean scores where there is only one kind of damage, with 95 % intervals."
    alt = "; ".join(
        f"{label}, {kind}: " + ", ".join(f"{model} {value[0]:.3g}" for model, value in of.items())
        for label, groups in panels.items()
        for kind, of in groups.items()
    )
    return Picture(name, caption, f"Dot plot. {alt}.", intervals(panels, [DEGRADED]))


def _images(of: Estimates, task: str, on: str) -> Picture | None:
    runs = {model: run for model, run in chosen(of, task).items() if run != INPUT}
    parts = {model: part for model, run in runs.items() if (part := of.part(run, task, on))}
    shown = {model: part.panels for model, part in parts.items() if "restored" in part.panels}
    if not shown:
        return None
    first = next(iter(shown.values()))
    rows = {}
    for i in range(min(SHOWN, *(len(panels["restored"]) for panels in shown.values()))):
        images = {DEGRADED: first["degraded"][i]}
        images |= {model: panels["restored"][i] for model, panels in shown.items()}
        images |= {"clean": first["clean"][i]} if "clean" in first else {}
        rows[f"image {i + 1}"] = {k: v.astype(np.float32) for k, v in images.items()}
    true = "clean" in first
    of_set = "the synthetic test set" if on == "test" else "the real scans, whose truth is unknown"
    against = "clean image" if true else "image on the right"
    levels = "clean image" if true else "degraded image"
    caption = f"{DOING[task]}: the first images of {of_set}. {_LEVELS.format(levels, against)}"
    known = first.get("pixel_nm")  # an evaluation of an older version has none
    pitches = None if known is None else dict(zip(rows, known.tolist(), strict=False))
    figure = compared(rows, pitches, levels="clean" if true else DEGRADED)
    alt = f"{len(rows)} images side by side: {', '.join(next(iter(rows.values())))}."
    return Picture(f"images-{task}-{on}", caption, alt, figure)


def _evaluated(of: Estimates) -> str:
    """Candidates and sets, with their hashes."""
    about = of.results.provenance
    runs: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for part in of.results.parts:
        key = part.key
        _, steps = runs.setdefault(key.candidate, (part.candidate, []))
        if key.steps is not None and str(key.steps) not in steps:
            steps.append(str(key.steps))
    rows = []
    for name, (facts, steps) in runs.items():
        method = facts.get("method") or ""
        if isinstance(method, Mapping):
            method = ", ".join(f"{k} {v}" if k != "kind" else str(v) for k, v in method.items())
        size = facts.get("parameters")
        cells = (str(facts.get("kind", "")), f"{size:,}" if size else "", method)
        rows.append((name, *cells, ", ".join(steps), str(facts.get("sha256", ""))[:16]))
    heads = ("candidate", "kind", "parameters", "method", "steps", "SHA-256")
    candidates = Table("candidates", "Candidates", tuple(map(Column, heads)), tuple(rows))
    sets = []
    for name, facts in about.sets.items():
        count = facts.get("samples", facts.get("views", facts.get("scans", "")))
        digest = str(facts.get("manifest_sha256") or facts.get("sha256") or "")[:16]
        sets.append((name, f"{count:,}" if isinstance(count, int) else str(count), digest))
    of_sets = Table("sets", "Sets", tuple(map(Column, ("set", "images", "SHA-256"))), tuple(sets))
    return as_html(candidates) + as_html(of_sets)


def _facts(results: Results) -> str:
    about = results.provenance
    machines = dict.fromkeys(part.timing.machine for part in results.parts if part.timing)
    embedder = about.embedder or {}
    facts = [
        f"begun {about.started}",
        f"scanmend {about.scanmend}",
        f"seed {about.seed}",
        f"at most {about.count:,} images of a set" if about.count else "all images of each set",
    ]
    facts += [f"timed on {', '.join(machines)}"] if machines else []
    if embedder:
        facts.append(f"features of {embedder.get('name')}, SHA-256 {embedder.get('sha256')}")
    return " · ".join(facts)


def _figure(picture: Picture, png: bytes) -> str:
    data = base64.b64encode(png).decode()
    return (
        f'<figure id="{picture.name}">\n<img alt="{escape(picture.alt)}" '
        f'src="data:image/png;base64,{data}">\n'
        f"<figcaption>{escape(picture.caption)}</figcaption>\n</figure>\n"
    )


def _png(figure: Figure) -> bytes:
    """Figures of images in the colours of the map and in greys: a third of the bytes."""
    canvas, file = FigureCanvasAgg(figure), io.BytesIO()
    figure.set_dpi(144)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    if any(axes.images for axes in figure.axes):
        palette = Image.new("P", (1, 1))
        palette.putpalette(_palette().tobytes())
        image = image.quantize(palette=palette, dither=Image.Dither.NONE)
    image.save(file, "png", dpi=(144, 144))
    return file.getvalue()


def _palette() -> NDArray[np.uint8]:
    """The 256 colours of `charts.compared`: its map, greys, and shades of its frames."""
    greys = np.linspace(0, 1, 32)[:, None] * np.ones(3)
    frames = 1 - np.linspace(0.125, 1, 8)[:, None] * (1 - np.array(to_rgb(FRAME)))
    colours = [colormaps[SURFACE](np.linspace(0, 1, 216))[:, :3], greys, frames]
    return np.round(255 * np.concatenate(colours)).astype(np.uint8)


_PUBLISHED = (
    "<p>N. L. Kolev, T. Rodani, N. J. Curson, T. J. Z. Stock and A. Cazzaniga, Generative Image "
    "Restoration and Super-Resolution using Physics-Informed Synthetic Data for Scanning Tunneling "
    'Microscopy (2025), <a href="https://arxiv.org/abs/2510.25921">arXiv:2510.25921</a>. Their '
    "clean images, networks and machines are others than those here: the same name of a model says "
    "that method and number of parameters are the same, no more.</p>\n"
)
