"""
What was spent in a period beside what was spent before it, over equal elapsed time.

A period that still runs is compared with as much of the one before, to the second; a calendar month with the month before
it, anything else with as many days directly before. A period that is over is compared with all of the one before, also
where that month is longer. Limit: charges that are dated later than now, by a clock ahead, are in the period's sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self, cast

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Answers
from otel_llmcost.reports.dimensions import TIMES, column_of, filter_parameters, source_for
from otel_llmcost.reports.period import FIRST_DAY, Period
from otel_llmcost.reports.spend import OTHER, Measures, key_value, measures_of

__all__ = ["ActiveCustomers", "ComparedRow", "Comparison", "Windows", "active_customers", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """A period, and the equally long time that it is compared with."""

    period: Period
    before: Period
    elapsed_until: datetime
    """Now, or the end of the period: so far has it come."""
    before_until: datetime
    """Where `before` is cut, so that it is no longer than what has elapsed."""

    @classmethod
    def of(cls, period: Period, now: datetime) -> Self:
        """Find what a period is compared with at the aware instant `now`; nothing is before 1970."""
        before = Period(max(_start_before(period), FIRST_DAY), max(period.since, FIRST_DAY + timedelta(days=1)))
        start, end = _midnight(period.since), _midnight(period.until)
        elapsed_until = min(max(now.astimezone(UTC).replace(microsecond=0), start), end)
        before_until = _midnight(before.since) + (elapsed_until - start)
        return cls(
            period=period,
            before=before,
            elapsed_until=elapsed_until,
            before_until=start if elapsed_until == end else min(before_until, start),
        )

    @property
    def parameters(self) -> dict[str, object]:
        """What the queries of two windows are bound to."""
        return {
            "since": self.period.since,
            "until": self.period.until,
            "before_since": self.before.since,
            "before_day": self.before_until.date(),
            "before_until": f"{self.before_until:%Y-%m-%d %H:%M:%S}",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """One value of the dimension, in both windows; without charges in one of them, that one is all zeros."""

    key: str
    measures: Measures
    before: Measures


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Spend in a period and before it. The rows sum to `total` and to `total_before`, in every measure."""

    period: Period
    before: Period
    elapsed_until: datetime
    before_until: datetime
    by: str
    where: Mapping[str, str]
    rows: tuple[ComparedRow, ...]
    """Most costly now first, `(other)` last."""
    total: Measures
    total_before: Measures
    source: str
    """The table that answered for whole days."""


@dataclass(frozen=True, slots=True)
class ActiveCustomers:
    """How many customers have charges in force in a period, and in the one before over equal elapsed time."""

    count: int
    before: int


def compare(
    ledger: Answers,
    by: str,
    *,
    period: Period,
    now: datetime,
    where: Mapping[str, str] | None = None,
    top: int | None = None,
) -> Comparison:
    """
    Compare what was spent in a period, by one of `DIMENSIONS` that is no time, with what was spent before, as of `now`.

    `where` and `top` are those of `spend`. Raises `ReportError` for what does not exist, and `LedgerError`.
    """
    column, filters = column_of(by), where or {}
    if column in TIMES:
        raise ReportError(f"a {by} of this period is none of the one before: compare by another dimension")
    windows = Windows.of(period, now)
    source = source_for([column, *map(column_of, filters)]).table
    bound = {"source": source, "folded": column, "top": top or 0, **windows.parameters, **filter_parameters(filters)}
    rows = _rows(ledger.query("spend_compared", bound), column)
    return Comparison(
        period=period,
        before=windows.before,
        elapsed_until=windows.elapsed_until,
        before_until=windows.before_until,
        by=by,
        where=dict(filters),
        rows=rows,
        total=sum((row.measures for row in rows), Measures()),
        total_before=sum((row.before for row in rows), Measures()),
        source=source,
    )


def active_customers(
    ledger: Answers, *, period: Period, now: datetime, where: Mapping[str, str] | None = None
) -> ActiveCustomers:
    """Count the customers with charges in force, now and before. Raises `ReportError` and `LedgerError`."""
    filters = where or {}
    source = source_for(["customer_id", *map(column_of, filters)]).table
    bound = {"source": source, **Windows.of(period, now).parameters, **filter_parameters(filters)}
    (row,) = ledger.query("active_customers", bound)
    return ActiveCustomers(cast("int", row["customers"]), cast("int", row["customers_before"]))


def _rows(found: Iterable[Mapping[str, object]], column: str) -> tuple[ComparedRow, ...]:
    now: dict[str, Measures] = {}
    before: dict[str, Measures] = {}
    for row in found:
        (before if row["is_before"] else now)[key_value(row, "folded", column)] = measures_of(row)
    rows = (
        ComparedRow(key=key, measures=now.get(key, Measures()), before=before.get(key, Measures()))
        for key in now.keys() | before.keys()
    )
    shown = (row for row in rows if row.measures != Measures() or row.before != Measures())  # not all taken back
    return tuple(sorted(shown, key=_place))


def _place(row: ComparedRow) -> tuple[object, ...]:
    return row.key == OTHER, row.measures.cost_usd.copy_negate(), row.before.cost_usd.copy_negate(), row.key


def _start_before(period: Period) -> date:
    next_month = (period.since + timedelta(days=31)).replace(day=1)
    if period.since.day == 1 and period.until == next_month:
        return (period.since - timedelta(days=1)).replace(day=1)
    return period.since - (period.until - period.since)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
