"""
Spans that were journaled lately: what is sent again, after a timeout or a crash, is not billed again.

Each is a mark of 64 bits, so that a million of them fit 80 MB: two of a million are the same with a chance of one in 37
million. They are kept for 15 to 30 minutes in which the receiver runs, however long it was away between, or until half a
million came after them (at 550 requests a second that is less than 15 minutes). A restart reads them back from files beside
the journal (`known_files`) and, for what was killed between the write to the journal and the one behind it to such a file,
from all that waits in the journal. Limits: should another process have shipped just that before the restart, and it is sent
again, it is stored twice; so is what is sent again later, or to a receiver on another machine. `otel-llmcost verify` finds it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final

import orjson

from otel_llmcost.charging import SpanKey
from otel_llmcost.journal import segment_names
from otel_llmcost.journal.frames import read
from otel_llmcost.receiver.known_files import MARK_BYTES, KnownFiles

__all__ = ["KnownSpans", "mark_of"]

_SECONDS: Final = 900.0
_MOST: Final = 1_000_000
_TABLES: Final = ("llm_requests", "llm_adjustments")
_ROUNDS: Final = 20
"""Looks at a journal that is being shipped: each finds what was renamed or merged during the last one."""
_logger = logging.getLogger("otel_llmcost")


def mark_of(key: SpanKey) -> bytes:
    """Give what is remembered of a span. A real hash: some tracers give a root span the later half of its trace's id."""
    return blake2b((key[0] + key[1]).encode(), digest_size=MARK_BYTES).digest()


class KnownSpans:
    """
    Marks of spans, in two halves: the old one is dropped when the young one is full or 15 minutes old.

    Construction reads back what an earlier run has journaled into `journal`. Not thread-safe.
    """

    def __init__(self, journal: Path, *, most: int = _MOST) -> None:
        self._half = most // 2
        self._files = KnownFiles(journal / "known")
        self._old = self._files.take_over(self._half)
        self._young: set[bytes] = set()
        self._unsaved: list[bytes] = []
        self._is_told = False
        self._began = time.monotonic()
        self.add(mark for mark in map(mark_of, _in_journal(journal, self._half)) if mark not in self._old)
        self.save()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __contains__(self, mark: bytes) -> bool:
        return mark in self._young or mark in self._old

    def add(self, marks: Iterable[bytes]) -> None:
        """Remember spans, until `save` in memory only."""
        if time.monotonic() - self._began >= _SECONDS:
            self._drop_old()
        for mark in marks:
            if len(self._young) >= self._half:
                self._drop_old()
            self._young.add(mark)
            self._unsaved.append(mark)

    def save(self) -> None:
        """Write down what was added, so that a kill does not make it forgotten. One that fails is told, and tried again."""
        if not self._unsaved:
            return
        try:
            self._files.append(self._unsaved)
        except OSError as error:
            del self._unsaved[: -self._half]
            if not self._is_told:
                self._is_told = True
                _logger.warning(
                    "%s cannot be written (%s): free space on its disk, and let this user write there. Until then what is "
                    "sent again after a restart may be billed again, which `otel-llmcost verify` finds",
                    self._files,
                    error.strerror,
                )
        else:
            self._unsaved = []
            self._is_told = False

    def close(self) -> None:
        """Let whoever starts next take over the files."""
        self._files.close()

    def _drop_old(self) -> None:
        self._old, self._young, self._began = self._young, set(), time.monotonic()
        self._files.drop_old()


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
                continue  # renamed or shipped: the next look has it, or the marks have
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
