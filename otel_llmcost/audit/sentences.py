"""What an audit says in words: its totals, and everything that a reader must know before believing them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Final

from otel_llmcost.audit.result import Audit, AuditedRequest

__all__ = ["REASONS", "TERMINAL", "Hints", "facts", "usd", "why"]


def usd(amount: Decimal, *, at_least: bool = False) -> str:
    """Write every digit of an amount that counts: `$0.01155`, `≥ $1,200.50`."""
    whole, _, rest = f"{amount:,f}".partition(".")
    rest = rest.rstrip("0")
    return f"{'≥ ' if at_least else ''}${whole}{'.' + rest.ljust(2, '0') if rest else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """How a reader says what a response leaves out, and where problems are listed: on a terminal, unless said otherwise."""

    time: str = "--at (default: now)"
    model: str = "--model"
    problems: str = "on standard error"


TERMINAL: Final = Hints()


def facts(found: Audit, hints: Hints = TERMINAL) -> Iterator[tuple[str, str]]:
    """Give (what, sentence): the total first, then what is not in it, and why."""
    totals = found.totals
    cost = "not known" if totals.cost_usd is None else usd(totals.cost_usd, at_least=totals.is_lower_bound)
    counted = [f"{count} {_WORDS[status]}" for status, count in totals.by_cost_status.items() if count]
    yield "Total", f"{cost} for {_many(totals.requests, 'request')}" + (f": {', '.join(counted)}" if counted else "")
    for what, key in (("Not priced", "unpriced"), ("Provider says", "provider_reported"), ("At least", "partial")):
        yield from _each_reason(what, [each for each in found.requests if each.cost_status == key], hints)
    yield from _gaps(found.requests)
    yield from _stamps(found.requests)
    if found.duplicates:
        reasons = sorted(each.reason for each in found.duplicates)
        parts = ", ".join(f"{len(list(same))} {REASONS.get(reason, reason)}" for reason, same in groupby(reasons))
        yield "Not charged again", f"{_many(totals.duplicates, 'span')}: {parts}"
    if found.agents_without_requests:
        spans = _many(found.agents_without_requests, "span")
        yield (
            "Not shown",
            f"{spans} of agents or workflows, without usage or requests below: what they cost is not known",
        )
    if found.without_time:
        yield (
            "No time",
            f"{_many(found.without_time, 'response')} carried none, and was priced as of {hints.time}",
        )
    if not found.requests:
        yield "Read", f"{_many(totals.spans, 'span')}, no request to a model among them"
    if found.problems:
        yield "Not read", f"{_many(totals.problems, 'place')}, listed {hints.problems}"


_WORDS: Final = {
    "priced": "priced", "partial": "priced in part", "unpriced": "not priced",
    "provider_reported": "priced by the provider only", "failed_no_usage": "failed without usage",
}  # fmt: skip
REASONS: Final = {
    "response_id": "with the same response id", "ancestry": "around another span of it",
    "totals": "with equal totals at the same time", "aggregate": "summing up others", "free": "never billed",
    "same_span": "given twice", "recorded": "recorded at the source", "gateway": "charged by a gateway",
}  # fmt: skip


def _each_reason(what: str, requests: Sequence[AuditedRequest], hints: Hints) -> Iterator[tuple[str, str]]:
    def reason_of(each: AuditedRequest) -> str:
        return why(each, hints)

    for reason, same in groupby(sorted(requests, key=lambda each: (reason_of(each), each.number)), key=reason_of):
        yield what, f"{_numbers(same)}: {reason}"


def why(each: AuditedRequest, hints: Hints = TERMINAL) -> str:
    """Say why a cost is not known, or not wholly."""
    row, missing = each.row, each.row["missing_rates"]
    said = str(row["detail"] or _DETAILS.get(str(row["reason"]), ""))
    if isinstance(missing, list | tuple) and missing:
        said = f"No rate for {', '.join(missing)}."
    elif not row["model"] and each.cost_status != "failed_no_usage":
        said = f"The model is not named; for responses, {hints.model} names it."
    reported = f"The provider says {usd(Decimal(str(row['provider_cost_usd'])))}." if row["provider_cost_usd"] else ""
    return " ".join(filter(None, (f"{row['reason']}.", said, reported)))


_DETAILS: Final = {"output_unknown": "The stream ended early, and what was billed for its output is not known."}


def _gaps(requests: Sequence[AuditedRequest]) -> Iterator[tuple[str, str]]:
    def what(each: AuditedRequest) -> str:
        call = each.request.call
        scope = each.request.span.scope_name if call.dialect != "response_body" else "the response"
        return f"{scope} does not show {', '.join(call.usage_gaps)}"

    hiding = [each for each in requests if each.request.call.usage_gaps and each.cost_usd is not None]
    for text, same in groupby(sorted(hiding, key=lambda each: (what(each), each.number)), key=what):
        yield "May cost more", f"{_numbers(same)}: {text}"


def _stamps(requests: Sequence[AuditedRequest]) -> Iterator[tuple[str, str]]:
    other = [
        each for each in requests
        if each.charged.stamped_cost_usd is not None and each.charged.stamped_cost_usd != each.row["cost_usd"]
    ]  # fmt: skip
    if other:
        yield "Differs", f"{_numbers(other)}: the span carries another cost, by the rates at its source"


def _numbers(requests: Sequence[AuditedRequest] | Iterator[AuditedRequest]) -> str:
    numbers = [each.number for each in requests]
    shown = ", ".join(f"#{number}" for number in numbers[:_SHOWN])
    return shown if len(numbers) <= _SHOWN else f"{shown} and {len(numbers) - _SHOWN} more"


_SHOWN: Final = 8


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
