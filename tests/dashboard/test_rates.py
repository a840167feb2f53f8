"""The page of rates: what priced requests and what that cost, what changed, and what has no rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from starlette.testclient import TestClient

from otel_llmcost.dashboard.page import House
from otel_llmcost.doctor.snippets import rate_card
from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.ledger.row import rate_row
from otel_llmcost.model import Owner, RateContent, Request
from otel_llmcost.reports.gaps import unpriced
from otel_llmcost.reports.money import exact_usd, sum_usd
from otel_llmcost.reports.period import period
from otel_llmcost.reports.rate_changes import rates_in_use
from otel_llmcost.reports.spend import spend
from tests.clickhouse_double import ClickHouseDouble
from tests.dashboard.conftest import HOSTILE, PERIOD
from tests.dashboard.reading import links, rows, text
from tests.ledger.samples import MINI, UNPRICED, a_request, segment, store

WHOLE = period(*(pair.partition("=")[2] for pair in PERIOD.split("&")))
HERE = f"/rates?{PERIOD}"
LIST = {"input_tokens": "2.5", "cached_input_tokens": "0.25", "output_tokens": "10"}
BILLED = {"cache_write_tokens": "input_tokens", "audio_input_tokens": "input_tokens"}
VOLUME = {"name": "Volume agreement", "factor": "0.8", "counts": "tokens"}
CHANGED = "2026-11-04T00:00:00Z"


def a_rate(name: str, model: str, since: str = "", *, prices: dict[str, str], **content: Any) -> RateContent:
    """A rate of OpenAI's."""
    return RateContent(
        rate_id=f"openai/{model}#{name}",
        provider="openai",
        model=model,
        source="genai-prices",
        version="0.2.3",
        effective_from=since,
        effective_to="",
        content={"prices": prices, "billed_as": BILLED, **content},
    )


OLD = a_rate("old", "sonnet", prices=LIST, checked="2026-10-12", source="https://provider.example/prices")
NEW = a_rate("new", "sonnet", CHANGED, prices=LIST, adjustments=[VOLUME], source="javascript:alert(3)")
TIERS = a_rate(
    "tiers",
    "pro",
    prices={**LIST, "web_search_calls": "0.0025"},
    tiers=[{"above_total_input_tokens": 200_000, "prices": {"input_tokens": "5", "web_search_calls": "0.0025"}}],
)
BATCH = a_rate("batch", HOSTILE[0], prices={"input_tokens": "4/9"}, context={"batch": "true"})
LOST = a_rate("lost", "gone", prices=LIST)
STORED = (OLD, NEW, TIERS, BATCH)


def _priced_by(number: int, rate: RateContent, model: str = "") -> Request:
    team = "search" if rate is TIERS else "growth"
    return a_request(number, model=model or rate.model, owner=Owner(team=team), price=replace(MINI, rate=rate))


@pytest.fixture(scope="module")
def priced_ledger(server: ClickHouseDouble) -> Iterator[Ledger]:
    """Requests by each rate: one of a rate whose content is lost, one of an alias, one partial, and three without any."""
    partial = replace(MINI, status="partial", reason="no_tool_rate", missing_rates=("web_search_calls",), rate=BATCH)
    with connect(server.dsn("dashboard_rates")) as opened:
        migrations.apply(opened)
        by_rate = [_priced_by(number, rate) for number, rate in enumerate((OLD, NEW, NEW, TIERS, TIERS, LOST))]
        alias = _priced_by(10, NEW, "sonnet-2026-11-04")
        nothing = [a_request(20 + number, price=UNPRICED, owner=Owner(team="growth")) for number in range(3)]
        store(opened, [*by_rate, alias, a_request(11, price=partial, owner=Owner(team="growth")), *nothing])
        opened.insert("llm_rates", segment(map(rate_row, STORED)), token="rates")
        yield opened


@pytest.fixture
def shop(house: House, priced_ledger: Ledger, open_browser: Callable[..., TestClient]) -> TestClient:
    """A browser at these rates."""
    return open_browser(replace(house, ledger=priced_ledger))


def test_rates_are_the_report_and_sum_to_all_spend(shop: TestClient, priced_ledger: Ledger) -> None:
    """
    Each rate has the requests and the exact cost of the report, and all of them sum to what was spent.
    """
    want = rates_in_use(priced_ledger, period=WHOLE)
    total = spend(priced_ledger, ["month"], since=WHOLE.since, until=WHOLE.until).total

    found = [row for row in rows(shop, HERE, "rates") if row["requests"]]

    assert [row["requests"] for row in found] == [str(each.measures.requests) for each in want]
    assert [row["cost_usd"] for row in found] == [
        "" if not each.rate_id else exact_usd(each.measures.cost_usd) for each in want
    ]
    assert sum_usd(Decimal(row["cost_usd"] or 0) for row in found) == total.cost_usd > 0
    assert sum(int(row["requests"]) for row in found) == total.requests
    assert "≥ $0.09" in text(shop.get(HERE).text).replace("\N{NARROW NO-BREAK SPACE}", " ")


def test_a_rate_has_its_prices_source_and_dates(shop: TestClient) -> None:
    """
    Prices are exact, with discounts; a larger input's are a row below; a contract's name, the start and the end are there.
    """
    found = {(row["model"], row["for"], row["since"]): row for row in rows(shop, HERE, "rates")}
    old, new = found["sonnet", "list price", "launch"], found["sonnet", "list price", "2026-11-04"]

    assert (old["input_usd"], old["cached_input_usd"], old["cache_write_usd"], old["output_usd"]) == (
        *("2.5", "0.25", "2.5", "10"),
    )
    assert (new["input_usd"], new["output_usd"]) == ("2", "8")
    assert (old["until"], new["until"]) == ("2026-11-04", "in force")
    assert (old["source"], new["source"]) == ("genai-prices 0.2.3", "genai-prices 0.2.3, Volume agreement")
    assert found["pro", "over 200k input", "launch"]["input_usd"] == "5"
    assert found["pro", "over 200k input", "launch"]["requests"] == ""
    assert found[HOSTILE[0], "batch", "launch"]["input_usd"] == "4/9"
    assert "$2.50 $0.25 $2.50 $10.00" in text(shop.get(HERE).text)


