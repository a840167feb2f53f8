"""The real Collector as a process of a test, and a sink that keeps what it is sent, byte for byte."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llmcost.model import SpanView
from otel_llmcost.receiver.protobuf import read_spans
from tests.collector.binary import CONFIG, collector_binary

PATIENCE_S = 90.0
"""For what takes a second on an idle machine."""


_given: set[int] = set()


def free_port() -> int:
    """Give a port that nobody listens at, and that was not given before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


class Collector:
    """One Collector on ports of its own; `start` again after `kill` or `stop`, with the same state folder."""

    def __init__(self, folder: Path, *files: str, **settings: str) -> None:
        self.role = "AGENT" if files[0].startswith("agent") else "GATEWAY"
        self.grpc, self.http, self._health = free_port(), free_port(), free_port()
        self._log = folder / f"{self.role.lower()}.log"
        self._command = [str(collector_binary())]
        for file in files:
            self._command += ["--config", str(CONFIG / file)]
        self._environment = {
            "PATH": "/usr/bin:/bin",
            f"LLMCOST_{self.role}_STATE": str(folder / self.role.lower()),
            f"LLMCOST_{self.role}_GRPC": f"127.0.0.1:{self.grpc}",
            f"LLMCOST_{self.role}_HTTP": f"127.0.0.1:{self.http}",
            f"LLMCOST_{self.role}_HEALTH": f"127.0.0.1:{self._health}",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Collector:
        """Start, and wait until it says that it is well."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        wait_until(self._is_well, f"the {self.role.lower()} is up: {self._log.read_text()[-2000:]}")
        return self

    def _is_well(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-4000:]
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self._health}", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Let it end by itself."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE_S)
            self._process = None


@contextmanager
def running(*collectors: Collector) -> Iterator[None]:
    """Start them in this order, and end them in the other one."""
    try:
        for each in collectors:
            each.start()
        yield
    finally:
        for each in reversed(collectors):
            each.kill()


def post(port: int, body: bytes | dict[str, Any], content_type: str = "application/json") -> int:
    """Send a request of spans; give the status, or 0 if nobody answered."""
    held = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/traces", data=held, headers={"content-type": content_type}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


class Sink:
    """An OTLP/HTTP server that keeps every body, unpacked, before it answers."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.authorizations: list[str | None] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                sink.bodies.append(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
                sink.authorizations.append(self.headers["authorization"])
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()

    def requests(self) -> list[ExportTraceServiceRequest]:
        """Give what came, decoded."""
        return [ExportTraceServiceRequest.FromString(body) for body in list(self.bodies)]

    def spans(self) -> list[SpanView]:
        """Give every span that came, as often as it came."""
        return [each for body in list(self.bodies) for each in read_spans(body) if isinstance(each, SpanView)]

    def span_keys(self) -> list[tuple[str, str]]:
        """Give (trace_id, span_id) of every span that came."""
        return [
            (span.trace_id.hex(), span.span_id.hex())
            for request in self.requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
