"""Comparison: two windows of equal elapsed time, whose parts sum to what is in the rows of each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.model import PICO, Attempt, Owner, Priced, Request, Unpriced
from otel_llmcost.reports import Measures, Period, active_customers, compare, spend
from otel_llmcost.reports.dimensions import DIMENSIONS, TIMES
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import a_request, adjust, adjusted, priced, store

FIRST, DAYS = date(2026, 9, 1), 75
LAST = FIRST + timedelta(days=DAYS)
NOW = datetime(2026, 11, 10, 12, 34, 56, 789_012, tzinfo=UTC)
TEAMS = ("search", "growth", "support", None)
CUSTOMERS = ("acme", "globex", "initech", "(other)", None)
Charge = tuple[int, Request]


def charges() -> list[Charge]:
    """Four hundred requests at odd instants of 75 days, some of them taken back: sign and request."""
    chance = Random(6)
    made = [
        a_request(
            number,
            price=priced(chance.randrange(1, 10**12)) if chance.random() < 0.9 else Unpriced(reason="unknown_model"),
            owner=Owner(team=chance.choice(TEAMS), feature=f"f{number % 7}", customer_id=chance.choice(CUSTOMERS)),
            attempt=Attempt(kind="retry", number=2) if number % 9 == 0 else Attempt(),
            start_unix_ns=instant_ns(chance.randrange(DAYS * 86_400 * 10**6)),
            service=f"s{number % 3}",
        )
        for number in range(1, 401)
    ]
    return [*((1, each) for each in made), *((-1, each) for each in made[::10])]


def instant_ns(microseconds: int) -> int:
    """Unix time of an instant after the first day's start."""
    return int(datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC).timestamp()) * 10**9 + microseconds * 1000


CHARGES = charges()


@pytest.fixture(scope="module")
def ledger(server: ClickHouseDouble) -> Iterator[Ledger]:
    """These charges; nobody writes after this."""
    with connect(server.dsn("comparison")) as opened:
        migrations.apply(opened)
        store(opened, [each for sign, each in CHARGES if sign == 1])
        adjust(opened, [adjusted(each, sign, of=each) for sign, each in CHARGES if sign == -1])
        yield opened


def at(charge: Request) -> datetime:
    """When it started."""
    return datetime.fromtimestamp(charge.span.start_unix_ns // 10**9, UTC) + timedelta(
        microseconds=charge.span.start_unix_ns % 10**9 // 1000
    )


def summed(since: datetime, until: datetime) -> tuple[int, int]:
    """Requests and picodollars of the charges in [since, until)."""
    inside = [(sign, each.price) for sign, each in CHARGES if since <= at(each) < until]
    return sum(sign for sign, _ in inside), sum(
        sign * price.cost_picousd for sign, price in inside if isinstance(price, Priced)
    )


def counted(measures: Measures) -> tuple[int, int]:
    """The same of measures."""
    return measures.requests, int(measures.cost_usd * PICO)


