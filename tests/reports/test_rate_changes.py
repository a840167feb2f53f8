"""Rates: what is in force, what changed when, and by how much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.ledger.row import rate_row
from otel_llmcost.model import Owner, Price, RateContent, Request, Unpriced, Usage
from otel_llmcost.reports import Period, rate_changes, rates_in_use, spend
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import MINI, START_NS, UNPRICED, a_request, segment, store

NOVEMBER = Period(date(2026, 11, 1), date(2026, 12, 1))
OCTOBER = Period(date(2026, 10, 1), date(2026, 11, 1))


def a_rate(
    model: str,
    since: str = "",
    until: str = "",
    *,
    prices: dict[str, str],
    source: str = "genai-prices",
    **content: Any,
) -> RateContent:
    """A rate of OpenAI's."""
    return RateContent(
        rate_id=f"openai/{model}#{since}-{source}-{content}",
        provider="openai",
        model=model,
        source=source,
        version="1",
        effective_from=since,
        effective_to=until,
        content={"prices": prices, **content},
    )


LIST = {"input_tokens": "2", "output_tokens": "10"}
TIER = {"above_total_input_tokens": 200_000}
RATES = [
    a_rate("cut", prices={"input_tokens": "5", "output_tokens": "20"}),
    a_rate("cut", "2026-10-02T00:00:00Z", prices={"input_tokens": "4", "output_tokens": "20"}),
    a_rate(
        "cut", "2026-11-10T14:30:00Z", prices={"input_tokens": "2", "output_tokens": "15", "web_search_calls": "0.01"}
    ),
    a_rate("contract", prices=LIST),
    a_rate(
        "contract", "2026-11-03T00:00:00Z", prices={"input_tokens": "1", "output_tokens": "5"}, source="contract:acme"
    ),
    a_rate("same-price", prices=LIST),
    a_rate("same-price", "2026-11-05T00:00:00Z", prices=LIST, source="card:ours"),
    a_rate("tiers", prices=LIST, tiers=[{**TIER, "prices": {"input_tokens": "4"}}]),
    a_rate("tiers", "2026-11-06T00:00:00Z", prices=LIST, tiers=[{**TIER, "prices": {"input_tokens": "5"}}]),
    a_rate("context", prices=LIST),
    a_rate("context", "2026-11-07T00:00:00Z", prices={"input_tokens": "1"}, context={"batch": "true"}),
    a_rate("ended", "", "2026-09-01T00:00:00Z", prices=LIST),
    a_rate("ended", "2026-10-20T00:00:00Z", prices=LIST),
    a_rate("ratio", prices={"input_tokens": "4/9"}),
    a_rate("ratio", "2026-11-08T00:00:00Z", prices={"input_tokens": "5/9"}),
    a_rate("unused", prices=LIST),
    a_rate("unused", "2026-11-09T00:00:00Z", prices={"input_tokens": "3", "output_tokens": "10"}),
]


ENDED = next(rate for rate in RATES if rate.model == "ended")
PARTIAL = replace(MINI, status="partial", reason="no_tool_rate", rate=RATES[1])
USED = [*(rate for rate in RATES if rate.model not in ("cut", "unused")), RATES[1], RATES[2]]
"""Those that priced a request each; the last one, of a model that is called otherwise."""


def _priced_by(rate: RateContent, model: str, number: int, price: Price | None = None) -> Request:
    return a_request(
        number,
        model=model,
        owner=Owner(team="search" if rate.model == "cut" else "growth"),
        usage=Usage(input_tokens=3_000, output_tokens=1_000),
        price=price or replace(MINI, rate=rate),
        start_unix_ns=START_NS,
    )


@pytest.fixture(scope="module")
def ledger(server: ClickHouseDouble) -> Iterator[Ledger]:
    """A request priced by each rate but one model's in November, by two teams; nobody writes after this."""
    with connect(server.dsn("rate_changes")) as opened:
        migrations.apply(opened)
        requests = [_priced_by(rate, rate.model, number) for number, rate in enumerate(USED[:-1], 1)]
        alias = _priced_by(USED[-1], "cut-2026-11-10", 100)
        without = [_priced_by(RATES[1], "cut", 101 + number, price) for number, price in enumerate((UNPRICED, PARTIAL))]
        silent = a_request(103, price=Unpriced(reason="no_usage"), usage=None, status="error", model="cut")
        store(opened, [*requests, alias, *without, silent])
        opened.insert("llm_rates", segment(map(rate_row, RATES)), token="rates")
        yield opened


