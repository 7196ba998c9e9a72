"""What the interface is told and tells, as far as it is checked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..io import WRITERS

SUFFIXES = (*(s for s in WRITERS if s != ".tiff"), ".png", ".html")
"""Of files that a result can be saved as."""

Suffix = Literal[".nc", ".gwy", ".gsf", ".tif", ".npy", ".sxm", ".png", ".html"]
Side = Annotated[int | None, Field(ge=1, le=16384, description="Most pixels a side.")]

_LENGTH = r"([0-9]{0,5}[1-9][0-9]{0,5}(\.[0-9]{0,20})?|0?\.[0-9]{0,5}[1-9][0-9]{0,20})"
"""A positive number, as it is written for people."""


class Which(BaseModel):
    """Which image of a file; as `stem.calibration.read` has it."""

    model_config = ConfigDict(extra="forbid")

    channel: str | None = Field(None, max_length=200, description="By default the first height.")
    direction: Literal["forward", "backward"] | None = None
    size_nm: str | None = Field(
        None,
        max_length=60,
        pattern=f"^{_LENGTH},{_LENGTH}$",
        description="WIDTH,HEIGHT in nm, for a file that does not say it.",
    )
    unit: str | None = Field(
        None, max_length=40, description="Of the values, for a file that does not say it: nm, pA."
    )
    frame: int | None = Field(
        None, ge=1, le=10**9, description="Of a series, from 1; one must be chosen."
    )
    lattice: str | None = Field(
        None,
        max_length=40,
        description="A crystal that the scan shows, one of /api/about: it puts the pitch right.",
    )

    def reading(self) -> dict[str, object]:
        """The arguments of `io.read`, and `lattice`."""
        size = None
        if self.size_nm:
            width, height = map(float, self.size_nm.split(","))
            size = height, width
        return {
            "channel": self.channel,
            "direction": self.direction,
            "size_nm": size,
            "unit": self.unit,
            "frame": self.frame,
            "lattice": self.lattice,
        }


class Shown(Which):
    """Which image of a file, and how much of it."""

    side: Side = None


Finder = Annotated[str, Field(max_length=100, description="What finds defects, one of /api/about.")]


class Sought(Which):
    """In which image of a file defects are sought, and by what."""

    finder: Finder


class Wish(Which):
    """What is to be done to it; as `scanmend.restore` and `scanmend.upscale` have it."""

    task: Literal["restore", "upscale"] = "restore"
    factor: Literal[2, 4] = 2
    model: str | None = Field(None, max_length=100, description="One of /api/about.")
    calls: int | None = Field(
        None, ge=1, le=1000, description="Of the network: 1 gives the mean, 3 or more add texture."
    )
    draws: int = Field(0, ge=0, le=64, description="Other textures that would fit as well.")
    ghosts: bool = Field(False, description="Whether ghosts of a multiple tip are removed.")
    mend: bool = Field(
        False, description="Whether upscaling removes damage as well. Of counts, it always does."
    )
    seed: int = Field(0, ge=0, lt=2**31)

    def asked(self) -> dict[str, object]:
        """What a job is told."""
        names = ("task", "factor", "model", "calls", "draws", "ghosts", "mend", "seed")
        return {name: getattr(self, name) for name in names}


class Refused(BaseModel):
    """Why not, in one line."""

    error: str


class Chosen(BaseModel):
    """A file in one of the folders."""

    model_config = ConfigDict(extra="forbid")

    folder: str = Field(max_length=20)
    path: str = Field(max_length=4096)
