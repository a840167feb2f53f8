"""Exactly once in the real engine, embedded and behind HTTP: rows and rollups equal what was journaled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from unittest.mock import patch

import pytest

from otel_llmcost.counters import COUNTERS
from otel_llmcost.errors import LedgerUnavailable, SchemaError, UnknownColumn
from otel_llmcost.journal import Journal, backlog
from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.shipper import ShipperThread, ship_once
from tests.clickhouse_double import ClickHouseDouble, Fault
from tests.shipper.embedded_process import totals

Write = Callable[..., None]
PROFILE = {"max_insert_block_size": 1000, "min_insert_block_size_rows": 1, "min_insert_block_size_bytes": 1}
"""A user's own, in which an insert would be many blocks."""
LATE = "2026-10-12 12:00:00.000000"


def row(number: int, **changes: object) -> bytes:
    """
    Give a request that cost `number` picodollars.
    """
    return json.dumps(
        {
            "timestamp": f"2026-11-21 12:00:00.{number % 1_000_000:06d}",
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
            "team": f"team-{number % 3}",
            "price_status": "priced",
            "cost_usd": f"{number / 10**12:.12f}",
            "input_tokens": number,
            **changes,
        }
    ).encode()


def expected(numbers: range) -> list[str]:
    """
    Give what `totals` gives when rows and rollups hold these requests once each.
    """
    count, cost = str(len(numbers)), str(Decimal(sum(numbers)).scaleb(-12))
    return [count, count, normal(cost), count, normal(cost)]


def normal(value: str) -> str:
    """
    Write a number in one way.
    """
    return f"{Decimal(value).normalize():f}"


