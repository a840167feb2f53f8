"""
Who is above whom, where spans arrive in batches and in any order (OTLP, files).

Limits: at most `max_spans` parent links are remembered, the oldest tenth is forgotten at once; a chain is cut after 64 links.
"""

from __future__ import annotations

from itertools import islice
from typing import TypeVar

from otel_llmcost.charging.grouping import SpanKey

__all__ = ["MAX_DEPTH", "Ancestry"]

MAX_DEPTH = 64
V = TypeVar("V")


class Ancestry:
    """Parent links of all spans, model calls or not. Not thread-safe: its owner holds a lock."""

    def __init__(self, *, max_spans: int = 200_000) -> None:
        self._parents: dict[SpanKey, SpanKey | None] = {}
        self._waiting: dict[SpanKey, list[SpanKey]] = {}
        self._max = max_spans

    def add(self, key: SpanKey, parent: SpanKey | None) -> tuple[SpanKey, ...]:
        """Learn a link. Gives the model calls whose chain ended at `key` and goes on now: ask `chain` for them again."""
        self._parents[key] = parent
        _bound(self._parents, self._max)
        return tuple(self._waiting.pop(key, ()))

    def chain(self, key: SpanKey) -> tuple[SpanKey, ...]:
        """Give the known ancestors of a model call, nearest first, and wait for the link behind the last of them."""
        found: list[SpanKey] = []
        parent = self._parents.get(key)
        while parent is not None and len(found) < MAX_DEPTH and parent not in found:
            found.append(parent)
            if parent not in self._parents:
                self._wait(parent, key)
                break
            parent = self._parents[parent]
        return tuple(found)

    def _wait(self, at: SpanKey, key: SpanKey) -> None:
        waiting = self._waiting.setdefault(at, [])
        if key not in waiting:
            waiting.append(key)
        _bound(self._waiting, self._max)


def _bound(links: dict[SpanKey, V], most: int) -> None:
    """Forget the oldest tenth of a table that is over its bound: one at a time, each would look for where it begins."""
    if len(links) > most:
        for key in list(islice(links, max(1, most // 10))):
            del links[key]
