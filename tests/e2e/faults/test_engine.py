"""
Faults of the database itself: killed, full, overloaded, read-only, with tables that are gone or broken.

Each test is a real application before the real engine; after it, every span so far is audited by its id and in
picodollars, in rows and rollups (`bank.Bank.settle`).
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from otel_llmcost import ClickHouseSpanExporter
from otel_llmcost.journal import backlog
from otel_llmcost.ledger import connect
from otel_llmcost.settings import Settings
from otel_llmcost.verify import rebuild_rollup
from tests.clickhouse_double import MEMORY_LIMIT, TOO_MANY_PARTS, ClickHouseDouble, Fault
from tests.e2e.faults.application import Application
from tests.e2e.faults.audit import ROLLUPS, Audit, over_http
from tests.e2e.faults.bank import Bank
from tests.e2e.faults.small_disk import small_disk

KILLS = int(os.environ.get("LLMCOST_SERVER_KILLS", "3"))
"""How often the server is killed here; `make chaos` kills it more often."""
SEPTEMBER, OCTOBER, NOVEMBER = (1_790_000_000_000_000_000, 1_792_000_000_000_000_000, 1_795_000_000_000_000_000)
"""Three months of 2026, in nanoseconds."""
END_OF_OCTOBER = 1_793_491_199_500_000_000
"""2026-10-31 23:59:59.5 UTC."""
Start = Callable[..., Application]


@pytest.fixture(scope="module")
def bank() -> Iterator[Bank]:
    """The ledger of all tests here but those that kill or fill their own server."""
    with ClickHouseDouble() as server:
        yield Bank(server, "engine")


@pytest.fixture
def application(bank: Bank, tmp_path: Path) -> Iterator[Application]:
    """An application with rows in the ledger already."""
    application = bank.application(tmp_path)
    application.call(10, at_unix_ns=NOVEMBER)
    bank.settle(application)
    yield application
    bank.server.inject()
    application.end()


def settle_in_another_process(bank: Bank, application: Application, folder: Path) -> None:
    """End the application, whose shipper may rest for a minute; another one on the same journal ships what it left."""
    application.end()
    other = bank.application(folder)
    other.ended |= application.ended
    try:
        bank.settle(other)
    finally:
        other.end()


def test_a_server_killed_in_the_middle_of_inserts(tmp_path: Path) -> None:
    """
    Fault 50: kill -9 of the server at any moment of an insert, again and again: rows and rollups are whole afterwards.
    """
    chance = random.Random(50)
    with ClickHouseDouble(tmp_path / "store") as server:
        bank = Bank(server, "killed")
        application = bank.application(tmp_path)
        for _ in range(KILLS):
            server.inject(
                Fault("before", "kill", match=r"INSERT INTO\W+llm_requests", value=str(chance.uniform(0, 0.06)))
            )
            application.call(300, at_unix_ns=chance.choice([OCTOBER, NOVEMBER]))
            application.exporter.force_flush(2000)
            server.restart()
        bank.settle(application)
        application.end()


@pytest.mark.parametrize("free_kilobytes", [8, 300])
def test_a_full_disk(tmp_path: Path, free_kilobytes: int) -> None:
    """
    Fault 51: the server's disk is full, in the table or in a view behind it: when there is space, all is stored once.
    """
    with small_disk(tmp_path / "disk", 64 << 10) as disk, ClickHouseDouble(disk / "store") as server:
        bank = Bank(server, "full")
        application = bank.application(tmp_path)
        application.call(20)
        bank.settle(application)
        space = os.statvfs(disk)
        filler = disk / "filler"
        with filler.open("wb") as file:
            file.write(b"\0" * max(0, space.f_bavail * space.f_frsize - free_kilobytes * 1024))
        application.call(2000)
        assert not application.exporter.force_flush(2000)
        filler.unlink()
        bank.settle(application)
        application.end()


def test_a_rollup_without_its_column(bank: Bank, application: Application, tmp_path: Path) -> None:
    """
    Fault 52: the engine says nothing of a rollup's column that is gone; the rows have all, and the rollup is rebuilt.
    """
    bank.command("ALTER TABLE spend_by_hour DROP COLUMN cost_usd")
    application.call(20, at_unix_ns=NOVEMBER)
    assert application.drain()
    bank.want |= application.ended
    bank.command("ALTER TABLE spend_by_hour ADD COLUMN cost_usd SimpleAggregateFunction(sum, Decimal(38, 12))")
    found = bank.audit()
    assert found == Audit(rollups_minus_want=(("spend_by_hour", 0, -sum(bank.want.values())),))
    rebuild(bank, tmp_path, "spend_by_hour")
    bank.settle(application)


def rebuild(bank: Bank, folder: Path, rollup: str, months: Sequence[str] = ("202609", "202610", "202611")) -> None:
    """Make months of a rollup from the rows again."""
    settings = Settings(dsn=bank.dsn, journal_dir=folder / "journal")
    with connect(bank.dsn) as ledger:
        for month in months:
            rebuild_rollup(ledger, rollup, month, settings=settings, pause_seconds=0.1)


def test_a_view_that_raises(
    bank: Bank, application: Application, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Fault 52: someone's own view behind our table raises: no row is blamed for it, and the message names the view.
    """
    bank.command(
        "CREATE MATERIALIZED VIEW their_view ENGINE = Memory AS SELECT throwIf(1, 'no') AS n FROM llm_requests"
    )
    application.call(20, at_unix_ns=NOVEMBER)
    assert not application.exporter.force_flush(3000)
    assert backlog(application.exporter.journal_dir).quarantined == 0
    assert "their_view" in caplog.text
    bank.command("DROP VIEW their_view")
    settle_in_another_process(bank, application, tmp_path)


