"""How money and periods are written and read."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.errors import ReportError
from otel_llmcost.reports.money import exact_usd, share, usd
from otel_llmcost.reports.period import Period, month, period, today


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1601.414", "$1,601.41"),
        ("0.00965", "$0.00965"),
        ("0.000000000001", "$0.000000000001"),
        ("0.999999", "$1.00"),
        ("0.5", "$0.50"),
        ("0", "$0.00"),
        ("-0.01155", "-$0.01155"),
        ("-12.345", "-$12.34"),
    ],
)
def test_usd(amount: str, text: str) -> None:
    """
    Cents from a dollar up, four digits that count below.
    """
    assert usd(Decimal(amount)) == text


@given(st.integers(-(10**20), 10**20).filter(bool))
def test_never_zero(picousd: int) -> None:
    """
    What is not zero is never written as zero.
    """
    assert usd(Decimal(picousd).scaleb(-12)).strip("-$0.,") != ""


@given(st.integers(-(10**30), 10**30))
def test_exact(picousd: int) -> None:
    """
    Exact text loses nothing and has no exponent.
    """
    amount = Decimal(picousd).scaleb(-12)

    assert Decimal(exact_usd(amount)) == amount
    assert "E" not in exact_usd(amount)


def test_share() -> None:
    """
    A part of nothing has no share.
    """
    assert (share(Decimal(1), Decimal(3)), share(Decimal(0), Decimal(0))) == ("33.3%", "")


def test_days_include_today() -> None:
    """
    30d is thirty UTC days, and today is one of them.
    """
    last = period("30d")

    assert (last.last, last.until - last.since) == (today(), timedelta(30))


def test_month() -> None:
    """
    A month ends where the next begins, in December too.
    """
    assert month("2026-12") == Period(date(2026, 12, 1), date(2027, 1, 1))
    assert month("2028-02").last == date(2028, 2, 29)


@pytest.mark.parametrize(
    ("since", "until"),
    [("yesterday", None), ("0d", None), ("2026-13-01", None), ("2026-11-02", "2026-11-02"), ("1d", "x")],
)
def test_no_period(since: str, until: str | None) -> None:
    """
    What is not a period is refused, an empty one too.
    """
    with pytest.raises(ReportError):
        period(since, until)
