"""The page of retries and waste: its figures are the report's, and lead to the requests behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

from otel_llmcost.dashboard.page import House
from otel_llmcost.ledger import Ledger
from otel_llmcost.reports.money import exact_usd, sum_usd
from otel_llmcost.reports.period import period
from otel_llmcost.reports.waste import failures, waste
from tests.dashboard.conftest import HOSTILE, PERIOD, START
from tests.dashboard.reading import links, rows, text

WHOLE = period(*(pair.partition("=")[2] for pair in PERIOD.split("&")))


@pytest.mark.parametrize("by", ["team", "feature", "model", "provider", "environment"])
def test_the_table_is_the_report_to_the_digit(browser: TestClient, ledger: Ledger, by: str) -> None:
    """
    Each row of the table has the exact figures of the report, and they sum to its total.
    """
    want = waste(ledger, by, period=WHOLE)
    names = ("wasted_cost_usd", "failed_cost_usd", "repeated_cost_usd", "retry_cost_usd", "fallback_cost_usd")

    found = rows(browser, f"/waste?{PERIOD}&by={by}", "by")

    assert len(found) == len(want.rows)
    for row, expected in zip(found, want.rows, strict=True):
        assert [row[name] for name in names] == [exact_usd(getattr(expected.whole, name)) for name in names]
        assert [int(row[name]) for name in ("failures", "retries", "requests")] == [
            expected.whole.failures,
            expected.whole.retries,
            expected.whole.requests,
        ]
    assert sum_usd(Decimal(row["wasted_cost_usd"]) for row in found) == want.total.whole.wasted_cost_usd > 0


def test_failures_are_the_report_and_their_unknown_cost_is_no_number(browser: TestClient, ledger: Ledger) -> None:
    """
    Failures have the report's counts; where no cost is known the cell is empty, not zero.
    """
    want = failures(ledger, period=WHOLE)

    found = rows(browser, f"/waste?{PERIOD}", "failures")

    assert [(row["model"], int(row["requests"])) for row in found] == [(each.model, each.requests) for each in want]
    assert [row["cost_usd"] for row in found] == [
        exact_usd(each.cost_usd) if each.costed_requests else "" for each in want
    ]


def test_the_tile_leads_to_exactly_the_wasted_requests(browser: TestClient, ledger: Ledger) -> None:
    """
    The requests that the figure of waste opens cost together what it says.
    """
    total = waste(ledger, "team", period=WHOLE).total.whole
    (link,) = [link for link in links(browser.get(f"/waste?{PERIOD}").text) if link.endswith("&wasted=1")]

    behind = rows(browser, link, "requests")

    assert sum_usd(Decimal(row["cost_usd"] or 0) for row in behind) == total.wasted_cost_usd


def test_every_link_opens(browser: TestClient) -> None:
    """
    No link of the page leads nowhere, and each keeps the period.
    """
    for link in links(browser.get(f"/waste?{PERIOD}&by=feature").text):
        if not link.startswith("/static"):
            assert browser.get(link).status_code == 200, link
        if link.startswith(("/waste?", "/requests?")) and "since=1d" not in link:
            assert "since=" in link


def test_a_click_on_a_team_breaks_it_down_by_feature(browser: TestClient) -> None:
    """
    A row leads to the next dimension within it, and at the end to its wasted requests.
    """
    teams = links(browser.get(f"/waste?{PERIOD}").text)
    models = links(browser.get(f"/waste?{PERIOD}&by=model&team=search&feature=feature-1").text)

    assert any("team=search" in link and "by=feature" in link and link.startswith("/waste") for link in teams)
    assert any("model=model-" in link and "wasted=1" in link and "team=search" in link for link in models)


def test_what_waste_is_is_said(browser: TestClient) -> None:
    """
    The page defines its word, and says how attempts are declared.
    """
    said = text(browser.get(f"/waste?{PERIOD}").text)

    assert "Waste counts each request once" in said
    assert 'attributed(attempt="retry")' in said


def test_nothing_of_a_kind_is_zero_and_no_bound(browser: TestClient) -> None:
    """
    Where no request fell back, fallbacks cost $0.00 for certain, whatever else has no price; waste is a lower bound.
    """
    said = text(browser.get(f"/waste?{PERIOD}").text)

    assert "All fallbacks $0.00 0 requests" in said
    assert "Waste \N{GREATER-THAN OR EQUAL TO}" in said


def test_hours_of_one_day(browser: TestClient) -> None:
    """
    One day is drawn by the hour.
    """
    words = f"since={START.date()}&until={WHOLE.until}"

    assert "Waste by hour" in browser.get(f"/waste?{words}").text


def test_hostile_names_are_words(browser: TestClient) -> None:
    """
    Names that are attacks are shown as they are written, and filter as they are written.
    """
    page = browser.get(f"/waste?{PERIOD}&by=feature").text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for name in HOSTILE:
        answer = browser.get(f"/waste?{PERIOD}&{urlencode({'feature': name})}")
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text


def test_an_empty_ledger_says_what_to_do(empty_browser: TestClient) -> None:
    """
    Without requests the page says how the first one appears.
    """
    assert "otel-llmcost doctor" in text(empty_browser.get("/waste").text)


def test_one_team_sees_its_own_waste_alone(
    house: House, ledger: Ledger, open_browser: Callable[..., TestClient]
) -> None:
    """
    Where one team is served, figures are that team's, and no other's name is there.
    """
    want = waste(ledger, "team", period=WHOLE, where={"team": "growth"}).total.whole
    browser = open_browser(replace(house, fixed={"team": "growth"}))

    found = rows(browser, f"/waste?{PERIOD}&by=team", "by")

    assert [(row["team"], row["wasted_cost_usd"]) for row in found] == [("growth", exact_usd(want.wasted_cost_usd))]
    assert browser.get(f"/waste?{PERIOD}&team=search").status_code == 400
