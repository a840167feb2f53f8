"""The pages of requests: the rows behind a figure, and why one of them cost what it did."""

from __future__ import annotations

import csv
import html
import io
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from otel_llmcost.dashboard.page import House
from otel_llmcost.ledger import Ledger
from otel_llmcost.reports import explain, requests
from otel_llmcost.reports.money import exact_usd
from otel_llmcost.reports.period import period
from otel_llmcost.reports.requests import Facts, total
from tests.dashboard.conftest import HOSTILE, PERIOD
from tests.dashboard.reading import links, text

SINCE, UNTIL = re.findall(r"\d{4}-\d\d-\d\d", PERIOD)
DAYS = period(SINCE, UNTIL)
BETWEEN = {"since": DAYS.since, "until": DAYS.until}


def rows_of(browser: TestClient, address: str) -> list[dict[str, str]]:
    """Download the list of an address."""
    return list(csv.DictReader(io.StringIO(browser.get(f"{address}&csv=requests").text)))


def pages(browser: TestClient, address: str) -> Iterator[str]:
    """Follow the link to the next page to the end."""
    while True:
        yield address
        link = re.search(r'href="([^"]+)" rel="next"', browser.get(address).text)
        if link is None:
            return
        address = html.unescape(link[1])


@pytest.mark.parametrize("sort", ["time", "cost"])
def test_every_page_of_the_list(browser: TestClient, ledger: Ledger, sort: str) -> None:
    """
    The pages one after another show every charge once, to the digit, and their sum is the one that is said.
    """
    read = [row for address in pages(browser, f"/requests?{PERIOD}&sort={sort}") for row in rows_of(browser, address)]
    whole = requests(ledger, **BETWEEN, limit=1000, sort=sort)  # type: ignore[arg-type]

    assert [row["cost_usd"] for row in read] == [
        "" if row.cost_usd is None else exact_usd(row.cost_usd) for row in whole
    ]
    assert sum(Decimal(row["cost_usd"]) for row in read if row["cost_usd"]) == total(ledger, **BETWEEN).cost_usd


def test_waste_and_reasons_narrow_the_list(browser: TestClient, ledger: Ledger) -> None:
    """
    What is wasted, or unpriced for a reason, can be listed alone, and a click takes that away again.
    """
    address = f"/requests?{PERIOD}&wasted=1&reason=no_usage"
    shown = rows_of(browser, address)
    page = browser.get(address).text

    assert len(shown) == len(requests(ledger, **BETWEEN, limit=1000, facts=Facts(wasted=True, reason="no_usage"))) > 0
    assert "price reason: no_usage" in page
    assert f'href="/requests?{html.escape(PERIOD)}&amp;reason=no_usage"' in page


def test_a_filter_can_be_chosen(browser: TestClient) -> None:
    """
    The form's choice and value are a filter like any other, that every link keeps.
    """
    page = browser.get(f"/requests?{PERIOD}&filter=team&value=growth&wasted=1").text

    assert {row["team"] for row in rows_of(browser, f"/requests?{PERIOD}&filter=team&value=growth")} == {"growth"}
    assert f'href="/customers?team=growth&amp;{html.escape(PERIOD)}"' in page
    assert browser.get("/requests?filter=hour&value=1").status_code == 400


def test_corrections_are_recognised(browser: TestClient) -> None:
    """
    A charge that was taken back is in the list with its negative cost and why, and leads to the request it corrects.
    """
    shown = rows_of(browser, f"/requests?{PERIOD}")
    back = [row for row in shown if row["adjustment_reason"]]

    assert {row["adjustment_reason"] for row in back} == {"taken back: response id", "added: response id"}
    assert min(Decimal(row["cost_usd"]) for row in back) < 0
    assert f'href="/requests/{1:032x}/{1:016x}?' in browser.get(f"/requests?{PERIOD}&sort=cost").text


def test_worked_example(browser: TestClient) -> None:
    """
    A request is worked out from its rate: each count times its price, the sum, and that this is what is stored.
    """
    page = html.unescape(
        re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", browser.get(f"/requests/{1000:032x}/{1000:016x}").text))
    )

    assert "input tokens 8,000 × $0.75 / 1M $0.006 " in page
    assert "cached input tokens 2,000 × $0.075 / 1M $0.00015 " in page
    assert "output tokens 1,200 × $4.50 / 1M $0.0054 " in page
    assert "Total $0.01155 " in page
    assert "this is the stored cost to the last digit" in page


def test_corrected_request(browser: TestClient, ledger: Ledger) -> None:
    """
    The page of a corrected request tells what was taken back and added, and what it costs in the end.
    """
    page = browser.get("/requests/chatcmpl-1").text
    (found,) = explain(ledger, "chatcmpl-1")

    assert "Corrected since" in page
    assert found.final_cost_usd is not None
    assert f"corrections included: <b>${exact_usd(found.final_cost_usd)}</b>" in page


