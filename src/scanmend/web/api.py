"""The HTTP interface: what a page or a program can ask for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, StreamingResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from .. import __version__, io, models
from ..errors import ModelError, ScanError
from ..io.provenance import plain
from ..restoration import counted
from ..scan import Quantity
from ..stem.crystals import CRYSTALS
from ..study.store import NotKept
from . import answers, defects, reference
from .files import File, Files
from .folders import Folders, NotListed
from .jobs import Full, Job, Jobs, NotDone, scans_of
from .messages import SUFFIXES, Chosen, Finder, Shown, Side, Sought, Suffix, Wish
from .reading import Reader
from .settings import Settings
from .shelf import Gone

_BEAT_S, _LOOK_S = 15.0, 0.05
_BESIDE = 8
"""Files that may go with one."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes share."""

    settings: Settings
    folders: Folders
    reader: Reader
    files: Files
    jobs: Jobs

    @classmethod
    def of(cls, settings: Settings, folders: Folders) -> Parts:
        """All of it, not begun yet."""
        reader = Reader(settings)
        files = Files(settings, folders, reader)
        return cls(settings, folders, reader, files, Jobs(settings))

    def start(self) -> None:
        """Begins what takes time, so that the first file does not wait for it."""
        self.reader.start()
        self.jobs.start()

    def close(self) -> None:
        """Ends everything, and removes what was stored."""
        self.jobs.close()
        self.reader.stop()
        self.files.close()


def _parts(request: Request) -> Parts:
    return request.app.state.parts


_BINARY = {"schema": {"type": "string", "format": "binary"}}
PIXELS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "float32, little-endian, row by row",
        "content": {"application/octet-stream": _BINARY},
        "headers": {"X-Scan": {"schema": {"type": "string"}, "description": "JSON"}},
    }
}
_FORM = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "beside": {"type": "array", "items": {"type": "string", "format": "binary"}},
        },
    }
}
_ARRAYS: dict[int | str, dict[str, Any]] = {
    200: {"description": "arrays, as NumPy's .npz", "content": {"application/zip": _BINARY}}
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": _FORM,
            "application/json": {"schema": Chosen.model_json_schema()},
        },
    }
}
_SENT = {"requestBody": {"required": True, "content": {"multipart/form-data": _FORM}}}

Here = Annotated[Parts, Depends(_parts)]
router = APIRouter(prefix="/api")


def status(error: Exception) -> int:
    """The HTTP status of one of our errors."""
    known = {Gone: 404, NotListed: 404, Full: 429, NotDone: 409, NotKept: 503}
    return known.get(type(error), 422)


@router.get("", include_in_schema=False)
def index(request: Request) -> HTMLResponse:
    """All of this on one page."""
    return HTMLResponse(reference.page(request.app.openapi()))


@router.get("/about")
def about(here: Here) -> dict[str, Any]:
    """Version, models, finders of defects, formats, lattices, folders, suffixes, limits."""
    return {
        "version": __version__,
        "models": [_model(*known) for known in here.settings.known_models().items()],
        "formats": [reader.NAME for reader in io.FORMATS],
        "finders": list(defects.finders(here.settings)),
        "lattices": {key: crystal.name for key, crystal in CRYSTALS.items()},
        "folders": here.folders.listed(),
        "suffixes": SUFFIXES,
        "upload_bytes": here.settings.upload_bytes,
        "pixels": here.settings.pixels,
    }


@router.get("/folders/{folder}")
def folder(here: Here, folder: str, path: str = Query("", max_length=4096)) -> dict[str, Any]:
    """What a folder holds: folders, then scans, the newest first."""
    return {"entries": here.folders.entries(folder, path)}


