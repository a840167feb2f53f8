"""
The one thread that syncs and seals a journal: it starts with the first row and sleeps while nothing is written.

Limits: a daemon thread; what it did not seal at exit is an orphan, which the next process of the same ledger adopts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from otel_llmcost.errors import JournalError
from otel_llmcost.fence import fenced
from otel_llmcost.journal.writer import Journal

__all__ = ["Maintenance"]

_PERIOD_S: Final = 1.0
_logger = logging.getLogger("otel_llmcost")


class Maintenance:
    """
    Keeps `journal` synced each second while rows come.

    Args:
        journal: what is maintained.
        after: called after each round, to wake a shipper.
    """

    def __init__(self, journal: Journal, after: Callable[[], None] | None) -> None:
        self._journal = journal
        self._after = after
        self._said: set[str] = set()
        self.restart()

    def restart(self) -> None:
        """Begin with no thread: at construction, and in a forked child."""
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._written = threading.Event()

    def wake(self) -> None:
        """Say that a row was written. Costs two attribute reads while the thread is awake."""
        if not self._written.is_set():
            self._written.set()
        if self._thread is None:
            self._start()

    def stop(self, timeout_seconds: float) -> None:
        """End the thread, or leave it behind after `timeout_seconds`: it is a daemon."""
        self._stop.set()
        self._written.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def complain(self, error: JournalError) -> None:
        """Log an error of the journal, once for each message."""
        if str(error) not in self._said:
            self._said.add(str(error))
            _logger.error("%s", error)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                thread = threading.Thread(target=self._run, name="otel-llmcost-journal", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no more threads, or the interpreter is ending: the next row tries again
                    return
                self._thread = thread

    def _run(self) -> None:
        while not self._stop.is_set():
            self._written.wait()
            if self._stop.wait(_PERIOD_S):
                return
            self._written.clear()  # before the round: a row written during it is the next round's
            self._maintain()
            if not self._journal.is_sealed:
                self._written.set()

    @fenced("maintain", otherwise=None)
    def _maintain(self) -> None:
        try:
            self._journal.maintain(time.time())
        except JournalError as error:
            self.complain(error)
            return
        if self._after is not None:
            self._after()
