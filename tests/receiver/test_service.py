"""What comes over HTTP: the right status, whatever is sent, and nothing stored that should not be."""

from __future__ import annotations

import gzip
import http.client
import json
import random
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import JournalFull, SettingsError
from otel_llmcost.http.address import Address
from otel_llmcost.http.tokens import Tokens
from otel_llmcost.receiver import service
from otel_llmcost.receiver.bodies import MAX_BODY_BYTES
from otel_llmcost.receiver.listening import Receiver
from otel_llmcost.settings import Settings
from tests import captures
from tests.receiver.conftest import rows_in
from tests.receiver.otlp import a_span, as_json, as_protobuf, batch

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
GZIP = {"content-encoding": "gzip"}
ONE = batch(a_span(1))
Answer = tuple[int, bytes, dict[str, str]]


class Sender:
    """Sends to a receiver, and looks into its journal."""

    def __init__(self, receiver: Receiver, folder: Path) -> None:
        self.receiver = receiver
        self._folder = folder

    def post(self, body: bytes | Iterator[bytes], headers: dict[str, str], path: str = "/v1/traces") -> Answer:
        """Send a body on a connection of its own."""
        return self.ask("POST", path, body, headers)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """Send a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.receiver.address.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def stored(self) -> int:
        """Count the journaled requests."""
        return len(rows_in(self._folder / "journal", "llm_requests"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Sender]]:
    """Start receivers on free ports."""
    started: list[Receiver] = []

    def begin(tokens: Tokens | None = None) -> Sender:
        folder = tmp_path / f"ledger-{len(started)}"
        address = Address(host="127.0.0.1", port=0)
        started.append(Receiver(Settings(dsn=f"chdb://{folder}"), address, tokens))
        return Sender(started[-1], folder)

    yield begin
    for each in started:
        each.close()


@pytest.fixture
def sender(start: Callable[..., Sender]) -> Sender:
    """Start one."""
    return start()


def test_both_encodings_with_and_without_gzip(sender: Sender) -> None:
    """
    Protobuf and JSON, plain and compressed, in one gzip or several: taken, and answered in the same encoding.
    """
    first, second = as_protobuf(batch(a_span(2))), as_json(batch(a_span(3)))
    parts = gzip.compress(second[:50]) + gzip.compress(second[50:])
    answers = [
        sender.post(as_protobuf(ONE), PROTOBUF),
        sender.post(gzip.compress(first), PROTOBUF | GZIP),
        sender.post(parts, {"content-type": "application/json; charset=utf-8"} | GZIP),
        sender.post(as_json({}), JSON),
        sender.post(b"", PROTOBUF),
    ]

    assert [(status, body, headers["content-type"]) for status, body, headers in answers] == [
        (200, b"", "application/x-protobuf"),
        (200, b"", "application/x-protobuf"),
        (200, b"{}", "application/json"),
        (200, b"{}", "application/json"),
        (200, b"", "application/x-protobuf"),
    ]
    assert sender.stored() == 3


def test_unusable_spans_are_a_partial_success(sender: Sender) -> None:
    """
    Spans that cannot be read are counted and named in the answer, in the encoding that was sent; the others are stored.
    """
    mixed = batch(a_span(1), a_span(2, spanId=""))
    status, body, _ = sender.post(as_protobuf(mixed), PROTOBUF)
    partial = ExportTraceServiceResponse.FromString(body).partial_success
    as_text = json.loads(sender.post(as_json(mixed), JSON)[1])["partialSuccess"]

    assert (status, partial.rejected_spans, sender.stored()) == (200, 1, 1)
    assert partial.error_message == "a span has no valid trace_id and span_id"
    assert as_text["rejectedSpans"] == "1"
    assert "has no valid traceId" in as_text["errorMessage"]


def bomb() -> bytes:
    """Compress a gigabyte of zeros into a megabyte."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([compressor.compress(bytes(1 << 20)) for _ in range(1024)]) + compressor.flush()