@router.post("/files", status_code=201, openapi_extra=_BODY)
async def send(here: Here, request: Request) -> dict[str, Any]:
    """A file: sent (multipart, "file"), or chosen in a folder (JSON, {"folder", "path"}).

    With an image of Omicron MATRIX go the .mtrx files of its experiment, each as "beside".
    Tells its id and its channels: name, quantity, unit, directions, rows, columns, size_nm as
    (height, width), frames of a series, and how it was taken.
    """
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        return _file(await _sent(here, request))
    return _file(await run_in_threadpool(_chosen, here, await request.body()))


@router.get("/files/{id}/scan", response_class=Response, responses=PIXELS)
def file_scan(here: Here, id: str, which: Annotated[Shown, Query()]) -> Response:
    """One image of a file, as float32 (little-endian), row by row; `X-Scan` says the rest."""
    scan = here.files.scan(here.files.get(id), which.reading())
    dose = scan.acquisition.dose_at(scan.pixel_nm)
    return answers.pixels(scan, which.side, dose_per_A2=dose)


@router.get("/files/{id}/defects")
def file_defects(here: Here, id: str, which: Annotated[Sought, Query()]) -> dict[str, Any]:
    """The defects of an image: "marks" with place in nm from its middle, class, score, edge."""
    scan = here.files.scan(here.files.get(id), which.reading())
    return defects.of_scan(scan, which.finder, here.settings)


@router.post("/files/{id}/jobs", status_code=202)
def start(here: Here, id: str, wish: Wish) -> dict[str, str]:
    """Has an image of a file restored, or upscaled; tells the id of the job."""
    return {"id": _job(here, here.files.get(id), wish).id}


@router.get("/jobs")
def jobs(here: Here) -> dict[str, Any]:
    """All jobs, the newest first."""
    return {"jobs": [job.json() for job in here.jobs.all()]}


@router.get("/jobs/{id}")
def job(here: Here, id: str) -> dict[str, Any]:
    """How far a job is, and what is known of its result."""
    return here.jobs.get(id).json()


@router.delete("/jobs/{id}")
def stop(here: Here, id: str) -> dict[str, Any]:
    """Stops a job: at once if it waits, else within a call of the network."""
    found = here.jobs.get(id)
    here.jobs.stop(found)
    return found.json()


