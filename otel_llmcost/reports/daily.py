"""One value of a dimension with its days: what a row of a table and its sparkline show. Sums go field by field, exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any, Generic, TypeVar

from otel_llmcost.reports.money import sum_usd

__all__ = ["Daily", "days_together", "summed", "with_days"]

M = TypeVar("M")


@dataclass(frozen=True, slots=True, kw_only=True)
class Daily(Generic[M]):
    """The measures of one value of a dimension: of a whole period, and of each UTC day that has any, in order."""

    key: str
    whole: M
    days: tuple[tuple[date, M], ...]


def summed(kind: type[M], each: Iterable[M]) -> M:
    """Add up measures, dataclasses of counts and US dollars: a column at a time, a tenth of what a row at a time costs."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # a dataclass, which no bound can say
    columns = zip(*map(attrgetter(*names), each), strict=True)
    return kind(**{name: _sum(column) for name, column in zip(names, columns, strict=False)})


def _sum(column: tuple[Any, ...]) -> Any:
    return sum_usd(column) if isinstance(column[0], Decimal) else sum(column)


def with_days(kind: type[M], key: str, days: Mapping[date, M]) -> Daily[M]:
    """Make the row of a value whose days add up to the whole."""
    return Daily(key=key, whole=summed(kind, days.values()), days=tuple(sorted(days.items(), key=lambda each: each[0])))


def days_together(kind: type[M], rows: Iterable[Daily[M]]) -> Daily[M]:
    """Make the row of all rows together; its key is empty."""
    found: dict[date, list[M]] = {}
    for row in rows:
        for day, measures in row.days:
            found.setdefault(day, []).append(measures)
    return with_days(kind, "", {day: summed(kind, each) for day, each in found.items()})
