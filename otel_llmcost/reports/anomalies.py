"""
Days that cost far more than usual, and who made them so.

A day is compared with the days of its kind, working days or weekends, of the 28 before it; what is usual is their median,
which an earlier bad day hardly moves. It stands out when it costs at least 1.8 times that, more than three robust
deviations (1.4826 x the median distance) above it, and the excess is at least 5 % of what a day of the period costs on
average. A day needs seven days of history: days since the first one that cost anything, the cheap ones included.

Today is as far as it has come: it stands out only when it already costs that much. Limits: days are UTC days; a holiday is a
working day; what began to cost more stands out until half of the days before it are as costly; the six days with the
largest excess are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, cast

from otel_llmcost.ledger import Answers
from otel_llmcost.model import EXACT
from otel_llmcost.reports.dimensions import column_of, filter_parameters, source_for
from otel_llmcost.reports.money import add, sum_usd, usd
from otel_llmcost.reports.period import FIRST_DAY, Period

__all__ = ["Anomaly", "Driver", "anomalies"]

_HISTORY: Final = timedelta(days=28)
_LEAST_HISTORY: Final = timedelta(days=7)
_TIMES: Final = Decimal("1.8")
_OF_MEAN: Final = Decimal("0.05")
_DEVIATIONS: Final = Decimal("4.4478")
"""Three standard deviations, where the distances are those of a normal distribution."""
_MOST: Final = 6
_HALF: Final = Decimal("0.5")
_TENTH: Final = Decimal("0.1")
_THOUSANDTH: Final = Decimal("0.001")
_SATURDAY: Final = 5
_ZERO: Final = Decimal(0)

Days = Mapping[date, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """Whose spend exceeded its own usual most on that day."""

    team: str
    feature: str
    customer_id: str | None
    """The one customer that has at least half of the feature's excess; None: there is none."""
    excess_usd: Decimal
    """Of that customer, or else of the feature."""
    share: Decimal
    """Part of the day's excess, 0.874 for 87.4 %; above 1 where others cost less than usual."""
    troubled_share: Decimal
    """Part of this excess that retries, fallbacks and failures are, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """A day that cost far more than usual."""

    day: date
    is_partial: bool
    """Whether the day still runs."""
    cost_usd: Decimal
    usual_usd: Decimal
    """The median of the days of its kind before."""
    times_usual: Decimal | None
    """Rounded to tenths; None where nothing is usual."""
    driver: Driver | None
    """None where every feature cost what it usually does: the excess is spread."""

    @property
    def excess_usd(self) -> Decimal:
        """Give what it cost more than usual."""
        return add(self.cost_usd, self.usual_usd.copy_negate())

    @property
    def sentence(self) -> str:
        """Say it: `2026-11-17: $840.00, 3.2 times the usual $262.50; support › reply-draft 87% of the excess, …`."""
        times = "" if self.times_usual is None else f"{self.times_usual} times "
        said = f"{self.day}{' so far' if self.is_partial else ''}: {usd(self.cost_usd)}, {times}the usual {usd(self.usual_usd)}"
        if self.driver is None:
            return said
        who = " › ".join(filter(None, (self.driver.team, self.driver.feature, self.driver.customer_id)))
        troubled = self.driver.troubled_share
        because = f", {troubled:.0%} of that retries and failures" if troubled >= _TENTH else ""
        return f"{said}; {who} has {self.driver.share:.0%} of the excess{because}"


def anomalies(
    ledger: Answers, *, period: Period, now: datetime, where: Mapping[str, str] | None = None
) -> tuple[Anomaly, ...]:
    """
    Find the days of a period, up to `now`, that cost far more than usual, newest first.

    `where` is that of `spend`. Raises `ReportError` and `LedgerError`.
    """
    today = now.astimezone(UTC).date()
    asked = _Asked(ledger, where or {})
    costs = asked.days(Period(max(period.since - _HISTORY, FIRST_DAY), period.until))
    days = _each(period.since, min(period.until, today + timedelta(days=1)))
    mean = EXACT.divide(sum_usd(costs.get(day, _ZERO) for day in days), Decimal(max(len(days), 1)))
    found = [(day, usual) for day in days if (usual := _exceeded(day, costs, mean)) is not None]
    largest = sorted(found, key=lambda each: costs[each[0]] - each[1], reverse=True)[:_MOST]
    beside = {day: [*_history(day, costs), day] for day, _ in largest}
    features = asked.features(sorted({each for days in beside.values() for each in days})) if beside else []
    return tuple(
        Anomaly(
            day=day,
            is_partial=day == today,
            cost_usd=costs[day],
            usual_usd=usual,
            times_usual=EXACT.quantize(EXACT.divide(costs[day], usual), _TENTH) if usual > 0 else None,
            driver=_driver(asked, features, beside[day], costs[day] - usual),
        )
        for day, usual in sorted(largest, reverse=True)
    )


class _Asked:
    """The questions, with the filters of one call bound."""

    def __init__(self, ledger: Answers, where: Mapping[str, str]) -> None:
        self._ledger = ledger
        self._columns = tuple(map(column_of, where))
        self._filters = filter_parameters(where)

    def days(self, period: Period) -> dict[date, Decimal]:
        bound = {"source": self._source(), "since": period.since, "until": period.until, **self._filters}
        rows = self._ledger.query("spend_days", bound)
        return {cast("date", row["day"]): cast("Decimal", row["cost_usd"]) for row in rows}

    def features(self, days: Sequence[date]) -> Sequence[Mapping[str, object]]:
        source = self._source("team", "feature", "attempt_kind")
        return self._ledger.query("spend_days_of_features", {"source": source, "days": list(days), **self._filters})

    def customers(self, days: Sequence[date], team: str, feature: str) -> Sequence[Mapping[str, object]]:
        whose = {"team": team, "feature": feature, "day": days[-1], "days": list(days)}
        source = self._source("team", "feature", "attempt_kind", "customer_id")
        return self._ledger.query("spend_days_of_customers", {"source": source, **whose, **self._filters})

    def _source(self, *columns: str) -> str:
        return source_for(["day", *columns, *self._columns]).table


@dataclass(slots=True)
class _Excess:
    """What one owner cost more than its own usual on the last of some days."""

    key: tuple[str, ...]
    usd: Decimal
    troubled_usd: Decimal


def _exceeded(day: date, costs: Days, mean: Decimal) -> Decimal | None:
    """Give what is usual for a day of this kind if the day stands out, else None."""
    if day - min((each for each, usd in costs.items() if usd), default=day) < _LEAST_HISTORY:
        return None
    before = [costs.get(each, _ZERO) for each in _history(day, costs)]
    usual = _median(before)
    distance = _median([(each - usual).copy_abs() for each in before])
    least = max(usual * _TIMES, usual + distance * _DEVIATIONS, usual + mean * _OF_MEAN)
    return usual if costs.get(day, _ZERO) >= least and costs.get(day, _ZERO) > usual else None


def _history(day: date, costs: Days) -> list[date]:
    """Give the days of the same kind in the history of a day, since the first one that cost anything; oldest first."""
    is_weekend = day.weekday() >= _SATURDAY
    first = max(day - _HISTORY, min((each for each, usd in costs.items() if usd), default=day))
    return [each for each in _each(first, day) if (each.weekday() >= _SATURDAY) == is_weekend]


def _driver(
    asked: _Asked, by_feature: Sequence[Mapping[str, object]], days: Sequence[date], excess: Decimal
) -> Driver | None:
    features = _largest(by_feature, ("team", "feature"), days)
    if features is None:
        return None
    team, feature = features.key
    customers = _largest(asked.customers(days, team, feature), ("customer_id",), days)
    is_one = customers is not None and customers.usd >= features.usd * _HALF
    chosen = customers if customers is not None and is_one else features
    return Driver(
        team=team,
        feature=feature,
        customer_id=chosen.key[0] if is_one else None,
        excess_usd=chosen.usd,
        share=_ratio(chosen.usd, excess),
        troubled_share=min(max(_ratio(chosen.troubled_usd, chosen.usd), _ZERO), Decimal(1)),
    )


def _largest(rows: Iterable[Mapping[str, object]], names: Sequence[str], days: Sequence[date]) -> _Excess | None:
    """Find who exceeded its own usual most on the last of `days`; a day on which it has no row cost nothing."""
    found: dict[tuple[str, ...], dict[object, tuple[Decimal, Decimal]]] = {}
    for row in rows:
        amounts = cast("Decimal", row["cost_usd"]), cast("Decimal", row["troubled_usd"])
        found.setdefault(tuple(str(row[name]) for name in names), {})[row["day"]] = amounts
    excesses = (
        _Excess(key, *(_above_usual([of.get(day, (_ZERO, _ZERO))[part] for day in days]) for part in (0, 1)))
        for key, of in found.items()
    )
    return max((each for each in excesses if each.usd > 0), key=lambda each: (each.usd, each.key), default=None)


def _above_usual(amounts: Sequence[Decimal]) -> Decimal:
    return amounts[-1] - _median(amounts[:-1])


def _median(amounts: Iterable[Decimal]) -> Decimal:
    """Give the exact median; 0 of nothing."""
    ordered = sorted(amounts)
    if not ordered:
        return _ZERO
    return EXACT.divide(EXACT.add(ordered[len(ordered) // 2], ordered[~(len(ordered) // 2)]), Decimal(2))


def _ratio(part: Decimal, whole: Decimal) -> Decimal:
    return EXACT.quantize(EXACT.divide(part, whole), _THOUSANDTH)


def _each(since: date, until: date) -> list[date]:
    return [since + timedelta(days=number) for number in range((until - since).days)]