def midnight(day: date) -> datetime:
    """The start of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


november = partial(compare, period=Period(date(2026, 11, 1), date(2026, 12, 1)), now=NOW)


@settings(max_examples=40, deadline=None)
@given(
    by=st.sampled_from([name for name in DIMENSIONS if name not in TIMES]),
    since=st.integers(10, DAYS),
    days=st.integers(1, 40),
    elapsed_s=st.integers(-86_400, 40 * 86_400),
    top=st.sampled_from([None, 1, 2]),
)
def test_both_totals_are_the_rows(
    ledger: Ledger, by: str, since: int, days: int, elapsed_s: int, top: int | None
) -> None:
    """
    Whatever it is compared by, and whenever: parts sum to both totals, and these to the rows of each window.
    """
    start = FIRST + timedelta(days=since)
    period = Period(start, start + timedelta(days=days))
    found = compare(ledger, by, period=period, now=midnight(start) + timedelta(seconds=elapsed_s), top=top)

    assert sum((row.measures for row in found.rows), Measures()) == found.total
    assert sum((row.before for row in found.rows), Measures()) == found.total_before
    assert found.total == spend(ledger, [by], since=period.since, until=period.until).total
    assert counted(found.total_before) == summed(midnight(found.before.since), found.before_until)
    assert len({row.key for row in found.rows}) == len(found.rows)


def test_month_so_far_is_compared_with_as_much_of_the_last(ledger: Ledger) -> None:
    """
    A running month is compared with the month before, cut at the same elapsed time to the second.
    """
    found = november(ledger, "team")

    assert found.before == Period(date(2026, 10, 1), date(2026, 11, 1))
    assert found.elapsed_until == datetime(2026, 11, 10, 12, 34, 56, tzinfo=UTC)
    assert found.before_until == datetime(2026, 10, 10, 12, 34, 56, tzinfo=UTC)
    assert counted(found.total_before) == summed(midnight(date(2026, 10, 1)), found.before_until)


@pytest.mark.parametrize(
    ("since", "until", "now", "before", "before_until"),
    [
        # over: all of the one before, which is longer, or shorter
        (date(2026, 9, 1), date(2026, 10, 1), NOW, date(2026, 8, 1), datetime(2026, 9, 1, tzinfo=UTC)),
        (date(2026, 10, 1), date(2026, 11, 1), NOW, date(2026, 9, 1), datetime(2026, 10, 1, tzinfo=UTC)),
        # the 31st of October has no counterpart in September
        (
            date(2026, 10, 1),
            date(2026, 11, 1),
            datetime(2026, 10, 31, 9, tzinfo=UTC),
            date(2026, 9, 1),
            datetime(2026, 10, 1, tzinfo=UTC),
        ),
        # seven days that still run, asked by a clock of another zone
        (
            date(2026, 11, 4),
            date(2026, 11, 11),
            NOW.astimezone(None),
            date(2026, 10, 28),
            datetime(2026, 11, 3, 12, 34, 56, tzinfo=UTC),
        ),
        # not a whole month
        (date(2026, 11, 2), date(2026, 12, 1), NOW, date(2026, 10, 4), datetime(2026, 10, 12, 12, 34, 56, tzinfo=UTC)),
    ],
)
def test_what_a_period_is_compared_with(
    ledger: Ledger, since: date, until: date, now: datetime, before: date, before_until: datetime
) -> None:
    """
    A month is compared with the month before, other days with as many before; never with more time than has elapsed,
    unless the period is over.
    """
    found = compare(ledger, "team", period=Period(since, until), now=now)

    assert (found.before.since, found.before.until) == (before, since)
    assert found.before_until == before_until


def test_period_to_come_is_zero(ledger: Ledger) -> None:
    """
    A period that has not begun is compared with nothing, because nothing of it has elapsed.
    """
    found = compare(ledger, "team", period=Period(date(2026, 12, 1), date(2027, 1, 1)), now=NOW)

    assert (found.rows, found.total, found.total_before) == ((), Measures(), Measures())
    assert found.elapsed_until == midnight(date(2026, 12, 1))


def test_ends_of_time(ledger: Ledger) -> None:
    """
    All time is compared with nothing, because nothing was before it; and the last days of the calendar are days too.
    """
    all_time = compare(ledger, "team", period=Period(date(1970, 1, 1), LAST), now=NOW)
    most = compare(ledger, "team", period=Period(date(1999, 1, 1), LAST), now=NOW)
    last = compare(ledger, "team", period=Period(date(2149, 1, 1), date(2149, 6, 6)), now=NOW)

    assert all_time.total == most.total != Measures()
    assert (all_time.total_before, most.total_before, last.total, last.total_before) == (Measures(),) * 4


def test_what_exists_only_before_is_a_row(ledger: Ledger) -> None:
    """
    A value without charges now still has its row, last but `(other)`, and folding moves its past there.
    """
    period = Period(date(2026, 11, 14), date(2026, 11, 15))
    found = compare(ledger, "customer", period=period, now=midnight(LAST))
    everyone = {row.key: row for row in found.rows}
    gone = [row for row in found.rows if not row.measures.requests]

    assert gone
    assert all(row.before.requests for row in gone)
    assert found.rows[-len(gone) :] == tuple(gone)
    folded = compare(ledger, "customer", period=period, now=midnight(LAST), top=1).rows
    assert folded[-1].key == "(other)"
    assert [row.key for row in folded[:-1]] == [found.rows[0].key, *({"(unattributed)"} & set(everyone))]


def test_order_and_fold(ledger: Ledger) -> None:
    """
    Most costly now first; `(other)` last; the unattributed is never in it; a customer of that name is in quotes.
    """
    rows = november(ledger, "customer").rows
    costs = [row.measures.cost_usd for row in rows]
    folded = november(ledger, "customer", top=1).rows

    assert costs == sorted(costs, reverse=True)
    assert {row.key for row in rows} == {"acme", "globex", "initech", '"(other)"', "(unattributed)"}
    assert folded[-1].key == "(other)"
    assert {"(unattributed)"} < {row.key for row in folded}
    assert len(folded) in (2, 3)


def test_filters_hold_in_both_windows(ledger: Ledger) -> None:
    """
    A filter keeps the same charges in both windows, from whichever table.
    """
    by_team = {row.key: row for row in november(ledger, "team").rows}

    for by in ("feature", "customer", "service", "action"):
        found = november(ledger, by, where={"team": "search"})
        assert (found.total, found.total_before) == (by_team["search"].measures, by_team["search"].before), by


@pytest.mark.parametrize("where", [{}, {"team": "search"}, {"service": "s1"}])
def test_active_customers_are_those_with_charges(ledger: Ledger, where: dict[str, str]) -> None:
    """
    Customers with charges in force are counted, now and before; who has none, or had them taken back, is not.
    """
    period = Period(date(2026, 11, 8), date(2026, 11, 11))
    found = active_customers(ledger, period=period, now=NOW, where=where)

    def active(since: datetime, until: datetime) -> int:
        sums: dict[str | None, int] = {}
        for sign, each in CHARGES:
            owned = each.owner.team == "search" or "team" not in where
            served = each.span.resource["service.name"] == "s1" or "service" not in where
            if since <= at(each) < until and owned and served:
                sums[each.owner.customer_id] = sums.get(each.owner.customer_id, 0) + sign
        return sum(1 for customer, requests in sums.items() if customer and requests > 0)

    assert found.count == active(midnight(period.since), midnight(period.until)) > 0
    assert found.before == active(midnight(date(2026, 11, 5)), datetime(2026, 11, 7, 12, 34, 56, tzinfo=UTC))


@pytest.mark.parametrize(("by", "where"), [("nope", {}), ("day", {}), ("team", {"nope": "x"}), ("team", {"hour": "x"})])
def test_what_does_not_exist(ledger: Ledger, by: str, where: dict[str, str]) -> None:
    """
    A question about something that does not exist, or by time, is an error, never an empty answer.
    """
    with pytest.raises(ReportError):
        november(ledger, by, where=where)


def test_costs_are_exact(ledger: Ledger) -> None:
    """
    The difference of the totals is the sum of the rows' differences, to the picodollar.
    """
    found = november(ledger, "feature")
    parts = sum((row.measures.cost_usd - row.before.cost_usd for row in found.rows), Decimal(0))

    assert found.total.cost_usd - found.total_before.cost_usd == parts
