"""
The embedded ledger: ClickHouse's engine (chDB) inside this process, on a folder that one process at a time may own.

chDB itself says only "Error initializing EmbeddedServer" to a second process, and its threads do not survive a fork:
https://github.com/chdb-io/chdb. So a lock file that names its owner is taken before the engine is even imported.
"""

from __future__ import annotations

import fcntl
import os
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_llmcost.errors import LedgerBusy, LedgerUnavailable, MissingExtra, SettingsError

if TYPE_CHECKING:
    from clickhouse_connect.driver import Client

__all__ = ["OwnerLock", "open_engine", "owner_process"]

_LOCK_FILE: Final = "owner.lock"

_FORK: Final = threading.RLock()
"""Held while a lock is taken or given up, and across a fork: no fork falls between opening a file and knowing it."""
_HELD: set[OwnerLock] = set()
"""What a forked child must not keep: a flock lives as long as any copy of its descriptor."""


class OwnerLock:
    """
    The right to open the engine of one folder, held until `release` or the end of the process, kill -9 included.

    A forked child does not hold it. Raises `LedgerBusy`, naming the owner's process id, and `SettingsError` when the
    folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        with _FORK:
            self._take(folder)
            _HELD.add(self)

    def _take(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise SettingsError(f"the ledger's folder {folder} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise LedgerBusy(
                f"the ledger in {folder} is open in process {owner_process(folder)}, and an embedded ledger has one owner: "
                "end that process, or ask again when it has ended; `otel-llmcost serve` is an owner that answers others"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the folder free for the next owner, whoever else has a copy of the descriptor. May be called twice."""
        with _FORK:
            if self in _HELD:
                _HELD.remove(self)
                fcntl.flock(self._file, fcntl.LOCK_UN)
                os.close(self._file)


def owner_process(folder: Path) -> str:
    """Give the process id of the last owner of the folder, as it wrote it, or `unknown`."""
    try:
        descriptor = os.open(folder / _LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return "unknown"
    try:
        return os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"
    finally:
        os.close(descriptor)


def _after_fork_in_child() -> None:
    for lock in _HELD:
        os.close(lock._file)  # without unlocking: the lock is the parent's
    _HELD.clear()
    _FORK.release()


os.register_at_fork(before=_FORK.acquire, after_in_parent=_FORK.release, after_in_child=_after_fork_in_child)


def open_engine(folder: Path | None) -> Client:
    """Open the engine on `<folder>/engine`, or in memory. Raises `MissingExtra` and `LedgerUnavailable`."""
    if find_spec("chdb") is None:
        raise MissingExtra("a chdb:// ledger needs the engine: pip install 'otel-llmcost[embedded]'")
    from clickhouse_connect import get_client
    from clickhouse_connect.driver.exceptions import Error

    path = ":memory:" if folder is None else str(folder / "engine")
    try:
        if folder is not None:
            (folder / "engine").mkdir(mode=0o700, exist_ok=True)
        return get_client(interface="chdb", path=path, tz_mode="aware", show_clickhouse_errors="scrub")
    except (Error, OSError) as error:
        raise LedgerUnavailable(f"the engine could not open {path}: {error}") from error
