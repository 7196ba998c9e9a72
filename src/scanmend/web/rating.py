"""Blind studies as raters meet them: positions and places, never a name of a file or a method.

All of it lies below /rate/, which needs no token of the server's (see `guard`): the page, the few
files that it is made of, and what a rater's own token opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from ..errors import StudyError
from ..study.material import MOST
from ..study.records import BEST, MEASURED, Marks, Rater
from ..study.store import Store
from . import answers
from .api import PIXELS

_STATIC = Path(__file__).parent / "static"
_MODULES = (
    *("api", "colours", "frame", "keeping", "mosaic", "rate"),
    *("scan", "units", "view", "viewer"),
)
_FILES = {"rate.html", "rate.css", "style.css", "icon.svg", *(f"{m}.js" for m in _MODULES)}
"""Of the page for raters; they tell nothing of what is on this server."""


class Entry(BaseModel):
    """Who wants to rate."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", max_length=80, description="Shown to the study's owner alone.")


class Said(BaseModel):
    """What a rater says of one item, by place; null where nothing yet."""

    model_config = ConfigDict(extra="forbid")

    ratings: list[int | None] = Field(max_length=MOST)
    ranks: list[int | None] = Field(max_length=MOST)


class Where(BaseModel):
    """At which item a rater is."""

    model_config = ConfigDict(extra="forbid")

    position: int = Field(ge=0)


@dataclass(frozen=True, slots=True)
class Seat:
    """A rater in a study: what they see at which position and place."""

    store: Store
    rater: Rater
    order: Sequence[int]
    places: Sequence[Sequence[int]]

    @classmethod
    def of(cls, store: Store, rater: Rater) -> Seat:
        """The place of that rater."""
        design = store.design
        return cls(store, rater, design.order(rater.number), design.places(rater.number))

    def item(self, position: int) -> int:
        """The item at a position of theirs."""
        if not 0 <= position < len(self.order):
            raise HTTPException(
                404, f"there is no item {position}: they are 0 to {len(self.order) - 1}"
            )
        return self.order[position]

    def marks(self, item: int, said: Said) -> Marks:
        """What was said by place, by method."""
        methods = self.places[item]
        if not len(said.ratings) == len(said.ranks) == len(methods):
            raise StudyError(f"send {len(methods)} ratings and ranks, null where there is none yet")
        by = {m: (said.ratings[p], said.ranks[p]) for p, m in enumerate(methods)}
        return Marks(*zip(*(by[m] for m in range(len(methods))), strict=True))


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _stores(request: Request) -> list[Store]:
    return request.app.state.studies.stores


def _seat(request: Request) -> Seat:
    token = _token(request)
    for store in _stores(request):
        if rater := store.rater(token):
            return Seat.of(store, rater)
    raise _unknown()


def _joined(request: Request) -> Store:
    token = _token(request)
    for store in _stores(request):
        if store.opens(token):
            return store
    raise _unknown()


def _unknown() -> HTTPException:
    return HTTPException(401, "this link opens no study here: ask for a new one")


Here = Annotated[Seat, Depends(_seat)]
router = APIRouter(prefix="/rate")


@router.get("/", include_in_schema=False)
def page() -> FileResponse:
    """The page on which is rated."""
    return FileResponse(_STATIC / "rate.html")


@router.get("/{name}", include_in_schema=False)
def part(name: str) -> FileResponse:
    """A file that it is made of."""
    if name not in _FILES:
        raise HTTPException(404, "Not Found")
    return FileResponse(_STATIC / name)


@router.get("/api/welcome")
def welcome(store: Annotated[Store, Depends(_joined)]) -> dict[str, Any]:
    """What a study is about, for who holds its link (`Authorization: Bearer`)."""
    return _about(store)


@router.post("/api/join", status_code=201)
def join(store: Annotated[Store, Depends(_joined)], entry: Entry) -> dict[str, str]:
    """A new rater, for who holds the study's link; tells the token that everything else needs."""
    return {"token": store.enter(entry.name.strip()).token}


@router.get("/api/study")
def study(here: Here) -> dict[str, Any]:
    """The study, where this rater is, and by position which items are complete."""
    marks = here.store.marks(here.rater.number)
    return _about(here.store) | {
        "name": here.rater.name,
        "position": here.rater.position,
        "complete": [item in marks and marks[item].complete for item in here.order],
    }


@router.put("/api/study", status_code=204)
def go(here: Here, where: Where) -> None:
    """Remembers at which item this rater is."""
    here.item(where.position)
    here.store.go(here.rater.number, where.position)


@router.get("/api/items/{position}")
def item(here: Here, position: int) -> dict[str, Any]:
    """The limits of an item's colours, and what this rater has said of it, by place."""
    found = here.item(position)
    nothing = (None,) * len(here.store.methods)
    marks = here.store.marks(here.rater.number).get(found, Marks(nothing, nothing))
    methods = here.places[found]
    return {
        "limits": here.store.items[found][1],
        "ratings": [marks.ratings[m] for m in methods],
        "ranks": [marks.ranks[m] for m in methods],
    }


@router.put("/api/items/{position}")
def say(here: Here, position: int, said: Said) -> dict[str, bool]:
    """Keeps what is said of an item; it is on the disk before this is answered."""
    found = here.item(position)
    marks = here.marks(found, said)
    here.store.answer(here.rater.number, found, marks)
    return {"complete": marks.complete}


@router.get("/api/items/{position}/{place}", response_class=Response, responses=PIXELS)
def image(here: Here, position: int, place: int | Literal["measured"]) -> Response:
    """An image of an item, as float32: "measured", or the output at a place, from 0."""
    found = here.item(position)
    methods = here.places[found]
    if place != "measured" and not 0 <= place < len(methods):
        raise HTTPException(404, f"there is no place {place}: they are 0 to {len(methods) - 1}")
    method = MEASURED if place == "measured" else methods[place]
    return answers.pixels(here.store.image(found, method), None)


def _about(store: Store) -> dict[str, Any]:
    told = store.about
    return {
        "title": told.title,
        "question": told.question,
        "colours": told.colours,
        "items": len(store.items),
        "places": len(store.methods),
        "best": BEST,
    }
