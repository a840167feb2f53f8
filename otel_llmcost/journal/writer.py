"""
The writing side: `Journal` appends rows to this process's own segments, one open segment per table and month.

When `append` returns, the row is in the kernel and survives kill -9; power loss costs at most what came since the last
`maintain`. A caller's thread does one write under one lock, never an fsync; `maintain`, called about once a second by
one thread, makes rows durable and seals. The lock on an open segment's file is what keeps others from adopting it; it
ends with the process. Limits: one process per object (a forked child begins its own segments), Linux and macOS.
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
from otel_llmcost.errors import JournalError, JournalFull
from otel_llmcost.journal.folder import Name, create, folder_bytes, prepare, sync_folder, write_all, write_record
from otel_llmcost.journal.frames import FORMAT_VERSION, HEAD, MAX_ROW_BYTES, MAX_SEGMENT_BYTES, Header, row_prefix
from otel_llmcost.journal.locks import let_go

__all__ = ["Journal"]

_SEAL_BYTES: Final = MAX_SEGMENT_BYTES // 4
"""A segment is read whole to be shipped: this bounds the shipper's memory."""
_MEASURE_SECONDS: Final = 10.0
"""How often the folder is measured for the size cap; between, our own bytes are counted."""
_DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Segment:
    """A segment that this process is writing."""

    __slots__ = ("descriptor", "header_bytes", "name", "opened", "prefix", "rows", "size", "synced")

    def __init__(self, name: Name, descriptor: int, header_bytes: int) -> None:
        self.name = name
        self.descriptor = descriptor
        self.header_bytes = header_bytes
        self.prefix = row_prefix(name.batch_id)
        self.opened = time.time()
        self.rows = 0
        self.size = header_bytes
        self.synced = 0


