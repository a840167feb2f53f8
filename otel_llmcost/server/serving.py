"""
The owner of a ledger's journal: ships it every second and, for an embedded ledger, answers other processes' questions.

Applications only write journals; this may start, end and be killed at any moment without them. Limits: one per embedded
ledger; for a server's ledger any number, since a segment's lock decides. It must never fork: the engine's threads would
be missing in the child.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, Self

from otel_llmcost.errors import LedgerUnavailable, SettingsError
from otel_llmcost.journal import Backlog, backlog, segment_names
from otel_llmcost.ledger import Dsn, Ledger, connect, migrations, parse_dsn
from otel_llmcost.ledger.loopback import Address
from otel_llmcost.metrics import process_metrics
from otel_llmcost.reports.session import connect_when_free, lacking
from otel_llmcost.server.listener import Listener
from otel_llmcost.settings import Settings
from otel_llmcost.shipper import ShipperThread

__all__ = ["Server"]

_TICK_SECONDS: Final = 1.0
_ORPHANS_SECONDS: Final = 10.0
"""A segment that is still open may be a dead process's; looking takes its lock, so not every second."""
_START_SECONDS: Final = 30.0
"""A command that asks owns the ledger for a second or two, or until it has shipped a long journal."""
_CATCH_UP_SECONDS: Final = 10.0
_ANSWERING_SECONDS: Final = 0.5
_SHIPPING_SECONDS: Final = 1.0


class Server:
    """
    Serves a ledger from its construction to `close`; `run` keeps the journal moving in between.

    Raises `LedgerBusy` when another process keeps the embedded ledger, `SettingsError`, `MissingExtra` and `LedgerError`.
    """

    def __init__(self, settings: Settings, dsn: str | None = None) -> None:
        self._place = parse_dsn(dsn or settings.ledger_dsn())
        if self._place.kind == "chdb" and self._place.path is None:
            raise SettingsError(f"{self._place} ends with its process, so nobody can ask it: name a chdb:///folder")
        self._directory = self._place.journal_dir(settings)
        self._fingerprint = self._place.fingerprint
        self._ledger = _own(self._place) if self._place.path is not None else None
        self._asking: Ledger | None = None
        """A connection for questions to a server; an embedded ledger has one for everything."""
        self._questions = 0
        """How many are being answered."""
        self._asked = threading.Condition()
        self._shipper = ShipperThread(
            connect=self._connect,
            directory=self._directory,
            fingerprint=self._fingerprint,
            on_shipped=process_metrics().add_shipped if settings.metrics else None,
            merging=True,  # every application of the ledger seals each second, and an insert costs the engine the same
            look_seconds=_ORPHANS_SECONDS,
        )
        self._listener = None
        if self._ledger is not None and self._place.path is not None:
            self._listener = Listener(self._ledger, self._fingerprint, self._catch_up)
            self._announce(self._listener, self._place.path)

    def __str__(self) -> str:
        if self._listener is None:
            return f"process {os.getpid()} ships {self._directory} to {self._place}"
        port = self._listener.address.port
        return f"process {os.getpid()} owns {self._place}: ships {self._directory}, answers on 127.0.0.1:{port}"

    def run(self, stop: SimpleQueue[int]) -> None:
        """Look at the journal every second until something is put into `stop`, which a signal handler may do."""
        self._shipper.wake()
        while True:
            if self._sealed() != frozenset():
                self._shipper.wake()
            try:
                stop.get(timeout=_TICK_SECONDS)
            except Empty:
                continue
            return

    def query(self, name: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """Ask the ledger a named question; threads may. Raises `LedgerError`."""
        with self._asked:
            self._questions += 1
        try:
            return (self._ledger or self._asking or self._connected()).query(name, parameters)
        finally:
            with self._asked:
                self._questions -= 1
                self._asked.notify_all()

    def backlog(self) -> Backlog:
        """Look at what waits in the journal."""
        return backlog(self._directory)

    @property
    def place(self) -> Dsn:
        """The ledger that is served."""
        return self._place

    def close(self) -> bool:
        """
        End within 2 seconds; what is not shipped waits in the journal.

        False when the engine is still at work: then only the end of the process ends it, which loses nothing.
        """
        ended = True
        deadline = time.monotonic() + _ANSWERING_SECONDS
        if self._listener is not None and self._place.path is not None:
            Address.remove(self._place.path)
            ended = self._listener.close(_ANSWERING_SECONDS)
        ended = self._shipper.stop(_SHIPPING_SECONDS) and ended
        with self._asked:
            ended = self._asked.wait_for(lambda: not self._questions, max(0.0, deadline - time.monotonic())) and ended
        for ledger in (self._ledger, self._asking):
            if ended and ledger is not None:
                ledger.close()
        return ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _announce(self, listener: Listener, folder: Path) -> None:
        try:
            listener.address.write(folder)
        except OSError as error:
            self.close()
            raise LedgerUnavailable(f"{folder} cannot be written ({error.strerror}): free some space in it") from error

    def _connect(self) -> Ledger:
        return self._ledger or connect(self._place)

    def _connected(self) -> Ledger:
        """Connect for questions: outside the lock, so that nobody waits for another's time-out; the first one is kept."""
        opened = connect(self._place)
        with self._asked:
            kept = self._asking = self._asking or opened
        if kept is not opened:
            opened.close()
        return kept

    def _sealed(self) -> frozenset[str] | None:
        try:
            return frozenset(name.batch_id for name in segment_names(self._directory) if name.state != "open")
        except OSError:  # a round says why
            return None

    def _catch_up(self) -> tuple[str, ...]:
        """Ship what waits at this moment; an application that goes on writing makes no answer incomplete."""
        waiting = self._sealed()
        shipped = self._shipper.ship_now(_CATCH_UP_SECONDS)
        late = LedgerUnavailable("they are still being shipped, ask again in a minute")
        stopped = late if shipped is None else shipped.stopped
        return tuple(lacking(self._directory, self._fingerprint, stopped, waiting if stopped is None else None))


def _own(place: Dsn) -> Ledger:
    ledger = connect_when_free(place, _START_SECONDS)
    try:
        migrations.apply(ledger)
    except BaseException:
        ledger.close()
        raise
    return ledger
