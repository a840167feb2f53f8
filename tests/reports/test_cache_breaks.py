"""Breaks of a cache: the hour is found, and nothing that is no break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.model import Owner, Priced, Usage
from otel_llmcost.reports import Period
from otel_llmcost.reports.cache_breaks import cache_breaks
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import RATE, UNPRICED, a_request, store

START = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 20
BROKEN = datetime(2026, 11, 12, 15, tzinfo=UTC)
WHOLE = Period(date(2026, 11, 1), date(2026, 12, 1))
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Story:
    """One feature: the part of its input in percent that is cached in an hour, and whether it has requests then."""

    feature: str
    cached: Callable[[datetime], int]
    is_busy: Callable[[datetime], bool] = lambda _: True
    team: str = "search"
    is_priced: bool = True


def office_hours(hour: datetime) -> bool:
    """Eight to eighteen, on weekdays."""
    return 8 <= hour.hour < 18 and hour.weekday() < 5


STORIES = (
    Story("steady", lambda _: 80),
    Story("broken", lambda hour: 0 if hour >= BROKEN else 80),
    Story("office", lambda hour: 10 if hour >= BROKEN else 70, office_hours, team="growth"),
    Story("six-hours", lambda hour: 0 if BROKEN <= hour < BROKEN + 6 * HOUR else 80),
    Story("two-days", lambda hour: 0 if BROKEN <= hour < BROKEN + 57 * HOUR else 80),
    Story("a-third-less", lambda hour: 54 if hour >= BROKEN else 80),
    Story("hardly-cached", lambda hour: 0 if hour >= BROKEN else 8),
    Story("rare", lambda hour: 0 if hour >= BROKEN else 80, lambda hour: hour.hour % 8 == 0),
    Story("gone", lambda hour: 0 if hour >= BROKEN else 80, lambda hour: hour < BROKEN + 4 * HOUR),
    Story("no-price", lambda hour: 0 if hour >= BROKEN else 80, is_priced=False),
)


def price(cached: int) -> Priced:
    """A price of a picodollar for a fresh token, and a tenth of that for a cached one, of a thousand."""
    saved = cached * 9
    return Priced(
        status="priced",
        cost_picousd=10_000 - saved,
        list_cost_picousd=10_000 - saved,
        components=(("input", 10_000 - saved),),
        cache_savings_picousd=saved,
        rate=RATE,
        match_rule="exact",
    )


@pytest.fixture(scope="module")
def told(server: ClickHouseDouble) -> Iterator[Ledger]:
    """All stories in one ledger: a request an hour, of a thousand tokens."""
    hours = [START + hour * HOUR for hour in range(DAYS * 24)]
    tokens = [(story, hour, story.cached(hour) * 10) for story in STORIES for hour in hours if story.is_busy(hour)]
    with connect(server.dsn("cache_breaks")) as opened:
        migrations.apply(opened)
        store(
            opened,
            [
                a_request(
                    number,
                    price=price(cached) if story.is_priced else UNPRICED,
                    owner=Owner(team=story.team, feature=story.feature),
                    usage=Usage(input_tokens=1000 - cached, cached_input_tokens=cached),
                    start_unix_ns=int(hour.timestamp()) * 10**9 + number,
                )
                for number, (story, hour, cached) in enumerate(tokens)
            ],
        )
        yield opened


def test_breaks_and_nothing_else(told: Ledger) -> None:
    """
    What broke for 24 hours is found; short dips, smaller losses, little caching, few requests and what ended are not.
    """
    found = {each.feature: each for each in cache_breaks(told, period=WHOLE)}

    assert found.keys() == {"broken", "office", "two-days", "no-price"}


@pytest.mark.parametrize("where", [{}, {"team": "search"}, {"service": "api"}])
def test_the_hour_is_found(told: Ledger, where: dict[str, str]) -> None:
    """
    The first hour of the break is told, whichever table answers.
    """
    found = {each.feature: each for each in cache_breaks(told, period=WHOLE, where=where)}

    assert found["broken"].since == BROKEN
    assert found["broken"].until is None
    assert (found["broken"].hit_share_before, found["broken"].hit_share_since) == (Decimal("0.8"), Decimal(0))


def test_a_break_that_was_mended_ends(told: Ledger) -> None:
    """
    The first whole day that is well again ends it: hours of that day that were broken, and others, are outweighed.
    """
    found = {each.feature: each for each in cache_breaks(told, period=WHOLE)}

    assert found["two-days"].until == datetime(2026, 11, 15, tzinfo=UTC)


def test_the_loss_is_what_the_cache_would_have_saved(told: Ledger) -> None:
    """
    At 800 cached tokens an hour that saved 9 picodollars each, a day without them costs 24 x 7,200 picodollars.
    """
    found = {each.feature: each for each in cache_breaks(told, period=WHOLE)}

    assert found["broken"].lost_usd_per_day == Decimal(24 * 7_200).scaleb(-12)
    hours = Decimal((START + timedelta(days=DAYS) - BROKEN) // HOUR)
    assert found["broken"].lost_usd == hours * Decimal(7_200).scaleb(-12)
    assert found["no-price"].lost_usd is None


def test_only_breaks_of_the_period(told: Ledger) -> None:
    """
    A break is of the period that it begins in; the week before the period is read, and not reported.
    """
    later = Period(date(2026, 11, 16), date(2026, 12, 1))
    that_day = Period(date(2026, 11, 12), date(2026, 11, 15))

    assert cache_breaks(told, period=later) == ()
    assert {each.feature for each in cache_breaks(told, period=that_day)} >= {"broken", "no-price"}


def test_filters(told: Ledger) -> None:
    """
    A filter keeps the breaks of that owner; an unknown one is an error.
    """
    assert [each.feature for each in cache_breaks(told, period=WHOLE, where={"team": "growth"})] == ["office"]
    with pytest.raises(ReportError):
        cache_breaks(told, period=WHOLE, where={"nope": "x"})
