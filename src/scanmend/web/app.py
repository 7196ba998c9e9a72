"""The application: its parts, its routes, and how it says no."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from .. import __version__
from ..errors import ScanmendError
from . import api, rating, simulating, studying, watching
from .folders import Folders
from .guard import Guard
from .messages import Refused
from .rendering import Renderer
from .settings import Settings

STATIC = Path(__file__).parent / "static"


def create(settings: Settings) -> FastAPI:
    """The application for these settings.

    Raises:
        ReadError: A folder of theirs is none.
        StudyError: A study of theirs is none.
        ValueError: It is to be reached from outside, and has no token.
    """
    if not (settings.is_local or settings.token):
        raise ValueError(f"a server at {settings.host} needs a token")
    watched = watching.watched(settings.watched)
    renderer = Renderer(settings)
    parts = api.Parts.of(settings, Folders.of(settings.folders))
    studies = studying.Studies(settings.studies)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        parts.start()
        for folder in watched:
            folder.start()
        yield
        for folder in watched:
            folder.close()
        studies.close()
        renderer.close()
        parts.close()

    app = FastAPI(
        title="scanmend",
        version=__version__,
        description="Mends and sharpens atomic-resolution scans.",
        docs_url=None,  # that page loads its scripts from another host
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses={"4XX": {"model": Refused}},
        lifespan=lifespan,
    )
    app.state.parts = parts
    app.state.watched = watched
    app.state.studies = studies
    app.state.renderer = renderer
    app.include_router(api.router)
    app.include_router(watching.router)
    app.include_router(simulating.router)
    app.include_router(studying.router)
    app.include_router(rating.router)
    app.mount("/", StaticFiles(directory=STATIC, html=True), name="pages")
    app.add_middleware(Guard, settings=settings)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ScanmendError, _ours)
    app.add_exception_handler(Exception, _bug)
    return app


def _said(status: int, text: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": " ".join(text.split())}, status, headers)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = error.headers
    if error.status_code == 405:  # Starlette tells the methods of one route, and we have more
        routes = [r for r in request.app.routes if isinstance(r, Route) and r.path != "/"]
        fit = [r.methods or () for r in routes if r.matches(request.scope)[0] is not Match.NONE]
        headers = {"Allow": ", ".join(sorted({method for methods in fit for method in methods}))}
    return _said(error.status_code, str(error.detail), headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    return _said(422, f"{where}: {first['msg']}")


async def _ours(request: Request, error: Exception) -> JSONResponse:
    return _said(api.status(error), str(error))


async def _bug(request: Request, error: Exception) -> JSONResponse:
    return _said(500, f"{type(error).__name__}: this is a bug; the server's output says where")
