"""Anomalies: days that stand out are found with who made them so, and others are not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest

from otel_llmcost.ledger import Ledger, connect, migrations
from otel_llmcost.model import Attempt, Owner, Request
from otel_llmcost.reports import Anomaly, Period, anomalies
from tests.clickhouse_double import ClickHouseDouble
from tests.ledger.samples import a_request, priced, store

FIRST = date(2026, 10, 1)
PERIOD = Period(date(2026, 10, 20), date(2026, 12, 1))
NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
"""A Wednesday."""
WEDNESDAY, THURSDAY, SATURDAY = date(2026, 11, 11), date(2026, 11, 12), date(2026, 11, 14)
WORKDAY, WEEKEND = 10.0, 4.0
numbers = count(1)


def spent(
    team: str,
    day: date,
    usd: float,
    *,
    feature: str = "reply",
    customer: str = "acme",
    kind: str = "initial",
    status: str = "success",
) -> Request:
    """One request that cost so much."""
    return a_request(
        next(numbers),
        price=priced(round(usd * 10**12)),
        owner=Owner(team=team, feature=feature, customer_id=customer),
        attempt=Attempt(kind=kind, number=1 if kind == "initial" else 2),  # type: ignore[arg-type]
        status=status,
        start_unix_ns=int(datetime(day.year, day.month, day.day, 9, tzinfo=UTC).timestamp()) * 10**9,
    )  # fmt: skip


def usual(team: str, since: date = FIRST, workday: float = WORKDAY, weekend: float = WEEKEND) -> list[Request]:
    """The same on every working day, and less on weekends, up to yesterday; half of it by each of two features."""
    return [
        spent(team, day, (weekend if day.weekday() > 4 else workday) / 2, feature=feature)
        for day in (since + timedelta(days=number) for number in range((NOW.date() - since).days))
        for feature in ("reply", "search")
    ]


def noisy(team: str) -> list[Request]:
    """Days of five sizes."""
    return [spent(team, FIRST + timedelta(days=number), (4, 8, 12, 16, 20)[number * 3 % 5]) for number in range(48)]


CASES: dict[str, list[Request]] = {
    "steady": usual("steady"),
    "storm": [
        *usual("storm"),
        spent("storm", WEDNESDAY, 3, customer="globex"),
        *[spent("storm", WEDNESDAY, 9, customer="globex", kind="retry") for _ in range(2)],
        spent("storm", WEDNESDAY, 9, customer="globex", status="error"),
    ],
    "spread": [*usual("spread"), *[spent("spread", THURSDAY, 3, customer=f"c{number}") for number in range(9)]],
    "weekend": [*usual("weekend"), spent("weekend", SATURDAY, 6)],
    "little": [*usual("little", weekend=0.02), spent("little", SATURDAY, 0.2)],
    "noisy": [*noisy("noisy"), spent("noisy", NOW.date(), 25)],
    "young": [*usual("young", THURSDAY), spent("young", date(2026, 11, 17), 90)],
    "week-old": [*usual("week-old", date(2026, 11, 10)), spent("week-old", date(2026, 11, 17), 90)],
    "today": [*usual("today"), spent("today", NOW.date(), 30), spent("today", date(2026, 11, 20), 99)],
    "today-low": [*usual("today-low"), spent("today-low", NOW.date(), 17)],
    "twice": [*usual("twice"), spent("twice", WEDNESDAY, 500), spent("twice", THURSDAY, 12)],
    "many": [
        *usual("many"),
        *[spent("many", date(2026, 11, day), 20 + day) for day in (2, 3, 4, 5, 9, 10, 11, 12)],
    ],
    "from-nothing": [
        spent("from-nothing", FIRST, 1),
        *usual("from-nothing", weekend=0),
        spent("from-nothing", SATURDAY, 6),
    ],
}


@pytest.fixture(scope="module")
def ledger(server: ClickHouseDouble) -> Iterator[Ledger]:
    """All cases, one team each; nobody writes after this."""
    with connect(server.dsn("anomalies")) as opened:
        migrations.apply(opened)
        store(opened, [request for case in CASES.values() for request in case])
        yield opened


def found(ledger: Ledger, case: str) -> tuple[Anomaly, ...]:
    """The anomalies of one team."""
    return anomalies(ledger, period=PERIOD, now=NOW, where={"team": case})


@pytest.mark.parametrize(
    ("case", "days"),
    [
        ("steady", []),
        ("storm", [WEDNESDAY]),
        ("weekend", [SATURDAY]),  # 10.00 is nothing for a working day
        ("little", []),
        ("noisy", []),
        ("young", []),
        ("week-old", [date(2026, 11, 17)]),
        ("today", [NOW.date()]),
        ("today-low", []),
        ("twice", [THURSDAY, WEDNESDAY]),  # the first does not make the second usual
        ("from-nothing", [SATURDAY]),
    ],
)
def test_days_that_stand_out(ledger: Ledger, case: str, days: list[date]) -> None:
    """
    A day stands out against days of its kind, by size, by ratio and by their spread, and with a week of history.
    """
    assert [each.day for each in found(ledger, case)] == days


def test_figures_and_driver(ledger: Ledger) -> None:
    """
    An anomaly says what was usual, how many times that it is, who made it so, and how much of that is retries or failures.
    """
    (storm,) = found(ledger, "storm")

    assert (storm.cost_usd, storm.usual_usd, storm.times_usual, storm.excess_usd) == (40, 10, 4, 30)
    assert storm.driver is not None
    assert (storm.driver.team, storm.driver.feature, storm.driver.customer_id) == ("storm", "reply", "globex")
    assert (storm.driver.excess_usd, storm.driver.share, storm.driver.troubled_share) == (30, 1, Decimal("0.9"))
    assert storm.sentence == (
        "2026-11-11: $40.00, 4.0 times the usual $10.00; "
        "storm › reply › globex has 100% of the excess, 90% of that retries and failures"
    )


def test_an_excess_of_many_customers_is_the_features(ledger: Ledger) -> None:
    """
    Where no customer has half of the excess, the feature has it.
    """
    (spread,) = found(ledger, "spread")

    assert spread.driver is not None
    assert (spread.driver.feature, spread.driver.customer_id, spread.driver.excess_usd) == ("reply", None, 27)
    assert spread.sentence.endswith("spread › reply has 100% of the excess")


def test_today_is_as_far_as_it_has_come(ledger: Ledger) -> None:
    """
    Today stands out once it already costs that much, and says that it still runs; later days do not exist yet.
    """
    (today,) = found(ledger, "today")

    assert today.is_partial
    assert today.sentence.startswith("2026-11-18 so far: $30.00, 3.0 times")
    assert not any(each.is_partial for each in found(ledger, "storm"))


def test_nothing_is_usual(ledger: Ledger) -> None:
    """
    A day of a kind that usually costs nothing is no multiple of anything.
    """
    (day,) = found(ledger, "from-nothing")

    assert (day.usual_usd, day.times_usual, day.cost_usd) == (0, None, 6)


def test_the_six_largest_newest_first(ledger: Ledger) -> None:
    """
    At most six days are told: those with the largest excess, newest first.
    """
    assert [each.day.day for each in found(ledger, "many")] == [12, 11, 10, 9, 5, 4]


def test_with_a_filter_that_no_rollup_has(ledger: Ledger) -> None:
    """
    A filter by service is answered from the charges, with the same days and drivers.
    """
    assert anomalies(ledger, period=PERIOD, now=NOW, where={"team": "storm", "service": "api"}) == found(
        ledger, "storm"
    )
    assert anomalies(ledger, period=PERIOD, now=NOW, where={"team": "nobody"}) == ()