def test_changes_of_the_period_newest_first(ledger: Ledger) -> None:
    """
    A rate that follows another of its model and context is a change, when it asks other prices; from any source.
    """
    found = rate_changes(ledger, period=NOVEMBER)

    assert [(change.rate.model, change.rate.source) for change in found] == [
        ("cut", "genai-prices"),
        ("unused", "genai-prices"),
        ("ratio", "genai-prices"),
        ("tiers", "genai-prices"),
        ("contract", "contract:acme"),
    ]
    assert found[0].at == datetime(2026, 11, 10, 14, 30, tzinfo=UTC)
    assert found[0].rate_before.effective_from == datetime(2026, 10, 2, tzinfo=UTC)
    assert [change.rate.model for change in rate_changes(ledger, period=OCTOBER)] == ["cut"]


def test_each_unit_price(ledger: Ledger) -> None:
    """
    A change lists every unit price that changed, old and new, in percent where that can be said.
    """
    (cut,) = rate_changes(ledger, period=NOVEMBER, where={"model": "cut"})
    prices = {change.count: (change.before, change.after, change.percent) for change in cut.prices}

    assert prices == {
        "input_tokens": ("4", "2", Decimal("-50.00")),
        "output_tokens": ("20", "15", Decimal("-25.00")),
        "web_search_calls": (None, "0.01", None),
    }


@pytest.mark.parametrize(
    ("model", "percent"),
    [
        ("cut", Decimal("-34.38")),  # 3 x 4 + 20 = 32 became 3 x 2 + 15 = 21
        ("contract", Decimal("-50.00")),
        ("unused", Decimal("50.00")),
        ("tiers", Decimal("25.00")),
        ("ratio", Decimal("25.00")),
    ],
)
def test_headline_is_what_the_models_own_tokens_cost_more(ledger: Ledger, model: str, percent: Decimal) -> None:
    """
    One percentage says what the model's tokens of the period cost more; without tokens, the largest change of a price.
    """
    found = {change.rate.model: change.percent for change in rate_changes(ledger, period=NOVEMBER)}

    assert found[model] == percent


def test_tier_is_named(ledger: Ledger) -> None:
    """
    A price that changed only above a total input says which.
    """
    (tiers,) = rate_changes(ledger, period=NOVEMBER, where={"model": "tiers"})

    assert [(each.count, each.tier, each.before, each.after) for each in tiers.prices] == [
        ("input_tokens", 200_000, "4", "5")
    ]


def test_changes_of_someones_models(ledger: Ledger) -> None:
    """
    With an owner, only the changes of models that it used.
    """
    assert [each.rate.model for each in rate_changes(ledger, period=NOVEMBER, where={"team": "search"})] == ["cut"]


def test_rates_in_use(ledger: Ledger) -> None:
    """
    Every rate that priced a request of the period is listed with its end, and with what its requests cost.
    """
    found = rates_in_use(ledger, period=NOVEMBER)
    listed = {each.rate_id: each for each in found}

    assert listed.keys() == {rate.rate_id for rate in USED} | {""}
    assert {each.until for each in found if each.rate and each.rate.model == "cut"} == {
        datetime(2026, 11, 10, 14, 30, tzinfo=UTC),
        None,
    }
    assert listed[ENDED.rate_id].until == datetime(2026, 9, 1, tzinfo=UTC)
    assert listed[""].rate is None
    assert [
        (listed[rate.rate_id].measures.requests, listed[rate.rate_id].measures.cost_usd) for rate in (ENDED, RATES[1])
    ] == [(1, Decimal("0.01155")), (2, Decimal("0.02310"))]
    total = spend(ledger, ["month"], since=NOVEMBER.since, until=NOVEMBER.until).total
    for name in ("requests", "partial_requests", "unpriced_requests", "failed_without_usage", "cost_usd"):
        assert sum(getattr(each.measures, name) for each in found) == getattr(total, name) > 0, name


def test_rates_in_use_of_a_team(ledger: Ledger) -> None:
    """
    With filters only the rates of those requests are listed.
    """
    found = rates_in_use(ledger, period=NOVEMBER, where={"team": "search"})

    assert {each.rate.model for each in found if each.rate} == {"cut"}


def test_a_rate_prices_a_model_of_another_name(ledger: Ledger) -> None:
    """
    A rate is found by what it priced, not by the model's name: an alias, or a name with a date, is priced by it too.
    """
    (found,) = rates_in_use(ledger, period=NOVEMBER, where={"model": "cut-2026-11-10"})

    assert found.rate is not None
    assert found.rate.model == "cut"


def test_no_rates_without_requests(ledger: Ledger) -> None:
    """
    A period without requests has no rates in use.
    """
    assert rates_in_use(ledger, period=OCTOBER) == ()
