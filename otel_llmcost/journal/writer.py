"""
The writing side: `Journal` appends rows to this process's own segments, one open segment per table and month.

When `append` returns, the row is in the kernel and survives kill -9; power loss costs at most what came since the last
`maintain`. A caller's thread does one write under one lock, never an fsync; `maintain`, called about once a second by
one thread, makes rows durable and seals. The lock on an open segment's file is what keeps others from adopting it; it
ends with the process. While the folder cannot be used, rows wait in memory, within bounds (`standby`). Limits: one
process per object (a forked child begins its own segments), Linux and macOS.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import uuid
import weakref
from pathlib import Path
from typing import Final, NoReturn
from zlib import crc32

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import JournalError, JournalFull, JournalUnusable
from otel_llmcost.journal import frames
from otel_llmcost.journal.filesystems import refuse_network
from otel_llmcost.journal.folder import Name, folder_bytes, prepare, sync_folder
from otel_llmcost.journal.frames import FORMAT_VERSION, HEAD, MAX_ROW_BYTES, Header
from otel_llmcost.journal.sealing import OpenSegment
from otel_llmcost.journal.standby import Standby, unusable

__all__ = ["Journal"]

_SEAL_BYTES: Final = frames.MAX_SEGMENT_BYTES // 4
"""A segment is read whole to be shipped: this bounds the shipper's memory."""
_MEASURE_SECONDS: Final = 10.0
"""How often the folder is measured for the size cap; between, our own bytes are counted."""
_pack_head: Final = HEAD.pack
_DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Journal:
    """
    A durable local log of rows, in `directory`, for the ledger with the fingerprint `ledger`.

    At `max_bytes` the newest rows are refused; that is the whole folder, and what other processes write into it is seen
    within 10 seconds. A segment is sealed at `seal_rows` rows or `seal_seconds` after its first row. Counts
    `journal.refused` (size), `journal.disk_full` and `journal.failed`: rows that are lost unless the caller keeps them,
    each with the error it raised. Raises `SettingsError` if the folder is on a network file system.
    """

    def __init__(
        self,
        directory: Path,
        *,
        ledger: str,
        max_bytes: int = 1 << 30,
        seal_rows: int = 65_536,
        seal_seconds: float = 10.0,
    ) -> None:
        refuse_network(directory)
        self.standby = Standby(directory, ledger)
        """What is in memory because the folder cannot be used."""
        self._directory = directory
        self._ledger = ledger
        self._max_bytes = max_bytes
        self._seal_rows = seal_rows
        self._seal_seconds = seal_seconds
        self._closed = False
        self._open: dict[tuple[str, str], OpenSegment] = {}
        self._full: list[OpenSegment] = []
        self._written = 0
        self._limit = 0
        self._measured = 0.0
        self._wants_room = False
        self._make_locks()
        self._look_at_folder()
        _JOURNALS.add(self)
        weakref.finalize(self, _close_all, self._open, self._full).atexit = False

    @property
    def is_sealed(self) -> bool:
        """True while no row waits to be sealed: maintenance may sleep."""
        return not self._open and not self._full and not self.standby.rows

    def append(self, table: str, month: str, *rows: bytes) -> None:
        """
        Write rows, all of them or none: each a JSON object on one line, without `batch_id`. When this returns, they
        survive kill -9, or, if the folder cannot be used, are in memory.

        Raises `JournalFull` at the size cap, on a full disk or at the bounds of memory, `JournalError` if the journal is
        closed; the rows are then not in the journal, and counted.
        """
        try:
            with self._lock:
                segment = self._open.get((table, month)) or self._begin(table, month)
                if len(rows) == 1:  # nearly always: the list and the join of the other branch cost 0.3 us
                    record = _record(segment.prefix, rows[0])
                else:
                    record = b"".join([_record(segment.prefix, row) for row in rows])
                size = len(record)
                if size > MAX_ROW_BYTES or self._written + size > self._limit:
                    self._check_room(size, rows)
                rows_before = segment.rows
                try:
                    written = os.write(segment.descriptor, record)
                except OSError as error:
                    self._fail(segment, error)
                if written != size:
                    self._cut(segment, rows_before, written)
                segment.rows += len(rows)
                segment.size += size
                self._written += size
                if segment.rows >= self._seal_rows or segment.size >= _SEAL_BYTES:
                    self._retire(segment)
        except JournalUnusable as error:
            self._stand_in(str(error), table, month, rows)

    def maintain(self, now: float | None = None) -> int:
        """
        Make all rows durable and seal what is due at `now` (epoch seconds). Gives the number of segments sealed.

        Call it about once a second, never in the user's thread: it waits for the disk. Raises `JournalError` once all
        that can be done is done; nothing is lost by it, and the next call tries again.
        """
        moment = time.time() if now is None else now
        with self._maintenance:
            with self._lock:
                for segment in [*self._open.values()]:
                    if not 0 <= moment - segment.opened < self._seal_seconds:  # also when the clock was set back
                        self._retire(segment)
                unsealed = [*self._open.values()]
            failures = [self._sync(segment) for segment in unsealed]
            sealed = self._seal_full(failures)
            self.standby.write_out()
            if self._wants_room or self._is_measure_due():
                self._look_at_folder()
        self._tell(failures)
        return sealed

    def flush(self) -> int:
        """
        Make every row durable and ready to ship now. Gives the number of segments sealed; raises as `maintain`.

        Rows that cannot leave memory stay there: `standby.rows` tells how many.
        """
        with self._maintenance:
            with self._lock:
                for segment in [*self._open.values()]:
                    self._retire(segment)
            failures: list[OSError | None] = []
            sealed = self._seal_full(failures)
            self.standby.write_out()
        self._tell(failures)
        return sealed

    def close(self) -> None:
        """Seal everything and refuse further rows. What cannot be sealed now is adopted by whoever ships next."""
        self._closed = True
        try:
            self.flush()
        finally:
            with self._maintenance, self._lock:
                _close_all(self._open, self._full)

    def _make_locks(self) -> None:
        # reentrant: a signal handler, or a finaliser, may end a span while this thread is inside `append`
        self._lock = threading.RLock()
        self._maintenance = threading.RLock()

    def _begin(self, table: str, month: str) -> OpenSegment:
        try:
            segment = self._create(table, month)
        except JournalUnusable:
            raise
        except JournalError:
            COUNTERS.add("journal.failed")
            raise
        except OSError as error:
            self._fail(None, error)
        while (nested := self._open.setdefault((table, month), segment)) is not segment:
            self._retire(nested)  # a signal handler began it meanwhile
        return segment

    def _create(self, table: str, month: str) -> OpenSegment:
        if self._closed:
            raise JournalError("the journal is closed: it was shut down with its exporter")
        if not Name.is_possible(table, month):
            raise JournalError(f"table {table!r} and month {month!r} cannot name a segment")
        if self.standby.reason is not None:  # maintenance finds out when that is over
            raise JournalUnusable(self.standby.reason)
        for _ in range(100):
            header = Header(
                version=FORMAT_VERSION,
                table=table,
                month=month,
                ledger=self._ledger,
                batch_id=str(uuid.uuid4()),
                created=time.time(),
            )
            try:
                segment = OpenSegment.create(self._directory, header)
            except FileNotFoundError:  # the folder was removed under us
                prepare(self._directory)
                continue
            if segment is not None:
                self._written += segment.size
                return segment
        raise JournalError(f"no segment can be made in {str(self._directory)!r}: something removes its new files")

    def _stand_in(self, reason: str, table: str, month: str, rows: tuple[bytes, ...]) -> None:
        """Keep rows in memory while the folder cannot be used."""
        _check_size(rows)
        if self.standby.reason is None:
            self.standby.begin(reason)
        self.standby.keep(table, month, rows)

    def _check_room(self, size: int, rows: tuple[bytes, ...]) -> None:
        """Refuse rows that do not fit, unless what was shipped meanwhile has made room for them."""
        _check_size(rows)
        if self._is_measure_due():  # maintenance sleeps while nothing is written, so look here, at most this often
            self._look_at_folder()
        if self._written + size <= self._limit:
            return
        COUNTERS.add("journal.refused")
        self._wants_room = True
        raise JournalFull(
            f"the journal {str(self._directory)!r} holds its {self._max_bytes} bytes: the newest rows are refused and "
            "counted. Bring the ledger back, or raise OTEL_LLMCOST_JOURNAL_MAX_BYTES"
        )

    def _fail(self, segment: OpenSegment | None, error: OSError) -> NoReturn:
        if error.errno in _DISK_FULL:
            COUNTERS.add("journal.disk_full")
            raise JournalFull(
                f"the journal {str(self._directory)!r} cannot be written ({error.strerror}): free space on its disk; rows "
                "are refused and counted until then"
            ) from error
        if segment:
            self._retire(segment)  # whatever is wrong with this file, the next row gets another one
        raise JournalUnusable(unusable(self._directory, error)) from error

    def _cut(self, segment: OpenSegment, rows: int, written: int) -> NoReturn:
        """Take a half-written record back. Should that fail, reading skips it: no good row is at risk either way."""
        if segment.rows == rows:  # else a signal handler wrote behind it
            try:
                size = os.fstat(segment.descriptor).st_size
                os.ftruncate(segment.descriptor, size - written)
            except OSError:
                self._retire(segment)
        self._fail(segment, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _retire(self, segment: OpenSegment) -> None:
        """Begin a new segment with the next row. Any that a signal handler began meanwhile is retired early: harmless."""
        if current := self._open.pop((segment.name.table, segment.name.month), None):
            self._full.append(current)

    def _sync(self, segment: OpenSegment) -> OSError | None:
        """Make a segment's rows durable, outside the append lock; one whose file is gone is sealed, which saves it."""
        try:
            if not segment.sync(self._directory):
                with self._lock:
                    self._retire(segment)
        except OSError as error:
            with self._lock:
                self._retire(segment)  # sealing writes its rows into another file
            return error
        return None

    def _seal_full(self, failures: list[OSError | None]) -> int:
        with self._lock:
            full = [*self._full]
        sealed = 0
        try:
            for segment in full:
                sealed += segment.seal(self._directory)
                with self._lock:
                    self._full.remove(segment)
        except OSError as error:  # the disk or the folder: the others would fail alike
            failures.append(error)
        if sealed:
            try:
                sync_folder(self._directory)
            except OSError as error:
                failures.append(error)
        return sealed

    def _is_measure_due(self) -> bool:
        return not 0 <= time.time() - self._measured < _MEASURE_SECONDS

    def _look_at_folder(self) -> None:
        """Measure the folder for the size cap; one that cannot be used is stood in for."""
        written = self._written
        try:
            prepare(self._directory)
            self._limit = self._max_bytes - folder_bytes(self._directory) + written
            self._measured = time.time()
            self._wants_room = False
        except JournalUnusable as error:
            self.standby.begin(str(error))
        except OSError as error:
            self.standby.begin(unusable(self._directory, error))

    def _tell(self, failures: list[OSError | None]) -> None:
        for error in failures:
            if error:
                COUNTERS.add("journal.sync_failed")
                raise JournalError(
                    f"the journal {str(self._directory)!r} could not be made durable ({error.strerror}): its rows are "
                    "kept and tried again; check the disk and the folder's permissions"
                ) from error

    def _after_fork(self) -> None:
        """In a child: forget the parent's segments, which `locks` has closed, and begin anew."""
        self._make_locks()
        self._open.clear()
        self._full.clear()
        self.standby.forget()


def _record(prefix: bytes, row: bytes) -> bytes:
    payload = prefix + row[1:] + b"\n"  # plain copies of a kilobyte: 0.2 us less than a join over a memoryview
    return _pack_head(len(payload), crc32(payload)) + payload


def _check_size(rows: tuple[bytes, ...]) -> None:
    size = max(map(len, rows)) + frames.ROW_OVERHEAD_BYTES
    if size > MAX_ROW_BYTES:
        COUNTERS.add("journal.refused")
        raise JournalError(f"a row of {size} bytes is refused: at most {MAX_ROW_BYTES} fit a journal record")


def _close_all(open_segments: dict[tuple[str, str], OpenSegment], full: list[OpenSegment]) -> None:
    for segment in (*open_segments.values(), *full):
        segment.file.let_go()
    open_segments.clear()
    full.clear()


def _after_fork() -> None:
    for journal in [*_JOURNALS]:
        journal._after_fork()


_JOURNALS: weakref.WeakSet[Journal] = weakref.WeakSet()
os.register_at_fork(after_in_child=_after_fork)
