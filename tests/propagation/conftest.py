"""A fake provider on loopback that goes by any name, and a global propagator that each test may replace."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.context import attach, detach
from opentelemetry.context.context import Context
from opentelemetry.propagate import get_global_textmap, set_global_textmap
from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost import fence
from otel_llmcost.counters import COUNTERS
from otel_llmcost.propagation import OwnerGuard

COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1790000000,
    "model": "gpt-5",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


class Provider(ThreadingHTTPServer):
    """Answers chat completions and redirects `/to/<host>`; keeps the headers of each request, by the name it used."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[dict[str, str]] = []

    def url(self, host: str) -> str:
        """Give the base URL under which this server is `host`."""
        return f"http://{host}:{self.server_port}"

    def last(self) -> dict[str, str]:
        """Give the headers of the last request, names in lower case."""
        return self.received[-1]


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.do_GET()

    def do_GET(self) -> None:
        self.server.received.append({name.lower(): value for name, value in self.headers.items()})
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("location", self.server.url(self.path.removeprefix("/to/")))
            self.send_header("content-length", "0")
            self.end_headers()
            return
        body = json.dumps(COMPLETION).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """
    Run the fake provider; every host name leads to it, and no proxy stands between.
    """
    resolve = socket.getaddrinfo

    def to_loopback(host: object, *arguments: object, **options: object) -> object:
        return resolve("127.0.0.1", *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", to_loopback)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def tracing() -> Iterator[TracerProvider]:
    """
    Give a tracer provider of this test alone.
    """
    provider = TracerProvider()
    yield provider
    provider.shutdown()


@pytest.fixture(autouse=True)
def own_propagation(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """
    Put back the global propagator and the context; let the fence raise, because here an error must be seen.
    """
    COUNTERS.reset()
    monkeypatch.setattr(fence, "RERAISE", True)
    before, token = get_global_textmap(), attach(Context())
    if isinstance(before, OwnerGuard):  # of a processor of an earlier test
        set_global_textmap(before.wrapped)
    yield
    detach(token)
    set_global_textmap(before)
