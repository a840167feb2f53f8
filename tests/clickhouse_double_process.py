"""
The server's side of `tests/clickhouse_double.py`: an HTTP interface with faults before the real engine (chDB).

    python tests/clickhouse_double_process.py <folder of the store | :memory:> <port, or 0 for a free one>

Prints its two ports: ClickHouse's, and one for the test to say what goes wrong. Ends when its standard input does.
"""

from __future__ import annotations

import base64
import io
import json
import os
import random
import re
import signal
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import NamedTemporaryFile
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

USERNAME = "writer"
PASSWORD = "s3cret/#?@:%pw"
"""As awkward as a password can be: every test that connects proves the parsing of DSNs."""

Phase = Literal["sending", "before", "after"]
Action = Literal[
    "reset", "close", "cut", "status", "exception", "exception_200", "html", "empty", "redirect", "hang", "loris",
    "wrong_query_id", "twice", "kill",
]  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the next `times` statements that `match` a regular expression."""

    phase: Phase
    """While its bytes are still being sent, before the statement ran, or after: stored, but the client hears otherwise."""
    action: Action
    match: str = "."
    times: int = 1
    value: str = ""
    """
    The status, the exception's text, the place that a redirect names (after its status, if not 307), the seconds of a
    hang, the seconds per byte of a slow answer ("loris"), or the seconds until the server kills itself.
    """
    retry_after: str = ""
    """With a status or an exception: the header of that name."""


MEMORY_LIMIT = "Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)"
TOO_MANY_PARTS = "Code: 252. DB::Exception: Too many parts. (TOO_MANY_PARTS)"


def mix(hang_seconds: float) -> tuple[Fault, ...]:
    """Give everything that a network or a server does wrong and that passes: what chaos draws from."""
    return (
        Fault("sending", "reset"),
        Fault("before", "reset"),
        Fault("before", "close"),
        Fault("after", "reset"),
        Fault("after", "reset"),
        Fault("after", "close"),
        Fault("after", "cut"),
        Fault("before", "status", value="503", retry_after="0"),
        Fault("before", "status", value="429"),
        Fault("after", "status", value="503"),
        Fault("after", "status", value="504"),
        Fault("before", "exception", value=MEMORY_LIMIT),
        Fault("before", "exception", value=TOO_MANY_PARTS),
        Fault("after", "exception_200", value=MEMORY_LIMIT),
        Fault("before", "html"),
        Fault("after", "empty"),
        Fault("after", "wrong_query_id"),
        Fault("before", "hang", value=str(hang_seconds)),
        Fault("after", "hang", value=str(hang_seconds)),
        Fault("before", "twice"),
    )


TRANSPORT = {
    "query", "database", "default_format", "query_id", "wait_end_of_query", "client_protocol_version", "compress",
    "enable_http_compression", "send_progress_in_http_headers", "http_headers_progress_interval_ms", "session_id",
    "quota_key", "cancel_http_readonly_queries_on_client_close", "buffer_size", "role", "user", "password",
}  # fmt: skip
"""Parameters of the URL that the HTTP interface takes itself; all others are settings or `param_*`."""
STATUS_OF_CODE = {60: 404, 81: 404, 516: 403, 497: 403, 62: 400, 47: 400, 159: 408}
INSERT = re.compile(rb"\s*(INSERT INTO\s.*?)\s+FORMAT\s+(\w+)\s*\n", re.IGNORECASE | re.DOTALL)
COMMENTS = re.compile(rb"^(\s*--[^\n]*\n)+\s*")
"""What a statement begins with, and no fault is meant to match: the word insert, for one."""
FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)


HELLO = b"SELECT displayName(), version(), revision(), timezone()"
"""What clickhouse-go asks first. It reads the answer in the blocks of its own revision, and all later ones in those of the
revision that it is told: 0, which is what the engine writes and how that client sends its inserts anyway."""


def hello(version: str) -> bytes:
    """Answer that question: one block of Native, with block info and a byte for each column's serialisation."""

    def text(value: str) -> bytes:
        return bytes([len(value)]) + value.encode()

    info = b"\x01\x00\x02\xff\xff\xff\xff\x00"
    texts = {"displayName()": "double", "version()": version}
    columns = [text(name) + text("String") + b"\x00" + text(value) for name, value in texts.items()]
    columns.append(text("revision()") + text("UInt32") + b"\x00" + struct.pack("<I", 0))
    columns.append(text("timezone()") + text("String") + b"\x00" + text("UTC"))
    return info + b"\x04\x01" + b"".join(columns)


