"""
How much of the input came from a provider's cache, and what that saved.

The hit share is a share of text input: fresh, cached and written tokens, as `spend` sums them. Savings are against fresh
input at the same rates, and negative where writing cost more than reading saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Answers
from otel_llmcost.reports.daily import Daily, days_together, with_days
from otel_llmcost.reports.dimensions import TIMES, column_of
from otel_llmcost.reports.money import ratio
from otel_llmcost.reports.period import Period
from otel_llmcost.reports.spend import OTHER, Measures, spend

__all__ = ["CacheReport", "caching", "hit_share"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheReport:
    """Caching in a period, by what was saved. The rows sum to `total`, which is what `spend` gives."""

    period: Period
    by: str
    where: Mapping[str, str]
    rows: tuple[Daily[Measures], ...]
    total: Daily[Measures]
    source: str
    """The table that answered."""


def hit_share(measures: Measures) -> Decimal | None:
    """Give the share of input that came from a cache; None without input."""
    cached = measures.cached_input_tokens
    return ratio(cached, measures.input_tokens + cached + measures.cache_write_tokens)


def caching(
    ledger: Answers,
    by: str = "model",
    *,
    period: Period,
    where: Mapping[str, str] | None = None,
    top: int | None = None,
) -> CacheReport:
    """
    Sum fresh, cached and written input of `period`, and what caching saved, by a dimension that is not a time.

    `top` keeps that many values, those that cost most, and the unattributed; the rest is folded into `(other)`. Raises
    `ReportError` for what does not exist, and `LedgerError`.
    """
    if column_of(by) in TIMES:
        raise ReportError(f"caching has its days in every row: ask for it by another dimension than {by}")
    report = spend(ledger, [by, "day"], since=period.since, until=period.until, where=where, top=top)
    cells: dict[str, dict[date, Measures]] = {}
    for row in report.rows:
        cells.setdefault(row.key[0], {})[date.fromisoformat(row.key[1])] = row.measures
    rows = sorted((with_days(Measures, key, days) for key, days in cells.items()), key=_place)
    return CacheReport(
        period=period,
        by=by,
        where=report.where,
        rows=tuple(rows),
        total=days_together(Measures, rows),
        source=report.source,
    )


def _place(row: Daily[Measures]) -> tuple[object, ...]:
    whole = row.whole
    return row.key == OTHER, whole.cache_savings_usd.copy_negate(), whole.cost_usd.copy_negate(), row.key
