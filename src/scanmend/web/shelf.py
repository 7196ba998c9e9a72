"""What is kept, and what gives way to it: so many bytes, of which the longest unused go first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from ..errors import WorkError

T = TypeVar("T")


class Gone(WorkError):
    """What was asked for is not there: it never was, or gave way to something newer."""


class Shelf(Generic[T]):
    """Things by key; together at most `limit` bytes, but for one that is larger by itself.

    Args:
        limit: Bytes.
        drop: Is told of each thing that goes.
    """

    def __init__(self, limit: int, drop: Callable[[T], None] = lambda thing: None) -> None:
        self._limit, self._drop = limit, drop
        self._lock = threading.Lock()
        self._things: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self.used = 0

    def put(self, key: Hashable, thing: T, size: int) -> None:
        """Keeps `thing`, of `size` bytes, in the place of what had its key."""
        with self._lock:
            gone = [self._take(key)] if key in self._things else []
            self._things[key] = thing, size
            self.used += size
            while self.used > self._limit and len(self._things) > 1:
                gone.append(self._take(next(iter(self._things))))
        for thing in gone:
            self._drop(thing)

    def get(self, key: Hashable) -> T | None:
        """What is kept under `key`, if it still is."""
        with self._lock:
            if key not in self._things:
                return None
            self._things.move_to_end(key)
            return self._things[key][0]

    def remove(self, key: Hashable) -> None:
        """Lets it go, if it is there."""
        with self._lock:
            gone = [self._take(key)] if key in self._things else []
        for thing in gone:
            self._drop(thing)

    def _take(self, key: Hashable) -> T:
        thing, size = self._things.pop(key)
        self.used -= size
        return thing
