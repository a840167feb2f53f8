"""
Faults of the network and of whatever stands between an application and its server: no row lost, none billed twice.

Each test is a real application (SDK, processor, exporter, shipper, clickhouse-connect) before a server that fails; after
it, every span so far is audited by its id and in picodollars, in rows and rollups (`bank.Bank.settle`).
"""

from __future__ import annotations

import email.utils
import hashlib
import logging
import os
import shutil
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import LedgerUnavailable
from otel_llmcost.journal import backlog, waiting
from otel_llmcost.ledger import Ledger, connect
from tests.clickhouse_double import MEMORY_LIMIT, PASSWORD, ClickHouseDouble, Fault
from tests.e2e.faults.application import Application
from tests.e2e.faults.bank import Bank
from tests.e2e.faults.certificates import make_certificate

REQUESTS = r"INSERT INTO\W+llm_requests"
"""Three faults in a row are two of one call, whose client repeats it by itself, and one of the next."""
OCTOBER, NOVEMBER = 1_793_000_000_000_000_000, 1_795_000_000_000_000_000
"""Two months of 2026, in nanoseconds."""
Start = Callable[..., Application]


@pytest.fixture(scope="module")
def bank() -> Iterator[Bank]:
    """The ledger of all tests here."""
    with ClickHouseDouble() as server:
        yield Bank(server, "transport")


@pytest.fixture
def start(bank: Bank, tmp_path: Path) -> Iterator[Start]:
    """Start applications on one journal."""
    started: list[Application] = []

    def start(**options: str) -> Application:
        started.append(bank.application(tmp_path, **options))
        return started[-1]

    yield start
    bank.server.inject()
    for application in started:
        application.end()


@contextmanager
def stranger(host: str = "127.0.0.1") -> Iterator[tuple[int, list[bytes]]]:
    """Listen on a port, answer nothing, and keep what each connection sent."""
    heard: list[bytes] = []
    with socket.create_server((host, 0)) as listening:

        def listen() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(0.3)
                    heard.append(b"")
                    try:
                        while some := connection.recv(65536):
                            heard[-1] += some
                    except OSError:
                        pass

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1], heard
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_server_that_is_away(bank: Bank, start: Start) -> None:
    """
    Fault 1: while the server refuses connections no call fails or waits; afterwards everything is stored.
    """
    application = start()
    application.call(5)
    bank.settle(application)
    with bank.server.away():
        began = time.perf_counter()
        application.call(300)
        assert (time.perf_counter() - began) / 300 < 0.01
        assert not application.exporter.force_flush(500)
        assert backlog(application.exporter.journal_dir).bytes > 300 * 100
        application.call(5)
    bank.settle(application)


