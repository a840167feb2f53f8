"""
The background shipper: one daemon thread per process, for a ledger on a server.

It sleeps until a segment is sealed, backs off while the ledger is away, and owes the process nothing: what it has not
shipped waits on disk for the next one. Limits: exit waits for it as long as `stop` is told, never longer; orphans of
other processes are looked for once a minute, or as often as it is told to look.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from opentelemetry import context

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import LedgerUnavailable, LLMCostError
from otel_llmcost.fence import fenced
from otel_llmcost.journal import Standby, segment_names
from otel_llmcost.shipper.rounds import RowLedger, Shipped, ship_once

__all__ = ["OpenLedger", "ShipperThread"]

_IDLE_SECONDS: Final = 60.0
_LONGEST_PAUSE: Final = 60.0
_SHORTEST_PAUSE: Final = 0.5
_MESSAGES: Final = 100
_REPEAT_SECONDS: Final = 900.0
_logger = logging.getLogger("otel_llmcost")


class OpenLedger(RowLedger, Protocol):
    """A ledger that is closed when the thread ends."""

    def close(self) -> None:
        """Close the connection."""


class ShipperThread:
    """
    Ships the journal in `directory` in the background, over a ledger that `connect` opens at the first segment.

    The thread starts with the first `wake`, and again in a forked child. A ledger that does not answer is tried again
    after 0.5 to 60 seconds, or after what it asks for, one that refuses after 60; each failure is counted as
    `shipper.failed`, and each distinct message logged, again every 15 minutes while it lasts. `merging` puts small
    segments into large ones first, which one shipper per node does, `look_seconds` is how often it looks by itself, and
    `standby` has rows of this process that are not in the folder.
    """

    _thread: threading.Thread | None
    _changed: threading.Condition

    def __init__(
        self,
        *,
        connect: Callable[[], OpenLedger],
        directory: Path,
        fingerprint: str,
        on_shipped: Callable[[str, bytes], None] | None = None,
        merging: bool = False,
        look_seconds: float = _IDLE_SECONDS,
        standby: Standby | None = None,
    ) -> None:
        self._connect = connect
        self._directory = directory
        self._fingerprint = fingerprint
        self._on_shipped = on_shipped
        self._merging = merging
        self._look_seconds = look_seconds
        self._standby = standby
        self._said: dict[str, float] = {}
        self._stopping = False
        self._begin_anew()
        _SHIPPERS.add(self)

    def start(self) -> None:
        """Start the thread unless it runs. Costs one attribute read when it does."""
        if self._thread is None:
            with self._changed:
                self._start_once()

    def wake(self) -> None:
        """Say that a segment may be ready. A pause after a failure is not cut short by it."""
        with self._changed:
            self._work = True
            self._changed.notify_all()
        self.start()

    def flush(self, timeout_seconds: float) -> bool:
        """
        Ship what is sealed now. True only if nothing was left behind in time.

        It does not wait out a pause; but a ledger that refused, or asked to be left alone, is not asked before its time.
        """
        deadline = time.monotonic() + timeout_seconds
        if time.monotonic() < self._rests_until:
            return self._is_drained()
        self.start()
        while (shipped := self._round_by(deadline)) is not None:
            if shipped.stopped is not None:
                return False
            if not shipped.left:
                return True
            # another process holds a segment: it may ship it any moment, or let go of it
            time.sleep(max(0.0, min(0.05, deadline - time.monotonic())))
        return False

    def ship_now(self, timeout_seconds: float) -> Shipped | None:
        """Do one whole round that begins after now, without waiting out a pause; None if it does not end in time."""
        self.start()
        return self._round_by(time.monotonic() + timeout_seconds, insist=True)

    def stop(self, timeout_seconds: float = 2.0) -> bool:
        """
        End the thread, after a last round if the ledger answered lately; in all not longer than the timeout.

        Tells whether it has ended: a ledger that is at work on an insert cannot be interrupted.
        """
        deadline = time.monotonic() + timeout_seconds
        if self._thread is not None and not self._failures:
            self._round_by(time.monotonic() + timeout_seconds * 0.8)
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(max(0.0, deadline - time.monotonic()))
        return not thread.is_alive()

    def _begin_anew(self) -> None:
        """Be without a thread and a connection: at construction, and in a forked child, which inherits neither."""
        self._thread = None
        self._changed = threading.Condition()
        self._ledger: OpenLedger | None = None
        self._work = True
        self._asked = 0
        self._answered = 0
        self._insisted = 0
        self._failures = 0
        self._rests_until = 0.0
        self._shipped = Shipped()

    def _start_once(self) -> None:
        """Start the thread; the caller holds the lock."""
        if self._thread is not None or self._stopping:
            return
        thread = threading.Thread(target=self._run, name="otel-llmcost-shipper", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is shutting down, or is out of threads: the rows are on disk
            COUNTERS.add("shipper.not_started")
        else:
            self._thread = thread

    def _round_by(self, deadline: float, *, insist: bool = False) -> Shipped | None:
        """
        Wait for a whole round that begins after now; None if there was none in time.

        While the ledger is to be left alone the last round counts as one, unless the caller insists.
        """
        with self._changed:
            if self._thread is None or self._stopping:
                return None
            self._asked += 1
            ticket = self._asked
            if insist:
                self._insisted = ticket
            self._changed.notify_all()
            answered = self._changed.wait_for(lambda: self._answered >= ticket, max(0.0, deadline - time.monotonic()))
            return self._shipped if answered else None

    def _run(self) -> None:
        _suppress_instrumentation()
        pause = 0.0
        while (asked := self._next(pause)) is not None:
            rest = self._rests_until - time.monotonic()
            if rest > 0 and self._insisted <= self._answered:
                shipped, pause = self._shipped, rest
            else:
                shipped = self._round()
                pause = self._pause_after(shipped)
            with self._changed:
                self._answered = asked
                self._shipped = shipped
                self._changed.notify_all()
        if self._ledger is not None:
            self._close(self._ledger)

    def _next(self, pause: float) -> int | None:
        """
        Sleep until a round is due; give how many rounds were asked for so far, or None to end.

        Asking for a round ends any sleep, work only an idle one.
        """

        def is_due() -> bool:
            return self._stopping or self._asked > self._answered or (self._work and not pause)

        with self._changed:
            self._changed.wait_for(is_due, pause or self._look_seconds)
            self._work = False
            return None if self._stopping else self._asked

    @fenced("ship", otherwise=Shipped(stopped=LLMCostError("the shipper failed: the log has its stack")))
    def _round(self) -> Shipped:
        ledger = _WhenNeeded(self._open)
        return ship_once(
            ledger,
            self._directory,
            fingerprint=self._fingerprint,
            on_shipped=self._on_shipped,
            merging=self._merging,
            standby=self._standby,
        )

    @fenced("ship", otherwise=None)
    def _close(self, ledger: OpenLedger) -> None:
        ledger.close()

    def _open(self) -> OpenLedger:
        if self._ledger is None:
            self._ledger = self._connect()
        return self._ledger

    def _pause_after(self, shipped: Shipped) -> float:
        """Give the seconds to wait before the next round, 0 for "until there is work"; say what went wrong."""
        stopped = shipped.stopped
        if stopped is None:
            self._failures = 0
            return 0.0
        self._failures += 1
        COUNTERS.add("shipper.failed")
        is_away = isinstance(stopped, LedgerUnavailable)
        self._say(logging.WARNING if is_away else logging.ERROR, str(stopped))
        asked = stopped.retry_after_seconds if isinstance(stopped, LedgerUnavailable) else None
        if is_away and asked is None:
            longest = min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2.0 ** min(self._failures, 8))
            # spread over half of it, so that the processes of a fleet do not come back all at once
            return max(_SHORTEST_PAUSE, longest * random.uniform(0.5, 1.0))  # noqa: S311  # no secret
        pause = _LONGEST_PAUSE
        if asked is not None:  # never sooner; and again not all at once
            pause = max(_SHORTEST_PAUSE, min(_LONGEST_PAUSE, asked * random.uniform(1.0, 1.2)))  # noqa: S311
        self._rests_until = time.monotonic() + pause
        return pause

    def _is_drained(self) -> bool:
        if self._standby is not None and self._standby.rows:
            return False
        try:
            return all(name.state == "open" for name in segment_names(self._directory))
        except OSError:
            return False

    def _say(self, level: int, message: str) -> None:
        now = time.monotonic()
        if now - self._said.get(message, -_REPEAT_SECONDS) >= _REPEAT_SECONDS:
            if len(self._said) >= _MESSAGES:
                self._said.clear()
            self._said[message] = now
            _logger.log(level, "rows wait in the journal %s: %s", self._directory, message)


class _WhenNeeded:
    """A ledger that is opened by its first use: a round that finds nothing to ship connects to nothing."""

    def __init__(self, connect: Callable[[], OpenLedger]) -> None:
        self._open = connect

    def insert(self, table: str, payload: bytes, *, token: str) -> None:
        self._open().insert(table, payload, token=token)

    def has_batch(self, table: str, batch_id: str, month: str = "") -> bool:
        return self._open().has_batch(table, batch_id, month)

    def mark_for_repair(self, table: str, month: str, batch_id: str, reason: str) -> None:
        self._open().mark_for_repair(table, month, batch_id, reason)


def _suppress_instrumentation() -> None:
    """Keep this thread's own HTTP calls out of the application's traces; the context is the thread's alone."""
    quiet = context.get_current()
    keys = (
        context._SUPPRESS_INSTRUMENTATION_KEY,
        context._SUPPRESS_HTTP_INSTRUMENTATION_KEY,
        "suppress_instrumentation",  # older instrumentations look for the plain words
        "suppress_http_instrumentation",
    )
    for key in keys:
        quiet = context.set_value(key, True, quiet)
    context.attach(quiet)


def _after_fork() -> None:
    for shipper in [*_SHIPPERS]:
        shipper._begin_anew()


_SHIPPERS: weakref.WeakSet[ShipperThread] = weakref.WeakSet()
os.register_at_fork(after_in_child=_after_fork)
