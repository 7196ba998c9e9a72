"""Blind studies as their owner meets them: making one, progress, results. Raters: see `rating`."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import Field

from ..errors import ScanmendError, StudyError
from ..scan import Scan
from ..study import material, results, tables
from ..study.records import QUESTION, About
from ..study.store import Store, create
from .api import Here as Parts
from .messages import Chosen, Which
from .rating import Entry

SUFFIX = ".sqlite"
_EXPORTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {}, "application/json": {}}, "description": "a file"}
}


class Plan(Which):
    """A study to be made, of scans in the folders that are served."""

    title: str = Field(min_length=1, max_length=80, description="Raters see it.")
    question: str = Field(QUESTION, max_length=1000)
    scans: Chosen = Field(description="A folder of measured scans.")
    models: list[str] = Field([], max_length=material.MOST)
    outputs: list[Chosen] = Field(
        [], max_length=material.MOST, description="Folders of finished outputs, one a method."
    )
    seed: int = Field(0, ge=0, lt=2**31)
    colours: Literal["inferno", "viridis", "cividis", "gold", "grey"] = "inferno"
    levelling: Literal["plane", "none"] = "plane"


class Studies:
    """The studies that are open, and the one that is being made.

    Attributes:
        stores: The open ones; their ids are their numbers here.
        making: What is told of the one that is being made, or was last.

    Raises:
        StudyError: One that was given is none, or a file is not there.
    """

    def __init__(self, given: Sequence[Path]) -> None:
        self.folder = next((path.resolve() for path in given if path.is_dir()), None)
        self.stores: list[Store] = []
        self.making: dict[str, Any] = {"state": "none", "progress": 0.0, "error": None, "id": None}
        self._thread: threading.Thread | None = None
        self._lock, self._closing = threading.Lock(), False
        files = [f for p in given for f in (sorted(p.glob(f"*{SUFFIX}")) if p.is_dir() else [p])]
        try:
            for path in dict.fromkeys(file.resolve() for file in files):
                self.stores.append(Store(path))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the making of one, and closes all."""
        self._closing = True
        if self._thread:
            self._thread.join(timeout=30)
        for store in self.stores:
            store.close()

    def make(self, name: str, work: Callable[[Path, Callable[[float], None]], None]) -> None:
        """Has `work` write a study of that name, which is then opened.

        Raises:
            StudyError: No folder was given for new ones, or one is being made.
        """
        if self.folder is None:
            raise StudyError("no folder was given for new studies: `scanmend serve --study FOLDER`")
        path = self.folder / f"{name}{SUFFIX}"
        with self._lock:
            if self.making["state"] == "running":
                raise StudyError("another study is being made: wait until it is done")
            if path.exists():
                raise StudyError(f"{path.name} exists already: choose another title")
            self.making |= {"state": "running", "progress": 0.0, "error": None, "id": None}
        self._thread = threading.Thread(target=self._make, args=(path, work), daemon=True)
        self._thread.start()

    def _make(self, path: Path, work: Callable[[Path, Callable[[float], None]], None]) -> None:
        def progress(done: float) -> None:
            self.making["progress"] = round(done, 3)
            if self._closing:
                raise StudyError("the server is closing")

        try:
            work(path, progress)
            self.stores.append(Store(path))
            self.making |= {"state": "done", "id": len(self.stores) - 1, "progress": 1.0}
        except ScanmendError as error:
            self.making |= {"state": "failed", "error": " ".join(str(error).split())}
        except Exception as error:
            why = f"{type(error).__name__}: {error} (this is a bug)"
            self.making |= {"state": "failed", "error": why}


def _studies(request: Request) -> Studies:
    return request.app.state.studies


All = Annotated[Studies, Depends(_studies)]


def _store(there: All, study: int) -> Store:
    if not 0 <= study < len(there.stores):
        raise HTTPException(404, f"there is no study {study}: ask for one of /api/studies")
    return there.stores[study]


