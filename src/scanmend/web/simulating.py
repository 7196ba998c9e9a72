"""The simulator over HTTP: experiments with their parameters, what they give, and files of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from ..errors import SimulationError
from ..io.provenance import plain
from ..stm import experiment as experiments
from ..stm.experiment import Experiment
from . import answers
from .experiments import fields, of_toml, toml
from .rendering import Renderer

_LOOK_S = 0.1
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_SCAN: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "a line of JSON, padded to a multiple of 4 bytes, then all of its `arrays`: "
        "float32, little-endian",
        "content": {"application/octet-stream": _BINARY},
    }
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "the file", "content": {"application/octet-stream": _BINARY}}
}

Name = Annotated[str, Field(max_length=80, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_. -]*$")]


class Plan(BaseModel):
    """An experiment: its table, as a file has it, or the text of a file."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    experiment: dict[str, Any] | None = None
    toml: str | None = Field(None, max_length=200_000)

    def parsed(self) -> Experiment:
        """What it means.

        Raises:
            RecipeError: That is nothing.
        """
        if (self.experiment is None) == (self.toml is None):
            raise HTTPException(422, 'give one of "experiment" and "toml"')
        if self.toml is not None:
            return of_toml(self.name, self.toml)
        return experiments.parse(self.name, self.experiment or {})


class Taken(Plan):
    """A scan of an experiment."""

    seed: int = Field(0, ge=0, lt=2**31)
    number: int = Field(0, ge=0, lt=2**31, description="Of the scan.")


def _renderer(request: Request) -> Renderer:
    return request.app.state.renderer


Here = Annotated[Renderer, Depends(_renderer)]
router = APIRouter(prefix="/api/simulator")


@router.get("")
def state(here: Here) -> dict[str, Any]:
    """Whether the simulator is "asleep", "starting" (it compiles, once on a machine) or "ready"."""
    return here.state()


@router.get("/presets")
def presets(here: Here) -> dict[str, Any]:
    """Experiments that come along. Who asks will want to see one: the simulator gets ready."""
    here.wake()
    return {"presets": experiments.presets()}


@router.get("/presets/{name}")
def preset(name: str) -> dict[str, Any]:
    """One of them: its table, and every parameter as a field."""
    if name not in experiments.presets():
        known = ", ".join(experiments.presets())
        raise HTTPException(404, f"there is no experiment {name!r}; there are {known}")
    return _told(experiments.load(name))


@router.post("/experiment")
def experiment(plan: Plan) -> dict[str, Any]:
    """The same for an experiment of your own; a mistake in it is told in one line."""
    return _told(plan.parsed())


@router.post("/toml", response_class=Response, responses=_FILE)
def file_of(plan: Plan) -> Response:
    """Its file, which `scanmend simulate` takes."""
    return _attached(toml(plan.parsed()).encode(), f"{plan.name}.toml", "application/toml")


@router.post("/render", response_class=Response, responses=_SCAN)
async def render(here: Here, request: Request, taken: Taken) -> Response:
    """A scan: atoms, current at a constant height, ideal topograph, trace, retrace, way and error.

    Lengths and places count from the top left corner, nm. It is ended when who asked goes away.
    """
    about, values = await _asked(here, request, taken, {"task": "scan"})
    line = answers.text({key: about[key] for key in about if key != "bytes"}).encode()
    line += b" " * (-(len(line) + 1) % 4) + b"\n"
    return Response(
        line + values,
        media_type="application/octet-stream",
        headers={"Cache-Control": "no-store"},
    )


@router.post("/file", response_class=Response, responses=_FILE)
async def file(
    here: Here,
    request: Request,
    taken: Taken,
    suffix: Literal[".sxm", ".nc", ".gwy", ".truth.nc", ".json"] = Query(),
) -> Response:
    """The scan (.sxm, .nc, .gwy), its truth, or all about it, as `scanmend simulate` writes them.

    It is taken with its whole session, and so to the last bit what the command line makes.
    """
    most, plan = here.settings.simulated_pixels, taken.parsed()
    pixels = _pixels(plan) * plan.scans_per_session
    if pixels > most:
        raise SimulationError(
            f"a session of {plan.scans_per_session} scans has up to {pixels} pixels, and {most} "
            "are allowed here: fewer scans_per_session, or scanmend simulate"
        )
    _, data = await _asked(here, request, taken, {"task": "file", "suffix": suffix})
    return _attached(data, f"{taken.name}_{taken.number:05d}{suffix}", "application/octet-stream")


def _told(plan: Experiment) -> dict[str, Any]:
    told = {"name": plan.name, "experiment": plan.table(), "fields": list(fields(plan))}
    return plain(told)


def _pixels(plan: Experiment) -> int:
    rows, columns = (plan.extremes("frame", key) for key in ("rows", "columns"))
    return int(max(map(float, rows)) * max(map(float, columns)))


async def _asked(
    here: Renderer, request: Request, taken: Taken, question: dict[str, Any]
) -> tuple[dict[str, Any], bytes]:
    """An answer to a question about a scan; given up when nobody waits for it any more."""
    plan, most = taken.parsed(), here.settings.simulated_pixels
    if (pixels := _pixels(plan)) > most:
        raise SimulationError(
            f"a scan has up to {pixels} pixels, and {most} are allowed here: fewer rows or columns"
        )
    question |= {"name": plan.name, "experiment": plan.table()}
    question |= {"seed": taken.seed, "number": taken.number}
    stop = threading.Event()
    work = asyncio.ensure_future(run_in_threadpool(here.ask, question, stop))
    while not (await asyncio.wait({work}, timeout=_LOOK_S))[0]:
        if await request.is_disconnected():
            here.give_up(stop)
    return work.result()


def _attached(data: bytes, name: str, kind: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
    }
    return Response(data, media_type=kind, headers=headers)
