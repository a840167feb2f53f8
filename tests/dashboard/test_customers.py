"""The page of customers: what each costs, who is new and who is gone."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from starlette.testclient import TestClient

from otel_llmcost.dashboard.page import House
from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.model import Owner
from otel_llmcost.reports import Period, spend
from otel_llmcost.reports.customers import customers_seen
from otel_llmcost.reports.money import exact_usd
from tests.clickhouse_double import ClickHouseDouble
from tests.dashboard.conftest import HOSTILE, PERIOD
from tests.dashboard.test_requests import BETWEEN
from tests.ledger.samples import START_NS, a_request, adjust, adjusted, store
from tests.reports.conftest import DAY_NS

NOW, BEFORE = Period(date(2026, 11, 9), date(2026, 11, 19)), Period(date(2026, 10, 30), date(2026, 11, 9))
WORDS = "since=2026-11-09&until=2026-11-19"


def table_of(browser: TestClient, words: str, name: str = "customers") -> list[dict[str, str]]:
    """Download a table of the page."""
    return list(csv.DictReader(io.StringIO(browser.get(f"/customers?{words}&csv={name}").text)))


@pytest.fixture(scope="module")
def coming_and_going(server: ClickHouseDouble) -> Iterator[Ledger]:
    """Thirty days: `old` throughout, `new` since five days, `gone` until fifteen days ago, `taken` all taken back."""
    days = {"old": (29, 15, 2), "new": (5, 1), "gone": (29, 15), "taken": (3,)}
    requests = [
        a_request(number, owner=Owner(team="search", customer_id=customer), start_unix_ns=START_NS - ago * DAY_NS)
        for number, (customer, ago) in enumerate((customer, ago) for customer, all_ in days.items() for ago in all_)
    ]
    with connect(server.dsn("customers")) as opened:
        migrations.apply(opened)
        store(opened, requests)
        adjust(opened, [adjusted(requests[-1], -1, of=requests[-1])])
        yield opened


@pytest.fixture
def visitor(house: House, coming_and_going: Ledger, open_browser: Callable[..., TestClient]) -> TestClient:
    """A browser at that ledger."""
    return open_browser(replace(house, ledger=coming_and_going))


def test_who_is_new_and_who_is_gone(coming_and_going: Ledger) -> None:
    """
    New is who had no request before the period, gone who had some only before it; what was taken back is neither.
    """
    found = customers_seen(coming_and_going, ["old", "new"], period=NOW, before=BEFORE)

    assert (found.new, found.gone) == (1, 1)
    assert [each.customer_id for each in found.most_gone] == ["gone"]
    assert found.most_gone[0].last_day == date(2026, 11, 3)
    assert {name: each.first_day for name, each in found.named.items()} == {
        "old": date(2026, 10, 20),
        "new": date(2026, 11, 13),
    }


def test_page_of_coming_and_going(visitor: TestClient) -> None:
    """
    The page marks who is new, and lists who is gone with what they cost before.
    """
    shown = {row["customer"]: row for row in table_of(visitor, WORDS)}

    assert set(shown) == {"old", "new"}
    assert shown["new"]["first_day"] == "2026-11-13, new"
    assert shown["old"]["first_day"] == "2026-10-20"
    assert [(row["customer"], row["before_usd"]) for row in table_of(visitor, WORDS, "gone")] == [("gone", "0.01155")]


def test_every_customer_as_in_the_report(browser: TestClient, ledger: Ledger) -> None:
    """
    Each customer's cost is the report's, to the digit, the unattributed apart, and all of them sum to the total.
    """
    shown = {row["customer"].removeprefix("'"): Decimal(row["cost_usd"] or 0) for row in table_of(browser, PERIOD)}
    report = spend(ledger, ["customer"], **BETWEEN)

    assert {key: exact_usd(cost) for key, cost in shown.items()} == {
        row.key[0]: exact_usd(row.measures.cost_usd) for row in report.rows
    }
    assert sum(shown.values()) == report.total.cost_usd
    assert "(unattributed)" in shown


def test_one_customer_can_be_found(browser: TestClient) -> None:
    """
    A customer's whole id finds it alone, and a part of it finds nothing.
    """
    assert [row["customer"] for row in table_of(browser, f"{PERIOD}&customer=acme")] == ["acme"]
    assert "There are no requests" in browser.get(f"/customers?{PERIOD}&customer=acm").text


def test_hostile_names(browser: TestClient) -> None:
    """
    Customers whose names attack are rows like others.
    """
    page = browser.get(f"/customers?{PERIOD}").text

    assert "<script>alert" not in page
    assert html.escape(HOSTILE[0]) in page
    assert f"'{HOSTILE[2]}" in [row["customer"] for row in table_of(browser, PERIOD)]


def test_a_ledger_that_begins_here(browser: TestClient) -> None:
    """
    Where there is no whole period before, nobody is called new or gone.
    """
    page = browser.get(f"/customers?{PERIOD}").text

    assert "nobody can be called new or gone" in page
    assert ", new" not in page


def test_one_team_alone(house: House, open_browser: Callable[..., TestClient], ledger: Ledger) -> None:
    """
    Where one team is served, customers cost what they cost that team.
    """
    browser = open_browser(replace(house, fixed={"team": "growth"}))
    costs = [Decimal(row["cost_usd"] or 0) for row in table_of(browser, PERIOD)]

    assert sum(costs) == spend(ledger, ["month"], **BETWEEN, where={"team": "growth"}).total.cost_usd


def test_no_customers(empty_browser: TestClient) -> None:
    """
    An empty ledger says how its first request gets there.
    """
    assert "attributed(" in empty_browser.get("/customers").text
