"""A small month of charges, in a ledger behind HTTP: the command line in this process, the engine in another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.ledger.row import rate_row
from otel_llmcost.model import Attempt, Owner, Request, Unpriced
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import MINI, RATE, START_NS, a_request, adjust, adjusted, priced, segment, store

DAY_NS = 86_400 * 10**9
DATABASE = "reports"
TEAMS = ("search", "growth", "support", None)
_numbers = count(1)
CUSTOMERS = ("acme", "globex", "=cmd()", "@sum", None)


def charges() -> list[Request]:
    """Sixty requests of four teams on twenty days: priced, partial, unpriced, failed, retried, not owned."""
    return [
        a_request(
            number,
            price=priced(number * 10**9 + 1, status="partial" if number % 20 == 0 else "priced")
            if number % 6
            else Unpriced(reason="no_usage" if number % 4 == 0 else "unknown_model"),
            owner=Owner(
                team=TEAMS[number % 4],
                feature=f"feature-{number % 7}",
                customer_id=CUSTOMERS[number % 5],
                environment="production" if number % 3 else "staging",
                action="reply" if number % 2 else None,
                action_id=f"r-{number // 2}",
            ),
            status="error" if number % 4 == 0 else "success",
            attempt=Attempt(kind="retry", number=2, wasted=True) if number % 9 == 0 else Attempt(),
            start_unix_ns=START_NS - (number % 20) * DAY_NS,
            model=f"model-{number % 3}",
            service=f"service-{number % 2}",
        )
        for number in range(1, 61)
    ]


@pytest.fixture(scope="session")
def server() -> Iterator[ClickHouseDouble]:
    """One double of a ClickHouse server."""
    with ClickHouseDouble() as double:
        yield double


@pytest.fixture(scope="session")
def ledger(server: ClickHouseDouble) -> Iterator[Ledger]:
    """The month, and one charge that was corrected; nobody writes after this."""
    all_ = charges()
    better = a_request(99, price=MINI, owner=Owner(team="growth", customer_id="acme"))
    with connect(server.dsn(DATABASE)) as opened:
        migrations.apply(opened)
        store(opened, all_)
        adjust(opened, [adjusted(all_[0], -1, of=all_[0]), adjusted(better, 1, of=all_[0])])
        opened.insert("llm_rates", segment([rate_row(RATE)]), token="rates")
        yield opened


@pytest.fixture
def empty(server: ClickHouseDouble) -> Iterator[Ledger]:
    """A ledger of its own for one test, behind HTTP."""
    with connect(server.dsn(f"empty_{next(_numbers)}")) as opened:
        migrations.apply(opened)
        yield opened


@pytest.fixture
def dsn(server: ClickHouseDouble, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The DSN of that ledger, for the command line, with an empty journal."""
    monkeypatch.setenv("OTEL_LLMCOST_JOURNAL_DIR", str(tmp_path))
    return server.dsn(ledger.dsn.database)
