"""Explore: tables of two dimensions whose parts sum to the total, in every figure and every cut."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from starlette.testclient import TestClient

from otel_llmcost.dashboard.page import House
from otel_llmcost.dashboard.wording import Money
from otel_llmcost.ledger import Ledger
from otel_llmcost.reports import spend
from otel_llmcost.reports.money import exact_usd
from tests.dashboard.conftest import HOSTILE, PERIOD
from tests.dashboard.test_requests import BETWEEN, rows_of


def table_of(browser: TestClient, words: str) -> list[list[str]]:
    """Download the table, its head first."""
    return list(csv.reader(io.StringIO(browser.get(f"/explore?{PERIOD}&{words}&csv=explored").text)))


@pytest.mark.parametrize(
    "words",
    [
        "by=team&beside=model",
        "by=customer&beside=feature&top=10",
        "by=feature&beside=customer",
        "by=day&beside=customer",
    ],
)
@pytest.mark.parametrize("measure", ["cost", "requests", "tokens", "waste", "savings"])
def test_margins_are_the_sums(browser: TestClient, ledger: Ledger, words: str, measure: str) -> None:
    """
    Each row's cells sum to its total, and all totals to the report's, to the digit, also where values are folded.
    """
    head, *rows = table_of(browser, f"{words}&measure={measure}")
    figures = [[Decimal(cell or 0) for cell in row[1:]] for row in rows]
    whole = spend(ledger, ["month"], **BETWEEN).total
    expected = {
        "cost": whole.cost_usd,
        "requests": whole.requests,
        "tokens": whole.input_tokens + whole.cached_input_tokens + whole.cache_write_tokens + whole.output_tokens,
        "waste": whole.wasted_cost_usd,
        "savings": whole.cache_savings_usd,
    }[measure]

    assert head[-1] == "total"
    assert len(head) <= 12
    assert all(sum(row[:-1]) == row[-1] for row in figures)
    assert sum(row[-1] for row in figures) == expected


def test_cells_are_the_reports(browser: TestClient, ledger: Ledger) -> None:
    """
    Every cell is the report's figure for its two values.
    """
    head, *rows = table_of(browser, "by=team&beside=model")
    shown = {(row[0], name): cell for row in rows for name, cell in zip(head[1:-1], row[1:-1], strict=True) if cell}

    assert shown == {
        row.key: exact_usd(row.measures.cost_usd)
        for row in spend(ledger, ["team", "model"], **BETWEEN).rows
        if Money.of(row.measures).usd is not None
    }


def test_a_cell_opens_its_requests(browser: TestClient) -> None:
    """
    The link of a cell leads to the requests that it sums up.
    """
    page = browser.get(f"/explore?{PERIOD}&by=team&beside=model").text
    head, *rows = table_of(browser, "by=team&beside=model")
    (search,) = [row for row in rows if row[0] == "search"]
    link = next(
        link for link in map(html.unescape, re.findall(r'href="(/requests[^"]*)"', page))
        if "team=search" in link and f"model={head[1]}" in link
    )  # fmt: skip

    listed = rows_of(browser, link)
    assert sum(Decimal(row["cost_usd"]) for row in listed if row["cost_usd"]) == Decimal(search[1])


def test_an_hour_opens_its_requests(browser: TestClient) -> None:
    """
    A figure of one hour leads to the requests of that hour, not of its day.
    """
    page = browser.get("/explore?since=2026-11-18&until=2026-11-19&by=hour").text
    links = [link for link in map(html.unescape, re.findall(r'href="(/requests[^"]*)"', page)) if "hour=" in link]

    assert {row["timestamp"][:13] for row in rows_of(browser, links[0])} == {"2026-11-18T11"}


def test_a_name_goes_deeper(browser: TestClient) -> None:
    """
    A click on a team shows its features, with the figure and the period that were chosen.
    """
    page = html.unescape(browser.get(f"/explore?{PERIOD}&by=team&measure=requests").text)

    assert f'href="/explore?{PERIOD}&by=feature&measure=requests&team=growth"' in page


@pytest.mark.parametrize("words", ["by=colour", "beside=hour", "measure=joy", "top=7", "by=hour&since=30d"])
def test_what_cannot_be_explored(browser: TestClient, words: str) -> None:
    """
    What does not exist, or would be too long to read, is answered with what does.
    """
    assert browser.get(f"/explore?{words}").status_code == 400


def test_hostile_names(browser: TestClient) -> None:
    """
    Names that attack are text in rows and in columns, on the page and in its CSV.
    """
    page = browser.get(f"/explore?{PERIOD}&by=feature&beside=customer&top=100").text
    head, *rows = table_of(browser, "by=feature&beside=customer&top=100")

    assert "<script>alert" not in page
    assert "onerror=alert(2)>" not in page
    assert html.escape(HOSTILE[0]) in page
    assert not [cell for cell in (*head, *(row[0] for row in rows)) if cell.startswith(("=", "@", "+", "-"))]


def test_one_team_alone(house: House, open_browser: Callable[..., TestClient]) -> None:
    """
    Where one team is served, nothing of another is summed up.
    """
    browser = open_browser(replace(house, fixed={"team": "growth"}))
    _, *rows = table_of(browser, "by=team")

    assert [row[0] for row in rows] == ["growth"]
    assert browser.get("/explore?team=search").status_code == 400


def test_nothing_to_explore(empty_browser: TestClient) -> None:
    """
    An empty ledger says how its first request gets there.
    """
    assert "attributed(" in empty_browser.get("/explore").text