def nested(spans: bytes) -> bytes:
    """Put encoded spans into a scope, a resource and a request."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().MergeFromString(spans)
    return bytes(request.SerializeToString())


HOSTILE: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "no protobuf": (400, b"\xff" * 100, PROTOBUF),
    "cut protobuf": (400, as_protobuf(ONE)[:-3], PROTOBUF),
    "no JSON": (400, b"{", JSON),
    "other JSON": (400, b'{"logs": []}', JSON),
    "a list": (400, b"[]", JSON),
    "wrong lists": (400, b'{"resourceSpans": 7}', JSON),
    "deep JSON": (400, b"[" * 100_000, JSON),
    "no gzip": (400, b"plain", PROTOBUF | GZIP),
    "cut gzip": (400, gzip.compress(as_protobuf(ONE))[:-9], PROTOBUF | GZIP),
    "garbage behind gzip": (400, gzip.compress(as_protobuf(ONE)) + b"garbage", PROTOBUF | GZIP),
    "a bomb": (413, bomb(), PROTOBUF | GZIP),
    "a million empty resources": (413, b"\x0a\x00" * 1_000_000, PROTOBUF),
    "a million empty spans": (413, nested(b"\x12\x00" * 1_000_000), PROTOBUF),
    "a million empty objects": (413, b'{"resourceSpans":[' + b"{}," * 1_000_000 + b"{}]}", JSON),
    "too large": (413, bytes(MAX_BODY_BYTES + 1), PROTOBUF),
    "no type": (415, as_protobuf(ONE), {}),
    "wrong type": (415, as_protobuf(ONE), {"content-type": "text/plain"}),
    "unknown compression": (415, as_protobuf(ONE), PROTOBUF | {"content-encoding": "zstd"}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_bodies_are_refused(sender: Sender, what: str) -> None:
    """
    Each wrong body gets its status, with a sentence in a `google.rpc.Status`; nothing is stored, and the next one is.
    """
    expected, body, headers = HOSTILE[what]
    try:
        status, said, _ = sender.post(body, headers)
    except (BrokenPipeError, ConnectionResetError):  # refused while it was still being sent
        assert what == "too large"
    else:
        assert (status, said[:1]) == (expected, b"{" if headers == JSON else b"\x12")
    assert sender.stored() == 0
    assert sender.post(as_protobuf(ONE), PROTOBUF)[0] == 200
    assert sender.stored() == 1


def test_a_body_of_unknown_length_is_cut_off(sender: Sender) -> None:
    """
    A chunked body that goes on beyond the bound is refused there.
    """
    try:
        status = sender.post((bytes(1 << 20) for _ in range(64)), PROTOBUF)[0]
    except (BrokenPipeError, ConnectionResetError):
        status = 413

    assert status == 413
    assert sender.ask("GET", "/health")[0] == 200


def test_who_has_no_token_is_turned_away(start: Callable[..., Sender], tmp_path: Path) -> None:
    """
    Without the token, or with another one: 401 before a byte of the body is looked at; health needs none, and says so.
    """
    sender = start(Tokens(token_file(tmp_path, "a-long-secret-token")))
    wrong: list[dict[str, str]] = [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic a-long-secret-token"},
    ]
    statuses = [sender.post(b"\xff", PROTOBUF | headers)[0] for headers in wrong]
    _, _, headers = sender.post(b"", PROTOBUF)

    assert statuses == [401, 401, 401]
    assert headers["www-authenticate"] == "Bearer"
    assert sender.post(as_protobuf(ONE), PROTOBUF | {"authorization": "Bearer a-long-secret-token"})[0] == 200
    status, health, _ = sender.ask("GET", "/health")
    denied = json.loads(health)["denied"]
    assert (status, denied["requests"], COUNTERS["receiver.denied"]) == (200, 4, 4)
    assert 0 <= denied["last_seconds_ago"] < 60


def test_tokens_change_while_senders_send(start: Callable[..., Sender], tmp_path: Path) -> None:
    """
    A second line in the file is taken at once, beside the first; without the first line its token no longer is. A file
    that is unreadable for a moment turns nobody away.
    """
    sender = start(Tokens(token_file(tmp_path, "the-old-secret-token")))

    def statuses() -> list[int]:
        return [
            sender.post(b"", PROTOBUF | {"authorization": f"Bearer the-{which}-secret-token"})[0]
            for which in ("old", "new")
        ]

    before = statuses()
    token_file(tmp_path, "the-old-secret-token\nthe-new-secret-token\n")
    both = statuses()
    token_file(tmp_path, "the-new-secret-token\n")
    after = statuses()
    token_file(tmp_path, "").unlink()

    assert (before, both, after) == ([200, 401], [200, 200], [401, 200])
    assert statuses() == [401, 200]


def token_file(folder: Path, held: str) -> Path:
    """Write a file of tokens that is its owner's alone, in the place of the one before."""
    new, file = folder / "new-tokens", folder / "tokens"
    new.write_text(held)
    new.chmod(0o600)
    return new.replace(file)


def test_other_paths_and_methods(sender: Sender) -> None:
    """
    Traces are all that it takes: metrics, logs and other methods get what HTTP has for them.
    """
    asked = [("POST", "/v1/metrics"), ("POST", "/v1/logs"), ("GET", "/v1/traces"), ("POST", "/health"), ("GET", "/")]

    assert [sender.ask(*each)[0] for each in asked] == [404, 404, 405, 405, 404]


