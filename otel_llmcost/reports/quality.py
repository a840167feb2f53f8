"""
How far the numbers of a period can be trusted: what has no price, what spans hide, who owns nothing, what was corrected.

It says what the ledger knows. A span that was recognised as a duplicate before anything was charged has no row, and is
not counted here. Rows that were stored twice and not taken back yet are found by `otel-llmcost verify`, which reads
everything; what waits in a journal is in no ledger, and `journal.backlog` tells of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, cast

from otel_llmcost.ledger import Answers
from otel_llmcost.reports.dimensions import filter_parameters
from otel_llmcost.reports.extent import extent
from otel_llmcost.reports.gaps import GapReport, UnpricedRow, WithoutUsage, unpriced, usage_gaps, without_usage
from otel_llmcost.reports.money import sum_usd
from otel_llmcost.reports.period import Period
from otel_llmcost.reports.unattributed import Unattributed, unattributed

__all__ = ["Correction", "Quality", "UnknownCost", "quality"]

_MEANINGS: Final = {
    "better_span": "another span of the same request said more, so that the charge moved to it",
    "aggregate": "an agent or workflow was charged as a whole, until a request below it arrived",
    "recorded": "another process had journaled the same request",
    "attempt": "a failure became known later, so that a request turned out to be its retry or fallback, or not",
    "duplicate_copy": "a repair took back rows that were stored twice",
    "duplicate_correction": "a repair undid corrections that were stored twice",
    "duplicate_response": "a repair took back a second charge for the same response",
    "priced_later": "a repair priced requests that ended before the prices were loaded",
}
_DOUBLES: Final = frozenset({"better_span", "aggregate", "recorded", "duplicate_copy", "duplicate_response"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownCost:
    """Requests whose cost is not known, or only in part, for one reason."""

    price_status: str
    reason: str
    requests: int
    tokens: int
    """What they used and a rate would have to price, as far as it was reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Adjustments that were written for one reason."""

    reason: str
    taken_back: int
    """Charges that were taken back."""
    added: int
    """Charges that were put in their place, or given back."""
    net_usd: Decimal
    """What they did to the bill."""
    last_adjusted_at: datetime

    @property
    def meaning(self) -> str:
        """Say the reason in words; "" for one of a later version."""
        return _MEANINGS.get(self.reason, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What is known about the numbers of a period."""

    period: Period
    where: Mapping[str, str]
    unpriced: tuple[UnpricedRow, ...]
    """By model and all that its price depends on."""
    without_usage: tuple[WithoutUsage, ...]
    usage_gaps: GapReport
    unattributed: Unattributed
    corrections: tuple[Correction, ...]
    newest_at: datetime | None
    """So far does the ledger have data, whatever the period and the filters; None: it is empty."""

    def by_reason(self) -> tuple[UnknownCost, ...]:
        """
        Give why costs are not known, most requests first.

        The requests sum to `partial_requests` and `unpriced_requests` of `spend`: failures without usage are not in it.
        """
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        counts = [(row.price_status, row.reason, row.requests, row.tokens) for row in self.unpriced]
        silent = [("unpriced", "no_usage", row.requests, 0) for row in self.without_usage if row.status == "success"]
        for status, reason, requests, tokens in counts + silent:
            before = sums.get((status, reason), (0, 0))
            sums[status, reason] = before[0] + requests, before[1] + tokens
        found = [
            UnknownCost(price_status=status, reason=reason, requests=requests, tokens=tokens)
            for (status, reason), (requests, tokens) in sums.items()
        ]
        return tuple(sorted(found, key=lambda each: (-each.requests, each.price_status, each.reason)))

    @property
    def tokens_at_risk(self) -> int:
        """Tokens of requests that have no whole price."""
        return sum(row.tokens for row in self.unpriced)

    @property
    def failed_without_usage(self) -> int:
        """Requests that failed before anything was billed, as far as is known."""
        return sum(row.requests for row in self.without_usage if row.status != "success")

    @property
    def corrected_usd(self) -> Decimal:
        """What all corrections together did to the bill."""
        return sum_usd(each.net_usd for each in self.corrections)

    @property
    def double_charges_taken_back(self) -> int:
        """Charges of this period that something else charged too, and that corrections took off the bill."""
        return sum(each.taken_back for each in self.corrections if each.reason in _DOUBLES)


def quality(ledger: Answers, *, period: Period, where: Mapping[str, str] | None = None) -> Quality:
    """Ask everything that there is to know about the numbers of `period`. Raises `ReportError`, `LedgerError`."""
    filters = where or {}
    bound = {"since": period.since, "until": period.until, **filter_parameters(filters)}
    reaches = extent(ledger)
    corrections = cast("list[dict[str, Any]]", ledger.query("corrections", bound))
    return Quality(
        period=period,
        where=dict(filters),
        unpriced=unpriced(ledger, since=period.since, until=period.until, where=filters),
        without_usage=without_usage(ledger, since=period.since, until=period.until, where=filters),
        usage_gaps=usage_gaps(ledger, since=period.since, until=period.until, where=filters),
        unattributed=unattributed(ledger, period=period, where=filters),
        corrections=tuple(Correction(**row) for row in corrections),
        newest_at=None if reaches is None else reaches.newest,
    )
