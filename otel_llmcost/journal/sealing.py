"""
A segment while this process writes it: made, synced, sealed, and saved if its file is deleted or fails under us.

Owns one descriptor; knows nothing of tables, caps or threads. Sealing renames `open` to `sealed` after an fsync and
then lets go of the lock: from there on any process may ship the segment. After an fsync that failed, the kernel may hold
pages for written that are not, and a second one proves nothing: the rows are written once more, into another file.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from otel_llmcost.counters import COUNTERS
from otel_llmcost.held import HeldFile
from otel_llmcost.journal.folder import Name, create, prepare, sync_folder, write_record, write_segment
from otel_llmcost.journal.frames import Header, row_prefix

__all__ = ["OpenSegment"]


class OpenSegment:
    """A segment that this process is writing. Its methods raise `OSError`."""

    __slots__ = (
        "descriptor",
        "file",
        "header_bytes",
        "is_doubtful",
        "name",
        "opened",
        "prefix",
        "rows",
        "size",
        "synced",
    )

    def __init__(self, name: Name, file: HeldFile, header_bytes: int) -> None:
        self.name = name
        self.file = file
        self.descriptor = file.descriptor
        self.header_bytes = header_bytes
        self.prefix = row_prefix(name.batch_id)
        """What replaces a row's opening brace."""
        self.opened = time.time()
        self.rows = 0
        self.size = header_bytes
        self.synced = 0
        self.is_doubtful = False
        """True once an fsync has failed: what the file holds on the disk is not known."""

    @classmethod
    def create(cls, directory: Path, header: Header) -> OpenSegment | None:
        """Make a new segment; `None` if a sweeper took its file before we had the lock: use another batch id."""
        name = Name(header.table, header.month, header.batch_id, "open")
        path = directory / str(name)
        file = create(path)
        if file is None:
            return None
        first = header.to_frame()
        try:
            write_record(file.descriptor, first)
        except OSError:
            path.unlink(missing_ok=True)
            file.let_go()
            raise
        return cls(name, file, len(first))

    def sync(self, directory: Path) -> bool:
        """Make the rows so far durable, if there are new ones; False if only sealing can: the file is gone, or failed."""
        if self.is_doubtful or not self.file.is_at(directory / str(self.name)):
            return False
        size = os.fstat(self.descriptor).st_size
        if size != self.synced:
            self._fsync()
            if not self.synced:
                sync_folder(directory)  # else a power loss may take the new file's name, and the rows with it
            self.synced = size
        return True

    def seal(self, directory: Path) -> bool:
        """Make the segment complete and give it free; False if it held no row and is gone."""
        path = directory / str(self.name)
        size = os.fstat(self.descriptor).st_size
        if size == self.header_bytes:
            path.unlink(missing_ok=True)
        elif not self.is_doubtful and self.file.is_at(path):
            self._fsync()
            path.rename(path.with_name(str(self.name.to("sealed"))))
        else:
            self._write_again(directory, size)
        self.file.let_go()
        return size > self.header_bytes

    def _fsync(self) -> None:
        try:
            os.fsync(self.descriptor)
        except OSError:
            self.is_doubtful = True
            raise

    def _write_again(self, directory: Path, size: int) -> None:
        """Save the rows of a segment whose file, or whole folder, was deleted while we held it open, or may be damaged."""
        prepare(directory)
        write_segment(directory, self.name.to("sealed"), os.pread(self.descriptor, size, 0), replaces=True)
        COUNTERS.add("journal.rescued")
