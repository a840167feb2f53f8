"""`otel-llmcost serve --otlp` as a process: what it acknowledged is stored once, whenever it is killed."""

from __future__ import annotations

import http.client
import re
import signal
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.clickhouse_double import ClickHouseDouble
from tests.receiver.otlp import a_span, as_protobuf, batch
from tests.server.processes import COMMAND, Process, run, total, wait_until_shipped

HEADERS = {"content-type": "application/x-protobuf"}
DYING = (sys.executable, "-W", "ignore", "-m", "tests.receiver.dying")


class Serve(Process):
    """`otel-llmcost serve --otlp` on a free port, ready."""

    def __init__(self, dsn: str, *options: str, command: tuple[str, ...] = COMMAND, **settings: str) -> None:
        super().__init__([*command, "serve", "--dsn", dsn, "--otlp", "0", *options], **settings)
        self.said = self.line(self.process.stderr)
        found = re.search(r"http://127\.0\.0\.1:(\d+)/v1/traces", self.said)
        assert found, self.said
        self.port = int(found.group(1))

    def post(self, body: bytes, **headers: str) -> int:
        """Send spans; give the status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", "/v1/traces", body, HEADERS | headers)
            return connection.getresponse().status
        finally:
            connection.close()


def spans(count: int, *, first: int = 1, at: float | None = None) -> list[dict[str, Any]]:
    """Make requests that happened just now, each inside a span of the same request that shows no usage."""
    at_ns = int((time.time() if at is None else at) * 1e9)
    found = []
    for number in range(first, first + count):
        times = {"startTimeUnixNano": str(at_ns + number), "endTimeUnixNano": str(at_ns + number + 10**9)}
        bare = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-5.4-mini",
            "gen_ai.provider.name": "openai",
        }
        found.append(a_span(2 * number, trace=number, attributes=bare, **times))
        found.append(a_span(2 * number + 1, trace=number, parent=2 * number, **times))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the ledger is."""
    return tmp_path / "ledger"


@pytest.fixture
def dsn(folder: Path) -> str:
    """Its DSN."""
    return f"chdb://{folder}"


def test_what_was_received_is_reported(dsn: str, folder: Path) -> None:
    """
    Spans that were acknowledged are in the ledger, exactly; it ends when told, without a word.
    """
    with Serve(dsn) as serve:
        assert serve.post(as_protobuf(batch(*spans(50)))) == 200
        wait_until_shipped(folder)
        found = total(dsn)
        serve.process.send_signal(signal.SIGTERM)
        code = serve.process.wait(timeout=60)
        assert serve.process.stderr is not None
        said = serve.process.stderr.read()

    assert (found["requests"], Decimal(str(found["cost_usd"])), code, said) == (50, Decimal("0.645"), 0, "")
    assert run("verify", "--dsn", dsn).returncode == 0


@pytest.mark.parametrize("unmarked", ["", "1"])
@pytest.mark.parametrize("days", [0, 2])
def test_killed_before_the_answer(dsn: str, days: int, unmarked: str) -> None:
    """
    Killed (kill -9) when the spans are in the journal and before they are acknowledged, or even marked as known: sent
    again, each is billed once, however old it is.
    """
    body = as_protobuf(batch(*spans(200, at=time.time() - days * 86_400)))
    with (
        Serve(dsn, command=DYING, DIES_UNMARKED=unmarked) as serve,
        pytest.raises((ConnectionError, http.client.HTTPException)),
    ):
        serve.post(body)
    with Serve(dsn) as serve:
        assert serve.post(body) == 200
        assert serve.post(body) == 200
        serve.process.send_signal(signal.SIGTERM)
        assert serve.process.wait(timeout=60) == 0
    verified = run("verify", "--dsn", dsn)

    assert total(dsn)["requests"] == 200
    assert verified.returncode == 0, verified.stdout


@pytest.mark.parametrize("days", [0, 2])
def test_killed_when_it_was_shipped(dsn: str, folder: Path, days: int) -> None:
    """
    Killed when the spans are in the ledger and the journal is empty: sent again, each is billed once, however old it is.
    """
    body = as_protobuf(batch(*spans(200, at=time.time() - days * 86_400)))
    with Serve(dsn) as serve:
        assert serve.post(body) == 200
        wait_until_shipped(folder)
    with Serve(dsn) as serve:
        assert serve.post(body) == 200
        assert serve.post(as_protobuf(batch(*spans(5, first=1000)))) == 200
        serve.process.send_signal(signal.SIGTERM)
        assert serve.process.wait(timeout=60) == 0

    assert total(dsn)["requests"] == 205


@pytest.mark.slow
def test_killed_again_and_again(dsn: str) -> None:
    """
    Killed at any moment while a sender repeats what was not acknowledged: nothing is lost, and nothing billed twice.
    """
    bodies = [as_protobuf(batch(*spans(20, first=1 + 20 * number))) for number in range(60)]
    port = threading.Event()
    current: list[Serve] = []

    def send() -> None:
        for body in bodies:
            while True:
                port.wait(60)
                try:
                    if current[-1].post(body) == 200:
                        break
                except (OSError, http.client.HTTPException):
                    time.sleep(0.02)

    sender = threading.Thread(target=send)
    sender.start()
    for pause in (0.05, 0.3, 1.2, 60.0):
        with Serve(dsn) as serve:
            current.append(serve)
            port.set()
            sender.join(pause)
            port.clear()
    assert not sender.is_alive()
    verified = run("verify", "--dsn", dsn)

    assert total(dsn)["requests"] == 1_200
    assert verified.returncode == 0, verified.stdout


def test_for_a_server(tmp_path: Path) -> None:
    """
    For a ClickHouse server it journals and ships likewise, and one that starts again knows what the last one took.
    """
    settings = {"OTEL_LLMCOST_JOURNAL_DIR": str(tmp_path)}
    body = as_protobuf(batch(*spans(30)))
    with ClickHouseDouble() as server:
        dsn = server.dsn("received")
        assert run("schema", "apply", "--dsn", dsn).returncode == 0
        for _ in range(2):
            with Serve(dsn, **settings) as serve:
                assert serve.post(body) == 200
                serve.process.send_signal(signal.SIGTERM)
                assert serve.process.wait(timeout=60) == 0
        found = total(dsn, **settings)["requests"]

    assert found == 30


def test_what_others_can_reach_needs_a_token(dsn: str, tmp_path: Path) -> None:
    """
    An address beyond this machine is refused, with why, unless senders show a token or the user says that none is needed.
    """
    refused = run("serve", "--dsn", dsn, "--otlp", "0.0.0.0:0")
    token = tmp_path / "token"
    token.write_text("a-long-secret-token\n")
    token.chmod(0o600)
    with Serve(dsn, "--otlp-token-file", str(token)) as serve:
        statuses = serve.post(b""), serve.post(b"", authorization="Bearer a-long-secret-token")

    assert refused.returncode == 1
    assert "writes costs in anyone's name: give --otlp-token-file" in refused.stderr
    assert statuses == (401, 200)
