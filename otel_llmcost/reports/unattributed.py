"""
Which services send charges that nobody owns: what to fix so that spend has a team, a feature, a customer and an environment.

A charge is in exactly one row, by its service and by everything that it lacks; so rows sum to what lacks any owner, and
those that lack a team to `unattributed_usd` of `spend`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from otel_llmcost.errors import ReportError
from otel_llmcost.ledger import Answers
from otel_llmcost.reports.daily import summed
from otel_llmcost.reports.dimensions import OWNERS, column_of, filter_parameters
from otel_llmcost.reports.period import Period

__all__ = ["Unattributed", "UnattributedRow", "WithoutOwner", "unattributed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutOwner:
    """The sums of charges that lack an owner."""

    requests: int = 0
    partial_requests: int = 0
    unpriced_requests: int = 0
    cost_usd: Decimal = Decimal(0)

    @property
    def is_lower_bound(self) -> bool:
        """Whether the true cost may be higher."""
        return self.partial_requests > 0 or self.unpriced_requests > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnattributedRow:
    """The charges of one service that lack the same owners."""

    service_name: str
    """Empty where the resource has no `service.name`."""
    lacks: tuple[str, ...]
    """Of team, feature, customer_id and environment, in this order."""
    measures: WithoutOwner
    first_seen_at: datetime
    """The first one of the period."""
    last_seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Unattributed:
    """Charges of a period that lack an owner, most costly first."""

    period: Period
    where: Mapping[str, str]
    rows: tuple[UnattributedRow, ...]

    @property
    def total(self) -> WithoutOwner:
        """The charges that lack any of the four."""
        return summed(WithoutOwner, [row.measures for row in self.rows])

    def without(self, owner: str) -> WithoutOwner:
        """Give the charges that lack this owner, for one. Raises `ReportError` for what is no owner."""
        column = column_of(owner)
        if column not in OWNERS:
            raise ReportError(f"{owner} is no owner; those are {', '.join(OWNERS)}")
        return summed(WithoutOwner, [row.measures for row in self.rows if column in row.lacks])


def unattributed(ledger: Answers, *, period: Period, where: Mapping[str, str] | None = None) -> Unattributed:
    """Find the charges of `period` that lack an owner, by service. Raises `ReportError`, `LedgerError`."""
    filters = where or {}
    bound = {"since": period.since, "until": period.until, **filter_parameters(filters)}
    found = cast("list[dict[str, Any]]", ledger.query("unattributed", bound))
    return Unattributed(period=period, where=dict(filters), rows=tuple(map(_row, found)))


def _row(row: dict[str, Any]) -> UnattributedRow:
    return UnattributedRow(
        service_name=row.pop("service_name"),
        lacks=tuple(row.pop("lacks")),
        first_seen_at=row.pop("first_seen_at"),
        last_seen_at=row.pop("last_seen_at"),
        measures=WithoutOwner(**row),
    )
