"""A study in one SQLite file: what is shown, who rates, and what they said.

An answer is on the disk before it is acknowledged (write-ahead log, full synchronisation): what
was said to be saved is there after a crash, of the program or of the machine. Inside, everything
goes by item and method; only `web` turns these into positions and places, and back.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ..errors import StudyError, WriteError
from ..io.write import whole
from ..scan import Quantity, Scan
from .design import Design
from .material import Item
from .records import MEASURED, RATERS, About, Marks, Rater

_KIND, _VERSION = 0x5343424C, 1  # says of a file that it is a study, and of which layout
_LAYOUT = """
CREATE TABLE study (about TEXT NOT NULL, token TEXT NOT NULL);
CREATE TABLE method (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE item (number INTEGER PRIMARY KEY, name TEXT NOT NULL, low REAL, high REAL);
CREATE TABLE image (
    item INTEGER NOT NULL REFERENCES item, method INTEGER NOT NULL,
    rows INTEGER NOT NULL, columns INTEGER NOT NULL,
    row_nm REAL NOT NULL, column_nm REAL NOT NULL, quantity TEXT NOT NULL,
    pixels BLOB NOT NULL,
    PRIMARY KEY (item, method)
);
CREATE TABLE rater (
    number INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
    joined TEXT NOT NULL, position INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE mark (
    rater INTEGER NOT NULL REFERENCES rater, item INTEGER NOT NULL REFERENCES item,
    method INTEGER NOT NULL REFERENCES method,
    rating INTEGER CHECK (rating BETWEEN 1 AND 5), rank INTEGER CHECK (rank >= 1),
    changed TEXT NOT NULL,
    PRIMARY KEY (rater, item, method), UNIQUE (rater, item, rank)
);
"""


class NotKept(WriteError):
    """What was said could not be written: it has to be said again."""


def create(
    path: Path, about: About, methods: Sequence[str], items: Iterable[Item], *, join: str = ""
) -> int:
    """Writes a study; it appears whole or not at all, and never in the place of another file.

    Args:
        path: Ends in .sqlite.
        about: `made` is filled in.
        methods: Names.
        items: As `material.items` makes them.
        join: The token with which raters join; by default one is made.

    Returns:
        How many items it has.

    Raises:
        StudyError: The name is none.
        WriteError: The file is there already, or cannot be written.
    """
    if path.suffix != ".sqlite":
        raise StudyError(f"{path.name}: the name of a study ends in .sqlite")
    now = asdict(about) | {"made": _now()}
    try:
        with whole(path) as new, closing(sqlite3.connect(new, isolation_level=None)) as db:
            db.executescript(_LAYOUT + f"PRAGMA application_id = {_KIND}; BEGIN;")
            db.execute(f"PRAGMA user_version = {_VERSION}")
            token = join or secrets.token_urlsafe(18)
            db.execute("INSERT INTO study VALUES (?, ?)", (json.dumps(now), token))
            db.executemany("INSERT INTO method VALUES (?, ?)", enumerate(methods))
            count = 0
            for item in items:
                limits = (item.name, *item.limits)
                db.execute("INSERT INTO item VALUES (?, ?, ?, ?)", (count, *limits))
                for number, scan in enumerate((item.measured, *item.outputs), MEASURED):
                    _insert(db, count, number, scan)
                count += 1
            db.execute("COMMIT")
            db.close()  # before it is given its name
    except sqlite3.Error as error:
        raise NotKept(f"{path} cannot be written: {error}") from error
    return count


def _insert(db: sqlite3.Connection, item: int, method: int, scan: Scan) -> None:
    shape, pixels = scan.values.shape, scan.values.astype("<f4", copy=False).tobytes()
    row = (item, method, *shape, *scan.pixel_nm, scan.quantity.name, pixels)
    db.execute("INSERT INTO image VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


class Store:
    """A study that is open; from any thread, one at a time.

    Attributes:
        path: The file.
        about: What it is about.
        join: The token with which raters join.
        methods: Names.
        items: Names of the measured files, and the limits of their colours.
        design: Who sees what where.

    Raises:
        StudyError: There is no such file, or it is no study of ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise StudyError(f"there is no study {path}: `scanmend study make` makes one")
        self._lock = threading.RLock()
        try:
            self._db = self._opened()
        except sqlite3.Error as error:
            raise StudyError(f"{path.name} cannot be opened as a study: {error}") from None
        try:
            told = self._read("SELECT about, token FROM study")[0]
            names = self._read("SELECT name FROM method ORDER BY number")
            rows = self._read("SELECT name, low, high FROM item ORDER BY number")
        except BaseException:
            self.close()
            raise
        self.about, self.join = About(**json.loads(told[0])), str(told[1])
        self.methods = tuple(name for (name,) in names)
        self.items = tuple((name, (low, high)) for name, low, high in rows)
        self.design = Design(len(self.items), len(self.methods), self.about.seed)

    def _opened(self) -> sqlite3.Connection:
        # Not where it may be made: SQLite would leave an empty file behind.
        where = f"file:{quote(str(self.path.resolve()))}?mode=rw"
        db = sqlite3.connect(
            where, uri=True, timeout=20, isolation_level=None, check_same_thread=False
        )
        try:
            kind, version = (
                db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("application_id", "user_version")
            )
            if (kind, version) != (_KIND, _VERSION):
                why = "is of another version" if kind == _KIND else "is no study of scanmend"
                raise StudyError(
                    f"{self.path.name} {why}: name one that `scanmend study make` made"
                )
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            db.close()
            raise
        return db

    def close(self) -> None:
        """Closes the file; nothing is pending, for everything is written when it is said."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def enter(self, name: str) -> Rater:
        """A new rater.

        Raises:
            StudyError: There are too many.
        """
        with self._writing() as db:
            (number,) = db.execute("SELECT count(*) FROM rater").fetchone()
            if number >= RATERS:
                raise StudyError(f"{RATERS} raters have joined, no more may: make another study")
            rater = Rater(number, secrets.token_urlsafe(18), name, _now(), 0)
            row = tuple(getattr(rater, field) for field in rater.__slots__)
            db.execute("INSERT INTO rater VALUES (?, ?, ?, ?, ?)", row)
        return rater

    def opens(self, token: str) -> bool:
        """Whether it is the token with which raters join."""
        return secrets.compare_digest(token.encode(), self.join.encode())

    def rater(self, token: str) -> Rater | None:
        """Whose token it is."""
        rows = self._read("SELECT * FROM rater WHERE token = ?", token)
        return Rater(*rows[0]) if rows else None

    def raters(self) -> list[Rater]:
        """All, in the order of joining."""
        return [Rater(*row) for row in self._read("SELECT * FROM rater ORDER BY number")]

    def image(self, item: int, method: int) -> Scan:
        """What one method made of an item; `MEASURED` stands for what was measured."""
        told = self._read("SELECT * FROM image WHERE item = ? AND method = ?", item, method)
        _, _, rows, columns, row_nm, column_nm, quantity, pixels = told[0]
        values = np.frombuffer(pixels, "<f4").reshape(rows, columns).astype(np.float32, copy=False)
        return Scan(values, (row_nm, column_nm), Quantity[quantity])

    def marks(self, rater: int) -> dict[int, Marks]:
        """What a rater has said so far, by item."""
        sql = "SELECT item, rating, rank FROM mark WHERE rater = ? ORDER BY item, method"
        said = groupby(self._read(sql, rater), key=lambda row: row[0])
        return {item: Marks(*tuple(zip(*rows, strict=True))[1:]) for item, rows in said}

    def answer(self, rater: int, item: int, marks: Marks) -> None:
        """Keeps what a rater says of an item, in the place of what they said before.

        Raises:
            StudyError: It is not about as many outputs as there are.
        """
        if len(marks.ratings) != len(self.methods):
            count = len(self.methods)
            raise StudyError(f"{len(marks.ratings)} ratings of {count} outputs: send one for each")
        now = _now()
        rows = [
            (rater, item, method, *both, now)
            for method, both in enumerate(zip(marks.ratings, marks.ranks, strict=True))
        ]
        with self._writing() as db:
            db.execute("DELETE FROM mark WHERE rater = ? AND item = ?", (rater, item))
            db.executemany("INSERT INTO mark VALUES (?, ?, ?, ?, ?, ?)", rows)

    def go(self, rater: int, position: int) -> None:
        """Keeps at which item a rater is."""
        with self._writing() as db:
            db.execute("UPDATE rater SET position = ? WHERE number = ?", (position, rater))

    def progress(self) -> dict[int, tuple[int, str | None]]:
        """By rater: how many items are complete, and when they last said something."""
        sql = """
            SELECT rater, sum(whole), max(changed) FROM (
                SELECT rater, max(changed) AS changed,
                    count(rating) = count(*) AND count(rank) = count(*) AS whole
                FROM mark GROUP BY rater, item
            ) GROUP BY rater
        """
        return {rater: (done, last) for rater, done, last in self._read(sql)}

    def answers(self) -> list[tuple[int, int, int, int, int, str]]:
        """Rater, item, method, rating, rank, and when: of the complete items only."""
        sql = """
            SELECT * FROM mark WHERE (rater, item) NOT IN (
                SELECT rater, item FROM mark WHERE rating IS NULL OR rank IS NULL
            ) ORDER BY rater, item, method
        """
        return self._read(sql)

    def _read(self, sql: str, *values: object) -> list[Any]:
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:  # told to raters as well: nothing here names the file
            raise StudyError(f"the study's file cannot be read: {error}") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise NotKept(f"the study's file cannot be written: {error}") from error
                raise


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
