"""
The rows behind a report, a page at a time: newest first, or most costly first.

A page begins after a `Cursor`, so that the last page of millions costs what the first does. First only the keys are read,
to find where a page ends, then all columns of its rows. Limit: a charge that arrives late, with a key within the pages that
were read already, is on none of those that follow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final, Literal, Self, TypeAlias, cast

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Answers
from otel_llmcost.reports.dimensions import filter_parameters
from otel_llmcost.reports.money import exact_usd
from otel_llmcost.reports.period import FIRST_DAY, LAST_DAY, Period
from otel_llmcost.reports.spend import Measures, spend

__all__ = ["SORTS", "Cursor", "Facts", "RequestRow", "Sort", "requests", "total"]

Sort: TypeAlias = Literal["time", "cost"]
SORTS: Final[tuple[Sort, ...]] = ("time", "cost")
_UNKNOWN: Final = Decimal(-999_999)
"""Sorts charges whose cost is not known behind all others: a cost in the ledger has six digits before its point."""
_HIGHEST: Final = Decimal(999_999)
_INSTANT: Final = timedelta(microseconds=1)
_CURSOR: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})_(-?\d{1,6}(?:\.\d{1,12})?)_(\d{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """One charge: a request (sign 1, no adjustment reason), or an adjustment."""

    timestamp: datetime
    request_id: str
    trace_id: str
    span_id: str
    response_id: str
    team: str
    feature: str
    customer_id: str
    environment: str
    action: str
    action_id: str
    service_name: str
    provider: str
    model: str
    status: str
    error_type: str
    attempt: int
    attempt_kind: str
    wasted: bool
    price_status: str
    reason: str
    duration_us: int
    input_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    cache_write_12h_tokens: int | None
    output_tokens: int | None
    audio_input_tokens: int | None
    cached_audio_input_tokens: int | None
    audio_output_tokens: int | None
    image_input_tokens: int | None
    image_output_tokens: int | None
    web_search_calls: int | None
    file_search_calls: int | None
    code_execution_calls: int | None
    reasoning_tokens: int | None
    sign: Literal[-1, 1]
    adjustment_reason: str
    of_trace_id: str
    of_span_id: str
    """The request that it is, or that it corrects."""
    rate_id: str
    cost_usd: Decimal | None
    """With its sign: negative where an adjustment takes a charge back. None: not known."""


COLUMNS: Final = tuple(field.name for field in fields(RequestRow))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a list can be narrowed to besides dimensions. None, and False, narrow nothing."""

    wasted: bool = False
    """Failed, or repeated although the first was charged: what `Measures.wasted_cost_usd` sums up."""
    error_type: str | None = None
    reason: str | None = None
    """Why its cost is not known, or not wholly."""
    action_id: str | None = None
    gap: str | None = None
    """One of its `usage_gaps`."""
    rate_id: str | None = None
    """The rate that priced it; "" for none."""
    hour: datetime | None = None
    """The UTC hour in which it began."""

    @property
    def parameters(self) -> dict[str, object]:
        """What the queries are bound to."""
        return {name: getattr(self, name) for name in ("wasted", "error_type", "reason", "action_id", "gap", "rate_id")}


NO_FACTS: Final = Facts()


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list: behind `skip` rows of one instant and, by cost, of one cost."""

    at: datetime
    cost_key: Decimal
    skip: int

    @classmethod
    def behind(cls, rows: Sequence[RequestRow], sort: Sort, before: Self | None = None) -> Self:
        """Give the place behind the last of some rows, which began at `before`."""
        at, cost_key = key = _key(rows[-1], sort)
        same = sum(1 for row in rows if _key(row, sort) == key)
        is_same = same == len(rows) and before is not None and (before.at, before.cost_key) == key
        return cls(at, cost_key, same + before.skip if is_same and before else same)

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what `str` wrote. Raises `ReportError`."""
        found = _CURSOR.fullmatch(text)
        try:
            at = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None
        except ValueError:
            at = None
        if found is None or at is None or not FIRST_DAY <= at.date() <= LAST_DAY:
            raise ReportError(f"{text[:40]!r} is no place in this list: begin at its first page")
        return cls(at, Decimal(found[2]), int(found[3]))

    def __str__(self) -> str:
        at = self.at.replace(tzinfo=None).isoformat(timespec="microseconds")
        return f"{at}_{exact_usd(self.cost_key)}_{self.skip}"


def _key(row: RequestRow, sort: Sort) -> tuple[datetime, Decimal]:
    if sort == "time":
        return row.timestamp, Decimal(0)
    return row.timestamp, _UNKNOWN if row.cost_usd is None else row.cost_usd


def requests(
    ledger: Answers,
    *,
    since: date,
    until: date,
    where: Mapping[str, str] | None = None,
    limit: int = 50,
    sort: Sort = "time",
    facts: Facts = NO_FACTS,
    after: Cursor | None = None,
) -> tuple[RequestRow, ...]:
    """Give the first `limit` charges in [since, until), UTC days, from `after` on. Raises `ReportError` and `LedgerError`."""
    by_cost = sort == "cost"
    first, last = _between(Period(since, until), facts)
    if after is not None and not by_cost:
        last = min(last, after.at)
    bound = {
        "by_cost": by_cost,
        "first": _text(first),
        "last": _text(last),
        "cost_key": after.cost_key if after else _HIGHEST,
        "at": _text(after.at if after else last),
        **facts.parameters,
        **filter_parameters(where or {}),
    }
    skip = after.skip if after else 0
    reach = ledger.query("requests_reach", {**bound, "limit": limit + skip})
    if not reach:
        return ()
    ((cost_key, at),) = ((row["cost_key"], row["timestamp"]) for row in reach)
    if not by_cost:
        bound["first"] = at
    rows = ledger.query("requests", {**bound, "reach": cost_key, "reach_at": at, "limit": limit, "skip": skip})
    return tuple(RequestRow(**{name: row[name] for name in COLUMNS}) for row in rows)  # type: ignore[arg-type]


def total(
    ledger: Answers, *, since: date, until: date, where: Mapping[str, str] | None = None, facts: Facts = NO_FACTS
) -> Measures:
    """
    Sum up the whole list: its requests in force, how many of them have no known cost, and their cost; no other measure.

    Raises `ReportError` and `LedgerError`.
    """
    if facts == NO_FACTS:
        found = spend(ledger, ("month",), since=since, until=until, where=where).total
        return Measures(**{name: getattr(found, name) for name in _SUMMED})
    first, last = _between(Period(since, until), facts)
    bound = {"first": _text(first), "last": _text(last), **facts.parameters, **filter_parameters(where or {})}
    (row,) = ledger.query("requests_total", bound)
    return Measures(**{name: cast("int", row[name]) for name in _SUMMED})  # type: ignore[arg-type]  # cost_usd: Decimal


_SUMMED: Final = ("requests", "partial_requests", "unpriced_requests", "failed_without_usage", "cost_usd")


def _between(period: Period, facts: Facts) -> tuple[datetime, datetime]:
    """Give the first and the last instant that are asked for."""
    first, end = (datetime.combine(day, time(), UTC) for day in (period.since, period.until))
    if facts.hour is not None:  # days have whole hours: it is in them, or nothing is
        first, end = (facts.hour, facts.hour + timedelta(hours=1)) if first <= facts.hour < end else (end, end)
    return first, end - _INSTANT


def _text(at: datetime) -> str:
    """Write an instant as the engine reads it, with its microseconds."""
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"
