"""
The world of the history goes on: a few requests a second, as of now, until it is stopped.

It runs in a thread and only writes its journal; whoever owns the ledger ships it (`otel_llmcost.server.Server`).
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from otel_llmcost.demo.days import DAY_NS, Calendar, draw, generator, pick
from otel_llmcost.demo.history import open_exporter, settings_of
from otel_llmcost.demo.sending import Sender

__all__ = ["Live"]

_PAUSE_SECONDS: Final = 0.3
"""Between two pieces of work, on average."""


class Live:
    """Sends from `start` to `stop`, or for as long as a `with` lasts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="llmcost-demo-live", daemon=True)
        self.requests = 0
        """Sent so far."""

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """End, with everything sent in the journal; within a second."""
        self._over.set()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def _run(self) -> None:
        sender = Sender(open_exporter(settings_of(self._folder)))
        rng = generator(time.time_ns(), "live")
        sender.draw_ids_from(rng)
        while not self._over.wait(rng.expovariate(1 / _PAUSE_SECONDS)):
            calendar = Calendar(datetime.now(UTC))
            now_ns = time.time_ns()
            work = draw(rng, pick(rng, calendar), (now_ns - calendar.midnight_ns) / DAY_NS, calendar)
            # it ends now: a span is seen when it has ended
            sender.send(work._replace(start_ns=now_ns - work.tries[-1].end_ns))
            self.requests += len(work.tries)
        sender.close()
