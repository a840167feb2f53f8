"""
The one thread that syncs and seals a journal: it starts with the first row and sleeps while nothing is written.

All waiting for the disk is done there, so that whoever asks for a flush waits as long as it wants to, and no longer. Limits:
a daemon thread; what it did not seal at exit is an orphan, which the next process of the same ledger adopts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from otel_llmcost.errors import JournalError
from otel_llmcost.fence import fenced
from otel_llmcost.journal.writer import Journal

__all__ = ["Maintenance"]

_PERIOD_S: Final = 1.0
_logger = logging.getLogger("otel_llmcost")


class _Flush:
    """Someone waits until the journal is flushed, or closed."""

    def __init__(self, *, closes: bool) -> None:
        self.closes = closes
        self.done = threading.Event()
        self.succeeded = False


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
        self._starting = threading.RLock()
        self._is_closed = False
        self._is_awake = False
        self._calls: SimpleQueue[_Flush | None] = SimpleQueue()
        """What the thread is to do: flush, or None for a round in a second. A signal may interrupt its `put` and put too."""

    def wake(self) -> None:
        """Say that a row was written. Costs two attribute reads while the thread is awake."""
        if not self._is_awake:
            self._is_awake = True
            self._calls.put(None)
        if self._thread is None:
            self._start()

    def flush(self, timeout_seconds: float) -> bool:
        """Make every row so far durable and ready to ship; True if all of that was done in time."""
        return self._ask(_Flush(closes=False), timeout_seconds)

    def close(self, timeout_seconds: float) -> bool:
        """Close the journal and end the thread; True if all rows were sealed in time. A thread that hangs is left behind."""
        done = self._ask(_Flush(closes=True), timeout_seconds)
        self._is_closed = True
        return done

    def complain(self, error: JournalError) -> None:
        """Log an error of the journal, once for each message."""
        if str(error) not in self._said:
            self._said.add(str(error))
            _logger.error("%s", error)

    def _ask(self, call: _Flush, timeout_seconds: float) -> bool:
        if self._is_closed:
            return self._journal.is_sealed
        if not self._journal.is_sealed:
            self._start()
        if self._thread is None:  # nothing to wait for; or no thread can be had, as in an interpreter that ends
            self._serve(call)
        else:
            self._calls.put(call)
        return call.done.wait(timeout_seconds) and call.succeeded

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._is_closed:
                thread = threading.Thread(target=self._run, name="otel-llmcost-journal", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no more threads, or the interpreter is ending: the next row tries again
                    return
                self._thread = thread

    def _run(self) -> None:
        while True:
            call = self._calls.get() or self._pause()
            self._is_awake = False  # before the round: a row written during it is the next round's
            if call is None:
                self._maintain()
            else:
                self._serve(call)
                if call.closes:
                    return
            if not self._journal.is_sealed:
                self._is_awake = True
                self._calls.put(None)

    def _pause(self) -> _Flush | None:
        try:
            return self._calls.get(timeout=_PERIOD_S)
        except Empty:
            return None

    @fenced("maintain", otherwise=None)
    def _maintain(self) -> None:
        try:
            self._journal.maintain(time.time())
        except JournalError as error:
            self.complain(error)
        if self._after is not None:
            self._after()

    @fenced("maintain", otherwise=None)
    def _serve(self, call: _Flush) -> None:
        try:
            if call.closes:
                self._journal.close()
            else:
                self._journal.flush()
            call.succeeded = True
        except JournalError as error:
            self.complain(error)
        finally:
            call.done.set()
