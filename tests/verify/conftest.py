"""A ledger in either engine with two months of charges, and the ways in which tests damage it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count

import pytest

from otel_llmcost.ledger import Ledger, connect, migrations, parse_dsn
from otel_llmcost.ledger.row import month_of, rate_row
from otel_llmcost.model import Attempt, Owner, Request, Unpriced
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import MINI, RATE, START_NS, a_request, adjust, adjusted, priced, segment, store

DAY_NS = 86_400 * 10**9
_numbers = count(1)


def charges() -> list[Request]:
    """Forty requests of October and November 2026: priced, partial, unpriced, failed, retried, not owned."""
    return [
        a_request(
            number,
            price=priced(number * 10**9 + 1, status="partial" if number % 20 == 0 else "priced")
            if number % 6
            else Unpriced(reason="no_usage" if number % 4 == 0 else "unknown_model"),
            owner=Owner(
                team=("search", "growth", None)[number % 3],
                feature=f"feature-{number % 4}",
                customer_id=f"customer-{number % 5}",
                environment="production",
                action="reply" if number % 2 else None,
                action_id=f"r-{number // 2}",
            ),
            status="error" if number % 4 == 0 else "success",
            attempt=Attempt(kind="retry", number=2, wasted=True) if number % 9 == 0 else Attempt(),
            start_unix_ns=START_NS - (number % 40) * DAY_NS,
        )
        for number in range(1, 41)
    ]


def by_month(requests: Iterable[Request]) -> dict[str, list[Request]]:
    """Sort requests into the months that a journal would keep apart."""
    found: dict[str, list[Request]] = {}
    for request in requests:
        found.setdefault(month_of(request.span.start_unix_ns), []).append(request)
    return found


@pytest.fixture(scope="session")
def server() -> Iterator[ClickHouseDouble]:
    """One double of a ClickHouse server for all tests."""
    with ClickHouseDouble() as double:
        yield double


@pytest.fixture(params=["embedded", "server"])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """Those charges, one of them corrected, and their rate, in either engine: every test that takes it runs twice."""
    dsn = "chdb://memory" if request.param == "embedded" else request.getfixturevalue("server").dsn()
    with connect(replace(parse_dsn(dsn), database=f"verify_{next(_numbers)}")) as opened:
        migrations.apply(opened)
        all_ = charges()
        for month, requests in by_month(all_).items():
            store(opened, requests, month)
        better = a_request(99, price=MINI, owner=Owner(team="growth", customer_id="acme"))
        adjust(opened, [adjusted(all_[0], -1, of=all_[0]), adjusted(better, 1, of=all_[0])])
        opened.insert("llm_rates", segment([rate_row(RATE)]), token="rates")
        yield opened


def run(ledger: Ledger, sql: str) -> None:
    """Do something to the database behind the product's back, and wait until it is done."""
    ledger.command(f"{sql} SETTINGS mutations_sync = 2" if sql.startswith("ALTER") else sql, what="damage the ledger")
