"""What spend can be asked by: the dimensions, and which table has which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from otel_llmcost.errors import ReportError

__all__ = ["DIMENSIONS", "OWNERS", "TIMES", "Source", "column_of", "filter_parameters", "source_for"]

DIMENSIONS: Final[Mapping[str, str]] = {
    "team": "team",
    "feature": "feature",
    "customer": "customer_id",
    "customer_id": "customer_id",
    "environment": "environment",
    "action": "action",
    "service": "service_name",
    "provider": "provider",
    "model": "model",
    "status": "status",
    "attempt_kind": "attempt_kind",
    "price_status": "price_status",
    "hour": "hour",
    "day": "day",
    "month": "month",
}
"""Dimension, as people write it -> column."""
TIMES: Final = ("hour", "day", "month")
OWNERS: Final = ("team", "feature", "customer_id", "environment")
"""Columns that hold `(unattributed)` where an owner is missing."""
MAX_FILTERS: Final = 6


@dataclass(frozen=True, slots=True)
class Source:
    """A table or view with the measures of spend, and the columns that it can be grouped and filtered by."""

    table: str
    columns: frozenset[str]

    def has(self, columns: Iterable[str]) -> bool:
        """Tell whether all `columns` are here."""
        return self.columns.issuperset(columns)


_SHARED: Final = ("day", "month", "team", "feature", "environment")
_BY_HOUR: Final = ("hour", "provider", "model", "status", "attempt_kind", "price_status")
_BY_CUSTOMER: Final = ("customer_id", "model", "attempt_kind", "price_status")
SOURCES: Final = (
    Source("spend_by_hour", frozenset((*_SHARED, *_BY_HOUR))),
    Source("spend_by_action_day", frozenset((*_SHARED, "action"))),
    Source("spend_by_customer_day", frozenset((*_SHARED, *_BY_CUSTOMER))),
    Source("spend_by_request", frozenset(DIMENSIONS.values())),
)
"""From the smallest to the one that has everything."""


def column_of(dimension: str) -> str:
    """Give the column of a dimension. Raises `ReportError`, which names the one that was meant, and lists all."""
    if dimension not in DIMENSIONS:
        close = get_close_matches(dimension, DIMENSIONS, n=1)
        meant = f". Did you mean {close[0]!r}?" if close else ""
        raise ReportError(f"there is no dimension {dimension!r}; there are {', '.join(DIMENSIONS)}{meant}")
    return DIMENSIONS[dimension]


def source_for(columns: Iterable[str]) -> Source:
    """Give the smallest source with all these columns."""
    needed = tuple(columns)
    return next(source for source in SOURCES if source.has(needed))


def filter_parameters(where: Mapping[str, str]) -> dict[str, object]:
    """
    Bind filters, dimension -> exact value, to the slots `column_N`, `value_N` of a query; an empty slot has NULL.

    Raises `ReportError` for an unknown dimension, for time (that is the period's), and for more filters than slots.
    """
    if times := [name for name in where if name in TIMES]:
        raise ReportError(f"{times[0]} is no filter: choose days with --since, --until or --month")
    if len(where) > MAX_FILTERS:
        raise ReportError(f"{len(where)} filters were given: at most {MAX_FILTERS} work together")
    filters = [(column_of(name), value) for name, value in where.items()]
    padded: list[tuple[str, str | None]] = [*filters, *[("team", None)] * (MAX_FILTERS - len(filters))]
    slots: dict[str, object] = {}
    for number, (column, value) in enumerate(padded, start=1):
        slots[f"column_{number}"], slots[f"value_{number}"] = column, value
    return slots