class Journal:
    """
    A durable local log of rows, in `directory`, for the ledger with the fingerprint `ledger`.

    At `max_bytes` (the whole folder, every process) the newest rows are refused. A segment is sealed at `seal_rows`
    rows or `seal_seconds` after its first row. Counts `journal.refused` (size cap), `journal.disk_full` and
    `journal.failed`: rows that are lost unless the caller keeps them, each with the error it raised.
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
        prepare(directory)
        self._directory = directory
        self._ledger = ledger
        self._max_bytes = max_bytes
        self._seal_rows = seal_rows
        self._seal_seconds = seal_seconds
        self._closed = False
        self._open: dict[tuple[str, str], _Segment] = {}
        self._full: list[_Segment] = []
        self._written = 0
        self._limit = 0
        self._measured = 0.0
        self._make_locks()
        self._measure()
        _JOURNALS.add(self)
        weakref.finalize(self, _close_all, self._open, self._full).atexit = False

    @property
    def is_sealed(self) -> bool:
        """True while no row waits to be sealed: maintenance may sleep."""
        return not self._open and not self._full

    def append(self, table: str, month: str, row: bytes) -> None:
        """
        Write one row: a JSON object on one line, without `batch_id`. When this returns, the row survives kill -9.

        Raises `JournalFull` at the size cap or on a full disk, `JournalError` if the folder cannot be written or the
        journal is closed; the row is then not in the journal, and counted.
        """
        with self._lock:
            segment = self._open.get((table, month)) or self._begin(table, month)
            payload = b"".join((segment.prefix, memoryview(row)[1:], b"\n"))
            record = HEAD.pack(len(payload), crc32(payload)) + payload
            if self._written + len(record) > self._limit or len(record) > MAX_ROW_BYTES:
                self._refuse(len(record))
            rows = segment.rows
            try:
                written = os.write(segment.descriptor, record)
            except OSError as error:
                self._fail(segment, error)
            if written != len(record):
                self._cut(segment, rows, written)
            segment.rows += 1
            segment.size += written
            self._written += written
            if segment.rows >= self._seal_rows or segment.size >= _SEAL_BYTES:
                self._retire(segment)

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
            if not 0 <= moment - self._measured < _MEASURE_SECONDS:
                self._measure()
                self._measured = moment
        self._tell(failures)
        return sealed

    def flush(self) -> int:
        """Make every row durable and ready to ship now. Gives the number of segments sealed; raises as `maintain`."""
        with self._maintenance:
            with self._lock:
                for segment in [*self._open.values()]:
                    self._retire(segment)
            failures: list[OSError | None] = []
            sealed = self._seal_full(failures)
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

    def _begin(self, table: str, month: str) -> _Segment:
        try:
            segment = self._create(table, month)
        except JournalError:
            COUNTERS.add("journal.failed")
            raise
        except OSError as error:
            self._fail(None, error)
        while (nested := self._open.setdefault((table, month), segment)) is not segment:
            self._retire(nested)  # a signal handler began it meanwhile
        return segment

    def _create(self, table: str, month: str) -> _Segment:
        if self._closed:
            raise JournalError("the journal is closed: it was shut down with its exporter")
        for _ in range(100):
            name = Name(table, month, str(uuid.uuid4()), "open")
            if Name.parse(str(name)) != name:
                raise JournalError(f"table {table!r} and month {month!r} cannot name a segment")
            try:
                descriptor = create(self._directory / str(name))
            except FileNotFoundError:  # the folder was removed under us
                prepare(self._directory)
                continue
            if descriptor is not None:
                return self._head(name, descriptor)
        raise JournalError(f"no segment can be made in {str(self._directory)!r}: something removes its new files")

    def _head(self, name: Name, descriptor: int) -> _Segment:
        header = Header(
            version=FORMAT_VERSION,
            table=name.table,
            month=name.month,
            ledger=self._ledger,
            batch_id=name.batch_id,
            created=time.time(),
        ).to_frame()
        try:
            write_record(descriptor, header)
        except OSError:
            (self._directory / str(name)).unlink(missing_ok=True)
            let_go(descriptor)
            raise
        self._written += len(header)
        return _Segment(name, descriptor, len(header))

    def _refuse(self, size: int) -> NoReturn:
        COUNTERS.add("journal.refused")
        if size > MAX_ROW_BYTES:
            raise JournalError(f"a row of {size} bytes is refused: at most {MAX_ROW_BYTES} fit a journal record")
        self._measured = 0.0  # what was shipped since the last look makes room: look again at the next maintenance
        raise JournalFull(
            f"the journal {str(self._directory)!r} holds its {self._max_bytes} bytes: the newest rows are refused and "
            "counted. Bring the ledger back, or raise OTEL_LLMCOST_JOURNAL_MAX_BYTES"
        )

    def _fail(self, segment: _Segment | None, error: OSError) -> NoReturn:
        where = f"the journal {str(self._directory)!r} cannot be written ({error.strerror})"
        if error.errno in _DISK_FULL:
            COUNTERS.add("journal.disk_full")
            raise JournalFull(f"{where}: free space on its disk; rows are refused and counted until then") from error
        COUNTERS.add("journal.failed")
        if segment:
            self._retire(segment)  # whatever is wrong with this file, the next row gets another one
        raise JournalError(f"{where}: make it writable, or set OTEL_LLMCOST_JOURNAL_DIR") from error

    def _cut(self, segment: _Segment, rows: int, written: int) -> NoReturn:
        """Take a half-written record back. Should that fail, reading skips it: no good row is at risk either way."""
        if segment.rows == rows:  # else a signal handler wrote behind it
            try:
                size = os.fstat(segment.descriptor).st_size
                os.ftruncate(segment.descriptor, size - written)
            except OSError:
                self._retire(segment)
        self._fail(segment, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _retire(self, segment: _Segment) -> None:
        """Begin a new segment with the next row. Any that a signal handler began meanwhile is retired early: harmless."""
        if current := self._open.pop((segment.name.table, segment.name.month), None):
            self._full.append(current)

    def _sync(self, segment: _Segment) -> OSError | None:
        """Make a segment's rows durable, outside the append lock."""
        try:
            status = os.fstat(segment.descriptor)
            if not status.st_nlink:  # its file was deleted by someone: sealing writes it again
                with self._lock:
                    self._retire(segment)
            elif status.st_size != segment.synced:
                os.fsync(segment.descriptor)
                segment.synced = status.st_size
        except OSError as error:
            return error
        return None

    def _seal_full(self, failures: list[OSError | None]) -> int:
        with self._lock:
            full = [*self._full]
        sealed = 0
        for segment in full:
            try:
                sealed += self._seal(segment)
            except OSError as error:
                failures.append(error)
                continue
            with self._lock:
                self._full.remove(segment)
        if sealed:
            try:
                sync_folder(self._directory)
            except OSError as error:
                failures.append(error)
        return sealed

    def _seal(self, segment: _Segment) -> bool:
        path = self._directory / str(segment.name)
        status = os.fstat(segment.descriptor)
        has_rows = status.st_size > segment.header_bytes
        if not has_rows:
            path.unlink(missing_ok=True)
        elif not status.st_nlink:
            self._write_again(segment, status.st_size)
        else:
            os.fsync(segment.descriptor)
            path.rename(path.with_name(str(segment.name.to("sealed"))))
        let_go(segment.descriptor)  # ends the lock: from here on anyone may ship it
        return has_rows

    def _write_again(self, segment: _Segment, size: int) -> None:
        """Save the rows of a segment whose file, or whole folder, was deleted while we held it open."""
        prepare(self._directory)
        path = self._directory / str(segment.name)
        descriptor = create(path)
        if descriptor is None:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        try:
            write_all(descriptor, os.pread(segment.descriptor, size, 0))
            path.rename(path.with_name(str(segment.name.to("sealed"))))
        finally:
            let_go(descriptor)
        COUNTERS.add("journal.rescued")

    def _measure(self) -> None:
        written = self._written
        self._limit = self._max_bytes - folder_bytes(self._directory) + written

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


def _close_all(open_segments: dict[tuple[str, str], _Segment], full: list[_Segment]) -> None:
    for segment in (*open_segments.values(), *full):
        let_go(segment.descriptor)
    open_segments.clear()
    full.clear()


def _after_fork() -> None:
    for journal in [*_JOURNALS]:
        journal._after_fork()


_JOURNALS: weakref.WeakSet[Journal] = weakref.WeakSet()
os.register_at_fork(after_in_child=_after_fork)
