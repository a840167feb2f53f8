"""
Spans that were journaled lately: what is sent again, after a timeout or a crash, is not billed again.

Each is a number of 64 bits, so that a million of them fit 80 MB: two of a million are the same with a chance of one in
37 million. Limits: kept for 15 to 30 minutes, or until half a million came after it (at 550 requests a second that is less
than 15 minutes). What a restart reads back: all that waits in the journal, and of the ledger the spans that began within
the last hour. What is sent again later than that, or to another receiver, is stored twice; `otel-llmcost verify` finds it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson

from otel_llmcost.charging import SpanKey
from otel_llmcost.errors import LedgerError
from otel_llmcost.journal import segment_names
from otel_llmcost.journal.frames import read
from otel_llmcost.ledger.answers import Answers

__all__ = ["KnownSpans"]

_SECONDS: Final = 900.0
_MOST: Final = 1_000_000
_LEDGER_SECONDS: Final = 3600
_TABLES: Final = ("llm_requests", "llm_adjustments")
_ROUNDS: Final = 20
"""Looks at a journal that is being shipped: each finds what was renamed or merged during the last one."""
_logger = logging.getLogger("otel_llmcost")


class KnownSpans:
    """Keys of spans, in two halves: the old one is dropped when the young one is full or 15 minutes old."""

    def __init__(self, *, most: int = _MOST) -> None:
        self._half = most // 2
        self._young: set[int] = set()
        self._old: set[int] = set()
        self._began = time.monotonic()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __contains__(self, key: SpanKey) -> bool:
        number = _number(key)
        return number in self._young or number in self._old

    def add(self, key: SpanKey) -> None:
        """Remember a span."""
        self._add(_number(key))

    def _add(self, number: int) -> None:
        now = time.monotonic()
        if now - self._began >= _SECONDS or len(self._young) >= self._half:
            self._old, self._young, self._began = self._young, set(), now
        self._young.add(number)

    def read_back(self, journal: Path, ledger: Answers) -> None:
        """
        Remember what an earlier run has journaled.

        The journal comes first: what is shipped meanwhile is in the ledger. One that does not answer is no reason to let
        spans wait: the log says what may be billed twice then.
        """
        for key in _in_journal(journal, self._half):
            self.add(key)
        try:
            found = ledger.query("spans_lately", {"seconds": _LEDGER_SECONDS, "limit": self._half})
        except LedgerError as error:
            _logger.warning(
                "the ledger could not be asked which spans it has, so one that is sent again now may be billed again, "
                "which `otel-llmcost verify` finds: %s",
                error,
            )
            return
        for row in found:
            numbers = row["numbers"]
            if isinstance(numbers, list | tuple):
                self._young.update(numbers)


def _number(key: SpanKey) -> int:
    # A real hash: some tracers give a root span the later half of its trace's id. The query in SQL computes the same.
    return int.from_bytes(sha256((key[0] + key[1]).encode()).digest()[:8], "little")


def _in_journal(directory: Path, most: int) -> Iterator[SpanKey]:
    """Give the spans of the newest segments, whoever writes or ships them meanwhile; no lock is taken."""
    found = 0
    done: set[str] = set()
    for _ in range(_ROUNDS):
        new = [name for name in segment_names(directory) if name.batch_id not in done and name.table in _TABLES]
        if not new:
            return
        for name in reversed(new):
            if (data := _bytes_of(directory / str(name))) is None:
                continue  # renamed or shipped: the next look, or the ledger, has it
            done.add(name.batch_id)
            for record in read(data).records:
                if found < most:
                    found += 1
                    yield _key_of(record)


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _key_of(record: bytes) -> SpanKey:
    row = orjson.loads(record)
    return row["trace_id"], row["span_id"]
