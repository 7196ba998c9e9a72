"""Who is compared: a candidate of `scanmend evaluate`, and how it treats whole scans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from restoration import CLASSICAL as STRENGTHS
from superresolution import linear, nearest

import scanmend
from scanmend import models
from scanmend.errors import RecipeError
from scanmend.evaluate.candidates import Filter, Shipped, Trained, Untouched, parse
from scanmend.evaluate.classical import CLASSICAL
from scanmend.evaluate.contract import Candidate
from scanmend.resample import line_phase
from scanmend.scan import Scan

Values = NDArray[np.floating]

ALSO = ("median", "total variation", "non-local means", "wavelet", "line repair")
FILLERS = ("cubic spline", "Lanczos")


@dataclass(frozen=True)
class Contender:
    """A candidate with its name in the tables."""

    candidate: Candidate

    @property
    def title(self) -> str:
        """Its name, and its steps where it has any."""
        steps = self.candidate.steps
        return self.candidate.name if steps is None else f"{self.candidate.name}@{steps}"

    @property
    def kind(self) -> str:
        """ "input", "classical", "published" (a method of the papers), or "ours"."""
        if isinstance(self.candidate, Untouched):
            return "input"
        if isinstance(self.candidate, Filter):
            return "classical"
        method = self.candidate.about().get("method", {"kind": "PosteriorFlow"})
        return "ours" if method["kind"] == "PosteriorFlow" else "published"

    @property
    def about(self) -> dict[str, Any]:
        """What it is; plain JSON values."""
        return {"title": self.title, "kind": self.kind, **self.candidate.about()}

    def does(self, factor: int) -> bool:
        """Whether it is for so many lines in place of one; 1 is restoration."""
        return {1: "restore", 2: "x2", 4: "x4"}[factor] in self.candidate.tasks

    def restored(self, scan: Scan, ghosts: bool = False) -> list[Values]:
        """The restored scan; of a classical method one for each strength.

        Args:
            scan: What was measured.
            ghosts: Whether it shows those of a multiple tip, which a model is told that listens.

        Raises:
            ScanmendError: It refuses the scan.
        """
        if isinstance(self.candidate, Untouched):
            return [scan.values]
        if isinstance(self.candidate, Filter):
            return [mend(scan.values) for mend in _strengths(self.candidate.method)]
        told = {"ghosts": True} if ghosts and self.listens else {}
        return [scanmend.restore(scan, **self._how, **told).mean.values]

    def once(self, scan: Scan) -> Values:
        """The restored scan, by a classical method as its users have it. Raises as `restored`."""
        if isinstance(self.candidate, Filter):
            return CLASSICAL[self.candidate.method](scan.values)
        return self.restored(scan)[0]

    def upscaled(self, scan: Scan, factor: int) -> Values:
        """The scan with `factor` times the lines. Raises as `restored`."""
        if isinstance(self.candidate, Filter):
            rows = factor * len(scan.values)
            at = np.arange(line_phase(factor), rows, factor)
            return CLASSICAL[self.candidate.method].fill(scan.values, at, rows)
        return scanmend.upscale(scan, factor, **self._how).mean.values

    @property
    def listens(self) -> bool:
        """Whether it is told of ghosts."""
        return "ghosts" in models.load(self.path).card.get("told", ())

    @property
    def path(self) -> str | Path:
        """The model's name or file, which a classical method has not."""
        if isinstance(self.candidate, Trained):
            return self.candidate.path
        if isinstance(self.candidate, Shipped):
            return self.candidate.source
        raise RecipeError(f"{self.title} is no model file: the scoreboard has no way to ask it")

    @property
    def _how(self) -> dict[str, Any]:
        return {"model": self.path, "calls": self.candidate.calls}


def contenders(texts: Sequence[str]) -> list[Contender]:
    """The input, the models that the texts stand for, and the classical methods.

    Raises:
        RecipeError: A text stands for none, or two have one name.
        ModelError: A model file cannot be run.
    """
    named = [*texts, *(name for name in (*ALSO, *FILLERS) if name not in texts)]
    found = [Contender(Untouched()), *(Contender(c) for text in named for c in parse(text))]
    titles: dict[tuple[str, tuple[str, ...]], str] = {}
    for one in found:
        key = one.title, one.candidate.tasks
        if key in titles:
            raise RecipeError(f"two are called {one.title}: give one another name (NAME=...)")
        titles[key] = one.title
        if one.kind in ("ours", "published"):
            _ = one.path
    return found


def interpolations() -> dict[str, Callable[[Values, Values, int], Values]]:
    """The plain ones, which `classical.CLASSICAL` does not have."""
    return {"nearest line": nearest, "linear": linear}


def _strengths(method: str) -> list[Callable[[Values], Values]]:
    """As its users have it, and with several fixed strengths, of which the best will be shown.

    That is an advantage that a user, who does not have the truth, would not have.
    """
    fixed = {f.__name__.replace("_", " "): (f, values) for f, values in STRENGTHS.items()}
    function, values = fixed.get(method, (None, ()))
    return [CLASSICAL[method], *(partial(_called, function, value) for value in values)]


def _called(function: Callable[[Values, float], Values], strength: float, image: Values) -> Values:
    return function(image, strength)
