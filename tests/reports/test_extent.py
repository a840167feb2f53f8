"""How far a ledger reaches."""

from __future__ import annotations

from datetime import date

from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.reports import requests
from otel_llmcost.reports.extent import extent
from tests.clickhouse_double import ClickHouseDouble


def test_the_first_and_the_newest_request_are_those_of_the_rows(ledger: Ledger) -> None:
    """What the index says is what the rows say."""
    found = extent(ledger)
    charges = requests(ledger, since=date(2020, 1, 1), until=date(2040, 1, 1), limit=1000)
    rows = [row.timestamp for row in charges if not row.adjustment_reason]
    assert found is not None
    assert (found.first, found.newest) == (min(rows), max(rows))


def test_a_ledger_without_requests_reaches_nowhere(server: ClickHouseDouble) -> None:
    """No request is no extent, and not the year 1970."""
    with connect(server.dsn("no_requests")) as empty:
        migrations.apply(empty)
        assert extent(empty) is None