def test_requests_of_a_rate_are_one_click_away(shop: TestClient) -> None:
    """
    Each rate leads to exactly the requests that it priced, whatever their model is called; no rate to those without.
    """
    all_links = links(shop.get(HERE).text)

    for name, requests in (("openai%2Fsonnet%23new", 3), ("openai%2Fgone%23lost", 1), ("%28none%29", 3)):
        (link,) = [each for each in all_links if f"rate_id={name}" in each.split("&")]
        assert len(rows(shop, link, "requests")) == requests
    assert f"{requests} requests" in text(shop.get(link).text)


def test_a_change_has_each_price_before_and_now(shop: TestClient) -> None:
    """
    What a rate changed is listed price by price, in percent, but for counts that are billed as one of them.
    """
    found = rows(shop, HERE, "changes")

    assert [(row["count"], row["before_usd"], row["now_usd"], row["change"]) for row in found] == [
        ("1M input tokens", "2.5", "2", "-0.200000"),
        ("1M cached input tokens", "0.25", "0.2", "-0.200000"),
        ("1M output tokens", "10", "8", "-0.200000"),
    ]
    assert {(row["model"], row["since"]) for row in found} == {("sonnet", "2026-11-04")}
    assert "down 20.0%" in text(shop.get(HERE).text)


def test_spend_with_every_price_is_no_lower_bound(shop: TestClient) -> None:
    """
    Where every request has a whole price, the sum is the cost, and nothing has to be done.
    """
    said = text(shop.get(f"{HERE}&team=search").text)

    assert "Priced by a rate $0.02 " in said
    assert "Every model of this period has a price." in said
    assert "PRICE" not in said


def test_no_change_in_another_period(shop: TestClient) -> None:
    """
    A rate that came into force before the period is no change in it.
    """
    assert rows(shop, "/rates?since=2026-11-05&until=2026-11-20", "changes") == []


def test_prices_of_tools_are_there_once(shop: TestClient) -> None:
    """
    What has a price of its own and no column is listed, once where a larger input does not change it.
    """
    found = rows(shop, HERE, "others")

    assert [(row["model"], row["count"], row["usd"]) for row in found] == [("pro", "1 web search call", "0.0025")]


def test_a_model_without_a_rate_has_its_tokens_and_a_rate_card(shop: TestClient, priced_ledger: Ledger) -> None:
    """
    Tokens without a price are counted, and the rate card that would price them stands ready to copy.
    """
    want = unpriced(priced_ledger, since=WHOLE.since, until=WHOLE.until)
    found = rows(shop, HERE, "models")
    said = text(shop.get(HERE).text)

    assert [(row["reason"], row["requests"], row["tokens"]) for row in found] == [
        (each.reason, str(each.requests), str(each.tokens)) for each in want
    ]
    assert {each.reason for each in want} == {"unknown_model", "no_tool_rate"}
    for card in filter(None, map(rate_card, want)):
        assert " ".join(card.split()) in said
    assert f"Tokens without a whole price {sum(each.tokens for each in want):,}" in said


def test_names_from_outside_are_only_words(shop: TestClient) -> None:
    """
    A model's name runs nothing, and only a page over https is linked as a rate's source.
    """
    page = shop.get(HERE).text

    assert HOSTILE[0] not in page
    assert "javascript:" not in page
    assert 'href="https://provider.example/prices"' in page


def test_filters_stay_and_narrow(shop: TestClient) -> None:
    """
    With a filter only the rates of those requests are there, and every link of a rate keeps it.
    """
    here = f"{HERE}&team=search"
    found = rows(shop, here, "rates")

    assert {row["model"] for row in found} == {"pro"}
    assert rows(shop, here, "changes") == []
    assert all("team=search" in link for link in links(shop.get(here).text) if "rate_id=" in link)


def test_one_team_alone_sees_the_rates_of_its_models(
    house: House, priced_ledger: Ledger, open_browser: Callable[..., TestClient]
) -> None:
    """
    Where one team is served, no rate, change or name of another team's model is on the page.
    """
    browser = open_browser(replace(house, ledger=priced_ledger, fixed={"team": "search"}))
    said = text(browser.get(HERE).text)

    assert {row["model"] for row in rows(browser, HERE, "rates")} == {"pro"}
    assert "sonnet" not in said
    assert "gone" not in said


@pytest.mark.parametrize("table", ["rates", "changes", "models", "others"])
def test_every_row_of_a_table_is_in_its_csv(shop: TestClient, table: str) -> None:
    """
    A table has as many rows as its CSV.
    """
    section = shop.get(HERE).text.split(f'<section class="card" id="{table}">')[1].split("</section>")[0]
    body = section.split("<tbody>")[1].split("</tbody>")[0]

    assert body.count("<tr>") == len(rows(shop, HERE, table)) > 0


def test_every_link_opens(shop: TestClient) -> None:
    """
    No link of the page leads nowhere.
    """
    for link in links(shop.get(HERE).text):
        assert shop.get(link).status_code == 200, link


def test_an_empty_ledger_says_what_to_do(empty_browser: TestClient) -> None:
    """
    Without requests the page says how the first one appears.
    """
    assert "otel-llmcost doctor" in text(empty_browser.get("/rates").text)
