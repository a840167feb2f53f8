"""What changed: causes that mean what they say, and that sum to the difference to the picodollar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.ledger.row import rate_row
from otel_llmcost.model import Attempt, Owner, Priced, RateContent, Request, Unpriced, Usage
from otel_llmcost.reports import Changes, Period, compare, what_changed
from otel_llmcost.reports.money import sum_usd
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import a_request, segment, store

WEEK = Period(date(2026, 11, 9), date(2026, 11, 16))
OVER = datetime(2026, 11, 20, tzinfo=UTC)
BEFORE, NOW = datetime(2026, 11, 4, 9, tzinfo=UTC), datetime(2026, 11, 12, 9, tzinfo=UTC)
CHANGED, CHANGED_EARLIER = datetime(2026, 11, 9, tzinfo=UTC), datetime(2026, 11, 6, 7, 20, tzinfo=UTC)
OLD = {"input_tokens": "2", "cached_input_tokens": "0.2", "output_tokens": "10"}
NEW = {"input_tokens": "3", "cached_input_tokens": "0.3", "output_tokens": "15"}
numbers = count(1)


def a_rate(
    model: str, prices: dict[str, str], since: datetime | None, context: dict[str, str] | None = None
) -> RateContent:
    """A rate of OpenAI's."""
    start = f"{since:%Y-%m-%dT%H:%M:%SZ}" if since else ""
    name = f"openai/{model}#{start}{prices['input_tokens']}{context or ''}"
    return RateContent(
        rate_id=name,
        provider="openai",
        model=model,
        source="genai-prices",
        version="0.2.3",
        effective_from=start,
        effective_to="",
        content={"prices": prices, **({"context": context} if context else {})},
    )


RATES = [
    a_rate("steady", OLD, None),
    a_rate("dearer", OLD, None),
    a_rate("dearer", NEW, CHANGED),
    a_rate("dearer-early", OLD, None),
    a_rate("dearer-early", NEW, CHANGED_EARLIER),
    a_rate("unknown-before", NEW, CHANGED),
    a_rate("two-contexts", OLD, None, {"batch": "true"}),
    a_rate("two-contexts", NEW, CHANGED, {"batch": "true"}),
    a_rate("two-contexts", OLD, None, {"region": "eu"}),
]


