"""
Files that this process holds locked: the one place where segments are opened and let go.

A flock lives as long as any copy of its descriptor, so a forked child would keep its dead parent's segments from being
adopted. The child therefore closes them all at once, and no fork can fall between opening a file and knowing it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

__all__ = ["let_go", "open_locked", "still_at"]

_HELD: set[int] = set()
_LOCK = threading.RLock()
"""Held while a file is opened or closed, and across a fork; never while one is read or written."""


def open_locked(path: Path, flags: int) -> int | None:
    """Open a file and lock it without waiting; `None` if another process holds it. Never follows a link."""
    with _LOCK:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        _HELD.add(descriptor)
        return descriptor


def let_go(descriptor: int) -> None:
    """Unlock and close a held file; nothing happens if a fork has done it already."""
    with _LOCK:
        if descriptor in _HELD:
            _HELD.remove(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for a copy that C code forked behind Python's back
            os.close(descriptor)


def still_at(path: Path, descriptor: int) -> bool:
    """Tell whether the path still names the file that we hold: it may have been renamed or removed before the lock."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _after_fork_in_child() -> None:
    for descriptor in _HELD:
        os.close(descriptor)  # without unlocking: the lock is the parent's
    _HELD.clear()
    _LOCK.release()


os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_after_fork_in_child)
