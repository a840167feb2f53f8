"""
The reading side: take over segments that are sealed, or whose owner died, one process at a time.

Reading trusts nothing: not the name, not the owner, not a byte that fails its checksum. What cannot be read goes to
`quarantine/` and is counted. What a crash left of a split or a merge is sorted out here, before anything is shipped.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import JournalError
from otel_llmcost.held import HeldFile, open_locked
from otel_llmcost.journal.folder import Name, keep_damaged, quarantine, segment_names, sync_folder
from otel_llmcost.journal.frames import FORMAT_VERSION, MAX_SEGMENT_BYTES, Rows, read
from otel_llmcost.journal.segment import Segment

__all__ = ["adopt", "waiting"]

_NOT_OURS: Final = (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES, errno.EPERM)
_FOR_ALL: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What would befall every other segment too."""
_seen: set[tuple[str, int, int]] = set()
"""(counter, device, inode) of files refused before: each is counted once per process, not once per look."""


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
    source = name.whole or name.merged
    if source and path.with_name(str(source)).exists():
        return None  # its rows are in that one, after a crash: whoever adopts that one deletes this one
    status = os.fstat(file.descriptor)
    if not status.st_nlink or not file.is_at(path):
        return None  # shipped, sealed or renamed by another process before we had the lock
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
        _refuse(path, "journal.refused_file")
        return None
    if name.state == "merging":
        path.unlink()  # its maker died before it was complete: the segments that it was made of are valid
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
    if name.state == "merged":  # and can be read: else what it was made of is valid again, once it is in quarantine
        _delete(path.parent, [each for each in segment_names(path.parent) if each.merged == name])
    _mend(path, file, content, data)
    if not content.records:
        path.unlink()
        return None
    segment = Segment(path.parent, name, file, header, content.records, is_whole=not content.damaged)
    if name.state == "open":
        # The token is a hash of these bytes: a power loss must not change them between two tries. It may take back the
        # new name, as good as the old one; a try or a merge makes names durable before anything rests on them.
        os.fsync(file.descriptor)
        segment.rename("sealed", durably=False)
        COUNTERS.add("journal.adopted")
    elif name.merged:  # never completed
        segment.rename("sealed", durably=False)
    if name.first_tried is not None:
        _delete(path.parent, [each for each in segment_names(path.parent) if each.whole == name])
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


def _delete(directory: Path, names: list[Name]) -> None:
    """Delete, durably, what a crash left of a split or a merge: before the segment that has its rows can be shipped."""
    for name in names:
        (directory / str(name)).unlink(missing_ok=True)
    if names:
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