def literal(text: str) -> str:
    """A string literal of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Engine:
    """The engine behind the interface; one statement at a time."""

    def __init__(self, store: str) -> None:
        import chdb

        self._connection = chdb.connect(store)
        self._lock = threading.Lock()

    def run(self, body: bytes, parameters: dict[str, str]) -> tuple[bytes, str]:
        """Run a statement with its data; give the answer and its format, "" for a statement without rows."""
        names = [name for name in parameters if name not in TRANSPORT and not name.startswith("param_")]
        with self._lock:
            self._connection.query(f"USE `{parameters.get('database', 'default')}`")
            for name in names:
                self._connection.query(f"SET {name} = {literal(parameters[name])}")
            try:
                if body.strip() == HELLO:
                    return hello(
                        self._connection.query("SELECT version()", "TabSeparated").bytes().decode().strip()
                    ), "Native"
                return self._insert(body) if INSERT.match(body) else self._select(body, parameters)
            finally:
                for name in names:
                    self._connection.query(f"SET {name} = DEFAULT")

    def _insert(self, body: bytes) -> tuple[bytes, str]:
        match = INSERT.match(body)
        assert match is not None
        with NamedTemporaryFile() as payload:
            payload.write(body[match.end() :])
            payload.flush()
            head, form = match[1].decode(), match[2].decode()
            self._connection.query(f"{head} FROM INFILE {literal(payload.name)} FORMAT {form}", "TabSeparated")
        return b"", ""

    def _select(self, body: bytes, parameters: dict[str, str]) -> tuple[bytes, str]:
        bound = {name.removeprefix("param_"): value for name, value in parameters.items() if name.startswith("param_")}
        named = FORMAT.search(body)
        form = named[1].decode() if named else parameters.get("default_format", "TabSeparated")
        # Only a statement that has rows names columns: so ask for names, and take that line off again. Native has them.
        with_names = not named and form != "Native"
        answer: bytes = (
            self._connection.query(body.decode(), f"{form}WithNames" if with_names else form, params=bound).bytes()
            or b""
        )
        if with_names and answer:
            return answer.partition(b"\n")[2], form
        return answer, form if answer else ""


class Faults:
    """What is still to go wrong: said fault by fault, or drawn for each statement from a seeded mix."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: list[dict[str, Any]] = []
        self._draw: Callable[[], Fault | None] = lambda: None
        self._match = ""
        self.drawn = self.faulted = 0

    def say(self, faults: list[dict[str, Any]]) -> None:
        """Let these happen and no others."""
        with self._lock:
            self._said, self._match = faults, ""

    def say_mix(self, seed: int, share: float, match: str, hang_seconds: float) -> None:
        """Let a share of the statements that match fail, each by a fault of the mix; `drawn` and `faulted` count them."""
        chance, faults = random.Random(seed), mix(hang_seconds)
        with self._lock:
            self._said, self._match = [], match
            self._draw = lambda: chance.choice(faults) if chance.random() < share else None

    def draw(self, head: str) -> Fault | None:
        """Give what the mix has for a statement."""
        with self._lock:
            if not self._match or not re.search(self._match, head, re.IGNORECASE):
                return None
            fault = self._draw()
            self.drawn += 1
            self.faulted += fault is not None
            return fault

    def take(self, phase: Phase, head: str) -> Fault | None:
        """Give what was said for a statement in this phase, which is one time less to come."""
        with self._lock:
            for fault in self._said:
                if fault["phase"] == phase and fault["times"] > 0 and re.search(fault["match"], head, re.IGNORECASE):
                    fault["times"] -= 1
                    return Fault(**fault)
        return None


