"""
The journal's folder: who may use it, what its files are called, how they are made, and how full it is.

`<table>.<YYYYMM>.<batch_id>.<state>`, where the state is `open` (its owner holds the flock), `sealed` (complete and
synced), `tried-<epoch>` (its first insert began then), `part-of-<batch_id>-<epoch>` (half of a refused segment, valid
once that `tried-` file is gone), `merging` (several segments in one, never valid), `merged` (the same, complete) or
`into-<batch_id>` (one of those several, valid unless that `merged` file is there). `quarantine/` keeps what cannot be
shipped, each with a reason beside it. Only regular files of our own user, never a link, are touched. Limits: a local
file system with flock; not NFS.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import JournalUnusable
from otel_llmcost.held import HeldFile, open_locked

__all__ = [
    "Backlog",
    "Name",
    "backlog",
    "create",
    "folder_bytes",
    "keep_damaged",
    "prepare",
    "quarantine",
    "segment_names",
    "sync_folder",
    "write_all",
    "write_record",
    "write_segment",
]

_NAME: Final = re.compile(
    r"([a-z][a-z0-9_]{0,63})\.(\d{6})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"\.(open|sealed|tried-\d{1,11}|part-of-[0-9a-f-]{36}-\d{1,11}|merging|merged|into-[0-9a-f-]{36})",
    re.ASCII,
)
_QUARANTINE: Final = "quarantine"


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a segment's file."""

    table: str
    month: str
    batch_id: str
    state: str

    @classmethod
    def parse(cls, text: str) -> Name | None:
        """Read a file name; `None` if it is not a segment's."""
        match = _NAME.fullmatch(text)
        return cls(*match.groups()) if match else None

    @classmethod
    def is_possible(cls, table: str, month: str) -> bool:
        """Tell whether a table and a month can be part of a file's name."""
        return cls.parse(str(cls(table, month, str(uuid.UUID(int=0)), "open"))) is not None

    def __str__(self) -> str:
        return f"{self.table}.{self.month}.{self.batch_id}.{self.state}"

    def to(self, state: str) -> Name:
        """Give the same segment's name in another state."""
        return Name(self.table, self.month, self.batch_id, state)

    @property
    def first_tried(self) -> int | None:
        """Epoch seconds of the first insert, or None."""
        return int(self.state.removeprefix("tried-")) if self.state.startswith("tried-") else None

    @property
    def whole(self) -> Name | None:
        """The segment that this one is a part of, or None."""
        if not self.state.startswith("part-of-"):
            return None
        batch_id, _, tried = self.state.removeprefix("part-of-").rpartition("-")
        return Name(self.table, self.month, batch_id, f"tried-{tried}")

    @property
    def merged(self) -> Name | None:
        """The segment that this one went into, if that was ever completed; or None."""
        if not self.state.startswith("into-"):
            return None
        return Name(self.table, self.month, self.state.removeprefix("into-"), "merged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits in a journal."""

    segments: int
    bytes: int
    oldest_seconds: float
    """Age of the oldest segment's last write; 0 when nothing waits."""
    quarantined: int
    """Files in quarantine, reasons not counted."""


def prepare(directory: Path) -> None:
    """
    Make the folder and the one that it is in (0700) if they are missing.

    Raises `JournalUnusable` if it cannot be, or if others could read or write our rows.
    """
    try:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.stat()
    except OSError as error:
        raise JournalUnusable(
            f"the journal folder {str(directory)!r} cannot be used ({error.strerror}): "
            "set OTEL_LLMCOST_JOURNAL_DIR to a folder that this user can write"
        ) from error
    if status.st_uid != os.geteuid():
        raise JournalUnusable(
            f"the journal folder {str(directory)!r} belongs to user {status.st_uid}, we are user {os.geteuid()}: "
            "run as that user, or set OTEL_LLMCOST_JOURNAL_DIR"
        )
    if status.st_mode & 0o077:
        raise JournalUnusable(f"the journal folder {str(directory)!r} is open to other users: chmod 700 it")


def create(path: Path) -> HeldFile | None:
    """Make a new file, locked and ours alone. `None` if a sweeper took it before we had the lock: use another name."""
    held = open_locked(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL)
    if held is not None and not held.is_at(path):
        held.let_go()
        return None
    return held


def write_record(descriptor: int, record: bytes) -> None:
    """Write a record in one piece; a disk that takes only half of it raises `OSError` ENOSPC."""
    if os.write(descriptor, record) != len(record):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however often it takes, and make it durable."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def write_segment(directory: Path, name: Name, data: bytes, *, replaces: bool = False) -> None:
    """
    Write a complete segment, all of it or nothing, durably but for its name, and let others have it.

    `replaces` puts it in the place of this batch's `open` file first, in one step, so that the two are never both there.
    """
    path = directory / str(name.to("merging"))  # what nobody takes for a segment
    file = create(path)
    if file is None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    try:
        write_all(file.descriptor, data)
        if replaces:
            path = path.rename(directory / str(name.to("open")))
        path.rename(directory / str(name))
    except OSError:
        if path.suffix == ".merging":  # else it is complete, and in the place of the old one
            path.unlink(missing_ok=True)
        raise
    finally:
        file.let_go()


def sync_folder(directory: Path) -> None:
    """Make renames and removals in the folder durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def segment_names(directory: Path) -> list[Name]:
    """List the segments in the folder, whose last write is oldest first; none if the folder is missing."""
    found = [(status.st_mtime_ns, entry.name) for entry, status in _entries(directory)]
    names = (Name.parse(text) for _, text in sorted(found))
    return [name for name in names if name]


def folder_bytes(directory: Path) -> int:
    """Add up the sizes of all files in the folder and in its quarantine."""
    places = (directory, directory / _QUARANTINE)
    return sum(status.st_size for place in places for _, status in _entries(place) if stat.S_ISREG(status.st_mode))


def backlog(directory: Path) -> Backlog:
    """Look at what waits in a journal, without taking any lock; a missing folder is empty."""
    waiting = [status for entry, status in _entries(directory) if Name.parse(entry.name)]
    oldest = min((status.st_mtime for status in waiting), default=None)
    kept = [entry.name for entry, _ in _entries(directory / _QUARANTINE)]
    return Backlog(
        segments=len(waiting),
        bytes=sum(status.st_size for status in waiting),
        oldest_seconds=0.0 if oldest is None else max(0.0, time.time() - oldest),
        quarantined=sum(not name.startswith(".") and not name.endswith(".reason") for name in kept),
    )


def quarantine(path: Path, reason: str) -> None:
    """Move a segment, which the caller holds, to `quarantine/` with its reason beside it; durable on return."""
    kept = _quarantine_folder(path.parent) / path.name
    if kept.exists():  # a segment restored from a backup after it was quarantined: keep both
        kept = kept.with_name(f"{kept.name}.{uuid.uuid4().hex[:8]}")
    _write_reason(kept, reason)
    path.rename(kept)
    sync_folder(kept.parent)
    sync_folder(path.parent)
    COUNTERS.add("journal.quarantined")


def keep_damaged(path: Path, start: int, data: bytes) -> None:
    """Copy unreadable bytes of a segment to `quarantine/`; done once however often the segment is read."""
    segment = path.name.rpartition(".")[0]  # without its state, which changes
    kept = _quarantine_folder(path.parent) / f"{segment}.damaged-{start}"
    if kept.exists():
        return
    _write_reason(kept, f"{len(data)} bytes at offset {start} fail their checksum")
    unfinished = kept.with_name(f".{uuid.uuid4().hex}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)
    unfinished.rename(kept)
    sync_folder(kept.parent)
    COUNTERS.add("journal.damaged")


def _quarantine_folder(directory: Path) -> Path:
    folder = directory / _QUARANTINE
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _write_reason(kept: Path, reason: str) -> None:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    kept.with_name(f"{kept.name}.reason").write_text(f"{moment} {reason}\n", encoding="utf-8")


def _entries(directory: Path) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # shipped while we looked
                    continue
                yield entry, status
    except (FileNotFoundError, NotADirectoryError):  # not made yet, or something is in its way
        return
