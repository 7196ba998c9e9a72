"""What a study consists of: what it is about, who rates, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import __version__
from ..errors import StudyError

BEST = 5
"""The highest rating; the lowest is 1."""

QUESTION = (
    "How well does each output show the surface that was measured? Rank them, the best first, and "
    "rate each from 1 (useless) to 5 (excellent)."
)
"""What raters are asked, unless their study asks something else."""

RATERS = 1000
"""Who may join at most, so that a link that leaked fills no disk."""

MEASURED = -1
"""Stands for the measured scan where others have the number of a method."""


@dataclass(frozen=True, slots=True)
class About:
    """What a study is about, and how it came about.

    Attributes:
        title: Raters see it: it names no method.
        question: What they are asked.
        seed: Of the design.
        colours: Name of the colour map of all images.
        levelling: "plane" or "none".
        made: When, ISO 8601.
        version: Of scanmend.
        provenance: How the outputs were made, by method; plain JSON values.
    """

    title: str
    question: str
    seed: int
    colours: str
    levelling: str
    provenance: dict[str, Any]
    made: str = ""
    version: str = __version__


@dataclass(frozen=True, slots=True)
class Rater:
    """One who rates.

    Attributes:
        number: In the order of joining, from 0.
        token: Opens this rater's place in the study, and nothing else.
        name: As they gave it; the owner alone sees it.
        joined: When, ISO 8601.
        position: At which of their items they are, from 0.
    """

    number: int
    token: str
    name: str
    joined: str
    position: int


@dataclass(frozen=True, slots=True)
class Marks:
    """What one rater says of one item, by method; None where nothing yet.

    Raises:
        StudyError: A rating or rank is none, or two outputs share a rank.
    """

    ratings: tuple[int | None, ...]
    ranks: tuple[int | None, ...]

    def __post_init__(self) -> None:
        count = len(self.ratings)
        if len(self.ranks) != count:
            raise StudyError(f"{count} ratings and {len(self.ranks)} ranks: one each for an output")
        if bad := [r for r in self.ratings if r is not None and not 1 <= r <= BEST]:
            raise StudyError(f"a rating is 1 to {BEST}, got {bad[0]}")
        known = [r for r in self.ranks if r is not None]
        if bad := [r for r in known if not 1 <= r <= count]:
            raise StudyError(f"a rank is 1 to {count}, got {bad[0]}")
        if len(set(known)) < len(known):
            raise StudyError(f"each rank is given once, got {known}")

    @property
    def complete(self) -> bool:
        """Whether nothing is left to say."""
        return None not in self.ratings + self.ranks
