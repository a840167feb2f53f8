"""The page of margins: what actions cost is the report's, and a margin is only where a value was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from starlette.testclient import TestClient

from otel_llmcost.dashboard.page import House
from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.model import PICO, Owner
from otel_llmcost.reports.margin import margin
from otel_llmcost.reports.money import exact_usd, sum_usd
from otel_llmcost.reports.period import period
from tests.clickhouse_double import ClickHouseDouble
from tests.dashboard.conftest import HOSTILE, PERIOD, START
from tests.dashboard.reading import links, rows, text
from tests.ledger.samples import UNPRICED, a_request, priced, segment, store

WHOLE = period(*(pair.partition("=")[2] for pair in PERIOD.split("&")))
AT_MOST = "\N{LESS-THAN OR EQUAL TO}"
AT_LEAST = "\N{GREATER-THAN OR EQUAL TO}"


def of(action: str | None, action_id: str | None = None) -> Owner:
    """An owner with an action."""
    return Owner(team="search", customer_id="acme", action=action, action_id=action_id)


@pytest.fixture(scope="module")
def valued(server: ClickHouseDouble) -> Iterator[Ledger]:
    """
    Two executions of `reply` for 3 USD, worth 10; one `summary` worth nothing that is known; one `draft` worth 2 with a
    request that has no price; one request without an action; one action with a hostile name.
    """
    with connect(server.dsn("dashboard_margin")) as opened:
        migrations.apply(opened)
        store(
            opened,
            [
                a_request(1, price=priced(PICO), owner=of("reply", "r-1")),
                a_request(2, price=priced(2 * PICO), owner=of("reply", "r-2")),
                a_request(3, price=priced(5 * PICO), owner=of("summary")),
                a_request(4, price=priced(PICO), owner=of("draft", "d-1")),
                a_request(5, price=UNPRICED, owner=of("draft", "d-1")),
                a_request(6, price=priced(7 * PICO), owner=of(None)),
                a_request(7, price=UNPRICED, owner=of(HOSTILE[0], "h-1")),
            ],
        )
        names = ("action", "action_id", "customer_id", "value_usd")
        recorded = [("reply", "r-1", "acme", "6.5"), ("reply", "r-2", "acme", "3.5"), ("draft", "d-1", "acme", "2")]
        lines = [{"timestamp": f"{START.date()} 12:00:00", **dict(zip(names, each, strict=True))} for each in recorded]
        opened.insert("llm_outcomes", segment(lines, batch_id="o-1"), token="o-1")
        yield opened


@pytest.fixture
def shop(house: House, valued: Ledger, open_browser: Callable[..., TestClient]) -> TestClient:
    """A browser at the actions that have values."""
    return open_browser(replace(house, ledger=valued))


def test_the_table_is_the_report_to_the_digit(browser: TestClient, ledger: Ledger) -> None:
    """
    Costs, requests and executions of the actions are the report's; the costs sum to its total.
    """
    want = {row.key: row.whole for row in margin(ledger, period=WHOLE).rows}

    found = rows(browser, f"/margin?{PERIOD}", "actions")

    assert {row["action"]: (row["cost_usd"], row["requests"], row["actions"]) for row in found} == {
        key: (exact_usd(cost.cost_usd), str(cost.requests), str(cost.actions)) for key, cost in want.items()
    }
    assert sum_usd(Decimal(row["cost_usd"]) for row in found) == margin(ledger, period=WHOLE).total.cost_usd > 0


def test_a_margin_is_value_less_cost_where_a_value_was_recorded(shop: TestClient) -> None:
    """
    Two replies worth 10 for 3 USD leave 7; what nobody valued has no margin, and what belongs to no action no unit cost.
    """
    found = {row["action"]: row for row in rows(shop, f"/margin?{PERIOD}", "actions")}

    reply, summary, none = found["reply"], found["summary"], found["(none)"]
    assert (reply["unit_cost_usd"], reply["unit"], reply["outcomes"]) == ("1.5", "execution", "2")
    assert (reply["value_usd"], reply["margin_usd"], reply["margin_share"]) == ("10", "7", "0.7")
    assert (summary["unit_cost_usd"], summary["unit"], summary["margin_usd"]) == ("5", "request", "")
    assert (none["unit_cost_usd"], none["margin_usd"]) == ("", "")


def test_a_cost_that_is_a_lower_bound_leaves_an_upper_one(shop: TestClient) -> None:
    """
    Where a request of an action has no price, its cost is at least, and its margin at most, what is said.
    """
    said = text(shop.get(f"/margin?{PERIOD}").text)

    assert f"draft {AT_LEAST} $1.00" in said
    assert f"$2.00 {AT_MOST} $1.00" in said
    assert f"Margin {AT_MOST} $8.00" in said, "12 of value, less 3 for replies and at least 1 for drafts"


def test_an_action_without_a_price_has_an_unknown_cost(shop: TestClient) -> None:
    """
    Where no request of an action has a price, its cost is not known, and no number; a hostile name is shown as a word.
    """
    page = shop.get(f"/margin?{PERIOD}").text
    (row,) = [row for row in rows(shop, f"/margin?{PERIOD}", "actions") if "script" in row["action"]]

    assert (row["cost_usd"], row["unit_cost_usd"]) == ("", "")
    assert "alert(1)</script> unknown" in text(page)
    assert "<script>alert" not in page


def test_without_values_it_says_how_to_record_them(browser: TestClient) -> None:
    """
    Where no value was recorded there is no margin, but the lines that record one.
    """
    said = text(browser.get(f"/margin?{PERIOD}").text)

    assert "record_outcome(action=" in said
    assert "Recorded value none" in said


def test_without_actions_it_says_how_to_name_them(shop: TestClient) -> None:
    """
    Where no request names an action, the page has the lines that do.
    """
    assert "attributed(action=" in text(shop.get(f"/margin?{PERIOD}&action=(none)").text)


def test_values_are_not_shown_with_filters_that_they_do_not_have(
    house: House, valued: Ledger, open_browser: Callable[..., TestClient]
) -> None:
    """
    Values belong to no team: filtered by one, and where one alone is served, none are shown, and it says why.
    """
    for browser, words in (
        (open_browser(replace(house, ledger=valued)), f"{PERIOD}&team=search"),
        (open_browser(replace(house, ledger=valued, fixed={"team": "search"})), PERIOD),
    ):
        assert "take those away to see margins" in text(browser.get(f"/margin?{words}").text)
        assert "value_usd" not in rows(browser, f"/margin?{words}", "actions")[0]


def test_every_link_opens(shop: TestClient) -> None:
    """
    No link of the page leads nowhere, and an action leads to its requests.
    """
    found = links(shop.get(f"/margin?{PERIOD}").text)

    for link in found:
        assert shop.get(link).status_code == 200, link
    (reply,) = [link for link in found if "action=reply" in link and link.startswith("/requests")]
    assert len(rows(shop, reply, "requests")) == 2


def test_an_empty_ledger_says_what_to_do(empty_browser: TestClient) -> None:
    """
    Without requests the page says how the first one appears.
    """
    assert "otel-llmcost doctor" in text(empty_browser.get("/margin").text)
