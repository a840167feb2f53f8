"""The background shipper: when it works, when it waits, what it says, and that it never holds up its process."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry import context

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import (
    LedgerDenied,
    LedgerRefused,
    LedgerUnavailable,
    LLMCostError,
    MissingExtra,
    SchemaError,
)
from otel_llmcost.journal import Journal, backlog
from otel_llmcost.shipper import Shipped, ShipperThread, ship_once
from tests.shipper.ledgers import MemoryLedger, away

Seal = Callable[..., None]


@pytest.fixture
def shipper(ledger: MemoryLedger, folder: Path) -> Iterator[ShipperThread]:
    """
    A shipper of the folder into the ledger.
    """
    shipper = ShipperThread(connect=lambda: ledger, directory=folder, fingerprint="test")
    yield shipper
    shipper.stop(0.5)


def wait_until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """
    Wait until something is true.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def test_starts_with_the_first_wake(ledger: MemoryLedger, seal: Seal, shipper: ShipperThread) -> None:
    """
    No thread and no connection exist before there is work; then rows are shipped without being asked for.
    """
    assert shipper._thread is None
    seal(range(10))
    shipper.wake()
    wait_until(lambda: ledger.stored == list(range(10)))
    seal(range(10, 20))
    shipper.wake()
    wait_until(lambda: ledger.stored == list(range(20)))


def test_connects_only_when_there_is_something_to_ship(folder: Path) -> None:
    """
    A round that finds nothing connects to nothing, so that the client loads at the first ship.
    """
    shipper = ShipperThread(connect=lambda: pytest.fail("connected for nothing"), directory=folder, fingerprint="test")
    assert shipper.flush(5)
    shipper.stop()


def test_flush_tells_the_truth(ledger: MemoryLedger, seal: Seal, shipper: ShipperThread) -> None:
    """
    `flush` is True when everything sealed is stored, and False when anything is left behind.
    """
    seal(range(10))
    assert shipper.flush(5)
    assert ledger.stored == list(range(10))
    seal(range(10, 20))
    ledger.before = away
    assert not shipper.flush(5)
    ledger.before = lambda _number: None
    assert shipper.flush(5), "asking ends the pause after a failure"
    assert ledger.stored == list(range(20))


def test_flush_keeps_its_timeout(ledger: MemoryLedger, seal: Seal, shipper: ShipperThread) -> None:
    """
    A ledger that hangs delays `flush` and `stop` no longer than they were told.
    """
    release = threading.Event()
    ledger.before = lambda _number: release.wait(30) and None
    seal(range(10))
    start = time.monotonic()
    assert not shipper.flush(0.3)
    assert 0.25 < time.monotonic() - start < 0.8
    start = time.monotonic()
    shipper.stop(0.5)
    assert time.monotonic() - start < 1.0
    release.set()


def test_backs_off_and_recovers(
    ledger: MemoryLedger, seal: Seal, shipper: ShipperThread, caplog: pytest.LogCaptureFixture
) -> None:
    """
    While the ledger is away it is tried at growing pauses, whatever is sealed meanwhile; the reason is logged once.
    """
    ledger.before = away
    for number in range(20):
        seal([number])
        shipper.wake()
        time.sleep(0.05)
    assert 1 <= ledger.inserts <= 3
    assert COUNTERS["shipper.failed"] == ledger.inserts
    ledger.before = lambda _number: None
    wait_until(lambda: ledger.stored == list(range(20)))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no answer" in caplog.text


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [
        (LedgerUnavailable("away"), 0.5, 60.0),
        (LedgerUnavailable("busy", retry_after_seconds=20.0), 20.0, 24.0),
        (LedgerUnavailable("busy", retry_after_seconds=7200.0), 60.0, 60.0),
        (LedgerUnavailable("busy", retry_after_seconds=0.0), 0.5, 0.5),
        (LedgerRefused("bad rows"), 60.0, 60.0),
        (LedgerDenied("wrong password"), 60.0, 60.0),
        (SchemaError("no table"), 60.0, 60.0),
        (MissingExtra("pip install"), 60.0, 60.0),
    ],
    ids=["unavailable", "asks", "asks-too-long", "asks-for-nothing", "refused", "denied", "tables", "missing"],
)
def test_pauses(folder: Path, seal: Seal, error: Exception, least: float, most: float) -> None:
    """
    Pauses are between 0.5 and 60 seconds while the ledger is away, what it asks for when it asks, and a minute when it
    will not have us. Faults 8 and 16.
    """

    def connect() -> MemoryLedger:
        raise error

    seal([1])
    shipper = ShipperThread(connect=connect, directory=folder, fingerprint="test")
    pauses = [shipper._pause_after(shipper._round()) for _ in range(12)]
    assert all(least <= pause <= most for pause in pauses)
    assert min(pauses[8:]) >= 15 or most < 60.0 or least == most
    assert pauses[0] <= 1.0 or least > 0.5
    assert least == most or len(set(pauses)) > 6, "spread"


