"""What an audit says: requests as the ledger would hold them, what was not billed again, totals, and problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Final, Literal

from otel_llmcost.audit.trail import Charged, Repeat
from otel_llmcost.ledger.row import request_row
from otel_llmcost.model import COUNTS, Request

__all__ = ["COLUMNS", "Audit", "AuditedRequest", "CostStatus", "Problem", "Totals", "exact"]

CostStatus = Literal["priced", "partial", "unpriced", "provider_reported", "failed_no_usage"]

_COST_STATUSES: Final[tuple[CostStatus, ...]] = (
    "priced",
    "partial",
    "unpriced",
    "provider_reported",
    "failed_no_usage",
)

COLUMNS: Final = (
    "trace_id", "span_id", "timestamp", "dialect", "provider", "model", "request_model", "response_id", "request_id",
    "operation", "status", "error_type", "attempt_kind", "attempt",
    *COUNTS,
    "service_tier", "batch", "speed", "region", "usage_convention", "usage_gaps",
    "price_status", "reason", "detail", "cost_usd", "rate_id", "rate_source", "match_rule", "missing_rates",
    "provider_cost_usd", "stamped_cost_usd",
    "team", "feature", "customer_id", "environment", "action", "action_id", "owner_source", "service_name",
)  # fmt: skip
"""The keys of a request in JSON: those of `llm_requests`, null where the ledger would hold its default."""
_DEFAULTS: Final[Mapping[str, object]] = {
    "attempt_kind": "initial", "attempt": 1, "usage_gaps": [], "missing_rates": [], "batch": False, "model": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What could not be read: the rest was audited."""

    source: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.text}"


@dataclass(frozen=True, kw_only=True)
class AuditedRequest:
    """One request of the bill."""

    number: int
    """Its place in this audit, from 1: what people point at."""
    charged: Charged

    @property
    def request(self) -> Request:
        """The request itself."""
        return self.charged.request

    @cached_property
    def row(self) -> Mapping[str, object]:
        """`COLUMNS` -> JSON-ready values."""
        row = request_row(self.request)
        row["timestamp"] = f"{str(row['timestamp']).replace(' ', 'T')}Z"
        row["request_id"] = row.get("own_request_id") or row["trace_id"]
        if reported := row.get("provider_cost_usd"):
            row["provider_cost_usd"] = exact(Decimal(str(reported)))
        row["stamped_cost_usd"] = self.charged.stamped_cost_usd
        return {name: row.get(name, _DEFAULTS.get(name)) for name in COLUMNS}

    @property
    def cost_status(self) -> CostStatus:
        """What is known of its cost; a failure without usage owes nothing that anybody could know of."""
        if self.request.call.status != "success" and self.row["reason"] == "no_usage":
            return "failed_no_usage"
        status: CostStatus = self.row["price_status"]  # type: ignore[assignment]  # its values are those of CostStatus
        return status

    @property
    def cost_usd(self) -> Decimal | None:
        """The cost, or None where it is not known."""
        cost = self.row["cost_usd"]
        return None if cost is None else Decimal(str(cost))


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Of one audit."""

    cost_usd: Decimal | None
    """None: something was spent, and none of it is known."""
    is_lower_bound: bool
    requests: int
    by_cost_status: Mapping[str, int]
    duplicates: int
    with_usage_gaps: int
    agents_without_requests: int
    """Agents and workflows that show neither usage nor a request below them."""
    spans: int
    """All that were read, model calls or not; a response body counts as one."""
    problems: int


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The whole answer."""

    requests: Sequence[AuditedRequest]
    duplicates: Sequence[Repeat]
    agents_without_requests: int
    problems: Sequence[Problem]
    spans: int
    without_time: int
    """Response bodies that do not say when they were made."""

    @cached_property
    def totals(self) -> Totals:
        """Sum up."""
        by_cost_status: dict[str, int] = dict.fromkeys(_COST_STATUSES, 0)
        for each in self.requests:
            by_cost_status[each.cost_status] += 1
        costs = [cost for each in self.requests if (cost := each.cost_usd) is not None]
        missing = by_cost_status["unpriced"] + by_cost_status["provider_reported"]
        missing += 0 if self.requests else self.agents_without_requests
        return Totals(
            cost_usd=None if missing and not costs else sum(costs, Decimal(0)),
            is_lower_bound=bool(missing or by_cost_status["partial"]),
            requests=len(self.requests),
            by_cost_status=by_cost_status,
            duplicates=len(self.duplicates),
            with_usage_gaps=sum(bool(each.request.call.usage_gaps) for each in self.requests),
            agents_without_requests=self.agents_without_requests,
            spans=self.spans,
            problems=len(self.problems),
        )

    def as_json(self) -> dict[str, object]:
        """Give the answer for programs: amounts are decimal text, null is unknown."""
        totals = self.totals
        return {
            "requests": [each.row for each in self.requests],
            "duplicates": [
                {"span_id": each.span[1], "of_span_id": each.of[1] if each.of else None, "reason": each.reason}
                for each in self.duplicates
            ],
            "totals": {
                "cost_usd": None if totals.cost_usd is None else exact(totals.cost_usd),
                "is_lower_bound": totals.is_lower_bound,
                "requests": totals.requests,
                **totals.by_cost_status,
                "duplicates": totals.duplicates,
                "with_usage_gaps": totals.with_usage_gaps,
                "agents_without_requests": totals.agents_without_requests,
                "spans": totals.spans,
                "problems": totals.problems,
            },
        }


def exact(amount: Decimal) -> str:
    """Write an amount as the shortest exact decimal text: `0.01155`."""
    text = f"{amount:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
