"""
The embedded ledger: ClickHouse's engine (chDB) inside this process, on a folder that one process at a time may own.

chDB itself says only "Error initializing EmbeddedServer" to a second process, and its threads do not survive a fork:
https://github.com/chdb-io/chdb. So a lock file that names its owner is taken before the engine is even imported.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_llmcost.errors import LedgerBusy, LedgerUnavailable, MissingExtra, SettingsError
from otel_llmcost.held import open_locked

if TYPE_CHECKING:
    from clickhouse_connect.driver import Client

__all__ = ["OwnerLock", "open_engine", "owner_process"]

_LOCK_FILE: Final = "owner.lock"


class OwnerLock:
    """
    The right to open the engine of one folder, held until `release` or the end of the process, kill -9 included.

    A forked child does not hold it. Raises `LedgerBusy`, naming the owner's process id, and `SettingsError` when the
    folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = open_locked(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise SettingsError(f"the ledger's folder {folder} cannot be used: {error.strerror}") from error
        if file is None:
            raise LedgerBusy(
                f"the ledger in {folder} is open in process {owner_process(folder)}, and an embedded ledger has one owner: "
                f"{_way_out(folder)}"
            )
        os.ftruncate(file.descriptor, 0)
        os.pwrite(file.descriptor, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Give the folder free for the next owner, whoever else has a copy of the descriptor. May be called twice."""
        self._file.let_go()


def _way_out(folder: Path) -> str:
    """Say how to become the owner."""
    from otel_llmcost.ledger.loopback import Address  # which is built on this module

    owner, serving = owner_process(folder), Address.of(folder)
    if serving is not None and str(serving.process) == owner:
        return f"stop `otel-llmcost serve` (process {owner}), run this, and start it again"
    return "end that process, or ask again when it has ended; `otel-llmcost serve` is an owner that answers others"


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