REFUSALS = {
    "51 no space": "Code: 243. DB::Exception: Cannot reserve 1.00 MiB. (NOT_ENOUGH_SPACE)",
    "53 too many parts": TOO_MANY_PARTS,
    "53 memory": MEMORY_LIMIT,
    "53 read-only replica": "Code: 242. DB::Exception: Table is in readonly mode. (TABLE_IS_READ_ONLY)",
    "53 timeout": "Code: 159. DB::Exception: Timeout exceeded: elapsed 60 seconds. (TIMEOUT_EXCEEDED)",
    "53 too many queries": "Code: 202. DB::Exception: Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)",
    "53 keeper": "Code: 999. Coordination::Exception: Session expired. (KEEPER_EXCEPTION)",
    "53 unknown status": "Code: 319. DB::Exception: Unknown status, client must retry. (UNKNOWN_STATUS_OF_INSERT)",
}


@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("words", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_server_that_cannot_just_now(bank: Bank, application: Application, words: str, phase: str) -> None:
    """
    Faults 51 and 53: what passes is tried again, whether or not the insert had been done.
    """
    bank.server.inject(Fault(phase, "exception", match=r"INSERT INTO\W+llm_requests", times=2, value=words))  # type: ignore[arg-type]
    application.call(10, at_unix_ns=NOVEMBER)
    bank.settle(application)


def test_too_many_parts(bank: Bank, application: Application) -> None:
    """
    Fault 53: the engine's own refusal of further parts is waited out.
    """
    bank.command("SYSTEM STOP MERGES llm_requests")
    application.call(1, at_unix_ns=NOVEMBER)
    bank.settle(application)
    bank.command("ALTER TABLE llm_requests MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 1")
    application.call(10, at_unix_ns=NOVEMBER)
    assert not application.exporter.force_flush(1500)
    bank.command("ALTER TABLE llm_requests RESET SETTING parts_to_delay_insert, parts_to_throw_insert")
    bank.command("SYSTEM START MERGES llm_requests")
    bank.settle(application)


@pytest.mark.parametrize("table", ["llm_requests", "spend_by_hour"])
def test_a_table_that_is_gone(bank: Bank, application: Application, tmp_path: Path, table: str) -> None:
    """
    Fault 53: while a table or the rollup behind it is detached, rows wait, and no row is blamed.
    """
    bank.command(f"DETACH TABLE {table}")
    application.call(10, at_unix_ns=NOVEMBER)
    assert not application.exporter.force_flush(3000)
    bank.command(f"ATTACH TABLE {table}")
    assert backlog(application.exporter.journal_dir).quarantined == 0
    settle_in_another_process(bank, application, tmp_path)


def test_a_view_that_is_gone(bank: Bank, application: Application, tmp_path: Path) -> None:
    """
    Fault 57: the engine says nothing of a view that is detached; the rows have all, and the rollup is rebuilt.
    """
    bank.command("DETACH TABLE spend_by_hour_from_requests")
    application.call(10, at_unix_ns=NOVEMBER)
    assert application.drain()
    bank.want |= application.ended
    bank.command("ATTACH TABLE spend_by_hour_from_requests")
    lacking = list(application.ended.values())[-10:]
    assert bank.audit() == Audit(rollups_minus_want=(("spend_by_hour", -10, -sum(lacking)),))
    rebuild(bank, tmp_path, "spend_by_hour")
    bank.settle(application)


def test_late_rows_of_three_months(bank: Bank, application: Application) -> None:
    """
    Fault 56: calls of three months at once, and an adjustment over the end of a month, through lost answers.
    """
    bank.server.inject(Fault("after", "reset", match=r"INSERT INTO\W+llm_requests", times=5))
    for at in (SEPTEMBER, NOVEMBER, OCTOBER):
        application.call(20, at_unix_ns=at)
    application.move(END_OF_OCTOBER, END_OF_OCTOBER + 700_000_000)
    bank.settle(application)
    months = "SELECT count(), uniqExact(toYYYYMM(timestamp)) FROM llm_adjustments"
    assert over_http(bank.dsn)(months) == [["2", "2"]]


def test_a_partition_that_comes_and_goes(bank: Bank, application: Application) -> None:
    """
    Fault 57: a month that is detached while others are written, and comes back, is as it was.
    """
    application.call(10, at_unix_ns=OCTOBER)
    bank.settle(application)
    bank.command("ALTER TABLE llm_requests DETACH PARTITION 202610")
    assert bank.audit().lost >= 10
    application.call(10, at_unix_ns=NOVEMBER)
    assert application.drain()
    bank.command("ALTER TABLE llm_requests ATTACH PARTITION 202610")
    bank.settle(application)


def test_rollups_that_were_emptied(bank: Bank, application: Application, tmp_path: Path) -> None:
    """
    Fault 57: what was truncated or dropped from a rollup is built anew, to the picodollar.
    """
    application.call(10, at_unix_ns=OCTOBER)
    bank.settle(application)
    bank.command("TRUNCATE TABLE spend_by_hour")
    bank.command("ALTER TABLE spend_by_customer_day DROP PARTITION 202610")
    assert {name for name, _, _ in bank.audit().rollups_minus_want} == {"spend_by_hour", "spend_by_customer_day"}
    rebuild(bank, tmp_path, "spend_by_hour")
    rebuild(bank, tmp_path, "spend_by_customer_day", ["202610"])
    assert bank.audit() == Audit()
    application.call(10, at_unix_ns=OCTOBER)
    bank.settle(application)


def test_tables_of_another_version(bank: Bank, application: Application, tmp_path: Path) -> None:
    """
    Fault 59: rows with a column that the server's table lacks wait until it has it; nothing of them is left out.
    """
    bank.command("ALTER TABLE llm_requests DROP COLUMN duration_us")
    application.call(10, at_unix_ns=NOVEMBER)
    assert not application.exporter.force_flush(3000)
    bank.command("ALTER TABLE llm_requests ADD COLUMN duration_us UInt64")
    settle_in_another_process(bank, application, tmp_path)


def test_audit_while_parts_are_merged(bank: Bank, application: Application) -> None:
    """
    Fault 60: sums are right at every moment while parts of tables and rollups are merged behind them.
    """
    stop = threading.Event()

    def merge() -> None:
        with connect(bank.dsn) as ledger:
            while not stop.is_set():
                for table in ("llm_requests", *ROLLUPS):
                    with suppress(Exception):
                        ledger.command(f"OPTIMIZE TABLE {table} FINAL", what="merge")

    merging = threading.Thread(target=merge)
    merging.start()
    try:
        for _ in range(4):
            application.call(10, at_unix_ns=NOVEMBER)
            bank.settle(application)
    finally:
        stop.set()
        merging.join()


def test_two_pipelines_export_the_same_span(bank: Bank, application: Application, tmp_path: Path) -> None:
    """
    Fault 62: a span that our processor recorded, and that reaches a second exporter and journal as well, is one row.
    """
    second = ClickHouseSpanExporter(settings=replace(application.exporter.settings, journal_dir=tmp_path / "second"))
    application.provider.add_span_processor(BatchSpanProcessor(second))
    application.call(10, at_unix_ns=NOVEMBER)
    assert application.provider.force_flush()
    assert second.force_flush()
    bank.settle(application)
    application.provider.shutdown()
