"""
A disk that loses what was not synced: names that no fsync of their folder has kept, bytes that no fsync of their file has.

It stands behind `os.open`, `write`, `rename`, `unlink` and `fsync` and remembers what a strict file system would have on
the platter. `after_power_loss` gives a folder as a machine finds it when it comes up again. Limits: one folder, files
written by appending.
"""

from __future__ import annotations

import errno
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

__all__ = ["LosingDisk", "PowerLoss"]


class PowerLoss(BaseException):
    """The machine is off from here on."""


class LosingDisk:
    """
    The platter under `folder`.

    Args:
        stop_at: the number of the operation, from 1, before which the power fails.
        bad_fsyncs: the numbers of the fsyncs of files that fail and lose what they were to keep, as Linux does: the next
            one succeeds.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, *, stop_at: int = 0, bad_fsyncs: tuple[int, ...] = ()):
        self._folder = folder
        self._patch = patch
        self._stop_at = stop_at
        self._bad_fsyncs = bad_fsyncs
        self._files: dict[int, bytes] = {}
        """Durable content by inode."""
        self._lost: set[int] = set()
        """Inodes of which some bytes will never be written."""
        self._names: dict[str, int] = {}
        self.operations = self.fsyncs = 0
        for name in ("open", "write", "rename", "unlink", "fsync"):
            self._stand_behind(name, getattr(os, name))

    def _stand_behind(self, name: str, real: Callable[..., Any]) -> None:
        def operate(*arguments: Any, **options: Any) -> Any:
            self.operations += 1
            if self.operations == self._stop_at:
                raise PowerLoss
            if name == "fsync":
                self._sync(arguments[0])
                return None
            result = real(*arguments, **options)
            if name == "open" and arguments[1] & os.O_EXCL:
                inode = os.fstat(result).st_ino
                self._files.pop(inode, None)  # of a file that is gone
                self._lost.discard(inode)
            return result

        self._patch.setattr(os, name, operate)

    def _sync(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(self._folder) as entries:
                self._names = {entry.name: entry.inode() for entry in entries if entry.is_file()}
            return
        self.fsyncs += 1
        if self.fsyncs in self._bad_fsyncs:
            self._lost.add(status.st_ino)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if status.st_ino not in self._lost:
            self._files[status.st_ino] = os.pread(descriptor, status.st_size, 0)

    def after_power_loss(self, place: Path, chance: random.Random) -> Path:
        """Give the folder, in `place`, with what survived; of what was not synced some bytes may, or zeros for them."""
        self._patch.undo()
        there = {path.stat().st_ino: path.read_bytes() for path in self._folder.iterdir() if path.is_file()}
        place.mkdir(mode=0o700)
        for name, inode in self._names.items():
            kept = self._files.get(inode, b"")
            written = there.get(inode, kept)[len(kept) :] if inode not in self._lost else b""
            some = written[: chance.randrange(len(written) + 1)]
            (place / name).write_bytes(kept + chance.choice([b"", some, some + bytes(len(written) - len(some))]))
        return place
