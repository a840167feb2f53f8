"""
Rows that wait in memory because the journal's folder cannot be used: read-only, missing, another user's.

At most 10,000 rows or 16 MiB; further ones are refused and counted. They are written into the folder as soon as it can be
used, or shipped from here to a server, and a batch that was tried keeps its bytes, so that its token is the same wherever
it is sent from. Limits: what is still here when the process ends is lost; `give_up` counts it.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from pathlib import Path
from typing import Final

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import JournalError, JournalFull
from otel_llmcost.journal.folder import Name, prepare, sync_folder, write_segment
from otel_llmcost.journal.frames import FORMAT_VERSION, Header, frame, row_prefix

__all__ = ["KeptBatch", "Standby"]

MAX_ROWS: Final = 10_000
MAX_BYTES: Final = 16 << 20
_logger = logging.getLogger("otel_llmcost")


class KeptBatch:
    """Rows of one table and month under one batch id: what a segment is, without a file."""

    is_whole: Final = True
    """Memory does not lose some rows of a batch."""

    def __init__(self, standby: Standby, table: str, month: str) -> None:
        self._standby = standby
        self.table = table
        self.month = month
        self.batch_id = str(uuid.uuid4())
        self.created = time.time()
        self.records: list[bytes] = []
        self.first_tried: int | None = None
        """Epoch seconds of the first insert that was tried, or None."""

    @property
    def rows(self) -> int:
        """How many rows there are; at least one."""
        return len(self.records)

    @property
    def batch_ids(self) -> list[str]:
        """The one id that all rows carry."""
        return [self.batch_id]

    def payload(self) -> bytes:
        """Give all rows as JSON lines."""
        return b"".join(self.records)

    def mark_tried(self, now: float) -> None:
        """Remember when an insert was first tried (epoch seconds)."""
        if self.first_tried is None:
            self.first_tried = max(0, int(now))

    def remove(self) -> None:
        """Forget the rows: they are in the ledger, or in the folder."""
        self._standby.remove(self)


class Standby:
    """
    What stands in for the folder `directory` of the ledger with the fingerprint `ledger`.

    Counts `journal.memory_rows`: rows taken, and `journal.memory_dropped`: rows refused, or lost at the end.
    """

    def __init__(self, directory: Path, ledger: str) -> None:
        self._directory = directory
        self._ledger = ledger
        self._said: set[str] = set()
        self._owes_word = False
        """True once it was said that rows wait here, until it is said that they do not."""
        self.forget()

    def forget(self) -> None:
        """Have nothing: at construction, and in a forked child, whose parent keeps its rows."""
        self.reason: str | None = None
        """Why rows come here; None while the folder is used."""
        self.rows = 0
        self._bytes = 0
        self._growing: dict[tuple[str, str], KeptBatch] = {}
        self._batches: list[KeptBatch] = []
        self._lock = threading.RLock()
        self.moving = threading.Lock()
        """Held while rows go to the folder or to the ledger: one way at a time."""

    @property
    def count(self) -> int:
        """How many batches wait."""
        return len(self._batches)

    def begin(self, reason: str) -> None:
        """Stand in from now on; says why, once for each reason."""
        self.reason = reason
        if reason not in self._said:
            self._said.add(reason)
            self._owes_word = True
            _logger.error(
                "%s. Until then rows wait in memory (at most %d, or %d MiB) and are lost if this process is killed",
                reason,
                MAX_ROWS,
                MAX_BYTES >> 20,
            )

    def keep(self, table: str, month: str, rows: tuple[bytes, ...]) -> None:
        """Take rows, all of them or none. Raises `JournalFull`."""
        size = sum(map(len, rows))
        with self._lock:
            if self.rows + len(rows) > MAX_ROWS or self._bytes + size > MAX_BYTES:
                COUNTERS.add("journal.memory_dropped", len(rows))
                raise JournalFull(f"{self.reason}. Memory holds all it may: the newest rows are refused and counted")
            batch = self._growing.get((table, month))
            if batch is None:
                batch = self._growing[table, month] = KeptBatch(self, table, month)
                self._batches.append(batch)
            prefix = row_prefix(batch.batch_id)
            batch.records += [prefix + row[1:] + b"\n" for row in rows]
            self.rows += len(rows)
            self._bytes += size
        COUNTERS.add("journal.memory_rows", len(rows))

    def batches(self) -> list[KeptBatch]:
        """Give all that waits, oldest first; rows that come later go into new batches."""
        with self._lock:
            self._growing.clear()
            return [*self._batches]

    def remove(self, batch: KeptBatch) -> None:
        """Forget a batch, unless `give_up` has done so: a shipper may end after its process has lost patience."""
        with self._lock:
            self._batches = [each for each in self._batches if each is not batch]
            self.rows = sum(each.rows for each in self._batches)
            self._bytes = sum(len(record) for each in self._batches for record in each.records)

    def write_out(self) -> None:
        """Write all that waits into the folder, if it can be used now; never raises what a folder can do."""
        if (self.reason is None and not self.rows) or not self.moving.acquire(blocking=False):
            return
        try:
            prepare(self._directory)
            moved = self._write_batches()
            self.reason = None  # proven: new rows go to the folder, and those that came meanwhile follow
            moved += self._write_batches()
            if moved:
                sync_folder(self._directory)
            if self._owes_word:
                self._owes_word = False
                _logger.warning("the journal %r can be used: %d rows went there", str(self._directory), moved)
        except JournalError as error:
            self.begin(str(error))
        except OSError as error:
            self.begin(unusable(self._directory, error))
        finally:
            self.moving.release()

    def give_up(self) -> None:
        """Count and say what is lost with this process."""
        with self._lock:
            lost, self._batches = self.rows, []
            self.rows = self._bytes = 0
            self._growing.clear()
        if lost:
            COUNTERS.add("journal.memory_dropped", lost)
            _logger.error("%s. %d rows that waited in memory are lost with this process", self.reason, lost)

    def _write_batches(self) -> int:
        moved = 0
        for batch in self.batches():
            header = Header(
                version=FORMAT_VERSION,
                table=batch.table,
                month=batch.month,
                ledger=self._ledger,
                batch_id=batch.batch_id,
                created=batch.created,
            )
            state = "sealed" if batch.first_tried is None else f"tried-{batch.first_tried}"
            data = header.to_frame() + b"".join(map(frame, batch.records))
            write_segment(self._directory, Name(batch.table, batch.month, batch.batch_id, state), data)
            moved += batch.rows
            batch.remove()
        return moved


def unusable(directory: Path, error: OSError) -> str:
    """Say what is wrong with a folder, and what to do."""
    return (
        f"the journal {str(directory)!r} cannot be written ({error.strerror}): make it writable, or set "
        "OTEL_LLMCOST_JOURNAL_DIR"
    )
