"""
Answers the named questions of other processes about a ledger that this one owns, a thread for each that asks.

Limits: 32 at a time, and who comes after them is turned away after a second; an answer is held in memory once.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import LedgerError, LedgerRefused
from otel_llmcost.fence import fenced
from otel_llmcost.ledger.answers import Answers, questions
from otel_llmcost.ledger.loopback import ERRORS, GREETING_SECONDS, Address
from otel_llmcost.ledger.wire import QUESTION_BYTES, Line, Message, pack, receive_introduction

__all__ = ["Listener"]

_ASKING_AT_ONCE: Final = 32
_IDLE_SECONDS: Final = 600.0
"""Who has asked may think so long about the next question."""
_READING_SECONDS: Final = 30.0
_ROWS_PER_FRAME: Final = 500
_FAILED: Final[Message | list[dict[str, object]]] = {
    "error": "LedgerError",
    "says": "the process that serves the ledger failed: its log has the stack",
}
_logger = logging.getLogger("otel_llmcost")


class Listener:
    """
    Listens from its construction to `close`, on a free port of 127.0.0.1 that `address` tells.

    `catch_up` ships what waits, and says what answers will lack.
    """

    def __init__(self, ledger: Answers, fingerprint: str, catch_up: Callable[[], tuple[str, ...]]) -> None:
        self._ledger = ledger
        self._fingerprint = fingerprint
        self._catch_up = catch_up
        self._lines: set[Line] = set()
        self._changed = threading.Condition()
        self._key = secrets.token_bytes(32)
        self._sockets = _Sockets(self._serve)
        self.address = Address(process=os.getpid(), port=self._sockets.server_address[1], key=self._key.hex())
        threading.Thread(target=self._sockets.serve_forever, name="otel-llmcost-listener", daemon=True).start()

    def close(self, seconds: float) -> bool:
        """Turn everyone away; wait so long for the questions that the engine is at, and tell whether all have ended."""
        deadline = time.monotonic() + seconds
        self._sockets.shutdown()
        self._sockets.server_close()
        with self._changed:
            for line in self._lines:
                line.close()
            return self._changed.wait_for(lambda: not self._lines, max(0.0, deadline - time.monotonic()))

    @fenced("answer", otherwise=None)
    def _serve(self, line: Line) -> None:
        with self._changed:
            self._lines.add(line)
        try:
            receive_introduction(line, self._key, {"ledger": self._fingerprint}, seconds=GREETING_SECONDS)
            while True:
                question = line.receive(seconds=_IDLE_SECONDS, max_bytes=QUESTION_BYTES)
                for frame in self._frames(question):
                    line.send(frame, seconds=_READING_SECONDS)
        except PermissionError as error:
            if not COUNTERS["server.refused"]:
                _logger.warning("a process of this machine was turned away on port %d: %s", self.address.port, error)
            COUNTERS.add("server.refused")
        except OSError:  # it has what it wanted, or does not read, or is not one of us
            COUNTERS.add("server.connections")
        finally:
            with self._changed:
                self._lines.discard(line)
                self._changed.notify_all()

    def _frames(self, question: Message) -> Iterator[Message]:
        answer = self._answer(question)
        if isinstance(answer, dict):
            yield answer
            return
        columns = list(answer[0]) if answer else []
        for start in range(0, max(1, len(answer)), _ROWS_PER_FRAME):
            some = answer[start : start + _ROWS_PER_FRAME]
            rows = [[pack(value) for value in row.values()] for row in some]
            yield {"columns": columns, "rows": rows, "more": start + _ROWS_PER_FRAME < len(answer)}

    @fenced("answer", otherwise=_FAILED)
    def _answer(self, question: Message) -> Message | list[dict[str, object]]:
        name = question.get("ask")
        if name is None:
            return {"lacking": list(self._catch_up())}
        try:
            if name not in questions():
                raise LedgerRefused(
                    f"{name!r} is no question that process {os.getpid()} knows: start `otel-llmcost serve` again, with the "
                    "version that asks"
                )
            return self._ledger.query(name, question.get("parameters"))
        except LedgerError as error:
            known = type(error).__name__ if type(error).__name__ in ERRORS else "LedgerError"
            return {"error": known, "says": str(error)}


class _Sockets(socketserver.ThreadingTCPServer):
    """The listening socket and its threads."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, serve: Callable[[Line], None]) -> None:
        self._serve = serve
        self._free = threading.BoundedSemaphore(_ASKING_AT_ONCE)
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return self._free.acquire(timeout=1.0)

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no more threads: the sockets' loop closes the connection
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        self._serve(Line(request))

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that `Listener.close` may have closed already."""
        if isinstance(request, socket.socket) and request.fileno() >= 0:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        COUNTERS.add("server.connections")
