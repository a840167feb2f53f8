"""
Which customers are new, which are gone, and since when each is known: of all that the ledger holds.

New: the first charge ever is in the period. Gone: charges in the period before, none in this one. Limit: a ledger that begins
in the period calls every customer new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import cast

from otel_llmcost.ledger import Answers
from otel_llmcost.reports.dimensions import column_of, filter_parameters, source_for
from otel_llmcost.reports.period import Period

__all__ = ["CustomerSeen", "CustomersSeen", "customers_seen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerSeen:
    """When one customer had charges."""

    customer_id: str
    first_day: date
    last_day: date
    """In or before the period."""
    is_gone: bool
    before_requests: int
    before_usd: Decimal


@dataclass(frozen=True, slots=True)
class CustomersSeen:
    """How many customers are new and gone, and when those that were asked for were seen."""

    new: int
    gone: int
    named: Mapping[str, CustomerSeen]
    most_gone: Sequence[CustomerSeen]
    """Those that cost most in the period before."""


def customers_seen(
    ledger: Answers,
    names: Sequence[str],
    *,
    period: Period,
    before: Period,
    where: Mapping[str, str] | None = None,
    gone: int = 10,
) -> CustomersSeen:
    """Look up some customers, and the `gone` ones that cost most. Raises `ReportError` and `LedgerError`."""
    filters = where or {}
    bound = {
        "source": source_for(["customer_id", *map(column_of, filters)]).table,
        "since": period.since,
        "until": period.until,
        "before_since": before.since,
        "names": list(names),
        "gone": gone,
        **filter_parameters(filters),
    }
    rows = ledger.query("customers_seen", bound)
    found = [_seen(row) for row in rows]
    first = rows[0] if rows else {}
    wanted = frozenset(names)
    return CustomersSeen(
        new=cast("int", first.get("new_customers", 0)),
        gone=cast("int", first.get("gone_customers", 0)),
        named={each.customer_id: each for each in found if each.customer_id in wanted},
        most_gone=[each for each in found if each.is_gone][:gone],
    )


def _seen(row: Mapping[str, object]) -> CustomerSeen:
    return CustomerSeen(
        customer_id=str(row["customer_id"]),
        first_day=cast("date", row["first_day"]),
        last_day=cast("date", row["last_day"]),
        is_gone=bool(row["is_gone"]),
        before_requests=cast("int", row["before_requests"]),
        before_usd=cast("Decimal", row["before_cost_usd"]),
    )
