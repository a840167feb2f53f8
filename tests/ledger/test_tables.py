"""Nothing is inserted while a table forgets inserts: a repeated one would count twice, and nobody would know."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_llmcost.errors import SchemaError
from otel_llmcost.journal import Journal
from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.ledger.rendering import WINDOW_SECONDS, windowed
from otel_llmcost.ledger.row import encode_request
from otel_llmcost.ledger.tables import MIN_WINDOW, MIN_WINDOW_SECONDS, read_tables, tables_to_ask_for
from otel_llmcost.shipper import ship_once
from otel_llmcost.shipper.rounds import LOOKUP_SECONDS
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import a_request, ask, store


def set_window(ledger: Ledger, table: str, inserts: int) -> None:
    """Let a table remember so many inserts."""
    setting = f"MODIFY SETTING non_replicated_deduplication_window = {inserts}"
    ledger.command(f"ALTER TABLE {table} {setting}", what="change how much is remembered")


def answer(engine: str, said: str) -> dict[str, object]:
    """Give a row of the query, with the defaults of ClickHouse 26.9."""
    return {
        "name": "llm_requests_local",
        "engine": engine,
        "engine_full": f"{engine} ORDER BY team SETTINGS {said}",
        "default_window": "0",
        "default_replicated_window": "10000",
        "default_window_seconds": "3600",
    }


@pytest.mark.parametrize("inserts", [0, 3, MIN_WINDOW - 1])
@pytest.mark.parametrize("table", ["llm_requests", "spend_by_hour"])
def test_a_table_that_forgets(server: ClickHouseDouble, ledger: Ledger, table: str, inserts: int) -> None:
    """
    Faults 54 and 55: with a window too small, or none, on a table or a rollup, every insert is refused with the statement
    that mends it; then the same connection goes on.
    """
    set_window(ledger, table, inserts)
    for _ in range(2):
        with pytest.raises(SchemaError, match=f"{table} remembers {inserts} inserts, .*nothing is sent") as refusal:
            store(ledger, [a_request()])
    assert ask(ledger, "SELECT count() FROM llm_requests") == ["0"]

    ledger.command(str(refusal.value).rpartition("Run ")[2], what="do as it says")
    store(ledger, [a_request()])
    assert ask(ledger, "SELECT sum(requests) FROM spend_by_hour") == ["1"]


def test_rows_wait_meanwhile(ledger: Ledger, tmp_path: Path) -> None:
    """
    Faults 54 and 55: the journal keeps its rows, no row is blamed, and all are shipped when the table remembers again.
    """
    set_window(ledger, "spend_by_hour", 3)
    folder = tmp_path / "journal"
    journal = Journal(folder, ledger="test")
    journal.append("llm_requests", "202611", encode_request(a_request()))
    journal.close()

    waiting = ship_once(ledger, folder, fingerprint="test")
    assert (waiting.left, waiting.refused, type(waiting.stopped)) == (1, 0, SchemaError)
    set_window(ledger, "spend_by_hour", 100_000)
    assert ship_once(ledger, folder, fingerprint="test").rows == 1


def test_looked_at_once(server: ClickHouseDouble) -> None:
    """
    Tables are looked at once for each connection, not for each insert.
    """
    with connect(server.dsn("looked_at")) as ledger:
        migrations.apply(ledger)
        before = len(server.statements())
        for number in range(5):
            store(ledger, [a_request(number)], token=f"t{number}")
        looks = [each for each in server.statements()[before:] if "deduplication_window" in each["sql"]]
    assert len(looks) == 1


@pytest.mark.parametrize(
    ("engine", "said", "forgets"),
    [
        ("MergeTree", "index_granularity = 8192", True),
        ("MergeTree", "replicated_deduplication_window = 100000", True),
        ("MergeTree", "non_replicated_deduplication_window = 10000", False),
        ("ReplicatedMergeTree", "replicated_deduplication_window = 100000, index_granularity = 8192", False),
        ("ReplicatedMergeTree", "replicated_deduplication_window = 100", True),
        ("ReplicatedMergeTree", "replicated_deduplication_window_seconds = 3599", True),
        ("SharedMergeTree", "non_replicated_deduplication_window = 100000", False),
    ],
)
def test_how_much_a_table_remembers(engine: str, said: str, forgets: bool) -> None:
    """
    What counts is the setting that the table's engine goes by, else the server's default for it; replicated, time too.
    """
    assert forgets == bool(read_tables([answer(engine, said)]).forgetful)


def test_time_is_enough_to_look_rows_up() -> None:
    """
    A replicated table remembers at least twice as long as a shipper sends without a look whether the rows are there.
    """
    assert WINDOW_SECONDS >= MIN_WINDOW_SECONDS >= 2 * LOOKUP_SECONDS


def test_every_table_behind_an_insert_is_asked_for(ledger: Ledger) -> None:
    """
    Every table that takes rows or that a view fills is among those that must remember.
    """
    filled = ask(
        ledger,
        "SELECT arrayStringConcat(arraySort(groupUniqArray(extract(create_table_query, ' TO [a-z_0-9]+[.]([a-z_]+)'))), ' ') "
        "FROM system.tables WHERE database = currentDatabase() AND engine = 'MaterializedView'",
    )[0].split()
    assert len(filled) == 4
    assert {*filled, "llm_requests", "llm_adjustments", "llm_rates", "llm_outcomes"} == windowed()
    assert windowed() < set(tables_to_ask_for())