def test_a_full_journal_says_when_to_come_again(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    While the journal refuses: 429 with Retry-After, and an unhealthy answer; then the same batch is taken, once.
    """

    def full(*_row: object) -> None:
        raise JournalFull("the journal is full")

    with monkeypatch.context() as patched:
        patched.setattr(sender.receiver._exporter._journal, "append", full)
        status, said, headers = sender.post(as_json(ONE), JSON)
        health, state, _ = sender.ask("GET", "/health")
    assert (status, headers["retry-after"], health) == (429, "10", 503)
    assert b"journal is full" in said
    assert orjson.loads(state)["accepts"] is False

    assert sender.post(as_json(ONE), JSON)[0] == 200
    health, state, _ = sender.ask("GET", "/health")
    assert (health, orjson.loads(state)["counts"]["receiver.refused"], sender.stored()) == (200, 1, 1)


def test_more_than_it_takes_at_once(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Beyond its bound of requests it says 429 and when to come again, and answers health while it is at work.
    """
    monkeypatch.setattr(service, "_REQUESTS_AT_ONCE", 1)
    at_work, go_on = threading.Event(), threading.Event()
    take = sender.receiver._intake.take

    def slow(found: Any) -> Any:
        at_work.set()
        assert go_on.wait(30)
        return take(found)

    monkeypatch.setattr(sender.receiver._intake, "take", slow)
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(sender.post(as_json(ONE), JSON)))
    thread.start()
    assert at_work.wait(30)
    status, _, headers = sender.post(as_json(batch(a_span(2))), JSON)
    health = sender.ask("GET", "/health")[0]
    go_on.set()
    thread.join()

    assert (status, headers["retry-after"], health) == (429, "1", 503)
    assert (answers[0][0], sender.stored()) == (200, 1)


def test_a_body_that_comes_while_it_ends(sender: Sender) -> None:
    """
    What comes too late for a receiver that ends is not lost: its sender is told to come again.
    """
    sender.receiver._service.close()
    status, _, headers = sender.post(as_json(ONE), JSON)

    assert (status, headers["retry-after"], sender.stored()) == (429, "10", 0)


def test_a_slow_body_ends(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A body that trickles in is cut off after its time, and holds nobody else up.
    """
    monkeypatch.setattr(service, "_BODY_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", sender.receiver.address.port)) as slow:
        slow.sendall(
            b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\n\n"
        )
        began = time.monotonic()
        assert sender.post(as_protobuf(ONE), PROTOBUF)[0] == 200
        slow.settimeout(30)
        assert b" 408 " in slow.recv(1000)
        assert time.monotonic() - began < 10

    assert sender.stored() == 1


def test_mutated_bodies_never_crash_it(sender: Sender) -> None:
    """
    Thousands of bodies with bytes changed, cut out or doubled: 200 or 400 each, and a good one is taken after them.
    """
    rng = random.Random(5)
    originals = [as_protobuf(captures.load(name)["otlp"]) for name in captures.names("")[::5]]
    connection = http.client.HTTPConnection("127.0.0.1", sender.receiver.address.port, timeout=30)
    statuses = set()
    for _ in range(4000):
        body = bytearray(rng.choice(originals))
        for _ in range(rng.choice((1, 2, 8, 64))):
            at = rng.randrange(len(body) + 1)
            kind = rng.randrange(3)
            if kind == 0:
                body[at : at + 1] = bytes([rng.randrange(256)])
            elif kind == 1:
                del body[at : at + rng.randrange(1, 20)]
            else:
                body[at:at] = body[at : at + rng.randrange(1, 50)]
        connection.request("POST", "/v1/traces", bytes(body), PROTOBUF)
        answer = connection.getresponse()
        answer.read()
        statuses.add(answer.status)
    connection.close()
    before = sender.stored()

    assert statuses == {200, 400}
    assert sender.post(as_protobuf(batch(a_span(77))), PROTOBUF)[0] == 200
    assert sender.stored() == before + 1


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        ("4318", "127.0.0.1", 4318, True),
        ("127.0.0.1:0", "127.0.0.1", 0, True),
        ("[::1]:4318", "::1", 4318, True),
        ("10.0.0.1:4318", "10.0.0.1", 4318, False),
        ("example.com:1", "example.com", 1, False),
    ],
)
def test_addresses(text: str, host: str, port: int, is_loopback: bool) -> None:
    """
    A port alone is on this machine; what others can reach is known as such.
    """
    address = Address.parse(text, "--otlp")

    assert (address.host, address.port, address.is_loopback) == (host, port, is_loopback)


@pytest.mark.parametrize("text", ["", "host", "host:", ":x", "99999", "1:-1"])
def test_what_is_no_address(text: str) -> None:
    """
    Anything else is refused with the accepted forms.
    """
    with pytest.raises(SettingsError, match="write 4318, 127"):
        Address.parse(text, "--otlp")


def test_an_address_that_is_taken(sender: Sender, tmp_path: Path) -> None:
    """
    A port that another process has is said at once.
    """
    with pytest.raises(SettingsError, match="name a free port"):
        Receiver(Settings(dsn=f"chdb://{tmp_path}/other"), sender.receiver.address, None)


def test_tokens(tmp_path: Path) -> None:
    """
    A token is read from a file that is its owner's alone; another one is refused with what to do.
    """
    file = tmp_path / "token"
    with pytest.raises(SettingsError, match="cannot be read"):
        Tokens(file)
    file.write_text("a-long-secret-token\n")
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        Tokens(file)
    file.chmod(0o600)
    assert Tokens(file).admit(b"Bearer a-long-secret-token")
    for held in ("short", "", "two-words not-a-token", "a-long-secret-token\n" * 3):
        file.write_text(held)
        with pytest.raises(SettingsError, match="openssl rand"):
            Tokens(file)