def used(
    team: str,
    at: datetime,
    requests: int = 10,
    *,
    prices: dict[str, str] = OLD,
    tokens: int = 1000,
    cached: int = 0,
    kind: str = "initial",
    model: str = "steady",
    feature: str = "reply",
) -> list[Request]:
    """So many requests of `tokens` of input, a tenth as much output, and a cached part, an hour apart."""
    usage = Usage(input_tokens=tokens - cached, cached_input_tokens=cached, output_tokens=tokens // 10)
    unit = {name: int(Decimal(text) * 10**6) for name, text in prices.items()}
    parts = tuple((name, int(getattr(usage, name)) * each) for name, each in unit.items())
    price = Priced(
        status="priced",
        cost_picousd=sum(cost for _, cost in parts),
        list_cost_picousd=sum(cost for _, cost in parts),
        components=tuple((name.removesuffix("_tokens"), cost) for name, cost in parts if cost),
        cache_savings_picousd=cached * (unit["input_tokens"] - unit["cached_input_tokens"]),
        rate=RATES[0],
        match_rule="exact",
    )
    return [
        a_request(
            next(numbers),
            price=price,
            owner=Owner(team=team, feature=feature, customer_id="acme"),
            usage=usage,
            attempt=Attempt(kind=kind, number=1 if kind == "initial" else 2),  # type: ignore[arg-type]
            start_unix_ns=int((at + timedelta(hours=hour)).timestamp()) * 10**9,
            model=model,
        )
        for hour in range(requests)
    ]


CASES: dict[str, list[Request]] = {
    "volume": [*used("volume", BEFORE), *used("volume", NOW, 15)],
    "fewer": [*used("fewer", BEFORE), *used("fewer", NOW, 4)],
    "retries": [*used("retries", BEFORE), *used("retries", NOW), *used("retries", NOW, 7, kind="retry")],
    "fallbacks": [*used("fallbacks", BEFORE, 8, kind="fallback"), *used("fallbacks", BEFORE), *used("fallbacks", NOW)],
    "cache": [*used("cache", BEFORE, cached=800), *used("cache", NOW)],
    "tokens": [*used("tokens", BEFORE), *used("tokens", NOW, tokens=3000)],
    "new": used("new", NOW),
    "ended": used("ended", BEFORE),
    "price": [*used("price", BEFORE, model="dearer"), *used("price", NOW, model="dearer", prices=NEW)],
    "price-early": [
        *used("price-early", CHANGED_EARLIER.replace(minute=0) - timedelta(hours=5), 5, model="dearer-early"),
        *used("price-early", CHANGED_EARLIER.replace(minute=0), 15, model="dearer-early", prices=NEW),
        *used("price-early", NOW, 20, model="dearer-early", prices=NEW),
    ],
    "price-unknown": [
        *used("price-unknown", BEFORE, model="unknown-before"),
        *used("price-unknown", NOW, model="unknown-before", prices=NEW),
    ],
    "price-unclear": [
        *used("price-unclear", BEFORE, model="two-contexts"),
        *used("price-unclear", NOW, model="two-contexts", prices=NEW),
    ],
    "known-now": [
        *[a_request(next(numbers), price=Unpriced(reason="unknown_model"), owner=Owner(team="known-now", feature="reply"),
                    start_unix_ns=int(BEFORE.timestamp()) * 10**9, model="steady")],
        *used("known-now", NOW),
    ],
    "same": [*used("same", BEFORE), *used("same", NOW)],
}  # fmt: skip
ONE = Decimal("0.003")
"""1000 tokens of input and 100 of output at the old prices."""


@pytest.fixture(scope="module")
def ledger(server: ClickHouseDouble) -> Iterator[Ledger]:
    """All cases, one team each; nobody writes after this."""
    with connect(server.dsn("changes")) as opened:
        migrations.apply(opened)
        store(opened, [request for case in CASES.values() for request in case])
        opened.insert("llm_rates", segment(map(rate_row, RATES)), token="rates")
        yield opened


def changed(ledger: Ledger, case: str) -> Changes:
    """What changed for one team in a week that is over."""
    return what_changed(ledger, period=WEEK, now=OVER, where={"team": case})


@pytest.mark.parametrize(
    ("case", "causes"),
    [
        ("volume", {"volume": 5 * ONE}),
        ("fewer", {"volume": -6 * ONE}),
        ("retries", {"retries": 7 * ONE}),
        ("fallbacks", {"retries": -8 * ONE}),
        ("cache", {"cache": 10 * 800 * Decimal("0.0000018")}),
        ("tokens", {"tokens": 20 * ONE}),
        ("new", {"new": 10 * ONE}),
        ("ended", {"ended": -10 * ONE}),
        ("price", {"price": 10 * ONE / 2}),
        ("price-early", {"price": 20 * ONE / 2 * 5 / 20}),
        ("price-unknown", {"tokens": 10 * ONE / 2}),
        ("price-unclear", {"tokens": 10 * ONE / 2}),
        ("known-now", {"volume": 10 * ONE}),
        ("same", {}),
    ],
)
def test_a_change_with_one_cause_has_that_cause(ledger: Ledger, case: str, causes: dict[str, Decimal]) -> None:
    """
    Where one thing changed, the whole difference is its, to the picodollar, and no other cause is named.
    """
    found = changed(ledger, case)

    assert {cause.kind: cause.usd for cause in found.causes} == causes
    assert found.delta_usd == sum(causes.values())


@settings(max_examples=25, deadline=None)
@given(since=st.integers(1, 16), days=st.integers(1, 16), hours=st.integers(0, 400), limit=st.integers(0, 20))
def test_causes_and_rows_sum_to_the_difference(ledger: Ledger, since: int, days: int, hours: int, limit: int) -> None:
    """
    In any window: causes sum to each row's difference, rows to the total's, and the totals are those of a comparison.
    """
    first = date(2026, 11, since)
    period = Period(first, first + timedelta(days=days))
    now = datetime(2026, 11, since, tzinfo=UTC) + timedelta(hours=hours, seconds=17)
    found = what_changed(ledger, period=period, now=now, limit=limit)
    compared = compare(ledger, "team", period=period, now=now)

    for each in (found, *found.rows):
        assert sum_usd(cause.usd for cause in each.causes) == each.delta_usd
    assert sum_usd(row.cost_usd for row in found.rows) == found.cost_usd == compared.total.cost_usd
    assert sum_usd(row.before_usd for row in found.rows) == found.before_usd == compared.total_before.cost_usd
    assert sum(row.requests for row in found.rows) == compared.total.requests
    assert sum(row.requests_before for row in found.rows) == compared.total_before.requests
    assert (found.before, found.before_until) == (compared.before, compared.before_until)
    assert len(found.rows) <= limit + 1


def test_rows_are_sorted_by_size_of_change(ledger: Ledger) -> None:
    """
    The largest change is first, either way, and all that is not listed is one row at the end.
    """
    rows = what_changed(ledger, period=WEEK, now=OVER, limit=3).rows
    sizes = [abs(row.delta_usd) for row in rows[:-1]]

    assert [row.team for row in rows] == ["tokens", "ended", "known-now", "(other)"]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("retries", "retries › reply › steady: +$0.021; retries +$0.021"),
        ("new", "new › reply › steady: +$0.03; new"),
        ("ended", "ended › reply › steady: -$0.03; ended"),
        ("same", "same › reply › steady: $0.00"),
    ],
)
def test_sentence(ledger: Ledger, case: str, sentence: str) -> None:
    """
    A row says in a sentence what changed, by how much, and why.
    """
    assert [row.sentence for row in changed(ledger, case).rows] == [sentence]


@pytest.mark.parametrize(("case", "words"), [("volume", "more requests +$0.015"), ("fewer", "fewer requests -$0.018")])
def test_words_follow_the_sign(ledger: Ledger, case: str, words: str) -> None:
    """
    A cause is worded as what it was: more requests, or fewer.
    """
    assert [str(cause) for cause in changed(ledger, case).causes] == [words]


def test_filter_without_a_rollup(ledger: Ledger) -> None:
    """
    A filter that no rollup has is answered from the charges, with the same causes.
    """
    assert what_changed(ledger, period=WEEK, now=OVER, where={"customer": "acme", "team": "price"}).causes == (
        changed(ledger, "price").causes
    )


def test_no_rate_changed(ledger: Ledger) -> None:
    """
    Where no rate changed, what a customer's spend changed by has the same causes but for prices, from its own rollup.
    """
    quiet = Period(date(2026, 11, 12), date(2026, 11, 14))
    found = what_changed(ledger, period=quiet, now=OVER, where={"customer": "acme"})

    assert (
        found.cost_usd == compare(ledger, "team", period=quiet, now=OVER, where={"customer": "acme"}).total.cost_usd > 0
    )
    assert sum_usd(cause.usd for cause in found.causes) == found.delta_usd
    assert (
        found.causes
        == what_changed(ledger, period=quiet, now=OVER, where={"customer": "acme", "service": "api"}).causes
    )