Here = Annotated[Store, Depends(_store)]
router = APIRouter(prefix="/api/studies")


@router.get("")
def studies(there: All) -> dict[str, Any]:
    """The studies that are open, the one that is being made, and what one can ask raters."""
    return {
        "studies": [
            {"id": i, "name": s.path.stem, "title": s.about.title}
            for i, s in enumerate(there.stores)
        ],
        "making": there.making,
        "can_make": there.folder is not None,
        "question": QUESTION,
    }


@router.post("", status_code=202)
def make(there: All, parts: Parts, plan: Plan) -> dict[str, Any]:
    """Makes a study: restores every scan of a folder with each model, and adds finished outputs."""
    known = parts.settings.known_models()
    methods: dict[str, material.Method] = {}
    for name in plan.models:
        if name not in known:
            raise StudyError(f"there is no model {name!r}: choose one of {', '.join(known)}")
        methods[name] = material.Network(known[name])
    paths = _scans(parts, plan.scans)

    def read(path: Path, which: dict[str, Any]) -> Scan:
        return parts.reader.scan(path, path.name, which)

    which = plan.reading()
    alone = which | {"channel": None, "direction": None}
    for chosen in plan.outputs:
        files, stems = _scans(parts, chosen), [path.stem for path in paths]
        name = parts.folders.resolve(chosen.folder, chosen.path).name
        if name in methods:
            raise StudyError(f"two methods are called {name}: rename a folder")
        methods[name] = material.Outputs(files, stems, lambda path: read(path, alone))
    material.must_be_comparable(paths, methods)
    about = About(
        plan.title,
        plan.question,
        plan.seed,
        plan.colours,
        plan.levelling,
        {name: type(method).__name__.lower() for name, method in methods.items()},
    )

    def work(path: Path, progress: Callable[[float], None]) -> None:
        scans = {path: lambda path=path: read(path, which) for path in paths}

        def told() -> Iterator[material.Item]:
            for done, item in enumerate(material.items(scans, methods, plan.levelling), 1):
                progress(done / len(paths))
                yield item

        create(path, about, list(methods), told())

    there.make(re.sub(r"\W+", "-", plan.title).strip("-").lower()[:60] or "study", work)
    return there.making


@router.get("/{study}")
def study(here: Here) -> dict[str, Any]:
    """What a study is about, the token of its link, and how far its raters are."""
    done = here.progress()
    return {
        "about": asdict(here.about),
        "methods": here.methods,
        "items": [name for name, _ in here.items],
        "join": here.join,
        "raters": [
            asdict(rater)
            | dict(zip(("done", "changed"), done.get(rater.number, (0, None)), strict=True))
            for rater in here.raters()
        ],
    }


@router.post("/{study}/raters", status_code=201)
def invite(here: Here, entry: Entry) -> dict[str, str]:
    """A new rater, with a link of their own: tells its token."""
    return {"token": here.enter(entry.name.strip()).token}


@router.get("/{study}/results")
def outcome(here: Here) -> dict[str, Any]:
    """The results so far."""
    return tables.plain(results.results(here))


@router.get("/{study}/{export}", response_class=Response, responses=_EXPORTS)
def export(here: Here, export: tables.Export) -> Response:
    """The table or every single answer as CSV, or all of it as JSON, without raters' names."""
    name = quote(f"{here.path.stem}-{export}")
    kind = "application/json" if export.endswith("json") else "text/csv"
    return Response(
        tables.exported(here, export),
        media_type=f"{kind}; charset=utf-8",
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
            "Cache-Control": "no-store",
        },
    )


def _scans(parts: Parts, chosen: Chosen) -> list[Path]:
    """The scans of a folder that is served, by name."""
    entries = parts.folders.entries(chosen.folder, chosen.path)
    paths = [e["path"] for e in entries if e["kind"] == "file"]
    return sorted(parts.folders.resolve(chosen.folder, path) for path in paths)
