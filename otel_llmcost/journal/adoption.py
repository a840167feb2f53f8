"""
The reading side: take over segments that are sealed, or whose owner died, one process at a time.

Whoever holds a segment's lock may ship, split, quarantine or remove it; nobody else can. Reading trusts nothing: not
the name, not the owner, not a byte that fails its checksum. What cannot be read goes to `quarantine/` and is counted.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import JournalError
from otel_llmcost.journal.folder import (
    Name,
    create,
    keep_damaged,
    quarantine,
    segment_names,
    sync_folder,
    write_all,
)
from otel_llmcost.journal.frames import FORMAT_VERSION, MAX_SEGMENT_BYTES, Header, Rows, frame, read, rebatch
from otel_llmcost.journal.locks import HeldFile, open_locked

__all__ = ["Segment", "adopt", "waiting"]

_NOT_OURS: Final = (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES, errno.EPERM)
_FOR_ALL: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What would befall every other segment too."""
_seen: set[tuple[str, int, int]] = set()
"""(counter, device, inode) of files refused before: each is counted once per process, not once per look."""


class Segment:
    """A segment that this process holds: complete, checked, and safe from every other process until let go."""

    def __init__(self, directory: Path, name: Name, file: HeldFile, header: Header, records: list[bytes]) -> None:
        self._directory = directory
        self._name = name
        self._file = file
        self._header = header
        self._records = records

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @property
    def path(self) -> Path:
        """The file, under its present name."""
        return self._directory / str(self._name)

    @property
    def table(self) -> str:
        """The table that the rows are for."""
        return self._name.table

    @property
    def month(self) -> str:
        """The month of every row, `YYYYMM`."""
        return self._name.month

    @property
    def batch_id(self) -> str:
        """The id that every row carries."""
        return self._name.batch_id

    @property
    def rows(self) -> int:
        """How many rows there are; at least one."""
        return len(self._records)

    @property
    def splits(self) -> int:
        """How often it was halved because the ledger refused it; 0 for what a journal wrote."""
        return self._header.splits

    @property
    def first_tried(self) -> int | None:
        """Epoch seconds of the first insert that was tried, or None."""
        return self._name.first_tried

    def payload(self) -> bytes:
        """Give all rows as JSON lines, byte for byte as they were appended."""
        return b"".join(self._records)

    def rename(self, state: str) -> None:
        """Put the segment into another state, durably."""
        name = self._name.to(state)
        self.path.rename(self._directory / str(name))
        self._name = name
        sync_folder(self._directory)

    def mark_tried(self, now: float) -> None:
        """Record, durably and once, that an insert is about to be tried at `now` (epoch seconds)."""
        if self._name.first_tried is None:
            self.rename(f"tried-{max(0, int(now))}")

    def remove(self) -> None:
        """Delete the segment: its rows are in the ledger."""
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Let others have it. May be called twice."""
        self._file.let_go()

    def quarantine(self, reason: str) -> None:
        """Set the segment aside with a reason, for a person to look at."""
        quarantine(self.path, reason)
        self.release()

    def split(self) -> tuple[Segment, Segment]:
        """
        Replace a segment that the ledger refused by two halves, each a new batch; both are held by the caller.

        For a tried segment of two rows or more, none of them in the ledger. Removing the whole makes the halves valid,
        in one step: a crash before it leaves the whole, a crash after it the halves, never both.
        """
        middle = self.rows // 2
        with ExitStack() as held:  # should this fail half-way, the halves are let go, never deleted: adoption decides
            halves = self._part(self._records[:middle], held), self._part(self._records[middle:], held)
            sync_folder(self._directory)
            self.path.unlink()
            sync_folder(self._directory)
            held.pop_all()
        self.release()
        return halves

    def _part(self, records: list[bytes], held: ExitStack) -> Segment:
        batch_id = str(uuid.uuid4())
        name = Name(self.table, self.month, batch_id, f"part-of-{self.batch_id}-{self.first_tried}")
        header = Header(
            version=FORMAT_VERSION,
            table=self.table,
            month=self.month,
            ledger=self._header.ledger,
            batch_id=batch_id,
            created=time.time(),
            splits=self.splits + 1,
        )
        rows = [rebatch(record, batch_id) for record in records]
        file = create(self._directory / str(name))
        if file is None:
            raise JournalError(f"a new file in {str(self._directory)!r} is held by another process")
        held.callback(file.let_go)
        write_all(file.descriptor, header.to_frame() + b"".join(map(frame, rows)))
        return Segment(self._directory, name, file, header, rows)


def waiting(directory: Path, ledger: str) -> Iterator[Segment]:
    """
    Adopt, one by one and oldest first, the segments for this ledger that are sealed or whose owner died.

    The caller releases or removes each before it asks for the next, so that few files are held at a time.
    """
    for name in segment_names(directory):
        if segment := adopt(directory / str(name), ledger):
            yield segment


def adopt(path: Path, ledger: str) -> Segment | None:
    """
    Take over one segment; `None` if another process has it, it is gone, empty, in quarantine now, or not ours.

    A file that cannot be read or mended is counted, and does not stop the others. Raises `JournalError` when no file
    could be opened.
    """
    name = Name.parse(path.name)
    if name is None:
        return None
    try:
        return _adopt(path, name, ledger)
    except OSError as error:
        if error.errno in _FOR_ALL:
            raise JournalError(f"the journal {str(path.parent)!r} cannot be read ({error.strerror})") from error
        _refuse(path, "journal.unreadable")
        return None


def _adopt(path: Path, name: Name, ledger: str) -> Segment | None:
    try:
        file = open_locked(path, os.O_RDWR)
    except OSError as error:
        if error.errno in _NOT_OURS:
            _refuse(path, "journal.refused_file")
            return None
        raise
    if file is None:
        return None
    segment = None
    try:
        segment = _take(path, name, file, ledger)
    finally:
        if segment is None:
            file.let_go()
    return segment


def _take(path: Path, name: Name, file: HeldFile, ledger: str) -> Segment | None:
    if name.whole and path.with_name(str(name.whole)).exists():
        return None  # a half whose whole is still there: left by a crash, deleted by whoever adopts the whole
    status = os.fstat(file.descriptor)
    if not status.st_nlink or not file.is_at(path):
        return None  # shipped, sealed or renamed by another process before we had the lock
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
        _refuse(path, "journal.refused_file")
        return None
    if status.st_size > MAX_SEGMENT_BYTES:
        quarantine(path, f"{status.st_size} bytes: larger than any segment that this version writes")
        return None
    return _check(path, name, file, os.pread(file.descriptor, status.st_size, 0), ledger)


def _check(path: Path, name: Name, file: HeldFile, data: bytes, ledger: str) -> Segment | None:
    content = read(data)
    header = content.header
    if header is None:
        _set_aside(path, data)
        return None
    if header.ledger != ledger or header.version != FORMAT_VERSION:
        _refuse(path, "journal.foreign")
        return None
    if (header.table, header.month, header.batch_id) != (name.table, name.month, name.batch_id):
        quarantine(path, f"its name does not match its header ({header.table}.{header.month}.{header.batch_id})")
        return None
    _mend(path, file, content, data)
    if not content.records:
        path.unlink()
        return None
    segment = Segment(path.parent, name, file, header, content.records)
    if name.state == "open":
        os.fsync(
            file.descriptor
        )  # the token is a hash of these bytes: a power loss must not change them between two tries
        segment.rename("sealed")
        COUNTERS.add("journal.adopted")
    if name.first_tried is not None:
        _delete_halves(path.parent, name)
    return segment


def _set_aside(path: Path, data: bytes) -> None:
    """Deal with a file without a header: nothing in it, or nothing that says which ledger its rows are for."""
    if data.strip(b"\0"):
        quarantine(path, "its header cannot be read: the ledger that it is for is not known")
    else:
        path.unlink()


def _mend(path: Path, file: HeldFile, content: Rows, data: bytes) -> None:
    """Keep what cannot be read, cut what was never complete."""
    for start, end in content.damaged:
        keep_damaged(path, start, data[start:end])
    if content.torn_at is not None:
        os.ftruncate(file.descriptor, content.torn_at)
        COUNTERS.add("journal.torn")


def _delete_halves(directory: Path, whole: Name) -> None:
    """Delete the halves of a split that a crash cut short, before the whole can be shipped."""
    halves = [name for name in segment_names(directory) if name.whole == whole]
    for half in halves:
        (directory / str(half)).unlink(missing_ok=True)
    if halves:
        sync_folder(directory)


def _refuse(path: Path, counter: str) -> None:
    """Leave a file alone that is not ours to ship, and count it once."""
    try:
        status = path.lstat()
    except OSError:  # gone: shipped by another process
        return
    key = (counter, status.st_dev, status.st_ino)
    if key not in _seen and len(_seen) < 10_000:
        _seen.add(key)
        COUNTERS.add(counter)
