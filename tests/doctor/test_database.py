"""What the doctor says of the database: windows, clock, and the two totals that must agree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from otel_llmcost.doctor import Finding
from otel_llmcost.doctor.database import database_findings, shipping_findings
from otel_llmcost.ledger import Ledger, connect, migrations, parse_dsn
from otel_llmcost.reports.gaps import usage_gaps
from otel_llmcost.settings import Settings
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import a_request, store

PLACE = parse_dsn("http://localhost:8123/llmcost")


@pytest.fixture
def own(server: ClickHouseDouble) -> Iterator[Ledger]:
    """A ledger that a test may damage."""
    with connect(server.dsn("doctor_database")) as opened:
        migrations.apply(opened)
        store(opened, [a_request(1)])
        yield opened
        opened.command("DROP DATABASE doctor_database", what="clean up")


def found(ledger: object, moment: Ledger) -> dict[str, Finding]:
    """What is said, by subject."""
    gaps = usage_gaps(moment, since=date(2026, 11, 1), until=date(2026, 12, 1))
    return {finding.subject: finding for finding in database_findings(ledger, PLACE, gaps)}  # type: ignore[arg-type]


def test_a_database_that_is_well(own: Ledger) -> None:
    """
    A ledger of ours has nothing to be warned about.
    """
    said = found(own, own)

    assert {subject: finding.severity for subject, finding in said.items()} == dict.fromkeys(
        ["engine", "exactly once", "rollups"], "ok"
    )
    assert said["exactly once"].what == "8 tables know a repeated insert"


def test_windows_and_totals(own: Ledger) -> None:
    """
    Faults 54 and 55: a table that remembers few inserts or none is a problem, with the statement that mends it; so is a
    rollup without the total of its rows.
    """
    own.command("ALTER TABLE spend_by_hour MODIFY SETTING non_replicated_deduplication_window = 3", what="damage")
    own.command("ALTER TABLE llm_requests RESET SETTING non_replicated_deduplication_window", what="damage")
    own.command("TRUNCATE TABLE spend_by_hour", what="damage")
    said = found(own, own)

    assert {finding.subject for finding in said.values() if finding.severity == "problem"} == {
        "table spend_by_hour",
        "table llm_requests",
        "rollups",
    }
    assert "llm_requests remembers 0 inserts" in said["table llm_requests"].what
    assert "spend_by_hour has $0 of 0 requests, the rows $0.01155 of 1" in said["rollups"].what
    for name in ("spend_by_hour", "llm_requests"):
        own.command(said[f"table {name}"].snippet, what="do as it says")
    assert "exactly once" in found(own, own)


class Replicated:
    """A ledger whose clock and tables a test gives."""

    def __init__(self, real: Ledger, *, ahead_seconds: float, window_seconds: int) -> None:
        self._real, self._ahead, self._window = real, ahead_seconds, window_seconds

    def query(self, name: str, parameters: object = None) -> list[dict[str, object]]:
        """Answer what the test gave, and the rest as it is."""
        if name == "doctor_server":
            return [{"version": "26.3.1", "now": datetime.now(UTC) + timedelta(seconds=self._ahead)}]
        if name == "tables_that_remember":
            setting = f"replicated_deduplication_window_seconds = {self._window}"
            (table, *_) = self._real.query(name, parameters)  # type: ignore[arg-type]
            return [{**table, "name": "llm_requests_local", "engine": "ReplicatedMergeTree", "engine_full": setting}]
        return self._real.query(name, parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize(("ahead", "word"), [(3600, "ahead of"), (-3600, "behind")])
def test_a_clock_that_is_off(own: Ledger, ahead: float, word: str) -> None:
    """
    A server whose clock is an hour off is warned about, with the direction.
    """
    said = found(Replicated(own, ahead_seconds=ahead, window_seconds=604_800), own)

    assert (said["clock"].severity, f"3,600 s {word} this machine's" in said["clock"].what) == ("warning", True)
    assert said["exactly once"].severity == "ok"


def test_a_replicated_table_that_forgets_by_time(own: Ledger) -> None:
    """
    A replicated table must remember inserts longer than a segment is retried with its token.
    """
    said = found(Replicated(own, ahead_seconds=0, window_seconds=600), own)

    assert "llm_requests_local remembers 10000 inserts for 600 s" in said["table llm_requests_local"].what


@pytest.mark.parametrize(
    ("dsn", "ship", "said"),
    [
        ("http://localhost:8123/llmcost", True, "each process ships its own rows"),
        ("http://localhost:8123/llmcost", False, "`otel-llmcost ship` must run on this machine"),
        ("chdb:///var/lib/llmcost", True, "`otel-llmcost serve`"),
    ],
)
def test_who_ships(dsn: str, ship: bool, said: str) -> None:
    """
    It is said who sends the rows, because that is who must run.
    """
    (finding,) = shipping_findings(parse_dsn(dsn), Settings(ship=ship))

    assert (finding.severity, said in finding.what) == ("ok", True)