def test_numbers_that_disagree(browser: TestClient) -> None:
    """
    A stored cost that the rate does not give is said, not smoothed over.
    """
    assert "not what the rate&#39;s content gives" in browser.get("/requests/chatcmpl-2").text


def test_unknown_cost(browser: TestClient) -> None:
    """
    A request without a price says so and why, and shows no amount.
    """
    page = browser.get("/requests/chatcmpl-6").text

    assert "Cost not known" in page
    assert "no rate card has its model" in page
    assert "$0" not in page


@pytest.mark.parametrize("id", ["nobody", "%3Cscript%3E", "a/b", f"{1:032x}/{2:016x}"])
def test_nobody_knows_the_id(browser: TestClient, id: str) -> None:  # noqa: A002
    """
    An id that names nothing is said to, in a page that runs none of it.
    """
    answer = browser.get(f"/requests/{id}")

    assert answer.status_code == 400
    assert "by any of its ids" in answer.text
    assert "<script>" not in answer.text


def test_trace_link(house: House, open_browser: Callable[..., TestClient]) -> None:
    """
    A request leads to its trace elsewhere, and an address that is none of the web is no link.
    """
    address = f"/requests/{1000:032x}/{1000:016x}"
    linked = open_browser(replace(house, trace_link="https://t.example/{trace_id}?s={span_id}")).get(address).text
    refused = open_browser(replace(house, trace_link="javascript:alert('{trace_id}')")).get(address).text

    assert f'href="https://t.example/{1000:032x}?s={1000:016x}"' in linked
    assert "Open its trace" not in refused


def test_one_team_alone(house: House, open_browser: Callable[..., TestClient]) -> None:
    """
    Where one team is served, another team's requests are in no list, and their pages do not say that they exist.
    """
    browser = open_browser(replace(house, fixed={"team": "growth"}))
    answer = browser.get("/requests/chatcmpl-2")

    assert {row["team"] for row in rows_of(browser, f"/requests?{PERIOD}")} == {"growth"}
    assert browser.get(f"/requests/{1000:032x}/{1000:016x}").status_code == 200
    assert answer.status_code == 400
    assert answer.text.replace("chatcmpl-2", "nobody") == browser.get("/requests/nobody").text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(browser: TestClient, name: str) -> None:
    """
    A name is shown as it is written, runs nowhere, and filters as exactly itself.
    """
    address = f"/requests?{PERIOD}&customer={quote(name, safe='')}"
    page = browser.get(address).text
    (row,) = rows_of(browser, address)

    assert "<script>alert" not in page
    assert "<img" not in page.replace('<img src="/static/', "")
    assert html.escape(name, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page
    assert row["customer_id"] == (f"'{name}" if name.startswith("=") else name)


@pytest.mark.parametrize(
    "words", ["sort=size", "after=yesterday", "hour=noon", "wasted=yes", "since=2026-13-01", "team=a&team=b"]
)
def test_what_has_no_meaning(browser: TestClient, words: str) -> None:
    """
    An address that nobody made is answered with what it should say.
    """
    assert browser.get(f"/requests?{words}").status_code == 400


@pytest.mark.parametrize("hour", ["0001-01-01 00:00", "9999-12-31 23:00", "2020-01-01 10:00"])
def test_an_hour_outside_the_period_has_no_requests(browser: TestClient, hour: str) -> None:
    """
    An hour outside the period has no requests, however far away it is.
    """
    assert "No request matches" in browser.get(f"/requests?{PERIOD}&hour={hour}").text


def test_ids_with_marks_of_an_address_are_each_a_page_of_their_own(
    house: House, ledger: Ledger, open_browser: Callable[..., TestClient]
) -> None:
    """
    Ids with marks of an address in them are each a page of their own, also while the first one is remembered.
    """

    class Slow:
        def query(self, name: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, object]]:
            time.sleep(0.1)  # what takes long is remembered long
            id = dict(parameters or {}).get("id", "")  # noqa: A001  # the query's word
            known = {"job?1": "chatcmpl-1", "job?2": "chatcmpl-2"}
            return ledger.query(name, {**(parameters or {}), "id": known[str(id)]} if id in known else parameters)

    browser = open_browser(replace(house, ledger=Slow()))

    pages = [browser.get(f"/requests/job%3F{number}").text for number in (1, 2)]

    for number, page in enumerate(pages, start=1):
        assert [f"{each:016x}" in text(page) for each in (1, 2)] == [number == 1, number == 2]
        assert f"/requests/job%3F{number}?csv=arithmetic" in links(page)


def test_no_requests(empty_browser: TestClient) -> None:
    """
    An empty list says what to do.
    """
    page = empty_browser.get("/requests").text

    assert "No request matches: take a filter away" in page