FAULTS = {
    "2 reset before the body": Fault("before", "reset", match=REQUESTS, times=3),
    "2 closed before the body": Fault("before", "close", match=REQUESTS, times=3),
    "3 reset in the middle of the body": Fault("sending", "reset", match=REQUESTS, times=3),
    "4 reset after the commit": Fault("after", "reset", match=REQUESTS, times=3),
    "5 closed after the commit": Fault("after", "close", match=REQUESTS, times=3),
    "6 cut in the headers": Fault("after", "cut", match=REQUESTS, times=3),
    "7 out of memory": Fault("before", "exception", match=REQUESTS, times=3, value=MEMORY_LIMIT),
    "8 503": Fault("before", "status", match=REQUESTS, times=2, value="503"),
    "8 429 with Retry-After": Fault("before", "status", match=REQUESTS, value="429", retry_after="1"),
    "9 503 after the commit": Fault("after", "status", match=REQUESTS, times=2, value="503"),
    "9 504 after the commit": Fault("after", "status", match=REQUESTS, times=2, value="504"),
    "10 hang before the insert": Fault("before", "hang", match=REQUESTS, value="1.3"),
    "10 hang after the commit": Fault("after", "hang", match=REQUESTS, value="1.3"),
    "11 HTML": Fault("before", "html", match=REQUESTS, times=2),
    "11 an empty 200": Fault("before", "empty", match=REQUESTS, times=2),
    "11 the answer to another query": Fault("before", "wrong_query_id", match=REQUESTS, times=2),
    "12 200 with an exception": Fault("after", "exception_200", match=REQUESTS, times=2, value=MEMORY_LIMIT),
    "13 sent twice by a proxy": Fault("before", "twice", match=REQUESTS, times=3),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_of_an_insert(bank: Bank, start: Start, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Faults 2 to 13: whatever happens to an insert on its way there or back, each call is stored once.
    """
    if fault.action == "hang":
        monkeypatch.setattr("otel_llmcost.ledger.server.ANSWER_SECONDS", 1)  # 10 for users
    application = start()
    bank.server.inject(fault)
    application.call(60)
    bank.settle(application)


@pytest.mark.parametrize("action", ["html", "empty", "wrong_query_id", "close", "cut"])
def test_only_clickhouse_is_believed(bank: Bank, action: str) -> None:
    """
    Fault 11: an answer that is not ClickHouse's connects nobody, makes no table and finds no batch.
    """
    with connect(bank.dsn) as ledger:
        for ask in (
            lambda: ledger.has_batch("llm_requests", "none"),
            lambda: ledger.command("CREATE TABLE never (n Int8) ENGINE = Memory", what="make a table"),
            lambda: connect(bank.dsn),
        ):
            bank.server.inject(Fault("before", action, times=9))  # type: ignore[arg-type]
            with pytest.raises(LedgerUnavailable):
                ask()
        bank.server.inject()
        assert ledger.command("EXISTS TABLE never", what="look for it") == 0


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("a date", 3600.0), ("soon", None), ("", None)])
def test_retry_after(bank: Bank, header: str, seconds: float | None) -> None:
    """
    Fault 8: how long a server asks to be left alone is known, as seconds or as a date; nonsense is not.
    """
    if header == "a date":
        header = email.utils.formatdate(time.time() + 3600, usegmt=True)
    with connect(bank.dsn) as ledger:
        bank.server.inject(Fault("before", "status", value="503", retry_after=header, times=9))
        with pytest.raises(LedgerUnavailable) as error:
            ledger.has_batch("llm_requests", "none")
        bank.server.inject()
    assert error.value.retry_after_seconds == (seconds and pytest.approx(seconds, abs=120))


@pytest.mark.parametrize("status", [307, 308, 302])
def test_a_redirect_to_another_host(bank: Bank, start: Start, status: int) -> None:
    """
    Fault 14: a redirect is not followed: the other host hears not one byte, and so no password and no row.
    """
    application = start()
    with stranger() as (port, heard):
        bank.server.inject(
            Fault("before", "redirect", match="INSERT", times=2, value=f"{status} http://127.0.0.1:{port}/")
        )
        application.call(5)
        bank.settle(application)
    assert heard == []


def test_an_answer_of_a_byte_now_and_then(bank: Bank, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Fault 15: a byte every 0.1 s satisfies every time-out between bytes, but the call ends when its time is over.
    """
    monkeypatch.setattr("otel_llmcost.ledger.connection.CALL_SECONDS", 1)
    bank.server.inject(Fault("after", "loris", match="INSERT|batch_id", value="0.1"))
    with connect(bank.dsn) as ledger:
        began = time.monotonic()
        with pytest.raises(LedgerUnavailable, match="not done within 1 s"):
            ledger.has_batch("llm_requests", "none")
        assert time.monotonic() - began < 2
    application = start()
    bank.server.inject(Fault("after", "loris", match="INSERT", value="0.1"))
    application.call(5)
    bank.settle(application)


def test_a_wrong_password(bank: Bank, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """
    Fault 16: after a wrong password the server is left alone; it is said once without the secret, and costs no row.
    """
    wrong = "wr0ng-s3cret"
    with caplog.at_level(logging.DEBUG):
        application = start(dsn=bank.dsn.replace(quote(PASSWORD, safe=""), wrong))
        application.call(5)
        assert not application.exporter.force_flush(5000)
        seen = len(bank.server.statements())
        application.call(5)
        for _ in range(3):
            assert not application.exporter.force_flush(500)
        time.sleep(1)
    assert len(bank.server.statements()) == seen
    assert caplog.text.count("rows wait") == 1
    assert "Authentication failed" in caplog.text
    for text in (caplog.text, repr(application.exporter), repr(vars(application.exporter)), COUNTERS.snapshot()):
        assert wrong not in str(text)
    assert wrong not in Path(f"/proc/{os.getpid()}/cmdline").read_text()
    _settle_in_another_process(bank, start, application)


@pytest.mark.parametrize(
    "refusal", ["Code: 516. DB::Exception: Authentication failed.", "Code: 497. DB::Exception: Not enough privileges."]
)
def test_a_password_that_ends_between_two_inserts(bank: Bank, start: Start, refusal: str) -> None:
    """
    Fault 16: when one segment was stored and the next is denied, the user is at fault, and no row is set aside.
    """
    application = start()
    application.call(20, at_unix_ns=OCTOBER)
    bank.settle(application)
    application.call(20, at_unix_ns=OCTOBER)
    application.call(20, at_unix_ns=NOVEMBER)
    denied = Fault("before", "exception", match="INSERT", times=99, value=refusal)
    bank.server.inject(denied)
    assert not application.exporter.force_flush(5000)
    assert backlog(application.exporter.journal_dir).quarantined == 0
    bank.server.inject()
    _settle_in_another_process(bank, start, application)


def _settle_in_another_process(bank: Bank, start: Start, application: Application) -> None:
    """End the application, whose shipper now rests for a minute; another one on the same journal ships what it left."""
    application.end()
    other = start()
    other.ended |= application.ended
    bank.settle(other)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificates are."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    return tmp_path_factory.mktemp("certificates")


def test_tls(bank: Bank, start: Start, folder: Path) -> None:
    """
    Fault 17: over TLS with the authority that the DSN names, everything is stored once.
    """
    certificate = make_certificate(folder / "good")
    port = bank.server.listen(certificate=certificate)
    application = start(dsn=f"{bank.server.dsn(bank.database, scheme='https', port=port)}?ca_cert={certificate}")
    bank.server.inject(Fault("after", "reset", match="INSERT", times=3))
    application.call(20)
    bank.settle(application)


@pytest.mark.parametrize(
    ("names", "ends", "trusted", "words"),
    [
        ("IP:127.0.0.1", 2100, False, r"self-signed certificate.*add \?ca_cert="),
        ("IP:127.0.0.1", 2021, True, r"certificate has expired.*renew it"),
        ("DNS:other.example", 2100, True, r"mismatch.*Write the name in the DSN"),
    ],
    ids=["self-signed", "expired", "wrong host"],
)
def test_tls_that_cannot_be_trusted(
    bank: Bank, folder: Path, names: str, ends: int, trusted: bool, words: str, request: pytest.FixtureRequest
) -> None:
    """
    Fault 17: a certificate that proves nothing is refused with what to do, and the password stays at home.
    """
    certificate = make_certificate(folder / request.node.name, names=names, ends=ends)
    port = bank.server.listen(certificate=certificate)
    seen = len(bank.server.statements())
    dsn = bank.server.dsn(scheme="https", port=port) + (f"?ca_cert={certificate}" if trusted else "")
    with pytest.raises(LedgerUnavailable, match=words) as error:
        connect(dsn)
    assert PASSWORD not in str(error.value)
    assert len(bank.server.statements()) == seen


def test_no_tls_on_that_port(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Fault 17: where no TLS is spoken, `https://` fails and says so; nothing is sent in clear text instead.
    """
    with pytest.raises(LedgerUnavailable, match="Does the server speak TLS on that port"):
        connect(bank.server.dsn(scheme="https"))
    monkeypatch.setattr("otel_llmcost.ledger.server.CONNECT_SECONDS", 1)
    with stranger() as (port, heard), pytest.raises(LedgerUnavailable):
        connect(bank.server.dsn(scheme="https", port=port))
    assert heard
    assert not any(b"Authorization" in each or b"HTTP" in each for each in heard)


def test_names_that_come_and_go(bank: Bank, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Fault 18: a name that is not resolved for a while, then gives an address that swallows everything, costs no row.
    """
    monkeypatch.setattr("otel_llmcost.ledger.server.CONNECT_SECONDS", 1)
    hole = socket.socket()
    hole.bind(("127.0.0.2", bank.server.port))
    hole.listen(0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:  # its queue is full: the kernel answers no further connection
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.2", bank.server.port))
    resolve, answers = socket.getaddrinfo, iter([None, None, None])

    def flap(host: str, *arguments: object, **options: object) -> object:
        if host != "ledger.localhost":
            return resolve(host, *arguments, **options)  # type: ignore[arg-type]
        if next(answers, "resolved") is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, (address, bank.server.port)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", flap)
    application = start(dsn=bank.server.dsn(bank.database, host="ledger.localhost"))
    application.call(5)
    assert not application.exporter.force_flush(5000)
    try:
        bank.settle(application)
    finally:
        for each in (hole, *fillers):
            each.close()


def test_ipv6(bank: Bank, start: Start) -> None:
    """
    Fault 18: a server at an IPv6 address is a server.
    """
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    port = bank.server.listen(host="::1")
    application = start(dsn=bank.server.dsn(bank.database, host="[::1]", port=port))
    application.call(5)
    bank.settle(application)


def test_a_proxy_in_the_environment(bank: Bank, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Fault 20: `http_proxy` of the environment is not honoured: costs and passwords go to the server alone.
    """
    with stranger() as (port, heard):
        with monkeypatch.context() as environment:
            for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"):
                environment.setenv(name, f"http://127.0.0.1:{port}")
            environment.setenv("no_proxy", "")
            application = start()
            application.call(5)
            assert application.drain()
        bank.settle(application)
    assert heard == []


def test_a_proxy_in_the_dsn(bank: Bank, start: Start, folder: Path) -> None:
    """
    Fault 20: a proxy that the DSN names is used, and learns the server's address and nothing else.
    """
    certificate = make_certificate(folder / "proxied")
    port = bank.server.listen(certificate=certificate)
    with tunnel() as (proxy, asked):
        options = f"?ca_cert={certificate}&proxy=http://127.0.0.1:{proxy}"
        application = start(dsn=bank.server.dsn(bank.database, scheme="https", port=port) + options)
        application.call(5)
        bank.settle(application)
        application.end()
    assert asked
    assert all(head.startswith(b"CONNECT 127.0.0.1:%d " % port) for head in asked)
    assert not any(b"Authorization" in head for head in asked)


@contextmanager
def tunnel() -> Iterator[tuple[int, list[bytes]]]:
    """Be a proxy; keep what each connection asked for in clear text."""
    asked: list[bytes] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while some := source.recv(65536):
                sink.sendall(some)
            sink.shutdown(socket.SHUT_WR)

    class Proxy(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked.append(b"")
            while not asked[-1].endswith(b"\r\n\r\n"):
                asked[-1] += self.request.recv(65536)
            host, _, port = asked[-1].split()[1].decode().rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=pump, args=(server, self.request))
                back.start()
                pump(self.request, server)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy) as proxy:
        proxy.daemon_threads = True
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield proxy.server_address[1], asked
        finally:
            proxy.shutdown()


def test_one_token_over_six_connections(bank: Bank, start: Start) -> None:
    """
    Fault 21: the same segment with the same token, sent by six shippers at once and then by a seventh, is stored once.
    """
    application = start()
    with bank.server.away():
        application.call(50)
        assert not application.exporter.force_flush(1000)
    segments = list(waiting(application.exporter.journal_dir, application.exporter.fingerprint))
    [payload] = [segment.payload() for segment in segments if segment.table == "llm_requests"]
    for segment in segments:
        segment.release()

    def send(ledger: Ledger) -> None:
        ledger.insert("llm_requests", payload, token=hashlib.sha256(payload).hexdigest())
        ledger.close()

    senders = [threading.Thread(target=send, args=[connect(bank.dsn)]) for _ in range(6)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    bank.settle(application)
