"""Slow lines: a large segment may take its time, one that stands still may not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from otel_llmcost.ledger.calls import Call
from otel_llmcost.ledger.transport import connections

BODY = b"x" * (6 << 20)
"""More than the kernel takes over from a sender."""


@contextmanager
def slow_reader(pause_seconds: float) -> Iterator[str]:
    """Serve one request: read a little, pause, and so on; then answer."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                left = len(BODY)
                while left > 0 and not done.wait(pause_seconds):
                    left -= len(connection.recv(1 << 18).rpartition(b"\r\n\r\n")[2])
                if left <= 0:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX-ClickHouse-Query-Id: q\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/?query_id=q"
        done.set()
        thread.join()


def send(url: str, call_seconds: float) -> int:
    """Send the body, with a time-out for connections that is shorter than the sending takes."""
    pool = connections({})
    try:
        with Call("send", call_seconds):
            return pool.request("POST", url, body=BODY, timeout=Timeout(connect=0.2, read=5)).status
    finally:
        pool.clear()


def test_a_large_segment_over_a_slow_line() -> None:
    """
    A body that is always on its way arrives, though it takes longer than a connection may take to be made.
    """
    with slow_reader(0.01) as url:
        began = time.monotonic()
        assert send(url, 30) == 200
        assert time.monotonic() - began > 0.2


def test_a_line_that_stands_still() -> None:
    """
    A body that hardly moves is given up when the call's time is over.
    """
    with slow_reader(0.4) as url:
        began = time.monotonic()
        with pytest.raises(HTTPError, match=r"not done within 1 s|timed out"):
            send(url, 1)
        assert time.monotonic() - began < 3
