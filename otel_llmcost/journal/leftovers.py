"""Segments that no round of ours will ship, and why: what a report must say that its answers lack."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from otel_llmcost.journal.folder import segment_names
from otel_llmcost.journal.frames import FORMAT_VERSION, MAX_HEADER_BYTES, read_header

__all__ = ["Leftovers", "leftovers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """Segments in a journal's folder, by what keeps them there. What a live process is still writing is in none."""

    foreign_users: tuple[int, ...] = ()
    """The owner of each segment that another user wrote."""
    foreign_ledgers: tuple[str, ...] = ()
    """What each segment of ours names that is for another ledger, or of another version's format."""
    unshipped: int = 0
    """Those that this user may ship to this ledger: refused by it, unreadable, or in another process's hands."""

    @property
    def foreign(self) -> int:
        """How many stay until someone does something about them."""
        return len(self.foreign_users) + len(self.foreign_ledgers)

    def reasons(self, directory: Path) -> Iterator[str]:
        """Say in a sentence each how many are foreign, why, and what to do."""
        if users := sorted({*self.foreign_users}):
            yield (
                f"segments that belong to user {_listed(users)}, while this is user {os.geteuid()}: "
                f"{len(self.foreign_users)}, in {directory}. Run this as that user"
            )
        if ledgers := sorted({*self.foreign_ledgers}):
            yield (
                f"segments for another ledger ({_listed(ledgers)}): {len(self.foreign_ledgers)}, in {directory}. Move them "
                "into that ledger's journal; or, if its folder was made anew, write what they name into its file `id`"
            )


def leftovers(directory: Path, ledger: str, batches: frozenset[str] | None = None) -> Leftovers:
    """
    Look at what is left in a journal, or of some of its segments, without taking any lock; a missing folder is empty.

    Raises `OSError` if the folder cannot be listed.
    """
    users: list[int] = []
    ledgers: list[str] = []
    unshipped = 0
    for name in segment_names(directory):
        if batches is not None and name.batch_id not in batches:
            continue
        path = directory / str(name)
        try:
            owner = path.lstat().st_uid
            if owner != os.geteuid():
                users.append(owner)
            elif (other := _other_ledger(path, ledger)) is not None:
                ledgers.append(other)
            else:
                unshipped += name.state != "open"
        except FileNotFoundError:  # shipped while we looked
            continue
        except OSError:  # a link, a folder: nothing that a journal wrote, and nothing that is shipped
            unshipped += 1
    return Leftovers(foreign_users=tuple(users), foreign_ledgers=tuple(ledgers), unshipped=unshipped)


def _other_ledger(path: Path, ledger: str) -> str | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        header = read_header(os.pread(descriptor, MAX_HEADER_BYTES, 0))
    finally:
        os.close(descriptor)
    if header is None or (header.ledger == ledger and header.version == FORMAT_VERSION):
        return None
    return header.ledger if header.ledger != ledger else f"format {header.version}"


def _listed(each: list[int] | list[str]) -> str:
    return ", ".join(map(str, each[:3])) + (", …" if len(each) > 3 else "")