def stored(ledger: Ledger) -> list[str]:
    """
    Give what rows and rollups hold.
    """
    return [normal(value) for value in totals(ledger)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    The ledger's folder, with the journal in it.
    """
    (tmp_path / "ledger").mkdir(mode=0o700)
    return tmp_path / "ledger" / "journal"


@pytest.fixture
def write(folder: Path) -> Iterator[Write]:
    """
    Journal requests, in segments of 50.
    """
    journal = Journal(folder, ledger="test", seal_rows=50)

    def write(numbers: range, **changes: object) -> None:
        for number in numbers:
            journal.append("llm_requests", "202611", row(number, **changes))
        journal.flush()

    yield write
    journal.close()


@pytest.fixture(scope="module")
def server() -> Iterator[ClickHouseDouble]:
    """
    One server for all tests here; each has a database of its own.
    """
    with ClickHouseDouble() as server:
        yield server


@pytest.fixture
def open_ledger(server: ClickHouseDouble, request: pytest.FixtureRequest) -> Iterator[Callable[[], Ledger]]:
    """
    Connect to this test's own database, with its tables.
    """
    server.inject()
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
    opened: list[Ledger] = []

    def open_ledger() -> Ledger:
        opened.append(connect(server.dsn(name)))
        return opened[-1]

    migrations.apply(open_ledger())
    yield open_ledger
    server.inject()
    for ledger in opened:
        ledger.close()


def test_into_a_server(open_ledger: Callable[[], Ledger], folder: Path, write: Write) -> None:
    """
    What was journaled is in the tables and in the rollups, to the picodollar, and no longer on disk.
    """
    write(range(1, 501))
    ledger = open_ledger()
    shipped = ship_once(ledger, folder, fingerprint="test")
    assert (shipped.segments, shipped.rows, shipped.left, shipped.stopped) == (10, 500, 0, None)
    assert stored(ledger) == expected(range(1, 501))


@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("reset", ""),
        ("status", "503"),
        ("status", "504"),
        ("html", ""),
        ("wrong_query_id", ""),
        ("exception", "Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)"),
        ("exception", "Code: 252. DB::Exception: Too many parts. (TOO_MANY_PARTS)"),
    ],
)
def test_each_fault_of_a_server(
    server: ClickHouseDouble,
    open_ledger: Callable[[], Ledger],
    folder: Path,
    write: Write,
    phase: str,
    action: str,
    value: str,
) -> None:
    """
    Whether a server fails before or after it stored a segment, every row is there once in the end.
    """
    write(range(1, 201))
    ledger = open_ledger()
    server.inject(Fault(phase, action, match="INSERT", times=3, value=value))
    rounds = [ship_once(ledger, folder, fingerprint="test") for _ in range(4)]
    assert rounds[-1].left == 0
    assert all(isinstance(r.stopped, LedgerUnavailable) for r in rounds if r.stopped)
    assert stored(ledger) == expected(range(1, 201))
    assert backlog(folder).quarantined == 0


def test_faults_while_the_thread_ships(
    server: ClickHouseDouble, open_ledger: Callable[[], Ledger], folder: Path, write: Write
) -> None:
    """
    The background thread gets every row across a bad network once, without being told.
    """
    shipper = ShipperThread(connect=open_ledger, directory=folder, fingerprint="test")
    server.inject(
        Fault("after", "reset", match="INSERT", times=2),
        Fault("before", "status", match="INSERT", value="503"),
        Fault("after", "html", match="INSERT"),
    )
    for start in range(1, 1001, 100):
        write(range(start, start + 100))
        shipper.wake()
    assert any(shipper.flush(5) for _ in range(6))
    shipper.stop()
    assert stored(open_ledger()) == expected(range(1, 1001))


def test_a_server_that_dies_and_comes_back(tmp_path: Path, folder: Path, write: Write) -> None:
    """
    Rows wait on disk while the server is down, and go where they belong when it is up again.
    """
    store = tmp_path / "store"
    write(range(1, 101))
    with ClickHouseDouble(store) as server:
        ledger = connect(server.dsn())
        migrations.apply(ledger)
        server.inject(Fault("after", "reset", match="INSERT", times=9))
        assert isinstance(ship_once(ledger, folder, fingerprint="test").stopped, LedgerUnavailable)
    write(range(101, 301))
    down = ship_once(ledger, folder, fingerprint="test")
    assert isinstance(down.stopped, LedgerUnavailable)
    assert down.left == 6
    ledger.close()
    with ClickHouseDouble(store) as server, connect(server.dsn()) as ledger:
        assert ship_once(ledger, folder, fingerprint="test").left == 0
        assert stored(ledger) == expected(range(1, 301))


def test_tables_are_missing(server: ClickHouseDouble, folder: Path, write: Write) -> None:
    """
    Without tables the rows are kept, and the message says which command makes them.
    """
    write(range(1, 11))
    server.inject()
    with connect(server.dsn("no_tables")) as ledger:
        shipped = ship_once(ledger, folder, fingerprint="test")
    assert isinstance(shipped.stopped, SchemaError)
    assert "schema apply" in str(shipped.stopped)
    assert shipped.left == 1


@pytest.mark.parametrize(
    "changes",
    [{"timestamp": "yesterday"}, {"cost_usd": "much"}, {"usage_gaps": "no list"}, {"input_tokens": "1e400"}],
    ids=lambda changes: next(iter(changes)),
)
def test_rows_that_the_engine_refuses(
    open_ledger: Callable[[], Ledger], folder: Path, write: Write, changes: dict[str, object]
) -> None:
    """
    A row that the engine cannot read is set aside alone; the rows round it are stored once, rollups too.
    """
    journal = Journal(folder, ledger="test")
    for number in range(1, 41):
        journal.append("llm_requests", "202611", row(number, **(changes if number == 40 else {})))
    journal.close()
    ledger = open_ledger()
    shipped = ship_once(ledger, folder, fingerprint="test")
    assert (shipped.refused, shipped.left, shipped.stopped) == (1, 0, None)
    assert stored(ledger) == expected(range(1, 40))
    assert COUNTERS["shipper.refused"] == 1


def test_an_old_segment_is_looked_up(open_ledger: Callable[[], Ledger], folder: Path, write: Write) -> None:
    """
    A segment whose first try is too old is found by its batch id, not sent again, and its month is marked for repair.
    """
    write(range(1, 11))
    [path] = folder.iterdir()
    copy = path.read_bytes()
    ledger = open_ledger()
    assert ship_once(ledger, folder, fingerprint="test").rows == 10
    tried = path.with_suffix(".tried-1700000000")
    tried.write_bytes(copy)
    shipped = ship_once(ledger, folder, fingerprint="test")
    assert (shipped.segments, shipped.rows, shipped.found, shipped.left) == (1, 0, 10, 0)
    assert stored(ledger) == expected(range(1, 11))
    assert marks(ledger) == [["llm_requests", "202611", path.name.split(".")[2], "found_by_lookup"]]


def marks(ledger: Ledger) -> list[list[str]]:
    """
    Give what is marked for repair.
    """
    sql = "SELECT toJSONString(groupArray([table, month, batch_id, reason])) FROM llmcost_repairs FINAL WHERE repaired_at = 0"
    return json.loads(str(ledger.command(sql, what="read the marks")))


def test_merged_segments(open_ledger: Callable[[], Ledger], folder: Path, write: Write) -> None:
    """
    Small segments reach the server as one insert, and one whose answer was lost is found again by its rows' batches.
    """
    for start in range(1, 101, 10):
        write(range(start, start + 10))
    ledger = open_ledger()
    shipped = ship_once(ledger, folder, fingerprint="test", merging=True)
    assert (shipped.segments, shipped.rows, shipped.left) == (1, 100, 0)
    assert stored(ledger) == expected(range(1, 101))
    for start in range(101, 201, 10):
        write(range(start, start + 10))
    with patch.object(ledger, "insert", side_effect=LedgerUnavailable("no answer")):
        ship_once(ledger, folder, fingerprint="test", merging=True)
    [path] = folder.iterdir()
    copy = path.read_bytes()
    assert ship_once(ledger, folder, fingerprint="test").rows == 100
    path.with_suffix(".tried-1700000000").write_bytes(copy)
    assert ship_once(ledger, folder, fingerprint="test").found == 100
    assert stored(ledger) == expected(range(1, 201))
    assert len(marks(ledger)) == 10


def test_a_segment_is_one_block(open_ledger: Callable[[], Ledger], folder: Path) -> None:
    """
    The largest segment is one part in its table and in each rollup: it is there whole or not at all, so that one of its
    batches tells of all.
    """
    journal = Journal(folder, ledger="test")
    for number in range(65_536):
        journal.append("llm_requests", "202611", row(number))
    journal.close()
    ledger = open_ledger()
    ledger.command("SYSTEM STOP MERGES", what="keep the parts as they come", database=False)
    try:
        for name, value in PROFILE.items():
            ledger._client.set_client_setting(name, value)
        assert ship_once(ledger, folder, fingerprint="test").segments == 1
        parts = "SELECT max(parts), sum(parts) > 3 FROM (SELECT count() AS parts FROM system.parts WHERE active AND database = currentDatabase() AND table != 'llmcost_migrations' GROUP BY table)"
        assert ledger.command(parts, what="count the parts") == ["1", "1"]
    finally:
        ledger.command("SYSTEM START MERGES", what="go on", database=False)


def test_rows_of_a_newer_version(open_ledger: Callable[[], Ledger], folder: Path, write: Write) -> None:
    """
    Rows with a column that the ledger lacks wait beside those that it takes, until the column is there.
    """
    write(range(1, 11), column_of_tomorrow=1)
    write(range(11, 21))
    ledger = open_ledger()
    for _ in range(2):
        shipped = ship_once(ledger, folder, fingerprint="test")
        assert isinstance(shipped.stopped, UnknownColumn)
        assert "column_of_tomorrow" in str(shipped.stopped)
        assert (shipped.left, shipped.refused) == (1, 0)
    assert stored(ledger) == expected(range(11, 21))
    ledger.command("ALTER TABLE llm_requests ADD COLUMN column_of_tomorrow UInt8", what="add the column")
    assert ship_once(ledger, folder, fingerprint="test").left == 0
    assert stored(ledger) == expected(range(1, 21))


def test_rows_that_are_40_days_late(open_ledger: Callable[[], Ledger], folder: Path) -> None:
    """
    Rows that waited over a month go into the partitions of their own month, once, in rows and rollups. Fault 69.
    """
    journal = Journal(folder, ledger="test")
    for number in range(1, 101):
        late = number % 2
        journal.append(
            "llm_requests", "202610" if late else "202611", row(number, **({"timestamp": LATE} if late else {}))
        )
    journal.close()
    for path in folder.iterdir():
        os.utime(path, (time.time() - 40 * 86_400,) * 2)
    ledger = open_ledger()
    assert ship_once(ledger, folder, fingerprint="test", merging=True).left == 0
    assert stored(ledger) == expected(range(1, 101))
    months = "SELECT arrayStringConcat(arraySort(groupUniqArray(partition)), ' ') FROM system.parts WHERE active AND database = currentDatabase() AND table = {table:String}"
    for table in ("llm_requests", "spend_by_hour"):
        assert ledger.command(months, {"table": table}, what="list the partitions") == "202610 202611"


def own(folder: Path, *survived: int) -> subprocess.CompletedProcess[str]:
    """
    Let a process own the embedded ledger, ship its journal, and die if told.
    """
    command = [sys.executable, "-m", "tests.shipper.embedded_process", str(folder.parent), *map(str, survived)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def test_into_an_embedded_ledger_that_dies_between_insert_and_removal(folder: Path, write: Write) -> None:
    """
    An owner killed between an insert and the removal of its segment doubles nothing, in rows or rollups.
    """
    write(range(1, 301))
    for survived in (1, 2, 3):
        assert own(folder, survived).returncode == -9
    answer = json.loads(own(folder).stdout)
    assert (answer["left"], answer["stopped"]) == (0, "None")
    assert [normal(value) for value in answer["totals"]] == expected(range(1, 301))
