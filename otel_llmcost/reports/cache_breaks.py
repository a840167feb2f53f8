"""
When a cache stopped being hit: the hour, and what it costs since.

A break: a team's feature reads less than half of the share of its input from a model's cache than in the seven days
before, for 24 hours at least. Usually a prompt whose beginning changed: a date, an id, tools in another order.

Limits: the cost is an estimate, tokens that would have been read at the old share times what one such token saved then.
So few requests prove little: looked at are features with 50 requests and a tenth of their input from a cache in the week
before, and 50 since; and of those the 20 that lost most tokens in a day.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Any, Final, cast

from otel_llmcost.ledger import Answers
from otel_llmcost.reports.daily import summed
from otel_llmcost.reports.dimensions import column_of, filter_parameters, source_for
from otel_llmcost.reports.money import ratio
from otel_llmcost.reports.period import FIRST_DAY, Period

__all__ = ["CacheBreak", "cache_breaks"]

_LEAST_REQUESTS: Final = 50
_LEAST_SHARE: Final = 0.1
_MOST: Final = 20
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
_FIRST: Final = FIRST_DAY + 2 * (_WEEK + _DAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheBreak:
    """A cache that was hit less than half as often from an hour on."""

    team: str
    feature: str
    model: str
    since: datetime
    """The first hour of it."""
    until: datetime | None
    """The first day that was well again; None: it goes on, as far as there is data."""
    hit_share_before: Decimal
    """Of the seven days before."""
    hit_share_since: Decimal
    lost_usd: Decimal | None
    """What the cache would have saved since, an estimate; None where the week before saved nothing that is known."""
    lost_usd_per_day: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Input:
    """What models were given in some hours."""

    requests: int = 0
    cached_tokens: int = 0
    given_tokens: int = 0
    cache_savings_usd: Decimal = Decimal(0)

    @property
    def hit_share(self) -> Fraction:
        return Fraction(self.cached_tokens, self.given_tokens) if self.given_tokens else Fraction(0)


_Group = tuple[str, str, str]
_Hours = Sequence[tuple[datetime, _Input]]


def cache_breaks(ledger: Answers, *, period: Period, where: Mapping[str, str] | None = None) -> tuple[CacheBreak, ...]:
    """
    Find caches that broke in `period`, the most costly first. The sixteen days before it are read too.

    Raises `ReportError` for a filter that does not exist, and `LedgerError`.
    """
    filters = where or {}
    source = source_for(["team", "feature", "model", "day", "hour", *map(column_of, filters)])
    bound = {"source": source.table, "until": period.until, **filter_parameters(filters)}
    # A break of the week before shows in the first days of the period too, and is found to be older only if it is seen.
    since = max(period.since, _FIRST) - _WEEK - _DAY
    early = since - _WEEK - _DAY
    least = {"least_requests": _LEAST_REQUESTS, "least_share": _LEAST_SHARE, "limit": _MOST}
    drops = ledger.query("cache_drops", {**bound, **least, "since": since, "read_since": early})
    if not drops:
        return ()
    groups = {f"{name}s": [str(row[name]) for row in drops] for name in ("team", "feature", "model")}
    hours = _by_group(ledger.query("cache_hours", {**bound, **groups, "since": early}))
    found = [
        each
        for row in drops
        if (group := (str(row["team"]), str(row["feature"]), str(row["model"]))) in hours
        for each in _breaks(group, hours[group], cast("list[date]", row["days"]))
        if period.since <= each.since.date() < period.until
    ]
    return tuple(sorted(found, key=lambda each: ((each.lost_usd_per_day or Decimal(0)).copy_negate(), each.since)))


def _by_group(rows: Iterable[Mapping[str, object]]) -> dict[_Group, _Hours]:
    found: dict[_Group, list[tuple[datetime, _Input]]] = {}
    for row in cast("Iterable[dict[str, Any]]", rows):
        group = row.pop("team"), row.pop("feature"), row.pop("model")
        found.setdefault(group, []).append((row.pop("hour"), _Input(**row)))
    return dict(found)


def _breaks(group: _Group, hours: _Hours, days: Iterable[date]) -> Iterator[CacheBreak]:
    """Give the breaks behind days with a drop; the days of a break that goes on are no breaks of their own."""
    known_until = datetime.min.replace(tzinfo=UTC)
    for day in sorted(days):
        start = datetime.combine(day, time(), UTC)
        if start >= known_until and (found := _break(group, hours, start)) is not None:
            yield found
            known_until = found.until or datetime.max.replace(tzinfo=UTC)


def _break(group: _Group, hours: _Hours, start: datetime) -> CacheBreak | None:
    """Find the hour that explains the drop of the day from `start`, and tell whether it stayed so for 24 hours."""
    since = _first_hour(hours, start)
    before = _within(hours, since - _WEEK, since)
    half = before.hit_share / 2
    newest = hours[-1][0] + _HOUR
    if newest < since + _DAY or _within(hours, since, since + _DAY).hit_share >= half:
        return None
    until = _well_again(hours, since + _DAY, half)
    during = _within(hours, since, until or newest)
    if during.requests < _LEAST_REQUESTS:
        return None
    lost = _lost_usd(before, during)
    days = Fraction(((until or newest) - since) // _HOUR, 24)
    team, feature, model = group
    return CacheBreak(
        team=team,
        feature=feature,
        model=model,
        since=since,
        until=until,
        hit_share_before=_decimal(before.hit_share),
        hit_share_since=_decimal(during.hit_share),
        lost_usd=None if lost is None else _decimal(lost),
        lost_usd_per_day=None if lost is None else _decimal(lost / days),
    )


def _first_hour(hours: _Hours, start: datetime) -> datetime:
    """
    Give the hour of the drop, on the day from `start` or the one before it.

    Up to that hour, more than half of the usual share was read; from then on, less. So what was read above that half,
    added up hour by hour, is at its highest there.
    """
    half = _within(hours, start - _WEEK, start).hit_share / 2
    near = _between(hours, start - _DAY, start + _DAY)
    above = accumulate((each.cached_tokens - half * each.given_tokens for _, each in near), initial=Fraction(0))
    highest, _ = max(enumerate(above), key=lambda each: each[1])
    return near[highest][0] if highest < len(near) else start + _DAY


def _within(hours: _Hours, since: datetime, until: datetime) -> _Input:
    return summed(_Input, [each for _, each in _between(hours, since, until)])


def _between(hours: _Hours, since: datetime, until: datetime) -> _Hours:
    return hours[bisect_left(hours, since, key=itemgetter(0)) : bisect_left(hours, until, key=itemgetter(0))]


def _well_again(hours: _Hours, since: datetime, half: Fraction) -> datetime | None:
    """Give the start of the first whole day from `since` on whose share is above `half` again."""
    for day, each in groupby((each for each in hours if each[0] >= since), key=lambda each: each[0].date()):
        start = datetime.combine(day, time(), UTC)
        if start >= since and summed(_Input, map(itemgetter(1), each)).hit_share >= half:
            return start
    return None


def _lost_usd(before: _Input, during: _Input) -> Fraction | None:
    """Estimate what the cache would have saved at the share and the saving per token of before, less what it did save."""
    if before.cache_savings_usd <= 0 or not before.cached_tokens:
        return None
    saved_per_token = Fraction(before.cache_savings_usd) / before.cached_tokens
    return before.hit_share * during.given_tokens * saved_per_token - Fraction(during.cache_savings_usd)


def _decimal(number: Fraction) -> Decimal:
    return ratio(number.numerator, number.denominator) or Decimal(0)
