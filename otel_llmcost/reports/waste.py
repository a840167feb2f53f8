"""
What retries, fallbacks and failures cost, where, and since when.

Waste counts each request once: what failed, timed out or was cancelled, and what succeeded as a retry or fallback after
something that was charged too. A failed retry is in `retry_cost_usd` and in `wasted_cost_usd`: the two are shown beside
each other, and never added. Limits: what a provider's own client sent again inside one span is in that span's cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any, Final, cast

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Answers
from otel_llmcost.model import EXACT
from otel_llmcost.reports.daily import Daily, days_together, with_days
from otel_llmcost.reports.dimensions import TIMES, column_of, filter_parameters, source_for
from otel_llmcost.reports.money import ratio, sum_usd
from otel_llmcost.reports.period import Period
from otel_llmcost.reports.spend import OTHER

__all__ = ["FailureRow", "WasteMeasures", "WasteReport", "failures", "waste"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WasteMeasures:
    """The sums of a group of charges, as far as waste goes."""

    requests: int = 0
    partial_requests: int = 0
    unpriced_requests: int = 0
    retries: int = 0
    fallbacks: int = 0
    errors: int = 0
    timeouts: int = 0
    cancelled: int = 0
    cost_usd: Decimal = Decimal(0)
    retry_cost_usd: Decimal = Decimal(0)
    fallback_cost_usd: Decimal = Decimal(0)
    failed_cost_usd: Decimal = Decimal(0)
    """Cost of what failed, timed out or was cancelled."""
    wasted_cost_usd: Decimal = Decimal(0)
    """`failed_cost_usd` and `repeated_cost_usd`."""

    @property
    def failures(self) -> int:
        """Requests that did not succeed."""
        return self.errors + self.timeouts + self.cancelled

    @property
    def repeated_cost_usd(self) -> Decimal:
        """Cost of retries and fallbacks that succeeded after something that was charged too."""
        return EXACT.subtract(self.wasted_cost_usd, self.failed_cost_usd)

    @property
    def wasted_share(self) -> Decimal | None:
        """Waste as a share of the cost; None where nothing has a cost."""
        return ratio(self.wasted_cost_usd, self.cost_usd)

    @property
    def is_lower_bound(self) -> bool:
        """Whether the true costs may be higher."""
        return self.partial_requests > 0 or self.unpriced_requests > 0


_MEASURES: Final = tuple(field.name for field in fields(WasteMeasures))


@dataclass(frozen=True, slots=True, kw_only=True)
class WasteReport:
    """Waste in a period, most first. The rows sum to `total`, and its cost and requests to `spend`."""

    period: Period
    by: str
    where: Mapping[str, str]
    rows: tuple[Daily[WasteMeasures], ...]
    total: Daily[WasteMeasures]
    source: str
    """The table that answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRow:
    """Requests to one model that failed in one way; the rest below the top ones has `(other)` as model."""

    provider: str
    model: str
    status: str
    error_type: str
    requests: int
    costed_requests: int
    """Those of them that were charged for all the same, as far as is known."""
    cost_usd: Decimal


def waste(
    ledger: Answers, by: str, *, period: Period, where: Mapping[str, str] | None = None, top: int | None = None
) -> WasteReport:
    """
    Sum retries, fallbacks and failures of `period` by a dimension that is not a time.

    `top` keeps that many values, those that waste most, and the unattributed; the rest is folded into `(other)`. Raises
    `ReportError` for what does not exist, and `LedgerError`.
    """
    filters = where or {}
    column = column_of(by)
    if column in TIMES:
        raise ReportError(f"waste has its days in every row: ask for it by another dimension than {by}")
    source = source_for([column, "day", "status", "attempt_kind", *map(column_of, filters)])
    bound = {"source": source.table, "by": column, "top": top or 0, "since": period.since, "until": period.until}
    cells: dict[str, dict[date, WasteMeasures]] = {}
    for row in cast("list[dict[str, Any]]", ledger.query("waste", bound | filter_parameters(filters))):
        measures = WasteMeasures(**{name: row[name] for name in _MEASURES})
        if measures != WasteMeasures():  # all of it was taken back
            cells.setdefault(_key(row), {})[row["day"]] = measures
    rows = sorted((with_days(WasteMeasures, key, days) for key, days in cells.items()), key=_place)
    return WasteReport(
        period=period,
        by=by,
        where=dict(filters),
        rows=tuple(rows),
        total=days_together(WasteMeasures, rows),
        source=source.table,
    )


def failures(
    ledger: Answers, *, period: Period, where: Mapping[str, str] | None = None, top: int | None = None
) -> tuple[FailureRow, ...]:
    """
    Give what failed, timed out and was cancelled in `period`, by model and error, most costly first.

    The rows sum to `failures` and `failed_cost_usd` of `waste`. Raises `ReportError`, `LedgerError`.
    """
    bound = {"top": top or 0, "since": period.since, "until": period.until, **filter_parameters(where or {})}
    found = cast("list[dict[str, Any]]", ledger.query("failures", bound))
    return tuple(FailureRow(**row | ({"model": OTHER} if row.pop("is_rest") else {})) for row in found)


def _key(row: Mapping[str, Any]) -> str:
    if row["is_rest"]:
        return OTHER
    return f'"{OTHER}"' if row["label"] == OTHER else str(row["label"])


def _place(row: Daily[WasteMeasures]) -> tuple[object, ...]:
    """Sort by waste, then by what retries and fallbacks cost, then by cost; `(other)` last."""
    whole = row.whole
    again = sum_usd([whole.retry_cost_usd, whole.fallback_cost_usd])
    return row.key == OTHER, *(usd.copy_negate() for usd in (whole.wasted_cost_usd, again, whole.cost_usd)), row.key
