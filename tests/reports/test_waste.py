"""Waste: every request once, parts that sum to the bill."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Ledger
from otel_llmcost.model import PICO, Attempt, Request
from otel_llmcost.reports import Period, spend
from otel_llmcost.reports.waste import WasteMeasures, failures, waste
from tests.ledger.samples import OWNER, UNPRICED, a_request, adjust, adjusted, priced, store

AUTUMN = Period(date(2026, 10, 1), date(2026, 12, 1))
BY = ("team", "feature", "customer", "environment", "action", "service", "provider", "model", "status", "attempt_kind")
RETRY, WASTED = Attempt(kind="retry", number=2), Attempt(kind="retry", number=2, wasted=True)


def failing(request: Request, error_type: str) -> Request:
    """Give the request as it failed."""
    return replace(request, call=replace(request.call, status="error", error_type=error_type))


@pytest.mark.parametrize("where", [{}, {"team": "search"}, {"customer": "acme"}])
@pytest.mark.parametrize("top", [None, 1])
def test_parts_sum_to_the_bill(ledger: Ledger, top: int | None, where: dict[str, str]) -> None:
    """
    By every dimension, folded or not, rows and days sum to what `spend` says of cost, waste, retries and requests.
    """
    want = spend(ledger, ["month"], since=AUTUMN.since, until=AUTUMN.until, where=where).total

    for by in BY:
        report = waste(ledger, by, period=AUTUMN, where=where, top=top)
        total = report.total.whole
        assert sum(row.whole.requests for row in report.rows) == total.requests == want.requests, by
        for name in ("cost_usd", "wasted_cost_usd", "retry_cost_usd", "fallback_cost_usd", "unpriced_requests"):
            parts = sum(getattr(row.whole, name) for row in report.rows)
            days = sum(getattr(each, name) for row in report.rows for _, each in row.days)
            assert parts == days == getattr(total, name) == getattr(want, name), (by, name)
        assert len({row.key for row in report.rows}) == len(report.rows)


@pytest.mark.parametrize("by", ["feature", "customer"])
def test_waste_is_failures_and_repeats_each_once(empty: Ledger, by: str) -> None:
    """
    A failed retry is wasted once, a wasted retry that succeeded too; a retry after something free is no waste.
    """
    store(
        empty,
        [
            a_request(1, price=priced(PICO)),
            a_request(2, price=priced(2 * PICO), status="error"),
            a_request(3, price=priced(4 * PICO), status="timeout", attempt=WASTED),
            a_request(4, price=priced(8 * PICO), attempt=WASTED),
            a_request(5, price=priced(16 * PICO), attempt=RETRY),
            a_request(6, price=priced(32 * PICO), attempt=Attempt(kind="fallback", number=2)),
            a_request(7, price=priced(64 * PICO), status="cancelled"),
        ],
    )

    (row,) = waste(empty, by, period=AUTUMN).rows

    assert (
        WasteMeasures(
            requests=7,
            retries=3,
            fallbacks=1,
            errors=1,
            timeouts=1,
            cancelled=1,
            cost_usd=Decimal(127),
            retry_cost_usd=Decimal(28),
            fallback_cost_usd=Decimal(32),
            failed_cost_usd=Decimal(70),
            wasted_cost_usd=Decimal(78),
        )
        == row.whole
    )
    assert (3, Decimal(8)) == (row.whole.failures, row.whole.repeated_cost_usd)
    assert row.whole.wasted_share == pytest.approx(Decimal(78) / 127)


def test_what_was_taken_back_wastes_nothing(empty: Ledger) -> None:
    """
    A charge that was taken back leaves no row, neither in its day nor in the total.
    """
    poor = a_request(1, price=priced(PICO), status="error")
    store(empty, [poor])
    adjust(empty, [adjusted(poor, -1, of=poor)])

    report = waste(empty, "model", period=AUTUMN)

    assert ((), WasteMeasures(), ()) == (report.rows, report.total.whole, report.total.days)
    assert failures(empty, period=AUTUMN) == ()
    assert report.total.whole.wasted_share is None


def test_top_keeps_what_wastes_most(empty: Ledger) -> None:
    """
    What wastes most stays, whatever it costs, and so does the unattributed; the others are one row at the end.
    """
    store(
        empty,
        [
            a_request(1, price=priced(9 * PICO), owner=replace(OWNER, feature="costly")),
            a_request(2, price=priced(2 * PICO), owner=replace(OWNER, feature="wasteful"), status="error"),
            a_request(3, price=priced(1 * PICO), owner=replace(OWNER, feature="(other)"), status="error"),
            a_request(4, price=priced(1), owner=replace(OWNER, feature=None)),
        ],
    )

    folded = waste(empty, "feature", period=AUTUMN, top=1)
    everything = waste(empty, "feature", period=AUTUMN)

    assert [row.key for row in folded.rows] == ["wasteful", "(unattributed)", "(other)"]
    assert [row.key for row in everything.rows] == ["wasteful", '"(other)"', "costly", "(unattributed)"]
    assert folded.total.whole == everything.total.whole


def test_failures_by_error(empty: Ledger) -> None:
    """
    Failures are counted by model and error, those that cost most first, and sum to the waste report's.
    """
    store(
        empty,
        [
            failing(a_request(1, price=UNPRICED), "rate_limit"),
            failing(a_request(2, price=UNPRICED), "rate_limit"),
            failing(a_request(3, price=priced(PICO)), "overloaded"),
            a_request(4, price=priced(5), status="timeout", model="model-2"),
            a_request(5),
        ],
    )

    found = failures(empty, period=AUTUMN)
    folded = failures(empty, period=AUTUMN, top=1)
    total = waste(empty, "team", period=AUTUMN).total.whole

    assert [(row.model, row.status, row.error_type, row.requests, row.costed_requests) for row in found] == [
        ("gpt-5.4-mini", "error", "overloaded", 1, 1),
        ("model-2", "timeout", "", 1, 1),
        ("gpt-5.4-mini", "error", "rate_limit", 2, 0),
    ]
    assert [(row.model, row.requests) for row in folded] == [("gpt-5.4-mini", 1), ("(other)", 3)]
    for rows in (found, folded):
        assert total.failures == sum(row.requests for row in rows)
        assert total.failed_cost_usd == sum(row.cost_usd for row in rows)


@pytest.mark.parametrize("by", ["day", "hour", "month", "nope"])
def test_what_does_not_exist(ledger: Ledger, by: str) -> None:
    """
    Waste by a time, which every row has, or by something that does not exist, is an error.
    """
    with pytest.raises(ReportError):
        waste(ledger, by, period=AUTUMN)


def test_injection_is_a_value(ledger: Ledger) -> None:
    """
    Values are bound: SQL in a filter is a name that nobody has.
    """
    where = {"customer": "' OR 1 = 1 --"}

    assert waste(ledger, "team", period=AUTUMN, where=where).rows == failures(ledger, period=AUTUMN, where=where) == ()
