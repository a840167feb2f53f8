"""Usage gaps: a division of the bill, by what its spans may hide."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_llmcost.ledger import Ledger
from otel_llmcost.model import COUNTS, PICO, Request, Unpriced, Usage
from otel_llmcost.reports import spend
from otel_llmcost.reports.gaps import unpriced, usage_gaps, without_usage
from tests.ledger.samples import UNPRICED, USAGE, a_request, adjust, adjusted, priced, store

NOVEMBER = {"since": date(2026, 11, 1), "until": date(2026, 12, 1)}
SCOPES = ("opentelemetry.instrumentation.openai_v2", "com.anthropic.sdk.python", "")
PROVIDERS = ("openai", "anthropic")
GAPS = ("cached_input", "cache_write", "output", "tool_calls")
_numbers = count(1)


def hiding(request: Request, *gaps: str, scope: str = SCOPES[0], provider: str = "openai") -> Request:
    """Give the request as another instrumentation showed it."""
    return replace(
        request,
        span=replace(request.span, scope_name=scope),
        call=replace(request.call, usage_gaps=gaps, provider=provider),
    )


def at_tier(request: Request, service_tier: str) -> Request:
    """Give the request as served at a tier."""
    return replace(request, call=replace(request.call, service_tier=service_tier))


CHARGES = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 10**13)),
        st.lists(st.sampled_from(GAPS), unique=True, max_size=3),
        st.sampled_from(SCOPES),
        st.sampled_from(PROVIDERS),
        st.sampled_from(["charged", "taken back", "moved"]),
    ),
    min_size=1,
    max_size=8,
)


@given(charges=CHARGES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_gaps_and_the_complete_part_sum_to_the_bill(empty: Ledger, charges: list) -> None:
    """
    Whatever spans hide and however charges moved, what hides something and what hides nothing sum to the bill.
    """
    number = next(_numbers)
    day = date(2026, 1, 1) + timedelta(days=number)  # each example has a day, and so a bill, of its own
    start = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()) * 10**9
    requests = [
        hiding(
            a_request(1000 * number + place, price=UNPRICED if cost is None else priced(cost), start_unix_ns=start),
            *gaps,
            scope=scope,
            provider=provider,
        )
        for place, (cost, gaps, scope, provider, _) in enumerate(charges)
    ]
    fates = [fate for *_, fate in charges]
    gone = [each for each, fate in zip(requests, fates, strict=True) if fate != "charged"]
    moved = [each for each, fate in zip(requests, fates, strict=True) if fate == "moved"]
    corrections = [adjusted(each, -1, of=each) for each in gone] + [
        adjusted(hiding(each, "output", scope="better"), 1, of=each) for each in moved
    ]
    store(empty, requests, token=f"r{number}")
    if corrections:
        adjust(empty, corrections, token=f"a{number}")
    within = {"since": day, "until": day + timedelta(days=1)}

    report = usage_gaps(empty, **within)
    bill = spend(empty, ["day"], **within).total

    assert bill.cost_usd == report.total_usd
    assert bill.cost_usd == report.complete_usd + sum((row.cost_usd for row in report.rows if row.gaps), Decimal(0))
    assert bill.requests == sum(row.requests for row in report.rows)
    assert len({(row.scope_name, row.dialect, row.provider, row.gaps) for row in report.rows}) == len(report.rows)


def test_one_gap_of_one_instrumentation(empty: Ledger) -> None:
    """
    A charge that hides two things is in one row, and under both gaps; the order of gaps makes no second row.
    """
    both = [
        hiding(a_request(1, price=priced(PICO)), "output", "cached_input"),
        hiding(a_request(2, price=priced(PICO)), "cached_input", "output"),
    ]
    store(empty, [*both, hiding(a_request(3, price=priced(3 * PICO)), "output"), a_request(4, price=priced(5 * PICO))])

    report = usage_gaps(empty, **NOVEMBER)

    assert [(row.gaps, row.requests, row.cost_usd) for row in report.rows] == [
        ((), 1, Decimal(5)),
        (("output",), 1, Decimal(3)),
        (("cached_input", "output"), 2, Decimal(2)),
    ]
    assert [(each.gap, each.requests, each.cost_usd) for each in report.by_gap()] == [
        ("output", 3, Decimal(5)),
        ("cached_input", 2, Decimal(2)),
    ]


def test_a_charge_that_was_taken_back_hides_nothing(empty: Ledger) -> None:
    """
    A charge that moved to a span that shows everything is no longer spend through the one that hides.
    """
    poor = hiding(a_request(1, price=priced(PICO)), "cached_input")
    rich = hiding(a_request(2, price=priced(PICO)), scope="com.anthropic.sdk.python")
    store(empty, [poor])
    adjust(empty, [adjusted(poor, -1, of=poor), adjusted(rich, 1, of=poor)])

    report = usage_gaps(empty, **NOVEMBER)

    assert [(row.scope_name, row.gaps) for row in report.rows] == [("com.anthropic.sdk.python", ())]


def test_nothing(empty: Ledger) -> None:
    """
    A period without charges has no rows, and a bill of nothing.
    """
    report = usage_gaps(empty, **NOVEMBER)

    assert (report.rows, report.total_usd, report.complete_usd) == ((), Decimal(0), Decimal(0))


def test_without_usage(empty: Ledger) -> None:
    """
    Requests that nobody reported usage for are counted by instrumentation and by how they ended.
    """
    silent = partial(a_request, price=Unpriced(reason="no_usage"), usage=None)
    store(empty, [silent(1), silent(2), silent(3, status="cancelled"), a_request(4), a_request(5, price=UNPRICED)])

    found = without_usage(empty, **NOVEMBER)

    assert [(row.scope_name, row.provider, row.status, row.requests) for row in found] == [
        (SCOPES[0], "openai", "success", 2),
        (SCOPES[0], "openai", "cancelled", 1),
    ]


def test_unpriced_models_have_all_their_counts(empty: Ledger) -> None:
    """
    A model without a price is listed once, with every count that a rate must price; nothing that is priced is.
    """
    every = Usage(**{name: number for number, name in enumerate(COUNTS, start=1)})
    store(
        empty,
        [
            a_request(1, price=UNPRICED, usage=every, model="gpt-x"),
            at_tier(a_request(2, price=UNPRICED, usage=every, model="gpt-x"), "default"),
            a_request(3, price=Unpriced(reason="no_usage"), usage=None),
            a_request(4, usage=USAGE),
        ],
    )

    (row,) = unpriced(empty, **NOVEMBER)

    assert (row.model, row.reason, row.requests, row.service_tier) == ("gpt-x", "unknown_model", 2, "")
    assert row.counts == {name: 2 * number for number, name in enumerate(COUNTS, start=1) if name != "reasoning_tokens"}
    assert row.tokens == sum(number for name, number in row.counts.items() if name.endswith("_tokens"))


def test_a_filter_keeps_the_charges_with_that_value(ledger: Ledger) -> None:
    """
    All three questions can be asked of one owner, and the answers of all owners sum to the whole.
    """
    features = [row.key[0] for row in spend(ledger, ["feature"], **NOVEMBER).rows]

    for ask in (without_usage, unpriced):
        parts = [sum(row.requests for row in ask(ledger, **NOVEMBER, where={"feature": each})) for each in features]
        assert sum(parts) == sum(row.requests for row in ask(ledger, **NOVEMBER)) > max(parts), ask
    for row in spend(ledger, ["team"], **NOVEMBER).rows:
        found = usage_gaps(ledger, **NOVEMBER, where={"team": row.key[0]})
        assert found.total_usd == row.measures.cost_usd
