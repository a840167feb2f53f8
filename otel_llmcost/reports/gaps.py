"""
What the bill's own spans hide: how much was spent through each instrumentation whose numbers cannot be exact.

Three questions: what every charge may hide, which charges nobody reported usage for, and which have usage but no price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final, TypeAlias, cast

from otel_llmcost.ledger import Answers
from otel_llmcost.model import COUNTS
from otel_llmcost.pricing.context import STANDARD
from otel_llmcost.reports.dimensions import filter_parameters
from otel_llmcost.reports.money import add, sum_usd
from otel_llmcost.reports.period import Period

__all__ = [
    "GapReport",
    "GapRow",
    "GapShare",
    "UnpricedRow",
    "WithoutUsage",
    "unpriced",
    "usage_gaps",
    "without_usage",
]

Where: TypeAlias = Mapping[str, str] | None
"""Dimension -> exact value, as in `spend`."""
_PRICEABLE: Final = tuple(count for count in COUNTS if count != "reasoning_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrumentation:
    """Who wrote the spans, and about whose model: what gaps depend on."""

    scope_name: str
    dialect: str
    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GapRow(Instrumentation):
    """The charges of one instrumentation that may hide the same things; a charge is in exactly one row."""

    gaps: tuple[str, ...]
    """In the vocabulary of `usage_gaps`; none: every count is shown."""
    requests: int
    costed_requests: int
    """Those of them whose cost is known, at least in part."""
    cost_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class GapShare(Instrumentation):
    """The charges of one instrumentation that may hide one thing; those that hide more are in several."""

    gap: str
    requests: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class GapReport:
    """The bill of a period, by what its spans may hide. The rows sum to the bill."""

    period: Period
    rows: tuple[GapRow, ...]

    @property
    def total_usd(self) -> Decimal:
        """The bill."""
        return sum_usd(row.cost_usd for row in self.rows)

    @property
    def complete_usd(self) -> Decimal:
        """The part of it whose spans hide nothing."""
        return sum_usd(row.cost_usd for row in self.rows if not row.gaps)

    def by_gap(self) -> tuple[GapShare, ...]:
        """Give each gap of each instrumentation, most costly first; charges with several gaps are in several."""
        sums: dict[tuple[str, str, str, str], tuple[int, Decimal]] = {}
        for row in self.rows:
            for gap in row.gaps:
                key = (row.scope_name, row.dialect, row.provider, gap)
                requests, cost_usd = sums.get(key, (0, Decimal(0)))
                sums[key] = requests + row.requests, add(cost_usd, row.cost_usd)
        shares = [
            GapShare(scope_name=scope, dialect=dialect, provider=provider, gap=gap, requests=requests, cost_usd=cost)
            for (scope, dialect, provider, gap), (requests, cost) in sums.items()
        ]
        return tuple(
            sorted(
                shares, key=lambda share: (share.cost_usd.copy_negate(), share.scope_name, share.provider, share.gap)
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutUsage(Instrumentation):
    """Charges that nobody reported usage for, so that their cost is not known."""

    status: str
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpricedRow:
    """Charges of one model whose usage is known, but whose price is not, or not in whole."""

    provider: str
    model: str
    service_tier: str
    """Empty for every spelling of the list price."""
    batch: bool
    speed: str
    """Empty for every spelling of the list price."""
    price_status: str
    reason: str
    missing_rates: tuple[str, ...]
    requests: int
    counts: Mapping[str, int]
    """What a rate for them must price, in the vocabulary of `Usage`; zeros are left out."""

    @property
    def tokens(self) -> int:
        """All tokens together."""
        return sum(count for name, count in self.counts.items() if name.endswith("_tokens"))


def usage_gaps(ledger: Answers, *, since: date, until: date, where: Where = None) -> GapReport:
    """Divide the bill of [since, until), UTC days, by what its spans may hide. Raises `ReportError`, `LedgerError`."""
    period = Period(since, until)
    rows = (_typed(row, "gaps") for row in _ask(ledger, "usage_gaps", period, where))
    return GapReport(period, tuple(GapRow(**row) for row in rows))


def without_usage(ledger: Answers, *, since: date, until: date, where: Where = None) -> tuple[WithoutUsage, ...]:
    """Find the charges that nobody reported usage for, most first. Raises `ReportError`, `LedgerError`."""
    return tuple(WithoutUsage(**row) for row in _ask(ledger, "usage_gaps_no_usage", Period(since, until), where))


def unpriced(ledger: Answers, *, since: date, until: date, where: Where = None) -> tuple[UnpricedRow, ...]:
    """Find the charges whose usage is known and whose price is not, most first. Raises `ReportError`, `LedgerError`."""
    found = []
    for row in _ask(ledger, "usage_gaps_unpriced", Period(since, until), where, standard=sorted(STANDARD)):
        counts = {name: cast("int", row.pop(name)) for name in _PRICEABLE}
        row["counts"] = {name: count for name, count in counts.items() if count}
        found.append(UnpricedRow(**_typed(row, "missing_rates")))
    return tuple(found)


def _ask(ledger: Answers, query: str, period: Period, where: Where, **parameters: object) -> list[dict[str, Any]]:
    bound = {"since": period.since, "until": period.until, **filter_parameters(where or {}), **parameters}
    return ledger.query(query, bound)


def _typed(row: dict[str, Any], array: str) -> dict[str, Any]:
    return row | {array: tuple(row[array])}
