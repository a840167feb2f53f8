"""Many processes at the same time: writers that die, shippers that meet, workers that all make the tables."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from otel_llmcost.journal import Journal, backlog
from otel_llmcost.ledger import connect, migrations
from otel_llmcost.shipper import ship_once
from tests.clickhouse_double import ClickHouseDouble, Fault
from tests.e2e.faults.audit import Audit, audit, over_http

WRITERS = 50
ROWS = 40
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


@pytest.fixture(name="server")
def _server() -> Iterator[ClickHouseDouble]:
    with ClickHouseDouble() as server:
        with connect(server.dsn()) as ledger:
            migrations.apply(ledger)
        yield server


def write(folder: Path, writer: int) -> None:
    """Append rows as a journal's owner, and die without sealing them."""
    journal = Journal(folder, ledger="test", seal_rows=15)
    for number in range(writer * ROWS, (writer + 1) * ROWS):
        row = {
            "timestamp": f"2026-11-21 12:00:00.{number:06d}",
            "trace_id": f"{number + 1:032x}",
            "span_id": f"{number + 1:016x}",
            "price_status": "priced",
            "cost_usd": f"0.{number + 1:012d}",
        }
        journal.append("llm_requests", "202611", json.dumps(row).encode())
        if number % 10 == 0:
            journal.maintain()
    os._exit(0)


def ship(folder: Path, dsn: str, rounds: int) -> None:
    """Ship, round after round, whatever the server says."""
    with connect(dsn) as ledger:
        for number in range(rounds):
            ship_once(ledger, folder, fingerprint="test", merging=number % 2 == 0)


def drain(folder: Path, dsn: str, writers: int) -> Audit:
    """Ship what is left, and compare the ledger with what the writers wrote."""
    with connect(dsn) as ledger:
        shipped = ship_once(ledger, folder, fingerprint="test")
    assert (shipped.stopped, shipped.left, backlog(folder).quarantined) == (None, 0, 0)
    return audit(over_http(dsn), {f"{number:016x}": number for number in range(1, writers * ROWS + 1)})


@pytest.mark.slow
def test_many_writers_and_shippers(tmp_path: Path, server: ClickHouseDouble) -> None:
    """
    Faults 47 and 95: fifty writers that die with open segments, three shippers that adopt, merge and send them at the
    same time, and a server that fails half of the inserts: each row is stored once.
    """
    folder = tmp_path / "journal"
    server.inject_mix(95, 0.5, hang_seconds=0.1)
    shippers = [_processes.Process(target=ship, args=(folder, server.dsn(), 25)) for _ in range(3)]
    writers = [_processes.Process(target=write, args=(folder, number)) for number in range(WRITERS)]
    for process in (*shippers, *writers):
        process.start()
    for process in (*writers, *shippers):
        process.join()
        assert process.exitcode == 0
    server.inject()
    assert drain(folder, server.dsn(), WRITERS) == Audit()


def test_a_shipper_that_is_stopped_in_the_middle(tmp_path: Path, server: ClickHouseDouble) -> None:
    """
    Faults 28 and 96: a shipper that is stopped while its insert runs keeps its segment to itself; another ships the
    rest; when the first one goes on, its segment is stored once.
    """
    folder = tmp_path / "journal"
    for number in range(5):
        writer = _processes.Process(target=write, args=(folder, number))
        writer.start()
        writer.join()
    server.inject(Fault("after", "hang", match="INSERT INTO.*llm_requests", value="1"))
    paused = _processes.Process(target=ship, args=(folder, server.dsn(), 1))
    paused.start()
    assert paused.pid
    while not any("llm_requests FORMAT" in statement["sql"].replace("`", "") for statement in server.statements()):
        time.sleep(0.01)
    os.kill(paused.pid, signal.SIGSTOP)
    with connect(server.dsn()) as ledger:
        other = ship_once(ledger, folder, fingerprint="test")
        assert (other.stopped, other.left) == (None, 1), "all but the one that is held"
    os.kill(paused.pid, signal.SIGCONT)
    paused.join()
    assert drain(folder, server.dsn(), 5) == Audit()


def test_ten_workers_make_the_tables() -> None:
    """
    Fault 98: of ten workers that apply the schema to an empty server at the same time none fails, and it is applied.
    """
    with ClickHouseDouble() as server:

        def apply(_worker: int) -> None:
            with connect(server.dsn()) as ledger:
                migrations.apply(ledger)

        with ThreadPoolExecutor(10) as workers:
            list(workers.map(apply, range(10)))
        with connect(server.dsn()) as ledger:
            assert {migration.state for migration in migrations.status(ledger)} == {"applied"}
        assert audit(over_http(server.dsn()), {}) == Audit()
