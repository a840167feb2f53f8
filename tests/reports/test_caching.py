"""Caching: shares of what was given, and sums that are spend's."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Ledger
from otel_llmcost.model import Usage
from otel_llmcost.reports import Period, spend
from otel_llmcost.reports.caching import caching, hit_share
from tests.ledger.samples import START_NS, a_request, store

AUTUMN = Period(date(2026, 10, 1), date(2026, 12, 1))
DAY_NS = 86_400 * 10**9


@pytest.mark.parametrize("by", ["model", "team", "feature", "customer", "service"])
@pytest.mark.parametrize("top", [None, 1])
def test_rows_and_days_sum_to_spend(ledger: Ledger, by: str, top: int | None) -> None:
    """
    By every dimension, folded or not, rows and days sum to the total of `spend` in every measure.
    """
    want = spend(ledger, ["month"], since=AUTUMN.since, until=AUTUMN.until).total

    report = caching(ledger, by, period=AUTUMN, top=top)

    assert report.total.whole == want
    for name in ("input_tokens", "cached_input_tokens", "cache_write_tokens", "cache_savings_usd", "cost_usd"):
        assert sum(getattr(row.whole, name) for row in report.rows) == getattr(want, name)
        assert sum(getattr(each, name) for row in report.rows for _, each in row.days) == getattr(want, name)


def test_hit_share_is_of_all_input(empty: Ledger) -> None:
    """
    The share that came from a cache is of fresh, cached and written tokens of every lifetime, by day and in all.
    """
    first = Usage(input_tokens=10, cached_input_tokens=60, cache_write_tokens=10, cache_write_1h_tokens=20)
    second = Usage(input_tokens=100)
    store(empty, [a_request(1, usage=first), a_request(2, usage=second, start_unix_ns=START_NS + DAY_NS)])

    (row,) = caching(empty, period=AUTUMN).rows

    assert Decimal("0.3") == hit_share(row.whole)
    assert [(date(2026, 11, 18), Decimal("0.6")), (date(2026, 11, 19), Decimal(0))] == [
        (day, hit_share(each)) for day, each in row.days
    ]
    assert Decimal("0.0027") == row.whole.cache_savings_usd


def test_no_input_has_no_share(empty: Ledger) -> None:
    """
    Where nothing was given, there is no share, rather than one of zero.
    """
    store(empty, [a_request(1, usage=None)])

    (row,) = caching(empty, period=AUTUMN).rows

    assert hit_share(row.whole) is None
    assert caching(empty, period=Period(date(2026, 1, 1), date(2026, 1, 2))).rows == ()


def test_by_a_time(ledger: Ledger) -> None:
    """
    Every row has its days: asking for days is an error that says so.
    """
    with pytest.raises(ReportError, match="days in every row"):
        caching(ledger, "day", period=AUTUMN)
