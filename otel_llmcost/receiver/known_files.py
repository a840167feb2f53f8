"""
The marks of known spans on the disk: 8 bytes a span, in a folder of the journal, appended before a sender is answered.

A file belongs to the process that holds its lock: one for the young half and one for the old half, which is deleted with it.
A receiver that starts reads the files of all, and puts those of dead ones together into one of its own, so that several on one
journal, and one that dies again and again, leave no more than two each. Limits: not synced, so a power loss may take the marks
of the last half minute; what follows damaged bytes in a file is forgotten, and the log says so.
"""

from __future__ import annotations

import errno
import logging
import os
import uuid
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final
from zlib import crc32

from otel_llmcost.held import HeldFile, open_locked
from otel_llmcost.journal.folder import create, write_all
from otel_llmcost.journal.frames import HEAD, frame

__all__ = ["MARK_BYTES", "KnownFiles"]

MARK_BYTES: Final = 8
_FIRST: Final = frame(b"otel-llmcost known spans, version 1\n")
_ROUNDS: Final = 5
"""Looks at a folder in which another receiver starts: what it has put together is there before the parts are gone."""
_logger = logging.getLogger("otel_llmcost")


class _Damaged(Exception):
    """The rest of a file cannot be read."""


class _File:
    """A file of ours. Its methods raise `OSError`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / str(uuid.uuid4())
        held = create(self.path)
        if held is None:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self.held: HeldFile = held
        self._size = 0
        try:
            self.append(_FIRST)
        except OSError:
            self.delete()
            raise

    def append(self, record: bytes) -> None:
        """Write all of it or nothing."""
        written = os.write(self.held.descriptor, record)
        if written != len(record):
            os.ftruncate(self.held.descriptor, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def delete(self) -> None:
        """Be gone; one that cannot be deleted is taken over by the next to start, and does no harm."""
        with suppress(OSError):
            self.path.unlink()
        self.held.let_go()


class KnownFiles:
    """The files in `folder`, which is made when there is something to write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._young: _File | None = None
        self._old: _File | None = None

    def __str__(self) -> str:
        return str(self._folder)

    def append(self, marks: Sequence[bytes]) -> None:
        """Write marks of the young half, all or none. Raises `OSError`."""
        if self._young is None or not self._young.held.is_at(self._young.path):
            self._let_go(self._young)
            self._young = _File(self._folder)
        self._young.append(frame(b"".join(marks)))

    def drop_old(self) -> None:
        """Forget the old half on the disk too; what was young is old from now on."""
        if self._old is not None:
            self._old.delete()
        self._old, self._young = self._young, None

    def close(self) -> None:
        """Leave the files to whoever starts next."""
        for file in (self._young, self._old):
            self._let_go(file)
        self._young = self._old = None

    def take_over(self, most: int) -> set[bytes]:
        """Give the newest marks of all files; what dead processes left is ours from now on, as the old half."""
        found: set[bytes] = set()
        with ExitStack() as held:
            dead: list[Path] = []
            for _ in range(_ROUNDS):
                found.clear()
                if self._look(found, most, dead, held):
                    break
            if dead:
                self._put_together(found, dead)
        return found

    def _look(self, found: set[bytes], most: int, dead: list[Path], held: ExitStack) -> bool:
        """Read all files, and hold those that nobody else does; False if one was gone before it was read."""
        for path in self._newest_first():
            try:
                if (file := _locked(path)) is not None:
                    held.callback(file.let_go)
                    dead.append(path)
                marks = _read(path, is_dead=file is not None)
            except FileNotFoundError:
                return False
            if len(found) < most:
                found.update(marks[len(found) - most :])
        return True

    def _newest_first(self) -> list[Path]:
        dated: list[tuple[int, Path]] = []
        try:
            for path in self._folder.iterdir():
                with suppress(FileNotFoundError):
                    dated.append((path.lstat().st_mtime_ns, path))
        except FileNotFoundError:
            pass
        except OSError as error:
            _tell(self._folder, f"cannot be listed ({error.strerror})")
        return [path for _, path in sorted(dated, reverse=True)]

    def _put_together(self, marks: Collection[bytes], dead: Iterable[Path]) -> None:
        try:
            self._old = _File(self._folder)
            if marks:
                write_all(self._old.held.descriptor, frame(b"".join(marks)))
        except OSError:  # the dead ones are left to the next to start; whoever writes the next marks says what is wrong
            self.drop_old()
            return
        for path in dead:
            with suppress(OSError):
                path.unlink()

    @staticmethod
    def _let_go(file: _File | None) -> None:
        if file is not None:
            file.held.let_go()


def _locked(path: Path) -> HeldFile | None:
    try:
        return open_locked(path, os.O_RDWR)
    except FileNotFoundError:
        raise
    except OSError:  # another user's, or no file: reading it says so
        return None


def _read(path: Path, *, is_dead: bool) -> list[bytes]:
    marks: list[bytes] = []
    try:
        _add_marks(path.read_bytes(), marks)
    except FileNotFoundError:
        raise
    except OSError as error:
        _tell(path, f"cannot be read ({error.strerror})")
    except _Damaged as error:
        if is_dead:  # else its owner is writing it
            _tell(path, str(error))
    return marks


def _add_marks(data: bytes, marks: list[bytes]) -> None:
    if not data.startswith(_FIRST):
        raise _Damaged("was cut or damaged, or is another version's")
    position = len(_FIRST)
    while position < len(data):
        start = position + HEAD.size
        length, checksum = HEAD.unpack(data[position:start]) if start < len(data) else (0, 0)
        held = data[start : start + length]
        if not held or len(held) != length or crc32(held) != checksum or length % MARK_BYTES:
            raise _Damaged(f"was cut or damaged at byte {position}")
        marks += [held[at : at + MARK_BYTES] for at in range(0, length, MARK_BYTES)]
        position = start + length


def _tell(path: Path, what: str) -> None:
    _logger.warning(
        "%s %s: spans that it named and that are sent again may be billed again, which `otel-llmcost verify` finds",
        path,
        what,
    )
