"""The page of caches: savings and hit shares are the reports', and a cache that broke is found with its requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from starlette.testclient import TestClient

from otel_llmcost.dashboard.page import House
from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.model import Owner, Usage
from otel_llmcost.reports.cache_breaks import cache_breaks
from otel_llmcost.reports.caching import caching, hit_share
from otel_llmcost.reports.money import exact_usd, sum_usd
from otel_llmcost.reports.period import period
from tests.clickhouse_double import ClickHouseDouble
from tests.dashboard.conftest import HOSTILE, PERIOD, START
from tests.dashboard.reading import links, rows, text
from tests.ledger.samples import MINI, a_request, priced, store

WHOLE = period(*(pair.partition("=")[2] for pair in PERIOD.split("&")))
BROKEN = START.replace(hour=15, minute=0, second=0, microsecond=0) - timedelta(days=5)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def broken(server: ClickHouseDouble) -> Iterator[Ledger]:
    """A request an hour for fifteen days, of which the cache is hit until five days before the end."""
    hours = [START.replace(minute=0, second=0, microsecond=0) - hour * HOUR for hour in range(15 * 24)]
    with connect(server.dsn("dashboard_cache")) as opened:
        migrations.apply(opened)
        store(
            opened,
            [
                a_request(
                    number,
                    price=priced(10**9) if hour >= BROKEN else MINI,
                    owner=Owner(team="growth", feature=HOSTILE[0]),
                    usage=Usage(input_tokens=200, cached_input_tokens=0 if hour >= BROKEN else 800),
                    start_unix_ns=int(hour.timestamp()) * 10**9 + number,
                )
                for number, hour in enumerate(hours)
            ],
        )
        yield opened


@pytest.fixture
def shop(house: House, broken: Ledger, open_browser: Callable[..., TestClient]) -> TestClient:
    """A browser at the cache that broke."""
    return open_browser(replace(house, ledger=broken))


@pytest.mark.parametrize("by", ["model", "feature"])
def test_the_tables_are_the_report_to_the_digit(browser: TestClient, ledger: Ledger, by: str) -> None:
    """
    Each row has the exact savings, share and tokens of the report, and they sum to its total.
    """
    want = caching(ledger, by, period=WHOLE)

    found = rows(browser, f"/cache?{PERIOD}", by)

    assert [(row["cache_savings_usd"], row["hit_share"], row["cached_input_tokens"]) for row in found] == [
        (
            exact_usd(each.whole.cache_savings_usd),
            "" if (share := hit_share(each.whole)) is None else exact_usd(share),
            str(each.whole.cached_input_tokens),
        )
        for each in want.rows
    ]
    assert sum_usd(Decimal(row["cache_savings_usd"]) for row in found) == want.total.whole.cache_savings_usd > 0


def test_a_cache_that_broke_is_there_with_its_hour_and_its_requests(shop: TestClient, broken: Ledger) -> None:
    """
    A break has its first hour and its cost of a day, its hostile name is a word, and a click opens its requests since.
    """
    (want,) = cache_breaks(broken, period=WHOLE)
    page = shop.get(f"/cache?{PERIOD}").text

    (row,) = rows(shop, f"/cache?{PERIOD}", "breaks")

    assert want.lost_usd_per_day is not None
    assert (row["since"], row["until"]) == (f"{BROKEN:%Y-%m-%d %H:%M}", "goes on")
    assert row["lost_usd_per_day"] == exact_usd(want.lost_usd_per_day)
    assert "1 still broken" in text(page)
    assert "<script>alert" not in page
    (link,) = [each for each in links(page) if each.startswith("/requests") and f"since={BROKEN.date()}" in each]
    listed = text(shop.get(link).text)
    assert "alert(1)</script>" in listed


def test_where_nothing_broke_it_says_what_was_looked_at(browser: TestClient) -> None:
    """
    No break is no empty table: it says what counts as one.
    """
    assert "No cache stopped being hit in this period" in text(browser.get(f"/cache?{PERIOD}").text)


def test_every_link_opens(shop: TestClient, browser: TestClient) -> None:
    """
    No link of the page leads nowhere.
    """
    for reader in (shop, browser):
        for link in links(reader.get(f"/cache?{PERIOD}").text):
            assert reader.get(link).status_code == 200, link


def test_an_empty_ledger_says_what_to_do(empty_browser: TestClient) -> None:
    """
    Without requests the page says how the first one appears.
    """
    assert "otel-llmcost doctor" in text(empty_browser.get("/cache").text)


def test_one_team_sees_its_own_caches_alone(
    house: House, ledger: Ledger, open_browser: Callable[..., TestClient]
) -> None:
    """
    Where one team is served, savings are that team's.
    """
    want = caching(ledger, "model", period=WHOLE, where={"team": "growth"}).total.whole
    browser = open_browser(replace(house, fixed={"team": "growth"}))

    found = rows(browser, f"/cache?{PERIOD}", "model")

    assert sum_usd(Decimal(row["cache_savings_usd"]) for row in found) == want.cache_savings_usd