@router.get("/jobs/{id}/events", response_class=StreamingResponse)
def events(here: Here, id: str) -> StreamingResponse:
    """The same, whenever it changes, as server-sent events; ends with the job."""
    found = here.jobs.get(id)

    async def stream() -> AsyncIterator[str]:
        last, beat = "", time.monotonic()
        while True:
            is_over = found.is_over  # before it is told, so that the end is never missed
            told = found.json()
            now = answers.text(told | {"seconds": None})
            if now != last:
                last, beat = now, time.monotonic()
                yield f"data: {answers.text(told)}\n\n"
            elif time.monotonic() - beat > _BEAT_S:
                beat = time.monotonic()
                yield ": still there\n\n"
            if is_over:
                return
            await asyncio.sleep(_LOOK_S)

    return StreamingResponse(
        stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


@router.get("/jobs/{id}/scan", response_class=Response, responses=PIXELS)
def job_scan(
    here: Here, id: str, name: str = Query("restored", max_length=40), side: Side = None
) -> Response:
    """A scan of the result: "measured", "restored", "spread", "draw 1" ..., as of a file."""
    scans = scans_of(here.jobs.result(here.jobs.get(id)))
    if name not in scans:
        raise HTTPException(404, f"there is no scan {name!r}; there are {', '.join(scans)}")
    return answers.pixels(scans[name], side)


@router.get("/jobs/{id}/defects")
def job_defects(here: Here, id: str, finder: Finder) -> dict[str, Any]:
    """What a restoration did to the defects of a scan: kept, moved, changed, added, removed."""
    return defects.of_result(here.jobs.result(here.jobs.get(id)), finder, here.settings)


@router.get("/jobs/{id}/file", response_class=FileResponse)
def job_file(here: Here, id: str, suffix: Suffix) -> FileResponse:
    """The result as a file, named as the command line names it."""
    found = here.jobs.get(id)
    result = here.jobs.result(found)
    return answers.download(found, result, suffix)


@router.post("/restore", response_class=Response, openapi_extra=_SENT, responses=_ARRAYS)
async def restore(here: Here, request: Request, wish: Annotated[Wish, Query()]) -> Response:
    """For programs: a file goes in (multipart, "file"; an .npy array with size_nm and unit).

    Out comes an .npz with the arrays `measured`, `restored`, `spread`, `draws`, the pitch
    `pixel_nm` (rows, columns), and `about`: JSON with unit, provenance and verdict.
    """
    file = await _sent(here, request)
    found = await run_in_threadpool(_job, here, file, wish)
    while not found.is_over:
        if await request.is_disconnected():
            here.jobs.stop(found)
        await asyncio.sleep(_LOOK_S)
    if found.error:
        raise HTTPException(422, found.error)
    result = here.jobs.result(found)
    return await run_in_threadpool(answers.arrays, found, result)


def _model(name: str, source: Path | str) -> dict[str, Any]:
    model = models.load(source)
    return {
        "name": name,
        "tasks": model.card.get("tasks") or [model.card["task"]],
        "factors": model.factors,
        "axes": model.card.get("axes", ["rows"]),
        "told": "ghosts" in model.card.get("told", ()),
        "pixel_nm": model.card["pixel_nm"],
        "quantity": model.card["quantity"],
        "surface": model.card.get("surface"),
    }


async def _sent(here: Parts, request: Request) -> File:
    """The file in a form, and what goes with it."""
    async with request.form(max_files=1 + _BESIDE, max_fields=20) as form:
        sent, *more = form.getlist("file") or [None]
        if more or not isinstance(sent, UploadFile):
            raise HTTPException(422, 'send one file, as "file" of a multipart form')
        with_it = [f for f in form.getlist("beside") if isinstance(f, UploadFile)]
        beside = [(f.file, f.filename or "") for f in with_it]
        return await run_in_threadpool(here.files.send, sent.file, sent.filename or "scan", beside)


def _chosen(here: Parts, body: bytes) -> File:
    try:
        asked = Chosen.model_validate_json(body)
    except ValidationError:
        raise HTTPException(
            422, 'send a file as multipart form, or JSON such as {"folder": "0", "path": "a.sxm"}'
        ) from None
    return here.files.choose(asked.folder, asked.path)


def _file(file: File) -> dict[str, Any]:
    return plain({"id": file.id, "name": file.name, **file.about})


def _default(known: Mapping[str, Path | str], quantity: Quantity) -> str:
    """The first of the models for what a scan measures."""
    fit = (n for n, path in known.items() if models.load(path).card["quantity"] == quantity.name)
    return next(fit, None) or models.default(quantity)


def _job(here: Parts, file: File, wish: Wish) -> Job:
    """Puts a job into the queue, once it is clear that it can be begun."""
    asked = wish.asked()
    known = here.settings.known_models()
    if wish.model is not None and wish.model not in known:
        raise ModelError(f"no model {wish.model!r}: ask for one of {', '.join(known)}")
    scan = here.files.scan(file, wish.reading())
    asked["model"] = wish.model or _default(known, scan.quantity)
    axes = 2 if counted.is_way_of(models.load(known[asked["model"]])) else 1
    pixels = scan.values.size * (wish.factor**axes if wish.task == "upscale" else 1)
    if pixels > here.settings.pixels:
        raise ScanError(
            f"the result would have {pixels} pixels, and {here.settings.pixels} are allowed here"
        )
    if 4 * pixels * (3 + wish.draws) > here.settings.memory_bytes:
        raise ScanError(f"{wish.draws} draws of {pixels} pixels are more than can be kept here")
    return here.jobs.add(
        file.name, asked, lambda: here.files.scan(file, wish.reading()), answers.ending(wish)
    )
