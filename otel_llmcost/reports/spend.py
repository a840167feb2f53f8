"""
What was spent, by one or two dimensions: the question behind every view.

Every number comes from the smallest rollup that has the dimensions asked for, parts always sum to the total, and a
total with requests whose cost is not known says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any, Final, Self

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Answers
from otel_llmcost.model import UNATTRIBUTED
from otel_llmcost.reports.dimensions import OWNERS, TIMES, column_of, filter_parameters, source_for
from otel_llmcost.reports.money import add, sum_usd
from otel_llmcost.reports.period import Period

__all__ = ["MEASURES", "OTHER", "Measures", "Report", "SpendRow", "key_value", "measures_of", "spend"]

OTHER: Final = "(other)"
"""The values below the top ones, folded into one row. A value that is really spelled so is in quotes: never both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The sums of a group of charges: counts, tokens, and exact US dollars."""

    requests: int = 0
    partial_requests: int = 0
    """Their cost is a lower bound: a billed count had no published rate."""
    unpriced_requests: int = 0
    """Their cost is not known, and is not in any sum."""
    failed_without_usage: int = 0
    """Failed before anything was billed, as far as is known: these raise no alarm."""
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    list_cost_usd: Decimal = Decimal(0)
    wasted_cost_usd: Decimal = Decimal(0)
    """Cost of failed, timed-out and cancelled requests, and of retries and fallbacks whose predecessor was charged."""
    retry_cost_usd: Decimal = Decimal(0)
    fallback_cost_usd: Decimal = Decimal(0)
    cache_savings_usd: Decimal = Decimal(0)

    def __add__(self, other: Self) -> Measures:
        return Measures(**{name: _plus(getattr(self, name), getattr(other, name)) for name in MEASURES})

    @property
    def is_lower_bound(self) -> bool:
        """Whether the true cost may be higher than `cost_usd`."""
        return self.partial_requests > 0 or self.unpriced_requests > 0


def _plus(one: Any, other: Any) -> Any:  # two counts, or two sums of money
    return add(one, other) if isinstance(one, Decimal) else one + other


MEASURES: Final = tuple(field.name for field in fields(Measures))


@dataclass(frozen=True, slots=True)
class SpendRow:
    """One group: its values, in the order of `Report.by`, and its sums."""

    key: tuple[str, ...]
    measures: Measures


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Spend in a period. The rows sum to `total`, in every measure."""

    period: Period
    by: tuple[str, ...]
    where: Mapping[str, str]
    rows: tuple[SpendRow, ...]
    total: Measures
    unattributed_usd: Decimal
    """Cost of the requests that lack an owner in `unattributed_of`."""
    unattributed_of: tuple[str, ...]
    """The owner dimensions among `by`, else team."""
    source: str
    """The table that answered."""


def spend(
    ledger: Answers,
    by: Sequence[str],
    *,
    since: date,
    until: date,
    where: Mapping[str, str] | None = None,
    top: int | None = None,
) -> Report:
    """
    Sum what was spent in [since, until), UTC days, by one or two of `DIMENSIONS`.

    `where` keeps the charges with these exact values; `top` keeps that many values of the first dimension that is not
    a time, those that cost most, and folds the rest into `(other)`. Raises `ReportError` for what does not exist, and `LedgerError`.
    """
    period = Period(since, until)
    filters = where or {}
    columns = _columns(by)
    folded = next((column for column in columns if column not in TIMES), columns[0])
    beside = next((column for column in columns if column != folded), folded)
    source = source_for([*columns, *map(column_of, filters)])
    parameters = {
        "source": source.table,
        "folded": folded,
        "beside": beside,
        "pair": beside != folded,
        "top": top or 0,
        "since": since,
        "until": until,
        **filter_parameters(filters),
    }
    many = top and beside != folded == "customer_id"
    found = ledger.query("spend_beside_top" if many else "spend", parameters)
    places = [("folded" if column == folded else "beside", column) for column in columns]
    rows = [
        SpendRow(tuple(key_value(row, place, column) for place, column in places), measures)
        for row in found
        if (measures := measures_of(row)) != Measures()  # all of it was taken back
    ]
    owners = tuple(column for column in columns if column in OWNERS)
    without_team = sum_usd(Decimal(str(row["without_team_usd"])) for row in found)
    return Report(
        period=period,
        by=tuple(by),
        where=dict(filters),
        rows=tuple(_sorted(rows, columns)),
        total=sum((row.measures for row in rows), Measures()),
        unattributed_usd=_without_owner(rows, columns) if owners else without_team,
        unattributed_of=owners or ("team",),
        source=source.table,
    )


def _columns(by: Sequence[str]) -> tuple[str, ...]:
    columns = tuple(column_of(dimension) for dimension in by)
    if len(columns) not in (1, 2) or len(set(columns)) != len(columns):
        raise ReportError("a report is by one dimension, or by two different ones")
    return columns


def key_value(row: Mapping[str, object], place: str, column: str) -> str:
    """Read a value of a dimension from a row: 2026-10-01 as the month 2026-10, an hour without its seconds, and the rest as `(other)`."""
    if place == "folded" and row["is_rest"]:
        return OTHER
    value = str(row[place])
    if column in ("month", "hour"):
        return value[: {"month": 7, "hour": 16}[column]]
    return f'"{OTHER}"' if value == OTHER else value


def measures_of(row: Mapping[str, object]) -> Measures:
    """Read the measures of a row that a query gave."""
    return Measures(**{name: row[name] for name in MEASURES})  # type: ignore[arg-type]  # the query gives these types


def _without_owner(rows: Sequence[SpendRow], columns: tuple[str, ...]) -> Decimal:
    places = [place for place, column in enumerate(columns) if column in OWNERS]
    missing = (row for row in rows if any(row.key[place] == UNATTRIBUTED for place in places))
    return sum_usd(row.measures.cost_usd for row in missing)


def _sorted(rows: Sequence[SpendRow], columns: tuple[str, ...]) -> list[SpendRow]:
    """Sort by the first dimension's cost, then each row's; times by themselves; `(other)` last."""
    cost_of: dict[str, Decimal] = {}
    for row in rows:
        cost_of[row.key[0]] = add(cost_of.get(row.key[0], Decimal(0)), row.measures.cost_usd)

    def place(row: SpendRow) -> tuple[object, ...]:
        first = (row.key[0] == OTHER, 0 if columns[0] in TIMES else cost_of[row.key[0]].copy_negate(), row.key[0])
        last = 0 if columns[-1] in TIMES else row.measures.cost_usd.copy_negate()
        return (*first, row.key[-1] == OTHER, last, row.key[-1])

    return sorted(rows, key=place)
