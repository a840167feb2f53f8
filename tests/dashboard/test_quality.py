"""The page of data quality: what is doubtful, with its fix, and never where one team alone is served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from otel_llmcost.dashboard.page import House
from otel_llmcost.dashboard.wording import REASONS
from otel_llmcost.doctor.snippets import rate_card
from otel_llmcost.journal import Backlog
from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.model import Unpriced
from otel_llmcost.reports.money import exact_usd
from otel_llmcost.reports.period import period
from otel_llmcost.reports.quality import Quality, quality
from tests.clickhouse_double import ClickHouseDouble
from tests.dashboard.conftest import PERIOD
from tests.dashboard.reading import links, rows, text
from tests.ledger.samples import MINI, UNPRICED, USAGE, a_request, store

WHOLE = period(*(pair.partition("=")[2] for pair in PERIOD.split("&")))
HERE = f"/quality?{PERIOD}"


@pytest.fixture(scope="module")
def known(ledger: Ledger) -> Quality:
    """What the report knows."""
    return quality(ledger, period=WHOLE)


def test_reasons_and_models_are_the_report(browser: TestClient, known: Quality) -> None:
    """
    Each reason and each model has the report's requests and tokens.
    """
    reasons, models = rows(browser, HERE, "reasons"), rows(browser, HERE, "models")

    assert [(row["reason"], row["requests"], row["tokens"]) for row in reasons] == [
        (each.reason, str(each.requests), str(each.tokens)) for each in known.by_reason()
    ]
    assert [(row["model"], row["requests"], row["tokens"]) for row in models] == [
        (each.model, str(each.requests), str(each.tokens)) for each in known.unpriced
    ]


@pytest.fixture
def doubtful(server: ClickHouseDouble, house: House, open_browser: Callable[..., TestClient]) -> Iterator[TestClient]:
    """A browser at requests of which only the first has a cost that nobody doubts."""
    partial = replace(MINI, status="partial", reason="no_tool_rate", missing_rates=("web_search_calls",))
    silent, reported = Unpriced(reason="no_usage"), Unpriced(reason="unknown_model", status="provider_reported")
    prices = [MINI, partial, UNPRICED, UNPRICED, reported, silent, silent, silent]
    requests = [
        a_request(
            number, price=price, usage=None if price is silent else USAGE, status="error" if number > 5 else "success"
        )
        for number, price in enumerate(prices)
    ]
    with connect(server.dsn("dashboard_quality")) as ledger:
        migrations.apply(ledger)
        store(ledger, requests)
        yield open_browser(replace(house, ledger=ledger))


def test_every_reason_is_in_words_and_leads_to_exactly_its_requests(doubtful: TestClient) -> None:
    """
    A reason is a sentence, and a click on it lists as many requests as it says: no failures among those without usage.
    """
    found = rows(doubtful, HERE, "reasons")
    all_links = links(doubtful.get(HERE).text)

    assert [(row["reason"], row["price_status"], row["requests"]) for row in found] == [
        ("unknown_model", "unpriced", "2"),
        ("no_tool_rate", "partial", "1"),
        ("unknown_model", "provider_reported", "1"),
        ("no_usage", "unpriced", "1"),
    ]
    for row in found:
        words = {f"reason={row['reason']}", f"price_status={row['price_status']}"}
        (link,) = [each for each in all_links if words <= set(each.split("&")) and "provider=" not in each]
        assert row["why"] == REASONS[row["reason"]]
        assert len(rows(doubtful, link, "requests")) == int(row["requests"])
    assert "Cost not known 4 requests, beside 2 that failed without usage" in text(doubtful.get(HERE).text)


def test_owners_gaps_and_corrections_are_the_report(browser: TestClient, known: Quality) -> None:
    """
    Services without an owner, gaps and corrections have the report's exact costs.
    """
    lacking, gaps = rows(browser, HERE, "unattributed"), rows(browser, HERE, "gaps")
    corrections = rows(browser, HERE, "corrections")

    assert [row["cost_usd"] for row in lacking] == [exact_usd(row.measures.cost_usd) for row in known.unattributed.rows]
    assert [(row["gap"], row["cost_usd"]) for row in gaps] == [
        (each.gap, exact_usd(each.cost_usd)) for each in known.usage_gaps.by_gap()
    ]
    assert [(row["reason"], row["net_usd"]) for row in corrections] == [
        (each.reason, exact_usd(each.net_usd)) for each in known.corrections
    ]


def test_a_model_without_a_price_has_the_rate_card_that_gives_it_one(browser: TestClient, known: Quality) -> None:
    """
    What to do about a model without a price is the card that the doctor writes, to copy.
    """
    cards = {rate_card(row) for row in known.unpriced}
    said = text(browser.get(HERE).text)

    assert cards
    for card in cards:
        assert " ".join(card.split()) in said


def test_every_link_opens(browser: TestClient) -> None:
    """
    No link of the page leads nowhere.
    """
    for link in links(browser.get(HERE).text):
        assert browser.get(link).status_code == 200, link


def test_what_waits_in_the_journal_is_told(house: House, open_browser: Callable[..., TestClient]) -> None:
    """
    Segments that wait, their age, and files in quarantine are on the page, with what to ask.
    """
    waiting = Backlog(segments=3, bytes=4096, oldest_seconds=600.0, quarantined=2)
    said = text(open_browser(replace(house, backlog=lambda: waiting)).get(HERE).text)

    assert "3 segments with 4,096 bytes; the oldest was last written 10 minutes ago" in said
    assert "2 files that could not be stored" in said


def test_one_team_alone_does_not_see_what_belongs_to_nobody(
    house: House, open_browser: Callable[..., TestClient]
) -> None:
    """
    Where one team is served, the page is refused in words, as is its CSV, and no page leads to it.
    """
    browser = open_browser(replace(house, fixed={"team": "growth"}))

    for address in (HERE, f"{HERE}&csv=unattributed"):
        answer = browser.get(address)
        assert answer.status_code == 400
        assert "this server shows team growth only" in answer.text
    assert not [link for link in links(browser.get(f"/?{PERIOD}").text) if link.startswith("/quality")]


def test_an_empty_ledger_says_what_to_do(empty_browser: TestClient) -> None:
    """
    Without requests the page says how the first one appears.
    """
    assert "otel-llmcost doctor" in text(empty_browser.get("/quality").text)
