"""
Files that this process holds locked: the one place where they are opened and let go.

A flock lives as long as any copy of its descriptor, so a forked child would keep its dead parent's journal segments from
being adopted, and its ledger from being owned again. The child therefore closes them all at once, and no fork can fall
between opening a file and knowing it. Limits: Linux and macOS; elsewhere importing this says so.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

try:
    import fcntl
except ImportError as error:
    raise ImportError(
        f"otel-llmcost runs on Linux and macOS: its journal needs flock, which Python has not on {sys.platform!r}. "
        "On Windows use WSL"
    ) from error

__all__ = ["HeldFile", "open_locked"]

_LOCK = threading.RLock()
"""Held while a file is opened or closed, and across a fork; never while one is read or written."""


class HeldFile:
    """An open file whose lock is ours until `let_go`."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def let_go(self) -> None:
        """Unlock and close. May be called again, also after a fork has closed it: the number may be another file's."""
        with _LOCK:
            if self in _HELD:
                _HELD.remove(self)
                fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # also for a copy that C code forked behind Python's back
                os.close(self.descriptor)

    def is_at(self, path: Path) -> bool:
        """Tell whether the path still names this file: it may have been renamed or removed before we had the lock."""
        try:
            there = path.lstat()
        except FileNotFoundError:
            return False
        here = os.fstat(self.descriptor)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


_HELD: set[HeldFile] = set()


def open_locked(path: Path, flags: int) -> HeldFile | None:
    """Open a file and lock it without waiting; `None` if another process holds it. Never follows a link."""
    with _LOCK:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        held = HeldFile(descriptor)
        _HELD.add(held)
        return held


def _after_fork_in_child() -> None:
    for held in _HELD:
        os.close(held.descriptor)  # without unlocking: the lock is the parent's
    _HELD.clear()
    _LOCK.release()


os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_after_fork_in_child)
