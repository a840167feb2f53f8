"""
Pages that were just made, to be shown again: by a reload, a step back, a CSV, or another reader.

A page is made as a whole and kept as a whole, so that its figures belong together. It is kept twenty times as long as it took to
make, and at most a minute: a page of a small ledger is always new, and one of a large ledger costs the engine at most a
twentieth of its time, however many look. Limit: the last 64 pages.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from otel_llmcost.dashboard.page import Page

__all__ = ["Made", "Memory"]

_TIMES: Final = 20.0
_LONGEST_SECONDS: Final = 60.0
_PAGES: Final = 64


@dataclass(frozen=True, slots=True)
class Made:
    """A page, when it was made, by the clock that only goes on, and how long that took."""

    page: Page
    at: float
    seconds: float


class Memory:
    """Keeps pages. Threads may share it; two that ask for the same page at once both make it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: dict[Hashable, Made] = {}
        self._lock = threading.Lock()

    def page(self, key: Hashable, make: Callable[[], Page]) -> Page:
        """Give the page that `key` names, made now or lately. What `make` raises is not kept."""
        with self._lock:
            made = self._made.get(key)
        if made is not None and self._clock() - made.at <= min(_LONGEST_SECONDS, _TIMES * made.seconds):
            return made.page
        began = self._clock()
        page = make()
        with self._lock:
            self._made.pop(key, None)
            self._made[key] = Made(page, self._clock(), self._clock() - began)
            while len(self._made) > _PAGES:
                del self._made[next(iter(self._made))]
        return page
