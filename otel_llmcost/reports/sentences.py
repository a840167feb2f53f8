"""
What is said about one request, in words: on a terminal and on a page the same.

Every sentence is made of stored columns; amounts are exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from otel_llmcost.pricing import Line
from otel_llmcost.reports.explain import COPY, ExplainedRequest
from otel_llmcost.reports.money import exact_usd, sum_usd

__all__ = ["AGREES", "DISAGREES", "adjusted", "copies", "cost", "facts", "final_cost", "instant", "together", "unit"]

AGREES: Final = "Computed again from the rate's stored content, this is the stored cost to the last digit."
DISAGREES: Final = (
    "The stored cost is not what the rate's content gives: run this again with the version that priced it."
)


def together(found: list[ExplainedRequest] | tuple[ExplainedRequest, ...]) -> str:
    """Sum up several requests."""
    known = [each.final_cost_usd for each in found if each.final_cost_usd is not None]
    unknown = f", and {len(found) - len(known)} whose cost is not known" if len(known) < len(found) else ""
    return f"{len(found)} requests, together ${exact_usd(sum_usd(known))}{unknown}"


def unit(line: Line) -> str:
    """Say what a price is for: `per 1M`, and above which input."""
    text = line.unit.removesuffix(" tokens")
    return text if line.tier is None else f"{text}, above {line.tier:,} of input"


def adjusted(row: Mapping[str, object]) -> str:
    """Tell one correction."""
    change = "taken back" if row["sign"] == -1 else "added"
    owner = f"{row['team']} / {row['feature']} / {row['customer_id']}"
    return f"Adjusted {instant(row['adjusted_at'])}: {cost(row)} {change}, {owner} ({row['adjustment_reason']})"


def final_cost(found: ExplainedRequest) -> str:
    """Write what a request costs in the end."""
    return _usd(found.final_cost_usd, found.is_lower_bound)


def copies(found: ExplainedRequest) -> Iterator[str]:
    """Tell what is stored more often than once, and what the bill makes of it."""
    if not found.copies:
        return
    taken = sum(1 if row["sign"] == -1 else -1 for row in found.adjustments if row["adjustment_reason"] == COPY)
    yield f"Stored {_times(1 + len(found.copies))}, taken back {_times(taken)} as a copy."
    for row in found.copies:
        yield f"Copy of {instant(row['timestamp'])}: {cost(row)}"
    if taken < len(found.copies):
        yield f"The bill has {final_cost(found)} for it: `otel-llmcost repair` takes back all but one."


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


def facts(found: ExplainedRequest) -> Iterator[tuple[str, str]]:
    """Give (what, words) of everything that is known about a request; no words where nothing is."""
    row = found.row
    yield "price", _words(row["price_status"], row["reason"], row["detail"])
    if not found.lines:
        yield "parts", ", ".join(f"{name} ${exact_usd(part)}" for name, part in found.components)
    yield "rate", _rate(found)
    yield "matched", f"{row['match_rule']}, asked for {row['request_model']}" if row["match_rule"] else ""
    yield (
        "usage",
        _words(row["usage_convention"], "gaps: " + ", ".join(_names(row["usage_gaps"])) if row["usage_gaps"] else ""),
    )
    yield "no rate for", ", ".join(_names(row["missing_rates"]))
    yield "context", _words(row["service_tier"], row["speed"], row["region"], "batch" if row["batch"] else "")
    yield (
        "provider says",
        "" if row["provider_cost_usd"] is None else f"${exact_usd(_decimal(row['provider_cost_usd']))}",
    )
    yield (
        "owner",
        f"team {row['team']}, feature {row['feature']}, customer {row['customer_id']}, environment {row['environment']}",
    )
    yield "owner from", str(row["owner_source"])
    yield "action", "" if row["action"] == "(none)" else f"{row['action']} {row['action_id']}"
    yield "status", _words(row["status"], row["error_type"])
    yield (
        "attempt",
        _words(f"{row['attempt']}: {row['attempt_kind']}", row["attempt_source"], "wasted" if row["wasted"] else ""),
    )
    yield "request", str(row["request_id"])
    yield "response", str(row["response_id"])
    yield "trace, span", f"{row['trace_id']} {row['span_id']}"
    yield "seen by", _words(row["service_name"], row["scope_name"], row["dialect"])


def _rate(found: ExplainedRequest) -> str:
    row, rate = found.row, found.rate
    if rate is None:
        return _words(row["rate_id"], row["rate_source"], row["rate_version"])
    since = f"from {rate.effective_from}" if rate.effective_from else "since launch"
    source, checked = rate.content.get("source"), rate.content.get("checked")
    return _words(rate.rate_id, f"{rate.source} {rate.version}", since, source, f"checked {checked}" if checked else "")


def _words(*parts: object) -> str:
    return ", ".join(str(part) for part in parts if part)


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list | tuple) else []


def instant(value: object) -> str:
    """Write an instant with its microseconds."""
    return f"{value:%Y-%m-%d %H:%M:%S.%f} UTC" if isinstance(value, datetime) else str(value)


def cost(row: Mapping[str, object]) -> str:
    """Write what a row costs, exactly; whether that is a bound; or that it is not known."""
    amount = None if row["cost_usd"] is None else _decimal(row["cost_usd"])
    return _usd(amount, row["price_status"] == "partial" and row.get("sign", 1) == 1)


def _usd(amount: Decimal | None, is_lower_bound: bool) -> str:
    if amount is None:
        return "cost not known"
    return f"{'≥ ' if is_lower_bound else ''}${exact_usd(amount)}"


def _decimal(value: object) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))
