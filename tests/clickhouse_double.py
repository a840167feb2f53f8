"""
A double of a ClickHouse server: its HTTP interface, faults included, in front of the real engine (chDB).

Runs in a process of its own, because an engine allows one store per process. In a test:

    with ClickHouseDouble() as server:
        ledger = connect(server.dsn("llmcost"))
        server.inject(Fault("after", "reset", match="INSERT"))   # stored, but the client never hears

What it does not do: users and grants, compression, sessions, progress headers, parallel queries.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, ClassVar, Literal, Self
from urllib.parse import parse_qsl, quote, urlsplit
from urllib.request import Request, urlopen

USERNAME = "writer"
PASSWORD = "s3cret/#?@:%pw"
"""As awkward as a password can be: every test that connects proves the parsing of DSNs."""

Action = Literal["reset", "status", "exception", "html", "redirect", "hang", "wrong_query_id"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the next `times` statements that `match` a regular expression."""

    phase: Literal["before", "after"]
    """Before the statement ran, or after: stored, but the client is told something else."""
    action: Action
    match: str = "."
    times: int = 1
    value: str = ""
    """The status, the exception's text, the place that a redirect names, or the seconds of a hang."""


class ClickHouseDouble:
    """The test's side: starts the process, gives DSNs, injects faults, tells what was received."""

    def __init__(self, store: Path | None = None) -> None:
        self._store = store

    def __enter__(self) -> Self:
        command = [sys.executable, __file__, *([str(self._store)] if self._store else [])]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def dsn(self, database: str = "llmcost") -> str:
        """The DSN of a database of this server."""
        return f"http://{USERNAME}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def inject(self, *faults: Fault) -> None:
        """Let these faults happen, and no others."""
        self._control("faults", json.dumps([asdict(fault) for fault in faults]).encode())

    def statements(self) -> list[dict[str, Any]]:
        """What was received: `{"sql": first 200 characters, "parameters": of the URL}`, oldest first."""
        received: list[dict[str, Any]] = json.loads(self._control("statements", b""))
        return received

    def _control(self, path: str, body: bytes) -> bytes:
        with urlopen(
            Request(f"http://127.0.0.1:{self.port}/_double/{path}", body, method="POST"), timeout=10
        ) as answer:
            content: bytes = answer.read()
            return content


# ---------------------------------------------------------------- the server's side

TRANSPORT = {
    "query", "database", "default_format", "query_id", "wait_end_of_query", "client_protocol_version", "compress",
    "enable_http_compression", "send_progress_in_http_headers", "http_headers_progress_interval_ms", "session_id",
    "cancel_http_readonly_queries_on_client_close", "buffer_size", "role", "user", "password",
}  # fmt: skip
"""Parameters of the URL that the HTTP interface takes itself; all others are settings or `param_*`."""
STATUS_OF_CODE = {60: 404, 81: 404, 516: 403, 497: 403, 62: 400, 47: 400, 159: 408}
INSERT = re.compile(rb"\s*(INSERT INTO\s.*?)\s+FORMAT\s+(\w+)\s*\n", re.IGNORECASE | re.DOTALL)
FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)


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
        # Only a statement that has rows names columns: so ask for names, and take that line off again.
        probe = form if named else form + "WithNames"
        answer: bytes = self._connection.query(body.decode(), probe, params=bound).bytes() or b""
        if not named and answer:
            return answer.partition(b"\n")[2], form
        return answer, form if answer else ""


class Handler(BaseHTTPRequestHandler):
    """One HTTP request: control plane, authentication, faults, statement, answer."""

    protocol_version = "HTTP/1.1"
    engine: ClassVar[Engine]
    faults: ClassVar[list[dict[str, Any]]] = []
    statements: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        """Answer a statement, or the control plane."""
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if url.path.startswith("/_double/"):
            return self._control(url.path.removeprefix("/_double/"), body)
        parameters = dict(parse_qsl(url.query, keep_blank_values=True))
        if "query" in parameters:
            body = parameters["query"].encode() + b"\n" + body
        if not self._is_known_user():
            return self._refuse("Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)")
        return self._statement(body, parameters)

    def do_GET(self) -> None:
        """Answer like a POST without a body."""
        self.do_POST()

    def _statement(self, body: bytes, parameters: dict[str, str]) -> None:
        head = body[:200].decode(errors="replace")
        Handler.statements.append({"sql": head, "parameters": parameters})
        if (fault := self._take_fault("before", head)) and self._fail(fault, parameters):
            return
        try:
            answer, form = self.engine.run(body, parameters)
        except RuntimeError as error:
            self._refuse(str(error))
            return
        if (fault := self._take_fault("after", head)) and self._fail(fault, parameters):
            return
        self._answer(answer, parameters.get("query_id", ""), form)

    def _answer(self, answer: bytes, query_id: str, form: str = "") -> None:
        headers = {"X-ClickHouse-Query-Id": query_id, "X-ClickHouse-Summary": "{}", "X-ClickHouse-Timezone": "UTC"}
        self._reply(200, answer, headers | ({"X-ClickHouse-Format": form} if form else {}))

    def _refuse(self, message: str) -> None:
        found = re.search(r"Code: (\d+)", message)
        code = int(found[1]) if found else 1002
        text = message[found.start() :] if found else message
        self._reply(STATUS_OF_CODE.get(code, 500), text.encode(), {"X-ClickHouse-Exception-Code": str(code)})

    def _fail(self, fault: dict[str, Any], parameters: dict[str, str]) -> bool:
        """Do what the fault says; tell whether the request is answered, or never will be."""
        match fault["action"], fault["value"]:
            case "reset", _:  # linger 0: the kernel sends RST
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
            case "status", status:
                self._reply(int(status), b"injected\n")
            case "exception", message:
                self._refuse(message)
            case "html", _:
                self._reply(200, b"<html>Please accept our terms</html>", {"Content-Type": "text/html"})
            case "redirect", place:
                self._reply(307, b"", {"Location": place})
            case "wrong_query_id", _:
                self._answer(b"", "00000000-0000-0000-0000-000000000000")
            case "hang", seconds:
                time.sleep(float(seconds))
                return False
        return True

    def _take_fault(self, phase: str, head: str) -> dict[str, Any] | None:
        for fault in self.faults:
            if fault["phase"] == phase and fault["times"] > 0 and re.search(fault["match"], head, re.IGNORECASE):
                fault["times"] -= 1
                return fault
        return None

    def _control(self, path: str, body: bytes) -> None:
        if path == "faults":
            Handler.faults = json.loads(body)
        self._reply(200, json.dumps(self.statements).encode())

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
        """Say nothing: standard output carries the port."""


def main() -> None:
    """Serve on a free port of this machine, and print it."""
    Handler.engine = Engine(sys.argv[1] if len(sys.argv) > 1 else ":memory:")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)  # noqa: T201
    server.serve_forever()


if __name__ == "__main__":
    main()