class Listener(ThreadingHTTPServer):
    """One port, with TLS where it has a certificate; can go away and come back."""

    daemon_threads = True
    context: ssl.SSLContext | None = None
    connections: set[socket.socket]

    def __init__(self, place: tuple[str, int], certificate: str = "") -> None:
        self.address_family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        self.connections = set()
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        super().__init__(place, Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def go_away(self) -> None:
        """Refuse connections, and end those that there are."""
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_arguments: object) -> None:
        """Say nothing of clients that went away; anything else is a fault of the double."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(*_arguments)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """One HTTP request: authentication, faults, statement, answer."""

    protocol_version = "HTTP/1.1"
    server: Listener
    engine: Engine
    faults = Faults()
    statements: list[dict[str, Any]] = []  # noqa: RUF012

    def setup(self) -> None:
        """Shake hands in this connection's own thread."""
        if self.server.context:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        """Close what TLS put round the socket."""
        self.server.connections.discard(self.connection)
        super().finish()
        if self.server.context:
            self.connection.close()

    def do_POST(self) -> None:
        """Answer a statement."""
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        length, source = int(self.headers.get("Content-Length") or 0), self.rfile
        if self.headers.get("Transfer-Encoding") == "chunked":
            whole = b"".join(self._chunks())
            length, source = len(whole), io.BytesIO(whole)
        body = source.read(min(length, 1000))
        query = parameters.get("query", "").encode() + b"\n" if "query" in parameters else b""
        head = COMMENTS.sub(b"", query + body)[:200].decode(errors="replace")
        drawn = self.faults.draw(head)

        def fails(phase: Phase) -> bool:
            """Let fail what is to fail now; tell whether that ends the request."""
            fault = self.faults.take(phase, head) or (drawn if drawn and drawn.phase == phase else None)
            return fault is not None and self._fail(fault, query + body, parameters)

        body += source.read(max(0, length // 2 - len(body)))
        if fails("sending"):
            return
        body += source.read(length - len(body))
        self.statements.append({"sql": head, "parameters": parameters})
        if not self._is_known_user():
            self._refuse("Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)")
            return
        if fails("before"):
            return
        try:
            answer, form = self.engine.run(query + body, parameters)
        except RuntimeError as error:
            self._refuse(str(error))
            return
        if not fails("after"):
            self._answer(answer, parameters.get("query_id", ""), form)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def do_GET(self) -> None:
        """Answer like a POST without a body."""
        self.do_POST()

    def _answer(self, answer: bytes, query_id: str, form: str = "") -> None:
        headers = {"X-ClickHouse-Query-Id": query_id, "X-ClickHouse-Summary": "{}", "X-ClickHouse-Timezone": "UTC"}
        self._reply(200, answer, headers | ({"X-ClickHouse-Format": form} if form else {}))

    def _refuse(self, message: str, *, status: int = 0, retry_after: str = "") -> None:
        found = re.search(r"Code: (\d+)", message)
        code = int(found[1]) if found else 1002
        text = message[found.start() :] if found else message
        headers = {"X-ClickHouse-Exception-Code": str(code), **({"Retry-After": retry_after} if retry_after else {})}
        self._reply(status or STATUS_OF_CODE.get(code, 500), text.encode(), headers)

    def _fail(self, fault: Fault, body: bytes, parameters: dict[str, str]) -> bool:
        """Do what the fault says; tell whether the request is answered, or never will be."""
        match fault.action:
            case "hang":
                time.sleep(float(fault.value))
            case "twice":  # as a proxy that sends a request again
                with suppress(RuntimeError):
                    self.engine.run(body, parameters)
            case "kill":
                threading.Timer(float(fault.value), os.kill, (os.getpid(), signal.SIGKILL)).start()
            case _:
                self._answer_badly(fault)
                return True
        return False

    def _answer_badly(self, fault: Fault) -> None:
        match fault.action:
            case "reset":  # linger 0: the kernel sends RST
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
            case "close":
                self.close_connection = True
            case "cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {}\r\nX-ClickHou")
                self.close_connection = True
            case "loris":
                for byte in b"HTTP/1.1 200 OK\r\nX-ClickHouse-Summary: {" + b" " * 10_000:
                    self.wfile.write(bytes([byte]))
                    time.sleep(float(fault.value))
            case "status":
                wait = {"Retry-After": fault.retry_after} if fault.retry_after else {}
                self._reply(int(fault.value), b"injected\n", wait)
            case "exception" | "exception_200":
                self._refuse(fault.value, status=int(fault.action[10:] or 0), retry_after=fault.retry_after)
            case "html" | "empty":
                page = b"<html>Please accept our terms</html>" if fault.action == "html" else b""
                self._reply(200, page, {"Content-Type": "text/html"})
            case "redirect":
                status, _, place = fault.value.rpartition(" ")
                self._reply(int(status or 307), b"", {"Location": place})
            case "wrong_query_id":
                self._answer(b"", "00000000-0000-0000-0000-000000000000")

    def _is_known_user(self) -> bool:
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        return scheme == "Basic" and base64.b64decode(credentials).decode() == f"{USERNAME}:{PASSWORD}"

    def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: standard output carries the ports."""


class Control(BaseHTTPRequestHandler):
    """What the test says and asks, on a port of its own: it is heard also while ClickHouse's port is away."""

    listeners: list[Listener] = []  # noqa: RUF012

    def do_POST(self) -> None:
        """Do as told; answer with JSON."""
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps(getattr(self, self.path.strip("/"))(**said)).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def faults(self, faults: list[dict[str, Any]]) -> None:
        """Let these faults happen."""
        Handler.faults.say(faults)

    def mix(self, **mix: Any) -> None:
        """Draw faults."""
        Handler.faults.say_mix(**mix)

    def drawn(self) -> tuple[int, int]:
        """Tell how many statements the mix was asked about, and how many of them it let fail."""
        return Handler.faults.drawn, Handler.faults.faulted

    def statements(self) -> list[dict[str, Any]]:
        """Tell what was received."""
        return Handler.statements

    def listen(self, host: str, port: int = 0, certificate: str = "") -> int:
        """Answer at one more place."""
        self.listeners.append(Listener((host, port), certificate))
        return self.listeners[-1].server_port

    def away(self, away: bool) -> None:
        """Refuse connections at the first place, or take them again."""
        if away:
            self.listeners[0].go_away()
        else:
            self.listeners[0] = Listener(self.listeners[0].server_address[:2])  # type: ignore[arg-type]

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def main(store: str, port: int) -> None:
    """Serve, and print both ports."""
    Handler.engine = Engine(store)
    control = ThreadingHTTPServer(("127.0.0.1", 0), Control)
    control.daemon_threads = True
    threading.Thread(target=control.serve_forever, daemon=True).start()
    Control.listeners.append(Listener(("127.0.0.1", port)))
    print(Control.listeners[0].server_port, control.server_port, flush=True)  # noqa: T201
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
