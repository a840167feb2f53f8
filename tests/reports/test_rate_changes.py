"""Rates: what is in force, what changed when, and by how much."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.ledger.row import rate_row
from otel_llmcost.model import Owner, RateContent, Usage
from otel_llmcost.reports import Period, rate_changes, rates_in_use
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import START_NS, a_request, segment, store

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


@pytest.fixture(scope="module")
def ledger(server: ClickHouseDouble) -> Iterator[Ledger]:
    """One request of each model but one in November, by two teams; nobody writes after this."""
    models = sorted({rate.model for rate in RATES} - {"unused"})
    with connect(server.dsn("rate_changes")) as opened:
        migrations.apply(opened)
        store(
            opened,
            [
                a_request(
                    number,
                    model=model,
                    owner=Owner(team="search" if model == "cut" else "growth"),
                    usage=Usage(input_tokens=3_000, output_tokens=1_000),
                    start_unix_ns=START_NS,
                )
                for number, model in enumerate(models, 1)
            ],
        )
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
    Every rate that was in force in the period for a model in use is listed with its end and its prices.
    """
    found = rates_in_use(ledger, period=NOVEMBER)
    listed = {(each.rate.model, each.rate.effective_from): each for each in found}
    change = datetime(2026, 11, 10, 14, 30, tzinfo=UTC)

    assert [(at, listed["cut", at].until) for model, at in listed if model == "cut"] == [
        (datetime(2026, 10, 2, tzinfo=UTC), change),
        (change, None),
    ]
    assert listed["cut", change].prices == {"input_tokens": "2", "output_tokens": "15", "web_search_calls": "0.01"}
    assert {at for model, at in listed if model == "ended"} == {datetime(2026, 10, 20, tzinfo=UTC)}
    assert listed["ratio", None].prices == {"input_tokens": "4/9"}
    assert not {model for model, _ in listed} & {"unused"}
    assert {(each.model_requests, each.model_cost_usd) for each in found} == {(1, Decimal("0.01155"))}


def test_no_rates_without_requests(ledger: Ledger) -> None:
    """
    A period without requests has no rates in use.
    """
    assert rates_in_use(ledger, period=OCTOBER) == ()