@pytest.mark.parametrize(
    "error", [LedgerDenied("wrong password"), LedgerUnavailable("busy", retry_after_seconds=30.0)], ids=["no", "later"]
)
def test_who_says_no_is_left_alone(
    ledger: MemoryLedger, seal: Seal, shipper: ShipperThread, error: LLMCostError
) -> None:
    """
    A ledger that refused, or named a time, is not asked before it however often `flush` is called, which says False.
    """
    ledger.before = lambda _number: error
    seal(range(10))
    shipper.wake()  # whose round may be at work when the first flush asks for one
    answers = [shipper.flush(5) for _ in range(20)]
    assert (answers, ledger.inserts) == ([False] * 20, 1)
    insisted = shipper.ship_now(5)
    assert (insisted is not None, ledger.inserts) == (True, 2), "who insists is heard"
    other = MemoryLedger()
    assert ship_once(other, shipper._directory, fingerprint="test").rows == 10
    assert shipper.flush(5), "another process has shipped it meanwhile"
    assert ledger.inserts == 2


def test_stays_loud(folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """
    What goes on failing is logged again every 15 minutes and counted each time; a refusal is an error, not a warning.
    """
    shipper = ShipperThread(connect=lambda: pytest.fail("connected"), directory=folder, fingerprint="test")
    now = time.monotonic()
    for minute in range(60):
        monkeypatch.setattr(time, "monotonic", lambda minute=minute: now + 60.0 * minute)
        shipper._pause_after(Shipped(left=1, stopped=LedgerDenied("wrong password")))
    assert COUNTERS["shipper.failed"] == 60
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 4
    assert "wrong password" in caplog.text


def test_looks_by_itself_and_merges(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    A shipper that nobody wakes looks as often as it was told to, and then sends many small segments by one insert.
    """
    shipper = ShipperThread(
        connect=lambda: ledger, directory=folder, fingerprint="test", merging=True, look_seconds=0.3
    )
    shipper.start()
    wait_until(lambda: shipper._answered == 0 and not shipper._work)
    for number in range(20):
        seal([number])
    wait_until(lambda: ledger.stored == list(range(20)))
    assert ledger.inserts <= 4
    shipper.stop()


def test_stop_ships_what_was_sealed_last(ledger: MemoryLedger, seal: Seal, shipper: ShipperThread) -> None:
    """
    A short program's last rows are shipped at its end, and the connection is closed.
    """
    seal(range(10))
    shipper.wake()
    wait_until(lambda: ledger.rows)
    seal(range(10, 20))
    shipper.stop(2.0)
    assert ledger.stored == list(range(20))
    assert ledger.closed
    shipper.stop(2.0)
    shipper.wake()
    assert not shipper.flush(0.2)


def test_idle_costs_nothing(shipper: ShipperThread) -> None:
    """
    An idle shipper sleeps: half a second of it costs no CPU time worth the name.
    """
    assert shipper.flush(5)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.05


def test_own_calls_are_not_traced(ledger: MemoryLedger, seal: Seal, shipper: ShipperThread) -> None:
    """
    The thread's own HTTP calls are kept out of the application's traces, by new and old instrumentations alike.
    """
    seen: list[object] = []
    ledger.before = lambda _number: seen.extend(
        context.get_value(key)
        for key in (
            context._SUPPRESS_INSTRUMENTATION_KEY,
            context._SUPPRESS_HTTP_INSTRUMENTATION_KEY,
            "suppress_instrumentation",
            "suppress_http_instrumentation",
        )
    )
    seal([1])
    assert shipper.flush(5)
    assert seen == [True] * 4
    assert context.get_value("suppress_instrumentation") is None


def test_fork(ledger: MemoryLedger, folder: Path, seal: Seal, shipper: ShipperThread) -> None:
    """
    A forked child has no shipper thread until it needs one, then its own, with its own connection.
    """
    seal([1])
    assert shipper.flush(5)
    child = os.fork()
    if not child:
        status = 1
        try:
            assert shipper._thread is None
            assert shipper._ledger is None
            journal = Journal(folder, ledger="test")
            journal.append("llm_requests", "202611", b'{"n":2}')
            journal.close()
            status = 0 if shipper.flush(5) and ledger.stored == [1, 2] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert backlog(folder).segments == 0
    seal([3])
    assert shipper.flush(5)


def test_two_shippers(ledger: MemoryLedger, folder: Path, seal: Seal) -> None:
    """
    Several shippers on one folder store each row once between them.
    """
    shippers = [ShipperThread(connect=lambda: ledger, directory=folder, fingerprint="test") for _ in range(4)]
    for number in range(100):
        seal([number])
    for shipper in shippers:
        shipper.wake()
    assert all(shipper.flush(10) for shipper in shippers)
    assert ledger.stored == list(range(100))
    assert ledger.inserts == 100
    for shipper in shippers:
        shipper.stop()
