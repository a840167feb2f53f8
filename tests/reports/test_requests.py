"""The list of charges behind a figure: in pages, narrowed, and with its sum."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.reports import RequestRow, requests, spend
from otel_llmcost.reports.money import sum_usd
from otel_llmcost.reports.requests import SORTS, Cursor, Facts, Sort, total
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import START_NS, a_request, priced, store
from tests.reports.conftest import DAY_NS

AUTUMN = {"since": date(2026, 10, 1), "until": date(2026, 12, 1)}


def pages(
    ledger: Ledger, size: int, sort: Sort, where: dict[str, str], facts: Facts
) -> Iterator[tuple[RequestRow, ...]]:
    """Read the list page by page, each from where the one before ended, as a URL keeps it."""
    after: Cursor | None = None
    while rows := requests(ledger, **AUTUMN, where=where, limit=size, sort=sort, facts=facts, after=after):
        yield rows
        after = Cursor.read(str(Cursor.behind(rows, sort, after)))


@pytest.fixture(scope="module")
def ties(server: ClickHouseDouble) -> Iterator[Ledger]:
    """Ninety requests, thirty in each of three instants, of two costs or none."""
    with connect(server.dsn("ties")) as opened:
        migrations.apply(opened)
        store(
            opened,
            [
                a_request(number, price=priced(1 + number % 2), start_unix_ns=START_NS - number % 3 * DAY_NS)
                for number in range(90)
            ],
        )
        yield opened


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("size", [11, 50])
@pytest.mark.parametrize(
    ("where", "facts"),
    [({}, Facts()), ({"team": "growth"}, Facts(wasted=True))],
)
def test_pages_are_the_list(ledger: Ledger, sort: Sort, size: int, where: dict[str, str], facts: Facts) -> None:
    """
    The pages one after another have every row of the list once, in its order, whatever their size.
    """
    whole = requests(ledger, **AUTUMN, where=where, limit=1000, sort=sort, facts=facts)

    assert whole
    assert [row for page in pages(ledger, size, sort, where, facts) for row in page] == list(whole)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("size", [13, 40])
def test_rows_of_one_instant_and_cost(ties: Ledger, sort: Sort, size: int) -> None:
    """
    Where many rows have one key, no page leaves one out or has it again.
    """
    read = [row.span_id for page in pages(ties, size, sort, {}, Facts()) for row in page]

    assert len(read) == len(set(read)) == 90


def test_most_costly_first(ledger: Ledger) -> None:
    """
    By cost, what was taken back is behind all charges, and what is not known is behind both: it is no cost of 0.
    """
    costs = [row.cost_usd for row in requests(ledger, **AUTUMN, limit=1000, sort="cost")]
    known = [cost for cost in costs if cost is not None]

    assert known == sorted(known, reverse=True)
    assert known[-1] < 0
    assert costs == known + [None] * (len(costs) - len(known))
    assert costs[-1] is None


@pytest.mark.parametrize(
    "facts",
    [
        Facts(),
        Facts(wasted=True),
        Facts(reason="no_usage"),
        Facts(action_id="r-7"),
        Facts(hour=datetime(2026, 11, 12, 11, tzinfo=UTC)),
    ],
    ids=["all", "wasted", "reason", "action_id", "hour"],
)
def test_total_is_the_lists(ledger: Ledger, facts: Facts) -> None:
    """
    The sum that is said above a list is the sum of its rows, and counts those whose cost is not known.
    """
    rows = requests(ledger, **AUTUMN, limit=1000, facts=facts)
    found = total(ledger, **AUTUMN, facts=facts)

    assert rows
    assert found.requests == sum(row.sign for row in rows)
    assert found.cost_usd == sum_usd(row.cost_usd for row in rows if row.cost_usd is not None)
    unknown = sum(row.sign for row in rows if row.cost_usd is None)
    assert found.unpriced_requests + found.failed_without_usage == unknown


def test_waste_is_the_reports_waste(ledger: Ledger) -> None:
    """
    The wasted charges of the list sum to what a report calls waste.
    """
    assert (
        total(ledger, **AUTUMN, facts=Facts(wasted=True)).cost_usd
        == spend(ledger, ["day"], **AUTUMN).total.wasted_cost_usd
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-01_1",
        "2026-11-01_x_1",
        "2026-11-01_1_-1",
        "2026-11-01_1e9_1",
        "0001-01-01T00:00:00.000000_0_0",
        "9999-12-31T23:59:59.999999_0_0",
    ],
)
def test_what_is_no_place(text: str) -> None:
    """
    A place that nobody wrote is refused, with what to do.
    """
    with pytest.raises(ReportError, match="begin at its first page"):
        Cursor.read(text)


def test_what_a_correction_is_of(ledger: Ledger) -> None:
    """
    A correction names the request that it corrects, and a request names itself.
    """
    rows = requests(ledger, **AUTUMN, limit=1000)

    assert {(row.of_span_id == row.span_id) for row in rows if not row.adjustment_reason} == {True}
    assert {row.of_span_id for row in rows if row.adjustment_reason} == {f"{1:016x}"}
    assert sum(row.cost_usd or Decimal(0) for row in rows if row.adjustment_reason) != 0
